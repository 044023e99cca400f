//! One connection in memory, with a clock of its own.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use getrandom::SysRng;
use sealwire_core::exchange::{ClientEvent, ClientExchange, ClientOptions, Request};
use sealwire_core::frame::FrameHeader;
use sealwire_core::keys::{Identity, RecordLimits};
use sealwire_core::{RejectCode, Suite};
use sealwire_memlock::{Policy, SecureMemory};

use super::super::ReplyBody;
use super::*;

const MEMORY: SecureMemory = SecureMemory::new(Policy::BestEffort);
const SECOND: Duration = Duration::from_secs(1);

fn gateway<H: Handler>(handler: H) -> RawGateway<H> {
    let identity = Identity::generate(&MEMORY, &mut SysRng).expect("random");
    let keys = KeyRing::new(identity, Suite::ALL, RecordLimits::default(), MEMORY);
    RawGateway::new(GatewayConfig::new(MEMORY), keys, handler).expect("keys")
}

async fn echo(request: ReceivedRequest) -> Result<Reply, ErrorCode> {
    let body = ReplyBody::Whole(request.into_body());
    Ok(Reply::new(200, "text/plain", body))
}

/// A connection and its clock.
struct Line<H> {
    gateway: RawGateway<H>,
    connection: RawConnection<H>,
    idempotency_key: Option<&'static str>,
    now: Duration,
}

impl<H: Handler> Line<H> {
    fn new(handler: H) -> Self {
        let gateway = gateway(handler);
        Self {
            connection: RawConnection::new(&gateway, Duration::ZERO),
            gateway,
            idempotency_key: None,
            now: Duration::ZERO,
        }
    }

    fn client(&self, body: &[u8]) -> ClientExchange {
        self.client_that_asks(body, None)
    }

    /// A client that asks for padding, for none, or leaves it to the gateway.
    fn client_that_asks(&self, body: &[u8], response_padding: Option<bool>) -> ClientExchange {
        let key = self.gateway.key_set().select(Suite::P256, unix_now());
        let mut request = Request::new("POST", "/", MEMORY.copy_from(body).expect("memory"));
        request.idempotency_key = self.idempotency_key.map(Into::into);
        let options = ClientOptions {
            one_exchange: false,
            response_padding,
            ..ClientOptions::default()
        };
        let key = key.expect("valid now");
        ClientExchange::new(&MEMORY, &key, request, unix_now(), options, &mut SysRng)
            .expect("sealed")
    }

    fn poll(&mut self) -> Doing {
        let mut cx = Context::from_waker(Waker::noop());
        self.connection.poll(&mut cx, self.now)
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.connection.handle_input(bytes, self.now);
        self.poll();
    }

    /// All that is written until there is something to wait for.
    fn written(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.poll() == Doing::Transfer && !self.connection.output().is_empty() {
            let output = self.connection.output();
            wire.extend_from_slice(output);
            let count = output.len();
            self.connection.wrote(count, self.now);
        }
        wire
    }

    fn wait_until(&mut self, now: Duration) {
        self.now = now;
        self.connection.handle_timeout(now);
    }
}

fn sent(client: &mut ClientExchange) -> Vec<u8> {
    let (mut wire, mut out) = (Vec::new(), [0; 4096]);
    while let count @ 1.. = client.poll_transmit(&mut out).expect("memory") {
        wire.extend_from_slice(&out[..count]);
    }
    wire
}

/// What the client makes of an answer: the body if it was whole, or the code of a sealed error.
fn heard(client: &mut ClientExchange, wire: &[u8]) -> Result<Vec<u8>, Option<ErrorCode>> {
    let (mut rest, mut body) = (wire, Vec::new());
    loop {
        let count = client.handle_input(rest).expect("well formed");
        rest = &rest[count..];
        match client.poll_event() {
            Some(ClientEvent::Data(data)) => body.extend_from_slice(data),
            Some(ClientEvent::Complete(_)) => return Ok(body),
            Some(ClientEvent::Error { code, .. }) => return Err(Some(code)),
            Some(_) => {}
            None if count == 0 => return Err(None),
            None => {}
        }
    }
}

/// RAW-2, ORDER-7
#[test]
fn keys_and_exchanges_one_after_another() {
    let mut line = Line::new(echo);
    for n in 0..3u8 {
        line.hear(&[0x01, 0, 0, 1, 1]);
        assert_eq!(line.written()[4..], line.gateway.key_set().to_bytes());
        let mut client = line.client(&[b'0' + n; 3000]);
        for byte in sent(&mut client) {
            line.hear(&[byte]);
        }
        assert_eq!(
            heard(&mut client, &line.written()),
            Ok(vec![b'0' + n; 3000])
        );
    }
    line.connection.handle_end();
    assert_eq!(line.poll(), Doing::Close);
}

