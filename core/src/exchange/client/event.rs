//! What a client is told, and what arrives.

use crate::error::{ErrorCode, RejectCode};
use crate::exchange::limits::Limits;
use crate::head::ResponseHead;
use crate::padding::Padding;
use crate::record::Complete;
use crate::time::UnixTime;

/// How a client seals and what it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// Limits of the response; its frame limit is told to the gateway.
    pub response: Limits,
    /// The largest request body, in bytes; the gateway's own limit holds beside it.
    pub max_request: u64,
    /// The largest frame sent, in bytes on the wire, at least 1024; the gateway's own limit holds beside it. A request takes,
    /// beside its body, two frames of this size and its OPEN (84 bytes with P-256, 1,172 with the hybrid) at most, and twice that for a
    /// moment while a buffer grows.
    pub request_frame: usize,
    /// The padding of the request.
    pub padding: Padding,
    /// What to ask of the response's padding; `None` leaves it to the gateway.
    pub response_padding: Option<bool>,
    /// Whether bytes after the response are an error, as over HTTP, or belong to the next exchange.
    pub one_exchange: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            response: Limits::RESPONSE,
            max_request: Limits::REQUEST.content,
            request_frame: Limits::REQUEST.frame,
            padding: Padding::Padme,
            response_padding: None,
            one_exchange: true,
        }
    }
}

/// What a response brought.
#[derive(PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent<'a> {
    /// The head.
    Head(ResponseHead<'a>),
    /// The next bytes of the body, in secure memory.
    Data(&'a [u8]),
    /// The response is whole; only now is it one.
    Complete(Complete),
    /// The gateway ended the exchange with a sealed error.
    Error {
        /// Why.
        code: ErrorCode,
        /// The gateway's clock, with [`ErrorCode::Time`].
        gateway_time: Option<UnixTime>,
    },
    /// Someone, perhaps the gateway, refused in the clear. A hint that nothing authenticates.
    Rejected(RejectCode),
}

impl core::fmt::Debug for ClientEvent<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Head(head) => f.debug_tuple("Head").field(&head.status).finish(),
            Self::Data(data) => write!(f, "Data([REDACTED; {}])", data.len()),
            Self::Complete(_) => f.write_str("Complete"),
            Self::Error { code, .. } => f.debug_tuple("Error").field(code).finish(),
            Self::Rejected(code) => f.debug_tuple("Rejected").field(code).finish(),
        }
    }
}

/// An event whose content still stands in the frame buffer.
#[derive(Clone, Copy)]
pub(super) enum Pending {
    Head {
        len: usize,
    },
    Data {
        len: usize,
    },
    Complete,
    Error {
        code: ErrorCode,
        gateway_time: Option<UnixTime>,
    },
    Rejected(RejectCode),
}
