//! The vectors that an independent implementation made from `docs/protocol.md` alone (`tests/interop`): whatever it says of a wire,
//! our two ends say too, whole and byte by byte. The format is that of `tests/interop/VECTORS.md`.

use std::fs;
use std::path::Path;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hpke::{Kem, Serializable};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use sealwire_core::agreement::{KeyAgreement, RustCrypto, SEED_LEN};
use sealwire_core::exchange::{
    ClientEvent, ClientExchange, ClientOptions, Limits, Request, ServerContext, ServerEvent,
    ServerExchange, ServerOptions,
};
use sealwire_core::frame::{CONTENT_OFFSET, FrameHeader, FrameType};
use sealwire_core::head::{RequestHead, ResponseHead};
use sealwire_core::keys::{GatewayKey, KeyRecord, KeySet, Keys, SignedRecord, key_id};
use sealwire_core::padding::Padding;
use sealwire_core::record::{OpenHeader, RequestSealer};
use sealwire_core::replay::{MemoryReplayStore, WINDOW};
use sealwire_core::{
    Error, ErrorCode, KEY_BLOCK_LEN, Malformed, PeerError, RejectCode, Suite, UnixTime,
};
use sealwire_memlock::{Policy, SecureBytes, SecureMemory};
use sealwire_tests::pair::{drain_client, drain_server};
use sealwire_tests::random::ScriptedRng;
use serde_json::Value;

fn vectors(kind: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/python");
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("in the repository")
        .map(|e| e.expect("readable").path())
        .collect();
    names.sort();
    let all = names.iter().map(|path| {
        let text = fs::read_to_string(path).expect("readable");
        serde_json::from_str::<Value>(&text).expect("JSON")
    });
    let found: Vec<Value> = all.filter(|vector| vector["kind"] == kind).collect();
    assert!(!found.is_empty());
    found
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("hexadecimal");
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hexadecimal"))
        .collect()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    hex(value).try_into().expect("of the right length")
}

fn memory() -> SecureMemory {
    SecureMemory::new(Policy::BestEffort)
}

fn secure(bytes: &[u8]) -> SecureBytes {
    memory().copy_from(bytes).expect("memory")
}

fn suite(vector: &Value) -> Suite {
    let kem = vector["suite"]["kem"].as_u64().expect("a number");
    Suite::from_kem_id(kem as u16).expect("a suite of this build")
}

fn clock(vector: &Value) -> UnixTime {
    UnixTime::from_millis(vector["clock"].as_u64().unwrap_or(0))
}

/// What our client draws to encapsulate as the vector does.
fn encapsulation_seed(vector: &Value) -> [u8; SEED_LEN] {
    let random = match suite(vector) {
        Suite::P256 => hex(&vector["ikm_ephemeral"]),
        _ => hex(&vector["encap_randomness"]),
    };
    let mut seed = [0; SEED_LEN];
    seed[..random.len()].copy_from_slice(&random);
    seed
}

/// The gateway's only key, from the vector.
struct OneKey {
    suite: Suite,
    id: [u8; 8],
    private: [u8; 32],
    not_after: UnixTime,
}

impl OneKey {
    fn of(vector: &Value) -> Self {
        let suite = suite(vector);
        let ikm = hex(&vector["ikm_recipient"]);
        let private = match suite {
            Suite::P256 => hpke::kem::DhP256HkdfSha256::derive_keypair(&ikm)
                .0
                .to_bytes()
                .to_vec(),
            _ => hpke::kem::MlKem768P256::derive_keypair(&ikm)
                .0
                .to_bytes()
                .to_vec(),
        };
        let record = hex(&vector["record"]);
        let not_after = KeyRecord::parse(&record).expect("a good record").not_after;
        Self {
            suite,
            id: key_id(&record),
            private: private.try_into().expect("32 bytes"),
            not_after,
        }
    }
}

impl Keys for OneKey {
    fn agree(
        &self,
        header: &OpenHeader,
        enc: &[u8],
        now: UnixTime,
        secrets: &mut [u8; KEY_BLOCK_LEN],
    ) -> Result<(), RejectCode> {
        if header.suite() != self.suite {
            return Err(RejectCode::Suite);
        }
        let end = self.not_after.saturating_add(sealwire_core::keys::SKEW);
        if header.key_id() != self.id || now >= end {
            return Err(RejectCode::Key);
        }
        RustCrypto
            .decapsulate(header, &self.private, enc, secrets)
            .map_err(|_| RejectCode::Undecryptable)
    }
}

