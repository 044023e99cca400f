//! How a client is set up, the same for every adapter.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

use sealwire_core::Suite;
use sealwire_core::exchange::ClientOptions;
use sealwire_core::head::Tier;
use sealwire_core::keys::{KeySet, Pin, SignedRecord};
use sealwire_core::padding::Padding;
use sealwire_core::session::{RetryPolicy, SessionConfig, Timeouts, Trust};
use sealwire_memlock::{MemoryError, Policy, SecureBytes, SecureMemory};

#[cfg(feature = "_lines")]
use crate::address::Address;
use crate::error::Error;

/// Judges a gateway by its key set, and the record that would be used: true if it is trusted.
pub(crate) type Verifier = Box<dyn Fn(&KeySet, &SignedRecord) -> bool + Send + Sync>;

/// Sets up a client. `T` is what only one adapter knows.
///
/// Needed are a base URL and a way to trust the gateway: [`pin`](Self::pin) or [`verifier`](Self::verifier).
#[must_use]
pub struct ClientBuilder<T> {
    base_url: String,
    allow_http: bool,
    authorization: Option<Result<SecureBytes, MemoryError>>,
    memory: SecureMemory,
    trust: Option<Trust>,
    verifier: Option<Verifier>,
    tier: Option<Tier>,
    session: SessionConfig,
    pub(crate) transport: T,
}

/// A configuration that was checked.
pub(crate) struct Config {
    /// Empty for a stream that is there already.
    pub(crate) base_url: String,
    /// The same, taken apart, for adapters that open connections themselves.
    #[cfg(feature = "_lines")]
    pub(crate) address: Option<Address>,
    pub(crate) authorization: Option<SecureBytes>,
    pub(crate) memory: SecureMemory,
    pub(crate) verifier: Option<Verifier>,
    pub(crate) tier: Option<Tier>,
    pub(crate) session: SessionConfig,
}

impl<T> ClientBuilder<T> {
    pub(crate) fn new(base_url: String, transport: T) -> Self {
        Self {
            base_url,
            allow_http: false,
            authorization: None,
            memory: SecureMemory::new(Policy::BestEffort),
            trust: None,
            verifier: None,
            tier: None,
            session: SessionConfig::new(Trust::Ask),
            transport,
        }
    }

    /// The API key. It is copied into secure memory, sealed into each request, and no part of HTTP ever sees it.
    pub fn api_key(mut self, key: &str) -> Self {
        let copy = || {
            let mut value = self.memory.copy_from(b"Bearer ")?;
            value.try_extend_from_slice(key.as_bytes())?;
            Ok(value)
        };
        self.authorization = Some(copy());
        self
    }

    /// Whether a base URL of `http://` is allowed. Requests are sealed over it too; addresses, times and the fact that
    /// sealwire is spoken are what TLS would hide. Default: no.
    pub fn allow_http(mut self, allow: bool) -> Self {
        self.allow_http = allow;
        self
    }

    /// Whether secrets are kept in locked pages, where the system lets them. Default: yes.
    pub fn secure_memory(self, enabled: bool) -> Self {
        self.memory(SecureMemory::new(match enabled {
            true => Policy::BestEffort,
            false => Policy::Off,
        }))
    }

    /// Where secrets are kept; with [`Policy::Required`], nothing works without locked pages.
    pub fn memory(mut self, memory: SecureMemory) -> Self {
        self.memory = memory;
        self
    }

    /// Trusts the gateway of this pin, and no other. Its operator's `sealwire keys` prints it.
    pub fn pin(mut self, pin: Pin) -> Self {
        self.trust = Some(Trust::Pin(pin));
        self
    }

    /// Trusts gateways that `verifier` says yes to, such as by what was remembered from first use.
    /// It is called whenever the client meets an identity it does not know.
    pub fn verifier(mut self, verifier: impl Fn(&KeySet) -> bool + Send + Sync + 'static) -> Self {
        self.trust = Some(Trust::Ask);
        self.verifier = Some(Box::new(move |set, _| verifier(set)));
        self
    }

    /// Trusts keys that `verifier` says yes to, by their attestation evidence. It is called for each record before it is first
    /// used, also of an identity that it has met: the evidence must commit to [`SignedRecord::hash`] (spec section 5.4).
    pub fn evidence_verifier(
        mut self,
        verifier: impl Fn(&KeySet, &SignedRecord) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.trust = Some(Trust::AskEachKey);
        self.verifier = Some(Box::new(verifier));
        self
    }

    /// Trusts whatever answers: whoever controls the connection reads everything.
    pub fn dangerous_trust_any(mut self) -> Self {
        self.trust = Some(Trust::DangerousAny);
        self
    }

