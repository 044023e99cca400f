//! The hyper client against the hyper gateway, over TCP on this machine.

mod answers;
mod connections;
mod early;
mod failures;
mod flow;
mod http;
mod layers;
mod stream_in;
mod support;
