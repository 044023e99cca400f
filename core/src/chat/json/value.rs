//! Borrowed JSON values: checked once, then read where they lie.

use core::fmt;
use core::ops::Range;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::{JsonStr, RAW_TOKEN, scan};
use crate::chat::ChatError;

/// One JSON value, borrowed from the text it stands in.
///
/// It is a view: copying it copies no text, and reading strings from it goes through [`JsonStr`]. As the whole text
/// was checked first, nothing here can fail; a lookup of the wrong type is `None`.
///
/// Written as JSON (through `serde`), it appears as it stands, so it also carries JSON that this crate has no type
/// for: a tool's parameter schema, an unknown member of a request.
///
/// ```
/// use sealwire_core::chat::json::Json;
///
/// let json = Json::parse(r#" {"usage": {"total_tokens": 7}, "tags": ["a", "b"]} "#)?;
/// let total = json.get("usage").and_then(|usage| usage.get("total_tokens"));
/// assert_eq!(total.and_then(Json::as_u64), Some(7));
/// assert_eq!(json.get("tags").map(|tags| tags.items().count()), Some(2));
/// # Ok::<(), sealwire_core::chat::ChatError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Json<'a> {
    /// The value alone, without whitespace around it.
    text: &'a str,
    /// Where it starts in the text that was parsed.
    offset: usize,
}

impl<'a> Json<'a> {
    /// Checks `text`: one value as RFC 8259 has it, nested no deeper than 128 levels, without lone surrogates.
    ///
    /// # Errors
    /// [`ChatError::Json`], with the offset of the first fault.
    pub fn parse(text: &'a str) -> Result<Self, ChatError> {
        let value = scan::document(text)?;
        Ok(Self {
            offset: value.start,
            text: &text[value],
        })
    }

    /// As [`Json::parse`], for bytes that are yet to be checked for UTF-8.
    ///
    /// # Errors
    /// [`ChatError::InvalidUtf8`] too.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, ChatError> {
        let text = core::str::from_utf8(bytes).map_err(|error| ChatError::InvalidUtf8 {
            offset: error.valid_up_to(),
        })?;
        Self::parse(text)
    }

    /// A text that [`Json::parse`] has accepted before.
    pub(in crate::chat) fn checked(text: &'a str) -> Self {
        Self {
            offset: text.len() - text.trim_start_matches(is_whitespace).len(),
            text: text.trim_matches(is_whitespace),
        }
    }

    /// A value that stands at `place` of a body that [`Json::parse`] has accepted before. Nothing else of the body is looked at.
    pub(in crate::chat) fn at(body: &'a [u8], place: Place) -> Self {
        let bytes = body.get(place.start..place.end).unwrap_or_default();
        Self {
            // It was checked with the body.
            text: core::str::from_utf8(bytes).unwrap_or(""),
            offset: place.start,
        }
    }

    /// Where it stands.
    pub(in crate::chat) const fn place(self) -> Place {
        Place {
            start: self.offset,
            end: self.offset + self.text.len(),
        }
    }

    /// The text of the value.
    pub const fn raw(self) -> &'a str {
        self.text
    }

    /// Where the value starts, in bytes from the start of the text that was parsed.
    pub const fn offset(self) -> usize {
        self.offset
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.text == "null"
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.text.starts_with('{')
    }

    /// Whether it is an array.
    pub fn is_array(self) -> bool {
        self.text.starts_with('[')
    }

    /// `true` or `false`.
    pub fn as_bool(self) -> Option<bool> {
        match self.text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A number that is a whole one and not negative, however it is written: some servers send `created` as `1.7e9`.
    pub fn as_u64(self) -> Option<u64> {
        /// From here on not every whole number has a double of its own.
        const EXACT: f64 = 9_007_199_254_740_992.0;

        self.number()?.parse().ok().or_else(|| {
            let number = self.as_f64()?;
            // A lossy cast fails the comparison.
            let whole = number as u64;
            (number < EXACT && whole as f64 == number).then_some(whole)
        })
    }

    /// A number that a double can hold.
    pub fn as_f64(self) -> Option<f64> {
        let number: f64 = self.number()?.parse().ok()?;
        number.is_finite().then_some(number)
    }

    fn number(self) -> Option<&'a str> {
        self.text
            .starts_with(|first: char| first == '-' || first.is_ascii_digit())
            .then_some(self.text)
    }

    /// A string.
    pub fn as_str(self) -> Option<JsonStr<'a>> {
        self.text.starts_with('"').then_some(JsonStr::new(self))
    }

    /// The first member with this name, if it is an object that has one.
    pub fn get(self, name: &str) -> Option<Json<'a>> {
        self.members()
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The members of an object in their order; none if it is something else.
    pub fn members(self) -> Members<'a> {
        Members(Inside::of(self, self.is_object()))
    }

    /// The items of an array in their order; none if it is something else.
    pub fn items(self) -> Items<'a> {
        Items(Inside::of(self, self.is_array()))
    }
}

