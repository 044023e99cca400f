//! The client's face: whole answers, streamed ones, and any other endpoint.

use std::fmt;
use std::sync::Arc;

use futures_util::stream::{StreamExt, unfold};
use hyper::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client as Pool, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use sealwire_core::chat::ChatRequest;
use sealwire_core::exchange::Request;
use sealwire_core::keys::{KeySet, Pin};
use sealwire_memlock::{SecureBytes, SecureMemory};

use super::driver::{Driver, Inner};
use crate::answer::{Answer, Completion};
use crate::client::{CHAT_PATH, Client, Event};
use crate::config::ClientBuilder;
use crate::error::Error;
use crate::stream::{AnswerStream, ChatStream};

/// What only the hyper client can be told.
#[derive(Debug, Default)]
pub struct Transport {
    tls: Option<ClientConfig>,
}

/// A client of a gateway: chats go out sealed, and come back so.
///
/// Cheap to clone; clones share connections, and what is known of the gateway. It must be used within a tokio runtime,
/// which hyper's pool needs.
#[derive(Clone)]
pub struct SecureChatCompletion {
    inner: Arc<Inner>,
}

impl ClientBuilder<Transport> {
    /// TLS as given: other roots, client certificates. By default certificates are judged as the platform does.
    pub fn tls(mut self, config: ClientConfig) -> Self {
        self.transport.tls = Some(config);
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), which says what to change.
    pub fn build(self) -> Result<SecureChatCompletion, Error> {
        let (config, transport) = self.check()?;
        let uri = |path| {
            format!("{}{path}", config.base_url)
                .parse::<Uri>()
                .map_err(|error| {
                    Error::config("the base URL cannot be read").because(Some(error.into()))
                })
        };
        let (keys_uri, send_uri) = (uri(crate::KEYS_PATH)?, uri(crate::SEND_PATH)?);
        let tls = match transport.tls {
            Some(tls) => tls,
            None => platform_tls().map_err(|error| {
                Error::config("TLS cannot be set up").because(Some(error.into()))
            })?,
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        let client = Client::new(config);
        Ok(SecureChatCompletion {
            inner: Arc::new(Inner {
                client,
                pool,
                keys_uri,
                send_uri,
            }),
        })
    }
}

fn platform_tls() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.try_with_platform_verifier()?.with_no_client_auth())
}

impl SecureChatCompletion {
    /// Sets up a client of the gateway at `base_url`.
    pub fn builder(base_url: impl Into<String>) -> ClientBuilder<Transport> {
        ClientBuilder::new(base_url.into(), Transport::default())
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
        self.request("POST", CHAT_PATH, body)
            .await?
            .into_completion()
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
        let session = self
            .inner
            .client
            .session(request, self.inner.client.clock.now())?;
        let mut driver = Driver::new(self.inner.clone(), session);
        // The first event is the head, or the session would have ended.
        let Some(Event::Head(metadata)) = driver.next().await? else {
            return Err(sealwire_core::Error::from(sealwire_core::Malformed::Order).into());
        };
        let id = metadata.exchange_id;
        let pieces = unfold(Some(driver), move |driver| async move {
            let mut driver = driver?;
            loop {
                match driver.next().await {
                    Ok(Some(Event::Data(piece))) => return Some((Ok(piece), Some(driver))),
                    Ok(Some(_)) => {}
                    Ok(None) => return None,
                    Err(error) => return Some((Err(error.in_exchange(Some(id))), None)),
                }
            }
        });
        Ok(AnswerStream::new(metadata, self.memory(), pieces.boxed()))
    }

    /// Fetches the gateway's keys. Nothing is judged: this is for showing them.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn fetch_keys(&self) -> Result<KeySet, Error> {
        let session = self
            .inner
            .client
            .keys_session(self.inner.client.clock.now())?;
        Driver::new(self.inner.clone(), session).key_set().await
    }
}

impl fmt::Debug for SecureChatCompletion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecureChatCompletion")
            .field("gateway", &self.inner.send_uri)
            .finish_non_exhaustive()
    }
}
