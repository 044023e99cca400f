//! # sealwire
//!
//! Chat requests to a language-model gateway, sealed end to end, over the HTTP stack you have.
#![forbid(unsafe_code)]

mod answer;
#[cfg(feature = "hyper")]
mod client;
#[cfg(feature = "hyper")]
mod clock;
mod config;
mod error;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "hyper")]
pub mod server;

/// The media type of both bodies (HTTP-1).
pub const MEDIA_TYPE: &str = "application/sealwire";
/// Where requests go, under the base URL.
pub const SEND_PATH: &str = "/sealwire/v1";
/// Where the keys are, under the base URL.
pub const KEYS_PATH: &str = "/.well-known/sealwire-keys";

pub use answer::{Answer, Chunk, Completion, Metadata, ServerMemory};
pub use config::ClientBuilder;
pub use error::{Error, ErrorKind};
pub use sealwire_core as core;
pub use sealwire_core::chat;
pub use sealwire_memlock as memlock;
