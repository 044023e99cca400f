//! HEAD (spec section 6): what HTTP carries before a body, as strictly ascending TLVs, sealed.
//!
//! ```
//! use sealwire_core::head::RequestHead;
//! use sealwire_core::UnixTime;
//!
//! let head = RequestHead::new("POST", "/v1/chat/completions", [7; 16], UnixTime::from_millis(1_790_000_000_000));
//! let mut buffer = [0; 256];
//! let len = head.encode(&mut buffer)?;
//! assert_eq!(RequestHead::decode(&buffer[..len])?.path, "/v1/chat/completions");
//! # Ok::<(), sealwire_core::Error>(())
//! ```

mod headers;
mod request;
mod response;
mod tlv;

pub use headers::{Direction, Headers, HeadersBuilder};
pub use request::{RequestHead, Tier};
pub use response::{MemoryProtection, ResponseHead};

/// Bytes of an exchange id.
pub const EXCHANGE_ID_LEN: usize = 16;
