//! Client and gateway for any runtime that has streams on the traits of `futures-io`.
//!
//! A runtime is a [`Connector`]: how to open a TCP connection, and how to sleep. [`async_std`](crate::async_std) has one; with
//! others it is a dozen lines, as in this one for smol:
//!
//! ```no_run
//! use std::{io, time::Duration};
//! use sealwire::chat::{ChatRequest, Message};
//! use sealwire::futures_io::{Connector, SecureChatCompletion};
//!
//! struct Smol;
//!
//! impl Connector for Smol {
//!     type Stream = smol::net::TcpStream;
//!
//!     async fn connect(&self, host: &str, port: u16) -> io::Result<Self::Stream> {
//!         smol::net::TcpStream::connect((host, port)).await
//!     }
//!
//!     async fn sleep(&self, duration: Duration) {
//!         smol::Timer::after(duration).await;
//!     }
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = SecureChatCompletion::with_connector("https://gateway.example", Smol)
//!     .api_key("sk-...")
//!     .pin("sha256:0c5e...".parse()?)
//!     .build()?;
//! let request = ChatRequest::new("some-model").message(Message::user("Say hello"));
//! let answer = client.create(&request).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The base URL says how frames travel: `https://` and `http://` as the bodies of HTTP/1.1, `tls://` and `tcp://`, which
//! need a port, one after another with nothing around them. TLS is rustls, on every runtime.

mod client;
mod connection;
mod io;
mod server;

pub use client::{Lines, SecureChatCompletion};
pub use connection::Connector;
pub use server::{serve, serve_until};

pub use crate::client::{AnswerStream, ChatStream};
