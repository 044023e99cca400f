//! The sending half of both ends: content to sealed frames, with the padding of spec section 9.

use alloc::vec::Vec;

use sealwire_memlock::{SecureArray, SecureBytes, SecureMemory};

use crate::error::{Error, Misuse};
use crate::frame::{CONTENT_OFFSET, FrameType, LARGEST_FRAME, MIN_MAX_FRAME, SEALED_OVERHEAD};
use crate::padding::{Padding, padme};
use crate::record::Sealer;
use crate::schedule::KEY_BLOCK_LEN;
use crate::suite::RecordAead;

/// The smallest uniform frame that still holds something.
const MIN_UNIFORM: usize = 64;

/// Seals one direction. Frames are put together and sealed in secure memory; only ciphertext leaves it.
pub(super) struct Outgoing<A> {
    sealer: Sealer<A, SecureArray<KEY_BLOCK_LEN>>,
    frame: SecureBytes,
    padding: Padding,
    max_frame: usize,
    /// Sealed bytes and frames so far, HEAD included.
    total: u64,
    frames: u64,
    queue: Queue,
}

/// Ciphertext and clear frames on their way out.
#[derive(Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    sent: usize,
}

impl Queue {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Copies out as much as fits.
    pub(super) fn transmit(&mut self, out: &mut [u8]) -> usize {
        let count = self.len().min(out.len());
        out[..count].copy_from_slice(&self.bytes[self.sent..self.sent + count]);
        self.sent += count;
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
        count
    }
}

impl<A: RecordAead> Outgoing<A> {
    /// `max_frame` is the largest frame the peer accepts; `queue` may already hold clear frames.
    pub(super) fn new(
        sealer: Sealer<A, SecureArray<KEY_BLOCK_LEN>>,
        memory: &SecureMemory,
        padding: Padding,
        max_frame: usize,
        queue: Queue,
    ) -> Result<Self, Error> {
        let max_frame = max_frame.clamp(MIN_MAX_FRAME, LARGEST_FRAME);
        let padding = match padding {
            Padding::Uniform { frame } => Padding::Uniform {
                frame: frame.clamp(MIN_UNIFORM, max_frame),
            },
            other => other,
        };
        Ok(Self {
            sealer,
            frame: memory.with_capacity(0)?,
            padding,
            max_frame,
            total: 0,
            frames: 0,
            queue,
        })
    }

    /// Content bytes that one frame holds.
    pub(super) fn frame_capacity(&self) -> usize {
        match self.padding {
            Padding::Uniform { frame } => frame - SEALED_OVERHEAD,
            _ => self.max_frame - SEALED_OVERHEAD,
        }
    }

    /// Bytes that wait to leave.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn queue(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// Seals HEAD, whose content `encode` writes into secure memory.
    pub(super) fn head(
        &mut self,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, Misuse>,
    ) -> Result<(), Error> {
        let capacity = self.frame_capacity();
        self.frame.try_resize(CONTENT_OFFSET + capacity)?;
        let len =
            encode(&mut self.frame.expose_mut()[CONTENT_OFFSET..]).map_err(
                |misuse| match misuse {
                    Misuse::OutputTooSmall { .. } => Misuse::TooLarge {
                        what: "head",
                        limit: capacity as u64,
                    },
                    other => other,
                },
            )?;
        self.seal(FrameType::Head, len, 0)
    }

    /// Seals DATA with as much of `content` as one frame holds, and says how much that was.
    pub(super) fn data(&mut self, content: &[u8]) -> Result<usize, Error> {
        let len = content.len().min(self.frame_capacity());
        self.put(&content[..len])?;
        self.seal(FrameType::Data, len, 0)?;
        Ok(len)
    }

    /// Seals the last frame: END without, ERROR with content; the direction's padding goes before and into it.
    pub(super) fn last(&mut self, kind: FrameType, content: &[u8]) -> Result<(), Error> {
        let extra = match self.padding {
            Padding::None => 0,
            Padding::Padme => {
                let total = self.total + (SEALED_OVERHEAD + content.len()) as u64;
                let mut missing = padme(total) - total;
                let room = (self.max_frame - SEALED_OVERHEAD - content.len()) as u64;
                while missing > room {
                    let size = missing.min(self.max_frame as u64);
                    self.put(&[])?;
                    self.seal(FrameType::Data, 0, size as usize)?;
                    missing -= size;
                }
                missing as usize
            }
            Padding::Uniform { .. } => {
                for _ in self.frames + 1..padme(self.frames + 1) {
                    self.put(&[])?;
                    self.seal(FrameType::Data, 0, 0)?;
                }
                0
            }
        };
        self.put(content)?;
        self.seal(kind, content.len(), SEALED_OVERHEAD + content.len() + extra)
    }

    /// Seals CANCEL, which is outside the padding of its direction.
    pub(super) fn cancel(&mut self) -> Result<(), Error> {
        self.put(&[])?;
        self.seal(FrameType::Cancel, 0, 0)
    }

    fn put(&mut self, content: &[u8]) -> Result<(), Error> {
        let needed = CONTENT_OFFSET + content.len();
        if self.frame.len() < needed {
            self.frame.try_resize(needed)?;
        }
        self.frame.expose_mut()[CONTENT_OFFSET..needed].copy_from_slice(content);
        Ok(())
    }

    /// Seals what stands in the frame buffer into a frame of at least `size` bytes, or of the uniform size.
    fn seal(&mut self, kind: FrameType, content_len: usize, size: usize) -> Result<(), Error> {
        let size = match self.padding {
            Padding::Uniform { frame } => frame,
            _ => size.max(SEALED_OVERHEAD + content_len),
        };
        if self.frame.len() < size {
            self.frame.try_resize(size)?;
        }
        let frame = &mut self.frame.expose_mut()[..size];
        self.sealer.seal(kind, frame, content_len, size)?;
        self.queue.push(frame);
        self.total += size as u64;
        self.frames += 1;
        Ok(())
    }

    /// Ends the direction: the keys go on to the response, the queue still has to leave.
    pub(super) fn into_parts(self) -> (Sealer<A, SecureArray<KEY_BLOCK_LEN>>, Queue) {
        (self.sealer, self.queue)
    }
}
