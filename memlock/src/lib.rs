//! Secure memory (first shape: plain allocation, wiped on drop; the backends follow).
#![no_std]
#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "alloc")]
mod thin;
#[cfg(feature = "alloc")]
pub use thin::*;

/// Runs `f`, then overwrites the stack it used.
pub fn scrub_stack<R>(f: impl FnOnce() -> R) -> R {
    #[inline(never)]
    fn call<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
    let r = call(f);
    zeroize::zeroize_stack::<16384>();
    r
}