#[test]
fn an_idle_connection_is_closed() {
    let mut line = Line::new(echo);
    let idle = GatewayConfig::new(MEMORY).idle_deadline;
    assert_eq!(line.connection.deadline(), Some(idle));
    line.wait_until(idle - SECOND);
    assert_eq!(line.poll(), Doing::Transfer);
    // An exchange begins the wait anew.
    let mut client = line.client(b"x");
    line.hear(&sent(&mut client));
    line.written();
    assert_eq!(line.connection.deadline(), Some(line.now + idle));
    line.wait_until(line.now + idle);
    assert_eq!(line.poll(), Doing::Close);
}

/// ORDER-4, ORDER-9: the deadline is that of the whole request, however it drips, and the client is told.
#[test]
fn a_request_that_takes_too_long() {
    let mut line = Line::new(echo);
    let mut client = line.client(&[b'x'; 40_000]);
    let deadline = GatewayConfig::new(MEMORY).request_deadline;
    let wire = sent(&mut client);
    for (n, piece) in wire.chunks(wire.len() / 100).take(90).enumerate() {
        line.now = SECOND * n as u32;
        line.hear(piece);
        assert_eq!(line.connection.deadline(), Some(deadline));
    }
    line.wait_until(deadline);
    let answer = line.written();
    assert_eq!(heard(&mut client, &answer), Err(Some(ErrorCode::Timeout)));
    // What still comes is thrown away for a while, so that the answer is not lost (ORDER-3).
    assert_eq!(line.poll(), Doing::Transfer);
    line.wait_until(line.now + PARTING.0);
    assert_eq!(line.poll(), Doing::Close);
    // Of a request that has not even begun properly: REJECT(busy).
    let mut line = Line::new(echo);
    line.hear(&wire[..10]);
    line.wait_until(deadline);
    assert_eq!(line.written(), [0x05, 0, 0, 1, 5]);
    line.wait_until(line.now + PARTING.0);
    assert_eq!(line.poll(), Doing::Close);
}

/// A client that takes nothing of its answer is let go; one that takes a little is not.
#[test]
fn a_client_that_does_not_read() {
    let mut line = Line::new(echo);
    let mut client = line.client(&[b'x'; 100_000]);
    line.hear(&sent(&mut client));
    let idle = GatewayConfig::new(MEMORY).idle_deadline;
    for _ in 0..3 {
        let now = line.now + idle - SECOND;
        line.wait_until(now);
        assert_eq!(line.poll(), Doing::Transfer);
        line.connection.wrote(1, now);
    }
    line.wait_until(line.now + idle);
    assert_eq!(line.poll(), Doing::Close);
}

/// What a client sends while its answer waits to be taken does not pile up.
#[test]
fn input_is_bounded() {
    let mut line = Line::new(echo);
    let mut client = line.client(&[b'x'; 100_000]);
    line.hear(&sent(&mut client));
    let mut taken = 0;
    while line.connection.wants_input() {
        line.hear(&[0x03; 1000]);
        taken += 1000;
    }
    assert!(taken <= MAX_INPUT + 1000);
}

struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A gateway whose handler works until it is dropped, and whether it was.
fn working() -> (Line<impl Handler>, Arc<AtomicBool>) {
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = dropped.clone();
    let line = Line::new(move |_: ReceivedRequest| {
        let guard = Dropped(guard.clone());
        async move {
            let _guard = guard;
            pending().await
        }
    });
    (line, dropped)
}

/// ORDER-6: CANCEL drops the handler, is answered, and the connection goes on.
#[test]
fn cancel_while_the_handler_works() {
    let (mut line, dropped) = working();
    for _ in 0..2 {
        dropped.store(false, Ordering::SeqCst);
        let mut client = line.client(b"x");
        line.hear(&sent(&mut client));
        assert!(line.written().is_empty());
        assert_eq!(line.connection.deadline(), None, "a handler has time");
        client.cancel().expect("sent");
        for byte in sent(&mut client) {
            assert!(!dropped.load(Ordering::SeqCst));
            line.hear(&[byte]);
        }
        assert!(dropped.load(Ordering::SeqCst));
        let answer = line.written();
        assert_eq!(heard(&mut client, &answer), Err(Some(ErrorCode::Cancelled)));
    }
}

/// ORDER-4: what follows END and is no CANCEL stops the handler too, and its client is told before the connection ends.
#[test]
fn a_cancel_that_is_none() {
    let too_large = GatewayConfig::new(MEMORY).options.request.frame as u32;
    let of_length = |length: u32| {
        let [_, rest @ ..] = length.to_be_bytes();
        let header = [&[0x14][..], &rest].concat();
        [header, vec![0; length as usize]].concat()
    };
    for (cancel, expected) in [
        (of_length(18), ErrorCode::Malformed),
        (of_length(5), ErrorCode::Malformed),
        (of_length(too_large), ErrorCode::TooLarge),
    ] {
        let (mut line, dropped) = working();
        let mut client = line.client(b"x");
        line.hear(&sent(&mut client));
        assert!(!dropped.load(Ordering::SeqCst));
        for byte in cancel {
            line.hear(&[byte]);
        }
        assert!(dropped.load(Ordering::SeqCst), "{expected:?}");
        let answer = line.written();
        assert_eq!(heard(&mut client, &answer), Err(Some(expected)));
    }
}

