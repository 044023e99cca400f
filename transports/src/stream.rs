//! Answers that arrive piece by piece.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use sealwire_memlock::{SecureBytes, SecureMemory};

use crate::answer::{Answer, Chunk, Metadata};
use crate::chunks::Chunks;
use crate::error::Error;

/// The body of an answer; ends after END was verified, or with an error.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Result<SecureBytes, Error>> + Send>>;

/// An answer that has begun: a stream of the pieces of its body.
///
/// It ends after the gateway's END was verified, or with an error; what came before an error is not a whole answer.
/// Dropping it cancels the request.
pub struct AnswerStream {
    metadata: Metadata,
    memory: SecureMemory,
    pieces: Pieces,
}

impl AnswerStream {
    /// An answer whose body is `pieces`.
    pub(crate) fn new(metadata: Metadata, memory: &SecureMemory, pieces: Pieces) -> Self {
        Self {
            metadata,
            memory: memory.clone(),
            pieces,
        }
    }

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
    pub async fn whole(mut self) -> Result<Answer, Error> {
        let mut body = self.memory.with_capacity(0)?;
        while let Some(piece) = poll_fn(|cx| self.pieces.as_mut().poll_next(cx)).await {
            body.try_extend_from_slice(piece?.expose())?;
        }
        Ok(Answer::new(self.metadata, body))
    }

    /// An answer of a status that is no success is an error.
    pub(crate) async fn check(self) -> Result<Self, Error> {
        if self.metadata.is_success() {
            return Ok(self);
        }
        let answer = self.whole().await?;
        let metadata = answer.metadata().clone();
        Err(Error::from_status(&metadata, answer.into_body()))
    }
}

impl Stream for AnswerStream {
    type Item = Result<SecureBytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for AnswerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerStream")
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

/// A streamed chat: a stream of [`Chunk`]s.
///
/// It ends after the gateway's END was verified, or with an error; what came before an error is not a whole answer.
/// Dropping it cancels the request.
pub struct ChatStream {
    /// Gone after an error.
    answer: Option<Pieces>,
    chunks: Chunks,
}

impl ChatStream {
    /// The chat in an answer that is server-sent events.
    pub(crate) fn new(answer: AnswerStream) -> Result<Self, Error> {
        Ok(Self {
            chunks: Chunks::new(answer.metadata, &answer.memory)?,
            answer: Some(answer.pieces),
        })
    }

    /// What is known of the answer besides its body.
    pub const fn metadata(&self) -> &Metadata {
        &self.chunks.metadata
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>, Error>> {
        loop {
            if let Some(chunk) = self.chunks.next()? {
                return Poll::Ready(Ok(Some(chunk)));
            }
            let Some(answer) = &mut self.answer else {
                return Poll::Ready(Ok(None));
            };
            match ready!(answer.as_mut().poll_next(cx)) {
                Some(piece) => self.chunks.put(piece?),
                None => {
                    self.answer = None;
                    self.chunks.finish()?;
                }
            }
        }
    }
}

impl Stream for ChatStream {
    type Item = Result<Chunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.poll_chunk(cx));
        if item.is_err() {
            self.answer = None;
            self.chunks.clear();
        }
        Poll::Ready(item.transpose())
    }
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream")
            .field("metadata", self.metadata())
            .finish_non_exhaustive()
    }
}
