//! What a gateway is told, what it needs, and what arrives.

use sealwire_memlock::SecureBytes;

#[cfg(doc)]
use super::ServerExchange;
use super::limits::Limits;
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorCode;
use crate::head::RequestHead;
use crate::keys::Keys;
use crate::replay::ReplayStore;
use crate::time::UnixTime;

/// What a gateway accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// Limits of the request.
    pub request: Limits,
    /// Whether bytes after the request are an error, as over HTTP, or belong to the next exchange.
    pub one_exchange: bool,
    /// Whether head and body are given out as they verify: the choice of ORDER-2. What was given out was not the whole of a request
    /// until [`ServerEvent::Request`] comes; whatever comes instead must undo what was begun. Default: no.
    pub stream_requests: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            request: Limits::REQUEST,
            one_exchange: true,
            stream_requests: false,
        }
    }
}

/// What opening a request needs from outside.
pub struct ServerContext<'a> {
    /// The gateway's clock.
    pub now: UnixTime,
    /// Its keys.
    pub keys: &'a dyn Keys,
    /// The requests it has seen.
    pub replay: &'a mut dyn ReplayStore,
}

/// What a request brought.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// The client asks for the keys: answer with [`ServerExchange::send_keys`], and transmit: until then nothing more is read.
    KeysRequested,
    /// The head verified, and the request was admitted: [`ServerExchange::take_request`] gives it without a body. Only with
    /// [`ServerOptions::stream_requests`].
    Head,
    /// The next of the body verified: [`ServerExchange::take_data`]. Only with [`ServerOptions::stream_requests`].
    Data,
    /// The request is whole: [`ServerExchange::take_request`], if [`Head`](Self::Head) did not come before; then respond.
    Request,
    /// The request was refused for this reason; the answer is in [`ServerExchange::poll_transmit`]. For the log only.
    Refused(Error),
    /// The client wants no more: stop, and call [`ServerExchange::fail`] with [`ErrorCode::Cancelled`].
    Cancelled,
}

/// A request, in secure memory: whole, or without its body where requests are given out as they arrive.
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
