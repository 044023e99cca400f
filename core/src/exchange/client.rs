//! The client's end of an exchange.

mod event;
mod prepared;

use aes_gcm::Aes256Gcm;
use rand_core::TryCryptoRng;
use sealwire_memlock::{SecureArray, SecureMemory};
use sha2::Sha256;

use super::incoming::Incoming;
use super::outgoing::{Outgoing, Queue};
use super::request::Request;
use crate::agreement::{KeyAgreement, RustCrypto};
use crate::error::{Error, ErrorCode, Malformed, Misuse, PeerError, RejectCode};
use crate::frame::FrameType;
use crate::head::{EXCHANGE_ID_LEN, ResponseHead};
use crate::keys::GatewayKey;
use crate::record::{Complete, Opener};
use crate::schedule::{KEY_BLOCK_LEN, KeyBlock};
use crate::state::{ClientState, client_table, next};
use crate::suite::RecordAead;
use crate::time::UnixTime;
use event::Pending;
pub use event::{ClientEvent, ClientOptions};
use prepared::Prepared;

/// One request and its response, from the client's side. See the [module](super) for the grammar.
pub struct ClientExchange<A = Aes256Gcm> {
    state: ClientState,
    request: Request,
    body_sent: usize,
    exchange_id: [u8; EXCHANGE_ID_LEN],
    options: ClientOptions,
    enc_digest: Sha256,
    sending: Option<Outgoing<A>>,
    keys: Option<KeyBlock<SecureArray<KEY_BLOCK_LEN>>>,
    opener: Option<Opener<A, SecureArray<KEY_BLOCK_LEN>>>,
    queue: Queue,
    cancel: Option<Queue>,
    cancelled: bool,
    /// The gateway answered before the request had left: what is left of it stays here.
    cut_short: bool,
    incoming: Incoming,
    pending: Option<Pending>,
}

impl ClientExchange {
    /// Agrees on keys with `key` and gets the request ready. `now` goes into the sealed head.
    ///
    /// # Errors
    /// [`Misuse`] for a head or body that cannot be sent, [`Environment`](crate::Environment) if memory or randomness cannot be had: with the request,
    /// so that nothing is lost. [`PeerError`] if the gateway's key is not valid.
    #[allow(clippy::result_large_err)] // the request comes back, whatever its size
    pub fn new<R: TryCryptoRng + ?Sized>(
        memory: &SecureMemory,
        key: &GatewayKey,
        request: Request,
        now: UnixTime,
        options: ClientOptions,
        rng: &mut R,
    ) -> Result<Self, (Request, Error)> {
        Self::with_aead(memory, key, request, now, options, rng)
    }
}

impl<A: RecordAead> ClientExchange<A> {
    /// [`new`](ClientExchange::new) with another implementation of the record cipher.
    ///
    /// # Errors
    /// As there.
    #[allow(clippy::result_large_err)] // the request comes back, whatever its size
    pub fn with_aead<R: TryCryptoRng + ?Sized>(
        memory: &SecureMemory,
        key: &GatewayKey,
        request: Request,
        now: UnixTime,
        options: ClientOptions,
        rng: &mut R,
    ) -> Result<Self, (Request, Error)> {
        Self::with_agreement(memory, &RustCrypto, key, request, now, options, rng)
    }

