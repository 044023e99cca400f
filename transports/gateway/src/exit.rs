//! How the program ends: exit codes, and failures that say what to do next.

use std::fmt;
use std::process::ExitCode;

use sealwire::chat::ApiError;
use sealwire::{Error, ErrorKind};
use sealwire_core::session::{Failure as Link, SessionError};
use sealwire_core::{Error as CoreError, ErrorCode, Misuse, PeerError};
use sealwire_memlock::{MemoryError, SecureString};

use crate::terminal;

/// What the help says of [`Exit`]: a literal, so that `concat!` takes it.
macro_rules! exit_codes {
    () => {
        "Exit codes:
  0  done
  1  another failure, on this machine
  2  the command line is wrong
  3  identity or trust: a wrong pin, a changed identity, a key file that others can read
  4  no connection, or an address that cannot be listened on
  5  the gateway or the model server refused the request, or failed
  6  the answer is not whole
  7  the API key was refused, or may not do this
  8  too many requests: try again later"
    };
}
pub(crate) use exit_codes;

/// The exit codes. Scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Failure = 1,
    Usage = 2,
    Trust = 3,
    Connection = 4,
    Refused = 5,
    NotWhole = 6,
    Authorization = 7,
    RateLimit = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    advice: String,
    /// What the server said. It may quote prompt or key, so it is kept apart and goes to the user's eyes only.
    words: Option<SecureString>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            advice: String::new(),
            words: None,
        }
    }

    /// Adds what to do next.
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// Says so on standard error.
    pub(crate) fn show(&self) {
        let bad = terminal::BAD;
        anstream::eprintln!("{bad}error:{bad:#} {}", self.message);
        if let Some(words) = &self.words {
            terminal::quote_on_stderr("the server says: ", words.expose());
        }
        if !self.advice.is_empty() {
            anstream::eprintln!("  {}", self.advice);
        }
    }

    /// The failure of a request. `begun` is whether a part of its answer was shown already.
    pub(crate) fn of_request(error: &Error, begun: bool) -> Self {
        // The program's own words are for its user; what lies beneath is for whoever looks for the cause.
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            log::info!("because: {cause}");
            source = cause.source();
        }
        let mut failure = match error.session() {
            Some(session) => of_session(session, error.kind()),
            None => of_answer(error),
        };
        if let Some(seconds) = error.retry_after() {
            failure.advice = format!("wait {seconds} s, then try again");
        }
        failure.words = server_words(error);
        if error.tries() > 1 {
            failure.message = format!("{}, after {} tries", failure.message, error.tries());
        }
        if begun && failure.exit != Exit::Trust {
            failure.exit = Exit::NotWhole;
            failure.message = format!("the answer above is not whole: {}", failure.message);
        }
        failure
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<MemoryError> for Failure {
    fn from(error: MemoryError) -> Self {
        Self::new(Exit::Failure, format!("no secure memory: {error}")).advise(error.remedy())
    }
}

impl From<CoreError> for Failure {
    fn from(error: CoreError) -> Self {
        Self::new(Exit::Failure, error.to_string())
    }
}

fn of_session(error: &SessionError, kind: ErrorKind) -> Failure {
    let (exit, advice) = match error {
        SessionError::Identity { .. } | SessionError::Untrusted { .. } => (
            Exit::Trust,
            "ask the gateway's operator for its pin, and pass it by --pin; nothing was sent",
        ),
        SessionError::Exchange(CoreError::Peer(PeerError::Truncated)) => {
            return Failure::new(Exit::NotWhole, "the answer was cut off before its end")
                .advise("send the request again");
        }
        SessionError::Exchange(CoreError::Misuse(Misuse::TooLarge { what, limit })) => {
            return Failure::new(
                Exit::Refused,
                format!("the {what} is larger than the gateway accepts, which is {limit} bytes"),
            )
            .advise("shorten the prompt, or begin a new conversation; nothing was sent");
        }
        SessionError::Exchange(CoreError::Peer(_)) => (
            Exit::Trust,
            "something in between may have changed it; try again, or tell the gateway's operator",
        ),
        SessionError::Keys(_) => (
            Exit::Trust,
            "`sealwire keys` shows what the gateway offers: it may lack the suite, or the clocks may differ",
        ),
        SessionError::Exchange(CoreError::Environment(_)) => (
            Exit::Failure,
            "run `sealwire info` for the state of secure memory",
        ),
        SessionError::Exchange(_) => (Exit::Refused, "change the request"),
        SessionError::Refused { code, .. } => return of_refusal(*code),
        SessionError::Rejected(_) => (
            Exit::Refused,
            "try again; if it stays, client and gateway may be of different versions, or offer different suites",
        ),
        SessionError::Intermediary { status, .. } => {
            return Failure::new(
                Exit::Connection,
                format!("what answered is no sealwire gateway: HTTP status {status}"),
            )
            .advise(
                "check the URL given by --gateway, and what stands between here and the gateway",
            );
        }
        SessionError::Connection(Link::Tls) => (
            Exit::Trust,
            "check the URL, or have the gateway's certificate put right",
        ),
        SessionError::Connection(Link::Connect) => (
            Exit::Connection,
            "check the URL given by --gateway, the network, and whether `sealwire serve` runs there; it speaks no TLS itself, so \
             https:// needs a TLS terminator before it",
        ),
        SessionError::Connection(Link::TlsRefused) => (
            Exit::Connection,
            "`sealwire chat` has no client certificate to show: go another way, or use the library, whose `tls` takes one",
        ),
        SessionError::Connection(_) => (Exit::Connection, "try again"),
        SessionError::Timeout { .. } => (Exit::Connection, "try again, or ask for less"),
        _ if kind == ErrorKind::Security => (Exit::Trust, "tell the gateway's operator"),
        _ => (Exit::Refused, "try again"),
    };
    Failure::new(exit, error.to_string()).advise(advice)
}

