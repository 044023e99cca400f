//! Sealing and opening one frame (spec section 2.1).

use aead::{Key, Nonce};
use core::marker::PhantomData;
use zeroize::Zeroize;

use crate::error::{Malformed, Misuse, PeerError};
use crate::frame::{
    CONTENT_LENGTH_LEN, FrameHeader, FrameType, HEADER_LEN, LARGEST_FRAME, SEALED_OVERHEAD, TAG_LEN,
};
use crate::schedule::{KeyBlock, KeyStore};
use crate::stack;
use crate::suite::RecordAead;

/// The most frames of one direction (SEAL-6).
pub(crate) const MAX_FRAMES: u64 = 1 << 32;

/// Seals the frames of one direction.
pub(crate) struct Sealer<A, S: KeyStore> {
    keys: KeyBlock<S>,
    sequence: u64,
    failed: bool,
    cipher: PhantomData<A>,
}

impl<A: RecordAead, S: KeyStore> Sealer<A, S> {
    pub(crate) fn new(keys: KeyBlock<S>) -> Self {
        Self {
            keys,
            sequence: 0,
            failed: false,
            cipher: PhantomData,
        }
    }

    /// Seals the frame at the start of `frame`, whose content already stands at [`CONTENT_OFFSET`](crate::frame::CONTENT_OFFSET). The frame takes
    /// `size` bytes; what `content_len` leaves of it becomes zeros.
    ///
    /// Nothing changes on an error, so that the call can be made again with a larger buffer. Only where the cipher itself fails is
    /// this the end of the direction: what it left in the frame is wiped, and its nonce is not used again.
    pub(crate) fn seal(
        &mut self,
        kind: FrameType,
        frame: &mut [u8],
        content_len: usize,
        size: usize,
    ) -> Result<(), Misuse> {
        let content_length = u16::try_from(content_len).map_err(|_| Misuse::TooLarge {
            what: "frame content",
            limit: u64::from(u16::MAX),
        })?;
        let needed = size.max(SEALED_OVERHEAD + content_len);
        if frame.len() < needed {
            return Err(Misuse::OutputTooSmall { needed });
        }
        let too_large = || Misuse::TooLarge {
            what: "frame",
            limit: LARGEST_FRAME as u64,
        };
        if needed > LARGEST_FRAME {
            return Err(too_large());
        }
        let header = FrameHeader::new(kind, needed - HEADER_LEN).map_err(|_| too_large())?;
        if !may_hold(kind, content_len) {
            return Err(Misuse::State(
                "END and CANCEL have no content, HEAD and ERROR some",
            ));
        }
        if self.failed {
            return Err(Misuse::State("the record cipher has failed"));
        }
        if self.sequence >= MAX_FRAMES {
            return Err(Misuse::State("this direction has carried 2^32 frames"));
        }
        let (head, body) = frame[..needed].split_at_mut(HEADER_LEN);
        head.copy_from_slice(&header.to_bytes());
        let (plaintext, tag) = body.split_at_mut(needed - HEADER_LEN - TAG_LEN);
        plaintext[..CONTENT_LENGTH_LEN].copy_from_slice(&content_length.to_be_bytes());
        plaintext[CONTENT_LENGTH_LEN + content_len..].fill(0);
        let sealed = stack::record(|| {
            let nonce = nonce::<A>(self.keys.base_nonce(), self.sequence);
            let cipher = A::new(key::<A>(self.keys.key()));
            cipher
                .encrypt_inout_detached(&nonce, head, (&mut *plaintext).into())
                .map(|t| tag.copy_from_slice(&t))
        });
        self.failed = sealed.is_err();
        if self.failed {
            plaintext.zeroize();
            return Err(Misuse::State("the record cipher has failed"));
        }
        self.sequence += 1;
        Ok(())
    }

    pub(crate) fn into_keys(self) -> KeyBlock<S> {
        self.keys
    }
}

/// Opens the frames of one direction; one failure poisons it (SEAL-3).
pub(crate) struct Opener<A, S: KeyStore> {
    keys: KeyBlock<S>,
    sequence: u64,
    poisoned: bool,
    cipher: PhantomData<A>,
}

/// A frame that authenticated.
#[derive(PartialEq, Eq)]
pub struct Opened<'a> {
    /// Its type.
    pub kind: FrameType,
    /// Its content, inside the caller's buffer.
    pub content: &'a [u8],
}

impl core::fmt::Debug for Opened<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Opened({} [REDACTED])", self.kind.name())
    }
}

impl<A: RecordAead, S: KeyStore> Opener<A, S> {
    pub(crate) fn new(keys: KeyBlock<S>) -> Self {
        Self {
            keys,
            sequence: 0,
            poisoned: false,
            cipher: PhantomData,
        }
    }

    /// Whether any frame has been opened.
    pub(crate) fn has_opened(&self) -> bool {
        self.sequence > 0
    }

