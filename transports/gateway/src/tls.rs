//! TLS, with the roots of the platform where it is needed.

use rustls::{ClientConfig, RootCertStore};
use hyper_rustls::ConfigBuilderExt;

use crate::exit::{Exit, Failure};
use crate::url::BaseUrl;

/// The set-up for connections to `url`. A URL of `http://` asks nothing of the platform, which may have no roots, as small containers do.
pub(crate) fn config(url: &BaseUrl) -> Result<ClientConfig, Failure> {
    let cannot = |error: rustls::Error| {
        Failure::new(Exit::Failure, format!("TLS cannot be set up: {error}"))
            .advise("install the platform's root certificates (ca-certificates)")
    };
    let provider = rustls::crypto::ring::default_provider();
    let builder = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(cannot)?;
    let config = match url.is_http() {
        true => builder.with_root_certificates(RootCertStore::empty()),
        false => builder.try_with_platform_verifier().map_err(cannot)?,
    };
    Ok(config.with_no_client_auth())
}
