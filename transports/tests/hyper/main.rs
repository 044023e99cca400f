//! What only hyper and tower have. What every adapter does is in the suite: tests/tests/adapters.

mod connections;
mod early;
mod failures;
mod flow;
mod gateway_layer;
#[path = "../support/handler.rs"]
mod handler;
mod http;
mod layers;
mod seal_layer;
mod server;
mod stream_in;
#[path = "../support/mod.rs"]
mod support;
