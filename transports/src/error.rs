//! What can go wrong, sorted by what a caller does about it.

use alloc::boxed::Box;
use core::error::Error as StdError;
use core::fmt;

use sealwire_core::chat::{ChatError, ErrorBody};
use sealwire_core::head::EXCHANGE_ID_LEN;
use sealwire_core::session::{Failure, SessionError};
use sealwire_core::{Environment, Error as CoreError, ErrorCode, Misuse, PeerError, RejectCode};
use sealwire_memlock::{MemoryError, SecureBytes};

use crate::client::Metadata;

/// The classes of errors, those of the Python client first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The API key was refused: status 401.
    Authentication,
    /// The request is wrong: status 400, 404, 422 or another of that class; or it cannot be sent.
    InvalidRequest,
    /// The API key may not do this: status 403.
    Forbidden,
    /// Too many requests: status 429.
    RateLimit,
    /// The server, or the gateway, failed: status 500 and above.
    Server,
    /// Out of service for now: status 503, or a gateway out of capacity.
    ServiceUnavailable,
    /// There was no connection, it broke, or something else than a gateway answered.
    Connection,
    /// What came is not what the gateway sent, or the gateway is not the one that is trusted.
    Security,
    /// The client is not set up in a way that can work.
    Config,
    /// It took too long.
    Timeout,
}

/// Why there is no answer.
///
/// What is printed says what to do next and never quotes prompt, answer or key. The server's own words may quote them,
/// so they stay in secure memory: [`Error::body`].
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    what: What,
    status: Option<u16>,
    retry_after: Option<u32>,
    exchange_id: Option<[u8; EXCHANGE_ID_LEN]>,
    body: Option<ErrorBody>,
    source: Option<Cause>,
    tries: u32,
}

/// What lies beneath an error, as a library told it.
pub(crate) type Cause = Box<dyn StdError + Send + Sync>;

enum What {
    Session(SessionError),
    Status,
    Said(&'static str),
    Chat(ChatError),
    NotStreamed,
    Failed,
}

impl Error {
    fn new(kind: ErrorKind, what: What) -> Self {
        Self(Box::new(Inner {
            kind,
            what,
            status: None,
            retry_after: None,
            exchange_id: None,
            body: None,
            source: None,
            tries: 1,
        }))
    }

    /// The client cannot work like this; `what` says what to change.
    pub(crate) fn config(what: &'static str) -> Self {
        Self::new(ErrorKind::Config, What::Said(what))
    }

    /// The request cannot be sent; `what` says why.
    #[cfg(feature = "hyper")]
    pub(crate) fn invalid_request(what: &'static str) -> Self {
        Self::new(ErrorKind::InvalidRequest, What::Said(what))
    }

    /// An answer of a status that is no success.
    pub(crate) fn from_status(metadata: &Metadata, body: SecureBytes) -> Self {
        let kind = match metadata.status {
            401 => ErrorKind::Authentication,
            403 => ErrorKind::Forbidden,
            429 => ErrorKind::RateLimit,
            503 => ErrorKind::ServiceUnavailable,
            300..=499 => ErrorKind::InvalidRequest,
            _ => ErrorKind::Server,
        };
        Self::new(kind, What::Status).told_by(metadata, body)
    }

    /// The server told of an error in place of an answer, or in the middle of a stream.
    pub(crate) fn failed(metadata: &Metadata, body: SecureBytes) -> Self {
        Self::new(ErrorKind::Server, What::Failed).told_by(metadata, body)
    }

    /// The answer should have been server-sent events. What came in their place is often an error, with the status of a success.
    pub(crate) fn not_streamed(metadata: &Metadata, body: SecureBytes) -> Self {
        Self::new(ErrorKind::Server, What::NotStreamed).told_by(metadata, body)
    }

    /// The answer could not be read.
    pub(crate) fn unreadable(metadata: &Metadata, error: ChatError) -> Self {
        let kind = match error {
            ChatError::Memory(_) => ErrorKind::Config,
            _ => ErrorKind::Server,
        };
        Self::new(kind, What::Chat(error)).of(metadata)
    }

    /// What the server says itself.
    fn told_by(self, metadata: &Metadata, body: SecureBytes) -> Self {
        let mut error = self.of(metadata);
        error.0.retry_after = metadata.retry_after;
        // What is no JSON says nothing that the status does not.
        error.0.body = ErrorBody::parse(body).ok();
        error
    }

    fn of(mut self, metadata: &Metadata) -> Self {
        self.0.status = Some(metadata.status);
        self.0.exchange_id = Some(metadata.exchange_id);
        self.after(metadata.tries)
    }

    /// Adds how many tries there were.
    pub(crate) fn after(mut self, tries: u32) -> Self {
        self.0.tries = tries;
        self
    }

    /// Adds what lies beneath, as the HTTP library told it.
    pub(crate) fn because(mut self, source: Option<Cause>) -> Self {
        self.0.source = source;
        self
    }

    /// Adds which exchange it was.
    pub(crate) fn in_exchange(mut self, id: Option<[u8; EXCHANGE_ID_LEN]>) -> Self {
        self.0.exchange_id = self.0.exchange_id.or(id);
        self
    }

    /// The class.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The status of the sealed answer, or of whatever answered in the gateway's place.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Seconds after which another try makes sense, if the server said so.
    pub fn retry_after(&self) -> Option<u32> {
        self.0.retry_after
    }

    /// How many tries there were: 1, or more where what came before the last could be tried again.
    pub fn tries(&self) -> u32 {
        self.0.tries
    }

    /// The id of the exchange, by which the gateway's operator finds it.
    pub fn exchange_id(&self) -> Option<[u8; EXCHANGE_ID_LEN]> {
        self.0.exchange_id
    }

