//! Frame headers (spec section 2): `type u8 | length u24`.

use crate::error::{Malformed, PeerError};

/// Bytes of a frame header.
pub const HEADER_LEN: usize = 4;
/// Bytes of an authentication tag.
pub const TAG_LEN: usize = 16;
/// Bytes of the content length inside a sealed frame.
pub const CONTENT_LENGTH_LEN: usize = 2;
/// Where content begins in a sealed frame before sealing and after opening.
pub const CONTENT_OFFSET: usize = HEADER_LEN + CONTENT_LENGTH_LEN;
/// The size of a sealed frame without content or padding: 22 bytes.
pub const SEALED_OVERHEAD: usize = CONTENT_OFFSET + TAG_LEN;
/// The size every peer accepts (FRAME-4).
pub const MIN_MAX_FRAME: usize = 1024;
/// The default largest frame: 16 KiB of plaintext.
pub const DEFAULT_MAX_FRAME: usize = HEADER_LEN + 16_384 + TAG_LEN;
/// The largest frame that is worth sending: content length is 16 bits, and more would be padding.
pub const LARGEST_FRAME: usize = SEALED_OVERHEAD + u16::MAX as usize;
/// Bytes of a response nonce.
pub const RESPONSE_NONCE_LEN: usize = 32;
/// The longest body of OPEN of any suite, offered or not, so that REJECT can name the reason (FRAME-5).
pub const LONGEST_OPEN: usize = 15 + 1153;
/// The protocol version in OPEN and KEYS_REQUEST.
pub const VERSION: u8 = 1;

/// The types of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameType {
    /// Asks for the key set.
    KeysRequest = 0x01,
    /// The key set.
    Keys = 0x02,
    /// Begins a request.
    Open = 0x03,
    /// Begins a response.
    Accept = 0x04,
    /// Refuses a request in the clear.
    Reject = 0x05,
    /// What HTTP carries before a body.
    Head = 0x10,
    /// Body bytes.
    Data = 0x11,
    /// The authenticated end of a message.
    End = 0x12,
    /// Ends a response with an error.
    Error = 0x13,
    /// Asks to stop.
    Cancel = 0x14,
}

impl FrameType {
    /// Every type, in the order of the spec's table.
    pub const ALL: [Self; 10] = [
        Self::KeysRequest,
        Self::Keys,
        Self::Open,
        Self::Accept,
        Self::Reject,
        Self::Head,
        Self::Data,
        Self::End,
        Self::Error,
        Self::Cancel,
    ];

    /// Reads a type.
    ///
    /// # Errors
    /// [`Malformed::FrameType`] for what is not in the table of section 2 (FRAME-1).
    pub const fn from_u8(kind: u8) -> Result<Self, Malformed> {
        Ok(match kind {
            0x01 => Self::KeysRequest,
            0x02 => Self::Keys,
            0x03 => Self::Open,
            0x04 => Self::Accept,
            0x05 => Self::Reject,
            0x10 => Self::Head,
            0x11 => Self::Data,
            0x12 => Self::End,
            0x13 => Self::Error,
            0x14 => Self::Cancel,
            other => return Err(Malformed::FrameType(other)),
        })
    }

    /// Whether the body is sealed.
    pub const fn is_sealed(self) -> bool {
        self as u8 >= 0x10
    }

    /// The name in the spec.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeysRequest => "KEYS_REQUEST",
            Self::Keys => "KEYS",
            Self::Open => "OPEN",
            Self::Accept => "ACCEPT",
            Self::Reject => "REJECT",
            Self::Head => "HEAD",
            Self::Data => "DATA",
            Self::End => "END",
            Self::Error => "ERROR",
            Self::Cancel => "CANCEL",
        }
    }
}

/// What a buffer begins with: see [`FrameHeader::peek`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek {
    /// Not a whole frame yet: read until there are this many bytes, and look again.
    NeedMore {
        /// Bytes that the buffer must hold, those that it holds included.
        at_least: usize,
    },
    /// A whole frame: the first [`FrameHeader::size`] bytes.
    Frame(FrameHeader),
}

/// A frame header whose type exists and whose length is possible for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    kind: FrameType,
    len: u32,
}

