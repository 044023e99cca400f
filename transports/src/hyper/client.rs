//! The client: what its builder makes.

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client as Pool, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::client::{ClientBuilder, SecureChatCompletion as Face, Settings, configured};
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
pub struct Versions {
    http2_only: bool,
}

impl ClientBuilder<Settings<Versions>> {
    /// Speaks HTTP/2 at once: also without TLS ("prior knowledge"), where HTTP/1.1 is spoken otherwise, and with TLS to a gateway
    /// that must offer it. By default TLS negotiates the version. Default: no.
    pub fn http2_only(mut self, only: bool) -> Self {
        self.transport.connector.http2_only = only;
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), which says what to change.
    pub fn build(self) -> Result<SecureChatCompletion, Error> {
        let (config, transport) = self.check()?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(configured(transport.tls)?)
            .https_or_http();
        let connector = match transport.connector.http2_only {
            true => connector.enable_http2().wrap_connector(tcp),
            false => connector.enable_all_versions().wrap_connector(tcp),
        };
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .http2_only(transport.connector.http2_only)
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
        if transport.tls.is_some() || transport.connector.http2_only {
            return Err(Error::config(
                "TLS and the version of HTTP are up to the client under the layer: set them there",
            ));
        }
        Ok(SealLayer::new(Remote::new(config)?))
    }
}

impl SecureChatCompletion {
    /// Sets up a client of the gateway at `base_url`.
    pub fn builder(base_url: impl Into<String>) -> ClientBuilder<Settings<Versions>> {
        ClientBuilder::on(base_url, Versions::default())
    }
}