fn error_name(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Malformed => "error:malformed",
        ErrorCode::TooLarge => "error:too large",
        ErrorCode::Time => "error:time",
        ErrorCode::Replay => "error:replay",
        ErrorCode::Duplicate => "error:duplicate",
        ErrorCode::Busy => "error:busy",
        ErrorCode::Upstream => "error:upstream",
        ErrorCode::Timeout => "error:timeout",
        ErrorCode::Cancelled => "error:cancelled",
        ErrorCode::Forbidden => "error:forbidden",
        _ => "error:internal",
    }
}

fn reject_name(code: RejectCode) -> &'static str {
    match code {
        RejectCode::Version => "reject:version",
        RejectCode::Suite => "reject:suite",
        RejectCode::Key => "reject:key",
        RejectCode::Malformed => "reject:malformed",
        RejectCode::Busy => "reject:busy",
        RejectCode::TooLarge => "reject:too large",
        RejectCode::Undecryptable => "reject:undecryptable",
        _ => "reject:unknown",
    }
}

/// Gives wires to one gateway, each in steps, and says how it answered the last, with the request's body if it took it.
fn gateway(vector: &Value, wires: &[Vec<u8>], step: usize) -> (String, Vec<u8>) {
    let keys = OneKey::of(vector);
    let capacity = vector["replay_capacity"].as_u64().unwrap_or(64) as usize;
    let mut replay = match vector["refuse_before"].as_u64() {
        Some(before) => {
            let started = UnixTime::from_millis(before).saturating_sub(WINDOW);
            MemoryReplayStore::after_restart(capacity, started)
        }
        None => MemoryReplayStore::new(capacity),
    };
    let now = clock(vector);
    let record = hex(&vector["record"]);
    let record = KeyRecord::parse(&record).expect("a good record");
    let mut request = Limits {
        frame: record.max_frame as usize,
        content: record.max_request.into(),
        ..Limits::REQUEST
    };
    if let Some(wire) = vector["limits"]["request_wire"].as_u64() {
        request.wire = wire;
    }
    let one_exchange = vector["transport"] == "http";
    let mut outcome = (String::new(), Vec::new());
    for wire in wires {
        let mut rng = ScriptedRng::new(hex(&vector["response_nonce"]));
        let options = ServerOptions {
            request,
            one_exchange,
            ..ServerOptions::default()
        };
        let mut server = ServerExchange::new(&memory(), options, &mut rng).expect("memory");
        let mut complete = false;
        let mut note = |event: Option<ServerEvent>, server: &mut ServerExchange| match event {
            Some(ServerEvent::Request) => complete = true,
            // What a host does with it (ORDER-6).
            Some(ServerEvent::Cancelled) => {
                complete = false;
                server
                    .fail(ErrorCode::Cancelled, now)
                    .expect("a request was under way");
            }
            _ => {}
        };
        for chunk in wire.chunks(step) {
            let mut rest = chunk;
            loop {
                let mut context = ServerContext {
                    now,
                    keys: &keys,
                    replay: &mut replay,
                };
                let consumed = server.handle_input(rest, &mut context);
                rest = &rest[consumed..];
                let event = server.poll_event();
                let idle = event.is_none();
                note(event, &mut server);
                if idle && consumed == 0 {
                    break;
                }
            }
        }
        server.handle_eof(now);
        let event = server.poll_event();
        note(event, &mut server);
        outcome = if complete {
            let taken = server.take_request().expect("whole");
            ("complete".into(), taken.body().expose().to_vec())
        } else {
            (answer(vector, &drain_server(&mut server)), Vec::new())
        };
    }
    outcome
}

