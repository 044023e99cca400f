//! JSON strings: borrowed with their escapes, or unescaped into secure memory.

use core::fmt;

use sealwire_memlock::{SecureMemory, SecureString};
use serde::{Serialize, Serializer};

use super::Json;
use super::escape::{Piece, Pieces, unescaped_len};
use crate::chat::ChatError;

/// A JSON string, borrowed with its escapes.
///
/// It compares with `&str` by what it means, not by how it is written. To read it, take it as it stands when it has
/// no escapes, or unescape it into secure memory:
///
/// ```
/// use sealwire_core::chat::json::Json;
/// use sealwire_memlock::{Policy, SecureMemory};
///
/// let memory = SecureMemory::new(Policy::BestEffort);
/// let text = Json::parse(r#""tab\there""#)?.as_str().expect("a string");
/// assert_eq!(text.as_plain(), None);
/// assert_eq!(text.to_secure(&memory)?.expose(), "tab\there");
/// assert!(text == "tab\there");
/// # Ok::<(), sealwire_core::chat::ChatError>(())
/// ```
#[derive(Clone, Copy)]
pub struct JsonStr<'a> {
    json: Json<'a>,
}

impl<'a> JsonStr<'a> {
    /// `json` must be a string.
    pub(super) const fn new(json: Json<'a>) -> Self {
        Self { json }
    }

    /// The string as JSON, with its quotes.
    pub const fn as_json(self) -> Json<'a> {
        self.json
    }

    /// What stands between the quotes, escapes and all.
    pub fn raw(self) -> &'a str {
        let text = self.json.raw();
        &text[1..text.len() - 1]
    }

    /// The string itself, borrowed, when there is no escape in it.
    pub fn as_plain(self) -> Option<&'a str> {
        let raw = self.raw();
        (!raw.contains('\\')).then_some(raw)
    }

    /// Its length in bytes of UTF-8, without escapes.
    pub fn len(self) -> usize {
        unescaped_len(self.raw()).unwrap_or(0)
    }

    /// Whether it is the empty string.
    pub fn is_empty(self) -> bool {
        self.raw().is_empty()
    }

    /// The string in secure memory: measured first, then unescaped straight into a buffer of that size.
    ///
    /// # Errors
    /// [`ChatError::Memory`] when there is none.
    pub fn to_secure(self, memory: &SecureMemory) -> Result<SecureString, ChatError> {
        let mut bytes = memory.alloc(self.len())?;
        let mut rest = bytes.expose_mut();
        for piece in self.pieces() {
            let mut buffer = [0; 4];
            let text = piece.encode(&mut buffer).as_bytes();
            // `len` went over the same pieces, so they fit; if not, the zeros left over would show.
            let Some((target, unwritten)) = rest.split_at_mut_checked(text.len()) else {
                break;
            };
            target.copy_from_slice(text);
            rest = unwritten;
        }
        SecureString::from_utf8(bytes).map_err(|_| ChatError::InvalidUtf8 {
            offset: self.json.offset(),
        })
    }

    /// The string, borrowed when it has no escapes, and unescaped into secure memory when it has.
    ///
    /// # Errors
    /// [`ChatError::Memory`] when there is none.
    pub fn to_text(self, memory: &SecureMemory) -> Result<Text<'a>, ChatError> {
        match self.as_plain() {
            Some(plain) => Ok(Text::Borrowed(plain)),
            None => self.to_secure(memory).map(Text::Unescaped),
        }
    }

    /// Appends the string to `out`.
    ///
    /// # Errors
    /// [`ChatError::Memory`] when `out` cannot grow.
    pub fn append_to(self, out: &mut SecureString) -> Result<(), ChatError> {
        for piece in self.pieces() {
            out.try_push_str(piece.encode(&mut [0; 4]))?;
        }
        Ok(())
    }

    fn pieces(self) -> impl Iterator<Item = Piece<'a>> {
        Pieces::new(self.raw()).map_while(Result::ok)
    }
}

impl PartialEq<str> for JsonStr<'_> {
    /// Not in constant time: for names and other words of the protocol.
    fn eq(&self, other: &str) -> bool {
        let mut rest = other;
        let all_match = self.pieces().all(|piece| {
            let unmatched = rest.strip_prefix(piece.encode(&mut [0; 4]));
            unmatched.map(|unmatched| rest = unmatched).is_some()
        });
        all_match && rest.is_empty()
    }
}

impl PartialEq<&str> for JsonStr<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Debug for JsonStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsonStr([REDACTED])")
    }
}

impl Serialize for JsonStr<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

/// A text that lies in secure memory: in the body it was read from, or unescaped in a buffer of its own.
pub enum Text<'a> {
    /// Borrowed from the body.
    Borrowed(&'a str),
    /// Unescaped.
    Unescaped(SecureString),
}

impl Text<'_> {
    /// Reads the secret.
    pub fn expose(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Unescaped(text) => text.expose(),
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text([REDACTED])")
    }
}
