//! Raw streams (spec section 13): one exchange after another on one connection, without I/O.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sealwire_core::exchange::{ReceivedRequest, ServerEvent, ServerExchange};
use sealwire_core::keys::{KeyRing, KeySet};
use sealwire_core::{Error as CoreError, ErrorCode, ServerState, UnixTime};

use super::runs::Run;
use super::sealed::Sealed;
use super::shared::{Asked, Shared};
use super::{GatewayConfig, Handler, Reply};
use crate::clock::unix_now;
use crate::error::Error;

/// A gateway for raw streams: give it to `serve` of an adapter with each stream that was accepted.
///
/// Cheap to clone; all clones are the same gateway. Its host calls [`rotate`](Self::rotate) when it is due.
///
/// A client that cancels stops its handler. One that closes its half of the stream does not: it may wait for its answer; one
/// that is gone is noticed when the next piece cannot be written.
pub struct RawGateway<H> {
    shared: Arc<Shared<H>>,
}

impl<H: Handler> RawGateway<H> {
    /// A gateway with these keys; those that are missing are made. One that listens for HTTP too has its own way to make one
    /// of these, so that both know the same requests and keys.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if randomness or secure memory cannot be had.
    pub fn new(config: GatewayConfig, keys: KeyRing, handler: H) -> Result<Self, Error> {
        Ok(Self {
            shared: Arc::new(Shared::new(config, keys, handler)?),
        })
    }

    /// Makes the keys that are missing at `now`, wipes those that have ended, and says when to call again.
    ///
    /// # Errors
    /// As [`new`](Self::new); the keys that exist stay.
    pub fn rotate(&self, now: UnixTime) -> Result<UnixTime, Error> {
        self.shared.rotate(now)
    }

    /// What clients fetch.
    pub fn key_set(&self) -> KeySet {
        self.shared.key_set()
    }
}

impl<H> RawGateway<H> {
    /// The raw side of a gateway that has another.
    #[cfg(feature = "hyper")]
    pub(crate) const fn over(shared: Arc<Shared<H>>) -> Self {
        Self { shared }
    }
}

impl<H> Clone for RawGateway<H> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<H> fmt::Debug for RawGateway<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawGateway").finish_non_exhaustive()
    }
}

/// What an adapter does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Write what [`RawConnection::output`] gives, if anything, and read, whichever can be done first, by
    /// [`RawConnection::deadline`]; or be woken by the handler.
    Transfer,
    /// Close the connection.
    Close,
}

/// One connection.
pub(crate) struct RawConnection<H> {
    shared: Arc<Shared<H>>,
    stage: Stage,
    /// What arrived and was not taken yet.
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    /// Nothing more arrives.
    has_ended: bool,
    /// No exchange follows the one under way.
    is_last: bool,
    /// Something of the response has been sealed.
    has_answered: bool,
    /// When the wait for what is waited for began.
    since: Duration,
}

enum Stage {
    /// A request arrives, or nothing yet.
    Receiving(Box<ServerExchange>),
    Handling(Box<ServerExchange>, Handling),
    Responding(Box<Sealed>),
    /// The answer was the last one. What still arrives is thrown away, up to this many bytes, so that the answer is not lost in
    /// a connection that is closed on them (ORDER-3). If it turns out to be the rest of a CANCEL, the exchange can continue.
    Parting(usize, Option<Box<ServerExchange>>),
    Closed,
}

/// How long, and for how many bytes, a connection that is to be closed is read from.
const PARTING: (Duration, usize) = (CLOSING, 1 << 20);
/// How long closing a connection may take: what has been written leaves, and nobody waits longer for it.
pub(crate) const CLOSING: Duration = Duration::from_secs(2);
/// No more than this arrives before some of it is taken.
const MAX_INPUT: usize = 64 * 1024;

/// A handler at work.
struct Handling {
    asked: Asked,
    run: Run,
    work: Pin<Box<dyn Future<Output = Result<Reply, ErrorCode>> + Send>>,
}

impl<H: Handler> RawConnection<H> {
    pub(crate) fn new(gateway: &RawGateway<H>, now: Duration) -> Self {
        let shared = gateway.shared.clone();
        Self {
            stage: receiving(&shared),
            shared,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            has_ended: false,
            is_last: false,
            has_answered: false,
            since: now,
        }
    }

