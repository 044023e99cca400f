//! The session's state machine.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt::Write;
use core::time::Duration;

use aes_gcm::Aes256Gcm;
use rand_core::TryCryptoRng;
use sealwire_memlock::SecureMemory;

use super::error::{Failure, SessionError};
use super::keys::{Answer, KeysFetch};
use super::policy::{GatewayState, SessionConfig};
use super::raw::Abandoned;
use super::step::{SessionEvent, Step};
use crate::agreement::{KeyAgreement, RustCrypto};
use crate::error::{Environment, Error, ErrorCode, Misuse, PeerError, RejectCode};
use crate::exchange::{ClientEvent, ClientExchange, Request};
use crate::keys::{GatewayKey, KeySet};
use crate::suite::RecordAead;
use crate::time::{Now, UnixTime};

pub(super) enum Phase<A> {
    /// The request waits to be sealed.
    Idle(Request),
    FetchKeys(Request),
    /// The key that is used if its set is trusted, and where its record stands: what is judged is what is used (TRUST-4).
    Judge(Request, KeySet, (GatewayKey, usize)),
    Send(Box<ClientExchange<A>>),
    /// Until then, because of this.
    Wait(Request, Duration, SessionError),
    Done,
    /// With the request, for whoever wants to send it once more.
    Failed(SessionError, Option<Request>),
}

impl<A: RecordAead> Phase<A> {
    pub(super) fn into_request(self) -> Option<Request> {
        match self {
            Self::Idle(request)
            | Self::FetchKeys(request)
            | Self::Judge(request, ..)
            | Self::Wait(request, ..) => Some(request),
            Self::Send(exchange) => Some(exchange.into_request()),
            Self::Done => None,
            Self::Failed(_, request) => request,
        }
    }
}

/// A request on its way to an answer. See the [module](super).
pub struct ClientSession<A = Aes256Gcm> {
    pub(super) phase: Phase<A>,
    pub(super) config: SessionConfig,
    memory: SecureMemory,
    agreement: &'static dyn KeyAgreement,
    pub(super) gateway: GatewayState,
    pub(super) started: Duration,
    /// When the wait for the next thing began, and for how long it may take.
    pub(super) waiting: (Duration, Duration, &'static str),
    pub(super) attempt: u32,
    pub(super) refetched: bool,
    pub(super) resealed: bool,
    pub(super) head_shown: bool,
    /// The reply has ended, and what it ended with waits to be taken.
    pub(super) ended: bool,
    /// The key set on its way, on a raw stream.
    keys: KeysFetch,
    /// A try whose answer is read to its end and thrown away, on a raw stream.
    pub(super) abandoned: Option<Abandoned>,
    /// Whether the raw stream of the last try stands where another exchange may begin.
    pub(super) in_step: bool,
}

impl ClientSession {
    /// A session for one request. `gateway` is what earlier sessions learned.
    pub fn new(
        memory: &SecureMemory,
        config: SessionConfig,
        gateway: GatewayState,
        request: Request,
        now: Now,
    ) -> Self {
        Self::with_aead(memory, config, gateway, request, now)
    }
}

impl<A: RecordAead> ClientSession<A> {
    /// [`new`](ClientSession::new) with another implementation of the record cipher.
    pub fn with_aead(
        memory: &SecureMemory,
        config: SessionConfig,
        gateway: GatewayState,
        request: Request,
        now: Now,
    ) -> Self {
        Self {
            phase: Phase::Idle(request),
            config,
            memory: memory.clone(),
            agreement: &RustCrypto,
            gateway,
            started: now.monotonic,
            waiting: (now.monotonic, config.timeouts.total, "everything"),
            attempt: 0,
            refetched: false,
            resealed: false,
            head_shown: false,
            ended: false,
            keys: KeysFetch::default(),
            abandoned: None,
            in_step: false,
        }
    }

    /// Encapsulates with another implementation of the KEMs.
    #[must_use]
    pub fn with_agreement(mut self, agreement: &'static dyn KeyAgreement) -> Self {
        self.agreement = agreement;
        self
    }

