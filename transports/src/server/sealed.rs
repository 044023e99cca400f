//! A response on its way out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use sealwire_core::exchange::ServerExchange;
use sealwire_core::{Error as CoreError, ErrorCode};
use sealwire_memlock::SecureBytes;

use super::runs::Run;
use super::{PieceStream, ReplyBody};
use crate::clock::unix_now;

/// Ciphertext given out at once.
const CHUNK: usize = 64 * 1024;

/// A response under way.
pub(crate) struct Sealed {
    exchange: ServerExchange,
    /// The piece that is being sealed, and how much of it was.
    piece: Option<(SecureBytes, usize)>,
    pieces: Option<PieceStream>,
    /// Ends with the response.
    _run: Option<Run>,
}

impl Sealed {
    /// A response that is in the exchange already.
    pub(super) fn over(exchange: ServerExchange) -> Self {
        Self {
            exchange,
            piece: None,
            pieces: None,
            _run: None,
        }
    }

    pub(super) fn new(exchange: ServerExchange, body: ReplyBody, run: Option<Run>) -> Self {
        let (piece, pieces) = match body {
            ReplyBody::Whole(body) => (Some((body, 0)), None),
            ReplyBody::Sized(pieces) | ReplyBody::Stream(pieces) => (None, Some(pieces)),
        };
        Self {
            exchange,
            piece,
            pieces,
            _run: run,
        }
    }

    /// The exchange, to be fed what a client may say meanwhile.
    #[cfg(feature = "_lines")]
    pub(super) fn exchange(&mut self) -> &mut ServerExchange {
        &mut self.exchange
    }

    /// The exchange alone: the answer has left.
    #[cfg(feature = "_lines")]
    pub(super) fn into_exchange(self) -> ServerExchange {
        self.exchange
    }

    /// The client wants no more (ORDER-6).
    #[cfg(feature = "_lines")]
    pub(super) fn cancel(&mut self) {
        (self.piece, self.pieces) = (None, None);
        // Fails if the response has ended already, which is what was asked for.
        let _ = self.exchange.fail(ErrorCode::Cancelled, unix_now());
    }

    /// The next bytes to send; `None` after the last. Pieces are asked for when there is nothing else to send.
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Vec<u8>>, CoreError>> {
        loop {
            let pending = self.exchange.pending_transmit().min(CHUNK);
            if pending > 0 {
                let mut buffer = vec![0; pending];
                self.exchange.poll_transmit(&mut buffer);
                return Poll::Ready(Ok(Some(buffer)));
            }
            if self.exchange.is_finished() {
                return Poll::Ready(Ok(None));
            }
            if let Some((piece, sealed)) = &mut self.piece {
                *sealed += self.exchange.send_data(&piece.expose()[*sealed..])?;
                if *sealed == piece.len() {
                    self.piece = None;
                }
                continue;
            }
            match self.pieces.as_mut().map(|pieces| next_piece(pieces, cx)) {
                Some(Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(Some(Ok(piece)))) => self.piece = Some((piece, 0)),
                Some(Poll::Ready(Some(Err(code)))) => {
                    self.pieces = None;
                    self.exchange.fail(code, unix_now())?;
                }
                Some(Poll::Ready(None)) | None => {
                    self.pieces = None;
                    self.exchange.finish()?;
                }
            }
        }
    }
}

/// A stream that panics has failed: what was sent of it is no whole answer, and its client is told so.
fn next_piece(
    pieces: &mut PieceStream,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<SecureBytes, ErrorCode>>> {
    catch_unwind(AssertUnwindSafe(|| pieces.as_mut().poll_next(cx))).unwrap_or_else(|_| {
        log::error!("the stream of an answer panicked");
        Poll::Ready(Some(Err(ErrorCode::Internal)))
    })
}
