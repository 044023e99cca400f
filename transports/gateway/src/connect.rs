//! A client of a gateway that is trusted: by its pin, or by first use (TRUST-1, TRUST-2).

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use sealwire::hyper::SecureChatCompletion;
use sealwire_core::Suite;
use sealwire_core::keys::Pin;
use sealwire_core::session::SessionError;
use sealwire_memlock::{SecureMemory, SecureString};

use crate::exit::{Exit, Failure};
use crate::known_gateways::{Known, KnownGateways};
use crate::terminal::WARN;
use crate::tls;
use crate::url::BaseUrl;

/// How to reach a gateway, and what it must prove.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) url: BaseUrl,
    pub(crate) allow_http: bool,
    pub(crate) post_quantum: bool,
    pub(crate) trust: TrustBy,
}

/// Why a gateway is trusted.
#[derive(Debug)]
pub(crate) enum TrustBy {
    Pin(Pin),
    FirstUse(Option<PathBuf>),
}

/// A client, and where the pin that it insists on comes from.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: SecureChatCompletion,
    remembered: Option<(PathBuf, Known)>,
}

impl Target {
    /// A client that insists on the gateway's identity. First use is settled here; then nothing has been sent but a request for keys.
    pub(crate) async fn connect(
        self,
        api_key: Option<&SecureString>,
        memory: &SecureMemory,
    ) -> Result<Connection, Failure> {
        self.url.check_scheme(self.allow_http)?;
        let (pin, remembered) = match &self.trust {
            TrustBy::Pin(pin) => (*pin, None),
            TrustBy::FirstUse(path) => {
                let file = KnownGateways::at(path.clone())?;
                match file.find(&self.url)? {
                    Some(known) => (known.pin, Some((file.path().to_owned(), known))),
                    None => (self.meet(&file, memory).await?, None),
                }
            }
        };
        let mut builder = SecureChatCompletion::builder(self.url.as_str())
            .memory(memory.clone())
            .allow_http(self.allow_http)
            .suite(match self.post_quantum {
                true => Suite::MlKem768P256,
                false => Suite::P256,
            })
            .tls(tls::config(&self.url)?)
            .pin(pin);
        if let Some(key) = api_key {
            builder = builder.api_key(key.expose());
        }
        let client = builder.build().map_err(|error| setup(&error))?;
        Ok(Connection { client, remembered })
    }

    /// First use: shows the identity, and asks.
    async fn meet(&self, file: &KnownGateways, memory: &SecureMemory) -> Result<Pin, Failure> {
        let found = fetch_keys(&self.url, self.allow_http, memory).await?.pin();
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Failure::new(
                Exit::Trust,
                format!("{} is not known yet, and nobody is here to be asked", self.url),
            )
            .advise(format!(
                "if its operator confirms this identity, add --pin {found}"
            )));
        }
        anstream::eprintln!(
            "{WARN}{} is not known yet.{WARN:#} It shows this identity:\n  {found}\n\
             Compare it with the pin that its operator gives you: whoever answers here will read everything.",
            self.url
        );
        let trusted = tokio::task::spawn_blocking(|| ask("Trust it from now on? [y/N] "))
            .await
            .is_ok_and(|answer| answer.unwrap_or(false));
        if !trusted {
            return Err(Failure::new(Exit::Trust, format!("{} is not trusted", self.url))
                .advise("ask its operator for the pin, and pass it by --pin; nothing was sent"));
        }
        file.add(&self.url, &found)?;
        anstream::eprintln!("Remembered in {}.", file.path().display());
        Ok(found)
    }
}

impl Connection {
    /// The failure of a request, with the place where a changed identity is remembered.
    pub(crate) fn failure(&self, error: &sealwire::Error, begun: bool) -> Failure {
        match (error.session(), &self.remembered) {
            (Some(SessionError::Identity { expected, found }), Some((path, known))) => {
                let (path, line) = (path.display(), known.line);
                Failure::new(
                    Exit::Trust,
                    format!(
                        "THE IDENTITY OF THE GATEWAY HAS CHANGED\n  \
                         remembered {expected} (line {line} of {path})\n  \
                         found      {found}\n  \
                         Either its operator made a new identity, or someone is in between. Nothing was sent."
                    ),
                )
                .advise(format!(
                    "ask the operator; if the new identity is right, delete line {line} of {path}, or pass --pin {found}"
                ))
            }
            _ => Failure::of_request(error, begun),
        }
    }
}

/// What a gateway shows of itself, not judged.
pub(crate) async fn fetch_keys(
    url: &BaseUrl,
    allow_http: bool,
    memory: &SecureMemory,
) -> Result<sealwire_core::keys::KeySet, Failure> {
    url.check_scheme(allow_http)?;
    let client = SecureChatCompletion::builder(url.as_str())
        .memory(memory.clone())
        .allow_http(allow_http)
        .tls(tls::config(url)?)
        .verifier(|_| false)
        .build()
        .map_err(|error| setup(&error))?;
    client
        .fetch_keys()
        .await
        .map_err(|error| Failure::of_request(&error, false))
}

fn setup(error: &sealwire::Error) -> Failure {
    Failure::new(Exit::Usage, error.to_string()).advise("check the URL given by --gateway")
}

/// Only a whole "y" or "yes" is one.
fn ask(question: &str) -> io::Result<bool> {
    io::stderr().write_all(question.as_bytes())?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    let answer = answer.trim();
    Ok(answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"))
}
