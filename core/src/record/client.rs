//! The client's side: seal a request, open its response.

use aes_gcm::Aes256Gcm;
use sha2::{Digest, Sha256};

use super::cipher::{Opened, Opener, Sealer};
use super::server::OpenHeader;
use crate::agreement::{KeyAgreement, RustCrypto, SEED_LEN, encapsulate_by};
use crate::error::{Error, Malformed, Misuse, PeerError};
use crate::frame::{FrameType, RESPONSE_NONCE_LEN};
use crate::schedule::{KeyBlock, KeyStore};
use crate::state::{ClientState, client_table, next};
use crate::suite::RecordAead;

/// Seals the frames of a request: HEAD, any number of DATA, END.
pub struct RequestSealer<S: KeyStore, A = Aes256Gcm> {
    sealer: Sealer<A, S>,
    enc: Sha256,
    head_sealed: bool,
}

/// A request whose last frame is sealed; waits for ACCEPT.
pub struct ResponseStart<S: KeyStore, A = Aes256Gcm> {
    sealer: Sealer<A, S>,
    enc: Sha256,
    cancelled: bool,
}

/// Opens the frames of a response.
pub struct ResponseOpener<S: KeyStore, A = Aes256Gcm> {
    opener: Opener<A, S>,
    state: ClientState,
    complete: bool,
}

/// Proof that a response arrived whole: its END authenticated (ORDER-1).
#[derive(Debug, PartialEq, Eq)]
pub struct Complete(());

impl Complete {
    #[cfg(feature = "alloc")]
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

impl<S: KeyStore> RequestSealer<S> {
    /// Random bytes that one request needs.
    pub const SEED_LEN: usize = SEED_LEN;

    /// Agrees on keys with the holder of `public_key`.
    ///
    /// `seed` is fresh randomness and is wiped; the first [`Suite::enc_len`](crate::Suite::enc_len) bytes of `enc` receive the
    /// encapsulated key, which follows `header` in the OPEN frame. A larger buffer, such as one of
    /// [`Suite::MAX_ENC_LEN`](crate::Suite::MAX_ENC_LEN) for every suite, is left as it was behind them.
    ///
    /// # Errors
    /// [`Malformed::PublicKey`] if the public key is not valid, [`Misuse::OutputTooSmall`] if `enc` cannot hold it,
    /// [`Environment::Random`](crate::Environment::Random) if `seed` cannot have been random.
    pub fn new(
        header: &OpenHeader,
        public_key: &[u8],
        seed: &mut [u8; SEED_LEN],
        enc: &mut [u8],
        store: S,
    ) -> Result<Self, Error> {
        Self::with_aead(header, public_key, seed, enc, store)
    }
}

impl<S: KeyStore, A: RecordAead> RequestSealer<S, A> {
    /// [`new`](RequestSealer::new) with another implementation of the record cipher.
    ///
    /// # Errors
    /// As there.
    pub fn with_aead(
        header: &OpenHeader,
        public_key: &[u8],
        seed: &mut [u8; SEED_LEN],
        enc: &mut [u8],
        store: S,
    ) -> Result<Self, Error> {
        Self::with_agreement(&RustCrypto, header, public_key, seed, enc, store)
    }

    /// [`new`](RequestSealer::new) with other implementations of the record cipher and the key agreement.
    ///
    /// # Errors
    /// As there, and what the provider says.
    pub fn with_agreement(
        agreement: &dyn KeyAgreement,
        header: &OpenHeader,
        public_key: &[u8],
        seed: &mut [u8; SEED_LEN],
        enc: &mut [u8],
        store: S,
    ) -> Result<Self, Error> {
        let needed = header.suite().enc_len();
        let enc = enc
            .get_mut(..needed)
            .ok_or(Misuse::OutputTooSmall { needed })?;
        let mut keys = KeyBlock::new(store);
        encapsulate_by(agreement, header, public_key, seed, enc, keys.secrets_mut())?;
        Ok(Self {
            sealer: Sealer::new(keys),
            enc: Sha256::new_with_prefix(enc),
            head_sealed: false,
        })
    }

