//! The ways an exchange can go.

use std::fmt;
use std::str::FromStr;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// Asked and answered.
    Plain,
    /// Answered piece by piece.
    Streamed,
    /// Twenty exchanges, one after another, on one client.
    Twenty,
    /// Answered by 401, with words that quote the prompt's answer.
    Unauthorized,
    /// An answer that is no JSON.
    Malformed,
    /// A byte is changed on the way.
    Damaged,
    /// The connection ends in the middle of the message.
    Truncated,
    /// The handler panics.
    Panic,
    /// Nobody waits for the answer any more.
    Dropped,
    /// Nobody waits for the rest of the answer.
    DroppedStream,
}

impl Path {
    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Self::Plain,
        Self::Streamed,
        Self::Twenty,
        Self::Unauthorized,
        Self::Malformed,
        Self::Damaged,
        Self::Truncated,
        Self::Panic,
        Self::Dropped,
        Self::DroppedStream,
    ];

    pub(crate) const fn exchanges(self) -> u64 {
        match self {
            Self::Twenty => 20,
            _ => 1,
        }
    }

    pub(crate) const fn is_streamed(self) -> bool {
        matches!(
            self,
            Self::Streamed | Self::Truncated | Self::Panic | Self::DroppedStream
        )
    }

    /// Whether a gateway's handler answers without waiting to be looked at. A damaged request does not come so far; its client
    /// seals it once more.
    pub(crate) const fn is_unattended(self) -> bool {
        matches!(self, Self::Twenty | Self::Damaged | Self::Truncated)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Streamed => "streamed",
            Self::Twenty => "20 in a row",
            Self::Unauthorized => "401",
            Self::Malformed => "malformed",
            Self::Damaged => "damaged",
            Self::Truncated => "truncated",
            Self::Panic => "panic",
            Self::Dropped => "dropped",
            Self::DroppedStream => "dropped stream",
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Path {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let all = Self::ALL.into_iter();
        all.into_iter().find(|path| path.name() == name).ok_or(())
    }
}
