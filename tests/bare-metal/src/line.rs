//! A UART that neither opens nor closes: one frame in each COBS packet (spec section 13).

use core::time::Duration;

use sealwire_core::frame::{FrameHeader, HEADER_LEN};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// None in time.
    Timeout,
    /// A packet that is longer than the buffer, is not COBS, or does not hold exactly one frame (RAW-1).
    Packet,
}

/// The serial line.
pub struct Line(());

impl Line {
    /// Switches the UART on.
    pub fn open() -> Self {
        write(BAUD_DIVISOR, 16);
        write(CONTROL, ENABLE_BOTH);
        Self(())
    }

    /// Sends one frame.
    pub fn send(&mut self, frame: &[u8]) {
        let mut runs = frame.split(|byte| *byte == 0).peekable();
        while let Some(mut run) = runs.next() {
            while let Some((full, rest)) = run.split_first_chunk::<254>() {
                self.put(0xff);
                full.iter().for_each(|byte| self.put(*byte));
                run = rest;
            }
            self.put(run.len() as u8 + 1);
            run.iter().for_each(|byte| self.put(*byte));
        }
        self.put(0);
    }

    /// Waits until `deadline` for a frame, and puts it into `buffer`.
    ///
    /// # Errors
    /// [`LineError`]; the next call begins with the next packet.
    pub fn receive<'a>(
        &mut self,
        buffer: &'a mut [u8],
        deadline: Duration,
    ) -> Result<&'a mut [u8], LineError> {
        let mut len = 0;
        let mut run = 0;
        let mut zero_follows = false;
        let mut broken = false;
        loop {
            let byte = self.byte(deadline)?;
            if byte == 0 {
                if len == 0 && !broken {
                    continue; // an empty packet
                }
                let frame = &mut buffer[..len];
                let whole = frame
                    .first_chunk::<HEADER_LEN>()
                    .and_then(|header| FrameHeader::parse(*header).ok())
                    .is_some_and(|header| header.size() == len);
                return if whole && run == 0 && !broken {
                    Ok(frame)
                } else {
                    Err(LineError::Packet)
                };
            }
            let decoded = if run > 0 {
                run -= 1;
                Some(byte)
            } else {
                run = byte - 1;
                let decoded = zero_follows.then_some(0);
                zero_follows = byte < 255;
                decoded
            };
            if let Some(decoded) = decoded {
                match buffer.get_mut(len) {
                    Some(place) => *place = decoded,
                    None => broken = true,
                }
                len = (len + 1).min(buffer.len());
            }
        }
    }

    fn put(&mut self, byte: u8) {
        while read(STATE) & TRANSMIT_FULL != 0 {}
        write(DATA, byte.into());
    }

    fn byte(&mut self, deadline: Duration) -> Result<u8, LineError> {
        while read(STATE) & RECEIVE_FULL == 0 {
            if clock() >= deadline {
                return Err(LineError::Timeout);
            }
        }
        Ok(read(DATA) as u8)
    }
}

fn read(register: usize) -> u32 {
    // SAFETY: a register of the UART, which is always there on this board.
    unsafe { UART.add(register).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: as in `read`; none of these registers reaches memory of the program.
    unsafe { UART.add(register).write_volatile(value) }
}
