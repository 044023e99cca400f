//! Key agreement and key schedule of one exchange (spec section 4.2, RFC 9180 sections 4.1 and 5.1), with everything that comes
//! between the keys and the exports.

use hpke::kem::{DhP256HkdfSha256, MlKem768P256};
use hpke::{Kem, Serializable};
use ml_kem::array::Array;
use ml_kem::{Decapsulate, DecapsulationKey, Encapsulate, EncapsulationKey, KeyExport, MlKem768};
use p256::elliptic_curve::Generate;
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{AffinePoint, NonZeroScalar, PublicKey, SecretKey};
use sealwire_core::Suite;
use sealwire_core::record::OpenHeader;
use sealwire_scanner::{Wanted, own_bytes};
use sha3::{Digest, Sha3_256, Sha3_512};
use shake::{ExtendableOutput, Shake256, Update, XofReader};

use super::hash::{Key, expand, extract};
use super::{AGREEMENT, EPHEMERAL, EpochSecret, HALVES, PRIVATE_KEY, want_object, want_private};
use crate::random::ScriptedRng;

/// Of the hybrid's keys and ciphertexts, what is not P-256.
const POINT: usize = 65;

/// The exports of spec section 4.2: request key, request base nonce, response secret.
pub(super) struct Exports {
    pub(super) request_key: [u8; 32],
    pub(super) request_nonce: [u8; 12],
    pub(super) response_secret: [u8; 32],
}

/// From the KEM's shared secret to the exports.
pub(super) fn schedule(wanted: &mut Wanted, header: &OpenHeader, shared: &[u8]) -> Exports {
    let kem = header.suite().kem_id().to_be_bytes();
    let suite = [b"HPKE", &kem[..], &Suite::KDF_ID.to_be_bytes(), &[0xff; 2]].concat();
    let labels = Labels(&suite);
    let info = [b"sealwire/1 request", &header.to_bytes()[..]].concat();
    // What everybody knows is not looked for.
    let public = &mut Wanted::default();
    let context = [
        &[0][..],
        &labels.extract(public, Key::Public(b""), b"psk_id_hash", b""),
        &labels.extract(public, Key::Public(b""), b"info_hash", &info),
    ]
    .concat();
    let secret = labels.extract(wanted, Key::Secret(shared), b"secret", b"");
    let exporter = labels.expand(wanted, &secret, b"exp", &context, 32);
    for secret in [shared, &secret, &exporter] {
        wanted.pieces(AGREEMENT, secret);
    }
    let mut export = |label, len| labels.expand(wanted, &exporter, b"sec", label, len);
    Exports {
        request_key: export(b"sealwire/1 request key", 32),
        request_nonce: export(b"sealwire/1 request nonce", 12)[..12]
            .try_into()
            .expect("12 bytes"),
        response_secret: export(b"sealwire/1 response", 32),
    }
}

/// The KEM's shared secret, by the gateway's key.
pub(super) fn shared_secret(wanted: &mut Wanted, key: &EpochSecret, enc: &[u8]) -> Vec<u8> {
    match key.header.suite() {
        Suite::P256 => {
            let scalar = SecretKey::from_slice(&key.private).expect("a scalar");
            let secret = diffie_hellman(wanted, AGREEMENT, &scalar, enc);
            let public = scalar.public_key().to_sec1_point(false);
            let labels = Labels(b"KEM\x00\x10");
            let prk = labels.extract(wanted, Key::Public(b""), b"eae_prk", &secret);
            wanted.pieces(AGREEMENT, &prk);
            let context = [enc, public.as_bytes()].concat();
            let shared = labels.expand(wanted, &prk, b"shared_secret", &context, 32);
            shared.to_vec()
        }
        _ => {
            let (post_quantum, scalar) = halves_of(&key.private);
            let (ciphertext, point) = enc.split_at(enc.len() - POINT);
            let ciphertext = ciphertext.try_into().expect("it was decapsulated");
            let first = post_quantum.decapsulate(&ciphertext);
            wanted.pieces(HALVES, &first);
            let second = diffie_hellman(wanted, HALVES, &scalar, point);
            let public = scalar.public_key().to_sec1_point(false);
            let whole = [
                &first,
                &second[..],
                point,
                public.as_bytes(),
                b"MLKEM768-P256",
            ];
            Sha3_256::digest(whole.concat()).to_vec()
        }
    }
}

/// A client's ephemeral key, and all that comes between what it `drew` and the key. Whether it is that of this `enc`.
pub(super) fn ephemeral(wanted: &mut Wanted, key: &EpochSecret, drew: &[u8], enc: &[u8]) -> bool {
    let own = &mut Wanted::default();
    let made = match key.header.suite() {
        Suite::P256 => {
            let scalar = derive_scalar(own, drew[..32].try_into().expect("32 bytes"));
            own.pieces(EPHEMERAL, &scalar);
            want_private::<DhP256HkdfSha256>(own, EPHEMERAL, &scalar);
            let private = SecretKey::from_slice(&scalar).expect("a scalar");
            private
                .public_key()
                .to_sec1_point(false)
                .as_bytes()
                .to_vec()
        }
        _ => {
            let (post_quantum, _) = halves_of(&key.private);
            let public: &EncapsulationKey<MlKem768> = post_quantum.encapsulation_key();
            let mut rng = ScriptedRng::new(drew.to_vec());
            let (ciphertext, _) = public.encapsulate_with_rng(&mut rng);
            // The randomness of the encryption inside (FIPS 203, algorithm 17).
            let message = [&drew[..32], &Sha3_256::digest(public.to_bytes())].concat();
            own.pieces(EPHEMERAL, &Sha3_512::digest(message)[32..]);
            let scalar = NonZeroScalar::generate_from_rng(&mut rng);
            let private = SecretKey::from(scalar);
            want_number(own, EPHEMERAL, &private.to_bytes());
            let point = private.public_key().to_sec1_point(false);
            [&ciphertext[..], point.as_bytes()].concat()
        }
    };
    let is_this = made == enc;
    if is_this {
        wanted.extend(own);
    }
    is_this
}

