//! The response.

use super::{Outgoing, ServerExchange};
use crate::error::{Error, ErrorCode, Misuse};
use crate::frame::FrameType;
use crate::head::ResponseHead;
use crate::padding::Padding;
use crate::record::Sealer;
use crate::state::ServerState;
use crate::suite::RecordAead;
use crate::time::UnixTime;

/// `send_data` takes nothing more while this much ciphertext waits to leave.
const QUEUE_LIMIT: usize = 64 * 1024;

impl<A: RecordAead> ServerExchange<A> {
    /// Begins the response.
    ///
    /// # Errors
    /// [`Misuse::State`] if there is no request to answer; [`Misuse`] for a head that cannot be sent; [`Environment`](crate::Environment).
    pub fn respond(&mut self, head: &ResponseHead<'_>, padding: Padding) -> Result<(), Error> {
        if !self.is_request_whole() {
            return Err(Misuse::State("no request waits for a response").into());
        }
        self.accept(padding)?.head(|out| head.encode(out))?;
        self.state = ServerState::Responding;
        Ok(())
    }

    /// Queues ACCEPT and moves the keys on to the response, if that has not been done: for a head that was refused, say.
    fn accept(&mut self, padding: Padding) -> Result<&mut Outgoing<A>, Error> {
        if let Some(outgoing) = &mut self.sending {
            outgoing.set_padding(padding);
            // The borrow that is returned must not reach over what follows.
            return self.open_sending();
        }
        let opener = self
            .opener
            .take()
            .ok_or(Misuse::State("the response has begun"))?;
        let mut keys = opener.into_keys();
        keys.start_response(self.enc_digest.clone(), &self.response_nonce);
        let nonce = self.response_nonce;
        self.push_clear(FrameType::Accept, &nonce)?;
        let queue = core::mem::take(&mut self.queue);
        let outgoing = Outgoing::new(
            Sealer::new(keys),
            &self.memory,
            padding,
            self.response_frame_limit,
            queue,
        )?;
        Ok(self.sending.insert(outgoing))
    }

    /// Seals body bytes and says how many it took: fewer than given while too much waits to be transmitted. With uniform padding
    /// each call begins a frame of its own.
    ///
    /// # Errors
    /// [`Misuse::State`] before [`respond`](Self::respond) or after the end; [`Environment`](crate::Environment).
    pub fn send_data(&mut self, content: &[u8]) -> Result<usize, Error> {
        let outgoing = self.open_response()?;
        let mut taken = 0;
        while taken < content.len() && outgoing.queued() < QUEUE_LIMIT {
            taken += outgoing.data(&content[taken..])?;
        }
        Ok(taken)
    }

    /// Ends the response: it was whole.
    ///
    /// # Errors
    /// As [`send_data`](Self::send_data).
    pub fn finish(&mut self) -> Result<(), Error> {
        self.open_response()?.last(FrameType::End, &[])?;
        self.end_response();
        Ok(())
    }

    fn open_response(&mut self) -> Result<&mut Outgoing<A>, Error> {
        let has_head = self.sending.as_ref().is_some_and(Outgoing::has_begun);
        match self.state {
            ServerState::Responding if has_head && !self.response_ended => self.open_sending(),
            _ => Err(Misuse::State("no response is under way").into()),
        }
    }

    fn open_sending(&mut self) -> Result<&mut Outgoing<A>, Error> {
        let none = Misuse::State("no response is under way");
        Ok(self.sending.as_mut().ok_or(none)?)
    }

    /// Ends the exchange with an error, before the response or in the middle of it.
    ///
    /// # Errors
    /// [`Misuse::State`] if there is no request or its response has ended; [`Environment`](crate::Environment).
    pub fn fail(&mut self, code: ErrorCode, now: UnixTime) -> Result<(), Error> {
        if self.response_ended
            || !matches!(self.state, ServerState::Handling | ServerState::Responding)
        {
            return Err(Misuse::State("no request waits for an answer").into());
        }
        self.send_error(code, now)?;
        self.end_response();
        Ok(())
    }

    pub(super) fn send_error(&mut self, code: ErrorCode, now: UnixTime) -> Result<(), Error> {
        let mut content = [0; 9];
        content[0] = code.to_u8();
        content[1..].copy_from_slice(&now.as_millis().to_be_bytes());
        let content = if code == ErrorCode::Time {
            &content[..]
        } else {
            &content[..1]
        };
        // What no HEAD came before is padded in this way, whatever was asked for; what one came before goes on as it began.
        self.accept(Padding::Padme)?.last(FrameType::Error, content)
    }

    /// What answers the request is on its way, to its end.
    pub(super) fn end_response(&mut self) {
        self.response_ended = true;
        self.state = ServerState::Done;
        self.wipe_sealed();
    }

    /// Once its last frame is sealed the response needs its key no more (KEY-3), however long what is sealed waits to leave.
    fn wipe_sealed(&mut self) {
        if let Some(outgoing) = self.sending.take_if(|outgoing| outgoing.has_ended()) {
            (_, self.queue) = outgoing.into_parts();
        }
    }

    /// Writes the next bytes to send into `out` and says how many; 0 when there are none.
    pub fn poll_transmit(&mut self, out: &mut [u8]) -> usize {
        let Some(outgoing) = &mut self.sending else {
            return self.queue.transmit(out);
        };
        let written = outgoing.transmit(out);
        self.wipe_sealed();
        written
    }

    /// Bytes that [`poll_transmit`](Self::poll_transmit) would give at least: 0 only when there are none. What pads the response is
    /// sealed as the rest leaves.
    pub fn pending_transmit(&self) -> usize {
        self.sending
            .as_ref()
            .map_or(self.queue.len(), Outgoing::queued)
    }
}
