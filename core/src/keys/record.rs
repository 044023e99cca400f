//! Key records (spec section 5.1): which public key, for how long, within which limits, signed by the identity.

use core::time::Duration;

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use super::pin::IDENTITY_LEN;
use crate::error::{Malformed, Misuse};
use crate::frame::{DEFAULT_MAX_FRAME, MIN_MAX_FRAME, VERSION};
use crate::suite::Suite;
use crate::time::UnixTime;

/// Bytes of a key id.
pub const KEY_ID_LEN: usize = 8;
/// Bytes of a signature: r and s.
pub const SIGNATURE_LEN: usize = 64;
/// How far clocks may differ (TIME-1, TIME-2).
pub const SKEW: Duration = Duration::from_millis(300_000);

/// What is signed begins with this.
const CONTEXT: &[u8] = b"sealwire/1 key record\0";

/// What a gateway promises to accept, as written into its key records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// The largest frame, in bytes on the wire; at least 1024.
    pub max_frame: u32,
    /// The largest request body, in bytes.
    pub max_request: u32,
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self {
            max_frame: DEFAULT_MAX_FRAME as u32,
            max_request: 10 * 1024 * 1024,
        }
    }
}

/// A key record. One that was parsed says nothing until [`verify`] has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRecord<'a> {
    /// The suite; `None` for one that this build does not have (REC-3).
    pub suite: Option<Suite>,
    /// The HPKE public key.
    pub public_key: &'a [u8],
    /// The record holds from here on.
    pub not_before: UnixTime,
    /// The record does not hold any more from here on.
    pub not_after: UnixTime,
    /// The largest frame the gateway accepts, in bytes on the wire.
    pub max_frame: u32,
    /// The largest request body the gateway accepts, in content bytes.
    pub max_request: u32,
}

impl<'a> KeyRecord<'a> {
    /// The record of an HPKE key of `suite` that is valid in `[not_before, not_after)`: for gateways whose keys are not in a `KeyRing`, to
    /// be signed by `Identity::sign_record`.
    pub const fn new(
        suite: Suite,
        public_key: &'a [u8],
        not_before: UnixTime,
        not_after: UnixTime,
        limits: RecordLimits,
    ) -> Self {
        Self {
            suite: Some(suite),
            public_key,
            not_before,
            not_after,
            max_frame: limits.max_frame,
            max_request: limits.max_request,
        }
    }

    /// Bytes of the record of a key of `suite`.
    pub const fn encoded_len(suite: Suite) -> usize {
        1 + 2 + 1 + 4 + 2 + suite.public_key_len() + 8 + 8 + 4 + 4
    }

    /// Reads a record strictly (REC-2).
    ///
    /// # Errors
    /// [`Malformed::Keys`] names the field.
    pub fn parse(record: &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = record;
        let mut take = |len: usize, field: &'static str| -> Result<&'a [u8], Malformed> {
            let (taken, after) = rest.split_at_checked(len).ok_or(Malformed::Keys(field))?;
            rest = after;
            Ok(taken)
        };
        if take(1, "version")? != [VERSION] {
            return Err(Malformed::Keys("version"));
        }
        let kem = u16_of(take(2, "kem")?);
        let count = usize::from(take(1, "suites")?[0]);
        if count == 0 {
            return Err(Malformed::Keys("suites"));
        }
        let pairs = take(count * 4, "suites")?;
        let ours = [Suite::KDF_ID.to_be_bytes(), Suite::AEAD_ID.to_be_bytes()];
        let offers_ours = pairs
            .chunks_exact(4)
            .any(|pair| pair == ours.as_flattened());
        let key_len = usize::from(u16_of(take(2, "public key")?));
        let public_key = take(key_len, "public key")?;
        let not_before = UnixTime::from_millis(u64_of(take(8, "not before")?));
        let not_after = UnixTime::from_millis(u64_of(take(8, "not after")?));
        let max_frame = u32_of(take(4, "max frame")?);
        let max_request = u32_of(take(4, "max request")?);
        if !rest.is_empty() {
            return Err(Malformed::Keys("length"));
        }
        if not_after <= not_before {
            return Err(Malformed::Keys("not after"));
        }
        if (max_frame as usize) < MIN_MAX_FRAME {
            return Err(Malformed::Keys("max frame"));
        }
        let suite = Suite::from_kem_id(kem);
        if suite.is_some_and(|suite| suite.public_key_len() != key_len) {
            return Err(Malformed::Keys("public key"));
        }
        Ok(Self {
            suite: suite.filter(|_| offers_ours),
            public_key,
            not_before,
            not_after,
            max_frame,
            max_request,
        })
    }

