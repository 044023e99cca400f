//! The key schedule (spec section 4.2): one block of secrets per exchange, in memory that the caller owns.

use hkdf::Hkdf;
use hpke::aead::ExportOnlyAead;
use hpke::kdf::HkdfSha256;
use hpke::rand_core::{CryptoRng, TryCryptoRng, TryRng};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender_with_rng,
};
use sealwire_memlock::scrub_stack_deep;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::error::{Environment, Error, Malformed};
use crate::record::OpenHeader;
use crate::stack;
use crate::suite::Suite;

const REQUEST_INFO: &[u8] = b"sealwire/1 request";
const REQUEST_KEY: &[u8] = b"sealwire/1 request key";
const REQUEST_NONCE: &[u8] = b"sealwire/1 request nonce";
const RESPONSE_SECRET: &[u8] = b"sealwire/1 response";
const RESPONSE_KEY: &[u8] = b"sealwire/1 response key";
const RESPONSE_NONCE: &[u8] = b"sealwire/1 response nonce";

/// Bytes of the secrets of one exchange.
pub const KEY_BLOCK_LEN: usize = 32 + 12 + 32;
/// Random bytes drawn for one encapsulation: 64 are used but with negligible probability.
pub(crate) const SEED_LEN: usize = 320;

/// Where the secrets of one exchange live: [`KEY_BLOCK_LEN`] bytes of memory that the caller chose.
///
/// Level-1 users lend an array (`&mut [u8; KEY_BLOCK_LEN]`); exchanges use secure memory. The block is wiped when the record
/// object that holds it goes.
pub trait KeyStore {
    /// Reads the block.
    fn expose(&self) -> &[u8; KEY_BLOCK_LEN];
    /// Changes the block.
    fn expose_mut(&mut self) -> &mut [u8; KEY_BLOCK_LEN];
}

impl KeyStore for &mut [u8; KEY_BLOCK_LEN] {
    fn expose(&self) -> &[u8; KEY_BLOCK_LEN] {
        self
    }
    fn expose_mut(&mut self) -> &mut [u8; KEY_BLOCK_LEN] {
        self
    }
}

#[cfg(feature = "alloc")]
impl KeyStore for sealwire_memlock::SecureArray<KEY_BLOCK_LEN> {
    fn expose(&self) -> &[u8; KEY_BLOCK_LEN] {
        self.expose()
    }
    fn expose_mut(&mut self) -> &mut [u8; KEY_BLOCK_LEN] {
        self.expose_mut()
    }
}

/// The secrets of an exchange: key and base nonce of the direction in use, and the response secret.
pub(crate) struct KeyBlock<S: KeyStore>(S);

impl<S: KeyStore> KeyBlock<S> {
    /// Takes a block whose content does not matter.
    pub(crate) fn new(mut store: S) -> Self {
        store.expose_mut().zeroize();
        Self(store)
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        self.0
            .expose()
            .first_chunk()
            .expect("the block is 76 bytes")
    }

    pub(crate) fn base_nonce(&self) -> &[u8; 12] {
        self.0.expose()[32..]
            .first_chunk()
            .expect("the block is 76 bytes")
    }

    /// Key, base nonce and response secret, to be filled in.
    fn parts_mut(&mut self) -> (&mut [u8], &mut [u8], &mut [u8]) {
        let (key, rest) = self.0.expose_mut().split_at_mut(32);
        let (nonce, secret) = rest.split_at_mut(12);
        (key, nonce, secret)
    }

    /// Moves on to the response keys; those of the request are gone afterwards.
    ///
    /// HKDF-Extract hashes a salt longer than one SHA-256 block before use, and `enc || response_nonce` always is: its digest as
    /// the salt gives the same PRK, without room for the longest `enc`.
    pub(crate) fn start_response(&mut self, enc_digest: Sha256, response_nonce: &[u8; 32]) {
        let salt = enc_digest.chain_update(response_nonce).finalize();
        scrub_stack_deep::<{ stack::RECORD }, _>(|| {
            let (key, nonce, secret) = self.parts_mut();
            let hkdf = Hkdf::<Sha256>::new(Some(&salt), secret);
            hkdf.expand(RESPONSE_KEY, key)
                .expect("32 bytes are within HKDF's limit");
            hkdf.expand(RESPONSE_NONCE, nonce)
                .expect("12 bytes are within HKDF's limit");
            secret.zeroize();
        });
    }
}

impl<S: KeyStore> Drop for KeyBlock<S> {
    fn drop(&mut self) {
        self.0.expose_mut().zeroize();
    }
}

