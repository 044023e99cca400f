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
/// A padded HEAD is a multiple of this.
const HEAD_STEP: usize = 256;
/// A padded ERROR that no HEAD came before.
const ERROR_SIZE: usize = 1024;

/// Seals one direction. Frames are put together and sealed in secure memory; only ciphertext leaves it.
pub(super) struct Outgoing<A> {
    sealer: Sealer<A, SecureArray<KEY_BLOCK_LEN>>,
    frame: SecureBytes,
    padding: Padding,
    max_frame: usize,
    /// Content of a DATA frame that is not sealed yet, in `frame`.
    held: usize,
    /// Bytes on the wire of the DATA frames so far.
    data_total: u64,
    /// Frames so far, HEAD included.
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

    /// Puts what waits in `other` behind what waits here.
    pub(super) fn append(&mut self, other: Self) {
        self.push(&other.bytes[other.sent..]);
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Bytes of memory that it holds.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
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
            held: 0,
            data_total: 0,
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

    /// Bytes of memory that it holds.
    pub(super) fn buffered(&self) -> usize {
        self.frame.capacity() + self.queue.capacity()
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
        let size = match self.padding {
            Padding::Padme => (SEALED_OVERHEAD + len)
                .next_multiple_of(HEAD_STEP)
                .min(self.max_frame),
            _ => 0,
        };
        self.seal(FrameType::Head, len, size)
    }

    /// Seals DATA with as much of `content` as one frame holds, and says how much that was.
    ///
    /// With Padmé a frame leaves only once it is full: what the body ends with waits in secure memory for [`last`](Self::last),
    /// so that frame sizes say nothing of where the pieces began and ended.
    pub(super) fn data(&mut self, content: &[u8]) -> Result<usize, Error> {
        let len = content.len().min(self.frame_capacity() - self.held);
        self.put(&content[..len])?;
        self.held += len;
        if self.padding != Padding::Padme {
            self.seal_held(0)?;
        } else if self.held == self.frame_capacity() && len < content.len() {
            self.seal_held(self.max_frame)?;
        }
        Ok(len)
    }

    /// Seals what waits, if anything does or `size` asks for a frame.
    fn seal_held(&mut self, size: usize) -> Result<(), Error> {
        let held = core::mem::take(&mut self.held);
        self.seal(FrameType::Data, held, size)
    }

    /// Seals the last frame: END without, ERROR with content, after what pads the direction (spec section 9.2).
    pub(super) fn last(&mut self, kind: FrameType, content: &[u8]) -> Result<(), Error> {
        match self.padding {
            Padding::None => {}
            Padding::Padme => self.pad_data()?,
            Padding::Uniform { .. } => {
                for _ in self.frames + 1..padme(self.frames + 1) {
                    self.seal_held(0)?;
                }
            }
        }
        self.put(content)?;
        let size = match (self.padding, kind) {
            (Padding::Padme, FrameType::Error) => ERROR_SIZE,
            _ => 0,
        };
        self.seal(kind, content.len(), size)
    }

    /// Brings the sum of the sizes of the DATA frames to a Padmé value. Each size then follows from that value and the frame limit.
    fn pad_data(&mut self) -> Result<(), Error> {
        if self.data_total == 0 && self.held == 0 {
            return Ok(());
        }
        let unpadded = self.data_total + (SEALED_OVERHEAD + self.held) as u64;
        let mut missing = padme(unpadded) - self.data_total;
        let max = self.max_frame as u64;
        // A rest too small for a frame of its own is made one.
        if !missing.is_multiple_of(max) && missing % max < SEALED_OVERHEAD as u64 {
            missing += SEALED_OVERHEAD as u64 - missing % max;
        }
        while missing > 0 {
            let size = missing.min(max);
            self.seal_held(size as usize)?;
            missing -= size;
        }
        Ok(())
    }

    /// Seals CANCEL, which is outside the padding of its direction.
    pub(super) fn cancel(&mut self) -> Result<(), Error> {
        self.put(&[])?;
        self.seal(FrameType::Cancel, 0, 0)
    }

    /// Puts content behind what waits in the frame buffer.
    fn put(&mut self, content: &[u8]) -> Result<(), Error> {
        let start = CONTENT_OFFSET + self.held;
        let needed = start + content.len();
        if self.frame.len() < needed {
            self.frame.try_resize(needed)?;
        }
        self.frame.expose_mut()[start..needed].copy_from_slice(content);
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
        if kind == FrameType::Data {
            self.data_total += size as u64;
        }
        self.frames += 1;
        Ok(())
    }

    /// Ends the direction: the keys go on to the response, the queue still has to leave.
    pub(super) fn into_parts(self) -> (Sealer<A, SecureArray<KEY_BLOCK_LEN>>, Queue) {
        (self.sealer, self.queue)
    }
}
