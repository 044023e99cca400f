//! The sending half of both ends: content to sealed frames, with the padding of spec section 9.

use alloc::vec::Vec;

use sealwire_memlock::{SecureArray, SecureBytes, SecureMemory};

use crate::error::{Error, Misuse};
use crate::frame::{CONTENT_OFFSET, FrameType, LARGEST_FRAME, MIN_MAX_FRAME, SEALED_OVERHEAD};
use crate::padding::{Padding, padme};
use crate::record::{MAX_FRAMES, Sealer};
use crate::schedule::KEY_BLOCK_LEN;
use crate::suite::RecordAead;

/// The smallest uniform frame that still holds something: ERROR with its clock, say.
const MIN_UNIFORM: usize = 64;
/// A padded HEAD is a multiple of this.
const HEAD_STEP: usize = 256;
/// A padded ERROR that no HEAD came before.
const ERROR_SIZE: usize = 1024;
/// Content of the longest last frame: ERROR with a clock.
const LONGEST_END: usize = 9;

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
    end: End,
    queue: Queue,
}

/// The last frame of a direction, and the padding before it. Sealed frame by frame as what came before leaves: what padding adds
/// must not take memory.
enum End {
    NotYet,
    Coming {
        /// Bytes on the wire of the DATA frames before it.
        padding: u64,
        kind: FrameType,
        content: [u8; LONGEST_END],
        len: usize,
    },
    Sealed,
}

/// Ciphertext and clear frames on their way out.
#[derive(Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    sent: usize,
}

impl Padding {
    /// With frames that the receiver takes.
    fn within(self, max_frame: usize) -> Self {
        match self {
            Self::Uniform { frame } => Self::Uniform {
                frame: frame.clamp(MIN_UNIFORM, max_frame),
            },
            other => other,
        }
    }
}

