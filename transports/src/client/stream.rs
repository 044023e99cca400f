//! Answers that arrive piece by piece, whatever drives them.

use alloc::boxed::Box;
use core::fmt;
use core::future::poll_fn;
#[cfg(feature = "_async")]
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use sealwire_core::{Error as CoreError, Malformed};
use sealwire_memlock::{SecureBytes, SecureMemory};

use super::answer::{Answer, Chunk, Metadata};
use super::chunks::Chunks;
use super::drive::{Drive, Event, next};
use crate::error::Error;

/// What drives an answer that does not block.
pub(crate) type Boxed = Box<dyn Drive + Send>;

/// An answer that has begun: the pieces of its body, as a stream, or as an iterator where it blocks.
///
/// It ends after the gateway's END was verified, or with an error; what came before an error is not a whole answer.
/// Dropping it cancels the request.
pub struct AnswerStream<D = Boxed> {
    metadata: Metadata,
    memory: SecureMemory,
    /// Gone once the answer has ended.
    driver: Option<D>,
}

impl<D> AnswerStream<D> {
    /// What is known of it besides its body.
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        self.metadata.status
    }
}

impl<D: Drive> AnswerStream<D> {
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
    pub(crate) async fn collect(mut self) -> Result<Answer, Error> {
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
        let answer = self.collect().await?;
        let metadata = answer.metadata().clone();
        Err(Error::from_status(&metadata, answer.into_body()))
    }
}

/// A streamed chat: [`Chunk`]s, as a stream, or as an iterator where it blocks.
///
/// It ends after the gateway's END was verified, or with an error; what came before an error is not a whole answer.
/// Dropping it cancels the request.
pub struct ChatStream<D = Boxed> {
    chunks: Chunks,
    /// Gone after an error.
    answer: Option<AnswerStream<D>>,
}

impl<D> ChatStream<D> {
    /// What is known of the answer besides its body.
    pub const fn metadata(&self) -> &Metadata {
        &self.chunks.metadata
    }
}

impl<D: Drive> ChatStream<D> {
    /// Takes an answer that streams; of another, waits for what it says.
    pub(super) async fn begin(answer: AnswerStream<D>) -> Result<Self, Error> {
        if !answer.metadata.is_event_stream() {
            let answer = answer.collect().await?;
            let metadata = answer.metadata().clone();
            return Err(Error::not_streamed(&metadata, answer.into_body()));
        }
        Ok(Self {
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

impl<D> fmt::Debug for AnswerStream<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerStream")
            .field("metadata", self.metadata())
            .finish_non_exhaustive()
    }
}

impl<D> fmt::Debug for ChatStream<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream")
            .field("metadata", self.metadata())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "_async")]
impl AnswerStream {
    /// Waits for the rest.
    ///
    /// # Errors
    /// Why it did not come.
    pub async fn whole(self) -> Result<Answer, Error> {
        self.collect().await
    }
}

#[cfg(feature = "_async")]
impl futures_core::Stream for AnswerStream {
    type Item = Result<SecureBytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_piece(cx)
    }
}

#[cfg(feature = "_async")]
impl futures_core::Stream for ChatStream {
    type Item = Result<Chunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_chunk(cx)
    }
}
