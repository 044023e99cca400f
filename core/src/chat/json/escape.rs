//! The escapes of JSON strings (RFC 8259, section 7), taken away without a buffer of their own.

use sealwire_memlock::SecureString;
use zeroize::Zeroize;

use crate::chat::{ChatError, JsonFault};

/// Unescapes the inside of a JSON string (what stands between its quotes) where it lies, and returns the new length.
///
/// Unescaping never lengthens. The bytes that are no longer needed, from the returned length on, are wiped. On an
/// error nothing has changed.
///
/// # Errors
/// [`ChatError::InvalidUtf8`], or [`ChatError::Json`] for a bad escape, half of a surrogate pair, a quote or a control
/// character.
///
/// ```
/// let mut text = *br"caf\u00e9 \ud83d\ude00";
/// let len = sealwire_core::chat::json::unescape_in_place(&mut text)?;
/// assert_eq!(&text[..len], "café 😀".as_bytes());
/// # Ok::<(), sealwire_core::chat::ChatError>(())
/// ```
pub fn unescape_in_place(text: &mut [u8]) -> Result<usize, ChatError> {
    let raw = core::str::from_utf8(text).map_err(|error| ChatError::InvalidUtf8 {
        offset: error.valid_up_to(),
    })?;
    unescaped_len(raw)?;

    let mut read = 0;
    let mut written = 0;
    while let Some(&byte) = text.get(read) {
        if byte == b'\\' {
            let (character, len) =
                decode_escape(&text[read..]).map_err(|fault| ChatError::Json {
                    fault,
                    offset: read,
                })?;
            // The shortest escape of a character is longer than its UTF-8, so `written` never passes `read`.
            written += character.encode_utf8(&mut text[written..]).len();
            read += len;
        } else {
            text[written] = byte;
            written += 1;
            read += 1;
        }
    }
    text[written..].zeroize();
    Ok(written)
}

/// Unescapes the inside of a JSON string to the end of `out`. On a fault in `raw` nothing has been appended.
///
/// # Errors
/// [`ChatError::Json`] as for [`unescape_in_place`], [`ChatError::Memory`] when `out` cannot grow.
///
/// ```
/// use sealwire_core::chat::json::unescape_into;
/// use sealwire_memlock::{Policy, SecureMemory};
///
/// let mut text = SecureMemory::new(Policy::BestEffort).string();
/// unescape_into(r#"a \"quoted\" word"#, &mut text)?;
/// assert_eq!(text.expose(), r#"a "quoted" word"#);
/// # Ok::<(), sealwire_core::chat::ChatError>(())
/// ```
pub fn unescape_into(raw: &str, out: &mut SecureString) -> Result<(), ChatError> {
    unescaped_len(raw)?;
    for piece in Pieces::new(raw) {
        out.try_push_str(piece?.encode(&mut [0; 4]))?;
    }
    Ok(())
}

/// Checks the inside of a JSON string and returns its length without escapes.
pub(super) fn unescaped_len(raw: &str) -> Result<usize, ChatError> {
    let mut len = 0;
    for piece in Pieces::new(raw) {
        len += match piece? {
            Piece::Run(run) => run.len(),
            Piece::Escape(character) => character.len_utf8(),
        };
    }
    Ok(len)
}

/// A stretch of the inside of a JSON string.
pub(super) enum Piece<'a> {
    /// Stands for itself.
    Run(&'a str),
    /// Stood behind a backslash.
    Escape(char),
}

impl<'a> Piece<'a> {
    /// The text it stands for; `buffer` lends its bytes to a single character.
    pub(super) fn encode<'b>(&self, buffer: &'b mut [u8; 4]) -> &'b str
    where
        'a: 'b,
    {
        match *self {
            Self::Run(run) => run,
            Self::Escape(character) => character.encode_utf8(buffer),
        }
    }
}

/// Takes the inside of a JSON string apart; the first fault is the last item.
pub(super) struct Pieces<'a> {
    rest: &'a str,
    offset: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(raw: &'a str) -> Self {
        Self {
            rest: raw,
            offset: 0,
        }
    }

    /// `len` must end at a character boundary: where an ASCII byte starts, or where an escape ends.
    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        self.offset += len;
        taken
    }

    fn fail(&mut self, fault: JsonFault) -> ChatError {
        self.rest = "";
        ChatError::Json {
            fault,
            offset: self.offset,
        }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<Piece<'a>, ChatError>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = *self.rest.as_bytes().first()?;
        Some(match first {
            b'\\' => match decode_escape(self.rest.as_bytes()) {
                Ok((character, len)) => {
                    self.take(len);
                    Ok(Piece::Escape(character))
                }
                Err(fault) => Err(self.fail(fault)),
            },
            b'"' => Err(self.fail(JsonFault::UnexpectedByte)),
            0..0x20 => Err(self.fail(JsonFault::ControlCharacter)),
            _ => {
                let end = self
                    .rest
                    .bytes()
                    .position(|byte| matches!(byte, b'\\' | b'"' | 0..0x20));
                Ok(Piece::Run(self.take(end.unwrap_or(self.rest.len()))))
            }
        })
    }
}

/// Reads the escape that `bytes` starts with: the character, and how many bytes stand for it.
pub(super) fn decode_escape(bytes: &[u8]) -> Result<(char, usize), JsonFault> {
    let character = match bytes.get(1).ok_or(JsonFault::UnexpectedEnd)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return decode_unicode(bytes),
        _ => return Err(JsonFault::InvalidEscape),
    };
    Ok((character, 2))
}

/// `\uXXXX`, or two of them that form a surrogate pair.
fn decode_unicode(bytes: &[u8]) -> Result<(char, usize), JsonFault> {
    let unit = hex4(bytes, 2)?;
    if let Some(character) = char::from_u32(unit) {
        return Ok((character, 6));
    }
    // No scalar value, so a surrogate: only a high one with a low one after it means anything.
    let paired = unit < 0xDC00 && bytes.get(6..8) == Some(br"\u");
    let low = match paired {
        true => hex4(bytes, 8)?,
        false => return Err(JsonFault::LoneSurrogate),
    };
    if !(0xDC00..0xE000).contains(&low) {
        return Err(JsonFault::LoneSurrogate);
    }
    let scalar = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    let character = char::from_u32(scalar).ok_or(JsonFault::LoneSurrogate)?;
    Ok((character, 12))
}

/// The four hexadecimal digits at `start`.
fn hex4(bytes: &[u8], start: usize) -> Result<u32, JsonFault> {
    (start..start + 4).try_fold(0, |unit, at| {
        let byte = *bytes.get(at).ok_or(JsonFault::UnexpectedEnd)?;
        let digit = char::from(byte)
            .to_digit(16)
            .ok_or(JsonFault::InvalidEscape)?;
        Ok(unit << 4 | digit)
    })
}
