//! This implementation against the one in Python that was written from `docs/protocol.md` alone (`tests/interop`): whatever a wire, a
//! head, a record or a key set says, both say the same of it. Both without cryptography; see `fuzz/peer.py`.
//!
//! The Python process lives as long as the fuzzer. `SEALWIRE_PEER_PYTHON` names the interpreter, one that has `cryptography`; by default
//! it is the one of `.ci/run`.
#![no_main]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use libfuzzer_sys::fuzz_target;
use sealwire_core::cobs::Decoder;
use sealwire_core::exchange::{
    ClientEvent, ClientExchange, ClientOptions, Limits, ServerContext, ServerEvent, ServerExchange,
    ServerOptions,
};
use sealwire_core::frame::FrameType;
use sealwire_core::head::{Headers, RequestHead, ResponseHead, Tier};
use sealwire_core::keys::{KeyRecord, KeySet};
use sealwire_core::replay::MemoryReplayStore;
use sealwire_core::{Error, ErrorCode, PeerError, RejectCode};
use sealwire_fuzz::{CountingRng, NOW, NullAead, Wire, World};

struct Peer {
    input: ChildStdin,
    output: ChildStdout,
    _process: Child,
}

thread_local! {
    static PEER: RefCell<Option<Peer>> = const { RefCell::new(None) };
}

impl Peer {
    fn start() -> Self {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = std::env::var_os("SEALWIRE_PEER_PYTHON").map_or_else(
            || fuzz.join("../target/ci/peer-venv/bin/python"),
            Into::into,
        );
        let mut process = Command::new(&python)
            .arg(fuzz.join("peer.py"))
            .env_remove("LD_PRELOAD")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{}: {error}. Make it as .ci/run does (python3 -m venv target/ci/peer-venv, pip install -r \
                     tests/interop/requirements.txt), or name another in SEALWIRE_PEER_PYTHON",
                    python.display()
                )
            });
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let mut peer = Self {
            input: input.expect("piped"),
            output: output.expect("piped"),
            _process: process,
        };
        let set = World::with(|world| world.set.to_bytes());
        assert_eq!(peer.ask(0, &[&set]), "ok");
        peer
    }

    fn ask(&mut self, kind: u8, payload: &[&[u8]]) -> String {
        let payload = payload.concat();
        let mut message = (payload.len() as u32).to_be_bytes().to_vec();
        message.push(kind);
        message.extend_from_slice(&payload);
        self.input.write_all(&message).expect("the peer listens");
        let mut length = [0; 4];
        let read = self.output.read_exact(&mut length);
        read.expect("the Python peer fell over: its traceback is above");
        let mut text = vec![0; u32::from_be_bytes(length) as usize];
        self.output.read_exact(&mut text).expect("the whole answer");
        String::from_utf8(text).expect("text")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn error_name(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Malformed => "malformed",
        ErrorCode::TooLarge => "too large",
        ErrorCode::Time => "time",
        ErrorCode::Replay => "replay",
        ErrorCode::Duplicate => "duplicate",
        ErrorCode::Busy => "busy",
        ErrorCode::Upstream => "upstream",
        ErrorCode::Timeout => "timeout",
        ErrorCode::Cancelled => "cancelled",
        ErrorCode::Forbidden => "forbidden",
        _ => "internal",
    }
}

fn reject_name(code: RejectCode) -> &'static str {
    match code {
        RejectCode::Version => "version",
        RejectCode::Suite => "suite",
        RejectCode::Key => "key",
        RejectCode::Malformed => "malformed",
        RejectCode::Busy => "busy",
        RejectCode::TooLarge => "too large",
        RejectCode::Undecryptable => "undecryptable",
        _ => "unknown",
    }
}

