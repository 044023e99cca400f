//! The worked exchange of `docs/protocol.md`, section 15: the page shows what the code makes. `tests/interop` reads the page and
//! computes all of it again.

use std::fmt::Write;
use std::path::Path;

use hkdf::Hkdf;
use hpke::{Kem, Serializable};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use sealwire_core::agreement::{KeyAgreement, RustCrypto, SEED_LEN};
use sealwire_core::exchange::{ClientEvent, ServerEvent, ServerOptions};
use sealwire_core::frame::{CONTENT_OFFSET, FrameType};
use sealwire_core::head::{RequestHead, ResponseHead};
use sealwire_core::keys::{KeyRecord, KeySet, Pin, SignedRecord, key_id, verify};
use sealwire_core::record::{OpenHeader, RequestOpener, RequestSealer};
use sealwire_core::{KEY_BLOCK_LEN, Suite, UnixTime};
use sha2::Sha256;

const BEGIN: &str = "<!-- example:begin -->\n";
const END: &str = "<!-- example:end -->";

const NOW: UnixTime = UnixTime::from_millis(1_800_000_000_000);
const IDENTITY: [u8; 32] = [0x11; 32];
const EPOCH_IKM: [u8; 32] = [0x22; 32];
const EPHEMERAL_IKM: [u8; 32] = [0x33; 32];
const EXCHANGE_ID: [u8; 16] = [0x44; 16];
const RESPONSE_NONCE: [u8; 32] = [0x55; 32];
const QUESTION: &[u8] =
    br#"{"model":"m","messages":[{"role":"user","content":"Is this sealed?"}]}"#;
const ANSWER: &[u8] =
    br#"{"choices":[{"index":0,"message":{"role":"assistant","content":"It is."}}]}"#;

/// Writes one value of the section.
fn show(page: &mut String, name: &str, value: &[u8]) {
    writeln!(page, "{name}").expect("a string");
    for line in value.chunks(40) {
        let digits: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(page, "    {digits}").expect("a string");
    }
}

/// A frame with this content and no padding.
fn frame(content: &[u8], seal: impl FnOnce(&mut [u8], usize)) -> Vec<u8> {
    let mut frame = vec![0; 22 + content.len()];
    frame[CONTENT_OFFSET..CONTENT_OFFSET + content.len()].copy_from_slice(content);
    seal(&mut frame, content.len());
    frame
}

