//! What the clients that make connections can be told of them.

use std::sync::Arc;

use rustls::{ClientConfig, crypto};
use rustls_platform_verifier::BuilderVerifierExt;

use super::ClientBuilder;
use crate::error::Error;

/// How a client makes connections. `C` is what only one adapter knows.
#[derive(Debug, Default)]
pub struct Settings<C> {
    pub(crate) connector: C,
    pub(crate) tls: Option<ClientConfig>,
}

impl<C> ClientBuilder<Settings<C>> {
    pub(crate) fn on(base_url: impl Into<String>, connector: C) -> Self {
        let tls = None;
        Self::new(base_url.into(), Settings { connector, tls })
    }

    /// TLS as given: other roots, client certificates. By default certificates are judged as the platform does.
    pub fn tls(mut self, config: ClientConfig) -> Self {
        self.transport.tls = Some(config);
        self
    }
}

/// The configuration that was given, or the platform's roots.
pub(crate) fn configured(config: Option<ClientConfig>) -> Result<ClientConfig, Error> {
    let platform = || {
        let provider = Arc::new(crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(builder.with_platform_verifier()?.with_no_client_auth())
    };
    config
        .map_or_else(platform, Ok)
        .map_err(|error: rustls::Error| {
            Error::config("TLS cannot be set up").because(Some(error.into()))
        })
}
