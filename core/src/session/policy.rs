//! What a session is told: trust, retries, timeouts; and what it learns for the next.

use core::time::Duration;

use rand_core::TryCryptoRng;

use crate::exchange::ClientOptions;
use crate::keys::{GatewayKey, Pin};
use crate::suite::Suite;
use crate::time::{Now, UnixTime};

/// How a gateway's identity is judged (TRUST-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// It must have this pin.
    Pin(Pin),
    /// The caller judges each identity that is not known yet: [`Step::Judge`](super::Step::Judge).
    Ask,
    /// The caller judges each key before it is used, also of an identity that is known: for attestation evidence, which is about one
    /// record (spec section 5.4).
    AskEachKey,
    /// Whatever answers is trusted: whoever controls the connection reads everything.
    DangerousAny,
}

/// How often and when to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries after the first. Those that the protocol itself leads to do not count, and need no wait: one that is sealed again for a
    /// clock or a replay (ERROR(time), ERROR(replay)), one with keys that were fetched anew (ERR-3), and those on connections that had
    /// been kept and were dead ([`handle_stale_connection`](super::ClientSession::handle_stale_connection)).
    pub max_retries: u32,
    /// The wait before the first retry; doubled for each one after it, and jittered down by up to half.
    pub base: Duration,
    /// The longest wait, also for a `retry-after` that a peer asked for.
    pub max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_retries: 2,
            base: Duration::from_secs(1),
            max: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// The longest wait before retry number `attempt` (from 0): what the peer asked for, if it did.
    pub(super) fn longest_wait(&self, attempt: u32, retry_after: Option<u32>) -> Duration {
        let wait = match retry_after {
            Some(seconds) => Duration::from_secs(seconds.into()),
            None => self
                .base
                .saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX)),
        };
        wait.min(self.max)
    }

    /// The wait before retry number `attempt` (from 0).
    pub(super) fn wait<R: TryCryptoRng + ?Sized>(
        &self,
        attempt: u32,
        retry_after: Option<u32>,
        rng: &mut R,
    ) -> Duration {
        let full = self.longest_wait(attempt, retry_after);
        if retry_after.is_some() {
            return full;
        }
        // Without randomness there is no jitter; a failing source is reported when the next try is sealed.
        let jitter = rng.try_next_u32().unwrap_or(0);
        full - (full / 2).mul_f64(f64::from(jitter) / f64::from(u32::MAX))
    }
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// From the connection to the HEAD of an answer, which for a whole answer is when the model is done. ACCEPT does not end it.
    pub first_byte: Duration,
    /// Between two pieces of an answer. Cover frames are not pieces.
    pub idle: Duration,
    /// For everything, retries included.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(900),
            idle: Duration::from_secs(120),
            total: Duration::from_secs(1800),
        }
    }
}

/// How a session behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// The suite; nothing the peer says changes it (SUITE-1). It is [`Suite::P256`] until another is chosen, also where the hybrid is
    /// compiled in: what is recorded today is safe from a future quantum computer only with that one.
    pub suite: Suite,
    /// How the gateway's identity is judged.
    pub trust: Trust,
    /// Limits and padding.
    pub options: ClientOptions,
    /// Retries.
    pub retry: RetryPolicy,
    /// Timeouts.
    pub timeouts: Timeouts,
}

impl SessionConfig {
    /// The defaults, for a gateway that is judged by `trust`.
    pub fn new(trust: Trust) -> Self {
        Self {
            suite: Suite::default(),
            trust,
            options: ClientOptions::default(),
            retry: RetryPolicy::default(),
            timeouts: Timeouts::default(),
        }
    }

    /// Whether exchanges follow one another on a raw stream.
    pub(super) const fn is_raw(&self) -> bool {
        !self.options.one_exchange
    }
}

/// What is known of a gateway between sessions: keep it in the client and hand a copy to each session. All of them must count
/// [`Now::monotonic`] from one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayState {
    /// The key to seal to, its identity judged.
    pub(super) key: Option<GatewayKey>,
    /// The identity that signed it.
    pub(super) pin: Option<Pin>,
    /// Whether a pin or the caller vouched for that identity, and whether the caller did for the key itself.
    pub(super) judged: bool,
    pub(super) each_key_judged: bool,
    /// The gateway's clock, when it was last told, and the monotonic time then: sessions that share this share that clock's origin.
    pub(super) clock: Option<(UnixTime, Duration)>,
}

impl GatewayState {
    /// The pin of the identity whose key is held.
    pub const fn pin(&self) -> Option<Pin> {
        self.pin
    }

    /// The key that requests are sealed to.
    pub const fn key(&self) -> Option<&GatewayKey> {
        self.key.as_ref()
    }

    /// The key, if it may be used now: of the suite, valid (TIME-1), and judged as that trust demands.
    pub(super) fn usable_key(
        &self,
        suite: Suite,
        trust: Trust,
        now: UnixTime,
    ) -> Option<&GatewayKey> {
        let key = self.key.as_ref()?;
        let is_usable = key.suite == suite && key.is_valid_at(now) && self.is_trusted_by(trust);
        is_usable.then_some(key)
    }

    /// Whether the key was judged as `trust` demands: a state may come from a session that was told otherwise.
    fn is_trusted_by(&self, trust: Trust) -> bool {
        match trust {
            Trust::Pin(pin) => self.pin == Some(pin),
            Trust::AskEachKey => self.each_key_judged,
            Trust::Ask => self.judged,
            Trust::DangerousAny => true,
        }
    }

    /// The time that a request says: that of the gateway's clock if it was told, else of the caller's (REPLAY-5). Records are judged by the
    /// caller's alone (TIME-1): what a gateway says of the time must not make a key valid.
    pub(super) fn request_time(&self, now: Now) -> UnixTime {
        match self.clock {
            Some((unix, at)) => unix.saturating_add(now.monotonic.saturating_sub(at)),
            None => now.unix,
        }
    }
}
