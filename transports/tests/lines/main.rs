//! The async-std and blocking clients against the hyper gateway and both raw ones, over TCP on this machine.

mod adapters;
mod answers;
mod failures;
mod serial;
mod support;
