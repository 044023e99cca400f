//! aws-lc-rs at the seams: a record cipher, a KEM, and a provider of both suites.
//!
//! Nothing here is secret, so nothing is wiped: a product's provider wipes its keys.
#![allow(unreachable_pub, reason = "each program uses a part of it")]

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
use sealwire_core::record::OpenHeader;
use sealwire_core::{Error, KEY_BLOCK_LEN, Suite};
use sha2::Sha256;

/// AES-256-GCM of aws-lc-rs.
pub struct AwsGcm(LessSafeKey);

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
pub struct AwsP256;

/// A point or an encapsulated key, as its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point(pub [u8; 65]);

/// A scalar, as its bytes.
#[derive(Clone)]
pub struct Scalar(pub [u8; 32]);

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
pub struct Aws;

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
