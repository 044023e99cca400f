//! Client and gateway for threads, or for a device without any: on the traits of `embedded-io`.
//!
//! ```text
//!   SecureChatCompletion<Network>    TCP or TLS; HTTP/1.1 or a raw stream     feature `std`
//!   SecureChatCompletion<Wired>      a raw stream that is there already       no std
//! ```
//!
//! # With std
//!
#![cfg_attr(feature = "std", doc = "```no_run")]
#![cfg_attr(not(feature = "std"), doc = "```ignore")]
//! use sealwire::blocking::SecureChatCompletion;
//! use sealwire::chat::{ChatRequest, Message};
//!
//! let client = SecureChatCompletion::builder("https://gateway.example")
//!     .api_key("sk-...")
//!     .pin("sha256:0c5e...".parse()?)
//!     .build()?;
//! let request = ChatRequest::new("some-model").message(Message::user("Say hello"));
//! for chunk in client.stream(&request)? {
//!     print!("{}", chunk?.text(client.memory())?.expose());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The base URL says how frames travel: `https://` and `http://` as the bodies of HTTP/1.1, `tls://` and `tcp://`, which
//! need a port, one after another with nothing around them.
//!
//! # Without
//!
//! The stream, the clock and the randomness are the caller's: see [`SecureChatCompletion::over`]. Lines that neither open nor close,
//! such as a UART, carry packets: [`Cobs`].

mod client;
mod cobs;
#[cfg(feature = "std")]
mod connection;
mod io;
mod link;
#[cfg(feature = "std")]
mod network;
#[cfg(feature = "std")]
mod server;
#[cfg(feature = "std")]
mod socket;
#[cfg(feature = "std")]
mod tls;
mod wired;

pub use client::{AnswerStream, ChatStream, SecureChatCompletion};
pub use cobs::Cobs;
#[cfg(feature = "std")]
pub use connection::Connection;
pub use link::{Interest, Link, NoDeadline, OpenError, Ready, Transport};
#[cfg(feature = "std")]
pub use network::Network;
#[cfg(feature = "std")]
pub use server::serve;
pub use wired::{Clock, Wired};