    /// Opens exactly one whole frame in place, if something `follows` its type: which is asked before its tag is (FRAME-7), and
    /// given back.
    pub(crate) fn open<'a, N>(
        &mut self,
        frame: &'a mut [u8],
        follows: impl FnOnce(FrameType) -> Option<N>,
    ) -> Result<(Opened<'a>, N), PeerError> {
        if self.poisoned {
            return Err(PeerError::Poisoned);
        }
        self.poisoned = true;
        let opened = self.open_frame(frame, follows)?;
        self.poisoned = false;
        Ok(opened)
    }

    fn open_frame<'a, N>(
        &mut self,
        frame: &'a mut [u8],
        follows: impl FnOnce(FrameType) -> Option<N>,
    ) -> Result<(Opened<'a>, N), PeerError> {
        let (head, body) = frame
            .split_first_chunk_mut::<HEADER_LEN>()
            .ok_or(Malformed::FrameLength)?;
        let header = FrameHeader::parse(*head)?;
        let kind = header.kind();
        if header.body_len() != body.len() || self.sequence >= MAX_FRAMES {
            return Err(Malformed::FrameLength.into());
        }
        if !kind.is_sealed() {
            return Err(Malformed::Order.into());
        }
        let next = follows(kind).ok_or(Malformed::Order)?;
        let (text, tag) = body.split_at_mut(header.body_len() - TAG_LEN);
        let tag: &[u8; TAG_LEN] = (&*tag).try_into().expect("split at TAG_LEN from the end");
        stack::record(|| {
            let nonce = nonce::<A>(self.keys.base_nonce(), self.sequence);
            let cipher = A::new(key::<A>(self.keys.key()));
            cipher.decrypt_inout_detached(&nonce, head, (&mut *text).into(), tag.into())
        })
        .map_err(|_| {
            // SEAL-5: a cipher may decrypt before it compares.
            text.zeroize();
            PeerError::Undecryptable
        })?;
        self.sequence += 1;
        let (length, rest) = text
            .split_first_chunk::<CONTENT_LENGTH_LEN>()
            .expect("FrameHeader::new demands room for it");
        let length = usize::from(u16::from_be_bytes(*length));
        // SEAL-4; the padding is summed up whole, so that the time taken says nothing about where it fails.
        let (content, padding) = rest.split_at_checked(length).ok_or(Malformed::Padding)?;
        if padding.iter().fold(0, |all, byte| all | byte) != 0 {
            return Err(Malformed::Padding.into());
        }
        if !may_hold(kind, content.len()) {
            return Err(Malformed::Content.into());
        }
        Ok((Opened { kind, content }, next))
    }

    /// Whether it has failed.
    pub(crate) const fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    pub(crate) fn into_keys(self) -> KeyBlock<S> {
        self.keys
    }
}

/// SEAL-7.
fn may_hold(kind: FrameType, content_len: usize) -> bool {
    match kind {
        FrameType::End | FrameType::Cancel => content_len == 0,
        FrameType::Head | FrameType::Error => content_len > 0,
        _ => true,
    }
}

/// The key as the cipher takes it, without copying it.
fn key<A: RecordAead>(bytes: &[u8; 32]) -> &Key<A> {
    bytes.into()
}

/// `base_nonce XOR (0x00000000 || sequence)`.
fn nonce<A: RecordAead>(base: &[u8; 12], sequence: u64) -> Nonce<A> {
    let mut nonce = Nonce::<A>::default();
    nonce.copy_from_slice(base);
    for (byte, count) in nonce[4..].iter_mut().zip(sequence.to_be_bytes()) {
        *byte ^= count;
    }
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::KEY_BLOCK_LEN;
    use aes_gcm::Aes256Gcm;

    /// SEAL-6: the last frame of a direction is number 2^32 - 1, on both sides, and nothing changes after it.
    #[test]
    fn a_direction_ends_after_2_to_the_32_frames() {
        assert_eq!(MAX_FRAMES, 4_294_967_296);
        let (mut ours, mut theirs) = ([7; KEY_BLOCK_LEN], [7; KEY_BLOCK_LEN]);
        let mut sealer = Sealer::<Aes256Gcm, _>::new(KeyBlock::new(&mut ours));
        let mut opener = Opener::<Aes256Gcm, _>::new(KeyBlock::new(&mut theirs));
        sealer.sequence = MAX_FRAMES - 1;
        opener.sequence = MAX_FRAMES - 1;
        let mut last = [0; 64];
        sealer
            .seal(FrameType::Data, &mut last, 0, 64)
            .expect("one is left");
        let mut more = [0; 64];
        assert_eq!(
            sealer.seal(FrameType::Data, &mut more, 0, 64),
            Err(Misuse::State("this direction has carried 2^32 frames"))
        );
        assert_eq!(more, [0; 64]);
        let mut again = last;
        assert!(opener.open(&mut last, Some).is_ok());
        assert!(opener.open(&mut again, Some).is_err());
        assert_eq!(opener.sequence, MAX_FRAMES);
    }

    /// SEAL-2, and what the page promises of buffers: an error changes nothing, and the call can be made again.
    #[test]
    fn a_seal_that_does_not_fit_changes_nothing() {
        let mut block = [7; KEY_BLOCK_LEN];
        let mut sealer = Sealer::<Aes256Gcm, _>::new(KeyBlock::new(&mut block));
        let mut frame = [9; 80];
        for (content, size, needed) in [(40, 0, 62), (0, 81, 81), (60, 81, 82)] {
            let result = sealer.seal(FrameType::Data, &mut frame[..61], content, size);
            assert_eq!(result, Err(Misuse::OutputTooSmall { needed }));
        }
        for content in [65_536, usize::MAX] {
            let result = sealer.seal(FrameType::Data, &mut frame, content, 0);
            assert!(matches!(result, Err(Misuse::TooLarge { .. })));
        }
        assert_eq!((frame, sealer.sequence), ([9; 80], 0));
        assert_eq!(sealer.seal(FrameType::Data, &mut frame, 40, 0), Ok(()));
        assert_eq!(sealer.sequence, 1);
    }
}
