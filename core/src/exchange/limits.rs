//! Limits (spec section 10).

use crate::frame::DEFAULT_MAX_FRAME;

/// What one message may take, counted before memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest frame accepted, in bytes on the wire; at least 1024: a gateway takes those whatever it says here (FRAME-4), and of a
    /// client less is [`Misuse::Head`](crate::Misuse::Head).
    pub frame: usize,
    /// The largest body, in content bytes.
    pub content: u64,
    /// The most bytes on the wire, padding and cover frames included.
    pub wire: u64,
}

impl Limits {
    /// The defaults for requests: 16 KiB frames, 10 MiB of content, 24 MiB on the wire.
    pub const REQUEST: Self = Self {
        frame: DEFAULT_MAX_FRAME,
        content: 10 << 20,
        wire: 24 << 20,
    };
    /// The defaults for responses: 16 KiB frames, 64 MiB of content, 1 GiB on the wire.
    pub const RESPONSE: Self = Self {
        frame: DEFAULT_MAX_FRAME,
        content: 64 << 20,
        wire: 1 << 30,
    };
}
