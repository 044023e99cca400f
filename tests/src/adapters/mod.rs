//! Clients, gateways, and what stands between them, each behind a face that hides which one it is.
//!
//! ```text
//!   scenario ── calls that block ──▶ Client ──▶ [Line] ──▶ [nginx, haproxy] ──▶ Gateway ──▶ Model, the scenario's own
//! ```
//!
//! A scenario is written once, against a [`Stand`], and runs over every [`Combination`] for which it makes sense.
//! Nothing asserts how long something took. [`GUARD`] only keeps a test that would hang from hanging.

mod answer;
pub mod blocking;
mod client;
mod front;
pub mod futures_io;
pub mod hyper;
mod line;
mod model;
pub mod requests;
pub mod serial;
mod settings;
mod stand;
#[path = "../../../transports/tests/support/mod.rs"]
mod support;
pub mod tower;

use std::time::Duration;

pub use answer::{Answer, Chunk, Completion};
pub use client::{Chunks, Client, Pieces};
pub use line::{Line, Pace, Trap};
pub use model::{Asked, Feed, Gate, Gone, Model, apart, event_stream, fed, model, whole};
pub use settings::{EvidenceVerifier, Gateway, GatewaySettings, Settings, Verifier};
pub use stand::{Between, Combination, Stand, Wire};
pub use support::{
    CHAT, Certificate, MEMORY, Reserved, bytes, chat, delta, json, now, printed, quick, text,
};

/// How long a test waits for what must come.
pub const GUARD: Duration = Duration::from_secs(120);
