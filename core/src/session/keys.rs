//! The key set on a raw stream: KEYS_REQUEST out, KEYS in (spec section 13).

use alloc::vec::Vec;

use crate::error::{Malformed, RejectCode};
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

    /// Bytes of memory that it holds: at most a KEYS frame, and twice that where the buffer has just grown.
    pub(super) fn buffered(&self) -> usize {
        self.frame.capacity()
    }

    /// Takes bytes up to the end of the frame. Returns how many, and the answer once it is there. One that comes before the
    /// question has left is none (RAW-2): behind half a KEYS_REQUEST nothing else could follow.
    pub(super) fn handle_input(
        &mut self,
        input: &[u8],
    ) -> (usize, Option<Result<Answer, Malformed>>) {
        let mut consumed = self.take(input, HEADER_LEN);
        let Some(header) = self.frame.first_chunk() else {
            return (consumed, None);
        };
        // FRAME-3, FRAME-5: the length is checked before its memory is taken, and memory grows with what arrived.
        let header = match FrameHeader::parse(*header) {
            Ok(header) => header,
            Err(error) => return (consumed, Some(Err(error))),
        };
        let is_answer = matches!(header.kind(), FrameType::Keys | FrameType::Reject);
        if !is_answer || self.sent < REQUEST.len() {
            return (consumed, Some(Err(Malformed::Order)));
        }
        consumed += self.take(&input[consumed..], header.size());
        let body = &self.frame[HEADER_LEN..];
        let answer = (body.len() == header.body_len()).then(|| match header.kind() {
            FrameType::Reject => Ok(Answer::Rejected(RejectCode::from_u8(body[0]))),
            _ => KeySet::parse(body).map(Answer::Keys),
        });
        (consumed, answer)
    }

    fn take(&mut self, input: &[u8], upto: usize) -> usize {
        let count = upto.saturating_sub(self.frame.len()).min(input.len());
        self.frame.extend_from_slice(&input[..count]);
        count
    }
}