/// What a gateway of ours says of a request, whether it is given out while it arrives or not.
fn request(world: &World, http: bool, given_out: bool, wire: &[u8]) -> String {
    let options = ServerOptions {
        one_exchange: http,
        stream_requests: given_out,
        ..ServerOptions::default()
    };
    let mut rng = CountingRng::default();
    let made = ServerExchange::<NullAead>::with_aead(&world.memory, options, &mut rng);
    let mut server = made.expect("ordinary memory");
    let mut replay = MemoryReplayStore::new(4);
    let (mut rest, mut complete, mut body) = (wire, false, Vec::new());
    loop {
        let mut context = ServerContext {
            now: NOW,
            keys: &world.keys,
            replay: &mut replay,
        };
        let consumed = server.handle_input(rest, &mut context);
        rest = &rest[consumed..];
        match server.poll_event() {
            Some(ServerEvent::KeysRequested) => return "keys".into(),
            Some(ServerEvent::Request) => complete = true,
            Some(ServerEvent::Head) => assert!(server.take_request().is_some()),
            Some(ServerEvent::Data) => {
                let piece = server.take_data().expect("it came");
                body.extend_from_slice(piece.expose());
            }
            Some(ServerEvent::Cancelled) => {
                complete = false;
                server.fail(ErrorCode::Cancelled, NOW).expect("under way");
            }
            Some(_) => complete = false,
            None if consumed == 0 => break,
            None => {}
        }
    }
    server.handle_eof(NOW);
    complete |= server.poll_event() == Some(ServerEvent::Request);
    if complete {
        let received = server.take_request();
        assert_eq!(received.is_none(), given_out);
        if let Some(received) = received {
            body = received.into_body().expose().to_vec();
        }
        return format!("complete {}", hex(&body));
    }
    if !server.has_begun() {
        return "nothing".into();
    }
    let mut out = [0; 4096];
    let count = server.poll_transmit(&mut out);
    let (first, frame) = Wire(&out[..count]).last().expect("an answer");
    let content = match first.kind() {
        FrameType::Reject => {
            return format!("reject:{}", reject_name(RejectCode::from_u8(frame[4])));
        }
        _ => Wire::content(frame).expect("an ERROR"),
    };
    format!("error:{}", error_name(ErrorCode::from_u8(content[0])))
}

/// What of a stream belongs to its first exchange: up to END and one CANCEL. Ours leaves the rest where it is until it has answered.
fn first_exchange(wire: &[u8]) -> &[u8] {
    let mut frames = Wire(wire);
    if frames.any(|(header, _)| header.kind() == FrameType::End) {
        let rest = frames.0;
        let cancel = match frames.next() {
            Some((header, frame)) if header.kind() == FrameType::Cancel => frame.len(),
            _ if rest.first() == Some(&(FrameType::Cancel as u8)) => rest.len(),
            _ => 0,
        };
        return &wire[..wire.len() - rest.len() + cancel];
    }
    wire
}

/// What a client of ours says of a response.
fn response(client: &mut ClientExchange<NullAead>, wire: &[u8]) -> String {
    let (mut rest, mut shown, mut end) = (wire, Vec::new(), String::new());
    let result = loop {
        let consumed = match client.handle_input(rest) {
            Ok(consumed) => consumed,
            Err(error) => break Err(error),
        };
        rest = &rest[consumed..];
        match client.poll_event() {
            Some(ClientEvent::Data(data)) => shown.extend_from_slice(data),
            Some(ClientEvent::Complete(_)) => end = "complete".into(),
            Some(ClientEvent::Error { code, .. }) => end = format!("error:{}", error_name(code)),
            Some(ClientEvent::Rejected(code)) => end = format!("reject:{}", reject_name(code)),
            Some(_) => {}
            None if consumed == 0 => break client.handle_eof().map_err(Error::from),
            None => {}
        }
    };
    let outcome = match result {
        Ok(()) => end,
        Err(Error::Peer(PeerError::Truncated)) => "truncated".into(),
        Err(Error::Peer(PeerError::Undecryptable)) => "undecryptable".into(),
        Err(Error::Peer(PeerError::TooLarge { .. })) => "too large".into(),
        Err(Error::Peer(PeerError::Malformed(_))) => "malformed".into(),
        Err(other) => panic!("{other:?}"),
    };
    format!("{outcome} {}", hex(&shown))
}

fn requests(
    peer: &mut Peer,
    world: &World,
    http: bool,
    given_out: bool,
    wire: &[u8],
) -> (String, String) {
    let wire = if http { wire } else { first_exchange(wire) };
    let theirs = peer.ask(1, &[&[u8::from(!http)], wire]);
    (request(world, http, given_out, wire), theirs)
}

