//! The gateway's end of an exchange: the request. Its response is in [`response`].

mod refusal;
mod response;

use aes_gcm::Aes256Gcm;
use rand_core::TryCryptoRng;
use sealwire_memlock::{SecureArray, SecureBytes, SecureMemory};
use sha2::{Digest, Sha256};

use self::refusal::Refusal;
use super::incoming::{Drain, Drained, Incoming};
use super::limits::Limits;
use super::outgoing::{Outgoing, Queue};
use super::received::{ReceivedRequest, ServerContext, ServerEvent, ServerOptions};
use crate::error::{Environment, Error, ErrorCode, Malformed, Misuse, PeerError, RejectCode};
use crate::frame::{
    FrameHeader, FrameType, HEADER_LEN, LONGEST_OPEN, MIN_MAX_FRAME, RESPONSE_NONCE_LEN, VERSION,
};
use crate::head::RequestHead;
use crate::keys::KeySet;
use crate::record::{OpenHeader, Opener, agree};
use crate::replay::{Admission, WINDOW};
use crate::schedule::{KEY_BLOCK_LEN, KeyBlock};
use crate::state::{ServerState, next, server_table};
use crate::suite::RecordAead;
use crate::time::UnixTime;

/// One request and its response, from the gateway's side. See the [module](super) for the grammar.
pub struct ServerExchange<A = Aes256Gcm> {
    state: ServerState,
    memory: SecureMemory,
    options: ServerOptions,
    response_nonce: [u8; RESPONSE_NONCE_LEN],
    enc_digest: Sha256,
    open_hash: [u8; 32],
    opener: Option<Opener<A, SecureArray<KEY_BLOCK_LEN>>>,
    incoming: Incoming,
    drain: Drain,
    refusal: Option<Refusal>,
    head: Option<SecureBytes>,
    body: SecureBytes,
    response_frame_limit: usize,
    sending: Option<Outgoing<A>>,
    response_ended: bool,
    cancelled: bool,
    /// Nobody can tell where the next exchange would begin.
    broken: bool,
    queue: Queue,
    /// [`ServerEvent::KeysRequested`] waits for its KEYS.
    keys_asked: bool,
    /// [`ServerEvent::Request`] was given out, or is about to be.
    announced: bool,
    event: Option<ServerEvent>,
}

impl ServerExchange {
    /// Waits for an OPEN. The response nonce is drawn here; where locked memory is required, that of an OPEN is taken.
    ///
    /// # Errors
    /// [`Environment`] if memory or randomness cannot be had: then nothing of the request need be read.
    pub fn new<R: TryCryptoRng + ?Sized>(
        memory: &SecureMemory,
        options: ServerOptions,
        rng: &mut R,
    ) -> Result<Self, Error> {
        Self::with_aead(memory, options, rng)
    }
}

impl<A: RecordAead> ServerExchange<A> {
    /// [`new`](ServerExchange::new) with another implementation of the record cipher.
    ///
    /// # Errors
    /// As there.
    pub fn with_aead<R: TryCryptoRng + ?Sized>(
        memory: &SecureMemory,
        options: ServerOptions,
        rng: &mut R,
    ) -> Result<Self, Error> {
        let request = Limits {
            // FRAME-4
            frame: options.request.frame.max(MIN_MAX_FRAME),
            ..options.request
        };
        let mut response_nonce = [0; RESPONSE_NONCE_LEN];
        rng.try_fill_bytes(&mut response_nonce)
            .map_err(|_| Environment::Random)?;
        Ok(Self {
            state: ServerState::AwaitOpen,
            memory: memory.clone(),
            options,
            response_nonce,
            enc_digest: Sha256::new(),
            open_hash: [0; 32],
            opener: None,
            incoming: Incoming::new(memory, request, HEADER_LEN + LONGEST_OPEN)?,
            drain: Drain::default(),
            refusal: None,
            head: None,
            body: memory.with_capacity(0)?,
            response_frame_limit: MIN_MAX_FRAME,
            sending: None,
            response_ended: false,
            cancelled: false,
            broken: false,
            queue: Queue::default(),
            keys_asked: false,
            announced: false,
            event: None,
        })
    }

    /// Where the exchange stands.
    pub const fn state(&self) -> ServerState {
        self.state
    }

    /// Whether the response has ended and left through [`poll_transmit`](Self::poll_transmit).
    pub fn is_finished(&self) -> bool {
        self.response_ended && self.pending_transmit() == 0
    }

