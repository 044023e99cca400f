//! A serial line in memory: packets of COBS, noise, and ends that begin anew (spec section 13.3).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use futures_util::StreamExt;
use futures_util::stream::iter;
use getrandom::SysRng;
use sealwire::blocking::{
    Clock, Cobs, Interest, Link, NoDeadline, Ready, SecureChatCompletion, Wired, serve,
};
use sealwire::core::exchange::ReceivedRequest;
use sealwire::core::keys::Pin;
use sealwire::core::session::{Failure, SessionError};
use sealwire::core::{ErrorCode, Now, UnixTime};
use sealwire::server::{Handler, Reply, ReplyBody};
use sealwire::{Completion, Error};

use crate::handler::at_once;
use crate::server::raw_gateway;
use crate::support::{CHAT, PATIENCE, bytes, chat, delta, json, quick, text};

const FRAME: usize = 16_404;

/// One end of a line that never closes: bytes that nobody reads are lost with the line.
struct End {
    sender: Sender<u8>,
    receiver: Arc<Mutex<Receiver<u8>>>,
    received: VecDeque<u8>,
    /// Which of the bytes read is changed, counted from now; none at 0.
    noise: Arc<AtomicUsize>,
}

impl ErrorType for End {
    type Error = ErrorKind;
}

impl Read for End {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        if self.received.is_empty() {
            self.wait(Interest::Read, Duration::from_secs(60))?;
        }
        let count = buffer.len().min(self.received.len());
        for (to, from) in buffer.iter_mut().zip(self.received.drain(..count)) {
            let left = self.noise.load(Ordering::SeqCst);
            self.noise.store(left.saturating_sub(1), Ordering::SeqCst);
            *to = if left == 1 { from ^ 0x55 } else { from };
        }
        Ok(count)
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        for &byte in bytes {
            // A line does not know whether somebody listens.
            let _ = self.sender.send(byte);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl Link for End {
    fn keeps_time(&self) -> bool {
        true
    }

    fn wait(&mut self, wanted: Interest, timeout: Duration) -> Result<Ready, ErrorKind> {
        let receiver = self.receiver.lock().expect("no panic");
        self.received.extend(receiver.try_iter());
        if !self.received.is_empty() && wanted.is_readable() {
            return Ok(Ready::Read);
        }
        if wanted.is_writable() {
            return Ok(Ready::Write);
        }
        match receiver.recv_timeout(timeout) {
            Ok(byte) => self.received.push_back(byte),
            Err(RecvTimeoutError::Timeout) => return Ok(Ready::TimedOut),
            Err(RecvTimeoutError::Disconnected) => {}
        }
        Ok(Ready::Read)
    }
}

/// A gateway at one end of a line, and what the other end needs.
struct Host {
    to_gateway: Sender<u8>,
    from_gateway: Arc<Mutex<Receiver<u8>>>,
    pin: Pin,
    noise_at_client: Arc<AtomicUsize>,
    noise_at_gateway: Arc<AtomicUsize>,
}

type Device = SecureChatCompletion<Wired<Cobs<End, Vec<u8>>, SinceStart, SysRng>>;

impl Host {
    fn start(handler: impl Handler) -> Self {
        let (gateway, pin) = raw_gateway(handler);
        let ((to_gateway, receiver), (sender, from_gateway)) = (channel(), channel());
        let noise_at_gateway = Arc::new(AtomicUsize::new(0));
        let end = End {
            sender,
            receiver: Arc::new(Mutex::new(receiver)),
            received: VecDeque::new(),
            noise: noise_at_gateway.clone(),
        };
        thread::spawn(move || serve(&gateway, Cobs::gateway(end, vec![0; FRAME])));
        Self {
            to_gateway,
            from_gateway: Arc::new(Mutex::new(from_gateway)),
            pin,
            noise_at_client: Arc::new(AtomicUsize::new(0)),
            noise_at_gateway,
        }
    }

    /// A device at the other end; another one is the same one after a reset.
    fn device(&self) -> Device {
        let end = End {
            sender: self.to_gateway.clone(),
            receiver: self.from_gateway.clone(),
            received: VecDeque::new(),
            noise: self.noise_at_client.clone(),
        };
        let clock = SinceStart(Instant::now());
        SecureChatCompletion::over(Cobs::client(end, vec![0; FRAME]), clock, SysRng)
            .pin(self.pin)
            .retry(quick(2))
            .first_byte_timeout(PATIENCE)
            .build()
            .expect("configured")
    }
}

/// A clock that does not know the date.
pub(crate) struct SinceStart(pub(crate) Instant);

impl Clock for SinceStart {
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

/// REPLAY-5: the date is the gateway's.
#[test]
fn a_device_without_a_date() {
    let host = Host::start(at_once(|_| Ok(json(200, CHAT))));
    let device = host.device();
    for _ in 0..3 {
        assert_eq!(
            text(&device.create(&chat()).expect("answered")),
            "sealed answer"
        );
    }
}

/// RAW-1, REPLAY-6: a packet that noise has hit ends the exchange, and the next try goes through, or is told that the first one ran.
#[test]
fn noise_in_the_answer() {
    let host = Host::start(at_once(|_| Ok(json(200, CHAT))));
    let device = host.device();
    device.create(&chat()).expect("answered");
    // Into ACCEPT, into HEAD, and into what is padding: all of it is authenticated, or it is the line's.
    let mut at_once = 0;
    for at in [1, 5, 20, 60, 120] {
        host.noise_at_client.store(at, Ordering::SeqCst);
        match device.create(&chat()) {
            Ok(answer) => assert_eq!(text(&answer), "sealed answer", "{at}"),
            Err(error) => assert!(is_disturbed(&error), "{at}: {error}"),
        }
        host.noise_at_client.store(0, Ordering::SeqCst);
        at_once += u32::from(goes_on(|| device.create(&chat())));
    }
    assert!(at_once > 0, "each of them failed once");
}

/// What is left of the exchange before may still be under way on the line, and meet the next one: that one may fail, and its answer is not
/// taken for another. Then the line is free. Whether it was at once.
fn goes_on(ask: impl Fn() -> Result<Completion, Error>) -> bool {
    let first = ask();
    if let Err(error) = &first {
        let lost = SessionError::Connection(Failure::Reset);
        let is_lost = error.session() == Some(&lost);
        assert!(is_lost || is_disturbed(error), "{error}");
    }
    let goes_on_at_once = first.is_ok();
    let answer = first.or_else(|_| ask()).expect("the line goes on");
    assert_eq!(text(&answer), "sealed answer");
    goes_on_at_once
}

/// What noise leads to: the gateway had run it, and does not run it again; or the tag found it out.
fn is_disturbed(error: &Error) -> bool {
    matches!(
        error.session(),
        Some(
            SessionError::Refused {
                code: ErrorCode::Duplicate,
                ..
            } | SessionError::Exchange(_)
        )
    )
}

/// RAW-4: a device that was reset in the middle of a request, or of an answer, begins anew and is heard.
#[test]
fn a_device_that_is_reset() {
    let pieces = || {
        let pieces = iter([Ok(bytes(&delta("one")))]).chain(futures_util::stream::pending());
        ReplyBody::Stream(pieces.boxed())
    };
    let host = Host::start(at_once(move |request: ReceivedRequest| {
        Ok(match request.head().path {
            "/v1/chat/completions" => json(200, CHAT),
            _ => Reply::new(200, "text/event-stream", pieces()),
        })
    }));
    // In the middle of a request: half a packet, and nothing more.
    for byte in [9, 3, 0, 0] {
        host.to_gateway.send(byte).expect("listening");
    }
    host.device().create(&chat()).expect("answered");
    // In the middle of an answer, without a CANCEL.
    let device = host.device();
    let request = sealwire::core::exchange::Request::new("GET", "/endless", bytes(b"{}"));
    let mut answer = device.send(request).expect("begun");
    assert!(answer.next().is_some());
    std::mem::forget(answer);
    host.device().create(&chat()).expect("answered");
}

/// ORDER-6: an answer that is dropped is cancelled, and the line goes on.
#[test]
fn an_answer_that_is_dropped() {
    let pieces = || {
        let pieces = iter([Ok(bytes(&delta("one")))]).chain(futures_util::stream::pending());
        ReplyBody::Stream(pieces.boxed())
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let host = Host::start(at_once(move |_| {
        Ok(match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::new(200, "text/event-stream", pieces()),
            _ => json(200, CHAT),
        })
    }));
    let device = host.device();
    let mut stream = device.stream(&chat()).expect("begun");
    stream.next().expect("an item").expect("a chunk");
    let error = device.create(&chat()).expect_err("one at a time");
    assert_eq!(
        error.session(),
        Some(&SessionError::Connection(Failure::Gone))
    );
    drop(stream);
    assert_eq!(
        text(&device.create(&chat()).expect("answered")),
        "sealed answer"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// Noise on the way to the gateway: it passes over what is left, and hears the next.
#[test]
fn noise_in_the_request() {
    let host = Host::start(at_once(|_| Ok(json(200, CHAT))));
    let device = host.device();
    device.create(&chat()).expect("answered");
    let mut at_once = 0;
    for at in [2, 30, 100, 200] {
        host.noise_at_gateway.store(at, Ordering::SeqCst);
        // Whatever becomes of this one: the device may well have to wait for an answer that does not come.
        let hasty = device_with_little_time(&host);
        let _ = hasty.create(&chat());
        host.noise_at_gateway.store(0, Ordering::SeqCst);
        at_once += u32::from(goes_on(|| host.device().create(&chat())));
    }
    assert!(at_once > 0, "each of them failed once");
}

/// Noise while nothing is under way costs nothing: what comes next begins with a zero byte.
#[test]
fn noise_between_exchanges() {
    let host = Host::start(at_once(|_| Ok(json(200, CHAT))));
    let device = host.device();
    device.create(&chat()).expect("answered");
    for _ in 0..3 {
        for noise in [9, 3, 200, 7] {
            host.to_gateway.send(noise).expect("listening");
        }
        let answer = device.create(&chat()).expect("answered");
        assert_eq!(answer.metadata().tries, 1);
    }
}

fn device_with_little_time(host: &Host) -> Device {
    let end = End {
        sender: host.to_gateway.clone(),
        receiver: host.from_gateway.clone(),
        received: VecDeque::new(),
        noise: host.noise_at_client.clone(),
    };
    let clock = SinceStart(Instant::now());
    SecureChatCompletion::over(Cobs::client(end, vec![0; FRAME]), clock, SysRng)
        .pin(host.pin)
        .max_retries(0)
        .idle_timeout(Duration::from_millis(500))
        .first_byte_timeout(Duration::from_millis(500))
        .build()
        .expect("configured")
}

/// A stream that closes and broke off is replaced by its caller, and by nobody else.
#[test]
fn a_stream_that_is_replaced() {
    let (ours, _theirs) = (|| channel::<u8>(), ());
    let dead = || {
        let (sender, _) = ours();
        let (_, receiver) = ours();
        NoDeadline(End {
            sender,
            receiver: Arc::new(Mutex::new(receiver)),
            received: VecDeque::new(),
            noise: Arc::default(),
        })
    };
    let client = SecureChatCompletion::over(dead(), SinceStart(Instant::now()), SysRng)
        .dangerous_trust_any()
        .retry(quick(1))
        .build()
        .expect("configured");
    assert!(client.is_in_step());
    client.create(&chat()).expect_err("it has ended");
    assert!(!client.is_in_step());
    let error = client.create(&chat()).expect_err("it is gone");
    assert_eq!(
        error.session(),
        Some(&SessionError::Connection(Failure::Gone))
    );
    assert!(client.replace_stream(dead()).is_ok());
    assert!(client.is_in_step());
}
