//! A UART that neither opens nor closes: one frame in each COBS packet (spec section 13).

use core::time::Duration;

use sealwire_core::PeerError;
use sealwire_core::cobs::{Decoder, Encoder};

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
    /// A packet that holds none (RAW-1): an exchange that is under way ends with it (RAW-4).
    Packet(PeerError),
}

/// The serial line.
pub struct Line {
    encoder: Encoder,
    decoder: Decoder<[u8; BUFFER]>,
}

impl Line {
    /// Switches the UART on, and ends whatever stood on the line before: with a zero byte, as a sender that has just started.
    pub fn open() -> Self {
        write(BAUD_DIVISOR, 16);
        write(CONTROL, ENABLE_BOTH);
        put(0);
        Self {
            encoder: Encoder::new(),
            decoder: Decoder::new([0; BUFFER]),
        }
    }

    /// Sends bytes of frames, cut wherever they may be; each frame leaves in a packet of its own.
    pub fn send(&mut self, mut bytes: &[u8]) {
        let mut packet = [0; 64];
        loop {
            let (taken, written) = self.encoder.encode(bytes, &mut packet);
            packet[..written].iter().for_each(|byte| put(*byte));
            bytes = &bytes[taken..];
            if written == 0 && bytes.is_empty() {
                break;
            }
        }
    }

    /// Waits until `deadline` for a frame, copies it to the start of `buffer`, to be opened there, and returns its size.
    ///
    /// # Errors
    /// [`LineError`]; the next call begins with the next packet.
    pub fn receive(
        &mut self,
        buffer: &mut [u8; BUFFER],
        deadline: Duration,
    ) -> Result<usize, LineError> {
        loop {
            self.decoder.handle_input(&[byte(deadline)?]);
            if let Some(frame) = self.decoder.poll_frame() {
                let frame = frame.map_err(LineError::Packet)?;
                buffer[..frame.len()].copy_from_slice(frame);
                return Ok(frame.len());
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
