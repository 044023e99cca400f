//! Answers that arrive piece by piece, whatever drives them.

#[cfg(feature = "_async")]
pub use futures::{AnswerStream, ChatStream};

use core::future::poll_fn;
use core::task::{Context, Poll, ready};

use sealwire_core::{Error as CoreError, Malformed};
use sealwire_memlock::{SecureBytes, SecureMemory};

use super::answer::{Answer, Chunk, Metadata};
use super::chunks::Chunks;
use super::drive::{Drive, Event, next};
use crate::error::Error;

/// An answer that has begun. It ends after END was verified, or with an error.
pub(crate) struct Pieces<D> {
    pub(crate) metadata: Metadata,
    memory: SecureMemory,
    /// Gone once the answer has ended.
    driver: Option<D>,
}

impl<D: Drive> Pieces<D> {
    /// Waits for the head.
    pub(crate) async fn begin(mut driver: D, memory: SecureMemory) -> Result<Self, Error> {
        // The first event is the head, or the session would have ended.
        let Some(Event::Head(metadata)) = next(&mut driver).await? else {
            return Err(CoreError::from(Malformed::Order).into());
        };
        Ok(Self {
            metadata,
            memory,
            driver: Some(driver),
        })
    }

    pub(crate) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<SecureBytes, Error>>> {
        while let Some(driver) = &mut self.driver {
            match ready!(driver.poll_event(cx)) {
                Ok(Some(Event::Data(piece))) => return Poll::Ready(Some(Ok(piece))),
                Ok(Some(_)) => {}
                Ok(None) => self.driver = None,
                Err(error) => {
                    self.driver = None;
                    let id = Some(self.metadata.exchange_id);
                    return Poll::Ready(Some(Err(error.in_exchange(id))));
                }
            }
        }
        Poll::Ready(None)
    }

    /// Waits for the rest.
    pub(crate) async fn whole(mut self) -> Result<Answer, Error> {
        let mut body = self.memory.with_capacity(0)?;
        while let Some(piece) = poll_fn(|cx| self.poll_piece(cx)).await {
            body.try_extend_from_slice(piece?.expose())?;
        }
        Ok(Answer::new(self.metadata, body))
    }

    /// An answer of a status that is no success is an error.
    pub(super) async fn check(self) -> Result<Self, Error> {
        if self.metadata.is_success() {
            return Ok(self);
        }
        let answer = self.whole().await?;
        let metadata = answer.metadata().clone();
        Err(Error::from_status(&metadata, answer.into_body()))
    }
}

/// A chat in an answer that is server-sent events.
pub(crate) struct Chat<D> {
    pub(crate) metadata: Metadata,
    chunks: Chunks,
    /// Gone after an error.
    answer: Option<Pieces<D>>,
}

impl<D: Drive> Chat<D> {
    pub(super) fn new(answer: Pieces<D>) -> Result<Self, Error> {
        Ok(Self {
            metadata: answer.metadata.clone(),
            chunks: Chunks::new(answer.metadata.clone(), &answer.memory)?,
            answer: Some(answer),
        })
    }

    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, Error>>> {
        let item = ready!(self.poll_next(cx));
        if item.is_err() {
            self.answer = None;
            self.chunks.clear();
        }
        Poll::Ready(item.transpose())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>, Error>> {
        loop {
            if let Some(chunk) = self.chunks.next()? {
                return Poll::Ready(Ok(Some(chunk)));
            }
            let Some(answer) = &mut self.answer else {
                return Poll::Ready(Ok(None));
            };
            match ready!(answer.poll_piece(cx)) {
                Some(piece) => self.chunks.put(piece?),
                None => {
                    self.answer = None;
                    self.chunks.finish()?;
                }
            }
        }
    }
}

/// The streams of the adapters that do not block.
#[cfg(feature = "_async")]
mod futures {
    use std::fmt;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_core::Stream;
    use sealwire_memlock::SecureBytes;

    use super::{Answer, Chat, Chunk, Drive, Error, Metadata, Pieces};

    type Driver = Box<dyn Drive + Send>;

    /// An answer that has begun: a stream of the pieces of its body.
    ///
    /// It ends after the gateway's END was verified, or with an error; what came before an error is not a whole answer.
    /// Dropping it cancels the request.
    pub struct AnswerStream(pub(in crate::client) Pieces<Driver>);

    impl AnswerStream {
        /// What is known of it besides its body.
        pub const fn metadata(&self) -> &Metadata {
            &self.0.metadata
        }

        /// The HTTP status.
        pub const fn status(&self) -> u16 {
            self.0.metadata.status
        }

        /// Waits for the rest.
        ///
        /// # Errors
        /// Why it did not come.
        pub async fn whole(self) -> Result<Answer, Error> {
            self.0.whole().await
        }
    }

    impl Stream for AnswerStream {
        type Item = Result<SecureBytes, Error>;

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.0.poll_piece(cx)
        }
    }

    impl fmt::Debug for AnswerStream {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("AnswerStream")
                .field("metadata", self.metadata())
                .finish_non_exhaustive()
        }
    }

    /// A streamed chat: a stream of [`Chunk`]s.
    ///
    /// It ends after the gateway's END was verified, or with an error; what came before an error is not a whole answer.
    /// Dropping it cancels the request.
    pub struct ChatStream(pub(in crate::client) Chat<Driver>);

    impl ChatStream {
        /// What is known of the answer besides its body.
        pub const fn metadata(&self) -> &Metadata {
            &self.0.metadata
        }
    }

    impl Stream for ChatStream {
        type Item = Result<Chunk, Error>;

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.0.poll_chunk(cx)
        }
    }

    impl fmt::Debug for ChatStream {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("ChatStream")
                .field("metadata", self.metadata())
                .finish_non_exhaustive()
        }
    }
}