/// Encapsulates to `public_key` with randomness from `seed`, writes `enc`, fills `block`.
pub(crate) fn encapsulate<S: KeyStore>(
    header: &OpenHeader,
    public_key: &[u8],
    seed: &mut [u8; SEED_LEN],
    enc: &mut [u8],
    block: &mut KeyBlock<S>,
) -> Result<(), Error> {
    match header.suite() {
        Suite::P256 => scrub_stack_deep::<{ stack::P256 }, _>(|| {
            send::<hpke::kem::DhP256HkdfSha256, S>(header, public_key, seed, enc, block)
        }),
        #[cfg(feature = "post-quantum")]
        Suite::MlKem768P256 => scrub_stack_deep::<{ stack::HYBRID }, _>(|| {
            send::<hpke::kem::MlKem768P256, S>(header, public_key, seed, enc, block)
        }),
    }
}

/// SetupBaseS of RFC 9180 section 5.1.1, then the three exports.
fn send<K: Kem, S: KeyStore>(
    header: &OpenHeader,
    public_key: &[u8],
    seed: &mut [u8; SEED_LEN],
    enc_out: &mut [u8],
    block: &mut KeyBlock<S>,
) -> Result<(), Error> {
    let public_key = K::PublicKey::from_bytes(public_key).map_err(|_| Malformed::PublicKey)?;
    let mut rng = SeedRng {
        seed,
        used: 0,
        exhausted: false,
    };
    let setup = setup_sender_with_rng::<ExportOnlyAead, HkdfSha256, K>(
        &OpModeS::Base,
        &public_key,
        &info(header),
        &mut rng,
    );
    let exhausted = rng.exhausted;
    rng.seed.zeroize();
    let (enc, context) = setup.map_err(|_| Malformed::PublicKey)?;
    if exhausted {
        return Err(Environment::Random.into());
    }
    enc.write_exact(enc_out);
    export(block, |label, out| context.export(label, out))
}

/// SetupBaseR of RFC 9180 section 5.1.1 with a private key in its serialised form, then the three exports.
pub(crate) fn decapsulate<S: KeyStore>(
    header: &OpenHeader,
    private_key: &[u8],
    enc: &[u8],
    block: &mut KeyBlock<S>,
) -> Result<(), Error> {
    match header.suite() {
        Suite::P256 => scrub_stack_deep::<{ stack::P256 }, _>(|| {
            receive::<hpke::kem::DhP256HkdfSha256, S>(header, private_key, enc, block)
        }),
        #[cfg(feature = "post-quantum")]
        Suite::MlKem768P256 => scrub_stack_deep::<{ stack::HYBRID }, _>(|| {
            receive::<hpke::kem::MlKem768P256, S>(header, private_key, enc, block)
        }),
    }
}

fn receive<K: Kem, S: KeyStore>(
    header: &OpenHeader,
    private_key: &[u8],
    enc: &[u8],
    block: &mut KeyBlock<S>,
) -> Result<(), Error> {
    let private_key = K::PrivateKey::from_bytes(private_key).map_err(|_| Environment::Random)?;
    let enc = K::EncappedKey::from_bytes(enc).map_err(|_| Malformed::PublicKey)?;
    let context = setup_receiver::<ExportOnlyAead, HkdfSha256, K>(
        &OpModeR::Base,
        &private_key,
        &enc,
        &info(header),
    )
    .map_err(|_| Malformed::PublicKey)?;
    export(block, |label, out| context.export(label, out))
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
    match suite {
        Suite::P256 => scrub_stack_deep::<{ stack::P256 }, _>(|| {
            derive::<hpke::kem::DhP256HkdfSha256>(ikm, private_key, public_key);
        }),
        #[cfg(feature = "post-quantum")]
        Suite::MlKem768P256 => scrub_stack_deep::<{ stack::HYBRID }, _>(|| {
            derive::<hpke::kem::MlKem768P256>(ikm, private_key, public_key);
        }),
    }
}

/// `info` of spec section 4.2.
fn info(header: &OpenHeader) -> [u8; REQUEST_INFO.len() + OpenHeader::LEN] {
    let mut info = [0; REQUEST_INFO.len() + OpenHeader::LEN];
    info[..REQUEST_INFO.len()].copy_from_slice(REQUEST_INFO);
    info[REQUEST_INFO.len()..].copy_from_slice(&header.to_bytes());
    info
}

/// Fills the block from an exporter.
fn export<S: KeyStore, E>(
    block: &mut KeyBlock<S>,
    exporter: impl Fn(&[u8], &mut [u8]) -> Result<(), E>,
) -> Result<(), Error> {
    let (key, nonce, secret) = block.parts_mut();
    exporter(REQUEST_KEY, key)
        .and_then(|()| exporter(REQUEST_NONCE, nonce))
        .and_then(|()| exporter(RESPONSE_SECRET, secret))
        .map_err(|_| Malformed::PublicKey.into())
}

/// Hands out bytes that were drawn beforehand, so that a failing source is noticed before HPKE, which cannot be told, needs it.
struct SeedRng<'a> {
    seed: &'a mut [u8; SEED_LEN],
    used: usize,
    exhausted: bool,
}

impl TryRng for SeedRng<'_> {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
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