/// RAW-3: a CANCEL that crossed the end of the answer disturbs nothing.
#[test]
fn a_late_cancel() {
    let mut line = Line::new(echo);
    for _ in 0..2 {
        let mut client = line.client(b"x");
        line.hear(&sent(&mut client));
        let answer = line.written();
        client.cancel().expect("it has not heard the answer");
        line.hear(&sent(&mut client));
        assert!(line.written().is_empty());
        assert_eq!(
            heard(&mut client, &answer),
            Ok(Vec::new()),
            "nothing is shown of it"
        );
    }
}

/// RAW-3: also where the answer ends between its first byte and its last.
#[test]
fn a_cancel_that_arrives_on_both_sides_of_the_end() {
    for cut in 1..22 {
        let mut line = Line::new(echo);
        let mut client = line.client(b"x");
        line.hear(&sent(&mut client));
        client.cancel().expect("it has not heard the answer");
        let cancel = sent(&mut client);
        line.hear(&cancel[..cut]);
        assert!(!line.written().is_empty());
        line.hear(&cancel[cut..]);
        let mut next = line.client(b"y");
        line.hear(&sent(&mut next));
        let answer = heard(&mut next, &line.written());
        assert_eq!(answer, Ok(b"y".to_vec()), "cut after {cut} bytes");
    }

    // Its rest is not waited for longer than for anything else that is thrown away.
    let mut line = Line::new(echo);
    let mut client = line.client(b"x");
    line.hear(&sent(&mut client));
    client.cancel().expect("it has not heard the answer");
    line.hear(&sent(&mut client)[..10]);
    assert!(!line.written().is_empty());
    line.wait_until(line.now + PARTING.0);
    assert_eq!(line.poll(), Doing::Close);
}

/// RAW-3: nor does one leave a stream on which nothing is under way waiting for a request.
#[test]
fn after_a_late_cancel_nothing_is_under_way() {
    let idle = GatewayConfig::new(MEMORY).idle_deadline;
    let cancelled = |answered_first: bool| {
        let mut line = Line::new(echo);
        let mut client = line.client(b"x");
        line.hear(&sent(&mut client));
        client.cancel().expect("it has not heard the answer");
        let cancel = sent(&mut client);
        if answered_first {
            line.written();
            for byte in cancel {
                line.hear(&[byte]);
            }
        } else {
            line.hear(&cancel);
            line.written();
        }
        line
    };
    for answered_first in [true, false] {
        let mut line = cancelled(answered_first);
        line.wait_until(GatewayConfig::new(MEMORY).request_deadline);
        assert_eq!(line.written(), b"", "an answer that nobody asked for");
        assert_eq!(line.connection.deadline(), Some(idle));
        line.hear(&[0x01, 0, 0, 1, 1]);
        assert_eq!(line.written()[4..], line.gateway.key_set().to_bytes());

        let mut line = cancelled(answered_first);
        line.connection.handle_end();
        assert_eq!((line.written(), line.poll()), (vec![], Doing::Close));
    }
}

/// A stream that is to end does not wait for a request that nobody has begun.
#[cfg(feature = "futures-io")]
#[test]
fn a_late_cancel_does_not_hold_up_the_end() {
    let mut line = Line::new(echo);
    let mut client = line.client(b"x");
    line.hear(&sent(&mut client));
    line.written();
    client.cancel().expect("it has not heard the answer");
    line.hear(&sent(&mut client));
    line.connection.finish();
    assert_eq!(line.poll(), Doing::Close);
}

/// Section 13: who closes its half has not cancelled.
#[test]
fn a_client_that_closes_its_half() {
    let mut line = Line::new(echo);
    let mut client = line.client(b"x");
    line.hear(&sent(&mut client));
    line.connection.handle_end();
    assert!(!line.connection.wants_input());
    assert_eq!(heard(&mut client, &line.written()), Ok(b"x".to_vec()));
    assert_eq!(line.poll(), Doing::Close);
}

