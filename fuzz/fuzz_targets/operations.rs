//! Both ends of a connection with the real record cipher, driven by sequences of operations in any order: transmit, deliver, answer,
//! cancel, cut, change a byte, end the input, call out of order. The gateway never takes anything but the request that was made; the
//! client never shows anything but a prefix of what was answered, and completes only with all of it; nothing comes after the end. Left
//! alone, an exchange that nobody disturbed completes. Where requests are given out while they arrive, what the gateway gave out is a
//! prefix of the request, and all of it when it says so.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sealwire_core::exchange::{
    ClientEvent, ClientExchange, ClientOptions, Limits, ServerContext, ServerEvent, ServerExchange,
    ServerOptions,
};
use sealwire_core::head::ResponseHead;
use sealwire_core::padding::Padding;
use sealwire_core::replay::MemoryReplayStore;
use sealwire_core::{ClientState, ErrorCode, Suite, UnixTime};
use sealwire_fuzz::{CountingRng, NOW, World};

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Op<'a> {
    ClientTransmit(u16),
    ToServer(u16),
    Take,
    Respond(u16),
    Send(&'a [u8]),
    Finish,
    Fail(u8),
    ServerTransmit(u16),
    ToClient(u16),
    Cancel,
    ServerEof,
    ClientEof,
    AskForKeys,
    ChangeRequest(u16, u8),
    ChangeResponse(u16, u8),
    CutRequest(u16),
    CutResponse(u16),
}

#[derive(Arbitrary, Debug)]
struct Plan<'a> {
    body: &'a [u8],
    hybrid: bool,
    http: bool,
    small_frames: bool,
    padding: Option<u16>,
    clock_skew: u8,
    /// Requests are given out while they arrive (ORDER-2).
    given_out: bool,
    exchanges: Vec<Vec<Op<'a>>>,
}

/// One exchange and what is true of it.
struct Run<'a> {
    world: &'a World,
    client: ClientExchange,
    server: ServerExchange,
    now: UnixTime,
    http: bool,
    body: &'a [u8],
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    /// Someone changed or cut what went this way, or ended it early.
    request_disturbed: bool,
    response_disturbed: bool,
    begun: bool,
    cancelled: bool,
    taken: bool,
    given_out: bool,
    /// What was given out of the request, once its head was.
    given: Option<Vec<u8>>,
    refused: bool,
    answered: Vec<u8>,
    finished: bool,
    failed: Option<ErrorCode>,
    shown: Vec<u8>,
    complete: bool,
    error: Option<ErrorCode>,
    client_over: bool,
}

