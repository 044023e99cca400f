//! Pins: what a client remembers of a gateway.

use core::fmt;
use core::str::FromStr;

use sha2::{Digest, Sha256};

/// Bytes of an identity public key: an uncompressed P-256 point (SEC 1).
pub const IDENTITY_LEN: usize = 65;

/// What stands before the point in a SubjectPublicKeyInfo (RFC 5480) of an uncompressed P-256 key.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const TEXT_PREFIX: &str = "sha256:";

/// The SHA-256 of a gateway's identity key, as SubjectPublicKeyInfo in DER.
///
/// `openssl pkey -in KEY -pubout -outform DER | sha256sum` prints the same digits.
///
/// ```
/// use sealwire_core::keys::Pin;
/// let pin: Pin = "sha256:0000000000000000000000000000000000000000000000000000000000000001".parse()?;
/// assert_eq!(pin.as_bytes()[31], 1);
/// # Ok::<(), sealwire_core::keys::ParsePinError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin([u8; 32]);

impl Pin {
    /// The pin of an identity public key.
    pub fn of(identity: &[u8; IDENTITY_LEN]) -> Self {
        Self(
            Sha256::new()
                .chain_update(SPKI_PREFIX)
                .chain_update(identity)
                .finalize()
                .into(),
        )
    }

    /// A pin from its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TEXT_PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

/// A text that is not a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsePinError;

impl fmt::Display for ParsePinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pin is `sha256:` and 64 hexadecimal digits, as `sealwire keygen` and `sealwire keys` print it")
    }
}

impl core::error::Error for ParsePinError {}

impl FromStr for Pin {
    type Err = ParsePinError;

    /// Reads `sha256:` and 64 hexadecimal digits; the prefix may be left out.
    fn from_str(text: &str) -> Result<Self, ParsePinError> {
        let digits = text.strip_prefix(TEXT_PREFIX).unwrap_or(text).as_bytes();
        let (pairs, rest) = digits.as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(ParsePinError);
        }
        let mut pin = [0; 32];
        for (byte, pair) in pin.iter_mut().zip(pairs) {
            for digit in pair {
                let value = (*digit as char).to_digit(16).ok_or(ParsePinError)?;
                *byte = *byte << 4 | value as u8;
            }
        }
        Ok(Self(pin))
    }
}
