//! The client's face: whole answers, streamed ones, and any other endpoint.

use core::fmt;

use sealwire_core::chat::ChatRequest;
use sealwire_core::exchange::Request;
use sealwire_core::head::EXCHANGE_ID_LEN;
use sealwire_core::keys::{KeySet, Pin};
use sealwire_core::{Error as CoreError, Malformed};
use sealwire_memlock::{SecureBytes, SecureMemory};

use super::driver::Driver;
use super::link::Transport;
#[cfg(feature = "std")]
use super::network::Network;
use crate::answer::{Answer, Chunk, Completion, Metadata};
use crate::chunks::Chunks;
use crate::client::{CHAT_PATH, Client, Event};
use crate::error::Error;

/// A client of a gateway: chats go out sealed, and come back so. `T` is where its streams come from.
///
/// With std it can be shared between threads, each with requests of its own.
#[cfg(feature = "std")]
pub struct SecureChatCompletion<T = Network> {
    pub(super) client: Client,
    pub(super) transport: T,
}

/// A client of a gateway: chats go out sealed, and come back so. `T` is where its streams come from.
#[cfg(not(feature = "std"))]
pub struct SecureChatCompletion<T> {
    pub(super) client: Client,
    pub(super) transport: T,
}

impl<T: Transport> SecureChatCompletion<T> {
    /// Where this client keeps secrets; bodies for [`request`](Self::request) are best written there.
    pub fn memory(&self) -> &SecureMemory {
        self.client.memory()
    }

    /// The pin of the gateway, once it is known and trusted.
    pub fn gateway_pin(&self) -> Option<Pin> {
        self.client.gateway().pin()
    }

    /// Sends a chat and waits for the whole answer.
    ///
    /// # Errors
    /// Why there is none.
    pub fn create(&self, request: &ChatRequest<'_>) -> Result<Completion, Error> {
        let body = request.to_json(self.memory())?;
        self.request("POST", CHAT_PATH, body)?.into_completion()
    }

    /// Sends a chat and returns when the answer begins.
    ///
    /// # Errors
    /// Why it does not.
    pub fn stream(&self, request: &ChatRequest<'_>) -> Result<ChatStream<'_, T>, Error> {
        let body = request.clone().stream(true).to_json(self.memory())?;
        let answer = self.send(Request::new("POST", CHAT_PATH, body))?.check()?;
        Ok(ChatStream {
            chunks: Chunks::new(answer.metadata.clone(), self.memory())?,
            answer: Some(answer),
        })
    }

    /// Sends a request to any endpoint and waits for the whole answer. An empty body has no content type.
    ///
    /// # Errors
    /// Why there is none; every status from 300 is an error.
    pub fn request(&self, method: &str, path: &str, body: SecureBytes) -> Result<Answer, Error> {
        let mut request = Request::new(method, path, body);
        if request.body.is_empty() {
            request.content_type = None;
        }
        self.send(request)?.check()?.whole()
    }

    /// Sends any request, and returns when its answer begins, whatever its status.
    ///
    /// # Errors
    /// Why it does not begin.
    pub fn send(&self, request: Request) -> Result<AnswerStream<'_, T>, Error> {
        let mut driver = Driver::new(&self.client, &self.transport, request)?;
        // The first event is the head, or the session would have ended.
        let Some(Event::Head(metadata)) = driver.next()? else {
            return Err(CoreError::from(Malformed::Order).into());
        };
        Ok(AnswerStream {
            memory: self.memory().clone(),
            metadata,
            driver: Some(driver),
        })
    }

    /// Fetches the gateway's keys. Nothing is judged: this is for showing them.
    ///
    /// # Errors
    /// Why there are none.
    pub fn fetch_keys(&self) -> Result<KeySet, Error> {
        Driver::key_set(&self.client, &self.transport)
    }
}

impl<T> fmt::Debug for SecureChatCompletion<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecureChatCompletion")
            .field("gateway", &self.client.config.base_url)
            .finish_non_exhaustive()
    }
}

/// An answer that has begun: an iterator over the pieces of its body.
///
/// It ends after the gateway's END was verified, or with an error; what came before an error is not a whole answer.
/// Dropping it cancels the request.
pub struct AnswerStream<'a, T: Transport> {
    metadata: Metadata,
    memory: SecureMemory,
    /// Gone once the answer has ended.
    driver: Option<Driver<'a, T>>,
}

impl<T: Transport> AnswerStream<'_, T> {
    /// What is known of it besides its body.
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        self.metadata.status
    }

    /// Waits for the rest.
    ///
    /// # Errors
    /// Why it did not come.
    pub fn whole(mut self) -> Result<Answer, Error> {
        let mut body = self.memory.with_capacity(0)?;
        for piece in &mut self {
            body.try_extend_from_slice(piece?.expose())?;
        }
        Ok(Answer::new(self.metadata, body))
    }

    /// An answer of a status that is no success is an error.
    fn check(self) -> Result<Self, Error> {
        if self.metadata.is_success() {
            return Ok(self);
        }
        let answer = self.whole()?;
        let metadata = answer.metadata().clone();
        Err(Error::from_status(&metadata, answer.into_body()))
    }

    const fn exchange_id(&self) -> [u8; EXCHANGE_ID_LEN] {
        self.metadata.exchange_id
    }
}

impl<T: Transport> Iterator for AnswerStream<'_, T> {
    type Item = Result<SecureBytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.driver.as_mut()?.next() {
                Ok(Some(Event::Data(piece))) => return Some(Ok(piece)),
                Ok(Some(_)) => {}
                Ok(None) => {
                    self.driver = None;
                    return None;
                }
                Err(error) => {
                    self.driver = None;
                    return Some(Err(error.in_exchange(Some(self.exchange_id()))));
                }
            }
        }
    }
}

impl<T: Transport> fmt::Debug for AnswerStream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerStream")
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

/// A streamed chat: an iterator over [`Chunk`]s.
///
/// It ends after the gateway's END was verified, or with an error; what came before an error is not a whole answer.
/// Dropping it cancels the request.
pub struct ChatStream<'a, T: Transport> {
    chunks: Chunks,
    /// Gone once the answer has ended.
    answer: Option<AnswerStream<'a, T>>,
}

impl<T: Transport> ChatStream<'_, T> {
    /// What is known of the answer besides its body.
    pub const fn metadata(&self) -> &Metadata {
        &self.chunks.metadata
    }

    fn next_chunk(&mut self) -> Result<Option<Chunk>, Error> {
        loop {
            if let Some(chunk) = self.chunks.next()? {
                return Ok(Some(chunk));
            }
            let Some(answer) = &mut self.answer else {
                return Ok(None);
            };
            match answer.next() {
                Some(piece) => self.chunks.put(piece?),
                None => {
                    self.answer = None;
                    self.chunks.finish()?;
                }
            }
        }
    }
}

impl<T: Transport> Iterator for ChatStream<'_, T> {
    type Item = Result<Chunk, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.next_chunk();
        if item.is_err() {
            self.answer = None;
            self.chunks.clear();
        }
        item.transpose()
    }
}

impl<T: Transport> fmt::Debug for ChatStream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream")
            .field("metadata", self.metadata())
            .finish_non_exhaustive()
    }
}
