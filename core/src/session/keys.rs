//! The key set on a raw stream: KEYS_REQUEST out, KEYS in (spec section 13).

use alloc::vec::Vec;

use crate::error::Malformed;
use crate::frame::{FrameHeader, FrameType, HEADER_LEN, VERSION};
use crate::keys::KeySet;

const REQUEST: [u8; HEADER_LEN + 1] = [FrameType::KeysRequest as u8, 0, 0, 1, VERSION];

/// One fetch. Both frames are clear: nothing here is secret.
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

    /// Takes bytes up to the end of the frame. Returns how many, and the key set once it is there. An answer that comes before the
    /// question has left is none (RAW-2): behind half a KEYS_REQUEST nothing else could follow.
    pub(super) fn handle_input(
        &mut self,
        input: &[u8],
    ) -> (usize, Option<Result<KeySet, Malformed>>) {
        let mut consumed = self.take(input, HEADER_LEN);
        let Some(header) = self.frame.first_chunk() else {
            return (consumed, None);
        };
        // FRAME-3, FRAME-5: the length is checked before its memory is taken, and memory grows with what arrived.
        let size = match FrameHeader::parse(*header) {
            Ok(header) if header.kind() == FrameType::Keys && self.sent == REQUEST.len() => {
                header.size()
            }
            Ok(_) => return (consumed, Some(Err(Malformed::Order))),
            Err(error) => return (consumed, Some(Err(error))),
        };
        consumed += self.take(&input[consumed..], size);
        let set = (self.frame.len() == size).then(|| KeySet::parse(&self.frame[HEADER_LEN..]));
        (consumed, set)
    }

    fn take(&mut self, input: &[u8], upto: usize) -> usize {
        let count = upto.saturating_sub(self.frame.len()).min(input.len());
        self.frame.extend_from_slice(&input[..count]);
        count
    }
}