/// Reads a refusal with the response keys of the vector.
fn answer(vector: &Value, wire: &[u8]) -> String {
    match wire.first() {
        Some(0x05) => reject_name(RejectCode::from_u8(wire[4])).into(),
        Some(0x04) => {
            let cipher =
                Aes256Gcm::new_from_slice(&hex(&vector["response_key"])).expect("32 bytes");
            let (mut rest, mut sequence) = (&wire[36..], 0u8);
            loop {
                let header =
                    FrameHeader::parse(*rest.first_chunk().expect("a frame")).expect("good");
                let (frame, after) = rest.split_at(header.size());
                let mut nonce: [u8; 12] = array(&vector["response_base"]);
                nonce[11] ^= sequence;
                let payload = Payload {
                    msg: &frame[4..],
                    aad: &frame[..4],
                };
                let nonce = Nonce::try_from(&nonce[..]).expect("12 bytes");
                let text = cipher
                    .decrypt(&nonce, payload)
                    .expect("sealed under these keys");
                if header.kind() == FrameType::Error {
                    assert!(after.is_empty());
                    let length = usize::from(u16::from_be_bytes([text[0], text[1]]));
                    if let Some(detail) = vector["detail"].as_str() {
                        let sent: String = text[3..2 + length]
                            .iter()
                            .map(|b| format!("{b:02x}"))
                            .collect();
                        assert_eq!(sent, detail, "{}", vector["name"]);
                    }
                    return error_name(ErrorCode::from_u8(text[2])).into();
                }
                (rest, sequence) = (after, sequence + 1);
            }
        }
        _ => "nothing".into(),
    }
}

/// The vector's record, signed by an identity of ours.
fn gateway_key(vector: &Value) -> GatewayKey {
    let signer = SigningKey::from_slice(&[7; 32]).expect("a scalar");
    let record = hex(&vector["record"]);
    let signed = [b"sealwire/1 key record\0", &record[..]].concat();
    let signature: Signature = signer.sign(&signed);
    let identity = signer
        .verifying_key()
        .to_sec1_point(false)
        .as_bytes()
        .try_into()
        .expect("65 bytes");
    let signed = SignedRecord {
        record,
        signature: signature.to_bytes().into(),
        evidence: None,
    };
    KeySet::new(identity, vec![signed])
        .expect("one short record")
        .select(suite(vector), clock(vector))
        .expect("a good record")
}

/// Gives the response to a client in steps, and says how it ended and what it showed.
fn client(
    vector: &Value,
    wire: &[u8],
    exchange_id: &[u8],
    max_frame: usize,
    step: usize,
) -> (String, Vec<u8>) {
    let (key, now) = (gateway_key(vector), clock(vector));
    let mut seed = encapsulation_seed(vector).to_vec();
    seed.extend_from_slice(exchange_id);
    let mut response = Limits {
        frame: max_frame,
        ..Limits::RESPONSE
    };
    let limits = &vector["limits"];
    response.content = limits["response_content"]
        .as_u64()
        .unwrap_or(response.content);
    response.wire = limits["response_wire"].as_u64().unwrap_or(response.wire);
    let one_exchange = vector["transport"] == "http";
    let options = ClientOptions {
        response,
        one_exchange,
        ..ClientOptions::default()
    };
    let request = Request::new("POST", "/", memory().with_capacity(0).expect("memory"));
    let mut rng = ScriptedRng::new(seed);
    let made = ClientExchange::new(&memory(), &key, request, now, options, &mut rng);
    let mut client = made.expect("a request that can be sent");
    drain_client(&mut client);
    let mut shown = Vec::new();
    let mut end = None;
    let result = wire.chunks(step).try_for_each(|chunk| {
        let mut rest = chunk;
        loop {
            let consumed = client.handle_input(rest)?;
            rest = &rest[consumed..];
            match client.poll_event() {
                Some(ClientEvent::Data(data)) => shown.extend_from_slice(data),
                Some(ClientEvent::Complete(_)) => end = Some("complete"),
                Some(ClientEvent::Error { code, .. }) => end = Some(error_name(code)),
                Some(ClientEvent::Rejected(code)) => end = Some(reject_name(code)),
                Some(_) => {}
                None if consumed == 0 => return Ok(()),
                None => {}
            }
        }
    });
    let result = result.and_then(|()| client.handle_eof().map_err(Error::from));
    let outcome = match result {
        Ok(()) => end.expect("an end was seen"),
        Err(Error::Peer(PeerError::Truncated)) => "truncated",
        Err(Error::Peer(PeerError::Undecryptable)) => "undecryptable",
        Err(Error::Peer(PeerError::TooLarge { .. })) => "too large",
        Err(Error::Peer(PeerError::Malformed(_))) => "malformed",
        Err(other) => panic!("{other:?}"),
    };
    (outcome.into(), shown)
}

/// What is decided otherwise than the vector says, with the reason; empty when the page has settled everything.
const SETTLED_OTHERWISE: &[(&str, &str)] = &[];

