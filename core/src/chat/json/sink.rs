//! Where JSON goes: over the counter first, then into a buffer of that size.
//!
//! serde_json's own writers need std or grow a `Vec`, leaving every smaller copy of the text behind on the heap.

use core::fmt;

use crate::chat::ChatError;

/// Where JSON goes.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]) -> Result<(), ChatError>;
}

/// Counts bytes.
pub(super) struct Count(pub(super) usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) -> Result<(), ChatError> {
        let sum = self.0.checked_add(bytes.len());
        self.0 = sum.ok_or(ChatError::TooLarge { limit: usize::MAX })?;
        Ok(())
    }
}

/// Fills a buffer; what is left of it stays in the field.
pub(super) struct Fill<'a>(pub(super) &'a mut [u8]);

impl Sink for Fill<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), ChatError> {
        let rest = core::mem::take(&mut self.0);
        let (target, rest) = rest
            .split_at_mut_checked(bytes.len())
            .ok_or(ChatError::Unserializable)?;
        target.copy_from_slice(bytes);
        self.0 = rest;
        Ok(())
    }
}

/// RFC 8259, section 7: only the quotation mark, the backslash and the control characters must be escaped.
pub(super) fn put_escaped(sink: &mut dyn Sink, mut text: &str) -> Result<(), ChatError> {
    let must_escape = |byte: u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    while let Some(end) = text.bytes().position(must_escape) {
        let (run, rest) = text.split_at(end);
        sink.put(run.as_bytes())?;
        let (special, rest) = rest.split_at(1);
        match special.as_bytes()[0] {
            b'"' => sink.put(br#"\""#)?,
            b'\\' => sink.put(br"\\")?,
            0x08 => sink.put(br"\b")?,
            0x0c => sink.put(br"\f")?,
            b'\n' => sink.put(br"\n")?,
            b'\r' => sink.put(br"\r")?,
            b'\t' => sink.put(br"\t")?,
            control => {
                let digit = b"0123456789abcdef"[usize::from(control & 0xf)];
                sink.put(&[b'\\', b'u', b'0', b'0', b'0' + (control >> 4), digit])?;
            }
        }
        text = rest;
    }
    sink.put(text.as_bytes())
}

/// Takes what `fmt` writes, remembering why the sink refused.
pub(super) struct FmtSink<'a> {
    sink: &'a mut dyn Sink,
    escape: bool,
    pub(super) result: Result<(), ChatError>,
}

impl<'a> FmtSink<'a> {
    pub(super) fn new(sink: &'a mut dyn Sink, escape: bool) -> Self {
        Self {
            sink,
            escape,
            result: Ok(()),
        }
    }
}

impl fmt::Write for FmtSink<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.result = match self.escape {
            true => put_escaped(self.sink, text),
            false => self.sink.put(text.as_bytes()),
        };
        self.result.as_ref().map_err(|_| fmt::Error).copied()
    }
}

/// Takes a map key: a string as it is, a number or a truth value in quotes, nothing else.
pub(super) struct KeySink<'a> {
    sink: &'a mut dyn Sink,
    quoted: Option<bool>,
}

impl<'a> KeySink<'a> {
    pub(super) fn new(sink: &'a mut dyn Sink) -> Self {
        Self { sink, quoted: None }
    }

    /// The closing quote, where the key brought none.
    pub(super) fn finish(self) -> Result<(), ChatError> {
        match self.quoted {
            Some(true) => self.sink.put(b"\""),
            Some(false) => Ok(()),
            // The key wrote nothing at all.
            None => Err(ChatError::Unserializable),
        }
    }
}

impl Sink for KeySink<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), ChatError> {
        if let (None, Some(first)) = (self.quoted, bytes.first()) {
            let quoted = match first {
                b'"' => false,
                b'-' | b'0'..=b'9' | b't' | b'f' => true,
                _ => return Err(ChatError::Unserializable),
            };
            self.quoted = Some(quoted);
            if quoted {
                self.sink.put(b"\"")?;
            }
        }
        self.sink.put(bytes)
    }
}
