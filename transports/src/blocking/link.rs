//! What the adapter asks of a stream, and of whatever opens streams.

use alloc::boxed::Box;
use core::error::Error;
use core::fmt;
use core::task::Waker;
use core::time::Duration;

use embedded_io::{Error as _, ErrorKind, ErrorType, Read, Write};
use rand_core::TryCryptoRng;
use sealwire_core::Now;
use sealwire_core::session::Failure;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interest {
    /// Bytes to read, or the end.
    Read,
    /// Room to write.
    Write,
    /// Either; reading, where both can be done: a peer that stops reading may have said why.
    Both,
    /// Neither, but a call of its [waker](Link::waker). A stream without one is not asked for it.
    Waker,
}

impl Interest {
    pub(super) const fn new(read: bool, write: bool) -> Self {
        match (read, write) {
            (true, true) => Self::Both,
            (true, false) => Self::Read,
            (false, true) => Self::Write,
            (false, false) => Self::Waker,
        }
    }

    /// Whether bytes to read are waited for.
    pub const fn is_readable(self) -> bool {
        matches!(self, Self::Read | Self::Both)
    }

    /// Whether room to write is waited for.
    pub const fn is_writable(self) -> bool {
        matches!(self, Self::Write | Self::Both)
    }
}

/// What a [`Link`] can do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ready {
    /// Reading gives bytes, or the end, without much of a wait.
    Read,
    /// Writing takes bytes.
    Write,
    /// Neither, and the time is over.
    TimedOut,
    /// Neither, but its [waker](Link::waker) was called.
    Woken,
    /// What was under way is over, because the peer began anew on a line that cannot be closed. Only a gateway is told.
    Anew,
}

/// A byte stream on the traits of `embedded-io`, with deadlines.
pub trait Link: Read + Write {
    /// Waits until what is wanted can be done, but no longer than `timeout`.
    ///
    /// A stream that cannot tell says what is wanted most, as this default does, and then blocks in `read` or `write`; an error
    /// of the kind [`TimedOut`](embedded_io::ErrorKind::TimedOut) from there is not the end of the stream. Deadlines hold as far as
    /// the stream keeps them.
    ///
    /// # Errors
    /// The stream's own.
    fn wait(&mut self, wanted: Interest, timeout: Duration) -> Result<Ready, Self::Error> {
        let _ = timeout;
        Ok(match wanted {
            Interest::Write | Interest::Both => Ready::Write,
            Interest::Read => Ready::Read,
            Interest::Waker => Ready::TimedOut,
        })
    }

    /// Whether `wait`, and what follows it, keep to the time.
    fn keeps_time(&self) -> bool {
        false
    }

    /// What ends a [`wait`](Self::wait) from another thread, if the stream can do that. Only `serve` asks for it.
    ///
    /// # Errors
    /// The stream's own.
    fn waker(&mut self) -> Result<Option<Waker>, Self::Error> {
        Ok(None)
    }

    /// Forgets the exchange that was under way, if another can begin on a stream that cannot be closed (RAW-4). By default it cannot.
    fn forget(&mut self) -> bool {
        false
    }

    /// An error of the stream as it is shown beneath the client's own. By default, its kind alone.
    fn cause(error: Self::Error) -> Box<dyn Error + Send + Sync> {
        Box::new(error.kind())
    }
}

/// Any stream of `embedded-io`, which blocks for as long as it does: the session's timeouts are looked at between its calls only.
#[derive(Debug)]
pub struct NoDeadline<S>(pub S);

impl<S: ErrorType> ErrorType for NoDeadline<S> {
    type Error = S::Error;
}

impl<S: Read> Read for NoDeadline<S> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, S::Error> {
        self.0.read(buffer)
    }
}

impl<S: Write> Write for NoDeadline<S> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, S::Error> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> Result<(), S::Error> {
        self.0.flush()
    }
}

impl<S: Read + Write> Link for NoDeadline<S> {}

/// Where a client's streams come from, its clocks and its randomness.
///
/// [`Network`](super::SecureChatCompletion) and [`Wired`](super::Wired) are the two there are; another is another kind of connection.
pub trait Transport {
    /// The streams.
    type Link: Link;
    /// The randomness.
    type Random: TryCryptoRng;

    /// A stream on which no exchange is under way, and whether it has carried one before.
    ///
    /// # Errors
    /// Why there is none.
    fn open(&self, timeout: Duration) -> Result<(Self::Link, bool), OpenError>;

    /// Takes a stream back. If it is not `fit` to carry another exchange, it is of no more use.
    fn put_back(&self, link: Self::Link, fit: bool);

    /// Whether an answer that is not wanted any more is stopped by CANCEL and read to its end (ORDER-6), because the stream cannot
    /// be replaced. Otherwise it is put back as not fit.
    fn is_irreplaceable(&self) -> bool {
        false
    }

    /// The clocks.
    fn now(&self) -> Now;

    /// Waits until the monotonic clock shows this.
    fn sleep_until(&self, monotonic: Duration);

    /// Lends the randomness.
    fn with_random<T>(&self, f: impl FnOnce(&mut Self::Random) -> T) -> T;
}

/// Why there is no stream.
#[derive(Debug)]
pub struct OpenError {
    /// What failed, as far as the session must know.
    pub failure: Failure,
    /// What lies beneath.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no connection")
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// Whether the stream is still there after this error.
pub(super) fn is_passing(error: &impl embedded_io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted)
}