    /// Whether a raw stream may carry another exchange after this one (ORDER-7): the response has left, and the request was read to
    /// its end. Otherwise the stream is closed, once what [`poll_transmit`](Self::poll_transmit) gives is sent; but one that
    /// [awaits the rest of a CANCEL](Self::awaits_cancel) is read first.
    pub fn can_continue(&self) -> bool {
        self.is_finished() && !self.broken && !self.incoming.has_begun()
    }

    /// Whether a part of a CANCEL came before the response had left, the rest of which is still to be read (RAW-3): give it to
    /// [`handle_input`](Self::handle_input), within the time that a request has, and ask [`can_continue`](Self::can_continue) again.
    pub fn awaits_cancel(&self) -> bool {
        self.is_finished() && !self.broken && self.incoming.has_begun()
    }

    /// Whether something of a request has arrived: an OPEN, or a piece of a frame. Before that a raw stream is idle.
    pub fn has_begun(&self) -> bool {
        self.state != ServerState::AwaitOpen || self.incoming.has_begun()
    }

    /// Bytes of memory that the exchange holds for what has arrived and for what waits to leave: bounded by the limits, and twice
    /// that where a buffer has just grown.
    pub fn buffered(&self) -> usize {
        let request = self.body.capacity() + self.head.as_ref().map_or(0, SecureBytes::capacity);
        let response = self.sending.as_ref().map_or(0, Outgoing::buffered);
        self.incoming.buffered() + request + response + self.queue.capacity()
    }

    /// Takes bytes from the client and says how many; 0 while an event waits, while KEYS is asked for or waits to be transmitted, or
    /// when the rest belongs to the next exchange.
    ///
    /// A request that breaks the protocol is refused, not an error here: it is read to its end, then answered (ORDER-3).
    pub fn handle_input(&mut self, input: &[u8], context: &mut ServerContext<'_>) -> usize {
        let mut consumed = 0;
        while consumed < input.len() && self.event.is_none() {
            let rest = &input[consumed..];
            match self.state {
                ServerState::Draining => consumed += self.drain(rest, context.now),
                // A CANCEL that crossed the end of the response, and of which a part came before it (RAW-3).
                ServerState::Done if self.incoming.has_begun() => {
                    let (count, frame) = self.take_frame(rest);
                    consumed += count;
                    self.broken |= frame.is_err();
                    if !matches!(frame, Ok(None)) {
                        self.incoming.next_frame();
                    }
                }
                ServerState::Done => break,
                // RAW-2. One KEYS waits, however many ask for it: nothing else is in the queue before a request.
                ServerState::AwaitOpen if self.keys_asked || self.queue.len() > 0 => break,
                ServerState::Handling | ServerState::Responding if self.options.one_exchange => {
                    if self.state == ServerState::Handling {
                        self.refuse(Malformed::TrailingBytes.into());
                        self.answer_refusal(context.now);
                    }
                    // After a refusal or an answer, what else comes over HTTP is of no interest.
                    consumed = input.len();
                }
                ServerState::Responding if self.broken => consumed = input.len(),
                ServerState::Handling | ServerState::Responding if !self.next_is_cancel(rest) => {
                    break;
                }
                _ => {
                    let (count, frame) = self.take_frame(rest);
                    consumed += count;
                    match frame {
                        Ok(None) => {}
                        Ok(Some(kind)) => {
                            if let Err(error) = self.handle_frame(kind, context) {
                                self.refuse_frame(kind, error, context.now);
                            }
                        }
                        // Too late to refuse; the stream is of no more use after this response.
                        Err(_) if self.state == ServerState::Responding => self.broken = true,
                        Err(error) => {
                            let may_drain = matches!(
                                error,
                                Error::Peer(
                                    PeerError::TooLarge { .. }
                                        | PeerError::Malformed(Malformed::Order)
                                ) | Error::Environment(_)
                            );
                            self.refuse(error);
                            // Broken framing cannot be followed to the end of the request.
                            if may_drain {
                                // The header that was refused may be one that no request has.
                                self.drain(&[], context.now);
                            } else {
                                self.broken = true;
                                self.answer_refusal(context.now);
                            }
                        }
                    }
                }
            }
        }
        consumed
    }

    fn take_frame(&mut self, input: &[u8]) -> (usize, Result<Option<FrameType>, Error>) {
        let (state, stream, cancelled) = (self.state, !self.options.one_exchange, self.cancelled);
        self.incoming
            .handle_input(input, |kind| match (state, kind) {
                // Between exchanges: the keys are asked for, or a CANCEL of the last exchange comes late.
                (ServerState::AwaitOpen, FrameType::KeysRequest) => stream,
                (ServerState::AwaitOpen | ServerState::Done, FrameType::Cancel) => {
                    stream && !cancelled
                }
                _ => next(server_table(), state, kind).is_some(),
            })
    }

