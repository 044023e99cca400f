//! The seams hold: AES-256-GCM and P-256 of aws-lc-rs in place of RustCrypto's, at either end, give the same bytes.
//!
//! The record cipher comes in by the traits of `aead`, the key agreement by `hpke::Kem`, randomness by `rand_core`.

#[path = "support/aws.rs"]
mod aws;

use std::time::Duration;

use aead::inout::InOutBuf;
use aead::{AeadCore, AeadInOut, Key, KeyInit, KeySizeUser, Nonce, Tag, TagPosition};
use aws::{Aws, AwsGcm, AwsP256, Scalar};
use hpke::Serializable;
use hpke::kem::Kem;
use sealwire_core::agreement::{self, KeyAgreement, RustCrypto, SEED_LEN};
use sealwire_core::exchange::{
    ClientEvent, ClientExchange, ClientOptions, ServerContext, ServerEvent, ServerExchange,
    ServerOptions,
};
use sealwire_core::frame::{CONTENT_OFFSET, FrameType};
use sealwire_core::head::ResponseHead;
use sealwire_core::keys::{Identity, KeyRecord, KeySet, Keys, RecordLimits, key_id};
use sealwire_core::padding::Padding;
use sealwire_core::record::{OpenHeader, RequestOpener, RequestSealer};
use sealwire_core::session::{ClientSession, GatewayState, SessionConfig, Step, Trust};
use sealwire_core::{
    Error, ErrorCode, KEY_BLOCK_LEN, Malformed, Misuse, Now, PeerError, RecordAead, RejectCode,
    Suite, UnixTime,
};
use sealwire_tests::pair::{Seen, World, drain_client, drain_server, feed_client};

/// Both wires of one exchange, from a fixed seed.
fn wires<C: RecordAead, G: RecordAead>(
    suite: Suite,
    client: &'static dyn KeyAgreement,
    gateway: &'static dyn KeyAgreement,
) -> (Vec<u8>, Vec<u8>) {
    let mut world = World::new(41);
    world.keys = world.keys.with_agreement(gateway);
    let key = world.keys.key_set().select(suite, world.now).expect("held");
    let request = world.request(b"question");
    let (memory, now, options) = (&world.memory, world.now, ClientOptions::default());
    let made = ClientExchange::<C>::with_agreement(
        memory,
        client,
        &key,
        request,
        now,
        options,
        &mut world.rng,
    );
    let mut client = made.map_err(|(_, error)| error).expect("a good key");
    let mut request = vec![0; 40_000];
    let count = client.poll_transmit(&mut request).expect("memory");
    request.truncate(count);

    let options = ServerOptions::default();
    let made = ServerExchange::<G>::with_aead(&world.memory, options, &mut world.rng);
    let mut server = made.expect("memory");
    let mut context = ServerContext {
        now,
        keys: &world.keys,
        replay: &mut world.replay,
    };
    assert_eq!(server.handle_input(&request, &mut context), request.len());
    server.handle_eof(now);
    assert_eq!(server.poll_event(), Some(ServerEvent::Request));
    let received = server.take_request().expect("announced");
    let head = ResponseHead::new(200, received.head().exchange_id);
    server.respond(&head, Padding::Padme).expect("waits");
    server.send_data(b"answer").expect("under way");
    server.finish().expect("under way");
    let mut response = vec![0; 40_000];
    let count = server.poll_transmit(&mut response);
    response.truncate(count);

    let (mut rest, mut body, mut complete) = (&response[..], Vec::new(), false);
    while !rest.is_empty() {
        let count = client.handle_input(rest).expect("sealed by the same keys");
        rest = &rest[count..];
        match client.poll_event() {
            Some(ClientEvent::Data(data)) => body.extend_from_slice(data),
            Some(ClientEvent::Complete(_)) => complete = true,
            _ => {}
        }
    }
    assert!(complete && body == b"answer");
    (request, response)
}

#[test]
fn either_end_may_be_anothers() {
    for &suite in Suite::ALL {
        let ours = wires::<aes_gcm::Aes256Gcm, aes_gcm::Aes256Gcm>(suite, &RustCrypto, &RustCrypto);
        assert_eq!(wires::<AwsGcm, AwsGcm>(suite, &Aws, &Aws), ours);
        assert_eq!(
            wires::<AwsGcm, aes_gcm::Aes256Gcm>(suite, &Aws, &RustCrypto),
            ours
        );
        assert_eq!(
            wires::<aes_gcm::Aes256Gcm, AwsGcm>(suite, &RustCrypto, &Aws),
            ours
        );
    }
}

/// AES-256-GCM that fails behind its work: of DATA that it seals, with the tag still to be made, the buffer is ciphertext; of what does not
/// verify it is plaintext, as where an engine decrypts before it compares.
struct Failing(aes_gcm::Aes256Gcm);

