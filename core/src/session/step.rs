//! What a session asks for, and what it gives.

use core::time::Duration;

#[cfg(doc)]
use super::{ClientSession, Trust};
use crate::head::ResponseHead;
use crate::record::Complete;

/// What an adapter does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Fetch the key set: over HTTP by a request of its own; on a raw stream, as in [`Step::Send`].
    FetchKeys,
    /// Judge the identity in [`ClientSession::key_set`]; with [`Trust::AskEachKey`] the record in [`ClientSession::candidate`].
    Judge,
    /// Open a connection or request of its own, send what [`ClientSession::poll_transmit`] gives, feed what comes back.
    Send,
    /// Sleep until the monotonic clock shows this.
    Wait(Duration),
    /// The answer is whole, and everything of it has been given out.
    Done,
}

/// What an answer brings.
#[derive(PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent<'a> {
    /// The head: from here on there is no retry.
    Head(ResponseHead<'a>),
    /// The next bytes of the body.
    Data(&'a [u8]),
    /// The answer is whole.
    Complete(Complete),
}

impl core::fmt::Debug for SessionEvent<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Head(head) => f.debug_tuple("Head").field(&head.status).finish(),
            Self::Data(data) => write!(f, "Data([REDACTED; {}])", data.len()),
            Self::Complete(_) => f.write_str("Complete"),
        }
    }
}
