//! A null `hpke`: the names that sealwire-core uses, and no cryptography behind them.
//!
//! A fuzzer that waits for two scalar multiplications in every run reaches some hundred runs a second, and none of them
//! finds anything in the curve. So `fuzz/Cargo.toml` patches `hpke` with this package: keys keep their lengths and a
//! wrong first byte is still no point, but agreeing on a secret is an XOR. No product can get it: it is not published,
//! it has no feature, and a patch holds in the workspace that declares it. The real crate is behind every test in
//! `core/` and `tests/`.
#![no_std]
#![forbid(unsafe_code)]

pub use rand_core;

use core::marker::PhantomData;
use rand_core::CryptoRng;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HpkeError {
    /// A key of the wrong length, or one that is "not on the curve".
    ValidationError,
}

/// Has a fixed-length form.
pub trait Serializable {
    /// Writes it to a buffer of its length.
    fn write_exact(&self, buf: &mut [u8]);
}

/// Can be read from that form.
pub trait Deserializable: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// [`HpkeError::ValidationError`].
    fn from_bytes(encoded: &[u8]) -> Result<Self, HpkeError>;
}

/// A private key, or a shared secret: 32 bytes of anything.
#[derive(Clone, Copy)]
pub struct Secret([u8; 32]);

impl Serializable for Secret {
    fn write_exact(&self, buf: &mut [u8]) {
        buf.copy_from_slice(&self.0);
    }
}

impl Deserializable for Secret {
    fn from_bytes(encoded: &[u8]) -> Result<Self, HpkeError> {
        let bytes = encoded.try_into().map_err(|_| HpkeError::ValidationError)?;
        Ok(Self(bytes))
    }
}

/// A public or encapsulated key of `LEN` bytes: 4, as uncompressed points begin, a secret, and zeros. Bytes in place of the zeros
/// are taken, and mean nothing.
#[derive(Clone, Copy)]
pub struct Point<const LEN: usize>(Secret);

impl<const LEN: usize> Serializable for Point<LEN> {
    fn write_exact(&self, buf: &mut [u8]) {
        assert_eq!(buf.len(), LEN);
        buf.fill(0);
        buf[0] = 4;
        buf[1..33].copy_from_slice(&self.0.0);
    }
}

impl<const LEN: usize> Deserializable for Point<LEN> {
    fn from_bytes(encoded: &[u8]) -> Result<Self, HpkeError> {
        if encoded.len() != LEN || encoded[0] != 4 {
            return Err(HpkeError::ValidationError);
        }
        Secret::from_bytes(&encoded[1..33]).map(Self)
    }
}

/// A key encapsulation mechanism.
pub trait Kem: Sized {
    /// Its public keys.
    type PublicKey: Serializable + Deserializable;
    /// Its private keys.
    type PrivateKey: Serializable + Deserializable;
    /// Its encapsulated keys.
    type EncappedKey: Serializable + Deserializable;

    /// The key pair of `ikm`: the private key is its first 32 bytes.
    fn derive_keypair(ikm: &[u8]) -> (Self::PrivateKey, Self::PublicKey);

    /// A secret and what carries it.
    fn encap(to: &Self::PublicKey, rng: &mut impl CryptoRng) -> ([u8; 32], Self::EncappedKey);

    /// The secret that `enc` carries.
    fn decap(private: &Self::PrivateKey, enc: &Self::EncappedKey) -> [u8; 32];
}

/// With public keys of `PK` and encapsulated keys of `ENC` bytes.
pub struct NullKem<const PK: usize, const ENC: usize>;

impl<const PK: usize, const ENC: usize> Kem for NullKem<PK, ENC> {
    type PublicKey = Point<PK>;
    type PrivateKey = Secret;
    type EncappedKey = Point<ENC>;

    fn derive_keypair(ikm: &[u8]) -> (Secret, Point<PK>) {
        let mut secret = Secret([1; 32]);
        secret.0.iter_mut().zip(ikm).for_each(|(to, from)| *to = *from);
        (secret, Point(secret))
    }

    fn encap(to: &Point<PK>, rng: &mut impl CryptoRng) -> ([u8; 32], Point<ENC>) {
        let mut ephemeral = Secret([0; 32]);
        rng.fill_bytes(&mut ephemeral.0);
        (xor(&to.0, &ephemeral), Point(ephemeral))
    }

    fn decap(private: &Secret, enc: &Point<ENC>) -> [u8; 32] {
        xor(private, &enc.0)
    }
}

fn xor(a: &Secret, b: &Secret) -> [u8; 32] {
    core::array::from_fn(|i| a.0[i] ^ b.0[i])
}

/// The mechanisms, by the lengths of their keys.
pub mod kem {
    /// Stands in for DHKEM(P-256, HKDF-SHA256).
    pub type DhP256HkdfSha256 = super::NullKem<65, 65>;
    /// Stands in for MLKEM768-P256.
    pub type MlKem768P256 = super::NullKem<1249, 1153>;
}

/// Names of key derivations.
pub mod kdf {
    /// Stands in for HKDF-SHA256.
    pub struct HkdfSha256;
}

/// Names of ciphers.
pub mod aead {
    /// No cipher.
    pub struct ExportOnlyAead;
}

/// The sender's mode.
pub enum OpModeS<K> {
    /// Mode base.
    Base,
    #[doc(hidden)]
    _Kem(PhantomData<K>),
}

/// The receiver's mode.
pub enum OpModeR<K> {
    /// Mode base.
    Base,
    #[doc(hidden)]
    _Kem(PhantomData<K>),
}

/// Exports bytes that depend on secret, info and label, on both sides the same.
pub struct Context(u64);

impl Context {
    fn new(secret: &[u8; 32], info: &[u8]) -> Self {
        Self(mix(mix(0, secret), info))
    }

    /// Fills `out`.
    ///
    /// # Errors
    /// None.
    pub fn export(&self, label: &[u8], out: &mut [u8]) -> Result<(), HpkeError> {
        let mut state = mix(self.0, label);
        for byte in out {
            state = mix(state, &[0]);
            *byte = (state >> 56) as u8;
        }
        Ok(())
    }
}

/// FNV-1a.
fn mix(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Agrees on a secret with the holder of `to`.
///
/// # Errors
/// None.
pub fn setup_sender_with_rng<A, D, K: Kem>(
    _: &OpModeS<K>,
    to: &K::PublicKey,
    info: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<(K::EncappedKey, Context), HpkeError> {
    let (secret, enc) = K::encap(to, rng);
    Ok((enc, Context::new(&secret, info)))
}

/// The other side of it.
///
/// # Errors
/// None.
pub fn setup_receiver<A, D, K: Kem>(
    _: &OpModeR<K>,
    private: &K::PrivateKey,
    enc: &K::EncappedKey,
    info: &[u8],
) -> Result<Context, HpkeError> {
    Ok(Context::new(&K::decap(private, enc), info))
}
