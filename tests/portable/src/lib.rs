//! What of the harness needs no host: see `tests/src/lib.rs`.
#![forbid(unsafe_code)]

#[path = "../../src/pair.rs"]
pub mod pair;
#[path = "../../src/random.rs"]
pub mod random;
