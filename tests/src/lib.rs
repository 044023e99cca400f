//! The test harness of the workspace: seeded randomness, both ends of an exchange in memory, simulated links.
//!
//! Nothing here reads a clock or draws real randomness, so that every failure can be repeated.
#![forbid(unsafe_code)]

pub mod marker;
pub mod pair;
pub mod random;
pub mod relay;
#[cfg(target_os = "linux")]
pub mod spy;
#[cfg(target_os = "linux")]
pub mod table;

pub use rand_core;
