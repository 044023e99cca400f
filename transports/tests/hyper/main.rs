//! The hyper client against the hyper gateway, over TCP on this machine.

mod answers;
mod connections;
mod failures;
mod http;
mod support;
