//! A gateway behind a null cipher: the fuzzer writes what a client sends, one exchange after another. Fed whole and in pieces, the
//! gateway must do the same: take the same requests, refuse for the same reasons, answer with the same bytes. So must one that gives
//! requests out while they arrive (ORDER-2), taken piece by piece or late: what it gave out is the request, or the begin of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire_core::exchange::{Limits, ServerContext, ServerEvent, ServerExchange, ServerOptions};
use sealwire_core::head::ResponseHead;
use sealwire_core::padding::Padding;
use sealwire_core::replay::MemoryReplayStore;
use sealwire_core::{Error, ErrorCode, ServerState};
use sealwire_fuzz::{AnyKey, CountingRng, NOW, NullAead, World, pieces, quotes_nothing};

fn head() -> ResponseHead<'static> {
    ResponseHead::new(200, [7; 16])
}

/// What one exchange came to.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    request: Option<Vec<u8>>,
    refused: Option<Error>,
    cancelled: bool,
    keys_sent: usize,
    out: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Setting {
    one_exchange: bool,
    small_limits: bool,
    /// Answers when the input has ended rather than at once, which leaves time for a CANCEL.
    late: bool,
    given_out: GivenOut,
}

/// Whether requests are given out while they arrive.
#[derive(Clone, Copy, PartialEq)]
enum GivenOut {
    /// Only whole.
    No,
    /// And every piece is taken at once.
    Pieces,
    /// And nothing but the head is taken before the end.
    Late,
}

struct Gateway<'a> {
    world: &'a World,
    server: ServerExchange<NullAead>,
    outcome: Outcome,
    /// What was taken of a request that is given out, once its head was.
    given: Option<Vec<u8>>,
    set: Setting,
}

impl<'a> Gateway<'a> {
    fn new(world: &'a World, set: Setting, rng: &mut CountingRng) -> Self {
        let request = match set.small_limits {
            true => Limits {
                frame: 1024,
                content: 64,
                wire: 2048,
            },
            false => Limits::REQUEST,
        };
        let options = ServerOptions {
            one_exchange: set.one_exchange,
            request,
            stream_requests: set.given_out != GivenOut::No,
        };
        let server = ServerExchange::with_aead(&world.memory, options, rng);
        Self {
            world,
            server: server.expect("ordinary memory"),
            outcome: Outcome::default(),
            given: None,
            set,
        }
    }

    fn note(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Head => {
                let received = self.server.take_request().expect("its head");
                let begun = received.into_body().expose().to_vec();
                assert!(self.given.replace(begun).is_none());
                assert!(self.server.respond(&head(), Padding::None).is_err());
            }
            ServerEvent::Data => {
                if self.set.given_out == GivenOut::Pieces {
                    self.take_piece();
                }
            }
            ServerEvent::Request => {
                let received = self.server.take_request();
                assert_eq!(received.is_some(), self.given.is_none());
                assert!(self.outcome.refused.is_none() && !self.outcome.cancelled);
                let body = match received {
                    Some(received) => received.into_body().expose().to_vec(),
                    None => {
                        self.take_piece();
                        self.given.take().expect("its head came")
                    }
                };
                assert!(!self.set.small_limits || body.len() <= 64);
                assert!(self.outcome.request.replace(body).is_none());
                if !self.set.late {
                    self.answer();
                }
            }
            ServerEvent::KeysRequested => {
                self.outcome.keys_sent += 1;
                let keys = &self.world.set;
                self.server.send_keys(keys).expect("small");
                // Nothing more is read while they wait.
                self.transmit();
            }
            ServerEvent::Refused(error) => {
                // After a request only a CANCEL that is none can be refused.
                quotes_nothing(&error);
                assert!(self.server.take_request().is_none() && self.server.take_data().is_none());
                assert!(self.outcome.refused.replace(error).is_none());
            }
            ServerEvent::Cancelled => {
                self.outcome.cancelled = true;
                // Refused when the answer has ended already.
                let _ = self.server.fail(ErrorCode::Cancelled, NOW);
            }
            other => panic!("{other:?}"),
        }
    }

    /// What the request's body has brought since the last time.
    fn take_piece(&mut self) {
        let piece = self.server.take_data().expect("ordinary memory");
        let given = self.given.as_mut().expect("a head came first");
        given.extend_from_slice(piece.expose());
    }

    fn answer(&mut self) {
        let begun = self.server.respond(&head(), Padding::None);
        begun.expect("a request waits");
        self.server.send_data(b"answer").expect("under way");
        self.server.finish().expect("under way");
    }

    /// Collects what it sends.
    fn end(mut self) -> Outcome {
        self.server.handle_eof(NOW);
        if let Some(event) = self.server.poll_event() {
            self.note(event);
        }
        let answers = self.set.late && !self.outcome.cancelled && self.outcome.refused.is_none();
        if answers && self.outcome.request.is_some() {
            self.answer();
        }
        self.transmit();
        assert!(self.server.pending_transmit() == 0);
        assert!(self.server.send_data(b"more").is_err());
        self.outcome
    }

    fn transmit(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match self.server.poll_transmit(&mut buffer) {
                0 => break,
                count => self.outcome.out.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

fn run<'a>(world: &World, set: Setting, chunks: impl Iterator<Item = &'a [u8]>) -> Vec<Outcome> {
    let mut replay = MemoryReplayStore::new(4);
    let mut rng = CountingRng::default();
    let mut ended = Vec::new();
    let mut gateway = Gateway::new(world, set, &mut rng);
    'input: for chunk in chunks {
        let mut rest = chunk;
        loop {
            let mut context = ServerContext {
                now: NOW,
                keys: &AnyKey,
                replay: &mut replay,
            };
            let consumed = gateway.server.handle_input(rest, &mut context);
            rest = &rest[consumed..];
            match gateway.server.poll_event() {
                Some(event) => gateway.note(event),
                None if consumed > 0 => {}
                // The answer has ended, and what is left belongs to the next exchange.
                None if !set.one_exchange
                    && gateway.server.state() == ServerState::Done
                    && !rest.is_empty() =>
                {
                    let next = Gateway::new(world, set, &mut rng);
                    ended.push(std::mem::replace(&mut gateway, next).end());
                }
                None if rest.is_empty() => break,
                // Of the next exchange, before this one was answered: it has to wait, and here for ever.
                None => break 'input,
            }
        }
    }
    ended.push(gateway.end());
    ended
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (how, flags, bytes) = input;
    let set = Setting {
        one_exchange: flags & 1 == 0,
        small_limits: flags & 2 != 0,
        late: flags & 4 != 0,
        given_out: GivenOut::No,
    };
    World::with(|world| {
        let mut wire = match flags & 8 {
            0 => world.open_frame(),
            _ => Vec::new(),
        };
        wire.extend_from_slice(bytes);
        let whole = run(world, set, std::iter::once(&wire[..]));
        let in_pieces = run(world, set, pieces(&wire, how));
        assert_eq!(whole, in_pieces);
        let given_out = match flags & 16 {
            0 => GivenOut::Pieces,
            _ => GivenOut::Late,
        };
        let set = Setting { given_out, ..set };
        assert_eq!(whole, run(world, set, pieces(&wire, how)), "given out");
    });
});
