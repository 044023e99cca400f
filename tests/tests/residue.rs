//! What is left of secrets in the memory of those who had them: scans of whole processes from outside, in a program whose global
//! allocator wipes what is freed, as `sealwire` itself does. See `docs/secure-memory.md`.
//!
//! `cargo test -p sealwire-tests --test residue --test residue_plain -- --nocapture --test-threads=1` prints the tables.
#![cfg(target_os = "linux")]

mod scans;

use std::alloc::System;

use sealwire::memlock::ZeroOnFree;

#[global_allocator]
static ZEROING: ZeroOnFree<System> = ZeroOnFree::new(System);

const ALLOCATOR: &str = "allocator that wipes";
