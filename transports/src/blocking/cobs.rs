//! Lines that neither open nor close (spec section 13.3): frames in packets of COBS.

use alloc::boxed::Box;
use core::error::Error;
use core::task::Waker;
use core::time::Duration;

use embedded_io::{ErrorType, Read, Write};
use sealwire_core::cobs::{Encoder, Packet, Receiver};
use sealwire_core::head::Direction;

use super::link::{Interest, Link, Ready};

/// A serial line on which each frame is a packet of COBS, so that both ends find their place again after noise, a reset, or an
/// exchange that nobody ended (RAW-1, RAW-4).
///
/// `B` is where packets are put together: an array or a vector, as long as the largest frame that the peer may send. What is
/// larger is noise.
#[derive(Debug)]
pub struct Cobs<L, B> {
    line: L,
    receiver: Receiver<B>,
    encoder: Encoder,
    /// What came from the line and the receiver has not taken.
    input: Piece<64>,
    /// What the encoder made and the line has not taken.
    output: Piece<64>,
    /// Bytes given out of the frame that stands in the receiver.
    given: usize,
    frame_len: usize,
    event: Option<Event>,
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
        Self::new(line, Receiver::client(buffer))
    }

    /// The gateway's end of a line.
    pub fn gateway(line: L, buffer: B) -> Self {
        Self::new(line, Receiver::gateway(buffer))
    }

    fn new(line: L, receiver: Receiver<B>) -> Self {
        let mut this = Self {
            line,
            receiver,
            encoder: Encoder::new(),
            input: Piece::new(),
            output: Piece::new(),
            given: 0,
            frame_len: 0,
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

    /// Listens up to a frame that is to be given out, or to an event.
    fn listen(&mut self) {
        if self.frame_len > 0 || self.event.is_some() {
            return;
        }
        self.input.at += self.receiver.handle_input(self.input.rest());
        let is_client = self.receiver.direction() == Direction::Response;
        (self.event, self.frame_len) = match self.receiver.poll_packet() {
            None => return,
            Some(Packet::Frame(frame)) => (None, frame.len()),
            Some(Packet::Anew(frame)) => (Some(Event::Anew), frame.len()),
            Some(Packet::Lost) if is_client => (Some(Event::Lost), 0),
            Some(Packet::Lost) => (Some(Event::Anew), 0),
        };
        self.given = 0;
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
            self.listen();
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
        let frame = self.receiver.frame();
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
                if let Some(kind) = self.encoder.frame_type().filter(|_| taken > 0) {
                    self.receiver.handle_sent(kind);
                }
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
        self.listen();
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
        self.receiver.forget();
        self.frame_len = 0;
        self.start_packet();
        true
    }

    fn cause(error: L::Error) -> Box<dyn Error + Send + Sync> {
        L::cause(error)
    }
}
