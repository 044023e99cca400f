//! The gateway's side: parse OPEN, open a request, seal its response.

use aes_gcm::Aes256Gcm;
use sha2::{Digest, Sha256};

use super::cipher::{Opened, Opener, Sealer};
use crate::agreement::{KeyAgreement, Keys, RustCrypto, are_given};
use crate::error::{Error, Misuse, PeerError, RejectCode};
use crate::frame::{FrameType, RESPONSE_NONCE_LEN, VERSION};
use crate::schedule::{KEY_BLOCK_LEN, KeyBlock, KeyStore};
use crate::state::{ClientState, ServerState, client_table, next, server_table};
use crate::suite::{RecordAead, Suite};
use crate::time::UnixTime;

/// The first 15 bytes of OPEN (spec section 4.1): what the key agreement is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenHeader {
    suite: Suite,
    key_id: [u8; 8],
}

impl OpenHeader {
    /// Bytes of an open header.
    pub const LEN: usize = 15;

    /// The header of a request to the key `key_id`.
    pub const fn new(suite: Suite, key_id: [u8; 8]) -> Self {
        Self { suite, key_id }
    }

    /// Splits the body of OPEN into header and encapsulated key. How long that must be is a question for a gateway that offers the suite
    /// (OPEN-1): [`RequestOpener::with_keys`] asks it.
    ///
    /// # Errors
    /// The code to refuse it with: of another version, too short, or of a suite that is not known here.
    pub fn parse(body: &[u8]) -> Result<(Self, &[u8]), RejectCode> {
        let (&version, _) = body.split_first().ok_or(RejectCode::Malformed)?;
        if version != VERSION {
            return Err(RejectCode::Version);
        }
        let (header, enc) = body
            .split_first_chunk::<{ Self::LEN }>()
            .ok_or(RejectCode::Malformed)?;
        let id = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let suite = Suite::from_kem_id(id(1)).ok_or(RejectCode::Suite)?;
        if id(3) != Suite::KDF_ID || id(5) != Suite::AEAD_ID {
            return Err(RejectCode::Suite);
        }
        let key_id = header[7..].try_into().expect("15 - 7 = 8");
        Ok((Self { suite, key_id }, enc))
    }

    /// The bytes on the wire.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = VERSION;
        bytes[1..3].copy_from_slice(&self.suite.kem_id().to_be_bytes());
        bytes[3..5].copy_from_slice(&Suite::KDF_ID.to_be_bytes());
        bytes[5..7].copy_from_slice(&Suite::AEAD_ID.to_be_bytes());
        bytes[7..].copy_from_slice(&self.key_id);
        bytes
    }

    /// The suite asked for.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Which of the gateway's keys.
    pub const fn key_id(&self) -> [u8; 8] {
        self.key_id
    }
}

/// Agrees on the secrets of a request with whichever of `keys` it names, or finds the first reason not to (OPEN-1).
pub(crate) fn agree(
    keys: &dyn Keys,
    header: &OpenHeader,
    enc: &[u8],
    now: UnixTime,
    secrets: &mut [u8; KEY_BLOCK_LEN],
) -> Result<(), RejectCode> {
    if !keys.offers(header.suite()) {
        return Err(RejectCode::Suite);
    }
    if enc.len() != header.suite().enc_len() {
        return Err(RejectCode::Malformed);
    }
    keys.agree(header, enc, now, secrets)?;
    match are_given(secrets) {
        true => Ok(()),
        false => Err(RejectCode::Undecryptable),
    }
}

/// Opens the frames of a request.
pub struct RequestOpener<S: KeyStore, A = Aes256Gcm> {
    opener: Opener<A, S>,
    enc: Sha256,
    state: ServerState,
}

/// Seals the frames of a response: HEAD, any number of DATA, END; or ERROR.
pub struct ResponseSealer<S: KeyStore, A = Aes256Gcm> {
    sealer: Sealer<A, S>,
    /// Of the client that will open them.
    state: ClientState,
}

impl<S: KeyStore> RequestOpener<S> {
    /// Decapsulates with a private key in the serialised form of its KEM (32 bytes for both suites).
    ///
    /// # Errors
    /// [`Malformed::PublicKey`](crate::Malformed::PublicKey) if `enc` is not valid, [`Misuse::State`] if the private key is not one of the
    /// suite.
    pub fn new(
        header: &OpenHeader,
        enc: &[u8],
        private_key: &[u8],
        store: S,
    ) -> Result<Self, Error> {
        Self::with_aead(header, enc, private_key, store)
    }
}

