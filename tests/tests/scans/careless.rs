//! A client and a gateway that do everything wrong, to show that the scans find what they should: strings, vectors that grow, ciphers
//! kept to save time, keys copied about. They speak the same protocol.

use std::cell::RefCell;
use std::env;
use std::hint::black_box;
use std::io::{Read, Write};
use std::mem;
use std::net::TcpStream;
use std::rc::Rc;

use aes_gcm::{Aes256Gcm, KeyInit};
use hkdf::Hkdf;
use hpke::kem::{DhP256HkdfSha256, MlKem768P256};
use hpke::{Deserializable, Kem};
use ml_kem::{Encapsulate, EncapsulationKey, MlKem768};
use p256::elliptic_curve::Generate;
use p256::{NonZeroScalar, PublicKey, SecretKey};
use sealwire::core::frame::{CONTENT_OFFSET, FrameHeader, FrameType, HEADER_LEN, SEALED_OVERHEAD};
use sealwire::core::head::RequestHead;
use sealwire::core::keys::{KeyRecord, KeySet};
use sealwire::core::record::{OpenHeader, RequestSealer};
use sealwire::core::{KEY_BLOCK_LEN, KeyStore, Suite, UnixTime};
use sealwire_scanner::{Paused, Scanner, child, is_child, pause, say};
use sealwire_tests::draws::Draws;
use sealwire_tests::marker::{Form, Marker};
use sealwire_tests::random::ScriptedRng;
use sealwire_tests::relay::{Fault, Relay};
use sealwire_tests::spy::{self, EPHEMERAL, HALVES, KINDS, PRIVATE_KEY, Spy};
use sealwire_tests::table::{Row, Table};
use sha2::Sha256;

use crate::scans::clients::{Wire, short, suite_named};
use crate::scans::gateways::{ring, seed};
use crate::scans::path::Path;
use crate::scans::watch::{Lab, now, wanted};

/// What the scans find in a client that takes no care: each kind of secret, or they would prove nothing.
#[test]
fn careless_clients_are_found() {
    if is_child() {
        return client();
    }
    let mut table = Table::new("Clients that take no care");
    for &suite in Suite::ALL {
        let lab = Lab::start(Path::Plain, Wire::Http);
        let relay = Relay::start(lab.address, Fault::None);
        let mut command = child("careless::careless_clients_are_found");
        let drew = Draws::of(&mut command);
        let mut subject = Paused::spawn(
            command
                .env("RESIDUE_URL", format!("http://{}", relay.address))
                .env("RESIDUE_SUITE", short(suite)),
        );
        drop(lab.gate());
        subject.wait_for("over");
        let mut row = Row::default();
        let found = wanted(Path::Plain, &lab, &relay, &drew).scan(subject.id());
        row.after("over", &found);
        table.add(&format!("a careless client, {}", short(suite)), &row);
        for kind in KINDS {
            // A client has no private key but one that is ephemeral, and P-256 has no halves.
            let has_none = kind == PRIVATE_KEY || kind == HALVES && suite == Suite::P256;
            assert_eq!(row.left(kind) == 0, has_none, "{kind}");
        }
        subject.finish();
    }
}

/// The same for a gateway's private keys.
#[test]
fn careless_gateways_are_found() {
    if is_child() {
        return gateway();
    }
    let now = now();
    let mut command = child("careless::careless_gateways_are_found");
    let mut subject = Paused::spawn(command.env("RESIDUE_NOW", now.as_millis().to_string()));
    subject.wait_for("over");
    let ring = ring(Path::Plain, now);
    let spy = Spy::of_ring(&ring, seed(Path::Plain));
    let mut row = Row::default();
    for (name, wanted) in [
        ("identity", spy::identity(ring.identity().expose_scalar())),
        ("epoch keys", spy.private_keys()),
    ] {
        let found = Scanner::new(&wanted).scan(subject.id()).elsewhere();
        // Serialised, and as the library holds it.
        assert!(found.of(PRIVATE_KEY).1 >= 2, "{name}:\n{found}");
        row.after(name, &found);
    }
    assert!(row.left(EPHEMERAL) > 0, "what keys are made of");
    Table::new("Gateways that take no care").add("a careless gateway's keys", &row);
    subject.finish();
}

/// A block of keys that is copied at every turn.
struct Copied {
    block: [u8; KEY_BLOCK_LEN],
    copies: Rc<RefCell<Vec<[u8; KEY_BLOCK_LEN]>>>,
}

impl KeyStore for Copied {
    fn expose(&self) -> &[u8; KEY_BLOCK_LEN] {
        &self.block
    }

    fn expose_mut(&mut self) -> &mut [u8; KEY_BLOCK_LEN] {
        self.copies.borrow_mut().push(self.block);
        &mut self.block
    }
}

