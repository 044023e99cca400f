//! Locked, guarded and wiped memory for secrets.
//!
//! A key or a prompt in an ordinary `Vec` is copied when the vector grows, stays readable after it
//! is freed, may be written to swap, and lands in every core dump. The buffers of this crate live
//! in pages of their own that the operating system has been told to keep in memory, to leave out
//! of core dumps and to hand to a forked child as zeros. They are wiped when they shrink, grow or
//! are dropped, and the crate says honestly how much of that really holds on this machine.
//!
//! ```text
//!   SecureBytes  SecureString  SecureArray<N>  SecureBox<T>
//!        |             |             |             |
//!        +------ up to 4 KiB --------+------ larger ------+
//!                       |                                 |
//!                 pool of slots                   mapping of its own
//!
//!   | no access | slot:canary | slot:canary | ... | no access |     a chunk of the pool, 64 KiB
//!               '--- locked, not dumped, wiped on fork ---'
//!   | no access |              data               | no access |     a large buffer
//! ```
//!
//! # Example
//!
//! ```
//! use sealwire_memlock::{Policy, SecureMemory};
//!
//! // `BestEffort` goes on without locks when the system refuses them; `Required` is an error then.
//! let memory = SecureMemory::new(Policy::BestEffort);
//!
//! let mut prompt = memory.string();
//! prompt.try_push_str("the patient's name is ")?; // growth wipes what it leaves behind
//! prompt.try_push_str("Ada")?;
//! assert_eq!(prompt.expose(), "the patient's name is Ada");
//! assert_eq!(format!("{prompt:?}"), "SecureString([REDACTED])");
//!
//! // A key is drawn where it will live: no copy on the stack.
//! let key = sealwire_memlock::SecureArray::<32>::init_with(&memory, |key| key.fill(7))?;
//! assert_eq!(key.expose()[0], 7);
//!
//! let info = memory.protection_info();
//! println!("{}: {}", info.platform, info.protection_level);
//! # Ok::<(), sealwire_memlock::MemoryError>(())
//! ```
//!
//! # What it cannot do
//!
//! A page lock keeps a page out of swap, not out of a hibernation image or a virtual machine's
//! snapshot. It does not keep out who may read this process: root, a debugger, `/proc/PID/mem`
//! (see [`harden_process`] and [`Backend::MemfdSecret`]). Registers and stack are the caller's: see
//! [`scrub_stack`]. Copies that other libraries make are theirs: see [`ZeroOnFree`].
//!
//! # Platforms
//!
//! | platform | locking | out of dumps | zeros in a forked child |
//! |---|---|---|---|
//! | Linux, Android | `mlock` | yes | yes, since Linux 4.14 |
//! | FreeBSD | `mlock` | yes | yes |
//! | other Unix | `mlock` | no | where the system can |
//! | Windows | `VirtualLock` | no | there is no fork |
//! | everything else, Miri, without `std` | none: wiping only | no | no |
//!
//! # Features
//!
//! - `std` (default): page locking, `io::Write`, the process-wide switch and report.
//! - `alloc`: the same buffers as ordinary allocations that are wiped. Needs no atomics.
//! - neither: [`scrub_stack`].
//!
//! The oldest supported compiler is 1.95.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod scrub;
pub use scrub::{scrub_stack, scrub_stack_deep};

#[cfg(feature = "alloc")]
mod array;
#[cfg(feature = "alloc")]
mod boxed;
#[cfg(feature = "alloc")]
mod bytes;
#[cfg(feature = "alloc")]
mod error;
#[cfg(feature = "alloc")]
mod heap;
#[cfg(feature = "alloc")]
mod memory;
#[cfg(feature = "alloc")]
mod report;
#[cfg(feature = "alloc")]
mod string;
#[cfg(feature = "alloc")]
mod switch;
#[cfg(feature = "alloc")]
mod zero_on_free;

// Where blocks come from: pages of the operating system, or the global allocator.
#[cfg(all(
    feature = "std",
    any(
        windows,
        target_vendor = "apple",
        target_os = "android",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "illumos",
        target_os = "linux",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "solaris",
    ),
    not(miri),
))]
#[path = "pages/mod.rs"]
mod store;
#[cfg(all(
    feature = "alloc",
    not(all(
        feature = "std",
        any(
            windows,
            target_vendor = "apple",
            target_os = "android",
            target_os = "dragonfly",
            target_os = "freebsd",
            target_os = "illumos",
            target_os = "linux",
            target_os = "netbsd",
            target_os = "openbsd",
            target_os = "solaris",
        ),
        not(miri),
    ))
))]
#[path = "plain.rs"]
mod store;

#[cfg(feature = "alloc")]
pub use self::{
    array::SecureArray,
    boxed::SecureBox,
    bytes::SecureBytes,
    error::MemoryError,
    memory::{Backend, Policy, Protection, SecureBuffer, SecureMemory, secure_bytes},
    report::{MemoryProtectionInfo, ProtectionLevel, memory_protection_info},
    string::SecureString,
    zero_on_free::ZeroOnFree,
};
#[cfg(feature = "std")]
pub use self::{
    store::harden_process,
    switch::{disable_secure_memory, enable_secure_memory},
};