impl<S: KeyStore, A: RecordAead> RequestOpener<S, A> {
    /// [`new`](RequestOpener::new) with another implementation of the record cipher.
    ///
    /// # Errors
    /// As there.
    pub fn with_aead(
        header: &OpenHeader,
        enc: &[u8],
        private_key: &[u8],
        store: S,
    ) -> Result<Self, Error> {
        let mut keys = KeyBlock::new(store);
        RustCrypto.decapsulate(header, private_key, enc, keys.secrets_mut())?;
        Ok(Self::of(keys, enc))
    }

    /// The opener of a request to whichever of `keys` it names; with any implementation of cipher and key agreement.
    ///
    /// # Errors
    /// The code to refuse the request with.
    pub fn with_keys(
        keys: &dyn Keys,
        header: &OpenHeader,
        enc: &[u8],
        now: UnixTime,
        store: S,
    ) -> Result<Self, RejectCode> {
        let mut block = KeyBlock::new(store);
        agree(keys, header, enc, now, block.secrets_mut())?;
        Ok(Self::of(block, enc))
    }

    fn of(keys: KeyBlock<S>, enc: &[u8]) -> Self {
        Self {
            opener: Opener::new(keys),
            enc: Sha256::new_with_prefix(enc),
            state: ServerState::AwaitHead,
        }
    }

    /// Whether a frame of this type may come next. [`open`](Self::open) asks it as well; who finds frames by their headers asks it
    /// before the limit on their size (FRAME-7).
    pub fn expects(&self, kind: FrameType) -> bool {
        next(server_table(), self.state, kind).is_some()
    }

    /// Opens one whole frame in place: HEAD, DATA, END, or CANCEL.
    ///
    /// # Errors
    /// [`PeerError`]; from then on every call returns [`PeerError::Poisoned`].
    pub fn open<'a>(&mut self, frame: &'a mut [u8]) -> Result<Opened<'a>, PeerError> {
        let follows = |kind| next(server_table(), self.state, kind);
        let (opened, state) = self.opener.open(frame, follows)?;
        // Behind CANCEL comes nothing, another one included (ORDER-6).
        self.state = match opened.kind {
            FrameType::Cancel => ServerState::Done,
            _ => state,
        };
        Ok(opened)
    }

    /// Whether anything opened: only then may a refusal be sealed (ORDER-4).
    pub fn can_respond(&self) -> bool {
        self.opener.has_opened()
    }

    /// Goes on to the response. `response_nonce` is fresh randomness and is the body of ACCEPT. What did not end, or failed, gets no
    /// answer but ERROR (ORDER-2, ORDER-4).
    ///
    /// # Errors
    /// The opener itself if nothing has been opened yet: the refusal is REJECT then.
    #[allow(clippy::result_large_err)] // the caller gets its object back, whatever its size
    pub fn respond(
        self,
        response_nonce: &[u8; RESPONSE_NONCE_LEN],
    ) -> Result<ResponseSealer<S, A>, Self> {
        if !self.can_respond() {
            return Err(self);
        }
        let is_whole = self.state == ServerState::Handling && !self.opener.is_poisoned();
        let mut keys = self.opener.into_keys();
        keys.start_response(self.enc, response_nonce);
        Ok(ResponseSealer {
            sealer: Sealer::new(keys),
            state: match is_whole {
                true => ClientState::AwaitHead,
                false => ClientState::AwaitError,
            },
        })
    }
}

impl<S: KeyStore, A: RecordAead> ResponseSealer<S, A> {
    /// Seals a frame of the response; content and sizes as in [`RequestSealer::seal_head`](super::RequestSealer::seal_head).
    ///
    /// # Errors
    /// [`Misuse`]; nothing has changed, unless the cipher failed ([`RecordAead`]), which ends the direction.
    pub fn seal(
        &mut self,
        kind: FrameType,
        frame: &mut [u8],
        content_len: usize,
        size: usize,
    ) -> Result<(), Misuse> {
        let state = next(client_table(), self.state, kind)
            .ok_or(Misuse::State("this frame cannot follow in the response"))?;
        self.sealer.seal(kind, frame, content_len, size)?;
        self.state = state;
        Ok(())
    }
}
