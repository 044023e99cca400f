//! The gateway's private side: its identity, its epoch keys, and their rotation.

use alloc::vec::Vec;
use core::time::Duration;

use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use rand_core::TryCryptoRng;
use sealwire_memlock::{SecureArray, SecureMemory};
use sha2::{Digest, Sha256};

use super::body::MAX_RECORDS;
use super::pin::{IDENTITY_LEN, Pin};
use super::record::{KEY_ID_LEN, KeyRecord, RecordLimits, SKEW, key_id, signed_parts};
use super::set::{KeySet, SignedRecord};
use crate::agreement::{KeyAgreement, Keys, RustCrypto, derive_key_pair};
use crate::error::{Environment, Error, Malformed, Misuse, RejectCode};
use crate::record::OpenHeader;
use crate::schedule::KEY_BLOCK_LEN;
use crate::stack;
use crate::suite::Suite;
use crate::time::UnixTime;

/// A gateway's long-lived P-256 signing key, in secure memory.
pub struct Identity {
    scalar: SecureArray<32>,
    public: [u8; IDENTITY_LEN],
}

impl Identity {
    /// A new identity. The scalar is drawn straight into secure memory.
    ///
    /// # Errors
    /// [`Environment`] if randomness or memory cannot be had.
    pub fn generate<R: TryCryptoRng + ?Sized>(
        memory: &SecureMemory,
        rng: &mut R,
    ) -> Result<Self, Error> {
        let mut scalar = memory.array::<32>()?;
        // A uniform 32-byte string is a valid scalar but with probability 2^-32; a source that fails this often is broken.
        for _ in 0..8 {
            rng.try_fill_bytes(scalar.expose_mut())
                .map_err(|_| Environment::Random)?;
            if let Ok(public) = public_of(&scalar) {
                return Ok(Self { scalar, public });
            }
        }
        Err(Environment::Random.into())
    }

    /// The identity of a scalar that was kept.
    ///
    /// # Errors
    /// [`Malformed::PublicKey`] if it is zero or not below the order of the curve.
    pub fn from_scalar(scalar: SecureArray<32>) -> Result<Self, Malformed> {
        let public = public_of(&scalar)?;
        Ok(Self { scalar, public })
    }

    /// The scalar, to be kept: whoever has it is the gateway.
    pub fn expose_scalar(&self) -> &[u8; 32] {
        self.scalar.expose()
    }

    /// The public key.
    pub const fn public(&self) -> &[u8; IDENTITY_LEN] {
        &self.public
    }

    /// What clients pin.
    pub fn pin(&self) -> Pin {
        Pin::of(&self.public)
    }

    /// Signs a record (spec section 5.1), for keys that are not in a [`KeyRing`]. One that is in it signs its own.
    ///
    /// # Errors
    /// [`Misuse::State`] for a record that no client takes (REC-2): of no suite, with a key of another length, an empty time span, or frames
    /// below 1024.
    pub fn sign_record(&self, record: &KeyRecord<'_>) -> Result<SignedRecord, Error> {
        let len = record.suite.map_or(0, KeyRecord::encoded_len);
        let mut encoded = alloc::vec![0; len];
        record.encode(&mut encoded)?;
        // What the caller set up, not a peer.
        KeyRecord::parse(&encoded)
            .map_err(|_| Misuse::State("no record can hold these limits or this lifetime"))?;
        Ok(SignedRecord {
            signature: self.sign(&encoded)?,
            record: encoded,
            evidence: None,
        })
    }

    fn sign(&self, record: &[u8]) -> Result<[u8; 64], Error> {
        let mut hash = Sha256::new();
        signed_parts(record)
            .iter()
            .for_each(|part| hash.update(part));
        let digest = hash.finalize();
        stack::p256(|| {
            let key =
                SigningKey::from_slice(self.scalar.expose()).map_err(|_| Malformed::PublicKey)?;
            let signature: Signature =
                key.sign_prehash(&digest).map_err(|_| Environment::Random)?;
            Ok(signature.to_bytes().into())
        })
    }
}

impl core::fmt::Debug for Identity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Identity")
            .field("pin", &self.pin())
            .finish_non_exhaustive()
    }
}

fn public_of(scalar: &SecureArray<32>) -> Result<[u8; IDENTITY_LEN], Malformed> {
    stack::p256(|| {
        let key = SigningKey::from_slice(scalar.expose()).map_err(|_| Malformed::PublicKey)?;
        key.verifying_key()
            .to_sec1_point(false)
            .as_bytes()
            .try_into()
            .map_err(|_| Malformed::PublicKey)
    })
}

/// A short-lived HPKE key and its signed record.
#[derive(Debug)]
struct EpochKey {
    private: SecureArray<32>,
    suite: Suite,
    key_id: [u8; KEY_ID_LEN],
    not_before: UnixTime,
    not_after: UnixTime,
    signed: SignedRecord,
}

impl EpochKey {
    /// Makes a key that is valid in `[not_before, not_after)`.
    fn generate<R: TryCryptoRng + ?Sized>(
        identity: &Identity,
        suite: Suite,
        not_before: UnixTime,
        not_after: UnixTime,
        limits: RecordLimits,
        memory: &SecureMemory,
        rng: &mut R,
    ) -> Result<Self, Error> {
        let mut ikm = memory.array::<32>()?;
        rng.try_fill_bytes(ikm.expose_mut())
            .map_err(|_| Environment::Random)?;
        let mut private = memory.array::<32>()?;
        let mut public_key = [0; Suite::MAX_PUBLIC_KEY_LEN];
        let public_key = &mut public_key[..suite.public_key_len()];
        derive_key_pair(suite, ikm.expose(), private.expose_mut(), public_key);
        let record = KeyRecord::new(suite, public_key, not_before, not_after, limits);
        let signed = identity.sign_record(&record)?;
        Ok(Self {
            private,
            suite,
            key_id: key_id(&signed.record),
            not_before,
            not_after,
            signed,
        })
    }