impl Run<'_> {
    fn apply(&mut self, op: Op<'_>, replay: &mut MemoryReplayStore) {
        match op {
            Op::ClientTransmit(room) => self.client_transmit(room.into()),
            Op::ToServer(count) => self.deliver_to_server(count.into(), replay),
            Op::Take => self.take(),
            Op::Respond(padding) => self.respond(padding),
            Op::Send(piece) => self.send(piece),
            Op::Finish => self.finished |= self.server.finish().is_ok(),
            Op::Fail(code) => self.fail(ErrorCode::from_u8(code)),
            Op::ServerTransmit(room) => self.server_transmit(room.into()),
            Op::ToClient(count) => self.deliver_to_client(count.into()),
            Op::Cancel => {
                let sent = self.client.is_request_sent();
                let is_first = self.client.cancel().is_ok();
                assert!(!is_first || !self.cancelled, "two CANCELs");
                // Before END is made there is nothing to put it behind.
                assert!(is_first || !sent || self.cancelled || self.client_over);
                self.cancelled |= is_first;
            }
            Op::ServerEof => {
                self.request_disturbed |= !self.request_delivered();
                self.server_eof();
            }
            Op::ClientEof => {
                self.response_disturbed = true;
                self.client_eof();
            }
            Op::AskForKeys => {
                if !self.http && !self.begun && self.to_server.is_empty() {
                    self.to_server = [1, 0, 0, 1, 1].into();
                }
            }
            Op::ChangeRequest(at, flip) => {
                self.request_disturbed |= change(&mut self.to_server, at, flip);
            }
            Op::ChangeResponse(at, flip) => {
                self.response_disturbed |= change(&mut self.to_client, at, flip);
            }
            Op::CutRequest(at) => self.request_disturbed |= cut(&mut self.to_server, at),
            Op::CutResponse(at) => self.response_disturbed |= cut(&mut self.to_client, at),
        }
        assert!(self.answered.starts_with(&self.shown), "shown but not sent");
    }

    fn client_transmit(&mut self, room: usize) {
        let mut out = vec![0; room];
        let count = self.client.poll_transmit(&mut out);
        let count = count.expect("ordinary memory");
        self.begun |= count > 0;
        self.to_server.extend_from_slice(&out[..count]);
    }

    fn request_delivered(&self) -> bool {
        self.client.is_request_sent() && self.to_server.is_empty()
    }

    fn deliver_to_server(&mut self, count: usize, replay: &mut MemoryReplayStore) {
        let upto = count.min(self.to_server.len());
        let mut context = ServerContext {
            now: self.now,
            keys: &self.world.keys,
            replay,
        };
        let consumed = self
            .server
            .handle_input(&self.to_server[..upto], &mut context);
        self.to_server.drain(..consumed);
        self.server_event();
    }

    fn server_event(&mut self) {
        match self.server.poll_event() {
            Some(ServerEvent::Head | ServerEvent::Data) => {
                assert!(self.given_out);
                self.take();
                assert!(self.given.is_some(), "a head came first");
            }
            Some(ServerEvent::Request) => {
                self.take();
                if self.given_out {
                    assert_eq!(self.given.as_deref(), Some(self.body));
                    self.taken = true;
                }
            }
            Some(ServerEvent::Refused(_)) => {
                let clock = self.now.abs_diff(NOW) > sealwire_core::replay::WINDOW;
                assert!(self.request_disturbed || self.cancelled || clock, "refused");
                self.refused = true;
            }
            Some(ServerEvent::KeysRequested) => {
                let sent = self.server.send_keys(&self.world.set);
                sent.expect("small");
                // KEYS is for the session, which asked for it between exchanges.
                let mut keys = vec![0; 8192];
                let count = self.server.poll_transmit(&mut keys);
                assert_eq!(keys[0], 2);
                assert_eq!(count, 4 + self.world.set.to_bytes().len());
            }
            Some(ServerEvent::Cancelled) => {
                assert!(self.cancelled || self.request_disturbed);
                self.fail(ErrorCode::Cancelled);
            }
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }

    /// Asked for too early, or twice, there is none; where requests are given out, there is what came since.
    fn take(&mut self) {
        if let Some(received) = self.server.take_request() {
            assert!(!self.taken && !self.refused);
            assert_eq!(&received.head().exchange_id, self.client.exchange_id());
            let body = received.into_body().expose().to_vec();
            if !self.given_out {
                assert_eq!(body, self.body);
                self.taken = true;
            }
            assert!(self.given.replace(body).is_none(), "taken twice");
        }
        if let Some(piece) = self.server.take_data() {
            assert!(self.given_out && !self.refused);
            let given = self.given.as_mut().expect("a head came first");
            given.extend_from_slice(piece.expose());
            assert!(self.body.starts_with(given), "given out but not sent");
        }
    }

    fn respond(&mut self, padding: u16) {
        // A request that is answered can no longer be taken.
        self.take();
        let head = ResponseHead::new(200, *self.client.exchange_id());
        if self.server.respond(&head, padding_of(padding)).is_ok() {
            assert!(self.taken && !self.refused, "an answer to nothing");
        }
    }

    fn send(&mut self, piece: &[u8]) {
        if let Ok(count) = self.server.send_data(piece) {
            assert!(!self.refused && !self.finished && self.failed.is_none());
            self.answered.extend_from_slice(&piece[..count]);
        }
    }

    fn fail(&mut self, code: ErrorCode) {
        if self.server.fail(code, self.now).is_ok() {
            assert!(!self.finished && self.failed.is_none());
            self.failed = Some(code);
        }
    }

    fn server_transmit(&mut self, room: usize) {
        let mut out = vec![0; room];
        let count = self.server.poll_transmit(&mut out);
        self.to_client.extend_from_slice(&out[..count]);
    }

    fn server_eof(&mut self) {
        self.server.handle_eof(self.now);
        self.server_event();
    }

    fn deliver_to_client(&mut self, count: usize) {
        let upto = count.min(self.to_client.len());
        let was_sent = self.client.is_request_sent();
        let consumed = self.client.handle_input(&self.to_client[..upto]);
        // An answer that comes early ends the request.
        self.request_disturbed |= !was_sent && self.client.is_request_sent();
        match consumed {
            Ok(consumed) => {
                self.to_client.drain(..consumed);
            }
            Err(_) => {
                let too_early = !self.client.is_request_sent() || self.client_over;
                assert!(self.response_disturbed || self.request_disturbed || too_early);
                assert_eq!(self.client.state(), ClientState::Failed);
                self.client_over = true;
            }
        }
        while let Some(event) = self.client.poll_event() {
            assert!(!self.client_over, "an event after the end");
            match event {
                ClientEvent::Head(head) => assert_eq!(head.status, 200),
                ClientEvent::Data(data) => {
                    assert!(!self.cancelled, "shown after CANCEL");
                    self.shown.extend_from_slice(data);
                }
                ClientEvent::Complete(_) => {
                    assert!(self.finished && (self.cancelled || self.shown == self.answered));
                    (self.complete, self.client_over) = (true, true);
                }
                ClientEvent::Error { code, .. } => {
                    assert!(self.failed == Some(code) || self.refused);
                    (self.error, self.client_over) = (Some(code), true);
                }
                ClientEvent::Rejected(_) => {
                    assert!(self.refused || self.response_disturbed);
                    self.client_over = true;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// What the client had not sent it sends no more.
    fn client_eof(&mut self) {
        self.request_disturbed |= !self.client.is_request_sent();
        if self.client.handle_eof().is_ok() {
            assert!(self.client_over);
        }
        self.client_over = true;
    }

    /// Carries everything to its end, as a host would.
    fn settle(&mut self, replay: &mut MemoryReplayStore) {
        for _ in 0..64 {
            self.client_transmit(1 << 16);
            let before = self.to_server.len();
            self.deliver_to_server(usize::MAX, replay);
            if self.to_server.len() == before {
                break;
            }
        }
        if self.http || self.request_disturbed {
            self.server_eof();
        }
        self.take();
        self.respond(1);
        self.finished |= self.server.finish().is_ok();
        while self.server.pending_transmit() > 0 {
            self.server_transmit(1 << 16);
        }
        for _ in 0..self.to_client.len() {
            if self.client_over || self.to_client.is_empty() {
                break;
            }
            self.deliver_to_client(usize::MAX);
        }
        let disturbed = self.request_disturbed || self.response_disturbed;
        if !disturbed && !self.refused && !self.cancelled && self.failed.is_none() {
            assert!(self.taken && self.complete, "an undisturbed exchange hangs");
        }
        self.client_eof();
        assert!(!(self.complete && self.error.is_some()));
    }
}

fn padding_of(number: u16) -> Padding {
    match number {
        0 => Padding::None,
        1 => Padding::Padme,
        frame => Padding::Uniform {
            frame: frame.into(),
        },
    }
}

fn change(wire: &mut [u8], at: u16, flip: u8) -> bool {
    match wire.len() {
        0 => false,
        len => {
            wire[usize::from(at) % len] ^= flip;
            flip != 0
        }
    }
}

fn cut(wire: &mut Vec<u8>, at: u16) -> bool {
    let before = wire.len();
    wire.truncate(at.into());
    wire.len() < before
}

fuzz_target!(|plan: Plan<'_>| {
    World::with(|world| {
        let mut rng = CountingRng::default();
        let mut replay = MemoryReplayStore::new(4);
        let suite = match plan.hybrid {
            true => Suite::MlKem768P256,
            false => Suite::P256,
        };
        let mut response = Limits::RESPONSE;
        if plan.small_frames {
            response.frame = 1024;
        }
        let options = ClientOptions {
            padding: plan.padding.map_or(Padding::Padme, padding_of),
            one_exchange: plan.http,
            response,
            ..ClientOptions::default()
        };
        for ops in plan.exchanges.iter().take(3) {
            // A uniform size that the head does not fit.
            let Ok(client) = world.client(suite, plan.body, options, &mut rng) else {
                return;
            };
            let server_options = ServerOptions {
                one_exchange: plan.http,
                stream_requests: plan.given_out,
                ..ServerOptions::default()
            };
            let server = ServerExchange::new(&world.memory, server_options, &mut rng);
            let mut run = Run {
                world,
                client,
                server: server.expect("ordinary memory"),
                // Up to 1.3 windows away.
                now: NOW
                    .saturating_add(sealwire_core::replay::WINDOW * plan.clock_skew.into() / 196),
                http: plan.http,
                body: plan.body,
                to_server: Vec::new(),
                to_client: Vec::new(),
                request_disturbed: false,
                response_disturbed: false,
                begun: false,
                cancelled: false,
                taken: false,
                given_out: plan.given_out,
                given: None,
                refused: false,
                answered: Vec::new(),
                finished: false,
                failed: None,
                shown: Vec::new(),
                complete: false,
                error: None,
                client_over: false,
            };
            for op in ops.iter().take(64) {
                run.apply(*op, &mut replay);
            }
            run.settle(&mut replay);
        }
    });
});
