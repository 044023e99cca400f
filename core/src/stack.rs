//! How deep the stack is wiped after cryptography, in bytes. Optimised builds use less than half of each on x86-64; without
//! optimisation frames are larger. `tests/tests/stack.rs` measures what is left.

const fn deep(optimised: usize, unoptimised: usize) -> usize {
    let kib = if cfg!(debug_assertions) {
        unoptimised
    } else {
        optimised
    };
    kib * 1024
}

/// A record sealed or opened; HKDF.
pub(crate) const RECORD: usize = deep(16, 48);
/// P-256, for key agreement and for signatures.
pub(crate) const P256: usize = deep(16, 32);
/// ML-KEM-768 beside P-256.
#[cfg(feature = "post-quantum")]
pub(crate) const HYBRID: usize = deep(64, 160);