#[test]
fn refusals() {
    let mut wrong = Vec::new();
    for vector in vectors("refusal") {
        let name = vector["name"].as_str().expect("a name");
        let wire = hex(&vector["wire"]);
        let expect = vector["expect"].as_str().expect("an outcome");
        for step in [1, 5, wire.len().max(1)] {
            // The gateway of this case serves one path only, which is its host's business.
            if vector.get("served").is_some() {
                continue;
            }
            let (outcome, shown) = if vector["direction"] == "request" {
                let mut wires: Vec<Vec<u8>> = vector["earlier"]
                    .as_array()
                    .map(|all| all.iter().map(hex).collect())
                    .unwrap_or_default();
                wires.push(wire.clone());
                let (outcome, _) = gateway(&vector, &wires, step);
                (outcome, None)
            } else {
                let max_frame = vector["max_frame"].as_u64().expect("a size") as usize;
                let (outcome, shown) = client(
                    &vector,
                    &wire,
                    &hex(&vector["exchange_id"]),
                    max_frame,
                    step,
                );
                (outcome, Some(shown))
            };
            if outcome != expect
                && !SETTLED_OTHERWISE
                    .iter()
                    .any(|(settled, _)| *settled == name)
            {
                wrong.push(format!(
                    "{name} in steps of {step}: {outcome}, not {expect}"
                ));
            }
            if let (Some(shown), Some(_)) = (shown, vector["body"].as_str()) {
                assert_eq!(shown, hex(&vector["body"]), "{name}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn exchanges() {
    for vector in vectors("exchange") {
        let name = vector["name"].as_str().expect("a name");
        let request = &vector["request"];
        let wire = hex(&request["wire"]);
        for step in [1, 7, wire.len()] {
            let (outcome, body) = gateway(&vector, std::slice::from_ref(&wire), step);
            assert_eq!(outcome, "complete", "{name}");
            assert_eq!(body, hex(&request["body"]), "{name}");
        }
        seal_again(&vector, name);
        let head = hex(&request["frames"][0]["content"]);
        let head = RequestHead::decode(&head).expect("a good head");
        let response = &vector["response"];
        let wire = hex(&response["wire"]);
        for step in [1, 7, wire.len()] {
            let (outcome, body) = client(
                &vector,
                &wire,
                &head.exchange_id,
                head.max_frame as usize,
                step,
            );
            assert_eq!(
                Some(outcome.as_str()),
                response["expect"].as_str(),
                "{name}"
            );
            assert_eq!(body, hex(&response["body"]), "{name}");
        }
    }
}

/// Seals the vector's frames at level 1: the same bytes must come out.
fn seal_again(vector: &Value, name: &str) {
    let header = OpenHeader::new(suite(vector), array(&vector["key_id"]));
    let request = &vector["request"];
    let mut seed = encapsulation_seed(vector);
    let record = hex(&vector["record"]);
    let record = KeyRecord::parse(&record).expect("a good record");
    let mut enc = vec![0; suite(vector).enc_len()];
    let mut block = [0; KEY_BLOCK_LEN];
    let sealer = RequestSealer::new(&header, record.public_key, &mut seed, &mut enc, &mut block);
    let mut sealer = sealer.expect("a good key");
    assert_eq!(enc[..], hex(&vector["enc"]), "{name}");
    let mut wire = hex(&request["wire"])[..4 + 15 + enc.len()].to_vec();
    let frames = request["frames"].as_array().expect("frames");
    for (i, frame) in frames.iter().enumerate() {
        let content = hex(&frame["content"]);
        let size = 22 + content.len() + frame["padding"].as_u64().expect("a number") as usize;
        let mut buffer = vec![0; size];
        buffer[CONTENT_OFFSET..CONTENT_OFFSET + content.len()].copy_from_slice(&content);
        match frame["type"].as_u64() {
            Some(0x10) => sealer
                .seal_head(&mut buffer, content.len(), size)
                .expect("fits"),
            Some(0x11) => sealer
                .seal_data(&mut buffer, content.len(), size)
                .expect("fits"),
            _ => {
                assert_eq!(i, frames.len() - 1);
                assert!(sealer.seal_end(&mut buffer, size).is_ok());
                wire.extend(buffer);
                break;
            }
        }
        wire.extend(buffer);
    }
    assert_eq!(wire, hex(&request["wire"]), "{name}");
}

/// PAD-1: the peer's whole bodies and ours have the same frames, byte for byte, in both directions; and so have its streams.
#[test]
fn padding_as_the_peer_pads() {
    let mut count = 0;
    for vector in vectors("exchange") {
        let name = vector["name"].as_str().expect("a name");
        let padded = [
            "whole-padded",
            "long-bodies",
            "streamed-uniform",
            "streamed-error",
        ];
        if !padded.iter().any(|kind| name.ends_with(kind)) {
            continue;
        }
        count += 1;
        let request = &vector["request"];
        let content = hex(&request["frames"][0]["content"]);
        let head = RequestHead::decode(&content).expect("a good head");
        let mut ours = Request::new(head.method, head.path, secure(&hex(&request["body"])));
        ours.content_type = head.content_type.map(Into::into);
        ours.authorization = head.authorization.map(|value| secure(value.as_bytes()));
        ours.idempotency_key = head.idempotency_key.map(Into::into);
        let mut seed = encapsulation_seed(&vector).to_vec();
        seed.extend_from_slice(&head.exchange_id);
        let (key, now) = (gateway_key(&vector), clock(&vector));
        let (options, mut rng) = (ClientOptions::default(), ScriptedRng::new(seed));
        let made = ClientExchange::new(&memory(), &key, ours, now, options, &mut rng);
        let mut client = made.map_err(|(_, error)| error).expect("can be sent");
        assert_eq!(drain_client(&mut client), hex(&request["wire"]), "{name}");

        let keys = OneKey::of(&vector);
        let mut rng = ScriptedRng::new(hex(&vector["response_nonce"]));
        let made = ServerExchange::new(&memory(), ServerOptions::default(), &mut rng);
        let mut server = made.expect("memory");
        let mut context = ServerContext {
            now,
            keys: &keys,
            replay: &mut MemoryReplayStore::new(1),
        };
        server.handle_input(&hex(&request["wire"]), &mut context);
        server.handle_eof(now);
        assert_eq!(server.poll_event(), Some(ServerEvent::Request));
        let response = &vector["response"];
        let frames = response["frames"].as_array().expect("frames");
        let content = hex(&frames[0]["content"]);
        let head = ResponseHead::decode(&content).expect("a good head");
        let streamed = name.contains("streamed");
        let padding = match streamed {
            true => Padding::Uniform { frame: 1024 },
            false => Padding::Padme,
        };
        server.respond(&head, padding).expect("a request waits");
        let data = frames.iter().filter(|frame| frame["type"] == 0x11);
        let mut wire = Vec::new();
        for piece in data.map(|frame| hex(&frame["content"])) {
            // Of a stream each frame was a piece; the cover frames before the last are made by the padding.
            if !piece.is_empty() {
                assert_eq!(server.send_data(&piece).expect("under way"), piece.len());
                wire.extend(drain_server(&mut server));
            }
        }
        match response["expect"].as_str() {
            Some("error:upstream") => server.fail(ErrorCode::Upstream, now),
            Some("error:timeout") => server.fail(ErrorCode::Timeout, now),
            _ => server.finish(),
        }
        .expect("under way");
        wire.extend(drain_server(&mut server));
        assert_eq!(wire, hex(&response["wire"]), "{name}");
    }
    assert!(count >= 8, "{count} vectors");
}

#[test]
fn key_sets() {
    for vector in vectors("key-set") {
        let name = vector["name"].as_str().expect("a name");
        let set = match vector["json"].as_str() {
            Some(json) => KeySet::from_json(json.as_bytes()),
            None => KeySet::parse(&hex(&vector["key_set"])),
        };
        let outcome = match set {
            Ok(set) if set.pin().to_string() != vector["pin"] => "untrusted",
            Ok(set) => match set.select(suite(&vector), clock(&vector)) {
                Ok(key) => {
                    if vector["expect"] == "usable" {
                        assert_eq!(key.key_id(), array(&vector["key_id"]), "{name}");
                    }
                    "usable"
                }
                Err(
                    Malformed::Keys(_)
                    | Malformed::Signature
                    | Malformed::PublicKey
                    | Malformed::NoKey
                    | Malformed::KeyTime,
                ) => "refused",
                Err(other) => panic!("{other:?}"),
            },
            Err(_) => "refused",
        };
        assert_eq!(outcome, vector["expect"], "{name}");
    }
}