fn word(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

fn headers(headers: Headers<'_>) -> String {
    let pairs: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join(",")
}

fn request_head(content: &[u8]) -> Option<String> {
    let head = RequestHead::decode(content).ok()?;
    let parts = [
        head.method.into(),
        head.path.into(),
        word(head.content_type),
        word(head.authorization),
        word(head.tier.map(Tier::as_str)),
        hex(&head.exchange_id),
        word(head.idempotency_key),
        head.time.as_millis().to_string(),
        head.max_frame.to_string(),
        word(head.padding.map(u8::from)),
        headers(head.headers),
    ];
    Some(parts.join("\n"))
}

fn response_head(content: &[u8]) -> Option<String> {
    let head = ResponseHead::decode(content).ok()?;
    let protection = head.memory_protection.map(|memory| {
        let flags = u8::from(memory.memory_locking)
            | u8::from(memory.secure_zeroing) << 1
            | u8::from(memory.core_dump_prevention) << 2;
        format!("{flags} {}", memory.platform)
    });
    let parts = [
        head.status.to_string(),
        word(head.content_type),
        hex(&head.exchange_id),
        word(head.retry_after),
        word(protection),
        word(head.processed_at.map(|time| time.as_millis())),
        word(head.tier.map(Tier::as_str)),
        headers(head.headers),
    ];
    Some(parts.join("\n"))
}

fn record(encoded: &[u8]) -> Option<String> {
    let record = KeyRecord::parse(encoded).ok()?;
    if !matches!(encoded[1..3], [0, 0x10 | 0x50]) {
        return Some("unknown".into());
    }
    Some(format!(
        "{} {} {} {} {}",
        word(record.suite.map(|suite| suite.kem_id())),
        record.not_before.as_millis(),
        record.not_after.as_millis(),
        record.max_frame,
        record.max_request
    ))
}

/// What is in a COBS packet that a zero ends; an empty one is passed over by us, and no business of theirs.
fn packet(bytes: &[u8]) -> String {
    let mut decoder = Decoder::new(vec![0; 1 << 16]);
    for byte in bytes.iter().chain(&[0]) {
        decoder.handle_input(&[*byte]);
        match decoder.poll_frame() {
            Some(Ok(frame)) => return hex(frame),
            Some(Err(_)) => break,
            None => {}
        }
    }
    "refused".into()
}

fn key_set(body: &[u8]) -> Option<String> {
    let set = KeySet::parse(body).ok()?;
    let mut parts = vec![hex(set.identity())];
    let records = set.records().iter();
    parts.extend(records.map(|signed| hex(&signed.record) + &hex(&signed.signature)));
    Some(parts.join(" "))
}

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, bytes) = input;
    let http = kind & 16 == 0;
    let given_out = kind & 32 != 0;
    let flags = [u8::from(!http)];
    PEER.with_borrow_mut(|peer| {
        let peer = peer.get_or_insert_with(Peer::start);
        World::with(|world| {
            let refused = || "refused".into();
            let (ours, theirs) = match kind % 16 {
                0 | 1 => {
                    let wire = [world.open_frame(), bytes.to_vec()].concat();
                    requests(peer, world, http, given_out, &wire)
                }
                2 => requests(peer, world, http, given_out, bytes),
                3 => {
                    let mut options = ClientOptions {
                        one_exchange: http,
                        ..ClientOptions::default()
                    };
                    options.response = Limits {
                        content: 1 << 20,
                        wire: 1 << 20,
                        ..Limits::RESPONSE
                    };
                    let mut client = world.sent_request(options);
                    let id = *client.exchange_id();
                    let theirs = peer.ask(2, &[&flags, &id, bytes]);
                    (response(&mut client, bytes), theirs)
                }
                4 => (
                    request_head(bytes).unwrap_or_else(refused),
                    peer.ask(3, &[bytes]),
                ),
                5 => (
                    response_head(bytes).unwrap_or_else(refused),
                    peer.ask(4, &[bytes]),
                ),
                6 => (record(bytes).unwrap_or_else(refused), peer.ask(5, &[bytes])),
                7 => (
                    key_set(bytes).unwrap_or_else(refused),
                    peer.ask(6, &[bytes]),
                ),
                // A packet holds no zero.
                _ if bytes.contains(&0) => return,
                _ => (packet(bytes), peer.ask(7, &[bytes])),
            };
            assert_eq!(ours, theirs, "Rust on the left, Python on the right");
        });
    });
});
