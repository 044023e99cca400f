//! Client and server on hyper: HTTP/1.1 and HTTP/2, TLS by rustls.

mod client;
mod driver;
mod server;

pub use client::{AnswerStream, ChatStream, SecureChatCompletion, Transport};
pub use server::{Gateway, SealedBody};