    /// [`new`](ClientExchange::new) with other implementations of the record cipher and the key agreement.
    ///
    /// # Errors
    /// As there.
    #[allow(clippy::result_large_err)] // the request comes back, whatever its size
    pub fn with_agreement<R: TryCryptoRng + ?Sized>(
        memory: &SecureMemory,
        agreement: &dyn KeyAgreement,
        key: &GatewayKey,
        request: Request,
        now: UnixTime,
        options: ClientOptions,
        rng: &mut R,
    ) -> Result<Self, (Request, Error)> {
        let limit = options.max_request.min(u64::from(key.max_request));
        if request.body.len() as u64 > limit {
            return Err((
                request,
                Misuse::TooLarge {
                    what: "request body",
                    limit,
                }
                .into(),
            ));
        }
        match Prepared::new(memory, agreement, key, &request, now, options, rng) {
            Ok(Prepared {
                outgoing,
                enc_digest,
                exchange_id,
                incoming,
            }) => Ok(Self {
                state: ClientState::Sending,
                request,
                body_sent: 0,
                exchange_id,
                options,
                enc_digest,
                sending: Some(outgoing),
                keys: None,
                opener: None,
                queue: Queue::default(),
                cancel: None,
                cancelled: false,
                cut_short: false,
                incoming,
                pending: None,
            }),
            Err(error) => Err((request, error)),
        }
    }

    /// Where the exchange stands.
    pub const fn state(&self) -> ClientState {
        self.state
    }

    /// Whether everything of the request has left through [`poll_transmit`](Self::poll_transmit), CANCEL included. Never where an
    /// answer came before it had, or the exchange has failed.
    pub fn is_request_sent(&self) -> bool {
        let is_empty = self.sending.is_none() && self.queue.len() == 0 && !self.owes_cancel();
        is_empty && !self.cut_short && self.state != ClientState::Failed
    }

    /// CANCEL is to follow the last byte of END, which has not left.
    fn owes_cancel(&self) -> bool {
        self.cancelled && self.cancel.is_some()
    }

    /// Whether END verified.
    pub(crate) fn has_completed(&self) -> bool {
        let refused = matches!(
            self.pending,
            Some(Pending::Error { .. } | Pending::Rejected(_))
        );
        self.state == ClientState::Done && !refused
    }

    /// Whether a raw stream may carry another exchange now (ORDER-7): the response has ended, and everything of the request has
    /// left. After a failure, or an answer that came before the request had left, the stream is closed.
    pub fn can_continue(&self) -> bool {
        self.state == ClientState::Done && self.is_request_sent()
    }

    /// Bytes of memory that the exchange holds for what has arrived and for what waits to leave, the request's body not counted:
    /// bounded by the limits, and twice that where a buffer has just grown.
    pub fn buffered(&self) -> usize {
        let request = self.sending.as_ref().map_or(0, Outgoing::buffered);
        let cancel = self.cancel.as_ref().map_or(0, Queue::capacity);
        self.incoming.buffered() + request + cancel + self.queue.capacity()
    }

    /// The random id of this exchange, as the response must name it.
    pub const fn exchange_id(&self) -> &[u8; EXCHANGE_ID_LEN] {
        &self.exchange_id
    }

    /// The request, back for another try.
    pub fn into_request(self) -> Request {
        self.request
    }

    /// Writes the next bytes to send into `out` and says how many; 0 when there are none. What was written counts as having left (ORDER-9):
    /// send it, and call again when all of it is the transport's, or in a buffer of at most 64 KiB before it. An answer that comes before
    /// END has left is only taken if it refuses.
    ///
    /// # Errors
    /// [`Environment`](crate::Environment) if secure memory cannot be had, [`Misuse::State`] if the record cipher fails
    /// ([`RecordAead`]): the exchange has failed, and nothing more leaves.
    pub fn poll_transmit(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        let result = self.transmit(out);
        if result.is_err() {
            self.fail();
        }
        result
    }

    fn transmit(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        let mut written = 0;
        while written < out.len() {
            let Some(outgoing) = &mut self.sending else {
                written += self.queue.transmit(&mut out[written..]);
                if self.queue.len() > 0 || !self.owes_cancel() {
                    break;
                }
                self.request_has_left();
                continue;
            };
            if outgoing.queued() == 0 {
                let body = &self.request.body.expose()[self.body_sent..];
                match body.is_empty() {
                    true => outgoing.last(FrameType::End, &[])?,
                    false => self.body_sent += outgoing.data(body)?,
                }
            }
            written += outgoing.transmit(&mut out[written..]);
            if outgoing.has_ended() {
                self.finish_sending()?;
            }
        }
        if self.sending.is_none() && self.queue.len() == 0 {
            self.request_has_left();
        }
        Ok(written)
    }

