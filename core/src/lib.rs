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
//!  chat      chat requests to bodies, bodies to typed events         (`alloc`)
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
//! * `chat`: what goes into a request's body, and one reader of what comes back, streamed or whole. It needs none of the others.
//!
//! A chat, its client and its gateway in one process; on one's own runtime the bytes go over a network:
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use getrandom::SysRng;
//! use sealwire_core::chat::{ChatEvent, ChatReader, ChatRequest, Message};
//! use sealwire_core::exchange::{ClientEvent, ClientExchange, Request, ServerContext, ServerEvent, ServerExchange};
//! use sealwire_core::head::ResponseHead;
//! use sealwire_core::keys::{Identity, KeyRing, RecordLimits};
//! use sealwire_core::padding::Padding;
//! use sealwire_core::replay::MemoryReplayStore;
//! use sealwire_core::{Suite, UnixTime};
//! use sealwire_memlock::{Policy, SecureMemory};
//!
//! let memory = SecureMemory::new(Policy::BestEffort);
//! let now = UnixTime::from_millis(1_800_000_000_000);
//! let identity = Identity::generate(&memory, &mut SysRng)?;
//! let mut keys = KeyRing::new(identity, &[Suite::P256], RecordLimits::default(), memory.clone());
//! keys.rotate(now, &mut SysRng)?;
//!
//! // The client. A session would fetch this key, and judge who signed it.
//! let key = keys.key_set().select(Suite::P256, now).expect("valid now");
//! let chat = ChatRequest::new("a-model").message(Message::user("How do you keep a secret?"));
//! let request = Request::new("POST", "/v1/chat/completions", chat.to_json(&memory)?);
//! let made = ClientExchange::new(&memory, &key, request, now, Default::default(), &mut SysRng);
//! let mut client = made.map_err(|(_, error)| error)?;
//!
//! // The gateway takes all of it, and answers.
//! let mut gateway: ServerExchange = ServerExchange::new(&memory, Default::default(), &mut SysRng)?;
//! let mut context = ServerContext { now, keys: &keys, replay: &mut MemoryReplayStore::new(1000) };
//! let mut wire = [0; 4096];
//! let sent = client.poll_transmit(&mut wire)?;
//! assert_eq!(gateway.handle_input(&wire[..sent], &mut context), sent);
//! gateway.handle_eof(now);
//! assert_eq!(gateway.poll_event(), Some(ServerEvent::Request));
//! let asked = gateway.take_request().expect("whole");
//! let mut head = ResponseHead::new(200, asked.head().exchange_id);
//! head.content_type = Some("application/json");
//! gateway.respond(&head, Padding::Padme)?;
//! gateway.send_data(br#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Sealed."}}]}"#)?;
//! gateway.finish()?;
//! let sent = gateway.poll_transmit(&mut wire);
//!
//! // The client reads it as it comes.
//! let (mut reader, mut answer, mut done) = (None, memory.string(), false);
//! let mut show = |reader: &mut ChatReader| -> Result<(), Box<dyn std::error::Error>> {
//!     while let Some(event) = reader.poll_event() {
//!         match event {
//!             ChatEvent::Text { text, .. } => text.append_to(&mut answer)?,
//!             ChatEvent::Done => done = true,
//!             _ => {}
//!         }
//!     }
//!     Ok(())
//! };
//! let mut rest = &wire[..sent];
//! while !rest.is_empty() {
//!     let taken = client.handle_input(rest)?;
//!     rest = &rest[taken..];
//!     match (client.poll_event(), &mut reader) {
//!         (Some(ClientEvent::Head(head)), _) => reader = Some(ChatReader::new(&memory, &head)?),
//!         (Some(ClientEvent::Data(mut data)), Some(reader)) => while !data.is_empty() {
//!             // It stops behind each event of a stream.
//!             let taken = reader.handle_input(data)?;
//!             data = &data[taken..];
//!             show(reader)?;
//!         },
//!         (Some(ClientEvent::Complete(_)), Some(reader)) => {
//!             reader.handle_complete()?;
//!             show(reader)?;
//!         }
//!         _ => {}
//!     }
//! }
//! client.handle_eof()?; // an answer that was cut is none
//! assert!(done);
//! assert_eq!(answer.expose(), "Sealed.");
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The wire is specified in `docs/protocol.md` of the repository; code cites its sections. A whole runtime around a session is in
//! `examples/poll_loop`, explained in `docs/embedding.md`.
//!
//! # What it does not do
//!
//! It has not been audited. It does not know a gateway that it meets for the first time: whoever drives it judges that (`session::Trust`).
//! With P-256, the default, what is recorded today can be opened by a quantum computer later. Types of frames, their number, their padded
//! sizes and when they pass are there for all to see (section 14).
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `alloc` | yes | exchanges, sessions, chat types, on `sealwire-memlock` |
//! | `post-quantum` | yes | the MLKEM768-P256 suite, for whoever chooses it: a session's is P-256 until `SessionConfig::suite` says otherwise |
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
