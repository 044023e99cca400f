//! What only hyper and tower have. What every adapter does is in the suite: tests/tests/adapters.

mod connections;
mod early;
mod failures;
mod flow;
mod http;
mod layers;
mod stream_in;
mod support;