    /// The last byte of END has been handed out (ORDER-9): from here on there may be an answer. CANCEL comes behind it, whole.
    fn request_has_left(&mut self) {
        if self.state == ClientState::Sending {
            self.state = ClientState::AwaitAccept;
        }
        if let Some(cancel) = self.cancel.take_if(|_| self.cancelled) {
            self.queue.append(cancel);
        }
    }

    /// After END: the request key is needed for nothing more, so CANCEL is sealed now, to be sent or thrown away.
    fn finish_sending(&mut self) -> Result<(), Error> {
        let Some(mut outgoing) = self.sending.take() else {
            return Ok(());
        };
        let queue = outgoing.take_queue();
        outgoing.cancel()?;
        let (sealer, cancel) = outgoing.into_parts();
        self.keys = Some(sealer.into_keys());
        self.queue = queue;
        self.cancel = Some(cancel);
        Ok(())
    }

    /// Puts CANCEL behind the request (ORDER-6), for raw streams; over HTTP, close the stream instead. What arrives from now on is
    /// thrown away up to END, ERROR or REJECT.
    ///
    /// # Errors
    /// [`Misuse::State`] before the request has ended, or a second time.
    pub fn cancel(&mut self) -> Result<(), Misuse> {
        if self.cancel.is_none() || self.cancelled {
            return Err(Misuse::State("nothing to cancel, or cancelled already"));
        }
        if matches!(self.state, ClientState::Done | ClientState::Failed) {
            return Err(Misuse::State("the exchange is over"));
        }
        self.cancelled = true;
        Ok(())
    }

    /// Takes bytes from the gateway and says how many. A gateway that has heard enough may answer before the request has left:
    /// then nothing more is transmitted, and its refusal is the only event. Stops after a frame that made an event: call
    /// [`poll_event`](Self::poll_event), then go on with the rest.
    ///
    /// # Errors
    /// [`PeerError`], and the exchange has failed: every later call gives [`PeerError::Poisoned`].
    pub fn handle_input(&mut self, input: &[u8]) -> Result<usize, Error> {
        if self.state == ClientState::Failed {
            return Err(PeerError::Poisoned.into());
        }
        let result = self.take_input(input);
        if result.is_err() {
            self.fail();
        }
        result
    }

    fn take_input(&mut self, input: &[u8]) -> Result<usize, Error> {
        let mut consumed = 0;
        while consumed < input.len() && self.pending.is_none() {
            if self.state == ClientState::Done {
                if self.options.one_exchange {
                    return Err(Malformed::TrailingBytes.into());
                }
                break;
            }
            let state = self.state;
            let expected = |kind| next(client_table(), state, kind).is_some();
            let (count, frame) = self.incoming.handle_input(&input[consumed..], expected);
            consumed += count;
            if let Some(kind) = frame? {
                self.handle_frame(kind)?;
            }
        }
        Ok(consumed)
    }

    fn handle_frame(&mut self, kind: FrameType) -> Result<(), Error> {
        let state = next(client_table(), self.state, kind).ok_or(Malformed::Order)?;
        let outgoing = self.stop_sending();
        let pending = match kind {
            FrameType::Accept => {
                if let Some(outgoing) = outgoing {
                    self.keys = Some(outgoing.into_parts().0.into_keys());
                }
                self.accept()?;
                None
            }
            FrameType::Reject => Some(Pending::Rejected(RejectCode::from_u8(
                self.incoming.clear_body()[0],
            ))),
            _ => self.open(kind)?,
        };
        // Whoever cancelled wants to know how it ended, and nothing else.
        let pending = pending.filter(|pending| {
            !self.cancelled || !matches!(pending, Pending::Head { .. } | Pending::Data { .. })
        });
        self.state = state;
        if state == ClientState::Done {
            self.opener = None;
            self.keys = None;
        }
        match pending {
            // The content stays where it is until the event is taken.
            Some(pending) => self.pending = Some(pending),
            None => self.incoming.next_frame(),
        }
        Ok(())
    }

