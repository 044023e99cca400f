//! The receiving half of both ends: bytes to whole frames, limits before memory.

use sealwire_memlock::{Policy, SecureBytes, SecureMemory};

use super::limits::Limits;
use crate::error::{Error, Malformed, PeerError};
use crate::frame::{CONTENT_OFFSET, FrameHeader, FrameType, HEADER_LEN};

/// Collects frames, one at a time, in secure memory: sealed frames are opened where they stand.
pub(super) struct Incoming {
    frame: SecureBytes,
    header: Option<FrameHeader>,
    limits: Limits,
    wire: u64,
    content: u64,
    /// The frame in the buffer was handed out; the next input begins another.
    taken: bool,
}

impl Incoming {
    /// Where locked memory is required, `room` bytes of it are taken at once: without room for the first frame nothing is read.
    pub(super) fn new(memory: &SecureMemory, limits: Limits, room: usize) -> Result<Self, Error> {
        let room = match memory.policy() {
            Policy::Required => room,
            _ => 0,
        };
        Ok(Self {
            frame: memory.with_capacity(room)?,
            header: None,
            limits,
            wire: 0,
            content: 0,
            taken: false,
        })
    }

    /// Takes bytes up to the end of one frame. Returns how many, also on an error, and the frame's type once it is whole.
    ///
    /// A frame that is not `expected`, or too large, is refused by its header alone, before there is room for its body (FRAME-3,
    /// FRAME-6).
    pub(super) fn handle_input(
        &mut self,
        input: &[u8],
        expected: impl Fn(FrameType) -> bool,
    ) -> (usize, Result<Option<FrameType>, Error>) {
        let mut consumed = 0;
        let result = self.collect(input, expected, &mut consumed);
        (consumed, result)
    }

    fn collect(
        &mut self,
        input: &[u8],
        expected: impl Fn(FrameType) -> bool,
        consumed: &mut usize,
    ) -> Result<Option<FrameType>, Error> {
        self.forget_taken();
        let header = match self.header {
            Some(header) => header,
            None => {
                *consumed += self.take(input, HEADER_LEN)?;
                let Some(bytes) = self.frame.expose().first_chunk::<HEADER_LEN>() else {
                    return Ok(None);
                };
                let header = FrameHeader::parse(*bytes)?;
                if !expected(header.kind()) {
                    return Err(Malformed::Order.into());
                }
                self.check_limits(header)?;
                *self.header.insert(header)
            }
        };
        *consumed += self.take(&input[*consumed..], header.size())?;
        if self.frame.len() < header.size() {
            return Ok(None);
        }
        self.wire += header.size() as u64;
        Ok(Some(header.kind()))
    }

    /// Bytes of memory that it holds.
    pub(super) fn buffered(&self) -> usize {
        self.frame.capacity()
    }

    /// Whether a frame has begun and is not whole.
    pub(super) fn has_begun(&self) -> bool {
        !self.frame.is_empty() && !self.taken
    }

    /// LIMIT-1. Clear frames are bounded by their type (FRAME-5).
    fn check_limits(&self, header: FrameHeader) -> Result<(), PeerError> {
        if header.kind().is_sealed() && header.size() > self.limits.frame {
            return Err(PeerError::TooLarge {
                what: "frame",
                limit: self.limits.frame as u64,
            });
        }
        if self.wire + header.size() as u64 > self.limits.wire {
            return Err(PeerError::TooLarge {
                what: "message with its padding",
                limit: self.limits.wire,
            });
        }
        Ok(())
    }

    /// Copies from `input` until the frame holds `upto` bytes. Memory grows with what arrived, not with what was announced.
    fn take(&mut self, input: &[u8], upto: usize) -> Result<usize, Error> {
        let count = (upto - self.frame.len()).min(input.len());
        self.frame.try_extend_from_slice(&input[..count])?;
        Ok(count)
    }

    /// The whole frame, header included.
    pub(super) fn frame(&mut self) -> &mut [u8] {
        self.frame.expose_mut()
    }

    /// The body of a clear frame.
    pub(super) fn clear_body(&self) -> &[u8] {
        &self.frame.expose()[HEADER_LEN..]
    }