    /// Tries after the first. Default: 2.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.session.retry.max_retries = retries;
        self
    }

    /// How often, and when, to try again.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.session.retry = retry;
        self
    }

    /// How long a connection may take. Default: 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.session.timeouts.connect = timeout;
        self
    }

    /// How long the answer may take to begin, which a whole one does when the model is done. Default: 15 minutes.
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.session.timeouts.first_byte = timeout;
        self
    }

    /// How long there may be nothing new in an answer. Default: 2 minutes.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.session.timeouts.idle = timeout;
        self
    }

    /// How long everything may take, retries included. Default: 30 minutes.
    pub fn total_timeout(mut self, timeout: Duration) -> Self {
        self.session.timeouts.total = timeout;
        self
    }

    /// All timeouts.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.session.timeouts = timeouts;
        self
    }

    /// The suite. Nothing that a peer says changes it.
    pub fn suite(mut self, suite: Suite) -> Self {
        self.session.suite = suite;
        self
    }

    /// The padding of requests. Default: Padmé.
    pub fn padding(mut self, padding: Padding) -> Self {
        self.session.options.padding = padding;
        self
    }

    /// Limits, and the padding of both directions.
    pub fn options(mut self, options: ClientOptions) -> Self {
        self.session.options = options;
        self
    }

    /// The protection to ask for the machine that runs the model.
    pub fn security_tier(mut self, tier: Tier) -> Self {
        self.tier = Some(tier);
        self
    }

    /// Checks everything and takes it apart. The base URL is one of HTTP.
    #[cfg(feature = "hyper")]
    pub(crate) fn check(mut self) -> Result<(Config, T), Error> {
        self.base_url = check_url(self.base_url, self.allow_http, &["http", "https"])?;
        self.take_apart()
    }

    /// Checks everything and takes it apart. The base URL may be that of a raw stream too.
    #[cfg(feature = "_http1")]
    pub(crate) fn check_address(mut self) -> Result<(Config, Address, T), Error> {
        let schemes = &["http", "https", "tcp", "tls"];
        self.base_url = check_url(self.base_url, self.allow_http, schemes)?;
        let address = Address::parse(&self.base_url)?;
        self.session.options.one_exchange = address.wire == crate::address::Wire::Http;
        let (mut config, transport) = self.take_apart()?;
        config.address = Some(address.clone());
        Ok((config, address, transport))
    }

    /// The same for a stream that is there already.
    #[cfg(feature = "blocking")]
    pub(crate) fn check_stream(mut self) -> Result<(Config, T), Error> {
        self.session.options.one_exchange = false;
        self.take_apart()
    }

    fn take_apart(self) -> Result<(Config, T), Error> {
        let Some(trust) = self.trust else {
            return Err(Error::config(
                "nothing says which gateway to trust: give its `pin` (`sealwire keys --gateway URL` shows it), or a `verifier`",
            ));
        };
        let config = Config {
            base_url: self.base_url,
            #[cfg(feature = "_lines")]
            address: None,
            authorization: self.authorization.transpose()?,
            memory: self.memory,
            verifier: self.verifier,
            tier: self.tier,
            session: SessionConfig {
                trust,
                ..self.session
            },
        };
        Ok((config, self.transport))
    }
}

impl<T> fmt::Debug for ClientBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// A base URL is scheme, host, and perhaps a path; without a slash at its end, its scheme in lower case.
#[cfg(feature = "_host")]
fn check_url(mut url: String, allow_http: bool, schemes: &[&str]) -> Result<String, Error> {
    let scheme_len = url.find("://").unwrap_or_default();
    url[..scheme_len].make_ascii_lowercase();
    let (scheme, rest) = url.split_at(scheme_len);
    if !schemes.contains(&scheme) {
        return Err(Error::config(match schemes.contains(&"tls") {
            true => "the base URL must begin with https://, or with tls:// for a raw stream",
            false => "the base URL must begin with https://",
        }));
    }
    if matches!(scheme, "http" | "tcp") && !allow_http {
        return Err(Error::config(
            "the base URL is http:// or tcp://, without TLS: use https:// or tls://, or say `allow_http(true)`",
        ));
    }
    let rest = &rest["://".len()..];
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.is_empty() || authority.contains('@') {
        return Err(Error::config(
            "the base URL needs a host, and no user name or password",
        ));
    }
    if !rest.bytes().all(|byte| byte.is_ascii_graphic()) || rest.contains(['?', '#', '\\']) {
        return Err(Error::config(
            "the base URL is scheme, host and path alone, without a query",
        ));
    }
    url.truncate(url.trim_end_matches('/').len());
    Ok(url)
}

#[cfg(all(test, feature = "_host"))]
mod tests {
    use super::check_url;

    #[test]
    fn base_urls() {
        let check = |url: &str, allow| check_url(url.into(), allow, &["http", "https"]).ok();
        assert_eq!(
            check("https://g.example/", false).as_deref(),
            Some("https://g.example")
        );
        assert_eq!(
            check("https://g.example/a/b//", false).as_deref(),
            Some("https://g.example/a/b")
        );
        assert_eq!(
            check("http://[::1]:8080", true).as_deref(),
            Some("http://[::1]:8080")
        );
        for (url, allow) in [
            ("http://g.example", false),
            ("HTTP://g.example", false),
            ("g.example", true),
            ("ftp://g.example", true),
            ("https://", true),
            ("https:///path", true),
            ("https://user:password@g.example", true),
            ("https://g.example/?query", true),
            ("https://g.example/#part", true),
            ("https://g.example/a b", true),
            ("https://g.example\r\nx: y", true),
        ] {
            assert_eq!(check(url, allow), None, "{url}");
        }
    }
}
