//! The client's face: whole answers, streamed ones, and any other endpoint.

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use sealwire_core::chat::ChatRequest;
use sealwire_core::exchange::Request;
use sealwire_core::keys::{KeySet, Pin};
use sealwire_memlock::{SecureBytes, SecureMemory};

use super::io::Blocking;
use super::link::Transport;
#[cfg(feature = "std")]
use super::network::Network;
use crate::client::{self, Answer, Chunk, Client, Completion, Task};
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
        let now = self.transport.now();
        at_once(self.client.create(now, request, |task| self.drive(task)))
    }

    /// Sends a chat and returns when the answer begins.
    ///
    /// # Errors
    /// Why it does not.
    pub fn stream(&self, request: &ChatRequest<'_>) -> Result<ChatStream<'_, T>, Error> {
        let now = self.transport.now();
        at_once(self.client.stream(now, request, |task| self.drive(task)))
    }

    /// Sends a request to any endpoint and waits for the whole answer. An empty body has no content type.
    ///
    /// # Errors
    /// Why there is none; every status from 300 is an error.
    pub fn request(&self, method: &str, path: &str, body: SecureBytes) -> Result<Answer, Error> {
        let (now, drive) = (self.transport.now(), |task| self.drive(task));
        at_once(self.client.request(now, method, path, body, drive))
    }

    /// Sends any request, and returns when its answer begins, whatever its status.
    ///
    /// # Errors
    /// Why it does not begin.
    pub fn send(&self, request: Request) -> Result<AnswerStream<'_, T>, Error> {
        let now = self.transport.now();
        at_once(self.client.send(now, request, |task| self.drive(task)))
    }

    /// Fetches the gateway's keys. Nothing is judged: this is for showing them.
    ///
    /// # Errors
    /// Why there are none.
    pub fn fetch_keys(&self) -> Result<KeySet, Error> {
        let now = self.transport.now();
        at_once(self.client.fetch_keys(now, |task| self.drive(task)))
    }

    fn drive(&self, task: Task) -> Blocking<'_, T> {
        Blocking::new(&self.client, &self.transport, task)
    }
}

/// What a driver that blocks comes to.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("nothing is pending that blocks"),
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
pub type AnswerStream<'a, T> = client::AnswerStream<Blocking<'a, T>>;

/// A streamed chat: an iterator over its chunks.
pub type ChatStream<'a, T> = client::ChatStream<Blocking<'a, T>>;

impl<T: Transport> AnswerStream<'_, T> {
    /// Waits for the rest.
    ///
    /// # Errors
    /// Why it did not come.
    pub fn whole(self) -> Result<Answer, Error> {
        at_once(self.collect())
    }
}

impl<T: Transport> Iterator for AnswerStream<'_, T> {
    type Item = Result<SecureBytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        at_once(poll_fn(|cx| self.poll_piece(cx)))
    }
}

impl<T: Transport> Iterator for ChatStream<'_, T> {
    type Item = Result<Chunk, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        at_once(poll_fn(|cx| self.poll_chunk(cx)))
    }
}