    /// What to do next.
    ///
    /// # Errors
    /// Why the session is over. It stays so.
    pub fn step<R: TryCryptoRng + ?Sized>(
        &mut self,
        now: Now,
        rng: &mut R,
    ) -> Result<Step, SessionError> {
        self.phase = match core::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Idle(request) => self.begin(request, now, rng),
            Phase::Wait(request, until, _) if now.monotonic >= until => {
                self.begin(request, now, rng)
            }
            Phase::Send(exchange) if self.ended && exchange.peek_event().is_none() => Phase::Done,
            other => other,
        };
        match &self.phase {
            Phase::FetchKeys(_) => Ok(Step::FetchKeys),
            Phase::Judge(..) => Ok(Step::Judge),
            Phase::Send(_) => Ok(Step::Send),
            Phase::Wait(_, until, _) => Ok(Step::Wait(*until)),
            Phase::Done => Ok(Step::Done),
            Phase::Failed(error, _) => Err(error.clone()),
            Phase::Idle(_) => Err(Error::from(Misuse::State("no request")).into()),
        }
    }

    /// Seals the request if there is a key for it, or asks for the keys.
    fn begin<R: TryCryptoRng + ?Sized>(
        &mut self,
        mut request: Request,
        now: Now,
        rng: &mut R,
    ) -> Phase<A> {
        if now.monotonic >= self.over() {
            let error = SessionError::Timeout { what: "everything" };
            return Phase::Failed(error, Some(request));
        }
        self.wait_for(
            now,
            self.config.timeouts.connect,
            "a connection to the gateway",
        );
        self.in_step = false;
        self.ended = false;
        let (suite, trust) = (self.config.suite, self.config.trust);
        let Some(key) = self.gateway.usable_key(suite, trust, now.unix) else {
            self.keys = KeysFetch::default();
            return Phase::FetchKeys(request);
        };
        if request.idempotency_key.is_none() {
            match random_key(rng) {
                Ok(key) => request.idempotency_key = Some(key),
                Err(error) => return Phase::Failed(error.into(), Some(request)),
            }
        }
        let (memory, options) = (&self.memory, self.config.options);
        match ClientExchange::with_agreement(
            memory,
            self.agreement,
            key,
            request,
            self.gateway.request_time(now),
            options,
            rng,
        ) {
            Ok(exchange) => Phase::Send(Box::new(exchange)),
            Err((request, error)) => Phase::Failed(error.into(), Some(request)),
        }
    }

    /// A connection was made. It is no longer what is waited for: the keys must arrive within the idle timeout, an answer must begin
    /// within that of the first byte.
    pub fn handle_connected(&mut self, now: Now) {
        let timeouts = self.config.timeouts;
        match self.phase {
            Phase::FetchKeys(_) => self.wait_for(now, timeouts.idle, "the gateway's keys"),
            _ => self.wait_for(now, timeouts.first_byte, "the answer to begin"),
        }
    }

    /// Writes the next bytes to send into `out`; 0 when there are none. What was written counts as having left (ORDER-9): send it, and
    /// call again when all of it is the transport's, or in a buffer of at most 64 KiB before it.
    ///
    /// # Errors
    /// [`Environment`] if secure memory cannot be had, [`Misuse::State`](crate::Misuse::State) if the record cipher fails: the session is
    /// over, and [`step`](Self::step) says so, too.
    pub fn poll_transmit(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        match &mut self.phase {
            Phase::Send(exchange) => {
                let result = exchange.poll_transmit(out);
                if let Err(error) = &result {
                    self.end(error.clone().into());
                }
                result
            }
            Phase::FetchKeys(_) if self.config.is_raw() => Ok(self.keys.transmit(out)),
            _ => Ok(0),
        }
    }

    /// The head of an HTTP reply (HTTP-3), to [`Step::FetchKeys`] or [`Step::Send`]: `is_expected` if it is status 200 of the right
    /// content type. Returns whether the body is worth reading.
    pub fn handle_reply<R: TryCryptoRng + ?Sized>(
        &mut self,
        now: Now,
        status: u16,
        is_expected: bool,
        retry_after: Option<u32>,
        rng: &mut R,
    ) -> bool {
        if !is_expected {
            let retry = matches!(status, 429 | 502 | 503 | 504);
            self.fail(
                now,
                SessionError::Intermediary {
                    status,
                    retry_after,
                },
                retry,
                retry_after,
                rng,
            );
        }
        is_expected
    }