    /// Writes the record and returns its length, [`encoded_len`](Self::encoded_len).
    ///
    /// # Errors
    /// [`Misuse`] if there is no suite, or the buffer is too small.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, Misuse> {
        let suite = self.suite.ok_or(Misuse::State("a record is of a suite"))?;
        let needed = Self::encoded_len(suite);
        if self.public_key.len() != suite.public_key_len() {
            return Err(Misuse::State("the public key is of another suite"));
        }
        let mut rest = out
            .get_mut(..needed)
            .ok_or(Misuse::OutputTooSmall { needed })?;
        let mut put = |bytes: &[u8]| {
            let (to, after) = core::mem::take(&mut rest).split_at_mut(bytes.len());
            to.copy_from_slice(bytes);
            rest = after;
        };
        put(&[VERSION]);
        put(&suite.kem_id().to_be_bytes());
        put(&[1]);
        put(&Suite::KDF_ID.to_be_bytes());
        put(&Suite::AEAD_ID.to_be_bytes());
        // Public keys are at most 1249 bytes.
        put(&(self.public_key.len() as u16).to_be_bytes());
        put(self.public_key);
        put(&self.not_before.as_millis().to_be_bytes());
        put(&self.not_after.as_millis().to_be_bytes());
        put(&self.max_frame.to_be_bytes());
        put(&self.max_request.to_be_bytes());
        Ok(needed)
    }

    /// Whether a client whose clock says `now` may use the record (TIME-1). A client without a clock may.
    pub fn is_valid_at(&self, now: UnixTime) -> bool {
        is_valid_between(self.not_before, self.not_after, now)
    }
}

/// TIME-1.
pub(super) fn is_valid_between(not_before: UnixTime, not_after: UnixTime, now: UnixTime) -> bool {
    !now.is_known() || (now >= not_before.saturating_sub(SKEW) && now < not_after)
}

/// The first 8 bytes of the record's SHA-256.
pub fn key_id(record: &[u8]) -> [u8; KEY_ID_LEN] {
    *Sha256::digest(record)
        .first_chunk()
        .expect("a digest has 32 bytes")
}

/// Checks a record's signature (REC-1).
///
/// # Errors
/// [`Malformed::PublicKey`] if `identity` is not a point, [`Malformed::Signature`] if it did not sign.
pub fn verify(
    identity: &[u8; IDENTITY_LEN],
    record: &[u8],
    signature: &[u8; SIGNATURE_LEN],
) -> Result<(), Malformed> {
    let key = VerifyingKey::from_sec1_bytes(identity).map_err(|_| Malformed::PublicKey)?;
    let signature = Signature::from_slice(signature).map_err(|_| Malformed::Signature)?;
    let mut hash = Sha256::new();
    signed_parts(record)
        .iter()
        .for_each(|part| hash.update(part));
    key.verify_prehash(&hash.finalize(), &signature)
        .map_err(|_| Malformed::Signature)
}

/// What a signature covers, in parts.
pub(super) fn signed_parts(record: &[u8]) -> [&[u8]; 2] {
    [CONTEXT, record]
}

fn u16_of(bytes: &[u8]) -> u16 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u16::from(*byte))
}

fn u32_of(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn u64_of(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}
