//! A cipher that seals nothing and a key agreement that agrees on nothing secret. They live here, where no feature of a product can
//! reach them.

use aead::array::Array;
use aead::consts::{U12, U16, U32};
use aead::inout::InOutBuf;
use aead::{AeadCore, AeadInOut, Key, KeyInit, KeySizeUser, Nonce, Tag, TagPosition};
use sealwire_core::agreement::{KeyAgreement, Keys, SEED_LEN};
use sealwire_core::record::OpenHeader;
use sealwire_core::{Error, KEY_BLOCK_LEN, Malformed, RejectCode, Suite, UnixTime};

/// A cipher of the right shape that changes nothing and accepts the tag `00..00` only.
#[derive(Clone, Debug)]
pub struct NullAead;

impl KeySizeUser for NullAead {
    type KeySize = U32;
}

impl KeyInit for NullAead {
    fn new(_: &Key<Self>) -> Self {
        Self
    }
}

impl AeadCore for NullAead {
    type NonceSize = U12;
    type TagSize = U16;
    const TAG_POSITION: TagPosition = TagPosition::Postfix;
}

impl AeadInOut for NullAead {
    fn encrypt_inout_detached(
        &self,
        _: &Nonce<Self>,
        _: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> aead::Result<Tag<Self>> {
        copy(buffer);
        Ok(Array::default())
    }

    fn decrypt_inout_detached(
        &self,
        _: &Nonce<Self>,
        _: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<Self>,
    ) -> aead::Result<()> {
        copy(buffer);
        match tag.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(aead::Error),
        }
    }
}

fn copy(buffer: InOutBuf<'_, '_, u8>) {
    for mut byte in buffer {
        *byte.get_out() = *byte.get_in();
    }
}

/// Key agreement without the two scalar multiplications that would leave some hundred runs a second and find nothing in the curve.
///
/// An encapsulation is 4, as uncompressed points begin, 32 bytes of the seed, and zeros; the secrets follow from it and from the open
/// header, so whoever sees it has them. Under P-256 another first byte is "not a point".
#[derive(Debug)]
pub struct NullAgreement;

impl KeyAgreement for NullAgreement {
    fn encapsulate(
        &self,
        header: &OpenHeader,
        _: &[u8],
        seed: &mut [u8; SEED_LEN],
        enc: &mut [u8],
        secrets: &mut [u8; KEY_BLOCK_LEN],
    ) -> Result<(), Error> {
        enc.fill(0);
        enc[0] = 4;
        enc[1..33].copy_from_slice(&seed[..32]);
        seed.fill(0);
        expand(header, enc, secrets);
        Ok(())
    }

    fn decapsulate(
        &self,
        header: &OpenHeader,
        _: &[u8],
        enc: &[u8],
        secrets: &mut [u8; KEY_BLOCK_LEN],
    ) -> Result<(), Error> {
        if header.suite() == Suite::P256 && enc[0] != 4 {
            return Err(Malformed::PublicKey.into());
        }
        expand(header, enc, secrets);
        Ok(())
    }
}

/// FNV-1a of all that goes in, then of itself.
fn expand(header: &OpenHeader, enc: &[u8], secrets: &mut [u8; KEY_BLOCK_LEN]) {
    let step = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let bytes = header.to_bytes().into_iter().chain(enc.iter().copied());
    let mut state = bytes.fold(0xcbf2_9ce4_8422_2325, step);
    for byte in secrets {
        state = step(state, 0);
        *byte = (state >> 56) as u8;
    }
}

/// A gateway that has every key there could be.
pub struct AnyKey;

impl Keys for AnyKey {
    fn offers(&self, _: Suite) -> bool {
        true
    }

    fn agree(
        &self,
        header: &OpenHeader,
        enc: &[u8],
        _: UnixTime,
        secrets: &mut [u8; KEY_BLOCK_LEN],
    ) -> Result<(), RejectCode> {
        NullAgreement
            .decapsulate(header, &[], enc, secrets)
            .map_err(|_| RejectCode::Undecryptable)
    }
}
