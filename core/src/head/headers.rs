//! The allow-listed header fields (spec section 6.3).

use super::tlv::is_text;
use crate::error::{Malformed, Misuse};

const MAX_NAME: usize = 64;
const MAX_VALUE: usize = 1024;

/// Which allow-list applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Client to gateway: `accept`, `x-request-id`, `openai-*`.
    Request,
    /// Gateway to client: `x-request-id`, `openai-*`, `x-ratelimit-*`, `retry-after-ms`.
    Response,
}

impl Direction {
    /// Whether a header of this (lower-case) name may travel in this direction.
    pub fn allows(self, name: &str) -> bool {
        let listed = match self {
            Self::Request => name == "accept",
            Self::Response => name == "retry-after-ms" || has_prefix(name, "x-ratelimit-"),
        };
        (listed || name == "x-request-id" || has_prefix(name, "openai-"))
            && is_name(name.as_bytes())
    }
}

/// Whether `name` goes on after `prefix`.
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.len() > prefix.len() && name.starts_with(prefix)
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name
            .iter()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// Header fields inside a HEAD, checked.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Headers<'a>(&'a [u8]);

impl<'a> Headers<'a> {
    /// Checks an encoded list (HEAD-7).
    pub(super) fn parse(encoded: &'a [u8], direction: Direction) -> Result<Self, Malformed> {
        let mut last: &[u8] = &[];
        let mut rest = encoded;
        if rest.is_empty() {
            return Err(Malformed::Head("headers"));
        }
        while !rest.is_empty() {
            let (name, value, after) = split(rest).ok_or(Malformed::Head("headers"))?;
            let allowed = str::from_utf8(name).is_ok_and(|name| direction.allows(name));
            if !allowed || name <= last || !is_text(value, MAX_VALUE) {
                return Err(Malformed::Head("headers"));
            }
            last = name;
            rest = after;
        }
        Ok(Self(encoded))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Name and value of each, ascending by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (name, value, after) = split(rest)?;
            rest = after;
            Some((str::from_utf8(name).ok()?, str::from_utf8(value).ok()?))
        })
    }

    /// Whether all of them may travel in this direction: they may have been collected for the other.
    pub(super) fn fit(&self, direction: Direction) -> bool {
        self.iter().all(|(name, _)| direction.allows(name))
    }

    /// The bytes on the wire.
    pub(super) fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl core::fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

fn split(rest: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&length, rest) = rest.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(length))?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((name, value, rest))
}

/// Collects header fields into a caller's buffer. Fields must come in ascending order of their names.
pub struct HeadersBuilder<'a> {
    buffer: &'a mut [u8],
    len: usize,
    last: (usize, usize),
    direction: Direction,
}

impl<'a> HeadersBuilder<'a> {
    /// An empty list.
    pub fn new(direction: Direction, buffer: &'a mut [u8]) -> Self {
        Self {
            buffer,
            len: 0,
            last: (0, 0),
            direction,
        }
    }

    /// Adds a field.
    ///
    /// # Errors
    /// [`Misuse::Head`] for a name that is not on the list or not after the last one, or a value that is not text;
    /// [`Misuse::OutputTooSmall`]. Nothing has changed.
    pub fn push(&mut self, name: &str, value: &str) -> Result<(), Misuse> {
        if !self.direction.allows(name)
            || name.as_bytes() <= &self.buffer[self.last.0..self.last.1]
            || !is_text(value.as_bytes(), MAX_VALUE)
        {
            return Err(Misuse::Head("headers"));
        }
        let needed = self.len + 1 + name.len() + 2 + value.len();
        let Some(out) = self.buffer.get_mut(self.len..needed) else {
            return Err(Misuse::OutputTooSmall { needed });
        };
        let (name_out, value_out) = out.split_at_mut(1 + name.len());
        // `allows` bounds the name at 64 bytes and `is_text` the value at 1024.
        name_out[0] = name.len() as u8;
        name_out[1..].copy_from_slice(name.as_bytes());
        value_out[..2].copy_from_slice(&(value.len() as u16).to_be_bytes());
        value_out[2..].copy_from_slice(value.as_bytes());
        self.last = (self.len + 1, self.len + 1 + name.len());
        self.len = needed;
        Ok(())
    }

    /// The list.
    pub fn finish(self) -> Headers<'a> {
        Headers(&self.buffer[..self.len])
    }
}
/// Values travel sealed, and are not shown.
impl core::fmt::Debug for HeadersBuilder<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("HeadersBuilder")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
