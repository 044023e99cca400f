//! The client under test, whatever it runs on: calls that block until there is something to say.

use std::sync::mpsc::Receiver;

use sealwire::chat::ChatRequest;
use sealwire::core::exchange::Request;
use sealwire::core::keys::{KeySet, Pin};
use sealwire::memlock::SecureBytes;
use sealwire::{Answer, Chunk, Completion, Error, Metadata};

use super::MEMORY;

/// The client under test.
pub trait Client: Send + Sync {
    /// A whole chat.
    ///
    /// # Errors
    /// The adapter's.
    fn create(&self, request: &ChatRequest<'_>) -> Result<Completion, Error>;

    /// As many whole chats at the same time.
    fn create_many(
        &self,
        request: &ChatRequest<'static>,
        count: usize,
    ) -> Vec<Result<Completion, Error>>;

    /// Begins a whole chat, and lets go of it when told.
    fn abandon(&self, request: &ChatRequest<'static>, when: Receiver<()>);

    /// A streamed chat.
    ///
    /// # Errors
    /// The adapter's.
    fn stream(&self, request: &ChatRequest<'_>) -> Result<Chunks, Error>;

    /// Any other endpoint.
    ///
    /// # Errors
    /// The adapter's.
    fn request(&self, method: &str, path: &str, body: SecureBytes) -> Result<Answer, Error>;

    /// Any request, whatever the status of its answer.
    ///
    /// # Errors
    /// The adapter's.
    fn send(&self, request: Request) -> Result<Pieces, Error>;

    /// The gateway's keys, not judged.
    ///
    /// # Errors
    /// The adapter's.
    fn fetch_keys(&self) -> Result<KeySet, Error>;

    /// The pin of the gateway that is trusted.
    fn gateway_pin(&self) -> Option<Pin>;
}

/// A streamed chat. Dropping it cancels.
pub struct Chunks {
    /// What is known of the answer.
    pub metadata: Metadata,
    /// The chunks.
    pub items: Box<dyn Iterator<Item = Result<Chunk, Error>>>,
}

impl Chunks {
    /// The text of the next chunk; `None` after the last.
    ///
    /// # Errors
    /// The adapter's.
    ///
    /// # Panics
    /// Without memory.
    pub fn next_text(&mut self) -> Result<Option<String>, Error> {
        let chunk = self.items.next().transpose()?;
        Ok(chunk.map(|chunk| chunk.text(&MEMORY).expect("memory").expose().to_owned()))
    }

    /// What it says up to its end, or up to an error.
    pub fn rest(mut self) -> (String, Option<Error>) {
        let mut said = String::new();
        loop {
            match self.next_text() {
                Ok(Some(text)) => said += &text,
                Ok(None) => return (said, None),
                Err(error) => return (said, Some(error)),
            }
        }
    }
}

/// An answer that arrives. Dropping it cancels.
pub struct Pieces {
    /// What is known of the answer.
    pub metadata: Metadata,
    /// The pieces of its body.
    pub items: Box<dyn Iterator<Item = Result<SecureBytes, Error>>>,
}

impl Pieces {
    /// The whole body.
    ///
    /// # Errors
    /// The adapter's.
    pub fn whole(self) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        for piece in self.items {
            body.extend_from_slice(piece?.expose());
        }
        Ok(body)
    }
}
