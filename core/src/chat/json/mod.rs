//! JSON in secure memory: written once into a buffer of the right size, read where it lies.
//!
//! [`to_secure`] writes any `serde::Serialize` value; [`Json`] and [`JsonStr`] read.
//!
//! # Why not serde_json
//!
//! It is an excellent JSON library for data that is no secret. For data that is:
//!
//! - its writers grow a `Vec`, and every smaller copy stays behind on the heap;
//! - it reads a string, or a member's name, that has an escape in it through a scratch `Vec` into a `String`;
//! - its errors quote the offending text (`invalid type: string "..."`);
//! - `RawValue` avoids the copies, but lets lone surrogates through, which then have to be handled somewhere later.
//!
//! So the scanner here checks a whole text in one pass against RFC 8259, keeping nothing but one bit for each open
//! bracket, and everything after that borrows. `serde_json::value::RawValue` can be written by [`to_secure`], and
//! [`Json`] by serde_json.
//!
//! # Strictness
//!
//! There is no leniency: no comments, trailing commas, `NaN`, byte order mark, control characters in strings, or nesting
//! deeper than 128. RFC 8259 calls the behaviour on a lone surrogate (`"\ud800"`) unpredictable; here it is refused, for
//! it names no character, and U+FFFD in its place would alter what the other side said.

mod escape;
mod scan;
mod ser;
mod sink;
mod string;
mod value;

use sealwire_memlock::{SecureBytes, SecureMemory};
use serde::Serialize;

pub use escape::{unescape_in_place, unescape_into};
pub use string::{JsonStr, Text};
pub use value::{Items, Json, Members};

pub(super) use value::Place;
#[cfg(test)]
pub(super) use value::work;

use super::ChatError;

/// The name by which `serde_json::value::RawValue` tells a serializer that its text is JSON already.
const RAW_TOKEN: &str = "$serde_json::private::RawValue";

/// Writes `value` as JSON into secure memory.
///
/// The value is serialised twice, first to count the bytes and then to write them, so the buffer has the right size
/// from the start and nothing else ever holds the text.
///
/// # Errors
/// [`ChatError::NotFinite`], [`ChatError::Memory`]; [`ChatError::Unserializable`] if the value refuses, if a map has
/// keys other than strings, numbers and truth values, or if the value writes something else the second time.
///
/// ```
/// use sealwire_core::chat::json;
/// use sealwire_memlock::{Policy, SecureMemory};
///
/// let memory = SecureMemory::new(Policy::BestEffort);
/// let body = json::to_secure(&memory, &("line\n", [1.5, 2.0], Some(true)))?;
/// assert_eq!(body.expose(), br#"["line\n",[1.5,2.0],true]"#);
/// # Ok::<(), sealwire_core::chat::ChatError>(())
/// ```
pub fn to_secure<T>(memory: &SecureMemory, value: &T) -> Result<SecureBytes, ChatError>
where
    T: Serialize + ?Sized,
{
    let mut count = sink::Count(0);
    value.serialize(ser::Writer::new(&mut count))?;

    let mut bytes = memory.alloc(count.0)?;
    let mut fill = sink::Fill(bytes.expose_mut());
    value.serialize(ser::Writer::new(&mut fill))?;
    match fill.0.is_empty() {
        true => Ok(bytes),
        false => Err(ChatError::Unserializable),
    }
}