    /// Takes bytes of the reply and says how many; stops after each event.
    ///
    /// What fails is found in [`step`](Self::step) afterwards, where it may have become another try; 0 is returned then.
    pub fn handle_input<R: TryCryptoRng + ?Sized>(
        &mut self,
        now: Now,
        input: &[u8],
        rng: &mut R,
    ) -> usize {
        match &mut self.phase {
            Phase::Send(exchange) => match exchange.handle_input(input) {
                Ok(consumed) => consumed,
                Err(error) => {
                    self.fail(now, error.into(), false, None, rng);
                    0
                }
            },
            Phase::FetchKeys(_) if self.config.is_raw() => {
                let mut consumed = 0;
                let answer = self.keys.handle_input(input, &mut consumed);
                self.in_step = matches!(answer, Ok(Some(_)));
                if !matches!(answer, Ok(None)) {
                    self.keys = KeysFetch::default();
                }
                match answer {
                    Ok(Some(Answer::Keys(set))) => self.handle_key_set(now, set),
                    Ok(Some(Answer::Rejected(code))) => {
                        let retry = code == RejectCode::Busy;
                        self.fail(now, SessionError::Rejected(code), retry, None, rng);
                    }
                    Ok(None) => {}
                    Err(Error::Peer(PeerError::Malformed(error))) => self.handle_key_error(error),
                    Err(error) => self.end(error.into()),
                }
                consumed
            }
            _ => 0,
        }
    }

