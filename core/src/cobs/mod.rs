//! Frames on a line that neither opens nor closes (spec section 13.3): one packet each, by Consistent Overhead Byte Stuffing, ended
//! by a zero byte, so that a receiver that lost its place finds it again.
//!
//! [`Encoder`] makes packets, [`Decoder`] takes them apart, and [`Receiver`] says which of them are for the exchange that is under way:
//! it is what either end listens with. Nothing is allocated, and all of them may stop and go on at any byte. They see what an
//! onlooker sees, so their buffers hold no secrets.
//!
//! ```
//! use sealwire_core::cobs::{Decoder, Encoder};
//!
//! // What `poll_transmit` gave: KEYS_REQUEST and the beginning of the next frame.
//! let mut line = [0; 64];
//! let (taken, written) = Encoder::new().encode(&[0x01, 0, 0, 1, 1, 0x03], &mut line);
//! assert_eq!((taken, &line[..written]), (6, &[2, 1, 1, 3, 1, 1, 0][..]));
//!
//! let mut decoder = Decoder::new([0; 1024]);
//! assert_eq!(decoder.handle_input(&line[..written]), written);
//! assert_eq!(decoder.poll_frame(), Some(Ok(&[0x01, 0, 0, 1, 1][..])));
//! assert_eq!(decoder.poll_frame(), None);
//! ```

mod receiver;

pub use receiver::{Packet, Receiver};

use crate::error::{Malformed, PeerError};
use crate::frame::{FrameHeader, FrameType, HEADER_LEN};

/// The most bytes of a run: its code is one more.
const RUN: usize = 254;

/// Bytes of the packet of a frame of `size` bytes, at most, with the zero byte that ends it.
pub const fn max_packet_len(size: usize) -> usize {
    size + size / RUN + 2
}

/// Puts each frame of a byte stream into a packet of its own.
#[derive(Clone, Debug)]
pub struct Encoder {
    header: [u8; HEADER_LEN],
    have: usize,
    /// What is to come of a frame whose header is known.
    left: usize,
    /// A code, its run, and what ends a packet.
    block: [u8; 1 + RUN + 2],
    len: usize,
    /// Bytes of the block that may leave, and how many have.
    ready: usize,
    sent: usize,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder between two frames.
    pub const fn new() -> Self {
        Self {
            header: [0; HEADER_LEN],
            have: 0,
            left: 0,
            block: [0; 1 + RUN + 2],
            len: 1,
            ready: 0,
            sent: 0,
        }
    }

    /// Takes frames, cut wherever they may be, and writes packets into `out`. Returns how many bytes it took, and wrote; it goes on
    /// while there is input, and room. With no input left it may still have something to write: call it until it writes nothing.
    pub fn encode(&mut self, input: &[u8], out: &mut [u8]) -> (usize, usize) {
        let (mut taken, mut written) = (0, 0);
        loop {
            let count = (self.ready - self.sent).min(out.len() - written);
            out[written..written + count]
                .copy_from_slice(&self.block[self.sent..self.sent + count]);
            self.sent += count;
            written += count;
            if self.sent < self.ready {
                return (taken, written);
            }
            if self.ready > 0 {
                (self.len, self.ready, self.sent) = (1, 0, 0);
            }
            let Some(&byte) = input.get(taken) else {
                return (taken, written);
            };
            taken += 1;
            self.push(byte);
        }
    }

    /// The type of the frame that the last byte which was taken belongs to: what [`Receiver::handle_sent`] is told.
    pub fn frame_type(&self) -> Option<FrameType> {
        FrameType::from_u8(self.header[0]).ok()
    }

    fn push(&mut self, byte: u8) {
        if byte == 0 {
            self.end_run();
        } else {
            self.block[self.len] = byte;
            self.len += 1;
            if self.len == 1 + RUN {
                self.end_run();
            }
        }
        if self.ends_frame(byte) {
            if self.ready == 0 {
                self.end_run();
            } else {
                // The run ended with the frame: an empty one follows it.
                self.block[self.ready] = 1;
                self.ready += 1;
            }
            self.block[self.ready] = 0;
            self.ready += 1;
        }
    }

    /// Makes the run ready to leave.
    fn end_run(&mut self) {
        // At most 255.
        self.block[0] = self.len as u8;
        self.ready = self.len;
    }

    /// Counts a byte of a frame, and says whether it is the frame's last.
    fn ends_frame(&mut self, byte: u8) -> bool {
        if self.have < HEADER_LEN {
            self.header[self.have] = byte;
            self.have += 1;
            if self.have < HEADER_LEN {
                return false;
            }
            let [_, a, b, c] = self.header;
            self.left = u32::from_be_bytes([0, a, b, c]) as usize;
        } else {
            self.left -= 1;
        }
        if self.left == 0 {
            self.have = 0;
        }
        self.left == 0
    }
}

