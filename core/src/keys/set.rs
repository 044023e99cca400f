//! Key sets (spec section 5.3): an identity and the records it signed, as a KEYS body or as JSON.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use base64ct::{Base64, Encoding};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

use super::body::{self, KeysBody, MAX_RECORDS};
use super::pin::{IDENTITY_LEN, Pin};
use super::record::{KEY_ID_LEN, SIGNATURE_LEN, is_valid_between};
#[cfg(doc)]
use crate::error::Environment;
use crate::error::{Error, Malformed};
use crate::suite::Suite;
use crate::time::UnixTime;

/// The largest key set read, as KEYS or as JSON, in bytes.
const MAX_JSON: usize = 256 * 1024;
/// What every client reads of JSON, in bytes. Of base64 there is more than of the bytes in it, so a set that fits here fits KEYS.
const EVERY_CLIENT_READS: usize = 64 * 1024;
/// The longest record, in bytes: what its length in KEYS can say (REC-5). Those of known suites have at most 1283.
const MAX_RECORD: usize = u16::MAX as usize;

/// An identity and the records it signed, not yet trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    identity: [u8; IDENTITY_LEN],
    records: Vec<SignedRecord>,
}

/// A record with its signature, and attestation evidence if there is any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRecord {
    /// The record's bytes.
    pub record: Vec<u8>,
    /// The identity's signature.
    pub signature: [u8; SIGNATURE_LEN],
    /// Attestation evidence; commits to the SHA-256 of the record.
    pub evidence: Option<Vec<u8>>,
}

impl SignedRecord {
    /// The SHA-256 of the record: what attestation evidence commits to, and the key id begins.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.record).into()
    }

    /// Bytes that it takes of the JSON document, evidence left out.
    pub(super) fn share(&self) -> usize {
        let around = r#"{"record":"","signature":""},"#.len();
        base64_len(self.record.len()) + base64_len(SIGNATURE_LEN) + around
    }
}

const fn base64_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// A key that a client seals to: its record verified, its identity not yet judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayKey {
    pub(crate) suite: Suite,
    pub(crate) key_id: [u8; KEY_ID_LEN],
    pub(crate) public_key: Vec<u8>,
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
    pub(crate) max_frame: u32,
    pub(crate) max_request: u32,
}

impl GatewayKey {
    /// The suite.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The first 8 bytes of the record's SHA-256.
    pub const fn key_id(&self) -> [u8; KEY_ID_LEN] {
        self.key_id
    }

    /// Whether a client whose clock says `now` may use the key (TIME-1).
    pub(crate) fn is_valid_at(&self, now: UnixTime) -> bool {
        is_valid_between(self.not_before, self.not_after, now)
    }

    /// When the key stops being valid.
    pub const fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// The largest request body the gateway accepts, in bytes.
    pub const fn max_request(&self) -> u32 {
        self.max_request
    }
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u8,
    identity: String,
    keys: Vec<Object<DocumentKey>>,
}

#[derive(Serialize, Deserialize)]
struct DocumentKey {
    record: String,
    signature: String,
    #[serde(
        default,
        deserialize_with = "some",
        skip_serializing_if = "Option::is_none"
    )]
    evidence: Option<String>,
}

/// What may be missing, but is no null (REC-5).
fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// What must be a JSON object (REC-5): derived code alone takes an array of a struct's members for the struct as well. It refuses a
/// member that it knows where it stands twice.
#[derive(Serialize)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

impl KeySet {
    /// A set of an identity and its records.
    ///
    /// # Errors
    /// [`Malformed::Keys`] for more than 64 records, or one longer than 65,535 bytes (REC-5).
    pub fn new(
        identity: [u8; IDENTITY_LEN],
        records: Vec<SignedRecord>,
    ) -> Result<Self, Malformed> {
        if records.len() > MAX_RECORDS {
            return Err(Malformed::Keys("count"));
        }
        if records
            .iter()
            .any(|signed| signed.record.len() > MAX_RECORD)
        {
            return Err(Malformed::Keys("length"));
        }
        Ok(Self { identity, records })
    }

    /// Bytes of a JSON document that every client reads which are there for records (TIME-3).
    pub(super) fn room() -> usize {
        let around = r#"{"version":1,"identity":"","keys":[]}"#.len();
        EVERY_CLIENT_READS - around - base64_len(IDENTITY_LEN)
    }

