//! # sealwire
//!
//! Chat requests to a language-model gateway, sealed end to end: prompt, answer and API key are readable in locked
//! memory of the caller and in the gateway, and nowhere between.
//!
//! ```text
//!   your code ── ChatRequest ──▶ SecureChatCompletion ── sealed frames over HTTP ──▶ Gateway ──▶ your Handler
//!             ◀── Completion ───                      ◀── sealed frames ───────────         ◀── Reply
//! ```
//!
//! A chat, whole and streamed:
//!
#![cfg_attr(feature = "hyper", doc = "```no_run")]
#![cfg_attr(not(feature = "hyper"), doc = "```ignore")]
//! use futures_util::StreamExt;
//! use sealwire::chat::{ChatRequest, Message};
//! use sealwire::hyper::SecureChatCompletion;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = SecureChatCompletion::builder("https://gateway.example")
//!     .api_key("sk-...")
//!     .pin("sha256:0c5e...".parse()?)
//!     .build()?;
//! let request = ChatRequest::new("some-model").message(Message::user("Say hello"));
//!
//! let answer = client.create(&request).await?;
//! for choice in answer.choices() {
//!     for text in choice.message().texts() {
//!         print!("{}", text.to_secure(client.memory())?.expose());
//!     }
//! }
//!
//! let mut stream = client.stream(&request).await?;
//! while let Some(chunk) = stream.next().await {
//!     print!("{}", chunk?.text(client.memory())?.expose());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What stands on either side already can stay: `hyper::SealLayer` is a tower layer that seals plain `http::Request`s on
//! their way through a hyper client (or reqwest, or any other service of HTTP), and `hyper::GatewayLayer` is one that opens
//! them in front of an axum router and seals its answers. A gateway without a router is `hyper::Gateway`, a hyper service
//! around a handler. The layers have whole programs in `examples/`.
//!
//! # Features
//!
//! One for each ecosystem, and the same client in each: `SecureChatCompletion` of the module of that name.
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `hyper` | no | client and gateway over HTTP/1.1 and HTTP/2, tower layers for both, TLS by rustls |
//! | `async-std` | no | client over HTTP/1.1, TLS and raw streams, gateway over raw streams, on async-std |
//! | `futures-io` | no | the same on any runtime with streams of `futures-io`: smol, or tokio by way of tokio-util |
//! | `blocking` | no | client over a raw stream that its caller opened, a serial line among them; `no_std` |
//! | `std` | no | `blocking` with TCP, TLS, HTTP/1.1, and a gateway over raw streams |
//!
//! A *raw stream* carries the frames and nothing else (section 13 of `docs/protocol.md`): base URLs of `tls://` and `tcp://`.
//!
//! Features that begin with an underscore are how these are put together, and nobody else's.
//!
//! Without an adapter there is only [`core`], the protocol. The minimum supported Rust version is 1.95.
#![cfg_attr(not(feature = "_host"), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

extern crate alloc;

#[cfg(feature = "_lines")]
mod address;
#[cfg(feature = "async-std")]
pub mod async_std;
#[cfg(feature = "blocking")]
pub mod blocking;
#[cfg(feature = "_client")]
mod cell;
#[cfg(feature = "_client")]
mod client;
#[cfg(feature = "_host")]
mod clock;
#[cfg(feature = "_client")]
mod error;
#[cfg(feature = "futures-io")]
pub mod futures_io;
#[cfg(feature = "hyper")]
mod http;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "_lines")]
mod line;
#[cfg(feature = "_http1")]
mod pool;
#[cfg(feature = "_gateway")]
pub mod server;
#[cfg(feature = "_tls")]
mod tls;

#[cfg(feature = "_tls")]
pub use client::Settings;
#[cfg(feature = "_client")]
pub use client::{
    Answer, AnswerStream, ChatStream, Chunk, ClientBuilder, Completion, Metadata, ServerMemory,
};
#[cfg(feature = "_async")]
pub use client::{SecureChatCompletion, Transport};
#[cfg(feature = "_client")]
pub use error::{Error, ErrorKind};
pub use sealwire_core as core;
pub use sealwire_core::chat;
pub use sealwire_memlock as memlock;

/// The media type of both bodies (HTTP-1).
pub const MEDIA_TYPE: &str = "application/sealwire";
/// Where requests go, under the base URL.
pub const SEND_PATH: &str = "/sealwire/v1";
/// Where the keys are, under the base URL.
pub const KEYS_PATH: &str = "/.well-known/sealwire-keys";