    /// Reads on after a refusal (ORDER-3), and answers it where the request ends. The bytes on the wire that it may take are counted from
    /// its first.
    fn drain(&mut self, input: &[u8], now: UnixTime) -> usize {
        let limit = self.options.request.wire.saturating_mul(2);
        let (count, drained) = self.drain.handle_input(input, limit);
        if drained != Drained::Not {
            self.broken |= drained == Drained::Broken;
            self.answer_refusal(now);
        }
        count
    }

    /// On a raw stream only one CANCEL may follow END; OPEN begins the next exchange.
    fn next_is_cancel(&self, rest: &[u8]) -> bool {
        let is_cancel = rest.first() == Some(&(FrameType::Cancel as u8));
        self.incoming.has_begun() || is_cancel && !self.cancelled
    }

    fn handle_frame(
        &mut self,
        kind: FrameType,
        context: &mut ServerContext<'_>,
    ) -> Result<(), Error> {
        match (self.state, kind) {
            (ServerState::AwaitOpen, FrameType::KeysRequest) => {
                return self.keys_requested(context.now);
            }
            (ServerState::AwaitOpen, FrameType::Cancel) => {
                self.incoming.restart();
                self.cancelled = true;
                return Ok(());
            }
            _ => {}
        }
        let state = next(server_table(), self.state, kind).ok_or(Malformed::Order)?;
        match kind {
            FrameType::Open => self.open(context)?,
            _ => self.handle_sealed(kind, context)?,
        }
        if self.state != ServerState::Draining {
            self.state = state;
        }
        self.incoming.next_frame();
        Ok(())
    }

    fn open(&mut self, context: &mut ServerContext<'_>) -> Result<(), Error> {
        let body = self.incoming.clear_body();
        let mut keys = KeyBlock::new(self.memory.array::<KEY_BLOCK_LEN>()?);
        let agreed = OpenHeader::parse(body).and_then(|(header, enc)| {
            let (now, secrets) = (context.now, keys.secrets_mut());
            agree(context.keys, &header, enc, now, secrets)?;
            Ok(enc)
        });
        match agreed {
            Ok(enc) => {
                self.enc_digest = Sha256::new_with_prefix(enc);
                self.open_hash = Sha256::digest(body).into();
                self.opener = Some(Opener::new(keys));
            }
            Err(code) => self.reject(code, Malformed::Open(code).into()),
        }
        // A late CANCEL before OPEN was of another exchange.
        self.cancelled = false;
        Ok(())
    }

    /// KEYS_REQUEST (spec section 13): of another version it is rejected, and there is nothing to drain.
    fn keys_requested(&mut self, now: UnixTime) -> Result<(), Error> {
        let version = self.incoming.clear_body()[0];
        self.incoming.restart();
        // Before what comes next there may be another late CANCEL (RAW-3).
        self.cancelled = false;
        if version == VERSION {
            self.keys_asked = true;
            self.event = Some(ServerEvent::KeysRequested);
        } else {
            let code = RejectCode::Version;
            self.reject(code, Malformed::Open(code).into());
            self.answer_refusal(now);
        }
        Ok(())
    }

    fn handle_sealed(
        &mut self,
        kind: FrameType,
        context: &mut ServerContext<'_>,
    ) -> Result<(), Error> {
        // After the response has begun the request keys are gone: a CANCEL then is taken by its type alone. It can only stop what
        // closing the connection would stop too.
        let Some(opener) = self.opener.as_mut() else {
            self.cancelled = true;
            self.event = Some(ServerEvent::Cancelled);
            return Ok(());
        };
        // Its header was found to follow before its body was awaited.
        let (opened, _) = opener.open(self.incoming.frame(), Some)?;
        let content = opened.content;
        match kind {
            FrameType::Head => {
                let head = RequestHead::decode(content)?;
                let time = head.time;
                self.response_frame_limit = head.response_frame_limit();
                // REPLAY-7: the time comes before what memory there is, and that before the store, which remembers.
                if !time.is_known() || time.abs_diff(context.now) > WINDOW {
                    self.refuse_admission(ErrorCode::Time);
                    return Ok(());
                }
                self.head = Some(self.memory.copy_from(content)?);
                self.admit(time, context)?;
                if self.options.stream_requests && self.refusal.is_none() {
                    self.event = Some(ServerEvent::Head);
                }
            }
            FrameType::Data => {
                let len = content.len();
                self.incoming.count_content(len)?;
                self.body
                    .try_extend_from_slice(self.incoming.content(len))?;
                if self.options.stream_requests && len > 0 {
                    self.event = Some(ServerEvent::Data);
                }
            }
            FrameType::End if !self.options.one_exchange => self.announce(),
            FrameType::Cancel => {
                self.cancelled = true;
                self.event = Some(ServerEvent::Cancelled);
            }
            _ => {}
        }
        Ok(())
    }

