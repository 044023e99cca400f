//! Level 1: single frames, in buffers that the caller owns, without allocation.
//!
//! Phases are types; each call that ends a phase consumes its object and returns the only one that can go on:
//!
//! ```text
//! client   RequestSealer ── seal_end ──▶ ResponseStart ── accept ──▶ ResponseOpener ── END ──▶ Complete
//! server   OpenHeader::parse ▶ (keys) ▶ RequestOpener ── END ──▶ ResponseSealer
//! ```
//!
//! A frame is sealed and opened where it stands: content begins [`CONTENT_OFFSET`](crate::frame::CONTENT_OFFSET) bytes into the
//! frame. What to do with frames in the clear (ACCEPT, REJECT) is told at each type.

mod cipher;
mod client;
mod server;

pub use cipher::Opened;
#[cfg(feature = "alloc")]
pub(crate) use cipher::{Opener, Sealer};
pub use client::{Complete, RequestSealer, ResponseOpener, ResponseStart};
pub use server::{OpenHeader, RequestOpener, ResponseSealer};
