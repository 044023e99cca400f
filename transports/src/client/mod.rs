//! What every adapter's client shares: its settings, what it knows of the gateway, and its requests.
//!
//! An adapter makes a [`Drive`] of a [`Task`]; everything above it is here.
#![cfg_attr(
    not(feature = "_async"),
    allow(
        unreachable_pub,
        reason = "the sealed trait of the clients that do not block names these"
    )
)]

mod answer;
mod chunks;
#[cfg(feature = "_async")]
mod completion;
mod config;
mod drive;
#[cfg(feature = "_tls")]
mod settings;
mod stream;
mod task;

use core::fmt;

use sealwire_core::Now;
use sealwire_core::chat::ChatRequest;
use sealwire_core::exchange::Request;
use sealwire_core::keys::KeySet;
use sealwire_core::session::{ClientSession, GatewayState, SessionConfig, Trust};
use sealwire_memlock::{SecureBytes, SecureMemory};

#[cfg(feature = "_host")]
pub(crate) use answer::is_type;
pub use answer::{Answer, Chunk, Completion, Metadata, ServerMemory};
#[cfg(feature = "_async")]
pub use completion::{SecureChatCompletion, Transport};
pub use config::ClientBuilder;
pub(crate) use config::Config;
pub(crate) use drive::{Drive, Event};
#[cfg(feature = "_tls")]
pub use settings::Settings;
#[cfg(feature = "_tls")]
pub(crate) use settings::configured;
pub use stream::{AnswerStream, ChatStream};
#[cfg(feature = "_host")]
pub(crate) use task::retry_after;
pub(crate) use task::{Next, Task};

use crate::cell::Cell;
#[cfg(feature = "_async")]
use crate::clock::Clock;
use crate::error::Error;

/// Where chats go, inside the sealed request.
const CHAT_PATH: &str = "/v1/chat/completions";

/// The client behind an adapter's.
pub struct Client {
    pub(crate) config: Config,
    #[cfg(feature = "_async")]
    pub(crate) clock: Clock,
    gateway: Cell<GatewayState>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("gateway", &self.config.base_url)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            #[cfg(feature = "_async")]
            clock: Clock::new(),
            gateway: Cell::default(),
        }
    }

    pub(crate) const fn memory(&self) -> &SecureMemory {
        &self.config.memory
    }

    /// Sends a chat and waits for the whole answer. `drive` is what carries it.
    pub(crate) async fn create<D: Drive>(
        &self,
        now: Now,
        request: &ChatRequest<'_>,
        drive: impl FnOnce(Task) -> D,
    ) -> Result<Completion, Error> {
        let body = request.to_json(self.memory())?;
        let request = self.request(now, "POST", CHAT_PATH, body, drive);
        request.await?.into_completion()
    }

    /// Sends a chat and waits until the answer begins.
    pub(crate) async fn stream<D: Drive>(
        &self,
        now: Now,
        request: &ChatRequest<'_>,
        drive: impl FnOnce(Task) -> D,
    ) -> Result<ChatStream<D>, Error> {
        let body = request.clone().stream(true).to_json(self.memory())?;
        let request = Request::new("POST", CHAT_PATH, body);
        let answer = self.send(now, request, drive).await?;
        ChatStream::begin(answer.check().await?).await
    }

    /// Sends a request to any endpoint and waits for the whole answer.
    pub(crate) async fn request<D: Drive>(
        &self,
        now: Now,
        method: &str,
        path: &str,
        body: SecureBytes,
        drive: impl FnOnce(Task) -> D,
    ) -> Result<Answer, Error> {
        let mut request = Request::new(method, path, body);
        if request.body.is_empty() {
            request.content_type = None;
        }
        let answer = self.send(now, request, drive).await?;
        answer.check().await?.collect().await
    }

    /// Sends any request, and waits until its answer begins.
    pub(crate) async fn send<D: Drive>(
        &self,
        now: Now,
        request: Request,
        drive: impl FnOnce(Task) -> D,
    ) -> Result<AnswerStream<D>, Error> {
        let task = self.task(request, now)?;
        AnswerStream::begin(drive(task), self.memory().clone()).await
    }

    /// Fetches the gateway's keys, not judged.
    pub(crate) async fn fetch_keys<D: Drive>(
        &self,
        now: Now,
        drive: impl FnOnce(Task) -> D,
    ) -> Result<KeySet, Error> {
        let mut driver = drive(self.keys_task(now)?);
        while drive::next(&mut driver).await?.is_some() {}
        driver.key_set()
    }

    /// What carries `request`, with the client's API key and tier if it has none of its own.
    pub(crate) fn task(&self, mut request: Request, now: Now) -> Result<Task, Error> {
        if let (None, Some(key)) = (&request.authorization, &self.config.authorization) {
            request.authorization = Some(self.memory().copy_from(key.expose())?);
        }
        request.tier = request.tier.or(self.config.tier);
        let (config, known) = (self.config.session, self.gateway());
        let session = ClientSession::new(self.memory(), config, known, request, now);
        Ok(Task::new(session, false))
    }

    /// A task that ends with the keys, of a gateway of which nothing is known.
    fn keys_task(&self, now: Now) -> Result<Task, Error> {
        let config = SessionConfig {
            trust: Trust::Ask,
            ..self.config.session
        };
        let request = Request::new("GET", "/", self.memory().with_capacity(0)?);
        let known = GatewayState::default();
        let session = ClientSession::new(self.memory(), config, known, request, now);
        Ok(Task::new(session, true))
    }

    /// What earlier sessions learned of the gateway.
    pub(crate) fn gateway(&self) -> GatewayState {
        self.gateway.with(|gateway| gateway.clone())
    }

    /// Keeps what a session learned. `known` is what it began with: one that learned nothing must not put an old key back.
    fn learn(&self, known: &mut GatewayState, session: &ClientSession) {
        if known != session.gateway() {
            known.clone_from(session.gateway());
            self.gateway.with(|gateway| gateway.clone_from(known));
        }
    }

    /// Answers a session that asks whether it may trust the gateway.
    fn judge(&self, session: &mut ClientSession) {
        let verifier = self.config.verifier.as_ref();
        let trusted = match (verifier, session.key_set(), session.candidate()) {
            (Some(verifier), Some(set), Some(record)) => verifier(set, record),
            _ => false,
        };
        session.judge(trusted);
    }
}