    /// Seals HEAD; its `content_len` bytes of content stand at [`CONTENT_OFFSET`](crate::frame::CONTENT_OFFSET) of `frame`.
    /// The frame takes `size` bytes, or as few as it needs if that is more.
    ///
    /// # Errors
    /// [`Misuse`]; nothing has changed, unless the cipher failed ([`RecordAead`]), which ends the direction.
    pub fn seal_head(
        &mut self,
        frame: &mut [u8],
        content_len: usize,
        size: usize,
    ) -> Result<(), Misuse> {
        if self.head_sealed {
            return Err(Misuse::State("HEAD is sealed already"));
        }
        self.sealer
            .seal(FrameType::Head, frame, content_len, size)?;
        self.head_sealed = true;
        Ok(())
    }

    /// Seals DATA, like [`seal_head`](Self::seal_head).
    ///
    /// # Errors
    /// [`Misuse`]; nothing has changed, unless the cipher failed ([`RecordAead`]), which ends the direction.
    pub fn seal_data(
        &mut self,
        frame: &mut [u8],
        content_len: usize,
        size: usize,
    ) -> Result<(), Misuse> {
        if !self.head_sealed {
            return Err(Misuse::State("HEAD comes first"));
        }
        self.sealer.seal(FrameType::Data, frame, content_len, size)
    }

    /// Seals END and goes on to the response.
    ///
    /// # Errors
    /// The sealer itself, unchanged unless the cipher failed ([`RecordAead`]), and [`Misuse`].
    #[allow(clippy::result_large_err)] // the caller gets its object back, whatever its size
    pub fn seal_end(
        mut self,
        frame: &mut [u8],
        size: usize,
    ) -> Result<ResponseStart<S, A>, (Self, Misuse)> {
        if !self.head_sealed {
            return Err((self, Misuse::State("HEAD comes first")));
        }
        match self.sealer.seal(FrameType::End, frame, 0, size) {
            Ok(()) => Ok(ResponseStart {
                sealer: self.sealer,
                enc: self.enc,
                cancelled: false,
            }),
            Err(error) => Err((self, error)),
        }
    }
}

impl<S: KeyStore, A: RecordAead> ResponseStart<S, A> {
    /// Seals CANCEL (ORDER-6), at most once.
    ///
    /// # Errors
    /// [`Misuse`]; nothing has changed, unless the cipher failed ([`RecordAead`]), which ends the direction.
    pub fn seal_cancel(&mut self, frame: &mut [u8], size: usize) -> Result<(), Misuse> {
        if self.cancelled {
            return Err(Misuse::State("cancelled already"));
        }
        self.sealer.seal(FrameType::Cancel, frame, 0, size)?;
        self.cancelled = true;
        Ok(())
    }

    /// Takes the body of ACCEPT.
    pub fn accept(self, response_nonce: &[u8; RESPONSE_NONCE_LEN]) -> ResponseOpener<S, A> {
        let mut keys = self.sealer.into_keys();
        keys.start_response(self.enc, response_nonce);
        ResponseOpener {
            opener: Opener::new(keys),
            state: ClientState::AwaitHead,
            complete: false,
        }
    }
}

impl<S: KeyStore, A: RecordAead> ResponseOpener<S, A> {
    /// Whether a frame of this type may come next. [`open`](Self::open) asks it as well; who finds frames by their headers asks it
    /// before the limit on their size (FRAME-7).
    pub fn expects(&self, kind: FrameType) -> bool {
        next(client_table(), self.state, kind).is_some()
    }

    /// Opens one whole frame in place: HEAD, DATA, END or ERROR.
    ///
    /// # Errors
    /// [`PeerError`]; from then on every call returns [`PeerError::Poisoned`]. [`Malformed::TrailingBytes`] after END or ERROR.
    pub fn open<'a>(&mut self, frame: &'a mut [u8]) -> Result<Opened<'a>, PeerError> {
        if self.state == ClientState::Done {
            return Err(Malformed::TrailingBytes.into());
        }
        let follows = |kind| next(client_table(), self.state, kind);
        let (opened, state) = self.opener.open(frame, follows)?;
        self.state = state;
        self.complete = opened.kind == FrameType::End;
        Ok(opened)
    }

    /// The proof that END authenticated.
    ///
    /// # Errors
    /// [`PeerError::Truncated`] before that.
    pub fn finish(self) -> Result<Complete, PeerError> {
        if self.complete {
            Ok(Complete(()))
        } else {
            Err(PeerError::Truncated)
        }
    }
}
