//! The key schedule (spec section 4.2): one block of secrets per exchange, in memory that the caller owns.

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::stack;

const RESPONSE_KEY: &[u8] = b"sealwire/1 response key";
const RESPONSE_NONCE: &[u8] = b"sealwire/1 response nonce";

/// Bytes of the secrets of one exchange.
pub const KEY_BLOCK_LEN: usize = 32 + 12 + 32;

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

    /// The whole block, to be filled by key agreement.
    pub(crate) fn secrets_mut(&mut self) -> &mut [u8; KEY_BLOCK_LEN] {
        self.0.expose_mut()
    }

    /// Moves on to the response keys; those of the request are gone afterwards.
    ///
    /// HKDF-Extract hashes a salt longer than one SHA-256 block before use, and `enc || response_nonce` always is: its digest as
    /// the salt gives the same PRK, without room for the longest `enc`.
    pub(crate) fn start_response(&mut self, enc_digest: Sha256, response_nonce: &[u8; 32]) {
        let salt = enc_digest.chain_update(response_nonce).finalize();
        stack::record(|| {
            let (key, nonce, secret) = parts_mut(self.secrets_mut());
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

/// Key, base nonce and response secret.
pub(crate) fn parts_mut(block: &mut [u8; KEY_BLOCK_LEN]) -> (&mut [u8], &mut [u8], &mut [u8]) {
    let (key, rest) = block.split_at_mut(32);
    let (nonce, secret) = rest.split_at_mut(12);
    (key, nonce, secret)
}
