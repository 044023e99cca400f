//! The gateway's side, as far as it is the same for every adapter: what it is set up with, and what answers requests.

#[cfg(feature = "_lines")]
mod raw;
mod runs;
mod sealed;
mod shared;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_core::Stream;
use sealwire_core::ErrorCode;
use sealwire_core::exchange::{ReceivedRequest, ServerOptions};
use sealwire_core::head::Tier;
use sealwire_core::replay::{MemoryReplayStore, ReplayStore};
use sealwire_memlock::{SecureBytes, SecureMemory};

#[cfg(feature = "_lines")]
pub use raw::RawGateway;
#[cfg(feature = "_lines")]
pub(crate) use raw::{CLOSING, Doing, RawConnection};
#[cfg(feature = "hyper")]
pub(crate) use sealed::Sealed;
#[cfg(feature = "hyper")]
pub(crate) use shared::{Asked, Shared, unless_it_panics};

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. The future, and the stream in its reply, are dropped when the client goes away.
    ///
    /// An error code is sealed and sent in place of an answer.
    fn handle(
        &self,
        request: ReceivedRequest,
    ) -> impl Future<Output = Result<Reply, ErrorCode>> + Send;
}

impl<F, T> Handler for F
where
    F: Fn(ReceivedRequest) -> T + Send + Sync + 'static,
    T: Future<Output = Result<Reply, ErrorCode>> + Send,
{
    fn handle(
        &self,
        request: ReceivedRequest,
    ) -> impl Future<Output = Result<Reply, ErrorCode>> + Send {
        self(request)
    }
}

/// A body that comes piece by piece; each piece becomes a frame of its own, or several. An error ends the answer with that code.
pub type PieceStream = Pin<Box<dyn Stream<Item = Result<SecureBytes, ErrorCode>> + Send>>;

/// The body of a reply.
#[non_exhaustive]
pub enum ReplyBody {
    /// All of it: padded as one.
    Whole(SecureBytes),
    /// Piece by piece, and padded as one: for what has a length from the start. Little pieces wait for the next.
    Sized(PieceStream),
    /// Piece by piece: in frames of one size, so that the lengths of tokens do not show.
    Stream(PieceStream),
}

/// What a handler answers.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reply {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// Seconds to wait before a retry.
    pub retry_after: Option<u32>,
    /// The protection given.
    pub tier: Option<Tier>,
    /// Header fields, names in lower case. Those that may not travel, or do not fit, are left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: ReplyBody,
}

impl Reply {
    /// A reply with nothing but a status, a content type and a body.
    pub fn new(status: u16, content_type: impl Into<String>, body: ReplyBody) -> Self {
        Self {
            status,
            content_type: Some(content_type.into()),
            retry_after: None,
            tier: None,
            headers: Vec::new(),
            body,
        }
    }
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole(_) => "Whole([REDACTED])",
            Self::Sized(_) => "Sized(..)",
            Self::Stream(_) => "Stream(..)",
        })
    }
}

/// How a gateway is set up.
#[non_exhaustive]
pub struct GatewayConfig {
    /// Where plaintext and keys are kept.
    pub memory: SecureMemory,
    /// Limits.
    pub options: ServerOptions,
    /// What stands before `/sealwire/v1` in the path, without a slash at its end.
    pub base_path: String,
    /// How long a request may take to arrive.
    pub request_deadline: Duration,
    /// How long a raw stream may stand idle between two exchanges, and how long a client may take no bytes of an answer on it.
    pub idle_deadline: Duration,
    /// Which requests were seen. Gateways that share keys share a store.
    pub replay: Box<dyn ReplayStore + Send>,
    /// How many requests with an idempotency key are remembered; beyond it, more are refused (ERROR(busy)).
    pub max_runs: usize,
}

impl GatewayConfig {
    /// The defaults: a store in this process for 100,000 requests within the replay window, two minutes for a request to arrive.
    pub fn new(memory: SecureMemory) -> Self {
        Self {
            memory,
            options: ServerOptions::default(),
            base_path: String::new(),
            request_deadline: Duration::from_secs(120),
            idle_deadline: Duration::from_secs(300),
            replay: Box::new(MemoryReplayStore::new(100_000)),
            max_runs: 100_000,
        }
    }
}

impl fmt::Debug for GatewayConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayConfig")
            .field("options", &self.options)
            .field("base_path", &self.base_path)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
