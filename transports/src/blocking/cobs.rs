//! Lines that neither open nor close (spec section 13.3): frames in packets of COBS.

use alloc::boxed::Box;
use core::error::Error;
use core::task::Waker;
use core::time::Duration;

use embedded_io::{ErrorType, Read, Write};
use sealwire_core::cobs::{Decoder, Encoder};
use sealwire_core::frame::FrameType;

use super::link::{Interest, Link, Ready};

/// A serial line on which each frame is a packet of COBS, so that both ends find their place again after noise, a reset, or an
/// exchange that nobody ended (RAW-1, RAW-4).
///
/// `B` is where packets are put together: an array or a vector, as long as the largest frame that the peer may send. What is
/// larger is noise.
#[derive(Debug)]
pub struct Cobs<L, B> {
    line: L,
    side: Side,
    decoder: Decoder<B>,
    encoder: Encoder,
    /// What came from the line and the decoder has not taken.
    input: Piece<64>,
    /// What the encoder made and the line has not taken.
    output: Piece<64>,
    /// Bytes given out of the frame that stands in the decoder.
    given: usize,
    frame_len: usize,
    /// Frames of an answer to a client, of a request to a gateway, are wanted.
    under_way: bool,
    /// A client has sent something, and waits for an answer to begin.
    is_waiting: bool,
    event: Option<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Gateway,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// To a gateway: what was under way is over; perhaps the client began anew, then its frame is given out.
    Anew,
    /// To a client: the answer cannot go on.
    Lost,
}

#[derive(Debug)]
struct Piece<const N: usize> {
    bytes: [u8; N],
    at: usize,
    end: usize,
}

impl<const N: usize> Piece<N> {
    const fn new() -> Self {
        Self {
            bytes: [0; N],
            at: 0,
            end: 0,
        }
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..self.end]
    }
}

impl<L: Link, B: AsRef<[u8]> + AsMut<[u8]>> Cobs<L, B> {
    /// The client's end of a line.
    pub fn client(line: L, buffer: B) -> Self {
        Self::new(line, buffer, Side::Client)
    }

    /// The gateway's end of a line.
    pub fn gateway(line: L, buffer: B) -> Self {
        Self::new(line, buffer, Side::Gateway)
    }

    fn new(line: L, buffer: B, side: Side) -> Self {
        let mut this = Self {
            line,
            side,
            decoder: Decoder::new(buffer),
            encoder: Encoder::new(),
            input: Piece::new(),
            output: Piece::new(),
            given: 0,
            frame_len: 0,
            under_way: false,
            is_waiting: false,
            event: None,
        };
        this.start_packet();
        this
    }

    /// The line.
    pub fn into_inner(self) -> L {
        self.line
    }

    /// Whatever stands on the line ends here: a zero byte, and then a packet.
    fn start_packet(&mut self) {
        self.encoder = Encoder::new();
        self.output = Piece::new();
        self.output.end = 1;
    }

    /// Feeds the decoder up to a frame that is to be given out, or to an event.
    fn decode(&mut self) {
        while self.frame_len == 0 && self.event.is_none() {
            let taken = self.decoder.handle_input(self.input.rest());
            self.input.at += taken;
            let frame = match self.decoder.poll_frame() {
                Some(frame) => frame.ok().map(|frame| (frame[0], frame.len())),
                None if taken == 0 => return,
                None => continue,
            };
            let kind = frame.and_then(|(kind, len)| Some((FrameType::from_u8(kind).ok()?, len)));
            match kind {
                Some((kind, len)) if self.is_wanted(kind) => {
                    (self.frame_len, self.given) = (len, 0);
                }
                // RAW-4: passed over, unless it was of what is under way.
                Some(_) => {}
                None if self.under_way || self.is_waiting => {
                    (self.under_way, self.is_waiting) = (false, false);
                    self.event = Some(match self.side {
                        Side::Client => Event::Lost,
                        Side::Gateway => Event::Anew,
                    });
                }
                None => {}
            }
        }
    }

