//! A certificate for `localhost`, made on the spot.

use std::sync::Arc;

use pem_rfc7468::{LineEnding, encode_string};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};

/// A certificate that signs itself, and both ends' configuration of TLS with it.
#[derive(Clone)]
pub struct Certificate {
    der: CertificateDer<'static>,
    key: Vec<u8>,
    /// Certificate and key as PEM, for programs that read files.
    pub pem: String,
}

impl Certificate {
    /// One for `localhost`.
    ///
    /// # Panics
    /// Without randomness.
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".into()]).expect("a certificate");
        let (der, key) = (made.cert.der().clone(), made.signing_key.serialize_der());
        let pem = |label, der| encode_string(label, LineEnding::LF, der).expect("short");
        Self {
            pem: pem("CERTIFICATE", &der) + &pem("PRIVATE KEY", &key),
            der,
            key,
        }
    }

    /// A server that shows it, and speaks these protocols.
    ///
    /// # Panics
    /// If rustls does not take what rcgen made.
    pub fn server(&self, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)
            .expect("a key");
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }

    /// A client that trusts it, and nothing else.
    ///
    /// # Panics
    /// If rustls does not take what rcgen made.
    pub fn client(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate");
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth()
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
