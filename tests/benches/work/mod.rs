//! The pieces of work that the benches measure, each made ready: what is returned does it once, as often as it is called.
#![allow(dead_code, unreachable_pub, reason = "each bench uses a part of it")]

#[path = "../../tests/support/aws.rs"]
pub mod aws;

use hpke::{Kem, Serializable};
use ohttp::hpke::{Aead, Kdf, Kem as ObliviousKem};
use ohttp::{ClientRequest, KeyConfig, Server, SymmetricSuite};
use sealwire_core::agreement::{KeyAgreement, SEED_LEN};
use sealwire_core::exchange::{ClientExchange, ClientOptions, ServerExchange};
use sealwire_core::frame::{FrameType, SEALED_OVERHEAD};
use sealwire_core::head::ResponseHead;
use sealwire_core::keys::GatewayKey;
use sealwire_core::padding::Padding;
use sealwire_core::record::{OpenHeader, RequestOpener, RequestSealer};
use sealwire_core::replay::MemoryReplayStore;
use sealwire_core::{KEY_BLOCK_LEN, RecordAead, Suite};
use sealwire_tests::pair::{Seen, World, drain_client, drain_server, feed_client};

/// What each end says in [`exchange`] and [`oblivious`].
const BODY: [u8; 1024] = [b'x'; 1024];

/// A word of a streamed answer, as its server writes it.
const CHUNK: &[u8] =
    b"data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"}}]}\n\n";

/// A sealer of frames of one size, and what it takes to open them.
pub struct Frames<A: RecordAead> {
    sealer: RequestSealer<&'static mut [u8; KEY_BLOCK_LEN], A>,
    header: OpenHeader,
    enc: [u8; 65],
    private: Vec<u8>,
    buffer: Vec<u8>,
    first: Vec<u8>,
}

/// A frame that waits to be opened. It opens once, under its own number: each is the first of an opener.
pub struct Opening<A: RecordAead> {
    opener: RequestOpener<&'static mut [u8; KEY_BLOCK_LEN], A>,
    frame: Vec<u8>,
}

fn key_block() -> &'static mut [u8; KEY_BLOCK_LEN] {
    Box::leak(Box::new([0; KEY_BLOCK_LEN]))
}

impl<A: RecordAead> Frames<A> {
    /// Frames of `size` bytes.
    pub fn new(size: usize) -> Self {
        let (header, (private, public)) = (OpenHeader::new(Suite::P256, [7; 8]), keys(Suite::P256));
        let (mut seed, mut enc) = ([5; SEED_LEN], [0; 65]);
        let sealer = RequestSealer::with_aead(&header, &public, &mut seed, &mut enc, key_block());
        let mut sealer = sealer.expect("a good key");
        let mut first = vec![0; size];
        let content = size - SEALED_OVERHEAD;
        sealer.seal_head(&mut first, content, size).expect("fits");
        Self {
            sealer,
            header,
            enc,
            private,
            buffer: vec![0; size],
            first,
        }
    }

    /// Seals one where it stands.
    pub fn seal(&mut self) {
        let size = self.buffer.len();
        let sealed = self
            .sealer
            .seal_data(&mut self.buffer, size - SEALED_OVERHEAD, size);
        sealed.expect("fits");
    }

    /// One to be opened.
    pub fn opening(&self) -> Opening<A> {
        let opener = RequestOpener::with_aead(&self.header, &self.enc, &self.private, key_block());
        Opening {
            opener: opener.expect("its own"),
            frame: self.first.clone(),
        }
    }
}

impl<A: RecordAead> Opening<A> {
    /// Opens it where it stands.
    pub fn open(&mut self) {
        let kind = self.opener.open(&mut self.frame).map(|opened| opened.kind);
        assert_eq!(kind, Ok(FrameType::Head));
    }
}

/// The client's SetupBase with the three exports.
pub fn encapsulation(provider: &'static dyn KeyAgreement, suite: Suite) -> impl FnMut() {
    let (header, (_, public)) = (OpenHeader::new(suite, [7; 8]), keys(suite));
    let (mut enc, mut secrets) = (vec![0; suite.enc_len()], [0; KEY_BLOCK_LEN]);
    move || {
        provider
            .encapsulate(&header, &public, &mut [5; SEED_LEN], &mut enc, &mut secrets)
            .expect("a good key");
    }
}

