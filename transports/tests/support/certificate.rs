//! Certificates, made on the spot.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, DEFAULT_VERSIONS, RootCertStore, ServerConfig, SupportedProtocolVersion, crypto,
};

/// A certificate that signs itself, and both ends' configuration of TLS with it.
#[derive(Clone)]
pub struct Certificate {
    der: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Certificate {
    /// One for `localhost`.
    ///
    /// # Panics
    /// Without randomness.
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".into()]).expect("a certificate");
        Self {
            der: made.cert.der().clone(),
            key: made.signing_key.serialize_der(),
        }
    }

    /// Certificate and key, as DER.
    pub fn der(&self) -> (&[u8], &[u8]) {
        (&self.der, &self.key)
    }

    /// A server that shows it, and speaks these protocols.
    ///
    /// # Panics
    /// If rustls does not take what rcgen made.
    pub fn server(&self, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        self.server_of(protocols, None)
    }

    /// The same, and it lets in nobody but who shows `client`.
    ///
    /// # Panics
    /// If rustls does not take what rcgen made.
    pub fn server_for(&self, client: &Self, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        self.server_of(protocols, Some(client))
    }

    fn server_of(&self, protocols: &[&[u8]], client: Option<&Self>) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let roots = Arc::new(client.roots());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let mut config = builder
            .with_single_cert(vec![self.der.clone()], self.key())
            .expect("a key");
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }

    /// A client that trusts it, and nothing else.
    ///
    /// # Panics
    /// If rustls does not take what rcgen made.
    pub fn client(&self) -> ClientConfig {
        self.client_as(None, DEFAULT_VERSIONS)
    }

    /// The same, which shows `own` if it is asked for a certificate, and speaks these versions of TLS.
    ///
    /// # Panics
    /// If rustls does not take what rcgen made.
    pub fn client_as(
        &self,
        own: Option<&Self>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(self.roots());
        match own {
            None => builder.with_no_client_auth(),
            Some(own) => builder
                .with_client_auth_cert(vec![own.der.clone()], own.key())
                .expect("a key"),
        }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate");
        roots
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))
    }
}

impl Default for Certificate {
    fn default() -> Self {
        Self::new()
    }
}

fn provider() -> Arc<crypto::CryptoProvider> {
    Arc::new(crypto::ring::default_provider())
}
