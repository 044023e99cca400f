//! What only raw streams need, where exchanges follow one another: stopping without closing, and going on.

use rand_core::TryCryptoRng;

use super::error::SessionError;
use super::machine::{ClientSession, Phase};
use crate::error::ErrorCode;
use crate::exchange::ClientEvent;
use crate::suite::RecordAead;
use crate::time::Now;

/// Why an answer is read to its end and thrown away, and what comes after.
pub(super) struct Abandoned {
    pub(super) error: SessionError,
    pub(super) retry: bool,
    pub(super) retry_after: Option<u32>,
}

impl<A: RecordAead> ClientSession<A> {
    /// Whether the raw stream of the try that is over may carry another exchange (ORDER-7). If not, close it; close it also if more had
    /// arrived than the session took, for nothing arrives unasked.
    pub const fn can_carry_on(&self) -> bool {
        self.in_step
    }

    /// Wants no more of the answer (ORDER-6). If this returns true, CANCEL is among what
    /// [`poll_transmit`](Self::poll_transmit) gives: go on as in [`Step::Send`](super::Step::Send) while
    /// [`is_sending`](Self::is_sending), and the session throws away what still comes. Otherwise close the stream.
    pub fn cancel(&mut self) -> bool {
        let Phase::Send(exchange) = &mut self.phase else {
            return false;
        };
        let cancelled = self.config.is_raw() && exchange.cancel().is_ok();
        if cancelled {
            self.abandoned = Some(Abandoned {
                error: SessionError::Refused {
                    code: ErrorCode::Cancelled,
                    answer_begun: self.head_shown,
                },
                retry: false,
                retry_after: None,
            });
        }
        cancelled
    }

    /// A connection that was kept from an earlier exchange turned out to be closed, before anything of the reply came:
    /// tries again at once, sealed afresh. For connections that were just made, there is
    /// [`handle_failure`](Self::handle_failure), which waits and counts.
    ///
    /// False, and nothing has changed, once an answer has begun, was [cancelled](Self::cancel), or is a refusal: then it is a failure like
    /// any other. Nor does it change anything where nothing is under way.
    #[must_use = "where it is false the connection has failed, and nothing was done about it"]
    pub fn handle_stale_connection(&mut self) -> bool {
        let is_under_way = matches!(self.phase, Phase::Send(_) | Phase::FetchKeys(_));
        let has_answer = self.answer_has_begun() || self.is_refused();
        let is_stale = is_under_way && !has_answer && self.abandoned.is_none();
        if is_stale {
            self.again();
        }
        is_stale
    }

    /// Throws away what there is of an abandoned answer.
    pub(super) fn discard<R: TryCryptoRng + ?Sized>(&mut self, now: Now, rng: &mut R) {
        while let Phase::Send(exchange) = &mut self.phase {
            let can_continue = exchange.can_continue();
            match exchange.poll_event() {
                Some(ClientEvent::Head(_) | ClientEvent::Data(_)) => {}
                Some(_) => {
                    self.in_step = can_continue;
                    self.give_up(now, rng);
                }
                None => return,
            }
        }
    }

    /// The end of an abandoned answer. False if none was abandoned.
    pub(super) fn give_up<R: TryCryptoRng + ?Sized>(&mut self, now: Now, rng: &mut R) -> bool {
        let Some(abandoned) = self.abandoned.take() else {
            return false;
        };
        self.fail(
            now,
            abandoned.error,
            abandoned.retry,
            abandoned.retry_after,
            rng,
        );
        true
    }
}