    /// The next event. Refusals that lead to another try are not events.
    pub fn poll_event<R: TryCryptoRng + ?Sized>(
        &mut self,
        now: Now,
        rng: &mut R,
    ) -> Option<SessionEvent<'_>> {
        // The borrow of an event that is returned must not reach over the calls that change the phase, so what to do is found out
        // first, from a look at the event, and the event is taken only if it is to be shown.
        enum Verdict {
            Show,
            Retry {
                status: u16,
                retry_after: Option<u32>,
            },
            Refused(ErrorCode, Option<UnixTime>),
            Rejected(RejectCode),
        }
        if self.abandoned.is_some() {
            self.discard(now, rng);
            return None;
        }
        let attempts_left = self.attempt < self.config.retry.max_retries;
        let (policy, attempt, over) = (self.config.retry, self.attempt, self.over());
        let has_time = |retry_after| {
            let wait = policy.longest_wait(attempt, retry_after);
            now.monotonic.saturating_add(wait) < over
        };
        let Phase::Send(exchange) = &mut self.phase else {
            return None;
        };
        let can_continue = exchange.can_continue();
        let verdict = match exchange.peek_event()? {
            ClientEvent::Head(head)
                if is_worth_another_try(head.status)
                    && attempts_left
                    && has_time(head.retry_after) =>
            {
                Verdict::Retry {
                    status: head.status,
                    retry_after: head.retry_after,
                }
            }
            ClientEvent::Head(_) | ClientEvent::Data(_) | ClientEvent::Complete(_) => Verdict::Show,
            ClientEvent::Error { code, gateway_time } => Verdict::Refused(code, gateway_time),
            ClientEvent::Rejected(code) => Verdict::Rejected(code),
        };
        match verdict {
            Verdict::Show => self.show(now),
            Verdict::Retry {
                status,
                retry_after,
            } => {
                let error = SessionError::Status {
                    status,
                    retry_after,
                };
                if self.config.is_raw() {
                    self.abandoned = Some(Abandoned {
                        error,
                        retry: true,
                        retry_after,
                    });
                    self.discard(now, rng);
                } else {
                    self.fail(now, error, true, retry_after, rng);
                }
                None
            }
            Verdict::Refused(code, gateway_time) => {
                self.in_step = can_continue;
                self.handle_refusal(now, code, gateway_time, rng);
                None
            }
            Verdict::Rejected(code) => {
                self.in_step = can_continue;
                self.handle_reject(now, code, rng);
                None
            }
        }
    }

    fn show(&mut self, now: Now) -> Option<SessionEvent<'_>> {
        self.wait_for(
            now,
            self.config.timeouts.idle,
            "the next piece of the answer",
        );
        self.head_shown = true;
        let Phase::Send(exchange) = &mut self.phase else {
            return None;
        };
        let can_continue = exchange.can_continue();
        match exchange.poll_event()? {
            ClientEvent::Head(head) => Some(SessionEvent::Head(head)),
            ClientEvent::Data(data) => Some(SessionEvent::Data(data)),
            ClientEvent::Complete(complete) => {
                self.in_step = can_continue && !self.ended;
                Some(SessionEvent::Complete(complete))
            }
            _ => None,
        }
    }

    /// The bytes of the reply have ended. An event that was not taken before still can be; [`Step::Done`] comes after it.
    ///
    /// On a raw stream, which goes on, this is also how the session is told that nothing more is wanted of it, once
    /// [`SessionEvent::Complete`] was there.
    pub fn handle_eof<R: TryCryptoRng + ?Sized>(&mut self, now: Now, rng: &mut R) {
        // An exchange that is cut gives out nothing more, its HEAD included.
        let begun = self.answer_has_begun();
        let retry_after = self.waiting_head().and_then(|head| head.retry_after);
        let exchange = match &mut self.phase {
            Phase::Send(exchange) => exchange,
            Phase::FetchKeys(_) if self.config.is_raw() => {
                return self.handle_failure(now, Failure::Reset, rng);
            }
            _ => return,
        };
        match exchange.handle_eof() {
            // It was to be read to its end, and that was it.
            Ok(()) if self.abandoned.is_some() => self.discard(now, rng),
            Ok(()) if exchange.peek_event().is_none() => self.phase = Phase::Done,
            Ok(()) if self.is_refused() => {
                self.poll_event(now, rng);
            }
            Ok(()) => self.ended = true,
            Err(error) => {
                let truncated = error == PeerError::Truncated && !begun;
                self.fail(now, error.into(), truncated, retry_after, rng);
            }
        }
    }

    /// Whether the try that [`Step::Send`] began is still on. When it is not, its connection is of no more use, and
    /// [`step`](Self::step) tells what comes next.
    pub const fn is_sending(&self) -> bool {
        matches!(self.phase, Phase::Send(_))
    }

    /// Bytes of memory that the session holds for what has arrived and for what waits to leave, the request's body not counted: those
    /// of [`ClientExchange::buffered`], or of the key set on a raw stream, of which a frame can bring 65,539.
    pub fn buffered(&self) -> usize {
        match &self.phase {
            Phase::FetchKeys(_) => self.keys.buffered(),
            Phase::Send(exchange) => exchange.buffered(),
            _ => 0,
        }
    }

    /// What was learned of the gateway, for the next session.
    pub const fn gateway(&self) -> &GatewayState {
        &self.gateway
    }

    /// The request, if its answer did not come whole: another session can send it. It has the idempotency key of every try so far, so
    /// that a gateway that has run it does not run it again (REPLAY-6). A session holds it in secure memory until it is taken, or the
    /// session dropped.
    pub fn into_request(self) -> Option<Request> {
        match self.is_answered() {
            true => None,
            false => self.phase.into_request(),
        }
    }
}

impl<A> core::fmt::Debug for ClientSession<A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ClientSession")
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// Whether a response of this status, which was shown to nobody, may be thrown away for another try (ERR-4).
pub(super) const fn is_worth_another_try(status: u16) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 504)
}

/// 128 random bits in hexadecimal.
fn random_key<R: TryCryptoRng + ?Sized>(rng: &mut R) -> Result<String, Error> {
    let mut bytes = [0; 16];
    rng.try_fill_bytes(&mut bytes)
        .map_err(|_| Environment::Random)?;
    let mut key = String::with_capacity(32);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(key, "{byte:02x}");
    }
    Ok(key)
}
