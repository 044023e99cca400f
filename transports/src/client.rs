//! What every adapter's client shares: the state between sessions, and how a session begins.

use core::time::Duration;

use sealwire_core::exchange::Request;
use sealwire_core::session::{
    ClientSession, GatewayState, SessionConfig, SessionError, SessionEvent, Trust,
};
use sealwire_core::{Now, Suite};
use sealwire_memlock::{SecureBytes, SecureMemory};

use crate::answer::Metadata;
use crate::cell::Cell;
#[cfg(any(feature = "hyper", feature = "futures-io"))]
use crate::clock::Clock;
use crate::config::Config;
use crate::error::Error;

/// Where chats go, inside the sealed request.
pub(crate) const CHAT_PATH: &str = "/v1/chat/completions";

/// The client behind an adapter's.
pub(crate) struct Client {
    pub(crate) config: Config,
    #[cfg(any(feature = "hyper", feature = "futures-io"))]
    pub(crate) clock: Clock,
    gateway: Cell<GatewayState>,
}

/// What an answer brings, in memory of its own.
pub(crate) enum Event {
    Head(Metadata),
    Data(SecureBytes),
    Complete,
}

impl Client {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            #[cfg(any(feature = "hyper", feature = "futures-io"))]
            clock: Clock::new(),
            gateway: Cell::default(),
        }
    }

    pub(crate) const fn memory(&self) -> &SecureMemory {
        &self.config.memory
    }

    /// A session for `request`, with the client's API key and tier if it has none of its own.
    pub(crate) fn session(&self, mut request: Request, now: Now) -> Result<ClientSession, Error> {
        if let (None, Some(key)) = (&request.authorization, &self.config.authorization) {
            request.authorization = Some(self.memory().copy_from(key.expose())?);
        }
        request.tier = request.tier.or(self.config.tier);
        Ok(ClientSession::new(
            self.memory(),
            self.config.session,
            self.gateway(),
            request,
            now,
        ))
    }

    /// A session that gets as far as the keys, of a gateway of which nothing is known.
    pub(crate) fn keys_session(&self, now: Now) -> Result<ClientSession, Error> {
        let config = SessionConfig {
            trust: Trust::Ask,
            ..self.config.session
        };
        let request = Request::new("GET", "/", self.memory().with_capacity(0)?);
        let known = GatewayState::default();
        Ok(ClientSession::new(
            self.memory(),
            config,
            known,
            request,
            now,
        ))
    }

    /// What earlier sessions learned of the gateway.
    pub(crate) fn gateway(&self) -> GatewayState {
        self.gateway.with(|gateway| gateway.clone())
    }

    /// Keeps what a session learned. `known` is what it began with: one that learned nothing must not put an old key back.
    pub(crate) fn learn(&self, known: &mut GatewayState, session: &ClientSession) {
        if known != session.gateway() {
            known.clone_from(session.gateway());
            self.gateway.with(|gateway| gateway.clone_from(known));
        }
    }

    /// Answers a session that asks whether it may trust the gateway.
    pub(crate) fn judge(&self, session: &mut ClientSession, now: Now) {
        let verifier = self.config.verifier.as_ref();
        // Without a record that can be used there is nothing to trust; the session finds out by itself.
        let trusted = match (verifier, session.key_set(), session.candidate(now)) {
            (Some(verifier), Some(set), Some(record)) => verifier(set, record),
            (Some(_), Some(_), None) => true,
            _ => false,
        };
        session.judge(now, trusted);
    }
}

impl Event {
    /// Copies what a session lends.
    pub(crate) fn copy_from(
        event: SessionEvent<'_>,
        suite: Suite,
        memory: &SecureMemory,
    ) -> Result<Self, Error> {
        Ok(match event {
            SessionEvent::Head(head) => Self::Head(Metadata::new(&head, suite)),
            SessionEvent::Data(data) => Self::Data(memory.copy_from(data)?),
            _ => Self::Complete,
        })
    }
}

/// A wait that whoever waits should know of.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// Says why there is to be another try.
pub(crate) fn log_wait(reason: &SessionError, wait: Duration) {
    let level = match wait < LONG_WAIT {
        true => log::Level::Info,
        false => log::Level::Warn,
    };
    log::log!(level, "{reason}; next try in {:.1} s", wait.as_secs_f64());
}

/// Seconds of a `retry-after` field. The form with a date is not understood: it would need a calendar.
#[cfg(feature = "_host")]
pub(crate) fn retry_after(value: &str) -> Option<u32> {
    value.trim().parse().ok()
}