/// Takes packets apart, one frame in each, in a buffer of the caller's: an array, a slice, a vector. A frame larger than that is
/// refused.
#[derive(Debug)]
pub struct Decoder<B> {
    buffer: B,
    len: usize,
    /// Bytes of the run that are to come.
    run: u8,
    /// What the end of the run stands for.
    after_run: AfterRun,
    discarding: bool,
    ready: Ready,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterRun {
    /// Nothing: the packet has not begun.
    Start,
    /// A zero, unless the packet ends.
    Zero,
    /// Nothing: the run was as long as one can be.
    Nothing,
}

#[derive(Clone, Debug)]
enum Ready {
    No,
    Frame,
    Failed(PeerError),
    /// A frame was given out; the next call forgets it.
    Taken,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Decoder<B> {
    /// A decoder at the start of a line, or in the middle of a packet, which is then refused.
    pub const fn new(buffer: B) -> Self {
        Self {
            buffer,
            len: 0,
            run: 0,
            after_run: AfterRun::Start,
            discarding: false,
            ready: Ready::No,
        }
    }

    /// Takes bytes from the line, and returns how many: up to the end of a packet, or to what is wrong with it. While
    /// [`poll_frame`](Self::poll_frame) has something to give, it takes none.
    pub fn handle_input(&mut self, input: &[u8]) -> usize {
        self.forget_taken();
        let mut taken = 0;
        while let (Some(&byte), Ready::No) = (input.get(taken), &self.ready) {
            taken += 1;
            if let Err(error) = self.take(byte) {
                self.start_packet();
                // What ended the packet needs no other end.
                self.discarding = byte != 0;
                self.ready = Ready::Failed(error);
            }
        }
        taken
    }

    /// The frame of a packet, whole, or why there is none (RAW-1): what follows in a packet after an error is passed over.
    ///
    /// # Errors
    /// [`PeerError::TooLarge`] for a frame that the buffer cannot hold, [`Malformed`] for a packet that is no COBS, or does not hold
    /// exactly one frame.
    pub fn poll_frame(&mut self) -> Option<Result<&[u8], PeerError>> {
        self.forget_taken();
        match core::mem::replace(&mut self.ready, Ready::No) {
            Ready::Frame => {
                self.ready = Ready::Taken;
                Some(Ok(&self.buffer.as_ref()[..self.len]))
            }
            Ready::Failed(error) => Some(Err(error)),
            Ready::No | Ready::Taken => None,
        }
    }

    /// The frame that [`poll_frame`](Self::poll_frame) gave out last, until the next call of it or of
    /// [`handle_input`](Self::handle_input); empty if there is none.
    pub fn frame(&self) -> &[u8] {
        match self.ready {
            Ready::Taken => &self.buffer.as_ref()[..self.len],
            _ => &[],
        }
    }

    fn forget_taken(&mut self) {
        if matches!(self.ready, Ready::Taken) {
            self.ready = Ready::No;
            self.start_packet();
        }
    }

    fn start_packet(&mut self) {
        self.len = 0;
        self.run = 0;
        self.after_run = AfterRun::Start;
    }

    fn take(&mut self, byte: u8) -> Result<(), PeerError> {
        if byte == 0 {
            return self.end_packet();
        }
        if self.discarding {
            return Ok(());
        }
        if self.run > 0 {
            self.run -= 1;
            return self.keep(byte);
        }
        let after_run = self.after_run;
        self.run = byte - 1;
        self.after_run = match byte {
            0xff => AfterRun::Nothing,
            _ => AfterRun::Zero,
        };
        match after_run {
            AfterRun::Zero => self.keep(0),
            AfterRun::Start | AfterRun::Nothing => Ok(()),
        }
    }

    /// Adds a byte to the frame, if it can be one of it.
    fn keep(&mut self, byte: u8) -> Result<(), PeerError> {
        let limit = self.buffer.as_ref().len();
        let too_large = || PeerError::TooLarge {
            what: "frame",
            limit: limit as u64,
        };
        let place = self.buffer.as_mut().get_mut(self.len);
        *place.ok_or_else(too_large)? = byte;
        self.len += 1;
        // From the header alone (FRAME-3), and again for each byte after it.
        match self.size()? {
            Some(size) if size > limit => Err(too_large()),
            Some(size) if size < self.len => Err(Malformed::FrameLength.into()),
            _ => Ok(()),
        }
    }

    /// The size of the frame, once its header is there.
    fn size(&self) -> Result<Option<usize>, Malformed> {
        let header = self.buffer.as_ref()[..self.len].first_chunk::<HEADER_LEN>();
        header
            .map(|header| FrameHeader::parse(*header).map(FrameHeader::size))
            .transpose()
    }

    fn end_packet(&mut self) -> Result<(), PeerError> {
        if core::mem::take(&mut self.discarding) || self.after_run == AfterRun::Start {
            return Ok(());
        }
        if self.run > 0 || self.size()? != Some(self.len) {
            return Err(Malformed::FrameLength.into());
        }
        self.ready = Ready::Frame;
        Ok(())
    }
}
