//! The key set on a raw stream: KEYS_REQUEST out, KEYS in (spec section 13).

use alloc::vec::Vec;

use crate::error::{Error, Malformed, RejectCode};
use crate::frame::{FrameHeader, FrameType, HEADER_LEN, VERSION};
use crate::keys::KeySet;

const REQUEST: [u8; HEADER_LEN + 1] = [FrameType::KeysRequest as u8, 0, 0, 1, VERSION];

/// What KEYS_REQUEST is answered with.
pub(super) enum Answer {
    Keys(KeySet),
    /// Of another version, perhaps; a hint that nothing authenticates.
    Rejected(RejectCode),
}

/// One fetch. All frames are clear: nothing here is secret.
#[derive(Default)]
pub(super) struct KeysFetch {
    sent: usize,
    frame: Vec<u8>,
}

impl KeysFetch {
    pub(super) fn transmit(&mut self, out: &mut [u8]) -> usize {
        let rest = &REQUEST[self.sent..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.sent += count;
        count
    }

    /// Bytes of memory that it holds: at most a KEYS frame.
    pub(super) fn buffered(&self) -> usize {
        self.frame.capacity()
    }

    /// Takes bytes up to the end of the frame, counts them, and gives the answer once it is there. One that comes before the question
    /// has left is none (RAW-2): behind half a KEYS_REQUEST nothing else could follow.
    pub(super) fn handle_input(
        &mut self,
        input: &[u8],
        consumed: &mut usize,
    ) -> Result<Option<Answer>, Error> {
        *consumed += self.take(input, HEADER_LEN)?;
        let Some(header) = self.frame.first_chunk() else {
            return Ok(None);
        };
        // FRAME-3, FRAME-5: the length is checked before its memory is taken, and memory grows with what arrived.
        let header = FrameHeader::parse(*header)?;
        let is_answer = matches!(header.kind(), FrameType::Keys | FrameType::Reject);
        if !is_answer || self.sent < REQUEST.len() {
            return Err(Malformed::Order.into());
        }
        *consumed += self.take(&input[*consumed..], header.size())?;
        let body = &self.frame[HEADER_LEN..];
        if body.len() < header.body_len() {
            return Ok(None);
        }
        Ok(Some(match header.kind() {
            FrameType::Reject => Answer::Rejected(RejectCode::from_u8(body[0])),
            _ => Answer::Keys(KeySet::parse(body)?),
        }))
    }

    /// Anyone on the way can make this grow, so it asks for memory, and ends a fetch where there is none, not the program.
    fn take(&mut self, input: &[u8], upto: usize) -> Result<usize, Error> {
        let count = upto.saturating_sub(self.frame.len()).min(input.len());
        let len = self.frame.len() + count;
        if len > self.frame.capacity() {
            let room = (self.frame.capacity() * 2).clamp(len, upto);
            self.frame.try_reserve_exact(room - self.frame.len())?;
        }
        self.frame.extend_from_slice(&input[..count]);
        Ok(count)
    }
}
