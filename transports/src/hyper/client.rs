//! The client's face: whole answers, streamed ones, and any other endpoint.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::stream::{StreamExt, unfold};
use hyper::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client as Pool, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use sealwire_core::chat::ChatRequest;
use sealwire_core::exchange::Request;
use sealwire_core::keys::{KeySet, Pin};
use sealwire_memlock::{SecureBytes, SecureMemory};

use super::driver::{Driver, HttpService, Remote};
use super::layer::SealLayer;
use super::upload::SealedUpload;
use crate::answer::{Answer, Completion};
use crate::client::{CHAT_PATH, Client, Event};
use crate::config::{ClientBuilder, Config};
use crate::error::Error;
use crate::stream::{AnswerStream, ChatStream};

/// hyper-util's pool of connections, plain and TLS: what a client goes over that brings nothing else.
pub type HttpPool = Pool<HttpsConnector<HttpConnector>, SealedUpload>;

/// What only the hyper client can be told.
#[derive(Debug, Default)]
pub struct Transport {
    tls: Option<ClientConfig>,
    http2_only: bool,
}

/// A client of a gateway: chats go out sealed, and come back so.
///
/// It goes over an [`HttpService`]: a pool of its own, or what a [`SealLayer`] was laid around. It is a tower service itself,
/// which seals any `http::Request`: see there.
///
/// Cheap to clone; clones share connections, and what is known of the gateway. It must be used within a tokio runtime,
/// which hyper's pool and timers need.
#[derive(Clone)]
pub struct SecureChatCompletion<S = HttpPool> {
    pub(super) remote: Arc<Remote>,
    service: S,
}

impl ClientBuilder<Transport> {
    /// TLS as given: other roots, client certificates. By default certificates are judged as the platform does.
    pub fn tls(mut self, config: ClientConfig) -> Self {
        self.transport.tls = Some(config);
        self
    }

    /// Speaks HTTP/2 at once: also without TLS ("prior knowledge"), where HTTP/1.1 is spoken otherwise, and with TLS to a gateway
    /// that must offer it. By default TLS negotiates the version. Default: no.
    pub fn http2_only(mut self, only: bool) -> Self {
        self.transport.http2_only = only;
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), which says what to change.
    pub fn build(self) -> Result<SecureChatCompletion, Error> {
        let (config, transport) = self.check()?;
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
            .https_or_http();
        let connector = match transport.http2_only {
            true => connector.enable_http2().wrap_connector(tcp),
            false => connector.enable_all_versions().wrap_connector(tcp),
        };
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .http2_only(transport.http2_only)
            .build(connector);
        Ok(SecureChatCompletion::over(remote(config)?, pool))
    }

    /// A layer that seals what passes through an HTTP client that there is already. Connections, TLS and the version of HTTP are
    /// that client's.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), which says what to change.
    pub fn layer(self) -> Result<SealLayer, Error> {
        let (config, transport) = self.check()?;
        if transport.tls.is_some() || transport.http2_only {
            return Err(Error::config(
                "TLS and the version of HTTP are up to the client under the layer: set them there",
            ));
        }
        Ok(SealLayer::new(remote(config)?))
    }
}

fn remote(config: Config) -> Result<Arc<Remote>, Error> {
    let uri = |path| {
        format!("{}{path}", config.base_url)
            .parse::<Uri>()
            .map_err(|error| {
                Error::config("the base URL cannot be read").because(Some(error.into()))
            })
    };
    Ok(Arc::new(Remote {
        keys_uri: uri(crate::KEYS_PATH)?,
        send_uri: uri(crate::SEND_PATH)?,
        client: Client::new(config),
    }))
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
}

impl<S: HttpService> SecureChatCompletion<S> {
    pub(super) const fn over(remote: Arc<Remote>, service: S) -> Self {
        Self { remote, service }
    }

    /// Where this client keeps secrets; bodies for [`request`](Self::request) are best written there.
    pub fn memory(&self) -> &SecureMemory {
        self.remote.client.memory()
    }

    /// The pin of the gateway, once it is known and trusted.
    pub fn gateway_pin(&self) -> Option<Pin> {
        self.remote.client.gateway().pin()
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
    pub fn send(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<AnswerStream, Error>> + Send + use<S> {
        let (remote, service) = (self.remote.clone(), self.service.clone());
        async move {
            let session = remote.client.session(request, remote.client.clock.now())?;
            let memory = remote.client.memory().clone();
            let mut driver = Driver::new(remote, service, session);
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
            Ok(AnswerStream::new(metadata, &memory, pieces.boxed()))
        }
    }

    /// Fetches the gateway's keys. Nothing is judged: this is for showing them.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn fetch_keys(&self) -> Result<KeySet, Error> {
        let session = self
            .remote
            .client
            .keys_session(self.remote.client.clock.now())?;
        let driver = Driver::new(self.remote.clone(), self.service.clone(), session);
        driver.key_set().await
    }
}

impl<S> fmt::Debug for SecureChatCompletion<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecureChatCompletion")
            .field("gateway", &self.remote.send_uri)
            .finish_non_exhaustive()
    }
}
