//! Answers as scenarios see them: what the adapters make of them, or what a plain response has in it.

use std::ops::Deref;

use sealwire::Metadata;
use sealwire::chat::{ChatChunk, ChatCompletion, Delta};
use sealwire::memlock::SecureBytes;

use super::{MEMORY, bytes};

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub(super) metadata: Metadata,
    pub(super) body: SecureBytes,
}

impl Answer {
    /// Its status.
    pub const fn status(&self) -> u16 {
        self.metadata.status
    }

    /// Its body.
    pub const fn body(&self) -> &SecureBytes {
        &self.body
    }
}

impl From<sealwire::Answer> for Answer {
    fn from(answer: sealwire::Answer) -> Self {
        Self {
            metadata: answer.metadata().clone(),
            body: answer.into_body(),
        }
    }
}

/// The whole answer to a chat.
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
}

impl Deref for Completion {
    type Target = ChatCompletion;

    fn deref(&self) -> &ChatCompletion {
        &self.chat
    }
}

impl From<sealwire::Completion> for Completion {
    fn from(completion: sealwire::Completion) -> Self {
        Self {
            metadata: completion.metadata().clone(),
            chat: completion.into_chat(),
        }
    }
}

impl From<Answer> for Completion {
    fn from(answer: Answer) -> Self {
        Self {
            metadata: answer.metadata,
            chat: ChatCompletion::parse(answer.body).expect("a chat"),
        }
    }
}

/// A chunk of a streamed chat.
#[derive(Debug)]
pub struct Chunk(SecureBytes);

impl Chunk {
    /// One with this data, which is JSON.
    pub(super) fn copy_from(data: &str) -> Self {
        Self(bytes(data.as_bytes()))
    }

    /// What it says.
    ///
    /// # Panics
    /// If it is none.
    pub fn get(&self) -> ChatChunk<'_> {
        let data = str::from_utf8(self.0.expose()).expect("JSON");
        ChatChunk::parse(data).expect("a chunk")
    }

    /// The text it adds to the first choice.
    ///
    /// # Panics
    /// If it is none, or without memory.
    pub fn text(&self) -> String {
        let mut text = MEMORY.string();
        let chunk = self.get();
        let first = chunk.choices().next();
        let delta = first.and_then(|choice| choice.delta());
        for piece in delta.iter().flat_map(Delta::texts) {
            piece.append_to(&mut text).expect("memory");
        }
        text.expose().to_owned()
    }
}

impl From<sealwire::Chunk> for Chunk {
    fn from(chunk: sealwire::Chunk) -> Self {
        Self(chunk.into_bytes())
    }
}
