//! Keys and trust (spec section 5).
//!
//! A gateway signs short-lived *epoch* keys with its long-lived *identity*; a [`Pin`] is the SHA-256 of the identity, so that rotation
//! never breaks one. Clients parse a `KeySet`, decide whether they trust its identity, and get a `GatewayKey`; without a heap, a
//! [`KeysBody`] and a [`KeyRecord`].

mod body;
#[cfg(feature = "alloc")]
mod gateway;
mod pin;
mod record;
#[cfg(feature = "alloc")]
mod set;

pub use crate::agreement::Keys;
pub use body::KeysBody;
#[cfg(feature = "alloc")]
pub use gateway::{Identity, KeyRing};
pub use pin::{IDENTITY_LEN, ParsePinError, Pin};
pub use record::{KEY_ID_LEN, KeyRecord, RecordLimits, SIGNATURE_LEN, SKEW, key_id, verify};
#[cfg(feature = "alloc")]
pub use set::{GatewayKey, KeySet, SignedRecord};
