//! Errors, told apart by whose fault they are.
//!
//! Local errors are rich; what goes to the peer is one code (spec section 8). None carries content, keys or peer-chosen text.

use core::fmt;

use crate::time::UnixTime;

/// Anything that can go wrong in an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The peer, or someone on the way, broke the protocol.
    Peer(PeerError),
    /// The caller used the API out of order or with values that cannot be sent.
    Misuse(Misuse),
    /// Memory or randomness could not be had, or the replay store is full.
    Environment(Environment),
}

/// The peer's fault, or that of whoever changed its bytes. The direction is poisoned afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerError {
    /// Bytes that no correct peer sends.
    Malformed(Malformed),
    /// A frame did not authenticate: damaged, forged, replayed into place, or sealed under another key.
    Undecryptable,
    /// A limit was passed.
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// The limit that it passed, in bytes.
        limit: u64,
    },
    /// A request whose time is outside the replay window, or that was seen before (spec section 11): the code that answers it.
    NotAdmitted(ErrorCode),
    /// Input ended before the final frame: what was read is not a whole message.
    Truncated,
    /// An earlier failure in this direction; nothing more is accepted.
    Poisoned,
}

/// Which rule the peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// A frame type that does not exist.
    FrameType(u8),
    /// A length that this frame type cannot have.
    FrameLength,
    /// A frame that is not allowed now.
    Order,
    /// Padding that is not zero, or a content length past the end.
    Padding,
    /// END or CANCEL with content, or HEAD or ERROR without.
    Content,
    /// A HEAD that does not follow section 6; the word says which field.
    Head(&'static str),
    /// The response names another request.
    ExchangeId,
    /// Bytes after the end of a message.
    TrailingBytes,
    /// A key record or key set that does not follow section 5.
    Keys(&'static str),
    /// A signature that does not verify.
    Signature,
    /// A public or encapsulated key that is not on its curve or of the wrong length.
    PublicKey,
    /// An OPEN that names what there is not: a version, a suite, a key.
    Open(RejectCode),
    /// A key set without a record of the suite that is wanted.
    NoKey,
    /// A key set whose records of the suite are all outside their time, by the client's clock (TIME-1).
    KeyTime,
}

/// A mistake in how the API was called, or of what it was given to work with. Nothing was changed, but where a call says so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// The buffer is too small; call again with at least `needed` bytes.
    OutputTooSmall {
        /// Bytes needed.
        needed: usize,
    },
    /// Called in a state that does not allow it.
    State(&'static str),
    /// A head field that the protocol cannot carry.
    Head(&'static str),
    /// Content that does not fit the limit.
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// The limit, in bytes.
        limit: u64,
    },
}

/// The machine's fault, or that of how much it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Environment {
    /// Secure memory could not be had.
    #[cfg(feature = "alloc")]
    Memory(sealwire_memlock::MemoryError),
    /// The random source failed.
    Random,
    /// The replay store has no room for another request (REPLAY-3).
    ReplayWindow,
}

/// Codes of a sealed ERROR frame (spec section 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The request did not follow the protocol.
    Malformed,
    /// The request passed a limit.
    TooLarge,
    /// The request's time is outside the replay window.
    Time,
    /// This request was seen before.
    Replay,
    /// A request with this idempotency key is running or has run.
    Duplicate,
    /// Out of capacity; try later.
    Busy,
    /// The server behind the gateway failed.
    Upstream,
    /// The server behind the gateway took too long.
    Timeout,
    /// Cancelled, as asked.
    Cancelled,
    /// The gateway failed.
    Internal,
    /// The gateway does not serve this method or path.
    Forbidden,
}

impl ErrorCode {
    /// The code on the wire.
    pub const fn to_u8(self) -> u8 {
        match self {
            Self::Malformed => 1,
            Self::TooLarge => 2,
            Self::Time => 3,
            Self::Replay => 4,
            Self::Duplicate => 5,
            Self::Busy => 6,
            Self::Upstream => 7,
            Self::Timeout => 8,
            Self::Cancelled => 9,
            Self::Internal => 10,
            Self::Forbidden => 11,
        }
    }

    /// Reads a code; one that is not known counts as [`Internal`](Self::Internal) (ERR-1).
    pub const fn from_u8(code: u8) -> Self {
        match code {
            1 => Self::Malformed,
            2 => Self::TooLarge,
            3 => Self::Time,
            4 => Self::Replay,
            5 => Self::Duplicate,
            6 => Self::Busy,
            7 => Self::Upstream,
            8 => Self::Timeout,
            9 => Self::Cancelled,
            11 => Self::Forbidden,
            _ => Self::Internal,
        }
    }

    /// Reads the content of an ERROR frame: the code, and with [`Time`](Self::Time) the gateway's clock.
    ///
    /// # Errors
    /// [`Malformed::Content`] for a detail that the code does not have (ERR-2). Of a code that is not known any is taken (ERR-1).
    pub fn parse(content: &[u8]) -> Result<(Self, Option<UnixTime>), Malformed> {
        let (&on_wire, detail) = content.split_first().ok_or(Malformed::Content)?;
        let code = Self::from_u8(on_wire);
        match (code, detail) {
            (Self::Time, detail) => {
                let clock = detail.try_into().map_err(|_| Malformed::Content)?;
                let clock = UnixTime::from_millis(u64::from_be_bytes(clock));
                Ok((code, Some(clock)))
            }
            (_, []) => Ok((code, None)),
            (Self::Internal, _) if on_wire != code.to_u8() => Ok((code, None)),
            _ => Err(Malformed::Content),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the gateway found the request malformed",
            Self::TooLarge => "the request is larger than the gateway accepts",
            Self::Time => "the clocks of client and gateway differ too much",
            Self::Replay => "the gateway has seen this request before",
            Self::Duplicate => "a request with this idempotency key is running or has run",
            Self::Busy => "the gateway is out of capacity",
            Self::Upstream => "the server behind the gateway failed",
            Self::Timeout => "the server behind the gateway took too long",
            Self::Cancelled => "cancelled",
            Self::Internal => "the gateway failed",
            Self::Forbidden => "the gateway does not serve this method or path",
        })
    }
}