/// Keeps whatever it is for ever, also where the compiler sees that nobody will ask for it.
fn keep<T>(secret: T) {
    mem::forget(black_box(Box::new(secret)));
}

/// Agrees on keys once more, step by step, and keeps what it comes to.
fn keep_agreement(suite: Suite, seed: &[u8], public: &[u8]) {
    let agree = |scalar: &SecretKey, public: &[u8]| {
        let public = PublicKey::from_sec1_bytes(public).expect("a point");
        p256::ecdh::diffie_hellman(scalar.to_nonzero_scalar(), public.as_affine())
    };
    if suite == Suite::P256 {
        let (ephemeral, _) = DhP256HkdfSha256::derive_keypair(&seed[..32]);
        let scalar = SecretKey::from_slice(&hpke::Serializable::to_bytes(&ephemeral));
        keep(agree(&scalar.expect("a scalar"), public));
        keep(ephemeral);
    } else {
        let (post_quantum, point) = public.split_at(public.len() - 65);
        let post_quantum = post_quantum.try_into().expect("as long as it must be");
        let post_quantum = EncapsulationKey::<MlKem768>::new(post_quantum).expect("a key");
        let mut rng = ScriptedRng::new(seed.to_vec());
        keep(post_quantum.encapsulate_with_rng(&mut rng).1);
        let scalar = SecretKey::from(NonZeroScalar::generate_from_rng(&mut rng));
        keep(agree(&scalar, point));
        keep(scalar);
    }
}

/// The client's part of the test.
fn client() {
    let told = |name| env::var(name).expect("the watcher says it");
    let host = told("RESIDUE_URL").trim_start_matches("http://").to_owned();
    let set = http(&host, "GET /.well-known/sealwire-keys", b"");
    let suite = suite_named(&told("RESIDUE_SUITE"));
    let key = KeySet::from_json(&set)
        .and_then(|set| set.select(suite, now()))
        .expect("keys");
    let text = |marker: Marker| String::from_utf8(marker.to_vec(Form::Json)).expect("ASCII");
    let prompt = text(Marker::prompt(0));
    let api_key = String::from_utf8(Marker::api_key(0).word()).expect("ASCII");
    let authorization = format!("Bearer {api_key}");
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{prompt}"}}]}}"#);

    let header = OpenHeader::new(suite, key.key_id());
    let mut enc = vec![0; suite.enc_len()];
    let mut seed = [0; RequestSealer::<Copied>::SEED_LEN];
    getrandom::fill(&mut seed).expect("random");
    let public = public_of(&set, suite);
    keep(seed);
    keep_agreement(suite, &seed, &public);
    let copies = Rc::default();
    let store = Copied {
        block: [0; KEY_BLOCK_LEN],
        copies: Rc::clone(&copies),
    };
    let mut sealer =
        RequestSealer::new(&header, &public, &mut seed, &mut enc, store).expect("a valid key");
    let mut wire = FrameHeader::new(FrameType::Open, OpenHeader::LEN + enc.len())
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
    // A cipher for each key, and what the response's keys come from, ready for the next frame, which never comes.
    for block in copies.take() {
        let key: &[u8; 32] = block.first_chunk().expect("a block is longer");
        keep(Aes256Gcm::new(key.into()));
        keep(Hkdf::<Sha256>::new(
            Some(&[&enc[..], nonce].concat()),
            &block[44..],
        ));
        keep(block);
    }
    // Everything else is dropped, as a program does that trusts its language.
    mem::forget((prompt, api_key, authorization, body));
    drop(answer);
    pause("over");
}

/// The public key of a suite in a key set.
fn public_of(json: &[u8], suite: Suite) -> Vec<u8> {
    let set = KeySet::from_json(json).expect("keys");
    let mut keys = set.records().iter().filter_map(|record| {
        let record = KeyRecord::parse(&record.record).ok()?;
        (record.suite == Some(suite)).then(|| record.public_key.to_vec())
    });
    keys.next().expect("every suite is there")
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
fn gateway() {
    let now = env::var("RESIDUE_NOW").expect("the watcher says it");
    let now = UnixTime::from_millis(now.parse().expect("milliseconds"));
    let ring = ring(Path::Plain, now);
    let scalar = ring.identity().expose_scalar().to_vec();
    let signer = p256::ecdsa::SigningKey::from_slice(&scalar).expect("a scalar");
    keep(signer);
    mem::forget(scalar);
    for key in Spy::of_ring(&ring, seed(Path::Plain)).into_keys() {
        match key.header.suite() {
            Suite::P256 => keep(private::<DhP256HkdfSha256>(&key.private)),
            _ => keep(private::<MlKem768P256>(&key.private)),
        }
        keep((key.ikm, key.private));
    }
    say("ready");
    pause("over");
}

fn private<K: Kem>(private: &[u8]) -> K::PrivateKey {
    K::PrivateKey::from_bytes(private).expect("a private key")
}
