//! The gateway's end of an exchange.

use aes_gcm::Aes256Gcm;
use rand_core::TryCryptoRng;
use sealwire_memlock::{SecureArray, SecureBytes, SecureMemory};
use sha2::{Digest, Sha256};

use super::incoming::{Drain, Drained, Incoming};
use super::limits::Limits;
use super::outgoing::{Outgoing, Queue};
use super::received::ReceivedRequest;
use crate::error::{Environment, Error, ErrorCode, Malformed, Misuse, PeerError, RejectCode};
use crate::frame::{FrameHeader, FrameType, RESPONSE_NONCE_LEN, VERSION};
use crate::head::{RequestHead, ResponseHead};
use crate::keys::{KeySet, Keys};
use crate::padding::Padding;
use crate::record::{OpenHeader, Opener, Sealer};
use crate::replay::{Admission, ReplayStore, WINDOW};
use crate::schedule::{KEY_BLOCK_LEN, KeyBlock};
use crate::state::{ServerState, next, server_table};
use crate::suite::RecordAead;
use crate::time::UnixTime;

/// `send_data` takes nothing more while this much ciphertext waits to leave.
const QUEUE_LIMIT: usize = 64 * 1024;

/// What a gateway accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// Limits of the request.
    pub request: Limits,
    /// Whether bytes after the request are an error, as over HTTP, or belong to the next exchange.
    pub one_exchange: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            request: Limits::REQUEST,
            one_exchange: true,
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
    /// The client asks for the keys: answer with [`ServerExchange::send_keys`].
    KeysRequested,
    /// The request is whole: [`ServerExchange::take_request`], then respond.
    Request,
    /// The request was refused for this reason; the answer is in [`ServerExchange::poll_transmit`]. For the log only.
    Refused(Error),
    /// The client wants no more: stop, and call [`ServerExchange::fail`] with [`ErrorCode::Cancelled`].
    Cancelled,
}

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
    /// [`ServerEvent::Request`] was given out, or is about to be.
    announced: bool,
    event: Option<ServerEvent>,
}

/// What to answer once the request has been drained.
#[derive(Clone, Copy)]
enum Refusal {
    Reject(RejectCode),
    Error(ErrorCode, UnixTime),
}

impl ServerExchange {
    /// Waits for an OPEN. The response nonce is drawn here.
    ///
    /// # Errors
    /// [`Environment`] if memory or randomness cannot be had.
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
            incoming: Incoming::new(memory, options.request)?,
            drain: Drain::default(),
            refusal: None,
            head: None,
            body: memory.with_capacity(0)?,
            response_frame_limit: crate::frame::MIN_MAX_FRAME,
            sending: None,
            response_ended: false,
            cancelled: false,
            broken: false,
            queue: Queue::default(),
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
    /// its end. Otherwise the stream is closed, once what [`poll_transmit`](Self::poll_transmit) gives is sent.
    pub fn can_continue(&self) -> bool {
        self.is_finished() && !self.broken
    }

