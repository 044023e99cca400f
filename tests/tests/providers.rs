//! The seams hold: AES-256-GCM and P-256 of aws-lc-rs in place of RustCrypto's, at either end, give the same bytes.
//!
//! The record cipher comes in by the traits of `aead`, the key agreement by `hpke::Kem`, randomness by `rand_core`. Nothing here
//! is secret, so nothing is wiped: a product's provider wipes its keys.

use aead::array::Array;
use aead::consts::{U12, U16, U32, U65};
use aead::inout::InOutBuf;
use aead::{AeadCore, AeadInOut, Key, KeyInit, KeySizeUser, Nonce, Tag, TagPosition};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use hkdf::Hkdf;
use hpke::kem::{Kem, SharedSecret};
use hpke::rand_core::CryptoRng;
use hpke::{Deserializable, HpkeError, Serializable};
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
use sha2::Sha256;

/// AES-256-GCM of aws-lc-rs.
struct AwsGcm(LessSafeKey);

impl KeySizeUser for AwsGcm {
    type KeySize = U32;
}

impl KeyInit for AwsGcm {
    fn new(key: &Key<Self>) -> Self {
        Self(LessSafeKey::new(
            UnboundKey::new(&AES_256_GCM, key).expect("32 bytes"),
        ))
    }
}

impl AeadCore for AwsGcm {
    type NonceSize = U12;
    type TagSize = U16;
    const TAG_POSITION: TagPosition = TagPosition::Postfix;
}

fn nonce(nonce: &Nonce<AwsGcm>) -> aws_lc_rs::aead::Nonce {
    aws_lc_rs::aead::Nonce::assume_unique_for_key((*nonce).into())
}

impl AeadInOut for AwsGcm {
    fn encrypt_inout_detached(
        &self,
        number: &Nonce<Self>,
        aad: &[u8],
        mut buffer: InOutBuf<'_, '_, u8>,
    ) -> aead::Result<Tag<Self>> {
        let mut text = buffer.get_in().to_vec();
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce(number), Aad::from(aad), &mut text)
            .map_err(|_| aead::Error)?;
        buffer.get_out().copy_from_slice(&text);
        Tag::<Self>::try_from(tag.as_ref()).map_err(|_| aead::Error)
    }

    fn decrypt_inout_detached(
        &self,
        number: &Nonce<Self>,
        aad: &[u8],
        mut buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<Self>,
    ) -> aead::Result<()> {
        let mut text = buffer.get_in().to_vec();
        text.extend_from_slice(tag);
        let plain = self
            .0
            .open_in_place(nonce(number), Aad::from(aad), &mut text)
            .map_err(|_| aead::Error)?;
        buffer.get_out().copy_from_slice(plain);
        Ok(())
    }
}

/// DHKEM(P-256, HKDF-SHA256) of RFC 9180 section 4.1, with the curve of aws-lc-rs.
#[derive(Debug)]
struct AwsP256;

/// A point or an encapsulated key, as its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Point([u8; 65]);

/// A scalar, as its bytes.
#[derive(Clone)]
struct Scalar([u8; 32]);

impl Serializable for Point {
    type OutputSize = U65;
    fn write_exact(&self, buf: &mut [u8]) {
        buf.copy_from_slice(&self.0);
    }
}

impl Deserializable for Point {
    fn from_bytes(encoded: &[u8]) -> Result<Self, HpkeError> {
        // Whether it is on the curve, aws-lc-rs finds out when it is used.
        let bytes: [u8; 65] = encoded.try_into().map_err(|_| HpkeError::ValidationError)?;
        match bytes[0] {
            4 => Ok(Self(bytes)),
            _ => Err(HpkeError::ValidationError),
        }
    }
}

impl Serializable for Scalar {
    type OutputSize = U32;
    fn write_exact(&self, buf: &mut [u8]) {
        buf.copy_from_slice(&self.0);
    }
}

impl Deserializable for Scalar {
    fn from_bytes(encoded: &[u8]) -> Result<Self, HpkeError> {
        let bytes = encoded.try_into().map_err(|_| HpkeError::ValidationError)?;
        PrivateKey::from_private_key(&ECDH_P256, encoded)
            .map(|_| Self(bytes))
            .map_err(|_| HpkeError::ValidationError)
    }
}

impl subtle::ConstantTimeEq for Scalar {
    fn ct_eq(&self, other: &Self) -> subtle::Choice {
        self.0.ct_eq(&other.0)
    }
}