impl Queue {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        // What has left is given up, in a host too that never takes all of it.
        if self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
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
        Ok(Self {
            sealer,
            frame: memory.with_capacity(0)?,
            padding: padding.within(max_frame),
            max_frame,
            held: 0,
            data_total: 0,
            frames: 0,
            end: End::NotYet,
            queue,
        })
    }

    /// Pads in another way, as long as nothing has been sealed.
    pub(super) fn set_padding(&mut self, padding: Padding) {
        if !self.has_begun() {
            self.padding = padding.within(self.max_frame);
        }
    }

    /// The size of a full frame.
    const fn full_frame(&self) -> usize {
        match self.padding {
            Padding::Uniform { frame } => frame,
            _ => self.max_frame,
        }
    }

    /// Content bytes that one frame holds.
    const fn frame_capacity(&self) -> usize {
        self.full_frame() - SEALED_OVERHEAD
    }

    /// Bytes of memory that it holds.
    pub(super) fn buffered(&self) -> usize {
        self.frame.capacity() + self.queue.capacity()
    }

    /// Bytes that wait to leave.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Whether HEAD, or another frame, has been sealed.
    pub(super) const fn has_begun(&self) -> bool {
        self.frames > 0
    }

    /// Whether the last frame has been sealed.
    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.end, End::Sealed)
    }

    /// Copies out what waits, and seals what comes after it, as much as fits.
    pub(super) fn transmit(&mut self, out: &mut [u8]) -> usize {
        let mut written = 0;
        loop {
            written += self.queue.transmit(&mut out[written..]);
            if self.queue.len() > 0 || !matches!(self.end, End::Coming { .. }) {
                return written;
            }
            if self.seal_next().is_err() {
                // `last` saw to it that there is room and that the frames can be counted. Without its last frame the direction is cut.
                self.end = End::Sealed;
            }
        }
    }

    /// Seals HEAD, whose content `encode` writes into secure memory. All the memory that the direction needs is taken here: what comes
    /// later does not fail for want of it.
    pub(super) fn head(
        &mut self,
        encode: impl FnOnce(&mut [u8]) -> Result<usize, Misuse>,
    ) -> Result<(), Error> {
        let capacity = self.frame_capacity();
        self.frame.try_resize(self.full_frame())?;
        let room = &mut self.frame.expose_mut()[CONTENT_OFFSET..CONTENT_OFFSET + capacity];
        let len = encode(room).map_err(|misuse| match misuse {
            Misuse::OutputTooSmall { .. } => Misuse::TooLarge {
                what: "head",
                limit: capacity as u64,
            },
            other => other,
        })?;
        let size = match self.padding {
            Padding::Padme => (SEALED_OVERHEAD + len)
                .next_multiple_of(HEAD_STEP)
                .min(self.max_frame),
            _ => self.size_of_piece(),
        };
        self.seal(FrameType::Head, len, size)
    }

    /// The least size of a frame that leaves at once.
    const fn size_of_piece(&self) -> usize {
        match self.padding {
            Padding::Uniform { frame } => frame,
            _ => 0,
        }
    }

    /// Seals DATA with as much of `content` as one frame holds, and says how much that was.
    ///
    /// With Padmé a frame leaves only once it is full: what the body ends with waits in secure memory for [`last`](Self::last),
    /// so that frame sizes say nothing of where the pieces began and ended.
    pub(super) fn data(&mut self, content: &[u8]) -> Result<usize, Error> {
        if !matches!(self.end, End::NotYet) {
            return Err(Misuse::State("the direction has ended").into());
        }
        let len = content.len().min(self.frame_capacity() - self.held);
        self.put(&content[..len]);
        self.held += len;
        if self.padding != Padding::Padme {
            self.seal_held(self.size_of_piece())?;
        } else if self.held == self.frame_capacity() && len < content.len() {
            self.seal_held(self.max_frame)?;
        }
        Ok(len)
    }

    /// Seals what waits into a frame of at least `size` bytes.
    fn seal_held(&mut self, size: usize) -> Result<(), Error> {
        self.seal(FrameType::Data, self.held, size)?;
        self.held = 0;
        Ok(())
    }

    /// Begins the end: what pads the direction (spec section 9.2), then END without, or ERROR with content.
    /// [`transmit`](Self::transmit) seals them as there is room.
    ///
    /// # Errors
    /// Without memory, or where the direction cannot carry as many frames (SEAL-6): nothing has changed.
    pub(super) fn last(&mut self, kind: FrameType, content: &[u8]) -> Result<(), Error> {
        if !matches!(self.end, End::NotYet) {
            return Err(Misuse::State("the direction has ended").into());
        }
        let padding = match self.padding {
            Padding::None => 0,
            Padding::Padme => self.missing(),
            Padding::Uniform { frame } => {
                let frames = self.frames + 1;
                (padme(frames) - frames) * frame as u64
            }
        };
        let frames = padding.div_ceil(self.full_frame() as u64);
        // CANCEL may come behind it.
        if self.frames + frames + 2 > MAX_FRAMES {
            return Err(Misuse::State("this direction has carried 2^32 frames").into());
        }
        // Without HEAD there is no room yet.
        let needed = self.size_of(kind, content.len());
        if self.frame.len() < needed {
            self.frame.try_resize(needed)?;
        }
        let mut whole = [0; LONGEST_END];
        whole[..content.len()].copy_from_slice(content);
        self.end = End::Coming {
            padding,
            kind,
            content: whole,
            len: content.len(),
        };
        if self.queue.len() == 0 {
            self.seal_next()?;
        }
        Ok(())
    }

    /// Seals the next frame of the end.
    fn seal_next(&mut self) -> Result<(), Error> {
        let full_frame = self.full_frame() as u64;
        match &mut self.end {
            End::Coming { padding, .. } if *padding > 0 => {
                let size = full_frame.min(*padding);
                *padding -= size;
                self.seal_held(size as usize)
            }
            End::Coming {
                kind, content, len, ..
            } => {
                let (kind, content, len) = (*kind, *content, *len);
                self.put(&content[..len]);
                self.seal(kind, len, self.size_of(kind, len))?;
                self.end = End::Sealed;
                Ok(())
            }
            End::NotYet | End::Sealed => Ok(()),
        }
    }

    /// What brings the sum of the sizes of the DATA frames to a Padmé value: each size then follows from that value and the frame
    /// limit.
    fn missing(&self) -> u64 {
        if self.data_total == 0 && self.held == 0 {
            return 0;
        }
        let unpadded = self.data_total + (SEALED_OVERHEAD + self.held) as u64;
        let missing = padme(unpadded) - self.data_total;
        let max = self.max_frame as u64;
        // A rest too small for a frame of its own is made one.
        match missing % max {
            0 => missing,
            rest => missing - rest + rest.max(SEALED_OVERHEAD as u64),
        }
    }

    /// The size of the last frame, or of CANCEL, which is outside the padding of its direction.
    fn size_of(&self, kind: FrameType, content_len: usize) -> usize {
        match (self.padding, kind) {
            (_, FrameType::Cancel) | (Padding::None, _) => SEALED_OVERHEAD + content_len,
            (Padding::Uniform { frame }, _) => frame,
            (Padding::Padme, FrameType::Error) => ERROR_SIZE,
            (Padding::Padme, _) => SEALED_OVERHEAD + content_len,
        }
    }

    /// Seals CANCEL.
    pub(super) fn cancel(&mut self) -> Result<(), Error> {
        self.seal(FrameType::Cancel, 0, self.size_of(FrameType::Cancel, 0))
    }

    /// Puts content behind what waits in the frame buffer, where there is room for it.
    fn put(&mut self, content: &[u8]) {
        let start = CONTENT_OFFSET + self.held;
        self.frame.expose_mut()[start..start + content.len()].copy_from_slice(content);
    }

    /// Seals what stands in the frame buffer into a frame of at least `size` bytes.
    fn seal(&mut self, kind: FrameType, content_len: usize, size: usize) -> Result<(), Error> {
        let size = size.max(SEALED_OVERHEAD + content_len);
        let frame = &mut self.frame.expose_mut()[..size];
        self.sealer.seal(kind, frame, content_len, size)?;
        self.queue.push(frame);
        if kind == FrameType::Data {
            self.data_total += size as u64;
        }
        self.frames += 1;
        Ok(())
    }

    /// What waits to leave, alone.
    pub(super) fn take_queue(&mut self) -> Queue {
        core::mem::take(&mut self.queue)
    }

    /// Ends the direction: the keys go on to the response, the queue still has to leave.
    pub(super) fn into_parts(self) -> (Sealer<A, SecureArray<KEY_BLOCK_LEN>>, Queue) {
        (self.sealer, self.queue)
    }
}
