//! What a failure, a refusal or a lapse of time leads to: another try, at once or later, or the end.

use core::time::Duration;

use rand_core::TryCryptoRng;

use super::error::{Failure, SessionError};
use super::machine::{ClientSession, Phase, is_worth_another_try};
#[cfg(doc)]
use super::step::Step;
use crate::error::{ErrorCode, RejectCode};
use crate::exchange::ClientEvent;
use crate::head::ResponseHead;
use crate::suite::RecordAead;
use crate::time::{Now, UnixTime};

impl<A: RecordAead> ClientSession<A> {
    /// A connection failed. What END made whole before stays whole (HTTP-5), a refusal that has arrived is what counts, and without a
    /// connection this changes nothing.
    pub fn handle_failure<R: TryCryptoRng + ?Sized>(
        &mut self,
        now: Now,
        failure: Failure,
        rng: &mut R,
    ) {
        if !matches!(self.phase, Phase::FetchKeys(_) | Phase::Send(_)) || self.settle_whole_answer()
        {
            return;
        }
        if self.is_refused() {
            self.poll_event(now, rng);
            return;
        }
        self.fail(
            now,
            SessionError::Connection(failure),
            matches!(failure, Failure::Connect | Failure::Reset),
            None,
            rng,
        );
    }

    /// Why there is to be another try, in [`Step::Wait`]: such a wait may be long, and whoever waits should know.
    pub const fn retry_reason(&self) -> Option<&SessionError> {
        match &self.phase {
            Phase::Wait(_, _, error) => Some(error),
            _ => None,
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        match self.phase {
            Phase::FetchKeys(_) | Phase::Send(_) => {
                let (since, limit, _) = self.waiting;
                Some(since.saturating_add(limit).min(self.over()))
            }
            _ => None,
        }
    }

    /// Ends the session if its time is over, and no event waits that ends it. Timeouts are not tried again: the request may be running.
    pub fn handle_timeout(&mut self, now: Now) {
        let is_due = self.poll_timeout().is_some_and(|due| now.monotonic >= due);
        if is_due && !self.is_refused() && !self.settle_whole_answer() {
            let total = now.monotonic >= self.over();
            let what = if total { "everything" } else { self.waiting.2 };
            self.end(SessionError::Timeout { what });
        }
    }

    /// Whether the answer has begun, so that there is no other try (ERR-4): its HEAD was shown, or opened and waits to be.
    pub(super) fn answer_has_begun(&self) -> bool {
        let waiting = self.waiting_head();
        self.head_shown || waiting.is_some_and(|head| !is_worth_another_try(head.status))
    }

    /// A HEAD that was opened and not taken yet.
    pub(super) fn waiting_head(&self) -> Option<ResponseHead<'_>> {
        match &self.phase {
            Phase::Send(exchange) => match exchange.peek_event()? {
                ClientEvent::Head(head) => Some(head),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether a refusal has arrived that nobody has taken yet. It leads to what it says, whatever becomes of the connection.
    pub(super) fn is_refused(&self) -> bool {
        let event = match &self.phase {
            Phase::Send(exchange) => exchange.peek_event(),
            _ => None,
        };
        matches!(
            event,
            Some(ClientEvent::Error { .. } | ClientEvent::Rejected(_))
        )
    }

    /// Whether END verified. Then the answer is whole, whatever becomes of the connection, and the session done once its last event was
    /// taken.
    fn settle_whole_answer(&mut self) -> bool {
        let whole = self.is_answered();
        self.ended |= whole;
        whole
    }

    pub(super) fn is_answered(&self) -> bool {
        self.abandoned.is_none()
            && matches!(&self.phase, Phase::Send(exchange) if exchange.has_completed())
    }

    /// When the time for everything is over.
    pub(super) const fn over(&self) -> Duration {
        self.started.saturating_add(self.config.timeouts.total)
    }

    pub(super) fn wait_for(&mut self, now: Now, limit: Duration, what: &'static str) {
        self.waiting = (now.monotonic, limit, what);
    }

    /// What a sealed ERROR leads to (spec section 8.1).
    pub(super) fn handle_refusal<R: TryCryptoRng + ?Sized>(
        &mut self,
        now: Now,
        code: ErrorCode,
        gateway_time: Option<UnixTime>,
        rng: &mut R,
    ) {
        if let Some(time) = gateway_time {
            self.gateway.clock = Some((time, now.monotonic));
        }
        let once = matches!(code, ErrorCode::Time | ErrorCode::Replay)
            && !core::mem::replace(&mut self.resealed, true);
        if once && !self.head_shown {
            self.again();
            return;
        }
        let retry = matches!(
            code,
            ErrorCode::Busy | ErrorCode::Upstream | ErrorCode::Timeout | ErrorCode::Internal
        );
        self.fail(
            now,
            SessionError::Refused {
                code,
                answer_begun: self.head_shown,
            },
            retry,
            None,
            rng,
        );
    }

    /// ERR-3: a reject is a hint, so at most one fetch follows from it.
    pub(super) fn handle_reject<R: TryCryptoRng + ?Sized>(
        &mut self,
        now: Now,
        code: RejectCode,
        rng: &mut R,
    ) {
        let refetch = matches!(code, RejectCode::Key | RejectCode::Undecryptable);
        if refetch && !core::mem::replace(&mut self.refetched, true) {
            self.gateway.key = None;
            self.again();
            return;
        }
        self.fail(
            now,
            SessionError::Rejected(code),
            code == RejectCode::Busy,
            None,
            rng,
        );
    }

    /// Back to the start with the same request, at once.
    pub(super) fn again(&mut self) {
        self.phase = match core::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Send(exchange) => Phase::Idle(exchange.into_request()),
            Phase::FetchKeys(request) => Phase::Idle(request),
            other => other,
        };
    }

    /// Ends the session with `error`, or waits for another try if that is worth it and nothing has been shown.
    pub(super) fn fail<R: TryCryptoRng + ?Sized>(
        &mut self,
        now: Now,
        error: SessionError,
        retry: bool,
        retry_after: Option<u32>,
        rng: &mut R,
    ) {
        // What goes wrong with an answer that is thrown away is of no interest: why it is, is.
        if self.give_up(now, rng) {
            return;
        }
        let begun = self.answer_has_begun();
        let retry_after = retry_after.or(self.waiting_head().and_then(|head| head.retry_after));
        let request = match core::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Send(exchange) => exchange.into_request(),
            Phase::FetchKeys(request) => request,
            other => {
                self.phase = other;
                return;
            }
        };
        let may_retry = retry && !begun && self.attempt < self.config.retry.max_retries;
        let until = may_retry.then(|| {
            let wait = self.config.retry.wait(self.attempt, retry_after, rng);
            now.monotonic.saturating_add(wait)
        });
        // A try that would begin when the time for everything is over is none: the reason is worth more now.
        let over = self.over();
        self.phase = match until.filter(|until| *until < over) {
            Some(until) => {
                self.attempt += 1;
                Phase::Wait(request, until, error)
            }
            None => Phase::Failed(error, Some(request)),
        };
    }

    /// Ends the session, whatever it is at.
    pub(super) fn end(&mut self, error: SessionError) {
        let request = core::mem::replace(&mut self.phase, Phase::Done).into_request();
        self.phase = Phase::Failed(error, request);
    }
}