    /// When it is wiped, and opens nothing any more (TIME-2).
    const fn end(&self) -> UnixTime {
        self.not_after.saturating_add(SKEW)
    }
}

/// A gateway's identity and the epoch keys it holds, rotated before they end.
#[derive(Debug)]
pub struct KeyRing {
    identity: Identity,
    suites: Vec<Suite>,
    limits: RecordLimits,
    lifetime: Duration,
    keys: Vec<EpochKey>,
    agreement: &'static dyn KeyAgreement,
    memory: SecureMemory,
}

impl KeyRing {
    /// How long an epoch key lives by default.
    pub const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

    /// A ring without keys: call [`rotate`](Self::rotate) before use.
    pub fn new(
        identity: Identity,
        suites: &[Suite],
        limits: RecordLimits,
        memory: SecureMemory,
    ) -> Self {
        Self {
            identity,
            suites: suites.into(),
            limits,
            lifetime: Self::LIFETIME,
            keys: Vec::new(),
            agreement: &RustCrypto,
            memory,
        }
    }

    /// Decapsulates with another implementation of the KEMs.
    #[must_use]
    pub fn with_agreement(mut self, agreement: &'static dyn KeyAgreement) -> Self {
        self.agreement = agreement;
        self
    }

    /// Keys live for `lifetime`; the next one is made when half of it has passed.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// What its records promise to accept.
    pub const fn limits(&self) -> RecordLimits {
        self.limits
    }

    /// The identity.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Makes the keys that are missing at `now`, wipes those that have ended (TIME-2) or were made while the clock was ahead, and says when to
    /// call again.
    ///
    /// # Errors
    /// [`Environment`] if randomness or memory cannot be had. Keys that exist stay. [`Misuse::State`] for a lifetime below 2 ms, or a
    /// [`max_frame`](RecordLimits::max_frame) below 1024.
    pub fn rotate<R: TryCryptoRng + ?Sized>(
        &mut self,
        now: UnixTime,
        rng: &mut R,
    ) -> Result<UnixTime, Error> {
        let half = self.lifetime / 2;
        if half < Duration::from_millis(1) {
            return Err(Misuse::State("a key lives for at least 2 ms").into());
        }
        // A key of a time that has not come was made while the clock was ahead. No client with a clock takes it; those without one would take
        // no other, for as long as the clock was ahead.
        let latest = now.saturating_add(SKEW);
        self.keys
            .retain(|key| now < key.end() && key.not_before <= latest);
        let mut next = now.saturating_add(half);
        for &suite in &self.suites {
            let of_suite = self.keys.iter().filter(|key| key.suite == suite);
            let newest = of_suite.map(|key| key.not_before).max();
            match newest.map(|not_before| not_before.saturating_add(half)) {
                Some(due) if due > now => next = next.min(due),
                _ => {
                    let not_after = now.saturating_add(self.lifetime);
                    let key = EpochKey::generate(
                        &self.identity,
                        suite,
                        now,
                        not_after,
                        self.limits,
                        &self.memory,
                        rng,
                    )?;
                    self.keys.push(key);
                }
            }
        }
        // A key that has ended is wiped then, not when the next one is due.
        let ends = self.keys.iter().map(EpochKey::end);
        Ok(ends.fold(next, UnixTime::min))
    }

    /// Puts attestation evidence beside the records that have none: `evidence` is given each record and its SHA-256, which the
    /// evidence must commit to. Call it after each [`rotate`](Self::rotate); what gives `None` is asked for again the next time.
    /// Every client reads 64 KiB of the JSON document, those of this crate 256 KiB: what evidence adds is the host's to keep
    /// within that (spec section 5.3).
    pub fn attest(&mut self, mut evidence: impl FnMut(&[u8], &[u8; 32]) -> Option<Vec<u8>>) {
        for key in &mut self.keys {
            if key.signed.evidence.is_none() {
                key.signed.evidence = evidence(&key.signed.record, &key.signed.hash());
            }
        }
    }

    /// What clients fetch: of more keys than a set carries to every client, evidence left out, the newest (TIME-3).
    pub fn key_set(&self) -> KeySet {
        let mut room = KeySet::room();
        let records = self
            .keys
            .iter()
            .rev()
            .take(MAX_RECORDS)
            .map_while(|key| {
                room = room.checked_sub(key.signed.share())?;
                Some(key.signed.clone())
            })
            .collect();
        KeySet::new(*self.identity.public(), records)
            .expect("no more records than that, each as long as its suite has it")
    }
}

impl Keys for KeyRing {
    fn offers(&self, suite: Suite) -> bool {
        self.suites.contains(&suite)
    }

    fn agree(
        &self,
        header: &OpenHeader,
        enc: &[u8],
        now: UnixTime,
        secrets: &mut [u8; KEY_BLOCK_LEN],
    ) -> Result<(), RejectCode> {
        let is_meant = |key: &&EpochKey| {
            key.key_id == header.key_id() && key.suite == header.suite() && now < key.end()
        };
        let key = self.keys.iter().find(is_meant).ok_or(RejectCode::Key)?;
        self.agreement
            .decapsulate(header, key.private.expose(), enc, secrets)
            .map_err(|error| match error {
                Error::Peer(_) => RejectCode::Undecryptable,
                // Of the gateway's own making, and perhaps gone the next time.
                _ => RejectCode::Busy,
            })
    }
}

#[cfg(test)]
mod tests;
