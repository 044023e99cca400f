//! Keys and trust (spec section 5): what a session does with the key set it asked for.

use super::error::SessionError;
use super::machine::{ClientSession, Phase};
use super::policy::Trust;
#[cfg(doc)]
use super::step::Step;
use crate::error::Malformed;
use crate::exchange::Request;
use crate::keys::{KeySet, SignedRecord};
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
        self.phase = match self.config.trust {
            Trust::Pin(expected) if expected != set.pin() => {
                Phase::Failed(SessionError::Identity {
                    expected,
                    found: set.pin(),
                })
            }
            Trust::Ask if !self.gateway.judged || self.gateway.pin != Some(set.pin()) => {
                Phase::Judge(request, set)
            }
            // What is judged must be there, and be the key that is used.
            Trust::AskEachKey => match set.select(self.config.suite, self.gateway.unix(now)) {
                Ok(_) => Phase::Judge(request, set),
                Err(error) => Phase::Failed(SessionError::Keys(error)),
            },
            _ => self.accept_keys(now, request, &set),
        };
    }

    /// The key set to be judged, in [`Step::Judge`].
    pub fn key_set(&self) -> Option<&KeySet> {
        match &self.phase {
            Phase::Judge(_, set) => Some(set),
            _ => None,
        }
    }

    /// The record that is used if the key set is trusted, in [`Step::Judge`]: the one whose evidence counts.
    pub fn candidate(&self, now: Now) -> Option<&SignedRecord> {
        let (_, signed) = self
            .key_set()?
            .candidate(self.config.suite, self.gateway.unix(now))
            .ok()?;
        Some(signed)
    }

    /// The answer to [`Step::Judge`].
    pub fn judge(&mut self, now: Now, trusted: bool) {
        let (request, set) = match core::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Judge(request, set) => (request, set),
            other => {
                self.phase = other;
                return;
            }
        };
        self.phase = if trusted {
            self.accept_keys(now, request, &set)
        } else {
            Phase::Failed(SessionError::Untrusted { found: set.pin() })
        };
    }

    fn accept_keys(&mut self, now: Now, request: Request, set: &KeySet) -> Phase<A> {
        match set.select(self.config.suite, self.gateway.unix(now)) {
            Ok(key) => {
                self.gateway.key = Some(key);
                self.gateway.pin = Some(set.pin());
                self.gateway.judged = self.config.trust != Trust::DangerousAny;
                self.gateway.each_key_judged = self.config.trust == Trust::AskEachKey;
                Phase::Idle(request)
            }
            Err(error) => Phase::Failed(SessionError::Keys(error)),
        }
    }

    /// The key set could not be read.
    pub fn handle_key_error(&mut self, error: Malformed) {
        if matches!(self.phase, Phase::FetchKeys(_)) {
            self.phase = Phase::Failed(SessionError::Keys(error));
        }
    }
}
