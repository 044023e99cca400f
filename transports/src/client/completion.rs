//! The client's face where it does not block: whole answers, streamed ones, and any other endpoint.

use std::fmt;
use std::future::Future;

use sealwire_core::Now;
use sealwire_core::chat::ChatRequest;
use sealwire_core::exchange::Request;
use sealwire_core::keys::{KeySet, Pin};
use sealwire_memlock::{SecureBytes, SecureMemory};

use super::answer::{Answer, Completion};
use super::drive::Drive;
use super::stream::{AnswerStream, ChatStream};
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

    /// The client, and the time at which a request of it begins.
    fn begin(&self) -> (&Client, Now) {
        let client = self.transport.client();
        (client, client.clock.now())
    }

    /// Sends a chat and waits for the whole answer.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn create(&self, request: &ChatRequest<'_>) -> Result<Completion, Error> {
        let (client, now) = self.begin();
        client
            .create(now, request, |task| self.transport.drive(task))
            .await
    }

    /// Sends a chat and returns when the answer begins.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn stream(&self, request: &ChatRequest<'_>) -> Result<ChatStream, Error> {
        let (client, now) = self.begin();
        let chat = client.stream(now, request, |task| self.transport.drive(task));
        chat.await
    }

    /// Sends a request to any endpoint and waits for the whole answer. An empty body has no content type.
    ///
    /// # Errors
    /// Why there is none; every status from 300 is an error.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        body: SecureBytes,
    ) -> Result<Answer, Error> {
        let (client, now) = self.begin();
        let drive = |task| self.transport.drive(task);
        client.request(now, method, path, body, drive).await
    }

    /// Sends any request, and returns when its answer begins, whatever its status.
    ///
    /// # Errors
    /// Why it does not begin.
    pub fn send(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<AnswerStream, Error>> + Send + use<T> {
        let transport = self.transport.clone();
        async move {
            let begun = {
                let client = transport.client();
                let task = client.task(request, client.clock.now())?;
                AnswerStream::begin(transport.drive(task), client.memory().clone())
            };
            begun.await
        }
    }

    /// Fetches the gateway's keys. Nothing is judged: this is for showing them.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn fetch_keys(&self) -> Result<KeySet, Error> {
        let (client, now) = self.begin();
        client
            .fetch_keys(now, |task| self.transport.drive(task))
            .await
    }
}

impl<T: Transport> fmt::Debug for SecureChatCompletion<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecureChatCompletion")
            .field("gateway", &self.transport.client().config.base_url)
            .finish_non_exhaustive()
    }
}
