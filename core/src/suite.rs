//! Suites (spec section 3) and the traits that providers fill.

use aead::consts::{U12, U16, U32};
use aead::{AeadInOut, KeyInit};

/// The key agreement of a request. Key derivation (HKDF-SHA256) and record cipher (AES-256-GCM) are the same in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Suite {
    /// DHKEM(P-256, HKDF-SHA256): every peer has it.
    #[default]
    P256,
    /// MLKEM768-P256: what is recorded today stays closed to a quantum computer.
    #[cfg(feature = "post-quantum")]
    MlKem768P256,
}

impl Suite {
    /// Every suite of this build, the mandatory one first.
    pub const ALL: &'static [Self] = &[
        Self::P256,
        #[cfg(feature = "post-quantum")]
        Self::MlKem768P256,
    ];
    /// HKDF-SHA256, as in RFC 9180 section 7.2.
    pub const KDF_ID: u16 = 0x0001;
    /// AES-256-GCM, as in RFC 9180 section 7.3; the cipher of the records.
    pub const AEAD_ID: u16 = 0x0002;
    /// The largest encapsulated key of any suite in this build.
    pub const MAX_ENC_LEN: usize = if cfg!(feature = "post-quantum") {
        1153
    } else {
        65
    };
    /// The largest public key of any suite in this build.
    pub const MAX_PUBLIC_KEY_LEN: usize = if cfg!(feature = "post-quantum") {
        1249
    } else {
        65
    };

    /// The KEM id, as in RFC 9180 section 7.1 and draft-ietf-hpke-pq-04.
    pub const fn kem_id(self) -> u16 {
        match self {
            Self::P256 => 0x0010,
            #[cfg(feature = "post-quantum")]
            Self::MlKem768P256 => 0x0050,
        }
    }

    /// The suite of a KEM id, if this build has it.
    pub const fn from_kem_id(kem: u16) -> Option<Self> {
        match kem {
            0x0010 => Some(Self::P256),
            #[cfg(feature = "post-quantum")]
            0x0050 => Some(Self::MlKem768P256),
            _ => None,
        }
    }

    /// Bytes of an encapsulated key (Nenc).
    pub const fn enc_len(self) -> usize {
        match self {
            Self::P256 => 65,
            #[cfg(feature = "post-quantum")]
            Self::MlKem768P256 => 1153,
        }
    }

    /// Bytes of a public key (Npk).
    pub const fn public_key_len(self) -> usize {
        match self {
            Self::P256 => 65,
            #[cfg(feature = "post-quantum")]
            Self::MlKem768P256 => 1249,
        }
    }

    /// The name in reports: KEM, KDF and AEAD.
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM",
            #[cfg(feature = "post-quantum")]
            Self::MlKem768P256 => "MLKEM768-P256, HKDF-SHA256, AES-256-GCM",
        }
    }
}

/// What a record cipher must be: 256-bit key, 96-bit nonce, 128-bit tag. Any implementation of the `aead` traits of that shape fits;
/// [`aes_gcm::Aes256Gcm`] is the default.
///
/// It does not fail to seal a frame, of at most 65,557 bytes. One that does ends the direction: what it left in the buffer is wiped, and
/// nothing more is sealed, so that no nonce is used twice. Of a frame whose tag does not verify nothing is left in the buffer either, whatever
/// the cipher does to it first.
pub trait RecordAead: AeadInOut<NonceSize = U12, TagSize = U16> + KeyInit<KeySize = U32> {}

impl<A> RecordAead for A where A: AeadInOut<NonceSize = U12, TagSize = U16> + KeyInit<KeySize = U32> {}
