//! The loop around a line, for every adapter that moves bytes itself.

use alloc::vec::Vec;
use core::fmt;
use core::task::{Context, Poll, Waker, ready};
use core::time::Duration;

use rand_core::TryCryptoRng;
use sealwire_core::Now;
use sealwire_core::keys::KeySet;
use sealwire_core::session::Failure;

use super::{BUFFER, Line, Want};
use crate::client::{Client, Drive, Event, Task};
use crate::error::{Cause, Error};

/// The I/O of one request: what an adapter is to the loop. One that blocks is never pending.
pub(crate) trait Io {
    type Random: TryCryptoRng;

    fn client(&self) -> &Client;

    fn now(&self) -> Now;

    fn with_random<T>(&self, f: impl FnOnce(&mut Self::Random) -> T) -> T;

    /// Opens a stream or takes an idle one.
    fn poll_open(&mut self, cx: &mut Context<'_>, due: Duration) -> Poll<Opened>;

    /// Reads or writes once, whichever can be done first; reading, where both can: a peer that stops reading may have said why.
    fn poll_transfer(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        output: &[u8],
        due: Duration,
    ) -> Poll<Moved>;

    /// Writes what can be written without a wait.
    fn try_write(&mut self, output: &[u8]);

    fn poll_sleep(&mut self, cx: &mut Context<'_>, until: Duration) -> Poll<()>;

    /// Takes the stream away, if there is one. If it is not `fit` for another exchange, it is of no more use.
    fn close(&mut self, fit: bool);

    /// Whether an answer that is not wanted any more is read to its end, because the stream cannot be replaced (ORDER-6).
    fn is_irreplaceable(&self) -> bool {
        false
    }
}

/// What became of a stream.
pub(crate) enum Opened {
    New,
    /// It has carried an exchange before.
    Kept,
    /// There is none, or not in time.
    Failed(Failure, Option<Cause>),
}

/// What became of a transfer.
pub(crate) enum Moved {
    /// So many bytes came; 0 is the end.
    Read(usize),
    Wrote(usize),
    /// The peer takes no more bytes.
    Deaf(Cause),
    /// The stream is gone.
    Broken(Cause),
    /// It is due.
    TimedOut,
}

/// Carries one request to its answer. Dropping it cancels: on a raw stream by CANCEL, and then the stream is closed.
pub(crate) struct Driver<I: Io> {
    io: I,
    line: Line,
    buffer: Vec<u8>,
}

impl<I: Io> fmt::Debug for Driver<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl<I: Io> Driver<I> {
    pub(crate) const fn new(io: I, task: Task) -> Self {
        Self {
            io,
            line: Line::new(task),
            buffer: Vec::new(),
        }
    }

    fn poll_line(&mut self) -> Result<Want, Error> {
        let (io, line) = (&self.io, &mut self.line);
        io.with_random(|random| line.poll(io.client(), io.now(), random))
    }

    /// When whatever is waited for is due.
    fn due(&self) -> Duration {
        let due = self.line.deadline();
        due.unwrap_or_else(|| self.io.now().monotonic)
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let due = self.due();
        let opened = ready!(self.io.poll_open(cx, due));
        let (io, line, now) = (&self.io, &mut self.line, self.io.now());
        Poll::Ready(match opened {
            Opened::New => line.connected(io.client(), now, false),
            Opened::Kept => line.connected(io.client(), now, true),
            Opened::Failed(failure, cause) => {
                line.handle_timeout(now);
                io.with_random(|random| line.connect_failed(now, failure, cause, random));
                Ok(())
            }
        })
    }

    fn poll_transfer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.buffer.resize(BUFFER, 0);
        let (due, output) = (self.due(), self.line.output());
        let moved = ready!(self.io.poll_transfer(cx, &mut self.buffer, output, due));
        let (io, line, now) = (&self.io, &mut self.line, self.io.now());
        io.with_random(|random| match moved {
            Moved::Read(0) => line.handle_end(now, None, random),
            Moved::Read(count) => line.handle_input(now, &self.buffer[..count], random),
            Moved::Wrote(count) => line.wrote(count),
            Moved::Deaf(cause) => line.write_failed(cause),
            Moved::Broken(cause) => line.handle_end(now, Some(cause), random),
            Moved::TimedOut => line.handle_timeout(now),
        });
        Poll::Ready(())
    }
}

impl<I: Io> Drive for Driver<I> {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, Error>> {
        loop {
            match self.poll_line()? {
                Want::Connect => ready!(self.poll_open(cx))?,
                Want::Transfer => ready!(self.poll_transfer(cx)),
                Want::Release => self.io.close(true),
                Want::Close => self.io.close(false),
                Want::Wait(until) => ready!(self.io.poll_sleep(cx, until)),
                Want::Event(event) => return Poll::Ready(Ok(Some(event))),
                Want::Done => return Poll::Ready(Ok(None)),
            }
        }
    }

    fn key_set(&self) -> Result<KeySet, Error> {
        self.line.key_set()
    }
}

impl<I: Io> Drop for Driver<I> {
    fn drop(&mut self) {
        if self.line.cancel() {
            // CANCEL goes out; how what it ends ends is of no interest.
            if self.io.is_irreplaceable() {
                let mut cx = Context::from_waker(Waker::noop());
                while let Poll::Ready(Ok(Some(_))) = self.poll_event(&mut cx) {}
            } else if let Ok(Want::Transfer) = self.poll_line() {
                self.io.try_write(self.line.output());
            }
        }
        self.io.close(false);
    }
}