/// An epoch key, as the libraries hold it, and what it was made of.
pub(super) fn epoch(wanted: &mut Wanted, key: &EpochSecret) {
    wanted.pieces(EPHEMERAL, &key.ikm);
    wanted.pieces(PRIVATE_KEY, &key.private);
    if key.header.suite() == Suite::P256 {
        assert_eq!(derive_scalar(wanted, &key.ikm), key.private);
        want_private::<DhP256HkdfSha256>(wanted, PRIVATE_KEY, &key.private);
    } else {
        wanted.pieces(PRIVATE_KEY, &expanded(&key.private));
        want_private::<MlKem768P256>(wanted, PRIVATE_KEY, &key.private);
    }
}

/// Private and public half of an epoch key.
pub(super) fn derive(suite: Suite, ikm: &[u8; 32]) -> ([u8; 32], Vec<u8>) {
    fn pair<K: Kem>(ikm: &[u8; 32]) -> ([u8; 32], Vec<u8>) {
        let (private, public) = K::derive_keypair(ikm);
        let private = private.to_bytes()[..].try_into().expect("32 bytes");
        (private, public.to_bytes().to_vec())
    }
    match suite {
        Suite::P256 => pair::<DhP256HkdfSha256>(ikm),
        _ => pair::<MlKem768P256>(ikm),
    }
}

/// `DeriveKeyPair` of DHKEM(P-256), RFC 9180 section 7.1.3. The first candidate is a scalar but with negligible probability.
fn derive_scalar(wanted: &mut Wanted, ikm: &[u8; 32]) -> [u8; 32] {
    let labels = Labels(b"KEM\x00\x10");
    let prk = labels.extract(wanted, Key::Public(b""), b"dkp_prk", ikm);
    wanted.pieces(EPHEMERAL, &prk);
    labels.expand(wanted, &prk, b"candidate", &[0], 32)
}

/// The x coordinate of the product, and the point itself as the library holds it.
fn diffie_hellman(
    wanted: &mut Wanted,
    kind: &'static str,
    scalar: &SecretKey,
    peer: &[u8],
) -> [u8; 32] {
    let peer = PublicKey::from_sec1_bytes(peer).expect("it was decapsulated");
    let scalar = scalar.to_nonzero_scalar();
    let secret = p256::ecdh::diffie_hellman(scalar, peer.as_affine());
    let secret: [u8; 32] = (*secret.raw_secret_bytes()).into();
    want_number(wanted, kind, &secret);
    let point = (peer.to_projective() * *scalar).to_affine();
    let others = [own_bytes(&AffinePoint::GENERATOR)];
    want_object(wanted, kind, &own_bytes(&point), &others);
    secret
}

/// A number as it is serialised, and as this machine calculates with it.
fn want_number(wanted: &mut Wanted, kind: &'static str, number: &[u8]) {
    let reversed: Vec<u8> = number.iter().rev().copied().collect();
    wanted.forms(kind, &[number, &reversed]);
}

/// The hybrid's two private keys.
fn halves_of(private: &[u8; 32]) -> (DecapsulationKey<MlKem768>, SecretKey) {
    let expanded = expanded(private);
    let (seed, scalar) = expanded.split_at(64);
    let seed = Array::try_from(seed).expect("64 bytes");
    // But with negligible probability.
    let scalar = SecretKey::from_slice(scalar).expect("a scalar");
    (DecapsulationKey::from_seed(seed), scalar)
}

/// `PRG` of the hybrid's private key: seed of ML-KEM, first candidate for a scalar.
fn expanded(private: &[u8; 32]) -> [u8; 96] {
    let mut expanded = [0; 96];
    let mut hash = Shake256::default();
    hash.update(private);
    hash.finalize_xof().read(&mut expanded);
    expanded
}

/// `LabeledExtract` and `LabeledExpand` of RFC 9180 section 4 for one `suite_id`.
struct Labels<'a>(&'a [u8]);

impl Labels<'_> {
    fn extract(&self, wanted: &mut Wanted, salt: Key<'_>, label: &[u8], ikm: &[u8]) -> [u8; 32] {
        extract(wanted, salt, &[b"HPKE-v1", self.0, label, ikm].concat())
    }

    fn expand(
        &self,
        wanted: &mut Wanted,
        prk: &[u8; 32],
        label: &[u8],
        info: &[u8],
        len: u16,
    ) -> [u8; 32] {
        let info = [&len.to_be_bytes(), &b"HPKE-v1"[..], self.0, label, info].concat();
        expand(wanted, prk, &info)
    }
}
