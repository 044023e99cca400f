//! A UART that neither opens nor closes: one frame in each COBS packet (spec section 13).

use core::time::Duration;

use sealwire_core::cobs::{Encoder, Packet, Receiver};

use crate::BUFFER;
use crate::board::clock;

/// The first UART of the board (ARM CMSDK APB UART).
const UART: *mut u32 = 0x4000_4000 as *mut u32;
const DATA: usize = 0;
const STATE: usize = 1;
const CONTROL: usize = 2;
const BAUD_DIVISOR: usize = 4;
const TRANSMIT_FULL: u32 = 1;
const RECEIVE_FULL: u32 = 2;
const ENABLE_BOTH: u32 = 3;

/// Why no frame came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineError {
    /// None in time.
    Timeout,
    /// A packet that holds none: what was under way is over, and the line goes on (RAW-4).
    Lost,
}

/// The serial line.
pub struct Line {
    encoder: Encoder,
    receiver: Receiver<[u8; BUFFER]>,
}

impl Line {
    /// Switches the UART on, and ends whatever stood on the line before: with a zero byte, as a sender that has just started.
    pub fn open() -> Self {
        write(BAUD_DIVISOR, 16);
        write(CONTROL, ENABLE_BOTH);
        put(0);
        Self {
            encoder: Encoder::new(),
            receiver: Receiver::client([0; BUFFER]),
        }
    }

    /// What still comes of an earlier exchange is passed over from here on (RAW-4).
    pub fn forget(&mut self) {
        self.receiver.forget();
    }

    /// Sends bytes of frames, cut wherever they may be; each frame leaves in a packet of its own.
    pub fn send(&mut self, mut bytes: &[u8]) {
        let mut packet = [0; 64];
        loop {
            let (taken, written) = self.encoder.encode(bytes, &mut packet);
            packet[..written].iter().for_each(|byte| put(*byte));
            bytes = &bytes[taken..];
            if let Some(kind) = self.encoder.frame_type() {
                self.receiver.handle_sent(kind);
            }
            if written == 0 && bytes.is_empty() {
                break;
            }
        }
    }

    /// Waits until `deadline` for a frame that answers what was sent, copies it to the start of `buffer`, to be opened there, and returns
    /// its size. What else stands on the line is passed over.
    ///
    /// # Errors
    /// [`LineError`]; the next call begins with the next packet.
    pub fn receive(
        &mut self,
        buffer: &mut [u8; BUFFER],
        deadline: Duration,
    ) -> Result<usize, LineError> {
        loop {
            self.receiver.handle_input(&[byte(deadline)?]);
            match self.receiver.poll_packet() {
                Some(Packet::Frame(frame)) => {
                    buffer[..frame.len()].copy_from_slice(frame);
                    return Ok(frame.len());
                }
                Some(Packet::Lost) => return Err(LineError::Lost),
                // Only a gateway hears OPEN.
                Some(Packet::Anew(_)) | None => {}
            }
        }
    }
}

fn put(byte: u8) {
    while read(STATE) & TRANSMIT_FULL != 0 {}
    write(DATA, byte.into());
}

fn byte(deadline: Duration) -> Result<u8, LineError> {
    while read(STATE) & RECEIVE_FULL == 0 {
        if clock() >= deadline {
            return Err(LineError::Timeout);
        }
    }
    Ok(read(DATA) as u8)
}

fn read(register: usize) -> u32 {
    // SAFETY: a register of the UART, which is always there on this board.
    unsafe { UART.add(register).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: as in `read`; none of these registers reaches memory of the program.
    unsafe { UART.add(register).write_volatile(value) }
}
