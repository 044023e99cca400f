//! A device on a serial line: no HTTP, no sockets, and a clock and randomness that it brings along. The line is a pair of
//! pipes here; at its other end a gateway serves on a thread.
//!
//! `cargo run -p sealwire --example embedded_io_serial --features std`

mod support;

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use sealwire::blocking::{Clock, Cobs, NoDeadline, SecureChatCompletion, serve};
use sealwire::chat::{ChatRequest, Message};
use sealwire::core::{Now, UnixTime};
use sealwire::server::RawGateway;

/// One end of a line, with the traits that a HAL's UART has.
struct Uart {
    sender: Sender<u8>,
    receiver: Receiver<u8>,
    received: VecDeque<u8>,
}

/// Both ends.
fn line() -> (Uart, Uart) {
    let ((to_b, from_a), (to_a, from_b)) = (channel(), channel());
    let end = |sender, receiver| Uart {
        sender,
        receiver,
        received: VecDeque::new(),
    };
    (end(to_b, from_b), end(to_a, from_a))
}

impl ErrorType for Uart {
    type Error = ErrorKind;
}

impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        if self.received.is_empty() {
            // The other end is gone: 0.
            self.received.extend(self.receiver.recv());
        }
        self.received
            .extend(self.receiver.try_iter().take(buffer.len()));
        let count = buffer.len().min(self.received.len());
        for (to, from) in buffer.iter_mut().zip(self.received.drain(..count)) {
            *to = from;
        }
        Ok(count)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        for &byte in bytes {
            self.sender.send(byte).map_err(|_| ErrorKind::BrokenPipe)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// A device that knows how long it has been on, and not what day it is.
struct SinceBoot(Instant);

impl Clock for SinceBoot {
    fn now(&mut self) -> Now {
        Now {
            monotonic: self.0.elapsed(),
            unix: UnixTime::UNKNOWN,
        }
    }

    fn sleep_until(&mut self, monotonic: Duration) {
        thread::sleep(monotonic.saturating_sub(self.0.elapsed()));
    }
}

fn main() -> Result<(), sealwire::Error> {
    let (device, host) = line();
    let (keys, pin) = support::keys();
    let gateway = RawGateway::new(support::config(), keys, support::model)?;
    thread::spawn(move || serve(&gateway, Cobs::gateway(NoDeadline(host), vec![0; 16_404])));

    // As much as the largest frame that the device wants to hold; gateways keep to what it says.
    let line = Cobs::client(NoDeadline(device), [0; 16_404]);
    let clock = SinceBoot(Instant::now());
    let client = SecureChatCompletion::over(line, clock, getrandom::SysRng)
        .api_key("sk-example")
        .pin(pin)
        .build()?;
    let request = ChatRequest::new("example").message(Message::user("How is this sent?"));
    for _ in 0..2 {
        for chunk in client.stream(&request)? {
            print!("{}", chunk?.text(client.memory())?.expose());
        }
        println!();
    }
    Ok(())
}
