//! The grammar of RFC 8259, checked in one pass.

use core::ops::Range;

use super::escape::decode_escape;
use crate::chat::{ChatError, JsonFault};

/// How deep arrays and objects may nest: one bit of [`Nesting`] each.
const MAX_DEPTH: u32 = u128::BITS;

/// Checks that `text` is one JSON value and whitespace, and returns where the value is.
pub(super) fn document(text: &str) -> Result<Range<usize>, ChatError> {
    let mut scanner = Scanner {
        bytes: text.as_bytes(),
        at: 0,
    };
    scanner.whitespace();
    let start = scanner.at;
    scanner.value()?;
    let end = scanner.at;
    scanner.whitespace();
    if scanner.at < text.len() {
        return Err(scanner.fault(JsonFault::TrailingBytes));
    }
    Ok(start..end)
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    /// Passes over one value with everything in it. What is open is kept in [`Nesting`], not on the call stack, so
    /// the text cannot choose how much stack is used.
    fn value(&mut self) -> Result<(), ChatError> {
        let mut nesting = Nesting::default();
        loop {
            match self.peek() {
                Some(b'{') => {
                    self.open(&mut nesting, Container::Object)?;
                    if self.peek() != Some(b'}') {
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.open(&mut nesting, Container::Array)?;
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                _ => return Err(self.unexpected()),
            }
            if self.close(&mut nesting)? {
                return Ok(());
            }
        }
    }

    /// Takes an opening bracket and the whitespace after it.
    fn open(&mut self, nesting: &mut Nesting, container: Container) -> Result<(), ChatError> {
        if !nesting.push(container) {
            return Err(self.fault(JsonFault::TooDeep));
        }
        self.at += 1;
        self.whitespace();
        Ok(())
    }

    /// After a value, or inside an empty container: closes what ends here. `true` when nothing is left open, `false`
    /// when another value must follow.
    fn close(&mut self, nesting: &mut Nesting) -> Result<bool, ChatError> {
        while let Some(container) = nesting.top() {
            self.whitespace();
            match (container, self.peek()) {
                (Container::Object, Some(b'}')) | (Container::Array, Some(b']')) => {
                    self.at += 1;
                    nesting.pop();
                }
                (_, Some(b',')) => {
                    self.at += 1;
                    self.whitespace();
                    if container == Container::Object {
                        self.key()?;
                    }
                    return Ok(false);
                }
                _ => return Err(self.unexpected()),
            }
        }
        Ok(true)
    }

    /// Takes a member's name, the colon, and the whitespace around it.
    fn key(&mut self) -> Result<(), ChatError> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        self.string()?;
        self.whitespace();
        if self.peek() != Some(b':') {
            return Err(self.unexpected());
        }
        self.at += 1;
        self.whitespace();
        Ok(())
    }

    fn string(&mut self) -> Result<(), ChatError> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => match decode_escape(&self.bytes[self.at..]) {
                    Ok((_, len)) => self.at += len,
                    Err(fault) => return Err(self.fault(fault)),
                },
                Some(0..0x20) => return Err(self.fault(JsonFault::ControlCharacter)),
                Some(_) => self.at += 1,
                None => return Err(self.unexpected()),
            }
        }
    }

    /// RFC 8259, section 6: `number = [ minus ] int [ frac ] [ exp ]`.
    fn number(&mut self) -> Result<(), ChatError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.fault(JsonFault::InvalidNumber));
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// At least one digit.
    fn digits(&mut self) -> Result<(), ChatError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        match self.peek() {
            _ if self.at > start => Ok(()),
            Some(_) => Err(self.fault(JsonFault::InvalidNumber)),
            None => Err(self.fault(JsonFault::UnexpectedEnd)),
        }
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), ChatError> {
        for &byte in literal {
            if self.peek() != Some(byte) {
                return Err(self.unexpected());
            }
            self.at += 1;
        }
        Ok(())
    }

    fn whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn unexpected(&self) -> ChatError {
        self.fault(match self.peek() {
            Some(_) => JsonFault::UnexpectedByte,
            None => JsonFault::UnexpectedEnd,
        })
    }

    fn fault(&self, fault: JsonFault) -> ChatError {
        ChatError::Json {
            fault,
            offset: self.at,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

/// What is open, innermost last: one bit each, so that depth costs neither heap nor stack.
#[derive(Default)]
struct Nesting {
    objects: u128,
    depth: u32,
}

impl Nesting {
    /// `false` when there is no room.
    fn push(&mut self, container: Container) -> bool {
        if self.depth == MAX_DEPTH {
            return false;
        }
        self.objects = self.objects << 1 | u128::from(container == Container::Object);
        self.depth += 1;
        true
    }

    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth = self.depth.saturating_sub(1);
    }

    fn top(&self) -> Option<Container> {
        match (self.depth, self.objects & 1) {
            (0, _) => None,
            (_, 0) => Some(Container::Array),
            _ => Some(Container::Object),
        }
    }
}
