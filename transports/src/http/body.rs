//! The bodies of both ends as HTTP libraries see them.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt, unfold};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::HeaderName;
use sealwire_core::ErrorCode;
use sealwire_memlock::{SecureBytes, SecureMemory};

use super::receive::Pieces;
use super::service::BoxError;
use crate::client::AnswerStream;
use crate::error::Error;
use crate::server::{PieceStream, Sealed};

/// The field that a retry repeats.
pub(super) static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The most plaintext copied at once: as much as the pool of secure memory serves without a mapping of its own.
const PIECE: usize = 4096;

/// Secure memory as HTTP libraries take it: not copied, and wiped when the last handle is dropped.
pub(super) fn shared(content: SecureBytes) -> Bytes {
    struct Owner(SecureBytes);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            self.0.expose()
        }
    }
    Bytes::from_owner(Owner(content))
}

/// What a handler's body says, in secure memory. The next piece is asked for when this one was sealed.
pub(super) fn pieces<B>(body: B, memory: SecureMemory) -> PieceStream
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let state = (Box::pin(body), Bytes::new(), memory);
    let pieces = unfold(Some(state), |state| async move {
        let (mut body, mut data, memory) = state?;
        while data.is_empty() {
            match body.frame().await? {
                // Trailers do not travel.
                Ok(frame) => data = frame.into_data().unwrap_or_default(),
                Err(error) => {
                    log::warn!("a handler's body broke off: {}", error.into());
                    return Some((Err(ErrorCode::Upstream), None));
                }
            }
        }
        let piece = data.split_to(data.len().min(PIECE));
        let piece = memory.copy_from(&piece).map_err(|error| {
            log::error!(
                "no secure memory for an answer: {error}; {}",
                error.remedy()
            );
            ErrorCode::Internal
        });
        Some((piece, Some((body, data, memory))))
    });
    pieces.boxed()
}

/// The body of an answer that a [`SealLayer`](super::SealLayer) opened, from secure memory.
///
/// It ends after the gateway's END was verified, or with an error; what came before an error is not a whole answer.
/// Dropping it cancels the request.
#[derive(Debug)]
pub struct AnswerBody(pub(super) AnswerStream);

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let piece = ready!(Pin::new(&mut self.0).poll_next(cx));
        Poll::Ready(piece.map(|piece| Ok(Frame::data(shared(piece?)))))
    }
}

/// The body of a request behind a [`GatewayLayer`](super::GatewayLayer): what was opened, from secure memory; or, where plaintext
/// is allowed, what came.
pub struct RequestBody(UnsyncBoxBody<Bytes, BoxError>);

impl RequestBody {
    pub(super) fn opened(content: SecureBytes) -> Self {
        Self::plain(Full::new(shared(content)))
    }

    /// What arrives. It ends with an error unless the request turned out whole.
    pub(super) fn streamed(pieces: Pieces) -> Self {
        let frames = unfold(Some(pieces), |pieces| async move {
            let mut pieces = pieces?;
            match pieces.next().await {
                Some(Some(piece)) => Some((Ok(Frame::data(shared(piece))), Some(pieces))),
                Some(None) => None,
                None => {
                    let error = io::Error::other("the request was not whole, or was altered");
                    Some((Err(error), None))
                }
            }
        });
        Self::plain(StreamBody::new(frames))
    }

    pub(super) fn plain<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(body.map_err(Into::into).boxed_unsync())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestBody([REDACTED])")
    }
}

/// The body of a gateway's reply. Sealed as hyper asks for it: a slow reader slows the handler's stream down.
#[derive(Debug)]
pub struct SealedBody(Content);

enum Content {
    Sealed(Box<Sealed>),
    /// Keys, refusals in HTTP, and what passed through in plaintext.
    Plain(UnsyncBoxBody<Bytes, BoxError>),
}

impl SealedBody {
    pub(super) fn sealed(sealed: Sealed) -> Self {
        Self(Content::Sealed(Box::new(sealed)))
    }

    pub(super) fn plain<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Content::Plain(body.map_err(Into::into).boxed_unsync()))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Sealed(_) => "Sealed",
        })
    }
}

impl Body for SealedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Content::Plain(body) => Pin::new(body).poll_frame(cx),
            Content::Sealed(sealed) => {
                let chunk = ready!(sealed.poll_chunk(cx)).map_err(Error::from)?;
                Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Plain(body) => body.is_end_stream(),
            Content::Sealed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Plain(body) => body.size_hint(),
            Content::Sealed(_) => SizeHint::default(),
        }
    }
}
