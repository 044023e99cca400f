//! Refusals: which code, when it is sent, and what is read until then (ORDER-3, ORDER-4).

use super::{Drain, ServerExchange};
use crate::error::{Error, ErrorCode, PeerError, RejectCode};
use crate::exchange::received::ServerEvent;
use crate::frame::FrameType;
use crate::record::Opener;
use crate::state::ServerState;
use crate::suite::RecordAead;
use crate::time::UnixTime;

/// What to answer once the request has been drained.
#[derive(Clone, Copy)]
pub(super) enum Refusal {
    Reject(RejectCode),
    Error(ErrorCode),
}

impl<A: RecordAead> ServerExchange<A> {
    /// A frame failed: find the code, skip the frame, drain the rest.
    pub(super) fn refuse_frame(&mut self, kind: FrameType, error: Error, now: UnixTime) {
        self.incoming.next_frame();
        self.refuse(error);
        if matches!(kind, FrameType::End | FrameType::Cancel) {
            self.answer_refusal(now);
        }
    }

    pub(super) fn refuse(&mut self, error: Error) {
        if self.has_opened() {
            let code = match &error {
                Error::Peer(PeerError::TooLarge { .. }) => ErrorCode::TooLarge,
                Error::Environment(_) => ErrorCode::Busy,
                _ => ErrorCode::Malformed,
            };
            self.start_draining(Refusal::Error(code), error);
        } else {
            let code = match &error {
                Error::Peer(PeerError::TooLarge { .. }) => RejectCode::TooLarge,
                Error::Peer(PeerError::Undecryptable) => RejectCode::Undecryptable,
                Error::Environment(_) => RejectCode::Busy,
                _ => RejectCode::Malformed,
            };
            self.reject(code, error);
        }
    }

    pub(super) fn reject(&mut self, code: RejectCode, error: Error) {
        self.start_draining(Refusal::Reject(code), error);
    }

    pub(super) fn start_draining(&mut self, refusal: Refusal, error: Error) {
        if self.refusal.is_some() {
            return;
        }
        self.drain = Drain::continue_from(&self.incoming);
        self.incoming.next_frame();
        self.refusal = Some(refusal);
        self.state = ServerState::Draining;
        self.head = None;
        // What it takes is worth more to the answer; without memory for nothing it stays, and is wiped.
        match self.memory.with_capacity(0) {
            Ok(empty) => self.body = empty,
            Err(_) => self.body.clear(),
        }
        self.event = Some(ServerEvent::Refused(error));
    }

    /// Seals the refusal; where it tells the time, that is the time of now.
    pub(super) fn answer_refusal(&mut self, now: UnixTime) {
        let result = match self.refusal {
            Some(Refusal::Reject(code)) => {
                self.opener = None;
                self.push_clear(FrameType::Reject, &[code.to_u8()])
            }
            Some(Refusal::Error(code)) => self.send_error(code, now),
            None => Ok(()),
        };
        // Without memory for an answer there is none: the connection is closed.
        if result.is_err() {
            self.opener = None;
            self.sending = None;
            self.broken = true;
        }
        self.end_response();
    }

    /// The request has taken too long to arrive: it is refused, and the client may try again (ORDER-4). Over HTTP one whose END is there
    /// is whole then (ORDER-5). On a raw stream where nothing of one has come, or all of it, nothing changes.
    pub fn handle_deadline(&mut self, now: UnixTime) {
        let is_raw = !self.options.one_exchange;
        match self.state {
            ServerState::AwaitOpen if is_raw && !self.has_begun() => return,
            ServerState::AwaitOpen | ServerState::AwaitHead | ServerState::Body => {
                let refusal = match self.has_opened() {
                    true => Refusal::Error(ErrorCode::Timeout),
                    false => Refusal::Reject(RejectCode::Busy),
                };
                self.start_draining(refusal, PeerError::Truncated.into());
            }
            ServerState::Draining => {}
            _ if is_raw => return,
            _ => {}
        }
        self.handle_eof(now);
    }

    pub(super) fn has_opened(&self) -> bool {
        self.sending.is_some() || self.opener.as_ref().is_some_and(Opener::has_opened)
    }
}
