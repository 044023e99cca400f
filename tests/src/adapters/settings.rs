//! What a scenario says to the client and to the gateway that it runs with.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig};
use sealwire::ClientBuilder;
use sealwire::core::Suite;
use sealwire::core::exchange::{ClientOptions, ServerOptions};
use sealwire::core::head::Tier;
use sealwire::core::keys::{Identity, KeyRing, KeySet, Pin, RecordLimits, SignedRecord};
use sealwire::core::session::{RetryPolicy, Timeouts};
use sealwire::memlock::SecureArray;
use sealwire::server::GatewayConfig;

use super::{GUARD, MEMORY, Model, quick};

/// Judges a gateway's identity.
pub type Verifier = Arc<dyn Fn(&KeySet) -> bool + Send + Sync>;

/// Judges each key of a gateway by its evidence.
pub type EvidenceVerifier = Arc<dyn Fn(&KeySet, &SignedRecord) -> bool + Send + Sync>;

/// How a client is set up.
#[derive(Clone)]
pub struct Settings {
    /// Where the gateway is, or what stands before it.
    pub url: String,
    /// The gateway's pin.
    pub pin: Pin,
    /// In place of the pin, judges identities.
    pub verifier: Option<Verifier>,
    /// In place of both, judges each key.
    pub evidence_verifier: Option<EvidenceVerifier>,
    /// The API key.
    pub api_key: String,
    /// TLS that trusts the gateway's certificate; the platform's without.
    pub tls: Option<ClientConfig>,
    /// The suite.
    pub suite: Suite,
    /// The protection to ask for.
    pub tier: Option<Tier>,
    /// Retries.
    pub retry: RetryPolicy,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Limits and padding.
    pub options: ClientOptions,
}

impl Settings {
    pub(super) fn new(url: String, pin: Pin, tls: Option<ClientConfig>) -> Self {
        Self {
            url,
            pin,
            verifier: None,
            evidence_verifier: None,
            api_key: "sk-marker".into(),
            tls,
            suite: Suite::default(),
            tier: None,
            retry: quick(2),
            timeouts: Timeouts {
                connect: GUARD,
                first_byte: GUARD,
                idle: GUARD,
                total: GUARD,
            },
            options: ClientOptions::default(),
        }
    }

    /// All of it, but for TLS, which each adapter takes in its own way.
    pub fn apply<T>(&self, builder: ClientBuilder<T>) -> ClientBuilder<T> {
        let mut builder = builder
            .allow_http(true)
            .api_key(&self.api_key)
            .suite(self.suite)
            .retry(self.retry)
            .timeouts(self.timeouts)
            .options(self.options);
        if let Some(tier) = self.tier {
            builder = builder.security_tier(tier);
        }
        if let Some(verifier) = self.evidence_verifier.clone() {
            return builder.evidence_verifier(move |set, record| verifier(set, record));
        }
        match self.verifier.clone() {
            Some(verifier) => builder.verifier(move |set| verifier(set)),
            None => builder.pin(self.pin),
        }
    }
}

/// How a gateway is set up.
#[derive(Clone)]
pub struct GatewaySettings {
    /// What answers.
    pub model: Model,
    /// TLS, with the protocols in it.
    pub tls: Option<Arc<ServerConfig>>,
    /// Limits.
    pub options: ServerOptions,
    /// Limits that the key record tells clients.
    pub record: RecordLimits,
    /// What stands before the protocol's own paths.
    pub base_path: String,
    /// The longest body of a sealed request that nginx lets through, where it stands in between.
    pub longest_at_nginx: u32,
    identity: [u8; 32],
}

impl GatewaySettings {
    /// A gateway of a new identity.
    ///
    /// # Panics
    /// Without randomness or memory.
    pub fn new(model: Model) -> Self {
        let identity = Identity::generate(&MEMORY, &mut getrandom::SysRng).expect("random");
        let record = RecordLimits::default();
        Self {
            model,
            tls: None,
            options: ServerOptions::default(),
            record,
            base_path: String::new(),
            // Padding and sealing make a request larger: by an eighth at most, and a little.
            longest_at_nginx: record.max_request / 8 * 9 + 64 * 1024,
            identity: *identity.expose_scalar(),
        }
    }

    /// The identity.
    ///
    /// # Panics
    /// Without memory.
    pub fn identity(&self) -> Identity {
        let mut scalar: SecureArray<32> = MEMORY.array().expect("memory");
        scalar.expose_mut().copy_from_slice(&self.identity);
        Identity::from_scalar(scalar).expect("was one")
    }

    /// What every gateway is set up with.
    pub fn config(&self) -> GatewayConfig {
        let mut config = GatewayConfig::new(MEMORY);
        config.options = self.options;
        config.base_path.clone_from(&self.base_path);
        config
    }

    /// Keys of this identity, epoch keys new each time.
    pub fn keys(&self) -> KeyRing {
        KeyRing::new(self.identity(), Suite::ALL, self.record, MEMORY)
    }
}

/// The gateway under test.
pub trait Gateway: Send + Sync {
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// Makes new epoch keys of the same identity, as a restart does; connections, and what runs on them, go on.
    fn restart(&self);
    /// Connections accepted so far.
    fn connections(&self) -> usize;
}
