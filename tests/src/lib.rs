//! The test harness of the workspace.
//!
//! [`pair`] and [`random`] hold both ends of an exchange in memory; nothing there reads a clock or draws real
//! randomness, so that every failure can be repeated. [`adapters`] holds real clients, real gateways and what may stand
//! between them, over real sockets on this machine.
#![forbid(unsafe_code)]

pub mod adapters;
#[cfg(target_os = "linux")]
pub mod draws;
pub mod marker;
pub mod pair;
pub mod random;
pub mod relay;
#[cfg(target_os = "linux")]
pub mod spy;
#[cfg(target_os = "linux")]
pub mod table;

pub use rand_core;

/// Compiles the examples of the guide for those who come from Python, and runs those that need no gateway.
#[cfg(doctest)]
#[doc = include_str!("../../docs/from-python.md")]
pub struct FromPython;
