//! A client and a gateway that do everything wrong, to show that the scans find what they should: strings, vectors that grow, ciphers
//! kept to save time, keys copied about. They speak the same protocol.

use std::env;
use std::io::{Read, Write};
use std::mem;
use std::net::TcpStream;

use aes_gcm::{Aes256Gcm, KeyInit};
use hpke::kem::{DhP256HkdfSha256, MlKem768P256};
use hpke::{Deserializable, Kem};
use sealwire::core::frame::{CONTENT_OFFSET, FrameHeader, FrameType, HEADER_LEN, SEALED_OVERHEAD};
use sealwire::core::head::RequestHead;
use sealwire::core::keys::KeySet;
use sealwire::core::record::{OpenHeader, RequestSealer};
use sealwire::core::{KEY_BLOCK_LEN, KeyStore, Suite, UnixTime};
use sealwire_scanner::{pause, say};
use sealwire_tests::marker::{Form, Marker};
use sealwire_tests::spy::Spy;

use crate::gateways::{ring, seed};
use crate::path::Path;
use crate::watch::now;

/// A block of keys that is copied at every turn.
struct Copied {
    block: [u8; KEY_BLOCK_LEN],
    copies: Vec<Vec<u8>>,
}

impl KeyStore for Copied {
    fn expose(&self) -> &[u8; KEY_BLOCK_LEN] {
        &self.block
    }

    fn expose_mut(&mut self) -> &mut [u8; KEY_BLOCK_LEN] {
        self.copies.push(self.block.to_vec());
        &mut self.block
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        // A cipher each, ready for the next frame, which never comes.
        for block in mem::take(&mut self.copies) {
            let key: &[u8; 32] = block[..32].try_into().expect("a block is longer");
            mem::forget((Box::new(Aes256Gcm::new(key.into())), block));
        }
    }
}

/// The client's part of the test.
pub(crate) fn client() {
    let told = |name| env::var(name).expect("the watcher says it");
    let host = told("RESIDUE_URL").trim_start_matches("http://").to_owned();
    let set = http(&host, "GET /.well-known/sealwire-keys", b"");
    let key = KeySet::from_json(&set)
        .and_then(|set| set.select(Suite::P256, now()))
        .expect("keys");
    let text = |marker: Marker| String::from_utf8(marker.to_vec(Form::Json)).expect("ASCII");
    let prompt = text(Marker::prompt(0));
    let api_key = String::from_utf8(Marker::api_key(0).word()).expect("ASCII");
    let authorization = format!("Bearer {api_key}");
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{prompt}"}}]}}"#);

    let header = OpenHeader::new(Suite::P256, key.key_id());
    let mut enc = [0; 65];
    let mut seed = [0; RequestSealer::<Copied>::SEED_LEN];
    getrandom::fill(&mut seed).expect("random");
    let store = Copied {
        block: [0; KEY_BLOCK_LEN],
        copies: Vec::new(),
    };
    let public = set_public(&set);
    let mut sealer =
        RequestSealer::new(&header, &public, &mut seed, &mut enc, store).expect("a valid key");
    let mut wire = FrameHeader::new(FrameType::Open, 15 + 65)
        .expect("short")
        .to_bytes()
        .to_vec();
    wire.extend_from_slice(&header.to_bytes());
    wire.extend_from_slice(&enc);
    let mut head = RequestHead::new("POST", "/v1/chat/completions", [9; 16], now());
    head.content_type = Some("application/json");
    head.authorization = Some(&authorization);
    head.max_frame = 16 * 1024;
    let mut frame = vec![0; 2048];
    let len = head.encode(&mut frame[CONTENT_OFFSET..]).expect("short");
    sealer.seal_head(&mut frame, len, 0).expect("first");
    wire.extend_from_slice(&frame[..SEALED_OVERHEAD + len]);
    frame[CONTENT_OFFSET..CONTENT_OFFSET + body.len()].copy_from_slice(body.as_bytes());
    sealer.seal_data(&mut frame, body.len(), 0).expect("room");
    wire.extend_from_slice(&frame[..SEALED_OVERHEAD + body.len()]);
    let Ok(start) = sealer.seal_end(&mut frame, 0) else {
        panic!("HEAD was sealed");
    };
    wire.extend_from_slice(&frame[..SEALED_OVERHEAD]);

    let reply = http(&host, "POST /sealwire/v1", &wire);
    let (accept, mut rest) = reply.split_at(HEADER_LEN + 32);
    let nonce = accept[HEADER_LEN..].try_into().expect("32 bytes");
    let mut opener = start.accept(nonce);
    let mut answer = Vec::new();
    while let Some((bytes, _)) = rest.split_first_chunk::<HEADER_LEN>() {
        let size = FrameHeader::parse(*bytes).expect("a frame").size();
        let mut frame = rest[..size].to_vec();
        let opened = opener.open(&mut frame).expect("genuine");
        if opened.kind == FrameType::Data {
            answer.extend_from_slice(opened.content);
        }
        mem::forget(frame);
        rest = &rest[size..];
    }
    opener.finish().expect("whole");
    let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
    println!("{}", answer["choices"][0]["finish_reason"]);
    // Everything is dropped, as a program does that trusts its language.
    mem::forget((prompt, api_key, authorization, body));
    drop(answer);
    pause("over");
}

/// The public key in the first record of a key set.
fn set_public(json: &[u8]) -> Vec<u8> {
    let set = KeySet::from_json(json).expect("keys");
    let records = set.records().iter();
    let mut keys = records.filter_map(|record| {
        let record = sealwire::core::keys::KeyRecord::parse(&record.record).ok()?;
        (record.suite == Some(Suite::P256)).then(|| record.public_key.to_vec())
    });
    keys.next().expect("P-256 is there")
}

/// One request on a connection of its own, and the body of its reply.
fn http(host: &str, line: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(host).expect("the gateway listens");
    let len = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/sealwire\r\ncontent-length: {len}\r\n\r\n"
    );
    stream
        .write_all(&[head.as_bytes(), body].concat())
        .expect("sent");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).expect("read");
    let end = reply.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, mut rest) = reply.split_at(end.expect("a head") + 4);
    if !head.windows(7).any(|seven| seven == b"chunked") {
        return rest.to_vec();
    }
    let mut whole = Vec::new();
    loop {
        let end = rest
            .windows(2)
            .position(|two| two == b"\r\n")
            .expect("a size");
        let size = str::from_utf8(&rest[..end]).expect("ASCII");
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

/// The gateway's part: all it does is to have its keys.
pub(crate) fn gateway() {
    let now = env::var("RESIDUE_NOW").expect("the watcher says it");
    let now = UnixTime::from_millis(now.parse().expect("milliseconds"));
    let ring = ring(Path::Plain, now);
    let scalar = ring.identity().expose_scalar().to_vec();
    let signer = p256::ecdsa::SigningKey::from_slice(&scalar).expect("a scalar");
    mem::forget((Box::new(signer), scalar));
    for key in Spy::of_ring(&ring, seed(Path::Plain)).into_keys() {
        let private = key.private.to_vec();
        match key.header.suite() {
            Suite::P256 => keep::<DhP256HkdfSha256>(&private),
            _ => keep::<MlKem768P256>(&private),
        }
        mem::forget(private);
    }
    say("ready");
    pause("over");
}

fn keep<K: Kem>(private: &[u8]) {
    let key = K::PrivateKey::from_bytes(private).expect("a private key");
    mem::forget(Box::new(key));
}
