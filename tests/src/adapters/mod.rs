//! Clients, gateways, and what stands between them, each behind a face that hides which one it is.
//!
//! ```text
//!   scenario ── calls that block ──▶ Client ──▶ [Line] ──▶ [nginx, haproxy] ──▶ Gateway ──▶ Model, the scenario's own
//! ```
//!
//! A scenario is written once, against a [`Stand`], and runs over every [`Combination`] for which it makes sense.
//! Nothing asserts how long something took. [`GUARD`] only keeps a test that would hang from hanging.

pub mod blocking;
mod certificate;
mod client;
mod front;
pub mod futures_io;
pub mod hyper;
mod line;
mod model;
mod settings;
mod stand;
pub mod tower;

use std::time::Duration;

use sealwire::memlock::{Policy, SecureBytes, SecureMemory};

pub use certificate::Certificate;
pub use client::{Chunks, Client, Pieces};
pub use line::{Line, Pace, Trap};
pub use model::{
    Asked, CHAT, Feed, Gate, Gone, Model, apart, delta, event_stream, fed, json, model, printed,
    text, whole,
};
pub use settings::{EvidenceVerifier, Gateway, GatewaySettings, Settings, Verifier, quick};
pub use stand::{Between, Combination, Stand, Wire};

/// How long a test waits for what must come.
pub const GUARD: Duration = Duration::from_secs(120);

/// Secure memory of tests, which must pass where none can be locked.
pub const MEMORY: SecureMemory = SecureMemory::new(Policy::BestEffort);

/// Secure bytes of this content.
///
/// # Panics
/// Without memory.
pub fn bytes(content: &[u8]) -> SecureBytes {
    MEMORY.copy_from(content).expect("memory")
}
