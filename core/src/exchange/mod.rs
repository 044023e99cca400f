//! Level 2: one request and its response, with limits, padding and replay protection, plaintext in secure memory.
//!
//! Both ends are state machines of the same grammar. Bytes go in by `handle_input`, which says how many it took; bytes come out by
//! `poll_transmit`; what they mean comes out by `poll_event`, borrowed from secure memory until the next call. The end of a byte
//! stream is told by `handle_eof`. An error is final: the exchange answers nothing more.
//!
//! ```text
//!  ClientExchange                                   ServerExchange
//!    poll_transmit ──── OPEN HEAD DATA.. END ─────▶ handle_input
//!                                                   poll_event ▶ Request
//!                                                   respond, send_data, finish (or fail)
//!    handle_input ◀──── ACCEPT HEAD DATA.. END ──── poll_transmit
//!    poll_event ▶ Head, Data.., Complete
//! ```
//!
//! What this level leaves to its host:
//!
//! | | client ([`session`](crate::session) does it) | gateway |
//! |---|---|---|
//! | keys | fetched, their identity judged (TRUST-1), chosen anew for each exchange (TIME-1) | [`rotate`](crate::keys::KeyRing::rotate) on time, which also wipes what has ended (TIME-2) |
//! | tries | which refusals are worth another, and one idempotency key in all of them (REPLAY-6) | a key that runs or ran: [`fail`](ServerExchange::fail) with [`Duplicate`](crate::ErrorCode::Duplicate) (REPLAY-6) |
//! | limits | what the gateway's record allows is kept to (REC-6) | [`ServerOptions::request`] takes what its records promise: `frame` and `content` at least theirs, `wire` at least twice the content and 128 KiB (section 10) |
//! | padding | [`ClientOptions::padding`] | what [`head`](ReceivedRequest::head)`().padding` asks for (PAD-3): [`Padding::None`](crate::padding::Padding::None) where it is `Some(false)` |
//! | time | every deadline | that of a request: [`handle_deadline`](ServerExchange::handle_deadline) (ORDER-4) |
//! | transport | what `poll_transmit` gave has left (ORDER-9): to the transport, or to a buffer of at most 64 KiB before it | the answer is not lost in a reset (ORDER-3, section 13.2) |
//!
//! Both ends of one, with the wire in a vector, as far as it is that short:
//!
//! ```
//! use getrandom::SysRng;
//! use sealwire_core::exchange::{
//!     ClientEvent, ClientExchange, ClientOptions, Request, ServerContext, ServerEvent, ServerExchange, ServerOptions,
//! };
//! use sealwire_core::head::ResponseHead;
//! use sealwire_core::keys::{Identity, KeyRing, RecordLimits};
//! use sealwire_core::padding::Padding;
//! use sealwire_core::replay::MemoryReplayStore;
//! use sealwire_core::{Suite, UnixTime};
//! use sealwire_memlock::{Policy, SecureMemory};
//!
//! let memory = SecureMemory::new(Policy::BestEffort);
//! let now = UnixTime::from_millis(1_800_000_000_000);
//!
//! // What a gateway has, and what a client fetches from it.
//! let identity = Identity::generate(&memory, &mut SysRng)?;
//! let mut keys = KeyRing::new(identity, &[Suite::P256], RecordLimits::default(), memory.clone());
//! keys.rotate(now, &mut SysRng)?;
//! let mut replay = MemoryReplayStore::new(1000);
//! let pinned = keys.key_set().pin();
//!
//! // The client seals.
//! let set = keys.key_set();
//! assert_eq!(set.pin(), pinned, "trust is decided before anything is sealed");
//! let request = Request::new("POST", "/v1/chat/completions", memory.copy_from(b"{\"model\":\"m\"}")?);
//! let options = ClientOptions::default();
//! let mut client = ClientExchange::new(&memory, &set.select(Suite::P256, now)?, request, now, options, &mut SysRng)
//!     .map_err(|(_, error)| error)?;
//! let (mut wire, mut buffer) = (Vec::new(), [0; 4096]);
//! while let count @ 1.. = client.poll_transmit(&mut buffer)? {
//!     wire.extend_from_slice(&buffer[..count]);
//! }
//!
//! // The gateway opens, and answers.
//! let mut server = ServerExchange::new(&memory, ServerOptions::default(), &mut SysRng)?;
//! let mut context = ServerContext { now, keys: &keys, replay: &mut replay };
//! assert_eq!(server.handle_input(&wire, &mut context), wire.len());
//! server.handle_eof(now); // over HTTP a request is whole at its end
//! assert_eq!(server.poll_event(), Some(ServerEvent::Request));
//! let received = server.take_request().expect("announced");
//! assert_eq!(received.body().expose(), b"{\"model\":\"m\"}");
//! server.respond(&ResponseHead::new(200, received.head().exchange_id), Padding::Padme)?;
//! assert_eq!(server.send_data(b"{}")?, 2);
//! server.finish()?;
//! wire.clear();
//! while let count @ 1.. = server.poll_transmit(&mut buffer) {
//!     wire.extend_from_slice(&buffer[..count]);
//! }
//!
//! // The client reads: nothing is an answer before `Complete`.
//! let (mut rest, mut complete) = (&wire[..], false);
//! while !rest.is_empty() {
//!     let count = client.handle_input(rest)?;
//!     rest = &rest[count..];
//!     while let Some(event) = client.poll_event() {
//!         match event {
//!             ClientEvent::Head(head) => assert_eq!(head.status, 200),
//!             ClientEvent::Data(data) => assert_eq!(data, b"{}"),
//!             ClientEvent::Complete(_) => complete = true,
//!             other => panic!("refused: {other:?}"),
//!         }
//!     }
//! }
//! client.handle_eof()?;
//! assert!(complete);
//! # Ok::<(), sealwire_core::Error>(())
//! ```

mod client;
mod incoming;
mod limits;
mod outgoing;
mod received;
mod request;
mod server;

pub use client::{ClientEvent, ClientExchange, ClientOptions};
pub use limits::Limits;
pub use received::{ReceivedRequest, ServerContext, ServerEvent, ServerOptions};
pub use request::Request;
pub use server::ServerExchange;
