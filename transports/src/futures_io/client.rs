//! The client's face: whole answers, streamed ones, and any other endpoint.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use sealwire_core::chat::ChatRequest;
use sealwire_core::exchange::Request;
use sealwire_core::keys::{KeySet, Pin};
use sealwire_core::{Error as CoreError, Malformed};
use sealwire_memlock::{SecureBytes, SecureMemory};

use super::connection::Connector;
use super::driver::{Driver, Inner, Pieces};
use crate::answer::{Answer, Completion};
use crate::client::{CHAT_PATH, Client, Event};
use crate::config::ClientBuilder;
use crate::error::Error;
use crate::pool::Pool;
use crate::stream::{AnswerStream, ChatStream};
use crate::tls::Tls;

/// What only this client can be told.
#[derive(Debug)]
pub struct Settings<C> {
    connector: C,
    tls: Option<ClientConfig>,
}

/// A client of a gateway: chats go out sealed, and come back so.
///
/// Cheap to clone; clones share connections, and what is known of the gateway. Dropping a future or a stream of it closes
/// its connection, which cancels the request.
pub struct SecureChatCompletion<C: Connector> {
    inner: Arc<Inner<C>>,
}

impl<C: Connector> ClientBuilder<Settings<C>> {
    /// TLS as given: other roots, client certificates. By default certificates are judged as the platform does.
    pub fn tls(mut self, config: ClientConfig) -> Self {
        self.transport.tls = Some(config);
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), which says what to change.
    pub fn build(self) -> Result<SecureChatCompletion<C>, Error> {
        let (config, address, settings) = self.check_address()?;
        Ok(SecureChatCompletion {
            inner: Arc::new(Inner {
                client: Client::new(config),
                tls: Tls::new(&address, settings.tls)?,
                address,
                connector: settings.connector,
                idle: Pool::new(),
            }),
        })
    }
}

impl<C: Connector> SecureChatCompletion<C> {
    /// Sets up a client of the gateway at `base_url`, on the runtime that `connector` stands for.
    pub fn with_connector(base_url: impl Into<String>, connector: C) -> ClientBuilder<Settings<C>> {
        let tls = None;
        ClientBuilder::new(base_url.into(), Settings { connector, tls })
    }

    /// Where this client keeps secrets; bodies for [`request`](Self::request) are best written there.
    pub fn memory(&self) -> &SecureMemory {
        self.inner.client.memory()
    }

    /// The pin of the gateway, once it is known and trusted.
    pub fn gateway_pin(&self) -> Option<Pin> {
        self.inner.client.gateway().pin()
    }

    /// Sends a chat and waits for the whole answer.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn create(&self, request: &ChatRequest<'_>) -> Result<Completion, Error> {
        let body = request.to_json(self.memory())?;
        let answer = self.request("POST", CHAT_PATH, body).await?;
        answer.into_completion()
    }

    /// Sends a chat and returns when the answer begins.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn stream(&self, request: &ChatRequest<'_>) -> Result<ChatStream, Error> {
        let body = request.clone().stream(true).to_json(self.memory())?;
        let answer = self.send(Request::new("POST", CHAT_PATH, body)).await?;
        ChatStream::new(answer.check().await?)
    }

    /// Sends a request to any endpoint and waits for the whole answer. An empty body has no content type.
    ///
    /// # Errors
    /// Why there is none; every status from 300 is an error.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        body: SecureBytes,
    ) -> Result<Answer, Error> {
        let mut request = Request::new(method, path, body);
        if request.body.is_empty() {
            request.content_type = None;
        }
        let answer = self.send(request).await?;
        answer.check().await?.whole().await
    }

    /// Sends any request, and returns when its answer begins, whatever its status.
    ///
    /// # Errors
    /// Why it does not begin.
    pub async fn send(&self, request: Request) -> Result<AnswerStream, Error> {
        let mut driver = Driver::new(&self.inner, request)?;
        // The first event is the head, or the session would have ended.
        let Some(Event::Head(metadata)) = driver.next().await? else {
            return Err(CoreError::from(Malformed::Order).into());
        };
        let pieces = Pieces {
            driver: Some(driver),
            exchange_id: metadata.exchange_id,
        };
        Ok(AnswerStream::new(metadata, self.memory(), Box::pin(pieces)))
    }

    /// Fetches the gateway's keys. Nothing is judged: this is for showing them.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn fetch_keys(&self) -> Result<KeySet, Error> {
        Driver::key_set(&self.inner).await
    }
}

impl<C: Connector> Clone for SecureChatCompletion<C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<C: Connector> fmt::Debug for SecureChatCompletion<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecureChatCompletion")
            .field("gateway", &self.inner.client.config.base_url)
            .finish_non_exhaustive()
    }
}
