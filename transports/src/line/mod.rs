//! What carries a session over connections that the adapter opens itself: HTTP/1.1 and raw streams, without I/O.
//!
//! An adapter asks [`Line::poll`] what it wants and does it: open a connection, move bytes, wait. It never looks into
//! the bytes.

mod driver;
#[cfg(feature = "_http1")]
mod http1;
#[cfg(not(feature = "_http1"))]
#[path = "no_http1.rs"]
mod http1;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use rand_core::TryCryptoRng;
use sealwire_core::keys::KeySet;
use sealwire_core::session::Failure;
use sealwire_core::{Malformed, Now};

use crate::address::Wire;
use crate::client::{Client, Event, Next, Task};
use crate::error::{Cause, Error};
#[cfg(feature = "_tls")]
use crate::tls::failure as tls_failure;
use http1::Http1;

pub(crate) use driver::{Driver, Io, Moved, Opened};

/// Bytes moved at once; few where there is no operating system, and so perhaps not much memory.
pub(crate) const BUFFER: usize = if cfg!(feature = "_host") {
    16 * 1024
} else {
    1024
};

/// Without TLS nothing is wrong with it.
#[cfg(not(feature = "_tls"))]
fn tls_failure(_: &(dyn core::error::Error + 'static)) -> Option<Failure> {
    None
}

/// What an adapter does next.
pub(crate) enum Want {
    /// Open a connection, or take an idle one, by [`Line::deadline`]; then [`Line::connected`] or [`Line::connect_failed`].
    Connect,
    /// Write what [`Line::output`] gives and read, whichever can be done first, by [`Line::deadline`].
    Transfer,
    /// The connection is fit for another exchange: keep it.
    Release,
    /// The connection is of no more use.
    Close,
    /// Sleep until the monotonic clock shows this.
    Wait(Duration),
    /// The answer goes on.
    Event(Event),
    /// The answer was whole.
    Done,
}

/// One request on its way to its answer.
pub(crate) struct Line {
    task: Task,
    /// What is under way on the connection, if there is one.
    call: Option<Call>,
    /// The connection was idle before.
    is_kept: bool,
    /// Something has come back on it.
    has_heard: bool,
    output: Vec<u8>,
    written: usize,
    /// The session's part of what arrived, and how much of it the session has taken.
    input: Vec<u8>,
    taken: usize,
    /// The reply has ended.
    ended: bool,
}

enum Call {
    Raw,
    /// The peer takes no more bytes; perhaps it said why.
    RawDeaf,
    Http(Box<Http1>),
}

impl Line {
    pub(crate) const fn new(task: Task) -> Self {
        Self {
            task,
            call: None,
            is_kept: false,
            has_heard: false,
            output: Vec::new(),
            written: 0,
            input: Vec::new(),
            taken: 0,
            ended: false,
        }
    }

    /// What to do next.
    ///
    /// # Errors
    /// Why there is no answer. Whatever connection there is is of no more use.
    pub(crate) fn poll<R: TryCryptoRng + ?Sized>(
        &mut self,
        client: &Client,
        now: Now,
        rng: &mut R,
    ) -> Result<Want, Error> {
        if self.call.is_some() {
            if let Some(event) = self.take_event(client, now, rng)? {
                return Ok(Want::Event(event));
            }
            // A deadline is what a session has while it waits for a peer.
            if self.task.session.poll_timeout().is_some() {
                self.fill()?;
                return Ok(Want::Transfer);
            }
            return Ok(match self.hang_up() {
                true => Want::Release,
                false => Want::Close,
            });
        }
        Ok(match self.task.step(client, now, rng)? {
            Next::FetchKeys | Next::Send => Want::Connect,
            Next::Wait(until) => Want::Wait(until),
            Next::Done => Want::Done,
        })
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due, on the monotonic clock.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.task.session.poll_timeout()
    }

    pub(crate) fn handle_timeout(&mut self, now: Now) {
        self.task.session.handle_timeout(now);
    }

    /// There is a connection: one that was kept from an earlier exchange, or a new one.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a base URL that HTTP cannot carry.
    pub(crate) fn connected(
        &mut self,
        client: &Client,
        now: Now,
        is_kept: bool,
    ) -> Result<(), Error> {
        self.task.session.handle_connected(now);
        self.task.cause = None;
        (self.is_kept, self.has_heard, self.ended) = (is_kept, false, false);
        self.input.clear();
        self.output.clear();
        (self.taken, self.written) = (0, 0);
        let address = client.config.address.as_ref();
        self.call = Some(match address.filter(|address| address.wire == Wire::Http) {
            // A session that is to fetch does not send.
            Some(address) => Call::Http(Box::new(Http1::new(
                address,
                !self.task.session.is_sending(),
            )?)),
            None => Call::Raw,
        });
        Ok(())
    }

    pub(crate) fn connect_failed<R: TryCryptoRng + ?Sized>(
        &mut self,
        now: Now,
        failure: Failure,
        cause: Option<Cause>,
        rng: &mut R,
    ) {
        self.task.cause = cause;
        self.task.session.handle_failure(now, failure, rng);
    }

    /// What waits to be written.
    pub(crate) fn output(&self) -> &[u8] {
        &self.output[self.written..]
    }

    pub(crate) fn wrote(&mut self, count: usize) {
        self.written += count;
    }

    /// The peer takes no more bytes. It may have said why, so reading goes on.
    pub(crate) fn write_failed(&mut self, cause: Cause) {
        self.task.cause = Some(cause);
        self.written = self.output.len();
        match &mut self.call {
            Some(Call::Http(http)) => http.stop_sending(),
            Some(call) => *call = Call::RawDeaf,
            None => {}
        }
    }

    /// Gets the next bytes to write ready, if none wait.
    fn fill(&mut self) -> Result<(), Error> {
        if self.written < self.output.len() {
            return Ok(());
        }
        self.written = 0;
        self.output.resize(BUFFER, 0);
        let session = &mut self.task.session;
        let filled = match &mut self.call {
            Some(Call::Raw) => session.poll_transmit(&mut self.output)?,
            Some(Call::Http(http)) => {
                http.transmit(&mut self.output, |out| session.poll_transmit(out))?
            }
            _ => 0,
        };
        self.output.truncate(filled);
        Ok(())
    }

    /// Bytes arrived.
    pub(crate) fn handle_input<R: TryCryptoRng + ?Sized>(
        &mut self,
        now: Now,
        bytes: &[u8],
        rng: &mut R,
    ) {
        self.has_heard = true;
        self.input.drain(..self.taken);
        self.taken = 0;
        let Some(Call::Http(http)) = &mut self.call else {
            self.input.extend_from_slice(bytes);
            return;
        };
        let (session, is_fetch) = (&mut self.task.session, http.is_fetch());
        let result = http.handle_input(bytes, |reply| {
            let is_expected = reply.is_expected(is_fetch);
            session.handle_reply(now, reply.status, is_expected, reply.retry_after, rng)
        });
        let result = result.and_then(|()| http.read(&mut self.input));
        self.ended = http.is_over();
        if http.has_replied() && self.written < self.output.len() {
            // It came early: what is left of the request is of no interest.
            self.written = self.output.len();
            http.stop_sending();
        }
        if let Err(error) = result {
            self.task.cause = Some(error.into());
            self.handle_broken(now, rng);
        }
    }

    /// Nothing more arrives: the peer closed the connection, or it broke.
    pub(crate) fn handle_end<R: TryCryptoRng + ?Sized>(
        &mut self,
        now: Now,
        cause: Option<Cause>,
        rng: &mut R,
    ) {
        self.task.cause = cause.or(self.task.cause.take());
        let is_stale = self.is_kept && !self.has_heard;
        if is_stale && self.task.session.handle_stale_connection() {
            self.ended = true;
            return;
        }
        match &mut self.call {
            Some(Call::Http(http)) if http.handle_eof() => self.ended = true,
            _ => self.handle_broken(now, rng),
        }
    }

    /// A reply that cannot be followed any further. If there is an answer in it, [`take_event`](Self::take_event) finds
    /// whether it was whole.
    fn handle_broken<R: TryCryptoRng + ?Sized>(&mut self, now: Now, rng: &mut R) {
        self.ended = true;
        let has_answer = match &self.call {
            Some(Call::Http(http)) => http.has_replied() && !http.is_fetch(),
            _ => self.has_heard,
        };
        if !has_answer {
            let tls = self
                .task
                .cause
                .as_deref()
                .and_then(|cause| tls_failure(cause));
            let failure = tls.unwrap_or(Failure::Reset);
            self.task.session.handle_failure(now, failure, rng);
        }
    }

    /// Feeds the session up to the next event.
    fn take_event<R: TryCryptoRng + ?Sized>(
        &mut self,
        client: &Client,
        now: Now,
        rng: &mut R,
    ) -> Result<Option<Event>, Error> {
        if matches!(&self.call, Some(Call::Http(http)) if http.is_fetch()) {
            self.take_keys(now);
            return Ok(None);
        }
        let input = &self.input[self.taken..];
        let (taken, event) = self.task.take(client, now, input, rng)?;
        self.taken += taken;
        // A raw stream goes on after the answer, so nothing else says that it has ended.
        let is_complete = matches!(event, Some(Event::Complete));
        if is_complete && !matches!(self.call, Some(Call::Http(_))) {
            self.task.session.handle_eof(now, rng);
        }
        if event.is_some() {
            return Ok(event);
        }
        if self.ended {
            self.task.session.handle_eof(now, rng);
        }
        Ok(None)
    }

    /// The key set in a reply of HTTP, once it is whole.
    fn take_keys(&mut self, now: Now) {
        if self.input.len() > http1::MAX_KEY_SET {
            self.task
                .session
                .handle_key_error(Malformed::Keys("length"));
        } else if self.ended && self.task.session.poll_timeout().is_some() {
            self.taken = self.input.len();
            match KeySet::from_json(&self.input) {
                Ok(set) => self.task.session.handle_key_set(now, set),
                Err(error) => self.task.session.handle_key_error(error),
            }
        }
    }

    /// Ends what is under way on the connection. True if it may carry another exchange.
    fn hang_up(&mut self) -> bool {
        let is_quiet = self.taken == self.input.len() && self.written == self.output.len();
        match self.call.take() {
            Some(Call::Raw) => is_quiet && !self.ended && self.task.session.can_carry_on(),
            Some(Call::Http(http)) => is_quiet && http.is_reusable(),
            _ => false,
        }
    }

    /// Wants no more of the answer. True if that was said to the peer: then go on, until [`Want::Release`] or
    /// [`Want::Close`]. Otherwise close the connection.
    pub(crate) fn cancel(&mut self) -> bool {
        matches!(self.call, Some(Call::Raw)) && self.task.session.cancel()
    }

    /// The gateway's keys, when a task that wanted no more is done.
    pub(crate) fn key_set(&self) -> Result<KeySet, Error> {
        self.task.key_set()
    }
}
