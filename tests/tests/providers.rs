//! The seams hold: AES-256-GCM and P-256 of aws-lc-rs in place of RustCrypto's, at either end, give the same bytes.
//!
//! The record cipher comes in by the traits of `aead`, the key agreement by `hpke::Kem`, randomness by `rand_core`.

#[path = "support/aws.rs"]
mod aws;

use aws::{Aws, AwsGcm, AwsP256, Scalar};
use hpke::Serializable;
use hpke::kem::Kem;
use sealwire_core::agreement::{self, KeyAgreement, RustCrypto, SEED_LEN};
use sealwire_core::exchange::{
    ClientEvent, ClientExchange, ClientOptions, ServerContext, ServerEvent, ServerExchange,
    ServerOptions,
};
use sealwire_core::head::ResponseHead;
use sealwire_core::keys::Keys;
use sealwire_core::padding::Padding;
use sealwire_core::record::OpenHeader;
use sealwire_core::{Error, KEY_BLOCK_LEN, Misuse, RecordAead, RejectCode, Suite, UnixTime};
use sealwire_tests::pair::World;

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
}