    /// An answer has begun: what is left of the request is of no more use to the gateway.
    fn stop_sending(&mut self) -> Option<Outgoing<A>> {
        if self.state == ClientState::Sending {
            self.cut_short = true;
            self.queue = Queue::default();
            self.cancel = None;
        }
        self.sending.take()
    }

    fn accept(&mut self) -> Result<(), Error> {
        let mut keys = self.keys.take().ok_or(Malformed::Order)?;
        let nonce = self
            .incoming
            .clear_body()
            .try_into()
            .map_err(|_| Malformed::FrameLength)?;
        keys.start_response(self.enc_digest.clone(), nonce);
        self.opener = Some(Opener::new(keys));
        Ok(())
    }

    fn open(&mut self, kind: FrameType) -> Result<Option<Pending>, Error> {
        let opener = self.opener.as_mut().ok_or(Malformed::Order)?;
        // Its header was found to follow before its body was awaited.
        let (opened, _) = opener.open(self.incoming.frame(), Some)?;
        let content = opened.content;
        let len = content.len();
        Ok(match kind {
            FrameType::Head => {
                if ResponseHead::decode(content)?.exchange_id != self.exchange_id {
                    return Err(Malformed::ExchangeId.into());
                }
                Some(Pending::Head { len })
            }
            FrameType::Data => {
                self.incoming.count_content(len)?;
                // A cover frame says nothing.
                (len > 0).then_some(Pending::Data { len })
            }
            FrameType::Error => {
                let (code, gateway_time) = ErrorCode::parse(content)?;
                Some(Pending::Error { code, gateway_time })
            }
            _ => Some(Pending::Complete),
        })
    }

    /// The next event. Content is borrowed from secure memory and gone with the next call of
    /// [`handle_input`](Self::handle_input) or of this.
    pub fn poll_event(&mut self) -> Option<ClientEvent<'_>> {
        let Some(pending) = self.pending.take() else {
            self.incoming.forget_taken();
            return None;
        };
        self.incoming.take_frame();
        self.event(pending)
    }

    /// The event that [`poll_event`](Self::poll_event) would give, left where it is.
    pub fn peek_event(&self) -> Option<ClientEvent<'_>> {
        self.event(self.pending?)
    }

    fn event(&self, pending: Pending) -> Option<ClientEvent<'_>> {
        Some(match pending {
            Pending::Head { len } => {
                // It was decoded when it arrived; it has not changed since.
                ClientEvent::Head(ResponseHead::decode(self.incoming.content(len)).ok()?)
            }
            Pending::Data { len } => ClientEvent::Data(self.incoming.content(len)),
            Pending::Complete => ClientEvent::Complete(Complete::new()),
            Pending::Error { code, gateway_time } => ClientEvent::Error { code, gateway_time },
            Pending::Rejected(code) => ClientEvent::Rejected(code),
        })
    }

    /// The gateway's bytes have ended.
    ///
    /// # Errors
    /// [`PeerError::Truncated`] if the response had not (ORDER-1).
    pub fn handle_eof(&mut self) -> Result<(), PeerError> {
        match self.state {
            ClientState::Done => Ok(()),
            ClientState::Failed => Err(PeerError::Poisoned),
            _ => {
                self.fail();
                Err(PeerError::Truncated)
            }
        }
    }

    fn fail(&mut self) {
        self.state = ClientState::Failed;
        self.sending = None;
        self.queue = Queue::default();
        self.cancel = None;
        self.keys = None;
        self.opener = None;
        self.pending = None;
        self.incoming.next_frame();
    }
}

impl<A> core::fmt::Debug for ClientExchange<A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ClientExchange")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
