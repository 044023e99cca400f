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
//! Over HTTP each fetch and each try is a request of its own. On a raw stream (spec section 13), which
//! [`one_exchange`](crate::exchange::ClientOptions::one_exchange) set to `false` says it is, both steps are the same: what
//! `poll_transmit` gives goes out, what comes back goes in, and [`can_carry_on`](ClientSession::can_carry_on) tells
//! whether the stream may carry the next.
//!
//! Whatever goes wrong with a connection is told by [`handle_failure`](ClientSession::handle_failure); the session decides whether to
//! try again. No try follows once an answer has begun to be shown, each try is sealed afresh, and all carry one idempotency key.

mod error;
mod keys;
mod machine;
mod policy;
mod raw;
mod step;

pub use error::{Failure, SessionError};
pub use machine::ClientSession;
pub use policy::{GatewayState, RetryPolicy, SessionConfig, Timeouts, Trust};
pub use step::{SessionEvent, Step};
