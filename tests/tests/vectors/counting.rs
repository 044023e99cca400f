//! AES-256-GCM that counts the tags that verified: what a vector calls `opened`.

use std::cell::Cell;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{
    AeadCore, AeadInOut, Error, Key, KeyInit, KeySizeUser, Nonce, Tag, TagPosition,
};

thread_local! {
    static OPENED: Cell<u64> = const { Cell::new(0) };
}

/// How many frames this thread has opened since it asked last.
pub(crate) fn take_opened() -> u64 {
    OPENED.take()
}

pub(crate) struct Counting(Aes256Gcm);

impl KeySizeUser for Counting {
    type KeySize = <Aes256Gcm as KeySizeUser>::KeySize;
}

impl KeyInit for Counting {
    fn new(key: &Key<Self>) -> Self {
        Self(Aes256Gcm::new(key))
    }
}

impl AeadCore for Counting {
    type NonceSize = <Aes256Gcm as AeadCore>::NonceSize;
    type TagSize = <Aes256Gcm as AeadCore>::TagSize;
    const TAG_POSITION: TagPosition = Aes256Gcm::TAG_POSITION;
}

impl AeadInOut for Counting {
    fn encrypt_inout_detached(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Tag<Self>, Error> {
        self.0
            .encrypt_inout_detached(nonce, associated_data, buffer)
    }

    fn decrypt_inout_detached(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<Self>,
    ) -> Result<(), Error> {
        self.0
            .decrypt_inout_detached(nonce, associated_data, buffer, tag)?;
        OPENED.set(OPENED.get() + 1);
        Ok(())
    }
}
