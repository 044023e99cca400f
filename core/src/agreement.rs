//! Key agreement (spec section 4.2), and the seam for whoever brings another KEM, or keeps keys in hardware.
//!
//! Three traits are what a provider can fill: [`RecordAead`](crate::RecordAead) for the record cipher, [`Kem`] for the key
//! agreement of a suite, `rand_core`'s `TryCryptoRng` for randomness. [`encapsulate`] and [`decapsulate`] are HPKE over any
//! [`Kem`]; a [`KeyAgreement`] says which one serves which suite, and [`RustCrypto`] is the one that is there by default.
//!
//! ```
//! use sealwire_core::agreement::{self, KeyAgreement, SEED_LEN};
//! use sealwire_core::record::OpenHeader;
//! use sealwire_core::{Error, KEY_BLOCK_LEN, Misuse, Suite};
//!
//! /// P-256 by `K`, and nothing else.
//! #[derive(Debug)]
//! struct Only<K>(core::marker::PhantomData<K>);
//!
//! impl<K: agreement::Kem + core::fmt::Debug + Send + Sync> KeyAgreement for Only<K> {
//!     fn encapsulate(
//!         &self, header: &OpenHeader, public_key: &[u8], seed: &mut [u8; SEED_LEN], enc: &mut [u8],
//!         secrets: &mut [u8; KEY_BLOCK_LEN],
//!     ) -> Result<(), Error> {
//!         match header.suite() {
//!             Suite::P256 => agreement::encapsulate::<K>(header, public_key, seed, enc, secrets),
//!             _ => Err(Misuse::State("this provider has no such suite").into()),
//!         }
//!     }
//!     fn decapsulate(
//!         &self, header: &OpenHeader, private_key: &[u8], enc: &[u8], secrets: &mut [u8; KEY_BLOCK_LEN],
//!     ) -> Result<(), Error> {
//!         match header.suite() {
//!             Suite::P256 => agreement::decapsulate::<K>(header, private_key, enc, secrets),
//!             _ => Err(Misuse::State("this provider has no such suite").into()),
//!         }
//!     }
//! }
//! ```

use hpke::aead::ExportOnlyAead;
use hpke::kdf::HkdfSha256;
use hpke::rand_core::utils::next_word_via_fill;
use hpke::rand_core::{CryptoRng, TryCryptoRng, TryRng};
use hpke::{Deserializable, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender_with_rng};
use zeroize::Zeroize;

use crate::error::{Environment, Error, Malformed, Misuse, RejectCode};
use crate::record::OpenHeader;
use crate::schedule::{KEY_BLOCK_LEN, parts_mut};
use crate::stack;
use crate::suite::Suite;
use crate::time::UnixTime;

pub use hpke::{self, Kem};

const REQUEST_INFO: &[u8] = b"sealwire/1 request";
const REQUEST_KEY: &[u8] = b"sealwire/1 request key";
const REQUEST_NONCE: &[u8] = b"sealwire/1 request nonce";
const RESPONSE_SECRET: &[u8] = b"sealwire/1 response";

/// Random bytes drawn for one encapsulation: 64 are used but with negligible probability.
pub const SEED_LEN: usize = 320;

/// [`KeyAgreement::encapsulate`] for those who seal by what it gives: whatever the provider does, the seed is wiped, and secrets that it did
/// not give are not taken for any.
pub(crate) fn encapsulate_by(
    agreement: &dyn KeyAgreement,
    header: &OpenHeader,
    public_key: &[u8],
    seed: &mut [u8; SEED_LEN],
    enc: &mut [u8],
    secrets: &mut [u8; KEY_BLOCK_LEN],
) -> Result<(), Error> {
    let given = agreement.encapsulate(header, public_key, seed, enc, secrets);
    seed.zeroize();
    given?;
    match are_given(secrets) {
        true => Ok(()),
        false => Err(Misuse::State("the key agreement gave no secrets").into()),
    }
}

/// Whether a provider has filled the block in. Everybody knows the keys of one that has not.
pub(crate) fn are_given(secrets: &[u8; KEY_BLOCK_LEN]) -> bool {
    secrets.iter().any(|byte| *byte != 0)
}