    /// Reads the body of a KEYS frame. Anyone on the way can make it long, so its memory is asked for.
    ///
    /// # Errors
    /// [`Malformed::Keys`] names the field; [`Environment::Memory`] if there is no memory for the records.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let body = KeysBody::parse(body)?;
        let mut records = Vec::new();
        records.try_reserve_exact(body.records().count())?;
        for (bytes, signature) in body.records() {
            let mut record = Vec::new();
            record.try_reserve_exact(bytes.len())?;
            record.extend_from_slice(bytes);
            records.push(SignedRecord {
                record,
                signature: *signature,
                evidence: None,
            });
        }
        Ok(Self::new(*body.identity(), records)?)
    }

    /// The body of a KEYS frame; evidence travels by HTTP only.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.identity.to_vec();
        // Both numbers fit: `new` has seen to it.
        out.push(self.records.len() as u8);
        for signed in &self.records {
            out.extend_from_slice(&(signed.record.len() as u16).to_be_bytes());
            out.extend_from_slice(&signed.record);
            out.extend_from_slice(&signed.signature);
        }
        out
    }

    /// Reads the JSON document.
    ///
    /// # Errors
    /// [`Malformed::Keys`] names what is wrong.
    pub fn from_json(json: &[u8]) -> Result<Self, Malformed> {
        if json.len() > MAX_JSON {
            return Err(Malformed::Keys("length"));
        }
        let Object(document): Object<Document> =
            serde_json::from_slice(json).map_err(|_| Malformed::Keys("json"))?;
        if document.version != 1 {
            return Err(Malformed::Keys("version"));
        }
        if document.keys.len() > MAX_RECORDS {
            return Err(Malformed::Keys("count"));
        }
        let identity = fixed(&document.identity, "identity")?;
        let records = document
            .keys
            .iter()
            .map(|Object(key)| {
                Ok(SignedRecord {
                    record: Base64::decode_vec(&key.record)
                        .map_err(|_| Malformed::Keys("record"))?,
                    signature: fixed(&key.signature, "signature")?,
                    evidence: match &key.evidence {
                        Some(text) => Some(
                            Base64::decode_vec(text).map_err(|_| Malformed::Keys("evidence"))?,
                        ),
                        None => None,
                    },
                })
            })
            .collect::<Result<_, _>>()?;
        Self::new(identity, records)
    }

    /// The JSON document.
    pub fn to_json(&self) -> String {
        let document = Document {
            version: 1,
            identity: Base64::encode_string(&self.identity),
            keys: self
                .records
                .iter()
                .map(|signed| {
                    Object(DocumentKey {
                        record: Base64::encode_string(&signed.record),
                        signature: Base64::encode_string(&signed.signature),
                        evidence: signed.evidence.as_deref().map(Base64::encode_string),
                    })
                })
                .collect(),
        };
        serde_json::to_string(&document).expect("strings and a number always serialise")
    }

    /// The identity public key.
    pub const fn identity(&self) -> &[u8; IDENTITY_LEN] {
        &self.identity
    }

    /// The pin of the identity: what trust is decided by (TRUST-1).
    pub fn pin(&self) -> Pin {
        Pin::of(&self.identity)
    }

    /// The records, as they came.
    pub fn records(&self) -> &[SignedRecord] {
        &self.records
    }

    /// The valid record of `suite` with the latest `not_before` (TRUST-3), every signature of the set verified (REC-1).
    ///
    /// # Errors
    /// The first thing wrong with any record; [`Malformed::NoKey`] without a record of the suite, [`Malformed::KeyTime`] if none of
    /// them is valid now.
    pub fn select(&self, suite: Suite, now: UnixTime) -> Result<GatewayKey, Malformed> {
        self.candidate(suite, now).map(|(key, _)| key)
    }

    /// What [`select`](Self::select) selects, with the record that it is of: a verifier of attestation judges the evidence of that
    /// one.
    ///
    /// # Errors
    /// As there.
    pub fn candidate(
        &self,
        suite: Suite,
        now: UnixTime,
    ) -> Result<(GatewayKey, &SignedRecord), Malformed> {
        let (key, place) = self.find(suite, now)?;
        Ok((key, &self.records[place]))
    }

    /// What [`select`](Self::select) selects, and where its record stands.
    pub(crate) fn find(
        &self,
        suite: Suite,
        now: UnixTime,
    ) -> Result<(GatewayKey, usize), Malformed> {
        let records = self.records.iter();
        let signed = records.map(|signed| (&signed.record[..], &signed.signature));
        let (record, key_id, place) = body::find(&self.identity, signed, suite, now)?;
        let key = GatewayKey {
            suite,
            key_id,
            public_key: record.public_key.into(),
            not_before: record.not_before,
            not_after: record.not_after,
            max_frame: record.max_frame,
            max_request: record.max_request,
        };
        Ok((key, place))
    }
}

fn fixed<const N: usize>(text: &str, field: &'static str) -> Result<[u8; N], Malformed> {
    let mut out = [0; N];
    match Base64::decode(text, &mut out) {
        Ok(bytes) if bytes.len() == N => Ok(out),
        _ => Err(Malformed::Keys(field)),
    }
}

#[cfg(test)]
mod tests;