impl KeySizeUser for Failing {
    type KeySize = <aes_gcm::Aes256Gcm as KeySizeUser>::KeySize;
}

impl KeyInit for Failing {
    fn new(key: &Key<Self>) -> Self {
        Self(aes_gcm::Aes256Gcm::new(key))
    }
}

impl AeadCore for Failing {
    type NonceSize = <aes_gcm::Aes256Gcm as AeadCore>::NonceSize;
    type TagSize = <aes_gcm::Aes256Gcm as AeadCore>::TagSize;
    const TAG_POSITION: TagPosition = TagPosition::Postfix;
}

impl AeadInOut for Failing {
    fn encrypt_inout_detached(
        &self,
        nonce: &Nonce<Self>,
        aad: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> aead::Result<Tag<Self>> {
        let is_data = aad[0] == FrameType::Data as u8;
        let tag = self.0.encrypt_inout_detached(nonce, aad, buffer)?;
        if is_data { Err(aead::Error) } else { Ok(tag) }
    }

    fn decrypt_inout_detached(
        &self,
        nonce: &Nonce<Self>,
        aad: &[u8],
        mut buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<Self>,
    ) -> aead::Result<()> {
        let mut opened = buffer.get_in().to_vec();
        let bytes = opened.as_mut_slice().into();
        if self
            .0
            .decrypt_inout_detached(nonce, aad, bytes, tag)
            .is_ok()
        {
            buffer.get_out().copy_from_slice(&opened);
            return Ok(());
        }
        // Counter mode is its own inverse.
        let _ = self.0.encrypt_inout_detached(nonce, aad, buffer)?;
        Err(aead::Error)
    }
}

/// KEY-1, SEAL-2: a cipher that fails ends its direction. Sealing once more would use a nonce twice, and give back what it hid.
#[test]
fn a_cipher_that_fails_is_not_asked_again() {
    let header = OpenHeader::new(Suite::P256, [7; 8]);
    let (_, public) = AwsP256::derive_keypair(&[1; 32]);
    let (mut seed, mut enc, mut block) = ([2; SEED_LEN], [0; 65], [0; KEY_BLOCK_LEN]);
    let made = RequestSealer::<_, Failing>::with_agreement(
        &RustCrypto,
        &header,
        &public.to_bytes(),
        &mut seed,
        &mut enc,
        &mut block,
    );
    let mut sealer = made.expect("a good key");
    let mut frame = [0; 64];
    sealer.seal_head(&mut frame, 5, 64).expect("no DATA");
    frame[CONTENT_OFFSET..CONTENT_OFFSET + 5].copy_from_slice(b"hush!");
    let failed = Misuse::State("the record cipher has failed");
    assert_eq!(sealer.seal_data(&mut frame, 5, 64), Err(failed.clone()));
    assert_eq!(frame[4..48], [0; 44], "wiped");
    assert_eq!(sealer.seal_data(&mut frame, 5, 64), Err(failed.clone()));
    let end = sealer.seal_end(&mut frame, 64);
    assert_eq!(end.err().map(|(_, error)| error), Some(failed.clone()));

    // A gateway's answer is cut, and what it held is not sent.
    let mut world = World::new(42);
    let request = world.request(b"question");
    let mut client = world.client(Suite::P256, request, ClientOptions::default());
    let wire = drain_client(&mut client);
    let options = ServerOptions::default();
    let made = ServerExchange::<Failing>::with_aead(&world.memory, options, &mut world.rng);
    let mut server = made.expect("memory");
    let mut context = ServerContext {
        now: world.now,
        keys: &world.keys,
        replay: &mut world.replay,
    };
    server.handle_input(&wire, &mut context);
    server.handle_eof(world.now);
    assert_eq!(server.poll_event(), Some(ServerEvent::Request));
    let received = server.take_request().expect("announced");
    let head = ResponseHead::new(200, received.head().exchange_id);
    server.respond(&head, Padding::None).expect("waits");
    let mut wire = drain_server(&mut server);
    let error = server.send_data(b"a secret answer");
    assert_eq!(error, Err(Error::Misuse(failed)));
    // What a host does next: whether it works or not, no frame follows.
    let _ = server.fail(ErrorCode::Internal, world.now);
    wire.extend(drain_server(&mut server));
    assert!(!wire.windows(6).any(|bytes| bytes == b"secret"));
    let mut seen = Seen::default();
    feed_client(&mut client, &wire, &mut seen).expect("a true prefix");
    assert_eq!(client.handle_eof(), Err(PeerError::Truncated));
}

/// SEAL-5: nothing of a frame that did not verify is left, whatever the cipher did to it.
#[test]
fn what_does_not_verify_is_wiped() {
    let header = OpenHeader::new(Suite::P256, [7; 8]);
    let (private, public) = AwsP256::derive_keypair(&[1; 32]);
    let (mut seed, mut enc, mut block) = ([2; SEED_LEN], [0; 65], [0; KEY_BLOCK_LEN]);
    let public = public.to_bytes();
    let made = RequestSealer::new(&header, &public, &mut seed, &mut enc, &mut block);
    let mut frame = [0; 64];
    frame[CONTENT_OFFSET..CONTENT_OFFSET + 6].copy_from_slice(b"secret");
    let sealed = made.expect("a good key").seal_head(&mut frame, 6, 64);
    sealed.expect("it fits");
    frame[63] ^= 1;
    let mut block = [0; KEY_BLOCK_LEN];
    let made = RequestOpener::<_, Failing>::with_aead(&header, &enc, &private.0, &mut block);
    let error = made.expect("its key").open(&mut frame).err();
    assert_eq!(error, Some(PeerError::Undecryptable));
    assert_eq!(frame[4..48], [0; 44], "wiped");
}

/// Whoever forgets to fill in the secrets has agreed on zeros, which everybody knows.
#[test]
fn secrets_that_a_provider_does_not_give() {
    #[derive(Debug)]
    struct Nothing;

    impl KeyAgreement for Nothing {
        fn encapsulate(
            &self,
            _: &OpenHeader,
            _: &[u8],
            _: &mut [u8; SEED_LEN],
            _: &mut [u8],
            _: &mut [u8; KEY_BLOCK_LEN],
        ) -> Result<(), Error> {
            Ok(())
        }

        fn decapsulate(
            &self,
            _: &OpenHeader,
            _: &[u8],
            _: &[u8],
            _: &mut [u8; KEY_BLOCK_LEN],
        ) -> Result<(), Error> {
            Ok(())
        }
    }

    let refused = Error::Misuse(Misuse::State("the key agreement gave no secrets"));
    let header = OpenHeader::new(Suite::P256, [7; 8]);
    let (mut seed, mut enc, mut block) = ([2; SEED_LEN], [0; 65], [0; KEY_BLOCK_LEN]);
    let made = RequestSealer::<_, aes_gcm::Aes256Gcm>::with_agreement(
        &Nothing, &header, &[4; 65], &mut seed, &mut enc, &mut block,
    );
    assert_eq!(made.err(), Some(refused.clone()));
    assert_eq!(seed, [0; SEED_LEN], "wiped, though the provider did not");

    let mut world = World::new(43);
    let (key, request) = (world.gateway_key(Suite::P256), world.request(b"question"));
    let (now, options) = (world.now, ClientOptions::default());
    let made = ClientExchange::<aes_gcm::Aes256Gcm>::with_agreement(
        &world.memory,
        &Nothing,
        &key,
        request,
        now,
        options,
        &mut world.rng,
    );
    assert_eq!(made.err().map(|(_, error)| error), Some(refused));

    // A gateway opens nothing with them: anyone could have sealed it.
    let request = world.request(b"question");
    let mut client = world.client(Suite::P256, request, ClientOptions::default());
    let wire = drain_client(&mut client);
    world.keys = world.keys.with_agreement(&Nothing);
    let mut server = world.server(ServerOptions::default());
    let refused = Malformed::Open(RejectCode::Undecryptable);
    let events = world.feed_server(&mut server, &wire);
    assert_eq!(events, [ServerEvent::Refused(refused.into())]);
    server.handle_eof(now);
    let mut seen = Seen::default();
    feed_client(&mut client, &drain_server(&mut server), &mut seen).expect("a refusal");
    assert_eq!(seen.rejected, Some(RejectCode::Undecryptable));
}

/// Bad keys are refused by the foreign provider as by ours, and a KEM of another suite is not used by mistake.
#[test]
fn what_a_provider_refuses() {
    let header = OpenHeader::new(Suite::P256, [7; 8]);
    let (private, public) = AwsP256::derive_keypair(&[1; 32]);
    let (ours, point) = hpke::kem::DhP256HkdfSha256::derive_keypair(&[1; 32]);
    assert_eq!(
        (private.to_bytes(), public.to_bytes()),
        (ours.to_bytes(), point.to_bytes())
    );
    let mut off_curve = public.0;
    off_curve[64] ^= 1;
    let mut secrets = [0; KEY_BLOCK_LEN];
    for agreement in [&Aws as &dyn KeyAgreement, &RustCrypto] {
        let (mut seed, mut enc) = ([2; SEED_LEN], [0; 65]);
        let result = agreement.encapsulate(&header, &off_curve, &mut seed, &mut enc, &mut secrets);
        assert!(
            matches!(result, Err(Error::Peer(_))),
            "{agreement:?}: {result:?}"
        );
        assert_eq!(seed, [0; SEED_LEN], "wiped, whatever came of it");
        let result = agreement.decapsulate(&header, &private.0, &off_curve, &mut secrets);
        assert!(
            matches!(result, Err(Error::Peer(_))),
            "{agreement:?}: {result:?}"
        );
        let result = agreement.decapsulate(&header, &[0; 32], &public.0, &mut secrets);
        assert!(
            matches!(result, Err(Error::Misuse(_))),
            "{agreement:?}: {result:?}"
        );
    }
    let hybrid = OpenHeader::new(Suite::MlKem768P256, [7; 8]);
    let result = agreement::decapsulate::<AwsP256>(&hybrid, &private.0, &[4; 1153], &mut secrets);
    assert_eq!(
        result,
        Err(Misuse::State("the KEM is not that of the suite").into())
    );
}

/// A key that never leaves its hardware: the device gives secrets, not scalars.
#[test]
fn keys_in_hardware() {
    /// What a token would do inside.
    struct Token {
        scalar: Scalar,
        key_id: [u8; 8],
    }
    impl Keys for Token {
        fn offers(&self, suite: Suite) -> bool {
            suite == Suite::P256
        }

        fn agree(
            &self,
            header: &OpenHeader,
            enc: &[u8],
            _: UnixTime,
            secrets: &mut [u8; KEY_BLOCK_LEN],
        ) -> Result<(), RejectCode> {
            if header.key_id() != self.key_id {
                return Err(RejectCode::Key);
            }
            agreement::decapsulate::<AwsP256>(header, &self.scalar.0, enc, secrets)
                .map_err(|_| RejectCode::Undecryptable)
        }
    }
    let (scalar, public) = AwsP256::derive_keypair(&[1; 32]);
    let token = Token {
        scalar,
        key_id: [7; 8],
    };
    let header = OpenHeader::new(Suite::P256, [7; 8]);
    let (mut seed, mut enc) = ([2; SEED_LEN], [0; 65]);
    let (mut here, mut there) = ([0; KEY_BLOCK_LEN], [0; KEY_BLOCK_LEN]);
    RustCrypto
        .encapsulate(&header, &public.0, &mut seed, &mut enc, &mut here)
        .expect("a good key");
    let now = UnixTime::from_millis(1);
    assert_eq!(token.agree(&header, &enc, now, &mut there), Ok(()));
    assert_eq!(here, there);
    let other = OpenHeader::new(Suite::P256, [8; 8]);
    assert_eq!(
        token.agree(&other, &enc, now, &mut there),
        Err(RejectCode::Key)
    );

    // Its record is signed by the gateway's identity, and clients seal to it as to any other.
    let mut world = World::new(44);
    let identity = Identity::generate(&world.memory, &mut world.rng).expect("seeded");
    let limits = RecordLimits::default();
    let [from, to] =
        [0, 1].map(|hours| world.now.saturating_add(Duration::from_secs(hours * 3600)));
    let record = KeyRecord::new(Suite::P256, &public.0, from, to, limits);
    let signed = identity.sign_record(&record).expect("a good record");
    assert_eq!(KeyRecord::parse(&signed.record), Ok(record));
    let token = Token {
        key_id: key_id(&signed.record),
        ..token
    };
    let set = KeySet::new(*identity.public(), vec![signed]).expect("one record");
    let config = SessionConfig::new(Trust::Pin(identity.pin()));
    let now = Now {
        monotonic: Duration::ZERO,
        unix: world.now,
    };
    let request = world.request(b"question");
    let known = GatewayState::default();
    let mut session = ClientSession::new(&world.memory, config, known, request, now);
    assert_eq!(session.step(now, &mut world.rng), Ok(Step::FetchKeys));
    session.handle_key_set(now, set);
    assert_eq!(session.step(now, &mut world.rng), Ok(Step::Send));
    let mut wire = vec![0; 40_000];
    let count = session.poll_transmit(&mut wire).expect("memory");
    let mut server = world.server(ServerOptions::default());
    let mut context = ServerContext {
        now: now.unix,
        keys: &token,
        replay: &mut world.replay,
    };
    assert_eq!(server.handle_input(&wire[..count], &mut context), count);
    server.handle_eof(now.unix);
    assert_eq!(server.poll_event(), Some(ServerEvent::Request));
    let request = server.take_request().expect("whole");
    assert_eq!(request.body().expose(), b"question");

    // What no client would take is not signed.
    let new = |key, from, to, limits| KeyRecord::new(Suite::P256, key, from, to, limits);
    let small = RecordLimits {
        max_frame: 1023,
        ..limits
    };
    let mut no_suite = record;
    no_suite.suite = None;
    let unusable = [
        new(&public.0[1..], from, to, limits),
        new(&public.0, to, from, limits),
        new(&public.0, from, to, small),
        no_suite,
    ];
    for record in unusable {
        let signed = identity.sign_record(&record);
        assert!(matches!(signed, Err(Error::Misuse(_))), "{record:?}");
    }
}