/// Both sides of HPKE for every suite that it has.
///
/// `secrets` receives the three exports of spec section 4.2, one after the other: request key (32 bytes), request base nonce
/// (12), response secret (32).
pub trait KeyAgreement: core::fmt::Debug + Send + Sync {
    /// Encapsulates to `public_key` with randomness from `seed`, which is wiped, and writes `enc`. It is called with an `enc` of
    /// [`Suite::enc_len`] bytes.
    ///
    /// # Errors
    /// [`Malformed::PublicKey`] if the public key is not valid; [`Misuse::State`] for a suite that it does not have.
    fn encapsulate(
        &self,
        header: &OpenHeader,
        public_key: &[u8],
        seed: &mut [u8; SEED_LEN],
        enc: &mut [u8],
        secrets: &mut [u8; KEY_BLOCK_LEN],
    ) -> Result<(), Error>;

    /// Decapsulates with a private key in the serialised form of its KEM (32 bytes for both suites).
    ///
    /// # Errors
    /// [`Malformed::PublicKey`] if `enc` is not valid; [`Misuse::State`] for a suite or private key that it does not have.
    fn decapsulate(
        &self,
        header: &OpenHeader,
        private_key: &[u8],
        enc: &[u8],
        secrets: &mut [u8; KEY_BLOCK_LEN],
    ) -> Result<(), Error>;
}

/// The KEMs of the `hpke` crate: pure Rust, no_std.
#[derive(Clone, Copy, Debug, Default)]
pub struct RustCrypto;

impl KeyAgreement for RustCrypto {
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
                encapsulate::<hpke::kem::DhP256HkdfSha256>(header, public_key, seed, enc, secrets)
            }
            #[cfg(feature = "post-quantum")]
            Suite::MlKem768P256 => {
                encapsulate::<hpke::kem::MlKem768P256>(header, public_key, seed, enc, secrets)
            }
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
            Suite::P256 => {
                decapsulate::<hpke::kem::DhP256HkdfSha256>(header, private_key, enc, secrets)
            }
            #[cfg(feature = "post-quantum")]
            Suite::MlKem768P256 => {
                decapsulate::<hpke::kem::MlKem768P256>(header, private_key, enc, secrets)
            }
        }
    }
}

/// Maps what an OPEN names to the secrets of its exchange: the seam for key rings, several suites at once, and keys that never
/// leave their hardware.
pub trait Keys {
    /// Whether requests of `suite` are taken at all, whether or not there is a key for it now (SUITE-2).
    fn offers(&self, suite: Suite) -> bool;

    /// Finds the key that `header` names, if it is valid at `now` (OPEN-2, TIME-2), decapsulates `enc` with it, and fills
    /// `secrets` as [`KeyAgreement`] says. It is asked for suites that it [offers](Self::offers), with an `enc` of their length.
    ///
    /// # Errors
    /// What the request is rejected with: [`RejectCode::Key`], [`RejectCode::Undecryptable`], or
    /// [`RejectCode::Busy`] if the key cannot be used now.
    fn agree(
        &self,
        header: &OpenHeader,
        enc: &[u8],
        now: UnixTime,
        secrets: &mut [u8; KEY_BLOCK_LEN],
    ) -> Result<(), RejectCode>;
}

/// SetupBaseS of RFC 9180 section 5.1.1 with the KEM `K`, then the three exports. What it leaves on the stack is wiped.
///
/// # Errors
/// [`Malformed::PublicKey`] if the public key is not valid; [`Environment::Random`] if `seed` cannot have been random;
/// [`Misuse::State`] if `K` is not the KEM of the suite, [`Misuse::OutputTooSmall`] if `enc` cannot hold an encapsulated key.
pub fn encapsulate<K: Kem>(
    header: &OpenHeader,
    public_key: &[u8],
    seed: &mut [u8; SEED_LEN],
    enc: &mut [u8],
    secrets: &mut [u8; KEY_BLOCK_LEN],
) -> Result<(), Error> {
    check_suite::<K>(header)?;
    let needed = K::EncappedKey::size();
    let enc = enc
        .get_mut(..needed)
        .ok_or(Misuse::OutputTooSmall { needed })?;
    let result = stack::agreement(header.suite(), || {
        let public_key = K::PublicKey::from_bytes(public_key).map_err(|_| Malformed::PublicKey)?;
        let mut rng = SeedRng {
            seed: &*seed,
            used: 0,
            exhausted: false,
        };
        let setup = setup_sender_with_rng::<ExportOnlyAead, HkdfSha256, K>(
            &OpModeS::Base,
            &public_key,
            &info(header),
            &mut rng,
        );
        let (encapsulated, context) = setup.map_err(|_| Malformed::PublicKey)?;
        if rng.exhausted {
            return Err(Environment::Random.into());
        }
        encapsulated.write_exact(enc);
        export(secrets, |label, out| context.export(label, out))
    });
    seed.zeroize();
    result
}

