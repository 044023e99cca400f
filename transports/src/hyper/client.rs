//! The client: what its builder makes.

use std::sync::Arc;

use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client as Pool, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use crate::client::{ClientBuilder, SecureChatCompletion as Face};
use crate::error::Error;
use crate::http::{Http, Remote, SealLayer, SealedUpload, over};

/// hyper-util's pool of connections, plain and TLS: what a client goes over that brings nothing else.
pub type HttpPool = Pool<HttpsConnector<HttpConnector>, SealedUpload>;

/// A client of a gateway, which goes over an [`HttpService`](super::HttpService): a pool of its own, or what a [`SealLayer`] was laid
/// around.
///
/// It is a tower service itself, which seals any `http::Request`: see there. It must be used within a tokio runtime, which hyper's pool
/// and timers need.
pub type SecureChatCompletion<S = HttpPool> = Face<Http<S>>;

/// What only the hyper client can be told.
#[derive(Debug, Default)]
pub struct Settings {
    tls: Option<ClientConfig>,
    http2_only: bool,
}

impl ClientBuilder<Settings> {
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
        Ok(over(Remote::new(config)?, pool))
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
        Ok(SealLayer::new(Remote::new(config)?))
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
    pub fn builder(base_url: impl Into<String>) -> ClientBuilder<Settings> {
        ClientBuilder::new(base_url.into(), Settings::default())
    }
}