/// ORDER-7: after what cannot be followed the client is told, what it still sends is read for a while, and that was that.
#[test]
fn what_cannot_be_followed() {
    let mut line = Line::new(echo);
    line.hear(&[0xff; 8]);
    let reject = [0x05, 0, 0, 1, RejectCode::Malformed.to_u8()];
    assert_eq!(line.written(), reject);
    line.hear(&[0xff; 1000]);
    assert_eq!((line.written(), line.poll()), (Vec::new(), Doing::Transfer));
    line.wait_until(line.now + PARTING.0);
    assert_eq!(line.poll(), Doing::Close);

    let mut line = Line::new(echo);
    line.hear(&[0xff; 8]);
    line.written();
    let mut sent = 0;
    while line.poll() == Doing::Transfer {
        line.hear(&[0xff; 4096]);
        sent += 4096;
    }
    assert!((PARTING.1..PARTING.1 + 8192).contains(&sent), "{sent}");
}

/// A handler that panics has failed, and the next one has not.
#[test]
fn a_handler_that_panics() {
    let mut line = Line::new(|request: ReceivedRequest| async move {
        assert_ne!(request.body().expose(), b"panic", "on purpose");
        echo(request).await
    });
    for (body, expected) in [
        (&b"panic"[..], Err(Some(ErrorCode::Internal))),
        (b"fine", Ok(b"fine".to_vec())),
    ] {
        let mut client = line.client(body);
        line.hear(&sent(&mut client));
        assert_eq!(heard(&mut client, &line.written()), expected);
    }
}

/// REPLAY-6: what counts is what the client was told, not what the handler wanted to say.
#[test]
fn a_reply_that_cannot_be_sent() {
    let mut line = Line::new(|request: ReceivedRequest| async move {
        let status = match request.body().expose() {
            b"broken" => 99,
            _ => 200,
        };
        let mut reply = echo(request).await?;
        reply.status = status;
        Ok(reply)
    });
    line.idempotency_key = Some("once");
    for (body, expected) in [
        (&b"broken"[..], Err(Some(ErrorCode::Internal))),
        (b"mended", Ok(b"mended".to_vec())),
        (b"mended", Err(Some(ErrorCode::Duplicate))),
    ] {
        let mut client = line.client(body);
        line.hear(&sent(&mut client));
        assert_eq!(heard(&mut client, &line.written()), expected);
    }
}

/// RAW-4: on a line that cannot be closed a new request ends what was under way.
#[cfg(feature = "std")]
#[test]
fn anew() {
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = dropped.clone();
    let mut line = Line::new(move |_: ReceivedRequest| {
        let guard = Dropped(guard.clone());
        async move {
            let _guard = guard;
            pending().await
        }
    });
    line.connection.begin_anew(&line.gateway, line.now);
    let mut client = line.client(b"x");
    line.hear(&sent(&mut client));
    assert!(!dropped.load(Ordering::SeqCst));
    line.connection.begin_anew(&line.gateway, line.now);
    assert!(dropped.load(Ordering::SeqCst));
    assert!(line.written().is_empty());
}

/// Two pieces and the end, as an upstream gives them out.
async fn stream(_: ReceivedRequest) -> Result<Reply, ErrorCode> {
    let pieces =
        ["one", "two"].map(|piece| Ok(MEMORY.copy_from(piece.as_bytes()).expect("memory")));
    let body = ReplyBody::Stream(Box::pin(futures_util::stream::iter(pieces)));
    Ok(Reply::new(200, "text/event-stream", body))
}

/// The sizes of an answer's sealed frames.
fn sizes_of<H: Handler>(handler: H, asked: Option<bool>) -> Vec<usize> {
    let mut line = Line::new(handler);
    let mut client = line.client_that_asks(&[b'x'; 3000], asked);
    line.hear(&sent(&mut client));
    let wire = line.written();
    let (mut sizes, mut rest) = (Vec::new(), &wire[..]);
    while let Some(header) = rest.first_chunk() {
        let size = FrameHeader::parse(*header).expect("our own").size();
        sizes.push(size);
        rest = &rest[size..];
    }
    assert!(heard(&mut client, &wire).is_ok());
    assert_eq!(sizes.remove(0), 36, "ACCEPT");
    sizes
}

/// PAD-1, PAD-3: a gateway pads where it is asked to and where nothing was said, and only who asked for none gets none.
#[test]
fn answers_are_padded_unless_none_was_asked_for() {
    for asked in [None, Some(true)] {
        let streamed = sizes_of(stream, asked);
        assert_eq!(streamed, [1024; 4], "HEAD, one, two, END: {asked:?}");
        let whole = sizes_of(echo, asked);
        // padme(3000 + 22) = 3072, in one frame; HEAD in a class of 256.
        let [head, 3072, 22] = whole[..] else {
            panic!("{asked:?}: {whole:?}")
        };
        assert_eq!(head % 256, 0);
    }
    let [head, 25, 25, 22] = sizes_of(stream, Some(false))[..] else {
        panic!("padded");
    };
    assert!(head < 256);
    let [head, 3022, 22] = sizes_of(echo, Some(false))[..] else {
        panic!("padded");
    };
    assert!(head < 256);
}
