//! The body of a KEYS frame (spec section 5.3), read where it stands, without allocation.

use core::iter;

use super::pin::{IDENTITY_LEN, Pin};
use super::record::{KEY_ID_LEN, KeyRecord, SIGNATURE_LEN, key_id, verify};
use crate::error::Malformed;
use crate::suite::Suite;
use crate::time::UnixTime;

/// More records than any gateway has use for.
pub(super) const MAX_RECORDS: usize = 64;

/// A record's bytes and the signature over them.
type Signed<'a> = (&'a [u8], &'a [u8; SIGNATURE_LEN]);

/// An identity and the records it signed, as a KEYS frame brought them, not yet trusted: what a client without a heap reads in place of
/// a `KeySet`.
///
/// ```
/// use sealwire_core::keys::{KeysBody, Pin};
/// use sealwire_core::{Malformed, Suite, UnixTime};
///
/// # fn fetched() -> Vec<u8> { [&[4; 65][..], &[0]].concat() }
/// # fn configured() -> Pin { Pin::of(&[4; 65]) }
/// let body = fetched(); // the frame, its header taken off
/// let keys = KeysBody::parse(&body)?;
/// assert_eq!(keys.pin(), configured(), "another gateway");
/// match keys.select(Suite::P256, UnixTime::UNKNOWN) {
///     Ok((record, key_id)) => { /* OpenHeader::new(Suite::P256, key_id), and seal to record.public_key */ }
///     Err(error) => assert_eq!(error, Malformed::NoKey), // this set has none
/// }
/// # Ok::<(), Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysBody<'a> {
    identity: &'a [u8; IDENTITY_LEN],
    /// One after the other: walked to their end by `parse`.
    records: &'a [u8],
}

impl<'a> KeysBody<'a> {
    /// Checks that the body is of the right form. Records and signatures are looked at by [`select`](Self::select).
    ///
    /// # Errors
    /// [`Malformed::Keys`] names the field; "count" also for more than 64 records.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (identity, rest) = body
            .split_first_chunk::<IDENTITY_LEN>()
            .ok_or(Malformed::Keys("identity"))?;
        let (&count, records) = rest.split_first().ok_or(Malformed::Keys("count"))?;
        let mut rest = records;
        for _ in 0..count {
            (_, rest) = split(rest)?;
        }
        if !rest.is_empty() {
            return Err(Malformed::Keys("length"));
        }
        if usize::from(count) > MAX_RECORDS {
            return Err(Malformed::Keys("count"));
        }
        Ok(Self { identity, records })
    }

    /// The identity public key.
    pub const fn identity(&self) -> &'a [u8; IDENTITY_LEN] {
        self.identity
    }

    /// The pin of the identity: what trust is decided by (TRUST-1).
    pub fn pin(&self) -> Pin {
        Pin::of(self.identity)
    }

    /// Each record, with its signature, neither of them looked at yet.
    pub fn records(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8; SIGNATURE_LEN])> {
        let mut rest = self.records;
        iter::from_fn(move || {
            let (signed, after) = split(rest).ok()?;
            rest = after;
            Some(signed)
        })
    }

    /// The valid record of `suite` with the latest `not_before` (TRUST-3), and its id; every signature of the set is verified
    /// (REC-1). A client without a clock passes [`UnixTime::UNKNOWN`].
    ///
    /// # Errors
    /// The first thing wrong with any record; [`Malformed::NoKey`] without a record of the suite, [`Malformed::KeyTime`] if none of
    /// them is valid now.
    pub fn select(
        &self,
        suite: Suite,
        now: UnixTime,
    ) -> Result<(KeyRecord<'a>, [u8; KEY_ID_LEN]), Malformed> {
        let (record, id, _) = find(self.identity, self.records(), suite, now)?;
        Ok((record, id))
    }
}

/// The first record of `rest`, and what follows it.
fn split(rest: &[u8]) -> Result<(Signed<'_>, &[u8]), Malformed> {
    let (length, rest) = rest
        .split_first_chunk::<2>()
        .ok_or(Malformed::Keys("length"))?;
    let (record, rest) = rest
        .split_at_checked(usize::from(u16::from_be_bytes(*length)))
        .ok_or(Malformed::Keys("length"))?;
    let (signature, rest) = rest
        .split_first_chunk()
        .ok_or(Malformed::Keys("signature"))?;
    Ok(((record, signature), rest))
}

/// The record to seal to, its id, and its place among `records`.
pub(super) fn find<'r>(
    identity: &[u8; IDENTITY_LEN],
    records: impl Iterator<Item = Signed<'r>>,
    suite: Suite,
    now: UnixTime,
) -> Result<(KeyRecord<'r>, [u8; KEY_ID_LEN], usize), Malformed> {
    let mut best: Option<(KeyRecord<'r>, &[u8], usize)> = None;
    let mut of_suite = false;
    for (place, (bytes, signature)) in records.enumerate() {
        verify(identity, bytes, signature)?;
        let record = KeyRecord::parse(bytes)?;
        of_suite |= record.suite == Some(suite);
        let later = best.is_none_or(|(known, ..)| record.not_before > known.not_before);
        if record.suite == Some(suite) && record.is_valid_at(now) && later {
            best = Some((record, bytes, place));
        }
    }
    let (record, bytes, place) = best.ok_or(match of_suite {
        true => Malformed::KeyTime,
        false => Malformed::NoKey,
    })?;
    Ok((record, key_id(bytes), place))
}