/// The section, and both wires.
fn make() -> (String, Vec<u8>, Vec<u8>, SignedRecord, [u8; 65]) {
    let mut page = String::new();
    let signer = SigningKey::from_slice(&IDENTITY).expect("a scalar");
    let identity: [u8; 65] = signer
        .verifying_key()
        .to_sec1_point(false)
        .as_bytes()
        .try_into()
        .expect("uncompressed");
    show(&mut page, "identity, private", &IDENTITY);
    show(&mut page, "identity, public", &identity);
    show(&mut page, "pin", Pin::of(&identity).as_bytes());

    let (private, public) = hpke::kem::DhP256HkdfSha256::derive_keypair(&EPOCH_IKM);
    let public = public.to_bytes();
    let mut record = vec![0; KeyRecord::encoded_len(Suite::P256)];
    let blank = KeyRecord::parse(
        &[
            &[1, 0, 0x10, 1, 0, 1, 0, 2, 0, 65][..],
            &public,
            &(NOW.as_millis() - 3_600_000).to_be_bytes(),
            &(NOW.as_millis() + 82_800_000).to_be_bytes(),
            &16_404u32.to_be_bytes(),
            &10_485_760u32.to_be_bytes(),
        ]
        .concat(),
    )
    .expect("a good record")
    .encode(&mut record);
    blank.expect("of a suite");
    let signature: Signature = signer.sign(&[b"sealwire/1 key record\0", &record[..]].concat());
    let signature: [u8; 64] = signature.to_bytes().into();
    assert_eq!(verify(&identity, &record, &signature), Ok(()));
    show(&mut page, "epoch key, ikm of DeriveKeyPair", &EPOCH_IKM);
    show(&mut page, "epoch key, private", &private.to_bytes());
    show(&mut page, "record", &record);
    show(&mut page, "signature", &signature);
    let key_id = key_id(&record);
    show(&mut page, "key_id", &key_id);

    let header = OpenHeader::new(Suite::P256, key_id);
    let seed = || {
        let mut seed = [0; SEED_LEN];
        seed[..32].copy_from_slice(&EPHEMERAL_IKM);
        seed
    };
    let (mut enc, mut secrets) = ([0; 65], [0; KEY_BLOCK_LEN]);
    RustCrypto
        .encapsulate(&header, &public, &mut seed(), &mut enc, &mut secrets)
        .expect("a good key");
    let mut request = vec![0x03, 0, 0, 80];
    request.extend(header.to_bytes());
    request.extend(enc);
    show(
        &mut page,
        "ephemeral key, ikm of DeriveKeyPair",
        &EPHEMERAL_IKM,
    );
    show(&mut page, "OPEN, frame", &request);
    let info = [b"sealwire/1 request", &header.to_bytes()[..]].concat();
    show(&mut page, "info", &info);
    show(&mut page, "request_key", &secrets[..32]);
    show(&mut page, "request_nonce", &secrets[32..44]);
    show(&mut page, "response_secret", &secrets[44..]);

    let mut block = [0; KEY_BLOCK_LEN];
    let sealer = RequestSealer::new(&header, &public, &mut seed(), &mut enc, &mut block);
    let mut sealer = sealer.expect("a good key");
    let mut head = RequestHead::new("POST", "/v1/chat/completions", EXCHANGE_ID, NOW);
    head.content_type = Some("application/json");
    head.authorization = Some("Bearer sk-example");
    head.idempotency_key = Some("example-1");
    head.padding = Some(false);
    let mut content = [0; 512];
    let len = head.encode(&mut content).expect("fits");
    let sealed = frame(&content[..len], |frame, len| {
        sealer.seal_head(frame, len, 0).expect("fits");
    });
    show(&mut page, "request HEAD, content", &content[..len]);
    show(&mut page, "request HEAD, frame", &sealed);
    request.extend(sealed);
    let sealed = frame(QUESTION, |frame, len| {
        sealer.seal_data(frame, len, 0).expect("fits");
    });
    show(&mut page, "request DATA, content", QUESTION);
    show(&mut page, "request DATA, frame", &sealed);
    request.extend(sealed);
    let sealed = frame(&[], |frame, _| assert!(sealer.seal_end(frame, 0).is_ok()));
    show(&mut page, "request END, frame", &sealed);
    request.extend(sealed);

    let mut response = vec![0x04, 0, 0, 32];
    response.extend(RESPONSE_NONCE);
    show(&mut page, "ACCEPT, frame", &response);
    let salt = [&enc[..], &RESPONSE_NONCE].concat();
    let hkdf = Hkdf::<Sha256>::new(Some(&salt), &secrets[44..]);
    let (mut key, mut base) = ([0; 32], [0; 12]);
    hkdf.expand(b"sealwire/1 response key", &mut key)
        .expect("32 bytes");
    hkdf.expand(b"sealwire/1 response nonce", &mut base)
        .expect("12 bytes");
    show(&mut page, "response_key", &key);
    show(&mut page, "response_base", &base);

    let mut block = [0; KEY_BLOCK_LEN];
    let opener = RequestOpener::new(&header, &enc, &private.to_bytes(), &mut block);
    let mut opener = opener.expect("its own");
    let mut rest = request[84..].to_vec();
    while !rest.is_empty() {
        let size = 4 + usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let mut frame: Vec<u8> = rest.drain(..size).collect();
        assert!(opener.open(&mut frame).is_ok());
    }
    let mut sealer = opener
        .respond(&RESPONSE_NONCE)
        .ok()
        .expect("the request has opened");
    let mut head = ResponseHead::new(200, EXCHANGE_ID);
    head.content_type = Some("application/json");
    let len = head.encode(&mut content).expect("fits");
    show(&mut page, "response HEAD, content", &content[..len]);
    for (kind, name, content) in [
        (FrameType::Head, "response HEAD, frame", &content[..len]),
        (FrameType::Data, "response DATA, frame", ANSWER),
        (FrameType::End, "response END, frame", &[]),
    ] {
        if kind == FrameType::Data {
            show(&mut page, "response DATA, content", content);
        }
        let sealed = frame(content, |frame, len| {
            sealer.seal(kind, frame, len, 0).expect("fits");
        });
        show(&mut page, name, &sealed);
        response.extend(sealed);
    }
    let signed = SignedRecord {
        record,
        signature,
        evidence: None,
    };
    (page, request, response, signed, identity)
}