const SUITE_ID: &[u8] = &[b'K', b'E', b'M', 0x00, 0x10];

fn labeled_extract(label: &[u8], ikm: &[u8]) -> Hkdf<Sha256> {
    let parts = [&b"HPKE-v1"[..], SUITE_ID, label, ikm].concat();
    Hkdf::<Sha256>::new(Some(b""), &parts)
}

fn labeled_expand(prk: &Hkdf<Sha256>, label: &[u8], info: &[u8]) -> [u8; 32] {
    let parts = [&[0, 32], &b"HPKE-v1"[..], SUITE_ID, label, info].concat();
    let mut out = [0; 32];
    prk.expand(&parts, &mut out).expect("32 bytes");
    out
}

fn exchange(
    scalar: &Scalar,
    with: &Point,
    enc: &Point,
    recipient: &Point,
) -> Option<SharedSecret<AwsP256>> {
    let private = PrivateKey::from_private_key(&ECDH_P256, &scalar.0).ok()?;
    let peer = UnparsedPublicKey::new(&ECDH_P256, with.0);
    let prk = agree(&private, peer, (), |dh| Ok(labeled_extract(b"eae_prk", dh))).ok()?;
    let context = [enc.0, recipient.0].concat();
    let secret = labeled_expand(&prk, b"shared_secret", &context);
    Some(SharedSecret(Array(secret)))
}

impl Kem for AwsP256 {
    type PublicKey = Point;
    type PrivateKey = Scalar;
    type EncappedKey = Point;
    type NSecret = U32;
    const KEM_ID: u16 = 0x0010;

    fn sk_to_pk(sk: &Scalar) -> Point {
        let private = PrivateKey::from_private_key(&ECDH_P256, &sk.0).expect("a valid scalar");
        let public = private.compute_public_key().expect("a valid scalar");
        Point(public.as_ref().try_into().expect("uncompressed"))
    }

    fn derive_keypair(ikm: &[u8]) -> (Scalar, Point) {
        let prk = labeled_extract(b"dkp_prk", ikm);
        let scalar = (0..=255)
            .map(|counter| labeled_expand(&prk, b"candidate", &[counter]))
            .find_map(|candidate| Scalar::from_bytes(&candidate).ok())
            .expect("one of 256");
        let public = Self::sk_to_pk(&scalar);
        (scalar, public)
    }

    fn decap(
        sk_recip: &Scalar,
        _: Option<&Point>,
        enc: &Point,
    ) -> Result<SharedSecret<Self>, HpkeError> {
        exchange(sk_recip, enc, enc, &Self::sk_to_pk(sk_recip)).ok_or(HpkeError::DecapError)
    }

    fn encap_with_rng(
        pk_recip: &Point,
        _: Option<(&Scalar, &Point)>,
        csprng: &mut impl CryptoRng,
    ) -> Result<(SharedSecret<Self>, Point), HpkeError> {
        let (ephemeral, enc) = Self::gen_keypair_with_rng(csprng);
        let secret = exchange(&ephemeral, pk_recip, &enc, pk_recip).ok_or(HpkeError::EncapError)?;
        Ok((secret, enc))
    }
}

/// P-256 by aws-lc-rs, the hybrid by whoever is there by default.
#[derive(Debug)]
struct Aws;

impl KeyAgreement for Aws {
    fn encapsulate(
        &self,
        header: &OpenHeader,
        public_key: &[u8],
        seed: &mut [u8; SEED_LEN],
        enc: &mut [u8],
        secrets: &mut [u8; KEY_BLOCK_LEN],
    ) -> Result<(), Error> {
        match header.suite() {
            Suite::P256 => {
                agreement::encapsulate::<AwsP256>(header, public_key, seed, enc, secrets)
            }
            _ => RustCrypto.encapsulate(header, public_key, seed, enc, secrets),
        }
    }

    fn decapsulate(
        &self,
        header: &OpenHeader,
        private_key: &[u8],
        enc: &[u8],
        secrets: &mut [u8; KEY_BLOCK_LEN],
    ) -> Result<(), Error> {
        match header.suite() {
            Suite::P256 => agreement::decapsulate::<AwsP256>(header, private_key, enc, secrets),
            _ => RustCrypto.decapsulate(header, private_key, enc, secrets),
        }
    }
}

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
