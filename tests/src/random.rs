//! Seeded randomness for tests: a counter behind SHA-256. Never for products.

use std::convert::Infallible;

use rand_core::utils::next_word_via_fill;
use rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};

/// A generator that always gives the same bytes for the same seed.
#[derive(Clone, Debug)]
pub struct SeededRng {
    seed: u64,
    counter: u64,
}

impl SeededRng {
    /// A generator of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { seed, counter: 0 }
    }
}

impl TryRng for SeededRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(32) {
            let block = Sha256::new()
                .chain_update(self.seed.to_le_bytes())
                .chain_update(self.counter.to_le_bytes())
                .finalize();
            self.counter += 1;
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for SeededRng {}

/// Gives out bytes that were written down, for vectors; panics when they are used up.
#[derive(Clone, Debug)]
pub struct ScriptedRng {
    bytes: Vec<u8>,
    used: usize,
}

impl ScriptedRng {
    /// A generator of these bytes.
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, used: 0 }
    }
}

impl TryRng for ScriptedRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.bytes[self.used..self.used + out.len()]);
        self.used += out.len();
        Ok(())
    }
}

impl TryCryptoRng for ScriptedRng {}
