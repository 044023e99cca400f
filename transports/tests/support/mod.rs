//! What every test of the adapters says and hears: those of transports/tests, and the suite of the crate in tests/.
#![allow(dead_code, unreachable_pub)] // none of them needs all of it, and only the suite shows it on

mod certificate;

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use sealwire::Error;
use sealwire::chat::{ChatCompletion, ChatRequest, Message};
use sealwire::core::UnixTime;
use sealwire::core::session::RetryPolicy;
use sealwire::memlock::{Policy, SecureBytes, SecureMemory};
use sealwire::server::{Reply, ReplyBody};
use tokio::net::TcpSocket;

pub use certificate::Certificate;

/// Secure memory of tests, which must pass where none can be locked.
pub const MEMORY: SecureMemory = SecureMemory::new(Policy::BestEffort);

/// How long a test waits for what must come, however busy the machine.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// A whole chat that says "sealed answer".
pub const CHAT: &[u8] = br#"{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"sealed answer"}}]}"#;

/// The prompt of every test that needs no other.
pub fn chat() -> ChatRequest<'static> {
    ChatRequest::new("test-model").message(Message::user("prompt-marker"))
}

/// What a whole chat says.
///
/// # Panics
/// If it says nothing.
pub fn text(chat: &ChatCompletion) -> String {
    let choice = chat.choices().next().expect("one choice");
    let content = choice.message().content().expect("content");
    let text = content.to_secure(&MEMORY).expect("memory");
    text.expose().to_owned()
}

/// What the date is.
///
/// # Panics
/// Before 1970.
pub fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::from_millis(since.expect("after 1970").as_millis() as u64)
}

/// Secure bytes of this content.
///
/// # Panics
/// Without memory.
pub fn bytes(content: &[u8]) -> SecureBytes {
    MEMORY.copy_from(content).expect("memory")
}

/// A whole answer of JSON.
pub fn json(status: u16, body: &[u8]) -> Reply {
    Reply::new(status, "application/json", ReplyBody::Whole(bytes(body)))
}

/// The data of one event with this text in it, which needs no escapes.
pub fn delta(text: &str) -> Vec<u8> {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
        .into()
}

/// Retries without much of a wait.
pub const fn quick(max_retries: u32) -> RetryPolicy {
    RetryPolicy {
        max_retries,
        base: Duration::from_millis(5),
        max: Duration::from_millis(20),
    }
}

/// A port at which nobody listens as long as this lives: it is taken, so no other test gets it by chance. A program that is told of it can
/// listen there all the same, for it allows that (SO_REUSEADDR).
pub struct Reserved(TcpSocket);

impl Reserved {
    /// A free port of this machine.
    ///
    /// # Panics
    /// If there is none.
    pub fn port() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
        Self(socket)
    }

    /// Where it is.
    ///
    /// # Panics
    /// Never: it was bound.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("bound")
    }
}

/// An error and everything beneath it, as a log would have it.
pub fn printed(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut next = StdError::source(error);
    while let Some(source) = next {
        text += &format!(" {source} {source:?}");
        next = source.source();
    }
    text
}