    /// Takes bytes from the client and says how many; 0 while an event waits, or when the rest belongs to the next exchange.
    ///
    /// A request that breaks the protocol is refused, not an error here: it is read to its end, then answered (ORDER-3).
    pub fn handle_input(&mut self, input: &[u8], context: &mut ServerContext<'_>) -> usize {
        let mut consumed = 0;
        while consumed < input.len() && self.event.is_none() {
            let rest = &input[consumed..];
            match self.state {
                ServerState::Draining => {
                    let (count, drained) = self.drain.handle_input(rest, self.drain_limit());
                    consumed += count;
                    if drained != Drained::Not {
                        self.broken |= drained == Drained::Broken;
                        self.answer_refusal();
                    }
                }
                ServerState::Done => break,
                ServerState::Handling | ServerState::Responding if self.options.one_exchange => {
                    if self.state == ServerState::Handling {
                        self.refuse(Malformed::TrailingBytes.into(), context.now);
                        self.answer_refusal();
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
                            self.refuse(error, context.now);
                            // Broken framing cannot be followed to the end of the request.
                            if !may_drain {
                                self.broken = true;
                                self.answer_refusal();
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
                (ServerState::AwaitOpen, FrameType::Cancel) => stream && !cancelled,
                _ => next(server_table(), state, kind).is_some(),
            })
    }

    /// Bytes on the wire that a refused request may take, those before the refusal included.
    fn drain_limit(&self) -> u64 {
        self.options.request.wire.saturating_mul(2)
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
            (ServerState::AwaitOpen, FrameType::KeysRequest) => return self.keys_requested(),
            (ServerState::AwaitOpen, FrameType::Cancel) => {
                self.incoming.next_frame();
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
            context.keys.agree(&header, enc, now, secrets)?;
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
    fn keys_requested(&mut self) -> Result<(), Error> {
        let version = self.incoming.clear_body()[0];
        self.incoming.next_frame();
        if version == VERSION {
            self.event = Some(ServerEvent::KeysRequested);
        } else {
            let code = RejectCode::Version;
            self.reject(code, Malformed::Open(code).into());
            self.answer_refusal();
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
        let content = opener.open(self.incoming.frame())?.content;
        match kind {
            FrameType::Head => {
                let head = RequestHead::decode(content)?;
                let time = head.time;
                self.response_frame_limit = head.response_frame_limit();
                self.head = Some(self.memory.copy_from(content)?);
                self.admit(time, context)?;
            }
            FrameType::Data => {
                let len = content.len();
                self.incoming.count_content(len)?;
                self.body
                    .try_extend_from_slice(self.incoming.content(len))?;
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

    /// REPLAY-1 and REPLAY-2.
    fn admit(&mut self, sent: UnixTime, context: &mut ServerContext<'_>) -> Result<(), Error> {
        let code = if !sent.is_known() || sent.abs_diff(context.now) > WINDOW {
            ErrorCode::Time
        } else {
            match context.replay.admit(
                &self.open_hash,
                sent,
                sent.saturating_add(WINDOW),
                context.now,
            ) {
                Admission::Admitted => return Ok(()),
                Admission::Replayed => ErrorCode::Replay,
                Admission::Full => ErrorCode::Busy,
                Admission::TooOld => ErrorCode::Time,
            }
        };
        self.start_draining(
            Refusal::Error(code, context.now),
            Misuse::State("replay window").into(),
        );
        Ok(())
    }

    /// A frame failed: find the code, skip the frame, drain the rest.
    fn refuse_frame(&mut self, kind: FrameType, error: Error, now: UnixTime) {
        self.incoming.next_frame();
        self.refuse(error, now);
        if matches!(kind, FrameType::End | FrameType::Cancel) {
            self.answer_refusal();
        }
    }

    fn refuse(&mut self, error: Error, now: UnixTime) {
        if self.opener.as_ref().is_some_and(Opener::has_opened) {
            let code = match &error {
                Error::Peer(PeerError::TooLarge { .. }) => ErrorCode::TooLarge,
                Error::Environment(_) => ErrorCode::Busy,
                _ => ErrorCode::Malformed,
            };
            self.start_draining(Refusal::Error(code, now), error);
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

    fn reject(&mut self, code: RejectCode, error: Error) {
        self.start_draining(Refusal::Reject(code), error);
    }

    fn start_draining(&mut self, refusal: Refusal, error: Error) {
        if self.refusal.is_some() {
            return;
        }
        self.drain = Drain::continue_from(&self.incoming);
        self.refusal = Some(refusal);
        self.state = ServerState::Draining;
        self.head = None;
        self.body.clear();
        self.event = Some(ServerEvent::Refused(error));
    }

    fn answer_refusal(&mut self) {
        let result = match self.refusal {
            Some(Refusal::Reject(code)) => {
                self.opener = None;
                self.push_clear(FrameType::Reject, &[code.to_u8()])
            }
            Some(Refusal::Error(code, now)) => self.send_error(code, now),
            None => Ok(()),
        };
        // Without memory for an answer there is none: the connection is closed.
        if result.is_err() {
            self.opener = None;
        }
        self.response_ended = true;
        self.state = ServerState::Done;
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.event.take()
    }

    /// The client's bytes have ended, or its time has. Over HTTP the end is what makes a request whole; what has not ended by its
    /// last frame is refused.
    pub fn handle_eof(&mut self, now: UnixTime) {
        match self.state {
            ServerState::Handling if self.options.one_exchange && self.head.is_some() => {
                self.announce();
            }
            ServerState::Draining => self.answer_refusal(),
            ServerState::AwaitOpen | ServerState::AwaitHead | ServerState::Body => {
                self.refuse(PeerError::Truncated.into(), now);
                self.answer_refusal();
            }
            _ => {}
        }
        self.broken = true;
    }

    /// Answers [`ServerEvent::KeysRequested`].
    ///
    /// # Errors
    /// [`Misuse`] if the set does not fit a frame.
    pub fn send_keys(&mut self, keys: &KeySet) -> Result<(), Error> {
        self.push_clear(FrameType::Keys, &keys.to_bytes())
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

    /// The request, once [`ServerEvent::Request`] came.
    pub fn take_request(&mut self) -> Option<ReceivedRequest> {
        if !self.is_request_whole() {
            return None;
        }
        let head = self.head.take()?;
        let empty = self.memory.with_capacity(0).ok()?;
        let body = core::mem::replace(&mut self.body, empty);
        Some(ReceivedRequest::new(head, body))
    }

    /// Begins the response.
    ///
    /// # Errors
    /// [`Misuse::State`] if there is no request to answer; [`Misuse`] for a head that cannot be sent; [`Environment`].
    pub fn respond(&mut self, head: &ResponseHead<'_>, padding: Padding) -> Result<(), Error> {
        if !self.is_request_whole() {
            return Err(Misuse::State("no request waits for a response").into());
        }
        let outgoing = self.accept(padding)?;
        let begun = outgoing.head(|out| head.encode(out));
        self.state = ServerState::Responding;
        begun
    }

    /// Queues ACCEPT and moves the keys on to the response.
    fn accept(&mut self, padding: Padding) -> Result<&mut Outgoing<A>, Error> {
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
    /// [`Misuse::State`] before [`respond`](Self::respond) or after the end; [`Environment`].
    pub fn send_data(&mut self, content: &[u8]) -> Result<usize, Error> {
        let outgoing = self.open_response()?;
        let mut taken = 0;
        while taken < content.len() && outgoing.queue().len() < QUEUE_LIMIT {
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
        self.response_ended = true;
        self.state = ServerState::Done;
        Ok(())
    }

    fn open_response(&mut self) -> Result<&mut Outgoing<A>, Error> {
        match &mut self.sending {
            Some(outgoing) if !self.response_ended => Ok(outgoing),
            _ => Err(Misuse::State("no response is under way").into()),
        }
    }

    /// Ends the exchange with an error, before the response or in the middle of it.
    ///
    /// # Errors
    /// [`Misuse::State`] if there is no request or its response has ended; [`Environment`].
    pub fn fail(&mut self, code: ErrorCode, now: UnixTime) -> Result<(), Error> {
        if self.response_ended
            || !matches!(self.state, ServerState::Handling | ServerState::Responding)
        {
            return Err(Misuse::State("no request waits for an answer").into());
        }
        self.send_error(code, now)?;
        self.response_ended = true;
        self.state = ServerState::Done;
        Ok(())
    }

    fn send_error(&mut self, code: ErrorCode, now: UnixTime) -> Result<(), Error> {
        let mut content = [0; 9];
        content[0] = code.to_u8();
        content[1..].copy_from_slice(&now.as_millis().to_be_bytes());
        let content = if code == ErrorCode::Time {
            &content[..]
        } else {
            &content[..1]
        };
        let outgoing = match &mut self.sending {
            Some(outgoing) => outgoing,
            None => self.accept(Padding::Padme)?,
        };
        outgoing.last(FrameType::Error, content)
    }

    /// Writes the next bytes to send into `out` and says how many; 0 when there are none.
    pub fn poll_transmit(&mut self, out: &mut [u8]) -> usize {
        match &mut self.sending {
            Some(outgoing) => outgoing.queue().transmit(out),
            None => self.queue.transmit(out),
        }
    }

    /// Bytes that [`poll_transmit`](Self::poll_transmit) would give now.
    pub fn pending_transmit(&self) -> usize {
        self.sending
            .as_ref()
            .map_or(self.queue.len(), Outgoing::queued)
    }
}

impl<A> core::fmt::Debug for ServerExchange<A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ServerExchange")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
