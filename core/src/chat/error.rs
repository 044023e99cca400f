//! What can go wrong with chat bodies, told without quoting them.

use core::fmt;

use sealwire_memlock::MemoryError;

/// Why a chat body could not be written or read.
///
/// No variant holds a byte of the body: names are this crate's own constants, positions are byte offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChatError {
    /// Secure memory could not be had.
    Memory(MemoryError),
    /// The text is not the JSON of RFC 8259.
    Json {
        /// The rule it breaks.
        fault: JsonFault,
        /// Where, in bytes from the start of the text.
        offset: usize,
    },
    /// The text is not UTF-8.
    InvalidUtf8 {
        /// The first offending byte, from the start of the text; in an event stream, from the start of the field's
        /// value.
        offset: usize,
    },
    /// A known member has a type it must not have.
    Unexpected {
        /// The member's name.
        member: &'static str,
        /// What it should have been.
        expected: &'static str,
        /// Where its value starts, in bytes from the start of the text.
        offset: usize,
    },
    /// A member that must be there is not.
    Missing {
        /// The member's name.
        member: &'static str,
    },
    /// The server tells of an error in place of an answer.
    Failed,
    /// A member appears twice: two readers could take two different values from it.
    Duplicate {
        /// The member's name, or `"extra"` for one the caller added to a request.
        member: &'static str,
    },
    /// A number to be written is infinite or not a number, which JSON cannot express.
    NotFinite,
    /// A value refused to be written, or came out differently the second time. Its own message is dropped: it may
    /// quote what it was about.
    Unserializable,
    /// More than the limit allows; checked before any memory is taken.
    TooLarge {
        /// The limit, in bytes or entries.
        limit: usize,
    },
    /// The event stream ended inside an event, which is discarded as the HTML standard demands.
    IncompleteEvent {
        /// How many bytes of it were discarded.
        discarded: usize,
    },
}

/// The rule of RFC 8259 that a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonFault {
    /// It ends too early.
    UnexpectedEnd,
    /// A byte stands where the grammar has no place for it.
    UnexpectedByte,
    /// Something follows the value.
    TrailingBytes,
    /// A number is not written as the grammar demands.
    InvalidNumber,
    /// A backslash is followed by something that is no escape.
    InvalidEscape,
    /// Half of a surrogate pair stands alone: it names no character, and to replace it would change the text.
    LoneSurrogate,
    /// A string holds a control character that must be escaped.
    ControlCharacter,
    /// Arrays and objects are nested deeper than 128 levels.
    TooDeep,
}

impl fmt::Display for ChatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(error) => write!(f, "secure memory: {error}"),
            Self::Json { fault, offset } => write!(f, "invalid JSON at byte {offset}: {fault}"),
            Self::InvalidUtf8 { offset } => write!(f, "invalid UTF-8 at byte {offset}"),
            Self::Unexpected {
                member,
                expected,
                offset,
            } => write!(f, "`{member}` at byte {offset} is not {expected}"),
            Self::Missing { member } => write!(f, "`{member}` is missing"),
            Self::Failed => f.write_str("it tells of an error in place of an answer"),
            Self::Duplicate { member } => write!(f, "`{member}` appears twice"),
            Self::NotFinite => f.write_str("a number to be written as JSON is not finite"),
            Self::Unserializable => f.write_str("a value cannot be written as JSON"),
            Self::TooLarge { limit } => write!(f, "larger than the limit of {limit}"),
            Self::IncompleteEvent { discarded } => write!(
                f,
                "the event stream ended inside an event; {discarded} bytes were discarded"
            ),
        }
    }
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnexpectedEnd => "unexpected end",
            Self::UnexpectedByte => "unexpected byte",
            Self::TrailingBytes => "bytes after the value",
            Self::InvalidNumber => "invalid number",
            Self::InvalidEscape => "invalid escape",
            Self::LoneSurrogate => "lone surrogate",
            Self::ControlCharacter => "unescaped control character",
            Self::TooDeep => "nested too deep",
        })
    }
}

impl core::error::Error for ChatError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Memory(error) => Some(error),
            _ => None,
        }
    }
}

impl From<MemoryError> for ChatError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

impl serde::ser::Error for ChatError {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self::Unserializable
    }
}
