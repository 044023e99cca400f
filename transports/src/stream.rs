//! Answers that arrive piece by piece.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::stream::{Stream, StreamExt};
use sealwire_core::chat::SseParser;
use sealwire_memlock::{SecureBytes, SecureMemory};

use crate::answer::{Answer, Chunk, Metadata};
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
        while let Some(piece) = self.pieces.next().await {
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
    metadata: Metadata,
    memory: SecureMemory,
    /// Gone after an error.
    answer: Option<Pieces>,
    parser: SseParser,
    piece: SecureBytes,
    /// How much of the piece the parser has.
    taken: usize,
}

impl ChatStream {
    /// The chat in an answer that is server-sent events.
    pub(crate) fn new(answer: AnswerStream) -> Result<Self, Error> {
        if !answer.metadata.is_event_stream() {
            return Err(Error::not_streamed(&answer.metadata));
        }
        Ok(Self {
            parser: SseParser::new(&answer.memory)?,
            piece: answer.memory.with_capacity(0)?,
            taken: 0,
            metadata: answer.metadata,
            memory: answer.memory,
            answer: Some(answer.pieces),
        })
    }

    /// What is known of the answer besides its body.
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>, Error>> {
        loop {
            let unreadable = |error| Error::unreadable(&self.metadata, error);
            while self.taken < self.piece.len() {
                let rest = &self.piece.expose()[self.taken..];
                self.taken += self.parser.handle_input(rest).map_err(unreadable)?;
                if let Some(event) = self.parser.poll_event().filter(|event| !event.is_done()) {
                    let chunk = Chunk::copy_from(event.data(), &self.memory).map_err(unreadable)?;
                    return Poll::Ready(match chunk.get().error() {
                        Some(_) => Err(Error::from_status(&self.metadata, chunk.into_bytes())),
                        None => Ok(Some(chunk)),
                    });
                }
            }
            let Some(answer) = &mut self.answer else {
                return Poll::Ready(Ok(None));
            };
            match ready!(answer.as_mut().poll_next(cx)) {
                Some(piece) => {
                    self.piece = piece?;
                    self.taken = 0;
                }
                None => {
                    self.answer = None;
                    self.parser.handle_eof().map_err(unreadable)?;
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
            self.piece.clear();
        }
        Poll::Ready(item.transpose())
    }
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream")
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}
