//! Tests in processes of their own: limits, crashes and forks cannot be tried in this one.
//!
//! A test runs itself again, alone, in a child. Secrets are made by a formula, never stored, so
//! that a scan of the child from outside finds only what the library left there.
#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

#[cfg(target_os = "linux")]
pub(crate) mod linux;

pub(crate) use sealwire_scanner::{Paused, child, is_child, isolated, not_checked, outcome, pause};

/// A byte of secret number `seed`. Never 0, and no text.
pub(crate) fn byte(seed: u64, index: usize) -> u8 {
    let mut x = (seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(2 * (index as u64 % 32) + 0x1_0001);
    x ^= x >> 29;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x >> 56) as u8 | 0x80
}

/// Fills `bytes` with secret number `seed`, again and again.
pub(crate) fn fill(bytes: &mut [u8], seed: u64) {
    for (index, b) in bytes.iter_mut().enumerate() {
        *b = byte(seed, index);
    }
}

/// How long a secret is before it repeats.
pub(crate) const PERIOD: usize = 32;

/// One period of secret number `seed`.
pub(crate) fn needle(seed: u64) -> Vec<u8> {
    (0..PERIOD).map(|index| byte(seed, index)).collect()
}

/// How many whole secrets number `seed` lie in `haystack`.
pub(crate) fn count(haystack: &[u8], seed: u64) -> usize {
    let needle = needle(seed);
    // Most windows fail at their first byte: looking at that alone keeps scans of whole processes quick.
    let starts = haystack
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == needle[0]);
    starts
        .filter(|(start, _)| haystack[*start..].starts_with(&needle))
        .count()
}