impl fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json([REDACTED])")
    }
}

impl Serialize for Json<'_> {
    /// As `serde_json::value::RawValue` does it, which both serde_json's writers and ours understand.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut raw = serializer.serialize_struct(RAW_TOKEN, 1)?;
        raw.serialize_field(RAW_TOKEN, self.text)?;
        raw.end()
    }
}

/// The members of an object: names and values.
#[derive(Clone)]
pub struct Members<'a>(Inside<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (JsonStr<'a>, Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.0.next_value()?.as_str()?;
        Some((key, self.0.next_value()?))
    }
}

/// The items of an array.
#[derive(Clone)]
pub struct Items<'a>(Inside<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_value()
    }
}

/// Where a value stands in the body that was parsed, or what is left of an array; it borrows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chat) struct Place {
    start: usize,
    end: usize,
}

impl Place {
    pub(in crate::chat) const EMPTY: Self = Self { start: 0, end: 0 };

    /// The items of the array that stands here, none of them taken.
    pub(in crate::chat) const fn inside(self) -> Self {
        Self {
            start: self.start + 1,
            end: self.end - 1,
        }
    }

    /// Takes the next item of an array whose rest this is.
    pub(in crate::chat) fn take_item(&mut self, body: &[u8]) -> Option<Self> {
        let Some(item) = next_value(body.get(self.start..self.end)?) else {
            // What is left is white space: it is passed over once.
            self.start = self.end;
            return None;
        };
        let item = Self {
            start: self.start + item.start,
            end: self.start + item.end,
        };
        self.start = item.end;
        Some(item)
    }
}

/// What stands between the brackets of a checked array or object. As it was checked, separators only need to be
/// passed over.
#[derive(Clone)]
struct Inside<'a> {
    rest: &'a str,
    offset: usize,
}

impl<'a> Inside<'a> {
    fn of(json: Json<'a>, is_container: bool) -> Self {
        let rest = match is_container {
            true => &json.text[1..json.text.len() - 1],
            false => "",
        };
        Self {
            rest,
            offset: json.offset + 1,
        }
    }

    fn next_value(&mut self) -> Option<Json<'a>> {
        let Some(value) = next_value(self.rest.as_bytes()) else {
            self.rest = "";
            return None;
        };
        let offset = self.offset + value.start;
        self.offset += value.end;
        let text = &self.rest[value.clone()];
        self.rest = &self.rest[value.end..];
        Some(Json { text, offset })
    }
}

/// The first value in what stands between the brackets of a checked array or object.
fn next_value(inside: &[u8]) -> Option<Range<usize>> {
    let separator = |byte: &u8| is_whitespace(char::from(*byte)) || matches!(byte, b',' | b':');
    let start = inside.iter().position(|byte| !separator(byte))?;
    let end = start + value_len(&inside[start..]);
    #[cfg(test)]
    work::count(end);
    Some(start..end)
}

/// The length of the checked value that `bytes` starts with; it ends beside an ASCII byte, so at a character boundary.
fn value_len(bytes: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        match bytes.get(at) {
            Some(b'"') => at += string_len(&bytes[at..]),
            Some(b'{' | b'[') => {
                depth += 1;
                at += 1;
            }
            Some(b'}' | b']') => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            Some(_) if depth > 0 => {
                at += 1;
                continue;
            }
            Some(_) => {
                let ends = |byte: &u8| matches!(byte, b',' | b' ' | b'\t' | b'\n' | b'\r');
                let rest = &bytes[at..];
                return at + rest.iter().position(ends).unwrap_or(rest.len());
            }
            None => return bytes.len(),
        }
        if depth == 0 {
            return at;
        }
    }
}

/// The length of the checked string, quotes included, that `bytes` starts with.
fn string_len(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn is_whitespace(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// How many bytes reading has gone over in this thread: what a test of LIMIT-2 counts.
#[cfg(test)]
pub(in crate::chat) mod work {
    extern crate std;

    use core::cell::Cell;

    std::thread_local! {
        static SCANNED: Cell<usize> = const { Cell::new(0) };
    }

    pub(in crate::chat) fn count(bytes: usize) {
        SCANNED.set(SCANNED.get() + bytes);
    }

    pub(in crate::chat) fn take() -> usize {
        SCANNED.take()
    }
}
