//! How deep the stack is wiped after cryptography. Optimised builds use less of it than unoptimised ones, whose frames are larger
//! (`build.rs` tells which this is); `tests/tests/stack.rs` looks at what is left in either.

use sealwire_memlock::scrub_stack_deep;

use crate::suite::Suite;

/// Bytes to wipe, from the KiB of an optimised and of an unoptimised build.
const fn bytes(optimised: usize, unoptimised: usize) -> usize {
    let kib = if cfg!(unoptimised) {
        unoptimised
    } else {
        optimised
    };
    kib * 1024
}

/// Seals or opens a record, or derives keys by HKDF.
pub(crate) fn record<R>(f: impl FnOnce() -> R) -> R {
    scrub_stack_deep::<{ bytes(16, 48) }, R>(f)
}

/// Agrees on keys, or makes some.
pub(crate) fn agreement<R>(suite: Suite, f: impl FnOnce() -> R) -> R {
    match suite {
        Suite::P256 => p256(f),
        // ML-KEM-768 beside P-256.
        #[cfg(feature = "post-quantum")]
        Suite::MlKem768P256 => scrub_stack_deep::<{ bytes(64, 160) }, R>(f),
    }
}

/// Does arithmetic on the curve: signatures, and half of key agreement.
pub(crate) fn p256<R>(f: impl FnOnce() -> R) -> R {
    scrub_stack_deep::<{ bytes(16, 32) }, R>(f)
}
