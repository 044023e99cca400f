//! The vectors that an independent implementation made from `docs/protocol.md` alone (`tests/interop`): whatever it says of a wire,
//! our two ends say too, whole and byte by byte. The format is that of `tests/interop/VECTORS.md`.

mod counting;
mod ends;
mod read;

use ends::{OneKey, client, gateway, gateway_key};
use read::{array, clock, encapsulation_seed, hex, memory, secure, suite, vectors};
use sealwire_core::exchange::{
    ClientExchange, ClientOptions, Request, ServerContext, ServerEvent, ServerExchange,
    ServerOptions,
};
use sealwire_core::frame::CONTENT_OFFSET;
use sealwire_core::head::{RequestHead, ResponseHead};
use sealwire_core::keys::{KEY_ID_LEN, KeyRecord, KeySet, KeysBody, Pin};
use sealwire_core::padding::Padding;
use sealwire_core::record::{OpenHeader, RequestSealer};
use sealwire_core::replay::MemoryReplayStore;
use sealwire_core::{Error, ErrorCode, KEY_BLOCK_LEN, Malformed, PeerError};
use sealwire_tests::pair::{drain_client, drain_server};
use sealwire_tests::random::ScriptedRng;
use serde_json::Value;

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
            let (outcome, shown, opened) = if vector["direction"] == "request" {
                let mut wires: Vec<Vec<u8>> = vector["earlier"]
                    .as_array()
                    .map(|all| all.iter().map(hex).collect())
                    .unwrap_or_default();
                wires.push(wire.clone());
                let (outcome, _, opened) = gateway(&vector, &wires, step);
                (outcome, None, opened)
            } else {
                let max_frame = vector["max_frame"].as_u64().expect("a size") as usize;
                let (outcome, shown, opened) = client(
                    &vector,
                    &wire,
                    &hex(&vector["exchange_id"]),
                    max_frame,
                    step,
                );
                (outcome, Some(shown), opened)
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
            if Some(opened) != vector["opened"].as_u64() {
                wrong.push(format!(
                    "{name} in steps of {step}: {opened} opened, not {}",
                    vector["opened"]
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
            let (outcome, body, _) = gateway(&vector, std::slice::from_ref(&wire), step);
            assert_eq!(outcome, "complete", "{name}");
            assert_eq!(body, hex(&request["body"]), "{name}");
        }
        seal_again(&vector, name);
        let head = hex(&request["frames"][0]["content"]);
        let head = RequestHead::decode(&head).expect("a good head");
        let response = &vector["response"];
        let wire = hex(&response["wire"]);
        for step in [1, 7, wire.len()] {
            let (outcome, body, _) = client(
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

/// A key set as an end read it: the pin of its identity, and the id of the key that it selects.
type Read = Result<(Pin, Result<[u8; KEY_ID_LEN], Malformed>), Malformed>;

fn outcome(vector: &Value, read: Read) -> &'static str {
    match read {
        Ok((pin, _)) if pin.to_string() != vector["pin"] => "untrusted",
        Ok((_, Ok(id))) => {
            if vector["expect"] == "usable" {
                assert_eq!(id, array(&vector["key_id"]), "{}", vector["name"]);
            }
            "usable"
        }
        Ok((
            _,
            Err(
                Malformed::Keys(_)
                | Malformed::Signature
                | Malformed::PublicKey
                | Malformed::NoKey
                | Malformed::KeyTime,
            ),
        ))
        | Err(_) => "refused",
        Ok((_, Err(other))) => panic!("{other:?}"),
    }
}

#[test]
fn key_sets() {
    for vector in vectors("key-set") {
        let (name, expect) = (&vector["name"], &vector["expect"]);
        let (suite, now) = (suite(&vector), clock(&vector));
        let select = |set: KeySet| {
            let key = set.select(suite, now);
            (set.pin(), key.map(|key| key.key_id()))
        };
        let Some(json) = vector["json"].as_str() else {
            let body = hex(&vector["key_set"]);
            let set = KeySet::parse(&body).map_err(|error| match error {
                Error::Peer(PeerError::Malformed(malformed)) => malformed,
                other => panic!("{name}: {other:?}"),
            });
            assert_eq!(outcome(&vector, set.map(select)), expect, "{name}");
            let keys = KeysBody::parse(&body);
            let read = keys.map(|keys| {
                let key = keys.select(suite, now);
                (keys.pin(), key.map(|(_, id)| id))
            });
            assert_eq!(outcome(&vector, read), expect, "{name}");
            continue;
        };
        let set = KeySet::from_json(json.as_bytes());
        assert_eq!(outcome(&vector, set.map(select)), expect, "{name}");
    }
}