    /// REPLAY-2 and REPLAY-4.
    fn admit(&mut self, sent: UnixTime, context: &mut ServerContext<'_>) -> Result<(), Error> {
        let until = sent.saturating_add(WINDOW);
        let now = context.now;
        match context.replay.admit(&self.open_hash, sent, until, now) {
            Admission::Admitted => {}
            Admission::Full => return Err(Environment::ReplayWindow.into()),
            Admission::Replayed => self.refuse_admission(ErrorCode::Replay),
            Admission::TooOld => self.refuse_admission(ErrorCode::Time),
        }
        Ok(())
    }

    fn refuse_admission(&mut self, code: ErrorCode) {
        self.start_draining(Refusal::Error(code), PeerError::NotAdmitted(code).into());
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.event.take()
    }

    /// The client's bytes have ended. Over HTTP the end is what makes a request whole; what has not ended by its
    /// last frame is refused.
    pub fn handle_eof(&mut self, now: UnixTime) {
        match self.state {
            ServerState::Handling if self.options.one_exchange && !self.announced => {
                self.announce();
            }
            ServerState::Draining => self.answer_refusal(now),
            // A raw stream may end between exchanges.
            ServerState::AwaitOpen if !self.options.one_exchange && !self.has_begun() => {}
            ServerState::AwaitOpen | ServerState::AwaitHead | ServerState::Body => {
                self.refuse(PeerError::Truncated.into());
                self.answer_refusal(now);
            }
            _ => {}
        }
        self.broken = true;
    }

    /// Answers [`ServerEvent::KeysRequested`].
    ///
    /// # Errors
    /// [`Misuse`] if nobody has asked since the last time, or if the set does not fit a frame.
    pub fn send_keys(&mut self, keys: &KeySet) -> Result<(), Error> {
        if !self.keys_asked {
            return Err(Misuse::State("nobody has asked for the keys").into());
        }
        self.push_clear(FrameType::Keys, &keys.to_bytes())?;
        self.keys_asked = false;
        Ok(())
    }

    fn push_clear(&mut self, kind: FrameType, body: &[u8]) -> Result<(), Error> {
        let header = FrameHeader::new(kind, body.len()).map_err(|_| Misuse::TooLarge {
            what: "frame",
            limit: 65_535,
        })?;
        self.queue.push(&header.to_bytes());
        self.queue.push(body);
        Ok(())
    }

    fn announce(&mut self) {
        self.announced = true;
        self.event = Some(ServerEvent::Request);
    }

    /// Whether the request is whole: over HTTP, END alone does not make it so (ORDER-5).
    fn is_request_whole(&self) -> bool {
        self.announced && self.state == ServerState::Handling
    }

    /// The request, once [`ServerEvent::Request`] came; or its head, once [`ServerEvent::Head`] did.
    pub fn take_request(&mut self) -> Option<ReceivedRequest> {
        if !self.is_request_whole() && !self.gives_out() {
            return None;
        }
        // Where the head was taken before, the content waits for `take_data`.
        let empty = self.memory.with_capacity(0).ok()?;
        let head = self.head.take()?;
        let body = core::mem::replace(&mut self.body, empty);
        Some(ReceivedRequest::new(head, body))
    }

    /// What of the body arrived since the last call, once [`ServerEvent::Data`] came. What is not taken is kept for the next.
    pub fn take_data(&mut self) -> Option<SecureBytes> {
        match self.gives_out() {
            true => self.take_content(),
            false => None,
        }
    }

    /// Whether what verified may be taken before the request is whole (ORDER-2).
    fn gives_out(&self) -> bool {
        let may_take = matches!(self.state, ServerState::Body | ServerState::Handling);
        self.options.stream_requests && may_take
    }

    fn take_content(&mut self) -> Option<SecureBytes> {
        let empty = self.memory.with_capacity(0).ok()?;
        Some(core::mem::replace(&mut self.body, empty))
    }
}

impl<A> core::fmt::Debug for ServerExchange<A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ServerExchange")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
