//! sealwire.
