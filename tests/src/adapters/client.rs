//! The client under test, whatever it runs on: calls that block until there is something to say.

use std::sync::mpsc::Receiver;

use sealwire::chat::ChatRequest;
use sealwire::core::exchange::Request;
use sealwire::core::keys::{KeySet, Pin};
use sealwire::memlock::SecureBytes;
use sealwire::{Error, ErrorKind, Metadata};

use super::{Answer, Chunk, Completion};

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

    /// Begins a whole chat, and lets go of it when told. Only where requests are futures.
    fn abandon(&self, request: &ChatRequest<'static>, when: Receiver<()>) {
        let _ = (request, when);
        panic!("requests of this client are no futures");
    }

    /// A streamed chat.
    ///
    /// # Errors
    /// The adapter's.
    fn stream(&self, request: &ChatRequest<'static>) -> Result<Chunks<'_>, Error>;

    /// Any other endpoint.
    ///
    /// # Errors
    /// The adapter's.
    fn request(&self, method: &str, path: &str, body: SecureBytes) -> Result<Answer, Error>;

    /// Any request, whatever the status of its answer.
    ///
    /// # Errors
    /// The adapter's.
    fn send(&self, request: Request) -> Result<Pieces<'_>, Error>;

    /// The gateway's keys, not judged.
    ///
    /// # Errors
    /// The adapter's.
    fn fetch_keys(&self) -> Result<KeySet, Error>;

    /// The pin of the gateway that is trusted.
    fn gateway_pin(&self) -> Option<Pin>;
}

/// A streamed chat. Dropping it cancels.
pub struct Chunks<'a> {
    /// What is known of the answer.
    pub metadata: Metadata,
    /// The chunks.
    pub items: Box<dyn Iterator<Item = Result<Chunk, Error>> + 'a>,
}

impl Chunks<'_> {
    /// The text of the next chunk; `None` after the last.
    ///
    /// # Errors
    /// The adapter's.
    pub fn next_text(&mut self) -> Result<Option<String>, Error> {
        let chunk = self.items.next().transpose()?;
        Ok(chunk.map(|chunk| chunk.text()))
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
pub struct Pieces<'a> {
    /// What is known of the answer.
    pub metadata: Metadata,
    /// The pieces of its body.
    pub items: Box<dyn Iterator<Item = Result<SecureBytes, Error>> + 'a>,
}

impl Pieces<'_> {
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

/// A runtime that a client's futures are polled on.
pub(super) trait BlockOn {
    /// Whether clients on it are hyper's.
    const IS_OF_HYPER: bool = false;

    /// Waits for a future.
    fn block_on<F: Future>(future: F) -> F::Output;

    /// Waits for a request. hyper's client forgets one now and then whose connection ends in the same instant in which it is handed over,
    /// and neither answers nor refuses it (docs/plugging-in.md, "What is not ours"): the client's own time ends it. Then it is asked for
    /// once more; what hangs twice was not forgotten by chance.
    fn request<T, F: Future<Output = Result<T, Error>>>(ask: impl Fn() -> F) -> F::Output {
        match Self::block_on(ask()) {
            Err(error) if Self::IS_OF_HYPER && error.kind() == ErrorKind::Timeout => {
                Self::block_on(ask())
            }
            answer => answer,
        }
    }
}

/// What the implementations below name.
pub(super) mod names {
    pub(in super::super) use std::iter::from_fn;
    pub(in super::super) use std::sync::mpsc::Receiver;

    pub(in super::super) use futures_util::StreamExt;
    pub(in super::super) use futures_util::future::{abortable, join_all};
    pub(in super::super) use sealwire::Error;
    pub(in super::super) use sealwire::chat::ChatRequest;
    pub(in super::super) use sealwire::core::exchange::Request;
    pub(in super::super) use sealwire::core::keys::{KeySet, Pin};
    pub(in super::super) use sealwire::memlock::SecureBytes;

    pub(in super::super) use super::super::{Answer, Chunks, Client, Completion, GUARD, Pieces};
    pub(in super::super) use super::BlockOn;
}

/// The calls of a client whose own are futures, which every asynchronous adapter names alike.
macro_rules! client_of_futures {
    ($client:ty, $runtime:ty) => {
        const _: () = {
            use $crate::adapters::client::names::*;

            impl Client for $client {
                fn create(&self, request: &ChatRequest<'_>) -> Result<Completion, Error> {
                    <$runtime>::request(|| self.create(request)).map(Into::into)
                }

                fn create_many(
                    &self,
                    request: &ChatRequest<'static>,
                    count: usize,
                ) -> Vec<Result<Completion, Error>> {
                    let begun = (0..count).map(|_| self.create(request));
                    let ended = <$runtime>::block_on(join_all(begun));
                    let ended = ended.into_iter();
                    ended.map(|answer| answer.map(Into::into)).collect()
                }

                fn abandon(&self, request: &ChatRequest<'static>, when: Receiver<()>) {
                    let (future, handle) = abortable(self.create(request));
                    std::thread::scope(|scope| {
                        let waiting = scope.spawn(|| <$runtime>::block_on(future));
                        when.recv_timeout(GUARD).expect("told when");
                        handle.abort();
                        let ended = waiting.join().expect("no panic");
                        ended.expect_err("not ended by itself");
                    });
                }

                fn stream(&self, request: &ChatRequest<'static>) -> Result<Chunks<'_>, Error> {
                    let mut stream = <$runtime>::request(|| self.stream(request))?;
                    let metadata = stream.metadata().clone();
                    let items = from_fn(move || <$runtime>::block_on(stream.next()));
                    let items = Box::new(items.map(|chunk| chunk.map(Into::into)));
                    Ok(Chunks { metadata, items })
                }

                fn request(
                    &self,
                    method: &str,
                    path: &str,
                    body: SecureBytes,
                ) -> Result<Answer, Error> {
                    <$runtime>::block_on(self.request(method, path, body)).map(Into::into)
                }

                fn send(&self, request: Request) -> Result<Pieces<'_>, Error> {
                    let mut stream = <$runtime>::block_on(self.send(request))?;
                    Ok(Pieces {
                        metadata: stream.metadata().clone(),
                        items: Box::new(from_fn(move || <$runtime>::block_on(stream.next()))),
                    })
                }

                fn fetch_keys(&self) -> Result<KeySet, Error> {
                    <$runtime>::block_on(self.fetch_keys())
                }

                fn gateway_pin(&self) -> Option<Pin> {
                    self.gateway_pin()
                }
            }
        };
    };
}
pub(super) use client_of_futures;