/// SetupBaseR of RFC 9180 section 5.1.1 with the KEM `K`, then the three exports. What it leaves on the stack is wiped.
///
/// # Errors
/// [`Malformed::PublicKey`] if `enc` is not valid; [`Misuse::State`] if the private key is not, or if `K` is not the KEM of the
/// suite.
pub fn decapsulate<K: Kem>(
    header: &OpenHeader,
    private_key: &[u8],
    enc: &[u8],
    secrets: &mut [u8; KEY_BLOCK_LEN],
) -> Result<(), Error> {
    check_suite::<K>(header)?;
    stack::agreement(header.suite(), || {
        let private_key = K::PrivateKey::from_bytes(private_key)
            .map_err(|_| Misuse::State("not a private key of the suite"))?;
        let enc = K::EncappedKey::from_bytes(enc).map_err(|_| Malformed::PublicKey)?;
        let context = setup_receiver::<ExportOnlyAead, HkdfSha256, K>(
            &OpModeR::Base,
            &private_key,
            &enc,
            &info(header),
        )
        .map_err(|_| Malformed::PublicKey)?;
        export(secrets, |label, out| context.export(label, out))
    })
}

fn check_suite<K: Kem>(header: &OpenHeader) -> Result<(), Misuse> {
    if K::KEM_ID == header.suite().kem_id() {
        Ok(())
    } else {
        Err(Misuse::State("the KEM is not that of the suite"))
    }
}

/// Derives a key pair from `ikm` (RFC 9180 section 7.1.3) and writes its serialised halves.
#[cfg(feature = "alloc")]
pub(crate) fn derive_key_pair(
    suite: Suite,
    ikm: &[u8; 32],
    private_key: &mut [u8; 32],
    public_key: &mut [u8],
) {
    fn derive<K: Kem>(ikm: &[u8; 32], private_key: &mut [u8; 32], public_key: &mut [u8]) {
        let (sk, pk) = K::derive_keypair(ikm);
        sk.write_exact(private_key);
        pk.write_exact(public_key);
    }
    stack::agreement(suite, || match suite {
        Suite::P256 => derive::<hpke::kem::DhP256HkdfSha256>(ikm, private_key, public_key),
        #[cfg(feature = "post-quantum")]
        Suite::MlKem768P256 => derive::<hpke::kem::MlKem768P256>(ikm, private_key, public_key),
    });
}

/// `info` of spec section 4.2.
fn info(header: &OpenHeader) -> [u8; REQUEST_INFO.len() + OpenHeader::LEN] {
    let mut info = [0; REQUEST_INFO.len() + OpenHeader::LEN];
    info[..REQUEST_INFO.len()].copy_from_slice(REQUEST_INFO);
    info[REQUEST_INFO.len()..].copy_from_slice(&header.to_bytes());
    info
}

/// Fills the block from an exporter.
fn export<E>(
    secrets: &mut [u8; KEY_BLOCK_LEN],
    exporter: impl Fn(&[u8], &mut [u8]) -> Result<(), E>,
) -> Result<(), Error> {
    let (key, nonce, secret) = parts_mut(secrets);
    exporter(REQUEST_KEY, key)
        .and_then(|()| exporter(REQUEST_NONCE, nonce))
        .and_then(|()| exporter(RESPONSE_SECRET, secret))
        .map_err(|_| Malformed::PublicKey.into())
}

/// Hands out bytes that were drawn beforehand, so that a failing source is noticed before HPKE, which cannot be told, needs it.
struct SeedRng<'a> {
    seed: &'a [u8; SEED_LEN],
    used: usize,
    exhausted: bool,
}

impl TryRng for SeedRng<'_> {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        match self.seed.get(self.used..self.used + out.len()) {
            Some(bytes) => out.copy_from_slice(bytes),
            None => {
                // A broken source made rejection sampling run through the seed. A constant ends the sampling (as a scalar it is
                // valid) and the result is thrown away.
                self.exhausted = true;
                out.fill(1);
            }
        }
        self.used += out.len();
        Ok(())
    }
}

impl TryCryptoRng for SeedRng<'_> {}

/// `SeedRng` is what `hpke` takes.
const _: fn() = || {
    fn takes<R: CryptoRng>() {}
    takes::<SeedRng<'_>>();
};