    /// Counts the content of a DATA frame; call after it opened.
    pub(super) fn count_content(&mut self, len: usize) -> Result<(), PeerError> {
        self.content += len as u64;
        if self.content > self.limits.content {
            return Err(PeerError::TooLarge {
                what: "body",
                limit: self.limits.content,
            });
        }
        Ok(())
    }

    /// Forgets the frame, to begin the next.
    pub(super) fn next_frame(&mut self) {
        self.frame.clear();
        self.header = None;
    }

    /// Forgets the frame, and that there was one: it was not of the message that begins.
    pub(super) fn restart(&mut self) {
        self.next_frame();
        self.wire = 0;
    }

    /// The content of the opened frame, `len` bytes.
    pub(super) fn content(&self, len: usize) -> &[u8] {
        &self.frame.expose()[CONTENT_OFFSET..CONTENT_OFFSET + len]
    }

    /// Marks the frame as handed out: it stays until the next call.
    pub(super) fn take_frame(&mut self) {
        self.taken = true;
    }

    /// Wipes a frame that was handed out.
    pub(super) fn forget_taken(&mut self) {
        if core::mem::take(&mut self.taken) {
            self.next_frame();
        }
    }
}

/// Reads and throws away frames until one of the kinds that ends a request (ORDER-3), without memory for bodies.
#[derive(Debug, Default)]
pub(super) struct Drain {
    header: [u8; HEADER_LEN],
    have: usize,
    /// What is left of a frame whose header is known, and whether that frame is the last.
    body: Option<(usize, bool)>,
    wire: u64,
}

/// How far a [`Drain`] has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drained {
    /// The request has not ended.
    Not,
    /// It ended by its last frame: what follows is another exchange.
    ToEnd,
    /// It passed the limit, or is no request: nobody can tell what follows.
    Broken,
}

impl Drain {
    /// Goes on from where `incoming` stands, perhaps in the middle of a frame.
    pub(super) fn continue_from(incoming: &Incoming) -> Self {
        let mut drain = Self {
            wire: incoming.wire,
            ..Self::default()
        };
        match incoming.header {
            Some(header) => {
                let left = header.size() - incoming.frame.len();
                // A frame that is whole was counted when it became so.
                if left > 0 {
                    drain.wire += header.size() as u64;
                }
                drain.body = Some((left, ends_request(header.kind())));
            }
            // Without a header at most four bytes were taken.
            None => {
                let begun = incoming.frame.expose();
                drain.have = begun.len();
                drain.header[..begun.len()].copy_from_slice(begun);
            }
        }
        drain
    }

    /// Takes bytes. Returns how many, and whether the request has ended.
    pub(super) fn handle_input(&mut self, input: &[u8], wire_limit: u64) -> (usize, Drained) {
        let mut consumed = 0;
        loop {
            let (left, last) = match self.body {
                Some(body) => body,
                None => {
                    let count = (HEADER_LEN - self.have).min(input.len() - consumed);
                    self.header[self.have..self.have + count]
                        .copy_from_slice(&input[consumed..consumed + count]);
                    self.have += count;
                    consumed += count;
                    if self.have < HEADER_LEN {
                        return (consumed, Drained::Not);
                    }
                    self.have = 0;
                    match FrameHeader::parse(self.header) {
                        Ok(header) if belongs_to_request(header.kind()) => {
                            self.wire += header.size() as u64;
                            if self.wire > wire_limit {
                                return (consumed, Drained::Broken);
                            }
                            (header.body_len(), ends_request(header.kind()))
                        }
                        _ => return (consumed, Drained::Broken),
                    }
                }
            };
            let count = left.min(input.len() - consumed);
            consumed += count;
            if left > count {
                self.body = Some((left - count, last));
                return (consumed, Drained::Not);
            }
            self.body = None;
            if last {
                return (consumed, Drained::ToEnd);
            }
        }
    }
}

/// What can stand in a request after OPEN.
fn belongs_to_request(kind: FrameType) -> bool {
    matches!(
        kind,
        FrameType::Head | FrameType::Data | FrameType::End | FrameType::Cancel
    )
}

fn ends_request(kind: FrameType) -> bool {
    matches!(kind, FrameType::End | FrameType::Cancel)
}