fn of_refusal(code: ErrorCode) -> Failure {
    let advice = match code {
        ErrorCode::TooLarge => "shorten the prompt, or begin a new conversation",
        ErrorCode::Time => "set this machine's clock",
        ErrorCode::Forbidden => "the gateway serves paths under /v1/ only",
        ErrorCode::Upstream | ErrorCode::Timeout => {
            "try again; if it stays, tell the gateway's operator"
        }
        ErrorCode::Malformed => "client and gateway may be of different versions",
        _ => "try again later",
    };
    Failure::new(Exit::Refused, code.to_string()).advise(advice)
}

/// A failure that the sealed answer itself tells of.
fn of_answer(error: &Error) -> Failure {
    let status = error.status().unwrap_or_default();
    let (exit, message, advice) = match error.kind() {
        ErrorKind::Authentication => (
            Exit::Authorization,
            format!("the API key was refused (status {status})"),
            "give a valid key by --api-key-file",
        ),
        ErrorKind::Forbidden => (
            Exit::Authorization,
            format!("the API key may not do this (status {status})"),
            "use another key or another model",
        ),
        ErrorKind::RateLimit => (
            Exit::RateLimit,
            format!("too many requests (status {status})"),
            "wait a while, then try again",
        ),
        ErrorKind::Config => (
            Exit::Failure,
            error.to_string(),
            "run `sealwire info` for the state of secure memory",
        ),
        _ if status < 300 && told(error).is_some() => (
            Exit::Refused,
            "the model server ended its answer with an error".into(),
            "try again; if it stays, tell the gateway's operator",
        ),
        _ if status < 300 => (
            Exit::Refused,
            error.to_string(),
            "check that the server behind the gateway is OpenAI-compatible and knows the model",
        ),
        ErrorKind::InvalidRequest => (
            Exit::Refused,
            format!("the server refused the request (status {status})"),
            "check the model's name, and shorten the conversation if it is long",
        ),
        _ => (
            Exit::Refused,
            format!("the server behind the gateway failed (status {status})"),
            "try again; if it stays, tell the gateway's operator",
        ),
    };
    Failure::new(exit, message).advise(advice)
}

/// What the server tells of itself.
fn told(error: &Error) -> Option<ApiError<'_>> {
    error.body()?.error()
}

fn server_words(error: &Error) -> Option<SecureString> {
    let message = told(error)?.message()?;
    message.to_secure(&Default::default()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_an_answer_is_never_a_success_or_a_plain_refusal() {
        let error = Error::from(SessionError::Refused {
            code: ErrorCode::Upstream,
            answer_begun: true,
        });
        assert_eq!(Failure::of_request(&error, true).exit(), Exit::NotWhole);
        assert_eq!(Failure::of_request(&error, false).exit(), Exit::Refused);
    }

    #[test]
    fn every_failure_of_a_session_says_what_to_do() {
        for error in [
            SessionError::Connection(Link::Connect),
            SessionError::Connection(Link::Reset),
            SessionError::Connection(Link::Tls),
            SessionError::Connection(Link::TlsRefused),
            SessionError::Connection(Link::Gone),
            SessionError::Timeout { what: "x" },
            SessionError::Exchange(PeerError::Truncated.into()),
            SessionError::Exchange(PeerError::Undecryptable.into()),
            SessionError::Intermediary {
                status: 502,
                retry_after: None,
            },
        ] {
            let failure = Failure::of_request(&Error::from(error), false);
            assert!(!failure.advice.is_empty(), "{failure}");
        }
    }
}