/// The gateway's.
pub fn decapsulation(provider: &'static dyn KeyAgreement, suite: Suite) -> impl FnMut() {
    let (header, (private, public)) = (OpenHeader::new(suite, [7; 8]), keys(suite));
    let (mut enc, mut secrets) = (vec![0; suite.enc_len()], [0; KEY_BLOCK_LEN]);
    let (seed, made) = (&mut [5; SEED_LEN], &mut [0; KEY_BLOCK_LEN]);
    provider
        .encapsulate(&header, &public, seed, &mut enc, made)
        .expect("a good key");
    move || {
        provider
            .decapsulate(&header, &private, &enc, &mut secrets)
            .expect("its own");
    }
}

fn keys(suite: Suite) -> (Vec<u8>, Vec<u8>) {
    match suite {
        Suite::P256 => {
            let (private, public) = hpke::kem::DhP256HkdfSha256::derive_keypair(&[1; 32]);
            (private.to_bytes().to_vec(), public.to_bytes().to_vec())
        }
        _ => {
            let (private, public) = hpke::kem::MlKem768P256::derive_keypair(&[1; 32]);
            (private.to_bytes().to_vec(), public.to_bytes().to_vec())
        }
    }
}

/// A kilobyte each way to a key that is known: what client and gateway do for it together beside the network, secure memory included.
pub fn exchange(suite: Suite) -> impl FnMut() {
    let mut world = World::new(4);
    let key = world.gateway_key(suite);
    move || {
        world.replay = MemoryReplayStore::new(1);
        let (mut client, mut server) = request(&mut world, &key);
        let id = *client.exchange_id();
        let wire = world.answer(&mut server, id, &[&BODY], Padding::Padme);
        let mut seen = Seen::default();
        feed_client(&mut client, &wire, &mut seen).expect("accepted");
        assert!(seen.complete);
    }
}

/// One word more of an answer that is under way, from the gateway's call to the client's event.
pub fn chunk() -> impl FnMut() {
    let mut world = World::new(4);
    let key = world.gateway_key(Suite::P256);
    let (mut client, mut server) = request(&mut world, &key);
    let head = ResponseHead::new(200, *client.exchange_id());
    server.respond(&head, Padding::None).expect("it waits");
    let mut seen = Seen::default();
    move || {
        seen.body.clear();
        assert_eq!(server.send_data(CHUNK), Ok(CHUNK.len()));
        feed_client(&mut client, &drain_server(&mut server), &mut seen).expect("accepted");
        assert_eq!(seen.body, CHUNK);
    }
}

/// A request made, sealed, carried over and opened.
fn request(world: &mut World, key: &GatewayKey) -> (ClientExchange, ServerExchange) {
    let (request, options) = (world.request(&BODY), ClientOptions::default());
    let (memory, now, rng) = (&world.memory, world.now, &mut world.rng);
    let client = ClientExchange::new(memory, key, request, now, options, rng);
    let mut client = client.map_err(|(_, error)| error).expect("sealed");
    let (server, received) = world.deliver(&drain_client(&mut client));
    assert_eq!(received.into_body().expose(), BODY);
    (client, server)
}

/// A kilobyte each way by Oblivious HTTP (RFC 9458), as its crate does it: AES-128-GCM, one call for a whole body, memory like
/// any other.
pub fn oblivious(kem: ObliviousKem) -> impl FnMut() {
    let suite = SymmetricSuite::new(Kdf::HkdfSha256, Aead::Aes128Gcm);
    let config = KeyConfig::new(1, kem, vec![suite]).expect("supported");
    let mut public = KeyConfig::decode(&config.encode().expect("small")).expect("its own");
    let server = Server::new(config).expect("with its private key");
    move || {
        let client = ClientRequest::from_config(&mut public).expect("supported");
        let (wire, client) = client.encapsulate(&BODY).expect("a good key");
        let (body, server) = server.decapsulate(&wire).expect("its own");
        let wire = server.encapsulate(&body).expect("a good key");
        assert_eq!(client.decapsulate(&wire).expect("its own"), BODY);
    }
}
