//! Client and server on hyper: HTTP/1.1 and HTTP/2, TLS by rustls.

mod client;
mod driver;
mod line;
mod server;

pub use client::{SecureChatCompletion, Transport};
pub use server::{Gateway, SealedBody};

pub use crate::stream::{AnswerStream, ChatStream};
