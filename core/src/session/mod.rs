//! Level 3: a request carried to its answer, over keys, trust, refusals, retries and timeouts; the same for every adapter.
//!
//! An adapter asks what to do and does it:
//!
//! ```text
//!   step ▶ FetchKeys   GET the key set (or send KEYS_REQUEST)  ▶ handle_key_set, or handle_failure
//!        ▶ Judge       is this identity trusted?               ▶ judge
//!        ▶ Send        poll_transmit out, replies in           ▶ handle_reply, handle_input, poll_event, handle_eof
//!        ▶ Wait(t)     sleep until the monotonic clock is t
//!        ▶ Done        the answer is whole
//! ```
//!
//! Whatever goes wrong with a connection is told by [`handle_failure`](ClientSession::handle_failure); the session decides whether to
//! try again. No try follows once an answer has begun to be shown, each try is sealed afresh, and all carry one idempotency key.

mod error;
mod machine;
mod policy;

pub use error::{Failure, SessionError};
pub use machine::{ClientSession, SessionEvent, Step};
pub use policy::{GatewayState, RetryPolicy, SessionConfig, Timeouts, Trust};
