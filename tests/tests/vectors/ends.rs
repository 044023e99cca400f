//! Both ends, as a vector sets them up.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hpke::{Kem, Serializable};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use sealwire_core::agreement::{KeyAgreement, RustCrypto};
use sealwire_core::exchange::{
    ClientEvent, ClientExchange, ClientOptions, Limits, ReceivedRequest, Request, ServerContext,
    ServerEvent, ServerExchange, ServerOptions,
};
use sealwire_core::keys::{GatewayKey, KeyRecord, KeySet, Keys, SignedRecord, key_id};
use sealwire_core::record::OpenHeader;
use sealwire_core::replay::{MemoryReplayStore, WINDOW};
use sealwire_core::{Error, ErrorCode, KEY_BLOCK_LEN, PeerError, RejectCode, Suite, UnixTime};
use sealwire_tests::pair::{drain_client, drain_server};
use sealwire_tests::random::ScriptedRng;
use serde_json::Value;

use crate::counting::{Counting, take_opened};
use crate::read::{array, clock, encapsulation_seed, hex, memory, suite};

/// The gateway's only key, from the vector.
pub(crate) struct OneKey {
    suite: Suite,
    id: [u8; 8],
    private: [u8; 32],
    not_after: UnixTime,
}

impl OneKey {
    pub(crate) fn of(vector: &Value) -> Self {
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
    fn offers(&self, suite: Suite) -> bool {
        suite == self.suite
    }

    fn agree(
        &self,
        header: &OpenHeader,
        enc: &[u8],
        now: UnixTime,
        secrets: &mut [u8; KEY_BLOCK_LEN],
    ) -> Result<(), RejectCode> {
        let end = self.not_after.saturating_add(sealwire_core::keys::SKEW);
        if header.key_id() != self.id || now >= end {
            return Err(RejectCode::Key);
        }
        RustCrypto
            .decapsulate(header, &self.private, enc, secrets)
            .map_err(|_| RejectCode::Undecryptable)
    }
}

pub(crate) fn error_name(code: ErrorCode) -> &'static str {
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

pub(crate) fn reject_name(code: RejectCode) -> &'static str {
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

/// How an end took what it was given: the outcome as vectors name it, the body, and the tags that verified.
pub(crate) type Taken = (String, Vec<u8>, u64);

/// Gives wires to one gateway, each in steps, and says how it answered the last, with the request's body if it took it.
pub(crate) fn gateway(vector: &Value, wires: &[Vec<u8>], step: usize) -> Taken {
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
    let mut outcome = (String::new(), Vec::new(), 0);
    for wire in wires {
        take_opened();
        let mut rng = ScriptedRng::new(hex(&vector["response_nonce"]));
        let options = ServerOptions {
            request,
            one_exchange,
            ..ServerOptions::default()
        };
        let made = ServerExchange::<Counting>::with_aead(&memory(), options, &mut rng);
        let mut server = made.expect("memory");
        let mut complete = false;
        let mut note =
            |event: Option<ServerEvent>, server: &mut ServerExchange<Counting>| match event {
                Some(ServerEvent::Request) => complete = true,
                Some(ServerEvent::Refused(_)) => complete = false,
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
        let opened = take_opened();
        let taken = complete.then(|| server.take_request().expect("whole"));
        outcome = match taken {
            Some(taken) if is_served(vector, &taken) => {
                let body = taken.body().expose().to_vec();
                ("complete".into(), body, opened)
            }
            taken => {
                if taken.is_some() {
                    let refused = server.fail(ErrorCode::Forbidden, now);
                    refused.expect("a request waits");
                }
                let answer = answer(vector, &drain_server(&mut server));
                (answer, Vec::new(), opened)
            }
        };
    }
    outcome
}

/// Which methods and paths there are is the host's business: where the vector names some, those.
fn is_served(vector: &Value, request: &ReceivedRequest) -> bool {
    let head = request.head();
    let asked = format!("{} {}", head.method, head.path);
    let served = vector["served"].as_array();
    served.is_none_or(|served| served.iter().any(|one| *one == asked))
}

/// Reads a refusal before a response HEAD with the response keys of the vector. All of it is REJECT, or ACCEPT and an ERROR of 1024
/// bytes: nothing shows how far the request came, and no more is sent to a client whose HEAD was not read (FRAME-4, PAD-1).
fn answer(vector: &Value, wire: &[u8]) -> String {
    match wire.first() {
        Some(0x05) => {
            assert_eq!(wire.len(), 5, "{}", vector["name"]);
            reject_name(RejectCode::from_u8(wire[4])).into()
        }
        Some(0x04) => {
            let frame = &wire[36..];
            assert_eq!(frame.len(), 1024, "{}", vector["name"]);
            assert_eq!(frame[..4], [0x13, 0, 0x03, 0xfc], "{}", vector["name"]);
            let cipher =
                Aes256Gcm::new_from_slice(&hex(&vector["response_key"])).expect("32 bytes");
            let nonce = Nonce::from(array(&vector["response_base"]));
            let payload = Payload {
                msg: &frame[4..],
                aad: &frame[..4],
            };
            let text = cipher.decrypt(&nonce, payload);
            let text = text.expect("the first frame under these keys");
            let length = usize::from(u16::from_be_bytes([text[0], text[1]]));
            if let Some(detail) = vector["detail"].as_str() {
                let sent: String = text[3..2 + length]
                    .iter()
                    .map(|b| format!("{b:02x}"))
                    .collect();
                assert_eq!(sent, detail, "{}", vector["name"]);
            }
            error_name(ErrorCode::from_u8(text[2])).into()
        }
        _ => "nothing".into(),
    }
}

/// The vector's record, signed by an identity of ours.
pub(crate) fn gateway_key(vector: &Value) -> GatewayKey {
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
pub(crate) fn client(
    vector: &Value,
    wire: &[u8],
    exchange_id: &[u8],
    max_frame: usize,
    step: usize,
) -> Taken {
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
    let made =
        ClientExchange::<Counting>::with_aead(&memory(), &key, request, now, options, &mut rng);
    let mut client = made.expect("a request that can be sent");
    drain_client(&mut client);
    take_opened();
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
    (outcome.into(), shown, take_opened())
}