/// Codes of a clear REJECT frame (spec section 8.2): a hint that nothing authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectCode {
    /// The protocol version is not spoken.
    Version,
    /// The suite is not offered.
    Suite,
    /// The key id is not known, or no longer valid.
    Key,
    /// The OPEN frame is malformed.
    Malformed,
    /// Out of capacity; try later.
    Busy,
    /// The request passed a limit before anything of it was opened.
    TooLarge,
    /// The first sealed frame did not authenticate.
    Undecryptable,
    /// A code of a later version.
    Unknown(u8),
}

impl RejectCode {
    /// The code on the wire.
    pub const fn to_u8(self) -> u8 {
        match self {
            Self::Version => 1,
            Self::Suite => 2,
            Self::Key => 3,
            Self::Malformed => 4,
            Self::Busy => 5,
            Self::TooLarge => 6,
            Self::Undecryptable => 7,
            Self::Unknown(code) => code,
        }
    }

    /// Reads a code.
    pub const fn from_u8(code: u8) -> Self {
        match code {
            1 => Self::Version,
            2 => Self::Suite,
            3 => Self::Key,
            4 => Self::Malformed,
            5 => Self::Busy,
            6 => Self::TooLarge,
            7 => Self::Undecryptable,
            other => Self::Unknown(other),
        }
    }
}

impl fmt::Display for RejectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version => f.write_str("protocol version not spoken"),
            Self::Suite => f.write_str("suite not offered"),
            Self::Key => f.write_str("key not known"),
            Self::Malformed => f.write_str("OPEN malformed"),
            Self::Busy => f.write_str("out of capacity"),
            Self::TooLarge => f.write_str("request too large"),
            Self::Undecryptable => f.write_str("request could not be opened"),
            Self::Unknown(code) => write!(f, "code {code}"),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FrameType(kind) => write!(f, "frame type {kind:#04x} does not exist"),
            Self::FrameLength => f.write_str("frame length is not possible for its type"),
            Self::Order => f.write_str("frame is not allowed at this point"),
            Self::Padding => f.write_str("content length or padding is wrong"),
            Self::Content => {
                f.write_str("content where there must be none, or none where there must be some")
            }
            Self::Head(field) => write!(f, "head field {field} is wrong"),
            Self::ExchangeId => f.write_str("response belongs to another request"),
            Self::TrailingBytes => f.write_str("bytes after the end of the message"),
            Self::Keys(field) => write!(f, "key record field {field} is wrong"),
            Self::Signature => f.write_str("signature does not verify"),
            Self::PublicKey => f.write_str("public key is not valid"),
            Self::Open(code) => write!(f, "OPEN refused: {code}"),
            Self::NoKey => f.write_str("there is no key of the suite that was asked for"),
            Self::KeyTime => f.write_str(
                "no key of the suite is valid now: the gateway has not rotated its keys, or a clock is wrong",
            ),
        }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "malformed: {what}"),
            Self::Undecryptable => f.write_str("a frame did not authenticate: it was changed on the way, or sealed under another key"),
            Self::TooLarge { what, limit } => write!(f, "{what} is larger than the limit of {limit} bytes"),
            Self::NotAdmitted(code) => write!(f, "not admitted: {code}"),
            Self::Truncated => f.write_str("the message was cut off before its end"),
            Self::Poisoned => f.write_str("an earlier frame failed; nothing more is accepted"),
        }
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutputTooSmall { needed } => {
                write!(f, "output buffer too small: {needed} bytes needed")
            }
            Self::State(what) => write!(f, "called out of order: {what}"),
            Self::Head(field) => write!(f, "head field {field} cannot be sent"),
            Self::TooLarge { what, limit } => {
                write!(f, "{what} is larger than the limit of {limit} bytes")
            }
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "alloc")]
            Self::Memory(error) => write!(f, "secure memory: {error}"),
            Self::Random => f.write_str("the random source failed"),
            Self::ReplayWindow => f.write_str(
                "the replay store is full: make it larger, or limit how many requests each sender may make",
            ),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(error) => error.fmt(f),
            Self::Misuse(error) => error.fmt(f),
            Self::Environment(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}
impl core::error::Error for PeerError {}
impl core::error::Error for Malformed {}
impl core::error::Error for Misuse {}
impl core::error::Error for Environment {}

impl From<PeerError> for Error {
    fn from(error: PeerError) -> Self {
        Self::Peer(error)
    }
}

impl From<Malformed> for PeerError {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

impl From<Malformed> for Error {
    fn from(error: Malformed) -> Self {
        Self::Peer(PeerError::Malformed(error))
    }
}

impl From<Misuse> for Error {
    fn from(error: Misuse) -> Self {
        Self::Misuse(error)
    }
}

impl From<Environment> for Error {
    fn from(error: Environment) -> Self {
        Self::Environment(error)
    }
}

#[cfg(feature = "alloc")]
impl From<alloc::collections::TryReserveError> for Error {
    fn from(_: alloc::collections::TryReserveError) -> Self {
        sealwire_memlock::MemoryError::OutOfMemory.into()
    }
}

#[cfg(feature = "alloc")]
impl From<sealwire_memlock::MemoryError> for Error {
    fn from(error: sealwire_memlock::MemoryError) -> Self {
        Self::Environment(Environment::Memory(error))
    }
}
