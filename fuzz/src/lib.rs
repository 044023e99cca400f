//! What the fuzz targets share: a cipher that seals nothing, so that the fuzzer reaches what lies behind authentication, and worlds
//! that are built once.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::convert::Infallible;

use aead::array::Array;
use aead::consts::{U12, U16, U32};
use aead::inout::InOutBuf;
use aead::{AeadCore, AeadInOut, Key, KeyInit, KeySizeUser, Nonce, Tag, TagPosition};
use rand_core::{TryCryptoRng, TryRng};
use sealwire_core::agreement::{KeyAgreement, RustCrypto};
use sealwire_core::exchange::Request;
use sealwire_core::frame::{FrameHeader, FrameType};
use sealwire_core::keys::{GatewayKey, Identity, KeyRing, Keys, RecordLimits};
use sealwire_core::record::OpenHeader;
use sealwire_core::{KEY_BLOCK_LEN, RejectCode, Suite, UnixTime};
use sealwire_memlock::{Policy, SecureMemory};

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
        mut buffer: InOutBuf<'_, '_, u8>,
    ) -> aead::Result<Tag<Self>> {
        let copy = buffer.get_in().to_vec();
        buffer.get_out().copy_from_slice(&copy);
        Ok(Array::default())
    }

    fn decrypt_inout_detached(
        &self,
        _: &Nonce<Self>,
        _: &[u8],
        mut buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<Self>,
    ) -> aead::Result<()> {
        let copy = buffer.get_in().to_vec();
        buffer.get_out().copy_from_slice(&copy);
        if tag.iter().all(|byte| *byte == 0) {
            Ok(())
        } else {
            Err(aead::Error)
        }
    }
}

/// Counts up; good enough where nothing is secret.
#[derive(Clone, Debug, Default)]
pub struct CountingRng(u64);

impl TryRng for CountingRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.try_next_u64()? as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(z ^ (z >> 31))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.try_next_u64()?.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for CountingRng {}

/// The wall clock of every run.
pub const NOW: UnixTime = UnixTime::from_millis(1_800_000_000_000);

/// A gateway's keys, made once: key generation would eat the fuzzer's time.
pub struct World {
    /// Ordinary memory: locking is fuzzed elsewhere.
    pub memory: SecureMemory,
    /// The gateway's keys.
    pub keys: KeyRing,
    /// The key that clients seal to.
    pub key: GatewayKey,
    /// Randomness.
    pub rng: CountingRng,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

impl World {
    fn new() -> Self {
        let memory = SecureMemory::new(Policy::Off);
        let mut rng = CountingRng::default();
        let identity = Identity::generate(&memory, &mut rng).expect("counting does not fail");
        let limits = RecordLimits::default();
        let mut keys = KeyRing::new(identity, &[Suite::P256], limits, memory.clone());
        keys.rotate(NOW, &mut rng).expect("counting does not fail");
        let key = keys.key_set().select(Suite::P256, NOW).expect("just made");
        Self {
            memory,
            keys,
            key,
            rng,
        }
    }

    /// Runs `f` in the world of this thread.
    pub fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
        WORLD.with_borrow_mut(f)
    }

    /// A chat request with this body.
    pub fn request(&self, body: &[u8]) -> Request {
        let body = self.memory.copy_from(body).expect("ordinary memory");
        Request::new("POST", "/v1/chat/completions", body)
    }

    /// A valid OPEN frame, so that the fuzzer need not find a curve point.
    pub fn open_frame(&self) -> Vec<u8> {
        let header = OpenHeader::new(Suite::P256, self.key.key_id());
        let frame = FrameHeader::new(FrameType::Open, OpenHeader::LEN + 65).expect("possible");
        let mut bytes = frame.to_bytes().to_vec();
        bytes.extend_from_slice(&header.to_bytes());
        bytes.extend_from_slice(self.keys.identity().public());
        bytes
    }
}

/// Keys for a null cipher: any OPEN of a known suite gets the same private key.
pub struct AnyKey;

impl Keys for AnyKey {
    fn agree(
        &self,
        header: &OpenHeader,
        enc: &[u8],
        _: UnixTime,
        secrets: &mut [u8; KEY_BLOCK_LEN],
    ) -> Result<(), RejectCode> {
        RustCrypto
            .decapsulate(header, &[1; 32], enc, secrets)
            .map_err(|_| RejectCode::Undecryptable)
    }
}

/// A null-sealed frame.
pub fn null_frame(kind: FrameType, content: &[u8], padding: usize) -> Vec<u8> {
    let content = &content[..content.len().min(16_000)];
    let padding = padding.min(16_000 - content.len());
    let Ok(header) = FrameHeader::new(kind, 2 + content.len() + padding + 16) else {
        return Vec::new();
    };
    let mut frame = header.to_bytes().to_vec();
    frame.extend_from_slice(&(content.len() as u16).to_be_bytes());
    frame.extend_from_slice(content);
    frame.resize(frame.len() + padding + 16, 0);
    frame
}
