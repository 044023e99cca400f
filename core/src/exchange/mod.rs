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
