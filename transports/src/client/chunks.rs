//! The chunks in a streamed chat, however its pieces arrive.

use sealwire_core::chat::{ChatError, SseParser};
use sealwire_memlock::{SecureBytes, SecureMemory};

use super::answer::{Chunk, Metadata};
use crate::error::Error;

/// Finds chunks in the pieces of an answer that is server-sent events.
pub(crate) struct Chunks {
    pub(crate) metadata: Metadata,
    memory: SecureMemory,
    parser: SseParser,
    piece: SecureBytes,
    /// How much of the piece the parser has.
    taken: usize,
    /// There was a chunk.
    begun: bool,
}

impl Chunks {
    pub(crate) fn new(metadata: Metadata, memory: &SecureMemory) -> Result<Self, Error> {
        Ok(Self {
            metadata,
            memory: memory.clone(),
            // One event may be as long as the whole answer, which the exchange has bounded before any of it is here: a server may put all
            // of it, a picture or the arguments of a tool, into one.
            parser: SseParser::with_limit(memory, usize::MAX)?,
            piece: memory.with_capacity(0)?,
            taken: 0,
            begun: false,
        })
    }

    /// The next chunk in what arrived.
    pub(crate) fn next(&mut self) -> Result<Option<Chunk>, Error> {
        let unreadable = |error| Error::unreadable(&self.metadata, error);
        while self.taken < self.piece.len() {
            let rest = &self.piece.expose()[self.taken..];
            self.taken += self.parser.handle_input(rest).map_err(unreadable)?;
            let event = self.parser.poll_event();
            if let Some(event) = event.filter(|event| !event.is_done() && !event.is_empty()) {
                self.begun = true;
                let has_failed = event.chunk().map_err(unreadable)?.error().is_some();
                let chunk = Chunk::copy_from(event.data(), &self.memory).map_err(unreadable)?;
                return match has_failed {
                    true => Err(Error::failed(&self.metadata, chunk.into_bytes())),
                    false => Ok(Some(chunk)),
                };
            }
        }
        Ok(None)
    }

    /// Another piece, once [`next`](Self::next) found nothing more in the last.
    pub(crate) fn put(&mut self, piece: SecureBytes) {
        self.piece = piece;
        self.taken = 0;
    }

    /// The answer has ended.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        let ended = match self.begun {
            true => self.parser.handle_eof(),
            false => Err(ChatError::Missing { member: "choices" }),
        };
        ended.map_err(|error| Error::unreadable(&self.metadata, error))
    }

    /// Nothing more is wanted.
    pub(crate) fn clear(&mut self) {
        self.piece.clear();
        self.taken = 0;
    }
}
