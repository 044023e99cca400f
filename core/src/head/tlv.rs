//! Tag, length, value: writing, strict reading, and the character classes of HEAD-3.

use crate::error::{Malformed, Misuse};

/// Tags from here on may be unknown (HEAD-2).
const FIRST_IGNORABLE: u8 = 0x80;

/// Writes TLVs into a caller's buffer. Counts on when the buffer is too small, so that the error can say what is needed.
pub(super) struct Writer<'a> {
    out: &'a mut [u8],
    needed: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        Self { out, needed: 0 }
    }

    /// Adds a field; callers add in ascending order of tags.
    pub(super) fn field(&mut self, tag: u8, value: &[u8]) {
        let Ok(length) = u16::try_from(value.len()) else {
            // Longer than any HEAD may be: never fits.
            self.needed = usize::MAX;
            return;
        };
        self.raw(&[tag]);
        self.raw(&length.to_be_bytes());
        self.raw(value);
    }

    fn raw(&mut self, bytes: &[u8]) {
        let start = self.needed;
        self.needed = start.saturating_add(bytes.len());
        if let Some(out) = self.out.get_mut(start..self.needed) {
            out.copy_from_slice(bytes);
        }
    }

    pub(super) fn finish(self) -> Result<usize, Misuse> {
        if self.needed <= self.out.len() {
            Ok(self.needed)
        } else {
            Err(Misuse::OutputTooSmall {
                needed: self.needed,
            })
        }
    }
}

/// Reads TLVs strictly (HEAD-1).
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    last: Option<u8>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(content: &'a [u8]) -> Self {
        Self {
            rest: content,
            last: None,
        }
    }

    /// The next field, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, Malformed> {
        let Some((&[tag, high, low], rest)) = self.rest.split_first_chunk::<3>() else {
            return if self.rest.is_empty() {
                Ok(None)
            } else {
                Err(Malformed::Head("length"))
            };
        };
        if self.last.is_some_and(|last| tag <= last) {
            return Err(Malformed::Head("order"));
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, rest) = rest
            .split_at_checked(length)
            .ok_or(Malformed::Head("length"))?;
        self.last = Some(tag);
        self.rest = rest;
        Ok(Some((tag, value)))
    }
}

/// HEAD-2: what a decoder does with a tag it does not know.
pub(super) fn unknown(tag: u8) -> Result<(), Malformed> {
    if tag >= FIRST_IGNORABLE {
        Ok(())
    } else {
        Err(Malformed::Head("unknown tag"))
    }
}

/// A fixed-size value.
pub(super) fn array<const N: usize>(
    value: &[u8],
    field: &'static str,
) -> Result<[u8; N], Malformed> {
    value.try_into().map_err(|_| Malformed::Head(field))
}

/// *text* of HEAD-3: visible ASCII with inner spaces.
pub(super) fn is_text(value: &[u8], max: usize) -> bool {
    value.len() <= max
        && value.iter().all(|byte| matches!(byte, 0x20..=0x7e))
        && value.first() != Some(&b' ')
        && value.last() != Some(&b' ')
}

/// Visible ASCII, at least one byte.
pub(super) fn is_visible(value: &[u8], max: usize) -> bool {
    !value.is_empty() && value.len() <= max && value.iter().all(u8::is_ascii_graphic)
}

/// Text of at least one byte, as `str`.
pub(super) fn text<'a>(
    value: &'a [u8],
    max: usize,
    field: &'static str,
) -> Result<&'a str, Malformed> {
    if value.is_empty() || !is_text(value, max) {
        return Err(Malformed::Head(field));
    }
    str::from_utf8(value).map_err(|_| Malformed::Head(field))
}