impl FrameHeader {
    /// A header for a body of `len` bytes.
    ///
    /// # Errors
    /// [`Malformed::FrameLength`] if a frame of this type cannot have that length.
    pub const fn new(kind: FrameType, len: usize) -> Result<Self, Malformed> {
        let possible = match kind {
            FrameType::KeysRequest | FrameType::Reject => len == 1,
            FrameType::Accept => len == RESPONSE_NONCE_LEN,
            FrameType::Keys => len >= 1 && len <= 65_535,
            FrameType::Open => len >= 1 && len <= LONGEST_OPEN,
            // However long its padding: what is too long is for the receiver's limit to say (FRAME-3).
            _ => len >= CONTENT_LENGTH_LEN + TAG_LEN && len < 1 << 24,
        };
        if possible {
            Ok(Self {
                kind,
                len: len as u32,
            })
        } else {
            Err(Malformed::FrameLength)
        }
    }

    /// Reads four bytes (FRAME-1, FRAME-2, FRAME-5, SEAL-1).
    ///
    /// ```
    /// use sealwire_core::frame::{FrameHeader, FrameType};
    /// let header = FrameHeader::parse([0x04, 0, 0, 32])?;
    /// assert_eq!((header.kind(), header.body_len()), (FrameType::Accept, 32));
    /// # Ok::<(), sealwire_core::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// [`Malformed`] for a type that does not exist or a length it cannot have.
    pub const fn parse(bytes: [u8; HEADER_LEN]) -> Result<Self, Malformed> {
        match FrameType::from_u8(bytes[0]) {
            Ok(kind) => Self::new(
                kind,
                u32::from_be_bytes([0, bytes[1], bytes[2], bytes[3]]) as usize,
            ),
            Err(error) => Err(error),
        }
    }

    /// Looks at the start of `input` for a frame, a sealed one of at most `limit` bytes on the wire (FRAME-4): from the header alone,
    /// before anyone makes room for the body (FRAME-3). A clear frame is as long as its type may be, a KEYS of 65,539 bytes for one.
    /// Nothing is consumed, so it can be called again with more.
    ///
    /// A type that cannot follow is malformed before it is too large (FRAME-7): whoever tells the two apart asks
    /// [`RequestOpener::expects`](crate::record::RequestOpener::expects), or that of the response, with what
    /// [`parse`](Self::parse) says of the first four bytes.
    ///
    /// ```
    /// use sealwire_core::frame::{FrameHeader, Peek};
    /// let wire = [0x05, 0, 0, 1, 3];
    /// assert_eq!(FrameHeader::peek(&wire[..2], 1024)?, Peek::NeedMore { at_least: 4 });
    /// assert_eq!(FrameHeader::peek(&wire[..4], 1024)?, Peek::NeedMore { at_least: 5 });
    /// assert!(matches!(FrameHeader::peek(&wire, 1024)?, Peek::Frame(header) if header.size() == 5));
    /// assert!(FrameHeader::peek(&[0x11, 0, 0x40, 0], 1024).is_err()); // DATA of 16,388 bytes
    /// # Ok::<(), sealwire_core::PeerError>(())
    /// ```
    ///
    /// # Errors
    /// [`PeerError::TooLarge`] above the limit, [`Malformed`] as [`parse`](Self::parse).
    pub const fn peek(input: &[u8], limit: usize) -> Result<Peek, PeerError> {
        let Some(bytes) = input.first_chunk::<HEADER_LEN>() else {
            return Ok(Peek::NeedMore {
                at_least: HEADER_LEN,
            });
        };
        let header = match Self::parse(*bytes) {
            Ok(header) => header,
            Err(error) => return Err(PeerError::Malformed(error)),
        };
        if header.kind.is_sealed() && header.size() > limit {
            Err(PeerError::TooLarge {
                what: "frame",
                limit: limit as u64,
            })
        } else if input.len() < header.size() {
            Ok(Peek::NeedMore {
                at_least: header.size(),
            })
        } else {
            Ok(Peek::Frame(header))
        }
    }

    /// The four bytes.
    pub const fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [_, a, b, c] = self.len.to_be_bytes();
        [self.kind as u8, a, b, c]
    }

    /// The type.
    pub const fn kind(self) -> FrameType {
        self.kind
    }

    /// Bytes of the body.
    pub const fn body_len(self) -> usize {
        self.len as usize
    }

    /// Bytes of the whole frame on the wire.
    pub const fn size(self) -> usize {
        HEADER_LEN + self.len as usize
    }
}