/// With `UPDATE=1` in the environment the page is brought up to date instead.
#[test]
fn the_page_shows_what_the_code_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    let page = std::fs::read_to_string(&path).expect("in the repository");
    let (before, rest) = page.split_once(BEGIN).expect("the marker");
    let (_, after) = rest.split_once(END).expect("the marker");
    let (example, ..) = make();
    let due = format!("{before}{BEGIN}\n```text\n{example}```\n\n{END}{after}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, due).expect("writable");
    } else {
        assert!(
            page == due,
            "run the tests with UPDATE=1 to renew docs/protocol.md"
        );
    }
}

/// What stands in the page is a whole exchange for both ends, too.
#[test]
fn both_ends_take_it() {
    use sealwire_core::exchange::{ClientExchange, ClientOptions, ServerContext, ServerExchange};
    use sealwire_core::keys::Keys;
    use sealwire_core::replay::MemoryReplayStore;
    use sealwire_tests::pair::{World, drain_client};
    use sealwire_tests::random::ScriptedRng;

    #[derive(Debug)]
    struct Epoch;
    impl Keys for Epoch {
        fn offers(&self, suite: Suite) -> bool {
            suite == Suite::P256
        }

        fn agree(
            &self,
            header: &OpenHeader,
            enc: &[u8],
            _: UnixTime,
            secrets: &mut [u8; KEY_BLOCK_LEN],
        ) -> Result<(), sealwire_core::RejectCode> {
            let (private, _) = hpke::kem::DhP256HkdfSha256::derive_keypair(&EPOCH_IKM);
            RustCrypto
                .decapsulate(header, &private.to_bytes(), enc, secrets)
                .map_err(|_| sealwire_core::RejectCode::Undecryptable)
        }
    }

    let (_, request, response, signed, identity) = make();
    let world = World::new(1);
    let options = ServerOptions::default();
    let mut rng = ScriptedRng::new(RESPONSE_NONCE.to_vec());
    let mut server = ServerExchange::new(&world.memory, options, &mut rng).expect("memory");
    let mut context = ServerContext {
        now: NOW,
        keys: &Epoch,
        replay: &mut MemoryReplayStore::new(1),
    };
    assert_eq!(server.handle_input(&request, &mut context), request.len());
    server.handle_eof(NOW);
    assert_eq!(server.poll_event(), Some(ServerEvent::Request));
    let received = server.take_request().expect("announced");
    assert_eq!(received.body().expose(), QUESTION);

    let set = KeySet::new(identity, vec![signed]).expect("one short record");
    let key = set.select(Suite::P256, NOW).expect("valid now");
    let mut seed = [0; SEED_LEN].to_vec();
    seed[..32].copy_from_slice(&EPHEMERAL_IKM);
    seed.extend(EXCHANGE_ID);
    let mut rng = ScriptedRng::new(seed);
    let (memory, options) = (&world.memory, ClientOptions::default());
    let made = ClientExchange::new(memory, &key, world.request(b""), NOW, options, &mut rng);
    let mut client = made.map_err(|(_, error)| error).expect("a good key");
    assert_eq!(drain_client(&mut client)[..84], request[..84]);
    let (mut rest, mut body, mut complete) = (&response[..], Vec::new(), false);
    while !rest.is_empty() {
        let count = client.handle_input(rest).expect("the client's own");
        rest = &rest[count..];
        match client.poll_event() {
            Some(ClientEvent::Data(data)) => body.extend_from_slice(data),
            Some(ClientEvent::Complete(_)) => complete = true,
            _ => {}
        }
    }
    assert!(complete && body == ANSWER);
}