    /// RAW-4: outside an exchange only what begins one, or answers, is looked at.
    fn is_wanted(&mut self, kind: FrameType) -> bool {
        let was_waiting = self.is_waiting;
        self.is_waiting = false;
        match (self.side, kind) {
            (Side::Client, FrameType::Accept) => self.under_way = true,
            (Side::Client, FrameType::Reject | FrameType::Keys) => self.under_way = false,
            (Side::Client, FrameType::End | FrameType::Error) if self.under_way => {
                self.under_way = false;
            }
            // A client that has forgotten what was under way asks for the keys first.
            (Side::Gateway, FrameType::Open | FrameType::KeysRequest) => {
                self.under_way = kind == FrameType::Open;
                self.event = Some(Event::Anew);
            }
            _ => {
                self.is_waiting = was_waiting;
                return self.under_way;
            }
        }
        true
    }

    /// Writes out what the encoder made.
    fn write_packet(&mut self) -> Result<(), L::Error> {
        while !self.output.rest().is_empty() {
            self.output.at += self.line.write(self.output.rest())?;
        }
        Ok(())
    }
}

impl<L: ErrorType, B> ErrorType for Cobs<L, B> {
    type Error = L::Error;
}

impl<L: Link, B: AsRef<[u8]> + AsMut<[u8]>> Read for Cobs<L, B> {
    /// 0 where an exchange cannot go on: the line does, with the next.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, L::Error> {
        loop {
            self.decode();
            match self.event.take() {
                Some(Event::Lost) => return Ok(0),
                Some(Event::Anew) => {
                    self.start_packet();
                    continue;
                }
                None => {}
            }
            if self.frame_len > 0 {
                break;
            }
            let count = self.line.read(&mut self.input.bytes)?;
            if count == 0 {
                return Ok(0);
            }
            (self.input.at, self.input.end) = (0, count);
        }
        let frame = self.decoder.frame();
        let count = buffer.len().min(self.frame_len - self.given);
        buffer[..count].copy_from_slice(&frame[self.given..self.given + count]);
        self.given += count;
        if self.given == self.frame_len {
            self.frame_len = 0;
        }
        Ok(count)
    }
}

impl<L: Link, B: AsRef<[u8]> + AsMut<[u8]>> Write for Cobs<L, B> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, L::Error> {
        loop {
            self.write_packet()?;
            let (taken, written) = self.encoder.encode(bytes, &mut self.output.bytes);
            (self.output.at, self.output.end) = (0, written);
            if taken > 0 || bytes.is_empty() {
                self.is_waiting = self.side == Side::Client && !self.under_way;
                return Ok(taken);
            }
        }
    }

    fn flush(&mut self) -> Result<(), L::Error> {
        loop {
            self.write_packet()?;
            let (_, written) = self.encoder.encode(&[], &mut self.output.bytes);
            (self.output.at, self.output.end) = (0, written);
            if written == 0 {
                return self.line.flush();
            }
        }
    }
}

impl<L: Link, B: AsRef<[u8]> + AsMut<[u8]>> Link for Cobs<L, B> {
    /// [`Ready::Woken`] too where a part of a packet has arrived.
    fn wait(&mut self, wanted: Interest, timeout: Duration) -> Result<Ready, L::Error> {
        if !wanted.is_readable() {
            return self.line.wait(wanted, timeout);
        }
        self.decode();
        if self.event == Some(Event::Anew) {
            self.event = None;
            self.start_packet();
            return Ok(Ready::Anew);
        }
        if self.frame_len > 0 || self.event.is_some() {
            return Ok(Ready::Read);
        }
        let ready = self.line.wait(wanted, timeout)?;
        if ready != Ready::Read {
            return Ok(ready);
        }
        let count = self.line.read(&mut self.input.bytes)?;
        (self.input.at, self.input.end) = (0, count);
        Ok(match count {
            // It was a line that closes after all.
            0 => Ready::Read,
            _ => Ready::Woken,
        })
    }

    fn waker(&mut self) -> Result<Option<Waker>, L::Error> {
        self.line.waker()
    }

    fn keeps_time(&self) -> bool {
        self.line.keeps_time()
    }

    fn forget(&mut self) -> bool {
        (self.under_way, self.is_waiting) = (false, false);
        self.frame_len = 0;
        self.start_packet();
        true
    }

    fn cause(error: L::Error) -> Box<dyn Error + Send + Sync> {
        L::cause(error)
    }
}