    /// Goes as far as it can without the connection. `cx` is woken when the handler has more.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, now: Duration) -> Doing {
        while self.output().is_empty() {
            let stage = mem::discriminant(&self.stage);
            let next = match mem::replace(&mut self.stage, Stage::Closed) {
                Stage::Receiving(exchange) => self.receive(exchange),
                Stage::Handling(exchange, handling) => self.handle(exchange, handling, cx),
                Stage::Responding(sealed) => self.respond(sealed, cx),
                Stage::Parting(left, exchange) => Ok(self.part(left, exchange)),
                Stage::Closed => return Doing::Close,
            };
            let has_changed = match next {
                Ok((stage, has_changed)) => {
                    self.stage = stage;
                    has_changed
                }
                Err(error) => {
                    log::warn!("a request could not be answered: {error}");
                    return Doing::Close;
                }
            };
            // A request that arrives in drips must not move its own deadline.
            if mem::discriminant(&self.stage) != stage || !self.output().is_empty() {
                self.since = now;
            }
            if !has_changed {
                return Doing::Transfer;
            }
        }
        Doing::Transfer
    }

    /// What waits to be written.
    pub(crate) fn output(&self) -> &[u8] {
        &self.output[self.written..]
    }

    pub(crate) fn wrote(&mut self, count: usize, now: Duration) {
        self.written += count;
        self.since = now;
    }

    pub(crate) fn handle_input(&mut self, bytes: &[u8], now: Duration) {
        if !self.has_begun() {
            // From here on the request has its own deadline.
            self.since = now;
        }
        self.input.extend_from_slice(bytes);
    }

    /// Whether something of a request has arrived, which a late CANCEL is not (RAW-3). Before that the connection is idle.
    fn has_begun(&self) -> bool {
        match &self.stage {
            Stage::Receiving(exchange) => exchange.has_begun() || !self.input.is_empty(),
            _ => true,
        }
    }

    /// Whether to read. A client that does not take its answers is not read from either.
    pub(crate) fn wants_input(&self) -> bool {
        !self.has_ended && self.input.len() < MAX_INPUT
    }

    /// Nothing more arrives.
    pub(crate) fn handle_end(&mut self) {
        self.has_ended = true;
    }

    /// No exchange is begun any more; one that is under way goes on.
    #[cfg(feature = "futures-io")]
    pub(crate) fn finish(&mut self) {
        self.is_last = true;
    }

    #[cfg(feature = "std")]
    pub(crate) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The client began anew, on a line that cannot be closed: what was under way ends without an answer (RAW-4).
    #[cfg(feature = "std")]
    pub(crate) fn begin_anew(&mut self, gateway: &RawGateway<H>, now: Duration) {
        if self.has_begun() || !self.output().is_empty() {
            *self = Self::new(gateway, now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due. A handler takes as long as it takes.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let limit = match &self.stage {
            _ if !self.output().is_empty() => self.shared.idle_deadline,
            Stage::Receiving(_) if !self.has_begun() => self.shared.idle_deadline,
            Stage::Receiving(_) => self.shared.request_deadline,
            Stage::Parting(..) => PARTING.0,
            _ => return None,
        };
        Some(self.since.saturating_add(limit))
    }

    pub(crate) fn handle_timeout(&mut self, now: Duration) {
        if self.deadline().is_none_or(|due| now < due) {
            return;
        }
        let is_late = self.has_begun() && self.output().is_empty();
        match &mut self.stage {
            // ORDER-4: what has arrived of the request is refused, in case its client still listens.
            Stage::Receiving(exchange) if is_late => {
                exchange.handle_deadline(unix_now());
                self.since = now;
            }
            _ => {
                self.stage = Stage::Closed;
                self.written = self.output.len();
            }
        }
    }

    fn receive(&mut self, mut exchange: Box<ServerExchange>) -> Result<(Stage, bool), CoreError> {
        let (consumed, event) = self.feed(&mut exchange);
        let has_changed = consumed > 0 || event.is_some();
        match event {
            // RAW-2
            Some(ServerEvent::KeysRequested) => {
                exchange.send_keys(&self.shared.key_set())?;
            }
            Some(ServerEvent::Request) => {
                if let Some(request) = exchange.take_request() {
                    return self.begin(exchange, request);
                }
            }
            Some(ServerEvent::Cancelled) => exchange.fail(ErrorCode::Cancelled, unix_now())?,
            // It was refused, and what it is answered comes.
            Some(_) => {}
            None if consumed > 0 => {}
            None if !exchange.has_begun() && (self.is_last || self.has_ended) => {
                return Ok((Stage::Closed, true));
            }
            None if self.has_ended => exchange.handle_eof(unix_now()),
            None => {}
        }
        if exchange.state() == ServerState::Done {
            let sealed = Sealed::over(*exchange);
            return Ok((Stage::Responding(Box::new(sealed)), true));
        }
        // The key set is all that goes out before a request is over.
        let pending = exchange.pending_transmit();
        self.output.resize(pending, 0);
        self.written = 0;
        exchange.poll_transmit(&mut self.output);
        Ok((Stage::Receiving(exchange), has_changed))
    }

    /// Begins to handle a request, if it may run.
    fn begin(
        &self,
        exchange: Box<ServerExchange>,
        request: ReceivedRequest,
    ) -> Result<(Stage, bool), CoreError> {
        let asked = Asked::from(&request.head());
        let run = match self.shared.begin(&request.head()) {
            Ok(run) => run,
            Err(code) => {
                let sealed = self.shared.finish(*exchange, &asked, None, Err(code))?;
                return Ok((Stage::Responding(Box::new(sealed)), true));
            }
        };
        let shared = self.shared.clone();
        let work = Box::pin(async move { shared.handle(request).await });
        let handling = Handling { asked, run, work };
        Ok((Stage::Handling(exchange, handling), true))
    }

    fn handle(
        &mut self,
        mut exchange: Box<ServerExchange>,
        mut handling: Handling,
        cx: &mut Context<'_>,
    ) -> Result<(Stage, bool), CoreError> {
        let (_, event) = self.feed(&mut exchange);
        match event {
            Some(ServerEvent::Cancelled) => {
                drop(handling);
                exchange.fail(ErrorCode::Cancelled, unix_now())?;
                let sealed = Sealed::over(*exchange);
                return Ok((Stage::Responding(Box::new(sealed)), true));
            }
            // ORDER-4: what came was no CANCEL. Nobody waits for the handler any more.
            Some(_) => return Ok((Stage::Receiving(exchange), true)),
            None => {}
        }
        let Poll::Ready(result) = handling.work.as_mut().poll(cx) else {
            return Ok((Stage::Handling(exchange, handling), false));
        };
        let Handling { asked, run, .. } = handling;
        let sealed = self.shared.finish(*exchange, &asked, Some(run), result)?;
        Ok((Stage::Responding(Box::new(sealed)), true))
    }

    fn respond(
        &mut self,
        mut sealed: Box<Sealed>,
        cx: &mut Context<'_>,
    ) -> Result<(Stage, bool), CoreError> {
        let (_, event) = self.feed(sealed.exchange());
        if event == Some(ServerEvent::Cancelled) {
            sealed.cancel();
        }
        Ok(match sealed.poll_chunk(cx) {
            Poll::Pending => (Stage::Responding(sealed), false),
            Poll::Ready(chunk) => match chunk? {
                Some(chunk) => {
                    self.output = chunk;
                    self.written = 0;
                    self.has_answered = true;
                    (Stage::Responding(sealed), true)
                }
                // Without memory there is no answer.
                None if !self.has_answered => (Stage::Parting(PARTING.1, None), true),
                None if sealed.exchange().can_continue() => (self.next(), true),
                // Without an end of the request, another would begin anywhere (ORDER-7).
                None => {
                    let awaits_cancel = sealed.exchange().awaits_cancel();
                    let exchange = awaits_cancel.then(|| Box::new(sealed.into_exchange()));
                    (Stage::Parting(PARTING.1, exchange), true)
                }
            },
        })
    }

    /// What follows an exchange that came to its end.
    fn next(&mut self) -> Stage {
        self.has_answered = false;
        match self.is_last {
            true => Stage::Closed,
            false => receiving(&self.shared),
        }
    }

    fn part(&mut self, left: usize, mut exchange: Option<Box<ServerExchange>>) -> (Stage, bool) {
        if let Some(exchange) = &mut exchange {
            // RAW-3: a part of a CANCEL came before the answer had ended.
            self.feed(exchange);
            if exchange.can_continue() {
                return (self.next(), true);
            }
        }
        let Some(left) = left
            .checked_sub(self.input.len())
            .filter(|_| !self.has_ended)
        else {
            return (Stage::Closed, true);
        };
        self.input.clear();
        (Stage::Parting(left, exchange), false)
    }

    /// Feeds the exchange up to its next event.
    fn feed(&mut self, exchange: &mut ServerExchange) -> (usize, Option<ServerEvent>) {
        let (consumed, event) = self.shared.feed(exchange, &self.input);
        self.input.drain(..consumed);
        (consumed, event)
    }
}

/// Waits for the next exchange; without memory or randomness for one, the connection ends.
fn receiving<H: Handler>(shared: &Shared<H>) -> Stage {
    match shared.raw_exchange() {
        Ok(exchange) => Stage::Receiving(Box::new(exchange)),
        Err(error) => {
            log::warn!("no more requests on this connection: {error}");
            Stage::Closed
        }
    }
}

#[cfg(test)]
mod tests;