    /// The server's own words, in secure memory, because such words quote prompts and keys.
    pub fn body(&self) -> Option<&ErrorBody> {
        self.0.body.as_ref()
    }

    /// Why the session ended, if it was not for a status.
    pub fn session(&self) -> Option<&SessionError> {
        match &self.0.what {
            What::Session(error) => Some(error),
            _ => None,
        }
    }

    /// What the caller can do about it.
    fn advice(&self) -> &'static str {
        match (self.0.kind, &self.0.what) {
            (
                _,
                What::Session(SessionError::Exchange(CoreError::Environment(Environment::Memory(
                    error,
                )))),
            ) => error.remedy(),
            (ErrorKind::Authentication, _) => "check the API key",
            (ErrorKind::Forbidden, What::Status) => "this API key may not do that",
            (ErrorKind::RateLimit, _) => "wait before the next request, or ask for a higher limit",
            (ErrorKind::ServiceUnavailable, _) => "try again later",
            (ErrorKind::InvalidRequest, What::Status) => {
                "change the request; the server's own words are in `Error::body`"
            }
            (ErrorKind::Server, What::Status) => "try again, or tell whoever runs the server",
            (ErrorKind::Server, What::Failed) => {
                "what came is no whole answer; the server's own words are in `Error::body`"
            }
            (ErrorKind::Server, What::NotStreamed) => "ask for a whole answer instead",
            (ErrorKind::Connection, What::Session(SessionError::Connection(Failure::Connect))) => {
                "check the base URL, the network, and whether the gateway runs"
            }
            (ErrorKind::Timeout, _) => "raise the timeout, or ask for less",
            _ => "",
        }
    }
}

impl From<SessionError> for Error {
    fn from(error: SessionError) -> Self {
        let (kind, status, retry_after) = match &error {
            SessionError::Intermediary {
                status,
                retry_after,
            } => (ErrorKind::Connection, Some(*status), *retry_after),
            SessionError::Status {
                status,
                retry_after,
            } => (ErrorKind::Server, Some(*status), *retry_after),
            SessionError::Connection(Failure::Tls | Failure::TlsRefused) => {
                (ErrorKind::Security, None, None)
            }
            SessionError::Connection(_) => (ErrorKind::Connection, None, None),
            SessionError::Timeout { .. } => (ErrorKind::Timeout, None, None),
            SessionError::Refused { code, .. } => (kind_of_refusal(*code), None, None),
            SessionError::Rejected(RejectCode::Busy) => (ErrorKind::ServiceUnavailable, None, None),
            SessionError::Rejected(RejectCode::TooLarge) => (ErrorKind::InvalidRequest, None, None),
            SessionError::Exchange(CoreError::Misuse(_)) => (ErrorKind::InvalidRequest, None, None),
            SessionError::Exchange(CoreError::Environment(_)) => (ErrorKind::Config, None, None),
            _ => (ErrorKind::Security, None, None),
        };
        let mut this = Self::new(kind, What::Session(error));
        this.0.status = status;
        this.0.retry_after = retry_after;
        this
    }
}

fn kind_of_refusal(code: ErrorCode) -> ErrorKind {
    match code {
        ErrorCode::Malformed | ErrorCode::TooLarge | ErrorCode::Duplicate => {
            ErrorKind::InvalidRequest
        }
        ErrorCode::Time => ErrorKind::Config,
        ErrorCode::Replay => ErrorKind::Security,
        ErrorCode::Busy => ErrorKind::ServiceUnavailable,
        ErrorCode::Timeout => ErrorKind::Timeout,
        ErrorCode::Forbidden => ErrorKind::Forbidden,
        _ => ErrorKind::Server,
    }
}

impl From<CoreError> for Error {
    fn from(error: CoreError) -> Self {
        SessionError::Exchange(error).into()
    }
}

impl From<Misuse> for Error {
    fn from(error: Misuse) -> Self {
        CoreError::from(error).into()
    }
}

impl From<PeerError> for Error {
    fn from(error: PeerError) -> Self {
        CoreError::from(error).into()
    }
}

impl From<MemoryError> for Error {
    fn from(error: MemoryError) -> Self {
        CoreError::from(Environment::Memory(error)).into()
    }
}

impl From<ChatError> for Error {
    fn from(error: ChatError) -> Self {
        match error {
            ChatError::Memory(error) => error.into(),
            error => Self::new(ErrorKind::InvalidRequest, What::Chat(error)),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.what {
            What::Session(error) => error.fmt(f)?,
            What::Status => write!(
                f,
                "the server answered with status {}",
                self.0.status.unwrap_or_default()
            )?,
            What::Said(what) => f.write_str(what)?,
            What::Chat(error) if self.0.status.is_some() => {
                write!(f, "the answer cannot be read: {error}")?;
            }
            What::Chat(error) => write!(f, "the request cannot be written: {error}")?,
            What::NotStreamed => f.write_str("the server did not stream its answer")?,
            What::Failed => f.write_str("the server ended its answer with an error")?,
        }
        if let Some(seconds) = self.0.retry_after {
            write!(f, "; it asked to wait {seconds} s")?;
        }
        if self.0.tries > 1 {
            write!(f, "; tried {} times", self.0.tries)?;
        }
        match self.advice() {
            "" => Ok(()),
            advice => write!(f, "; {advice}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &format_args!("{self}"))
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.source {
            Some(source) => Some(source.as_ref()),
            None => match &self.0.what {
                What::Session(error) => Some(error),
                What::Chat(error) => Some(error),
                _ => None,
            },
        }
    }
}
