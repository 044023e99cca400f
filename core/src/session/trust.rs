//! Keys and trust (spec section 5): what a session does with the key set it asked for.

use super::error::SessionError;
use super::machine::{ClientSession, Phase};
use super::policy::Trust;
#[cfg(doc)]
use super::step::Step;
use crate::error::Malformed;
use crate::exchange::Request;
use crate::keys::{GatewayKey, KeySet, Pin, SignedRecord};
use crate::suite::RecordAead;
use crate::time::Now;

impl<A: RecordAead> ClientSession<A> {
    /// The key set has arrived. With a pin it is judged at once.
    pub fn handle_key_set(&mut self, now: Now, set: KeySet) {
        let request = match core::mem::replace(&mut self.phase, Phase::Done) {
            Phase::FetchKeys(request) => request,
            other => {
                self.phase = other;
                return;
            }
        };
        // TRUST-2: also an identity that was only met, and judged then.
        let known = match self.config.trust {
            Trust::Pin(pin) => Some(pin),
            Trust::Ask => self.gateway.pin.filter(|_| self.gateway.judged),
            Trust::AskEachKey | Trust::DangerousAny => None,
        };
        let found = set.pin();
        if let Some(expected) = known.filter(|known| *known != found) {
            let error = SessionError::Identity { expected, found };
            self.phase = Phase::Failed(error, Some(request));
            return;
        }
        self.phase = match (self.config.trust, set.find(self.config.suite, now.unix)) {
            (_, Err(error)) => Phase::Failed(SessionError::Keys(error), Some(request)),
            (Trust::Ask, Ok(key)) if known.is_none() => Phase::Judge(request, set, key),
            (Trust::AskEachKey, Ok(key)) => Phase::Judge(request, set, key),
            (_, Ok((key, _))) => self.accept_key(request, found, key),
        };
    }

    /// The key set to be judged, in [`Step::Judge`].
    pub const fn key_set(&self) -> Option<&KeySet> {
        match &self.phase {
            Phase::Judge(_, set, _) => Some(set),
            _ => None,
        }
    }

    /// The record that is used if the key set is trusted, in [`Step::Judge`]: the one whose evidence counts.
    pub fn candidate(&self) -> Option<&SignedRecord> {
        match &self.phase {
            Phase::Judge(_, set, (_, place)) => set.records().get(*place),
            _ => None,
        }
    }

    /// The answer to [`Step::Judge`].
    pub fn judge(&mut self, trusted: bool) {
        self.phase = match core::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Judge(request, set, (key, _)) if trusted => {
                self.accept_key(request, set.pin(), key)
            }
            Phase::Judge(request, set, _) => {
                Phase::Failed(SessionError::Untrusted { found: set.pin() }, Some(request))
            }
            other => other,
        };
    }

    /// Whether the key is valid still is asked when the request is sealed.
    fn accept_key(&mut self, request: Request, pin: Pin, key: GatewayKey) -> Phase<A> {
        self.gateway.key = Some(key);
        self.gateway.pin = Some(pin);
        self.gateway.judged = self.config.trust != Trust::DangerousAny;
        self.gateway.each_key_judged = self.config.trust == Trust::AskEachKey;
        Phase::Idle(request)
    }

    /// The key set could not be read.
    pub fn handle_key_error(&mut self, error: Malformed) {
        if matches!(self.phase, Phase::FetchKeys(_)) {
            self.end(SessionError::Keys(error));
        }
    }
}
