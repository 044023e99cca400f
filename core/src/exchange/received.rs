//! A request as a gateway gets it: whole, its end verified.

use sealwire_memlock::SecureBytes;

use crate::head::RequestHead;

/// A whole request, in secure memory.
pub struct ReceivedRequest {
    head: SecureBytes,
    body: SecureBytes,
}

impl ReceivedRequest {
    /// `head` was decoded before, and `body` belongs to it.
    pub(super) const fn new(head: SecureBytes, body: SecureBytes) -> Self {
        Self { head, body }
    }

    /// The head.
    pub fn head(&self) -> RequestHead<'_> {
        // The exchange decoded these bytes before it kept them, and nothing has changed them.
        RequestHead::decode(self.head.expose()).expect("decoded when it arrived")
    }

    /// The body.
    pub const fn body(&self) -> &SecureBytes {
        &self.body
    }

    /// The body, alone.
    pub fn into_body(self) -> SecureBytes {
        self.body
    }
}

impl core::fmt::Debug for ReceivedRequest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ReceivedRequest")
            .field("head", &self.head())
            .finish_non_exhaustive()
    }
}
