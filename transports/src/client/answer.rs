//! Answers: what is known of them, whole ones, and the pieces of streamed ones.

use alloc::string::String;
use alloc::vec::Vec;

use sealwire_core::chat::{ChatChunk, ChatCompletion, ChatError};
use sealwire_core::head::{EXCHANGE_ID_LEN, ResponseHead, Tier};
use sealwire_core::{Suite, UnixTime};
use sealwire_memlock::{SecureBytes, SecureMemory, SecureString};

use crate::error::Error;

/// What is known of an answer besides its body: the Python client's `_metadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// The HTTP status, sealed with the answer.
    pub status: u16,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// The id of the exchange, by which the gateway's operator finds it.
    pub exchange_id: [u8; EXCHANGE_ID_LEN],
    /// When the gateway had the answer.
    pub processed_at: Option<UnixTime>,
    /// The suite that the exchange was sealed with.
    pub suite: Suite,
    /// The protection that the gateway gave.
    pub tier: Option<Tier>,
    /// How the gateway protects its memory.
    pub memory_protection: Option<ServerMemory>,
    /// Seconds to wait before a retry.
    pub retry_after: Option<u32>,
    /// Header fields that may travel: `x-request-id`, `openai-*`, `x-ratelimit-*`, `retry-after-ms`.
    pub headers: Vec<(String, String)>,
    /// Which try it answers: 1, or more where what came before could be tried again.
    pub tries: u32,
}

/// How a gateway protects its memory, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerMemory {
    /// Secrets are in locked pages.
    pub memory_locking: bool,
    /// Secrets are wiped after use.
    pub secure_zeroing: bool,
    /// Secrets are kept out of core dumps.
    pub core_dump_prevention: bool,
    /// The operating system.
    pub platform: String,
}

impl Metadata {
    pub(crate) fn new(head: &ResponseHead<'_>, suite: Suite, tries: u32) -> Self {
        Self {
            status: head.status,
            content_type: head.content_type.map(Into::into),
            exchange_id: head.exchange_id,
            processed_at: head.processed_at,
            suite,
            tier: head.tier,
            memory_protection: head.memory_protection.map(|memory| ServerMemory {
                memory_locking: memory.memory_locking,
                secure_zeroing: memory.secure_zeroing,
                core_dump_prevention: memory.core_dump_prevention,
                platform: memory.platform.into(),
            }),
            retry_after: head.retry_after,
            headers: head
                .headers
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            tries,
        }
    }

    pub(crate) const fn is_success(&self) -> bool {
        self.status < 300
    }

    /// Whether the body is server-sent events.
    pub fn is_event_stream(&self) -> bool {
        let found = self.content_type.as_deref();
        found.is_some_and(|found| is_type(found, "text/event-stream"))
    }
}

/// Whether a content type is `expected`, whatever its parameters.
pub(crate) fn is_type(content_type: &str, expected: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(expected)
}

/// A whole answer, its end verified.
#[derive(Debug)]
pub struct Answer {
    metadata: Metadata,
    body: SecureBytes,
}

impl Answer {
    pub(crate) const fn new(metadata: Metadata, body: SecureBytes) -> Self {
        Self { metadata, body }
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        self.metadata.status
    }

    /// What is known of it besides its body.
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The body.
    pub const fn body(&self) -> &SecureBytes {
        &self.body
    }

    /// The body, alone.
    pub fn into_body(self) -> SecureBytes {
        self.body
    }

    /// The body as the answer to a chat.
    ///
    /// # Errors
    /// [`ErrorKind::Server`](crate::ErrorKind::Server) if it is none; with [`Error::body`] if the server tells of an error in its place.
    pub fn into_completion(self) -> Result<Completion, Error> {
        match ChatCompletion::parse_or_error(self.body) {
            Ok(Ok(chat)) => Ok(Completion {
                metadata: self.metadata,
                chat,
            }),
            Ok(Err(error)) => Err(Error::failed(&self.metadata, error.into_body())),
            Err(error) => Err(Error::unreadable(&self.metadata, error)),
        }
    }
}

/// The whole answer to a chat: a [`ChatCompletion`] with its [`Metadata`].
#[derive(Debug)]
pub struct Completion {
    metadata: Metadata,
    chat: ChatCompletion,
}

impl Completion {
    /// What is known of it besides its body.
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The answer, alone.
    pub fn into_chat(self) -> ChatCompletion {
        self.chat
    }
}

impl core::ops::Deref for Completion {
    type Target = ChatCompletion;

    fn deref(&self) -> &ChatCompletion {
        &self.chat
    }
}

/// One chunk of a streamed answer, in secure memory.
#[derive(Debug)]
pub struct Chunk {
    data: SecureString,
}

impl Chunk {
    /// Takes the data of an event, which was found to be a chunk.
    pub(crate) fn copy_from(data: &str, memory: &SecureMemory) -> Result<Self, ChatError> {
        let mut copy = memory.string();
        copy.try_push_str(data)?;
        Ok(Self { data: copy })
    }

    /// What it says.
    pub fn get(&self) -> ChatChunk<'_> {
        ChatChunk::parse(self.data.expose()).expect("parsed when it was made")
    }

    /// The JSON, alone.
    pub fn into_bytes(self) -> SecureBytes {
        self.data.into_bytes()
    }

    /// The JSON.
    pub fn as_str(&self) -> &str {
        self.data.expose()
    }

    /// The text it adds to the first choice, unescaped; empty if it adds none, as where it only tells what the model thinks.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if secure memory cannot be had.
    pub fn text(&self, memory: &SecureMemory) -> Result<SecureString, Error> {
        let mut text = memory.string();
        let chunk = self.get();
        if let Some(delta) = chunk.choices().next().and_then(|first| first.delta()) {
            for said in delta.texts() {
                said.append_to(&mut text)?;
            }
        }
        Ok(text)
    }
}
