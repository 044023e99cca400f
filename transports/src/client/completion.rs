//! The client's face where it does not block: whole answers, streamed ones, and any other endpoint.

use std::fmt;
use std::future::Future;

use sealwire_core::chat::ChatRequest;
use sealwire_core::exchange::Request;
use sealwire_core::keys::{KeySet, Pin};
use sealwire_memlock::{SecureBytes, SecureMemory};

use super::answer::{Answer, Completion};
use super::drive::Drive;
use super::stream::{AnswerStream, Boxed, ChatStream};
use super::{Client, Task};
use crate::error::Error;

/// What carries the requests of a client: an adapter's, none to be written elsewhere.
pub trait Transport: Clone + Send + 'static {
    #[doc(hidden)]
    fn client(&self) -> &Client;

    #[doc(hidden)]
    fn drive(&self, task: Task) -> Box<dyn Drive + Send>;
}

/// A client of a gateway: chats go out sealed, and come back so.
///
/// Cheap to clone; clones share connections, and what is known of the gateway. Dropping a future or a stream of it cancels the
/// request.
#[derive(Clone)]
pub struct SecureChatCompletion<T> {
    pub(crate) transport: T,
}

impl<T: Transport> SecureChatCompletion<T> {
    /// Where this client keeps secrets; bodies for [`request`](Self::request) are best written there.
    pub fn memory(&self) -> &SecureMemory {
        self.transport.client().memory()
    }

    /// The pin of the gateway, once it is known and trusted.
    pub fn gateway_pin(&self) -> Option<Pin> {
        self.transport.client().gateway().pin()
    }

    /// What the future of a request owns: it borrows nothing of this client, so that it is `Send` though `T` be not `Sync`.
    fn own(&self) -> (T, impl FnOnce(Task) -> Boxed + Send + use<T>) {
        let transport = self.transport.clone();
        let carrier = transport.clone();
        (transport, move |task| carrier.drive(task))
    }

    /// Sends a chat and waits for the whole answer.
    ///
    /// # Errors
    /// Why there is none.
    pub fn create<'a, 'b>(
        &self,
        request: &'a ChatRequest<'b>,
    ) -> impl Future<Output = Result<Completion, Error>> + Send + use<'a, 'b, T> {
        let (transport, drive) = self.own();
        async move {
            let client = transport.client();
            client.create(client.clock.now(), request, drive).await
        }
    }

    /// Sends a chat and returns when the answer begins.
    ///
    /// # Errors
    /// Why it does not.
    pub fn stream<'a, 'b>(
        &self,
        request: &'a ChatRequest<'b>,
    ) -> impl Future<Output = Result<ChatStream, Error>> + Send + use<'a, 'b, T> {
        let (transport, drive) = self.own();
        async move {
            let client = transport.client();
            client.stream(client.clock.now(), request, drive).await
        }
    }

    /// Sends a request to any endpoint and waits for the whole answer. An empty body has no content type.
    ///
    /// # Errors
    /// Why there is none; every status from 300 is an error.
    pub fn request<'a>(
        &self,
        method: &'a str,
        path: &'a str,
        body: SecureBytes,
    ) -> impl Future<Output = Result<Answer, Error>> + Send + use<'a, T> {
        let (transport, drive) = self.own();
        async move {
            let client = transport.client();
            let now = client.clock.now();
            client.request(now, method, path, body, drive).await
        }
    }

    /// Sends any request, and returns when its answer begins, whatever its status.
    ///
    /// # Errors
    /// Why it does not begin.
    pub fn send(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<AnswerStream, Error>> + Send + use<T> {
        let (transport, drive) = self.own();
        async move {
            let client = transport.client();
            client.send(client.clock.now(), request, drive).await
        }
    }

    /// Fetches the gateway's keys. Nothing is judged: this is for showing them.
    ///
    /// # Errors
    /// Why there are none.
    pub fn fetch_keys(&self) -> impl Future<Output = Result<KeySet, Error>> + Send + use<T> {
        let (transport, drive) = self.own();
        async move {
            let client = transport.client();
            client.fetch_keys(client.clock.now(), drive).await
        }
    }
}

impl<T: Transport> fmt::Debug for SecureChatCompletion<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecureChatCompletion")
            .field("gateway", &self.transport.client().config.base_url)
            .finish_non_exhaustive()
    }
}
