//! The adapter of [`futures_io`](crate::futures_io) on async-std.
//!
//! async-std is no longer maintained (RUSTSEC-2025-0052): new programs do better with smol, whose reactor it runs on, and
//! [`futures_io`](crate::futures_io). This module is for those that are on async-std already, and the only one that names it.
//!
//! ```no_run
//! use sealwire::async_std::SecureChatCompletion;
//! use sealwire::chat::{ChatRequest, Message};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = SecureChatCompletion::builder("https://gateway.example")
//!     .api_key("sk-...")
//!     .pin("sha256:0c5e...".parse()?)
//!     .build()?;
//! let request = ChatRequest::new("some-model").message(Message::user("Say hello"));
//! let answer = client.create(&request).await?;
//! # Ok(())
//! # }
//! ```

use std::future::{Future, pending};
use std::io;
use std::time::Duration;

use async_std::net::TcpStream;
use async_std::task;

use crate::Settings;
use crate::client::ClientBuilder;
pub use crate::client::{AnswerStream, ChatStream};
use crate::futures_io::Connector;
use crate::server::{Handler, RawGateway};

/// A client of a gateway on async-std.
pub type SecureChatCompletion = crate::futures_io::SecureChatCompletion<AsyncStd>;

/// TCP and timers of async-std.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncStd;

impl Connector for AsyncStd {
    type Stream = TcpStream;

    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn sleep(&self, duration: Duration) {
        task::sleep(duration).await;
    }
}

impl SecureChatCompletion {
    /// Sets up a client of the gateway at `base_url`: `https://` or `http://` for HTTP/1.1, `tls://` or `tcp://` for a raw stream.
    pub fn builder(base_url: impl Into<String>) -> ClientBuilder<Settings<AsyncStd>> {
        Self::with_connector(base_url, AsyncStd)
    }
}

/// Serves one raw stream: see [`futures_io::serve`](crate::futures_io::serve).
///
/// # Errors
/// The stream's own. What a client does wrong is answered, and logged.
pub async fn serve<H: Handler>(gateway: &RawGateway<H>, stream: TcpStream) -> io::Result<()> {
    serve_until(gateway, stream, pending()).await
}

/// Serves one raw stream until `stop`: see [`futures_io::serve_until`](crate::futures_io::serve_until).
///
/// # Errors
/// The stream's own. What a client does wrong is answered, and logged.
pub async fn serve_until<H: Handler>(
    gateway: &RawGateway<H>,
    stream: TcpStream,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    crate::futures_io::serve_until(gateway, stream, task::sleep, stop).await
}
