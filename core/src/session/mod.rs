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
//!
//! An adapter's loop, here with a gateway that refuses everything in place of a network:
//!
//! ```
//! use core::time::Duration;
//! use getrandom::SysRng;
//! use sealwire_core::exchange::Request;
//! use sealwire_core::keys::{Identity, KeyRing, RecordLimits};
//! use sealwire_core::session::{ClientSession, GatewayState, SessionConfig, SessionError, SessionEvent, Step, Trust};
//! use sealwire_core::{Now, RejectCode, Suite, UnixTime};
//! use sealwire_memlock::{Policy, SecureMemory};
//!
//! let memory = SecureMemory::new(Policy::BestEffort);
//! let mut now = Now { monotonic: Duration::ZERO, unix: UnixTime::from_millis(1_800_000_000_000) };
//! let identity = Identity::generate(&memory, &mut SysRng)?;
//! let pin = identity.pin();
//! let mut keys = KeyRing::new(identity, &[Suite::P256], RecordLimits::default(), memory.clone());
//! keys.rotate(now.unix, &mut SysRng)?;
//!
//! let request = Request::new("POST", "/v1/chat/completions", memory.copy_from(b"{}")?);
//! let config = SessionConfig::new(Trust::Pin(pin));
//! let mut session = ClientSession::new(&memory, config, GatewayState::default(), request, now);
//! let mut tries = 0;
//! let error = loop {
//!     match session.step(now, &mut SysRng) {
//!         Ok(Step::FetchKeys) => session.handle_key_set(now, keys.key_set()),
//!         Ok(Step::Send) => {
//!             tries += 1;
//!             session.handle_connected(now);
//!             let mut buffer = [0; 4096];
//!             while session.poll_transmit(&mut buffer).expect("memory") > 0 {
//!                 // write it to the connection
//!             }
//!             let mut rest = &[0x05, 0, 0, 1, 5][..]; // what the connection gives: REJECT(busy)
//!             while session.is_sending() && !rest.is_empty() {
//!                 let count = session.handle_input(now, rest, &mut SysRng);
//!                 rest = &rest[count..];
//!                 while let Some(event) = session.poll_event(now, &mut SysRng) {
//!                     match event {
//!                         SessionEvent::Head(_) | SessionEvent::Data(_) => {} // show it
//!                         _ => {}                                             // whole
//!                     }
//!                 }
//!             }
//!         }
//!         Ok(Step::Wait(until)) => now.monotonic = until, // sleep
//!         Ok(Step::Judge) => session.judge(false), // not with a pin
//!         Ok(_) => unreachable!("this gateway answers nothing"),
//!         Err(error) => break error,
//!     }
//! };
//! assert_eq!(error, SessionError::Rejected(RejectCode::Busy));
//! assert_eq!(tries, 3, "the first try and two more");
//! # Ok::<(), sealwire_core::Error>(())
//! ```

mod error;
mod failure;
mod keys;
mod machine;
mod policy;
mod raw;
mod step;
mod trust;

pub use error::{Failure, SessionError};
pub use machine::ClientSession;
pub use policy::{GatewayState, RetryPolicy, SessionConfig, Timeouts, Trust};
pub use step::{SessionEvent, Step};
