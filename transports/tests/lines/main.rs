//! The async-std and blocking clients against the hyper gateway and both raw ones, over TCP on this machine.

mod adapters;
mod answers;
mod failures;
mod half_closed;
#[path = "../support/handler.rs"]
mod handler;
mod serial;
mod server;
mod stopping;
mod stray;
#[path = "../support/mod.rs"]
mod support;
