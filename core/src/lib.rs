//! # sealwire-core
//!
//! The sealwire/1 protocol as a pure state machine: chat requests in, sealed byte frames out; sealed frames in, answers out.
//! No socket, thread, clock or random source is touched that the caller did not hand in, and secrets go into memory that the caller
//! hands in.
//!
//! ```text
//!            your loop: sockets, serial lines, timers
//!        bytes in │                        ▲ bytes out
//!                 ▼                        │
//!  session   fetch keys · verify · seal · retry · back off          (`alloc`)
//!  exchange  one request, one response: ClientExchange, ServerExchange (`alloc`)
//!  record    one frame: sealers and openers over caller-owned buffers
//! ```
//!
//! Each level stands on the one below and can be used alone:
//!
//! * [`record`]: frames sealed and opened in place, no allocation. Phases are types: a response opener cannot be had before the
//!   request's last frame, and [`record::Complete`] is the only proof that an answer is whole.
//! * `exchange`: one request and its response, with limits, padding, replay protection and plaintext in secure memory.
//! * `session`: what every client would otherwise write again.
//!
//! The wire is specified in `docs/protocol.md`; code cites its sections. A whole runtime around a session is in
//! `examples/poll_loop`, explained in `docs/embedding.md`.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `alloc` | yes | exchanges, sessions, chat types, on `sealwire-memlock` |
//! | `post-quantum` | yes | the MLKEM768-P256 suite |
//!
//! There is no `std` feature: the crate never needs it. The minimum supported Rust version is 1.95.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod agreement;
#[cfg(feature = "alloc")]
pub mod chat;
pub mod cobs;
mod error;
#[cfg(feature = "alloc")]
pub mod exchange;
pub mod frame;
pub mod head;
pub mod keys;
pub mod padding;
pub mod record;
pub mod replay;
mod schedule;
#[cfg(feature = "alloc")]
pub mod session;
mod stack;
mod state;
mod suite;
mod time;

pub use error::{Environment, Error, ErrorCode, Malformed, Misuse, PeerError, RejectCode};
pub use schedule::{KEY_BLOCK_LEN, KeyStore};
pub use state::{ClientState, ServerState, client_table, server_table};
pub use suite::{RecordAead, Suite};
pub use time::{Now, UnixTime};
