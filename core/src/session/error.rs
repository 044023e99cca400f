//! Why a session ended without a whole answer.

use core::fmt;

use crate::error::{Error, ErrorCode, Malformed, PeerError, RejectCode};
use crate::keys::Pin;

/// What an adapter saw go wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// No connection could be made.
    Connect,
    /// A connection broke.
    Reset,
    /// The TLS peer could not be verified; never tried again.
    Tls,
    /// The TLS peer refused this client, as for its certificate; never tried again.
    TlsRefused,
    /// The only connection there is has ended, or is not free; never tried again.
    Gone,
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionError {
    /// The exchange failed: the peer's fault, the caller's, or the machine's.
    Exchange(Error),
    /// The gateway's key set does not follow the protocol, or has no key of the suite that is valid now.
    Keys(Malformed),
    /// The gateway's identity is not the pinned one (TRUST-2).
    Identity {
        /// The pin that was expected.
        expected: Pin,
        /// The pin of the identity that answered.
        found: Pin,
    },
    /// The caller's verifier did not trust the identity.
    Untrusted {
        /// The pin of the identity that answered.
        found: Pin,
    },
    /// The gateway ended the exchange with a sealed error.
    Refused {
        /// Why.
        code: ErrorCode,
        /// Whether part of an answer had been shown before.
        answer_begun: bool,
    },
    /// Someone, perhaps the gateway, refused in the clear.
    Rejected(RejectCode),
    /// The server behind the gateway answered with this status: a reason for another try, see
    /// [`retry_reason`](super::ClientSession::retry_reason). After the last try such an answer is shown as any other. A session ends with
    /// it only on a raw stream, where such an answer was thrown away, to its end or to where it broke, and too little of the time for
    /// everything is left to wait.
    Status {
        /// Its status.
        status: u16,
        /// Seconds after which it would have another try.
        retry_after: Option<u32>,
    },
    /// Something between client and gateway answered in the gateway's place (HTTP-3).
    Intermediary {
        /// Its HTTP status.
        status: u16,
        /// Seconds after which it would have another try.
        retry_after: Option<u32>,
    },
    /// The connection failed.
    Connection(Failure),
    /// It took too long.
    Timeout {
        /// What was waited for.
        what: &'static str,
    },
}

impl From<Error> for SessionError {
    fn from(error: Error) -> Self {
        Self::Exchange(error)
    }
}

impl From<PeerError> for SessionError {
    fn from(error: PeerError) -> Self {
        Self::Exchange(Error::Peer(error))
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange(Error::Peer(PeerError::Truncated)) => f.write_str(
                "the answer was cut off before its end, so it is not whole; send the request again",
            ),
            Self::Exchange(error) => error.fmt(f),
            Self::Keys(error) => write!(f, "the gateway's keys cannot be used: {error}"),
            Self::Identity { expected, found } => write!(
                f,
                "the gateway's identity is not the pinned one: expected {expected}, found {found}; \
                 if its operator did not change the key, someone is in between"
            ),
            Self::Untrusted { found } => write!(f, "the gateway's identity {found} is not trusted"),
            Self::Refused {
                code,
                answer_begun: false,
            } => code.fmt(f),
            Self::Refused {
                code,
                answer_begun: true,
            } => write!(f, "{code} in the middle of its answer, which is not whole"),
            Self::Rejected(code) => write!(f, "the request was refused in the clear: {code}"),
            Self::Status { status, .. } => write!(f, "the server answered with status {status}"),
            Self::Intermediary { status, .. } => write!(
                f,
                "not a sealwire reply but HTTP status {status}: the URL is not that of a gateway, or something in between answered"
            ),
            Self::Connection(Failure::Connect) => f.write_str("no connection to the gateway"),
            Self::Connection(Failure::Reset) => f.write_str("the connection to the gateway broke"),
            Self::Connection(Failure::Gone) => {
                f.write_str("the connection to the gateway is gone, and there is no other")
            }
            Self::Connection(Failure::Tls) => {
                f.write_str("the gateway's TLS certificate could not be verified")
            }
            Self::Connection(Failure::TlsRefused) => {
                f.write_str("the gateway refused TLS: it may want another client certificate")
            }
            Self::Timeout { what } => write!(f, "timed out: {what}"),
        }
    }
}

impl core::error::Error for SessionError {}
