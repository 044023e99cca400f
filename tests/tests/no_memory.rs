//! Secure memory that fails at each point of an exchange in turn, and the failing call made again: what a peer takes for whole is the
//! whole, and after a failure in the middle of a message nothing more of it leaves. Protocol: ORDER-1, ORDER-2.
//!
//! Memory fails by the switch of the process, which locked memory that is required does not do without; so each test has a process
//! of its own.
#![cfg(target_os = "linux")]

use sealwire_core::exchange::{
    ClientExchange, ClientOptions, Limits, Request, ServerEvent, ServerExchange, ServerOptions,
};
use sealwire_core::frame::{FrameHeader, HEADER_LEN};
use sealwire_core::head::ResponseHead;
use sealwire_core::padding::Padding;
use sealwire_core::replay::MemoryReplayStore;
use sealwire_core::{ClientState, Error, ErrorCode, PeerError, Suite, UnixTime};
use sealwire_memlock::{Policy, SecureMemory, disable_secure_memory, enable_secure_memory};
use sealwire_scanner::isolated;
use sealwire_tests::pair::{NOW, Seen, World, drain_client, drain_server, feed_client};

/// More than two frames.
const BODY: [u8; 2500] = [b'x'; 2500];
/// What a call is given, or gives, at most: so that each frame has calls of its own.
const STEP: usize = 100;

/// Calls, one of which finds no memory.
struct Calls {
    before_it: usize,
    is_past: bool,
}

impl Calls {
    /// No call fails.
    const fn none() -> Self {
        Self::failing_at(usize::MAX)
    }

    const fn failing_at(at: usize) -> Self {
        Self {
            before_it: at,
            is_past: false,
        }
    }

    fn call<T>(&mut self, call: impl FnOnce() -> T) -> T {
        if self.is_past || self.before_it > 0 {
            self.before_it = self.before_it.saturating_sub(1);
            return call();
        }
        self.is_past = true;
        disable_secure_memory();
        let result = call();
        enable_secure_memory();
        result
    }
}

/// Both ends know nothing of each other yet, and have little: a limit of 64 KiB on locked memory is enough.
fn world() -> World {
    let mut world = World::new(61);
    world.memory = SecureMemory::new(Policy::Required);
    world.replay = MemoryReplayStore::new(8);
    world
}

fn client_options(padding: Padding) -> ClientOptions {
    ClientOptions {
        padding,
        request_frame: 1024,
        response: Limits {
            frame: 1024,
            ..Limits::RESPONSE
        },
        ..ClientOptions::default()
    }
}

fn is_shortage<T>(result: &Result<T, Error>) -> bool {
    match result {
        Err(Error::Environment(_)) => true,
        Err(error) => panic!("{error:?}"),
        Ok(_) => false,
    }
}

/// Runs `exchange` with one failing call after the other, until there are no more, and says how many of the calls failed for it.
fn at_each_point(mut exchange: impl FnMut(&mut Calls) -> bool) -> (usize, usize) {
    let (mut calls, mut failed) = (0, 0);
    loop {
        let mut at = Calls::failing_at(calls);
        failed += usize::from(exchange(&mut at));
        if !at.is_past {
            return (calls, failed);
        }
        calls += 1;
    }
}

/// A client, and whether memory failed before it could be made.
#[allow(clippy::result_large_err)] // the request comes back, whatever its size
fn make_client(
    world: &mut World,
    calls: &mut Calls,
    options: ClientOptions,
) -> (ClientExchange, bool) {
    let key = world.gateway_key(Suite::P256);
    let World { memory, rng, .. } = world;
    let body = memory.copy_from(&BODY).expect("memory");
    let request = Request::new("POST", "/v1/chat/completions", body);
    let made = calls.call(|| ClientExchange::new(memory, &key, request, NOW, options, rng));
    match made {
        Ok(client) => (client, false),
        // The request comes back, and can be sealed.
        Err((request, error)) => {
            assert!(is_shortage::<()>(&Err(error)));
            let made = ClientExchange::new(memory, &key, request, NOW, options, rng);
            (made.map_err(|(_, error)| error).expect("memory"), true)
        }
    }
}

/// Everything a client sends, and whether memory failed: then nothing leaves any more, however often it is asked.
fn send(client: &mut ClientExchange, calls: &mut Calls) -> (Vec<u8>, bool) {
    let (mut wire, mut out) = (Vec::new(), [0; STEP]);
    loop {
        let sent = calls.call(|| client.poll_transmit(&mut out));
        if is_shortage(&sent) {
            for _ in 0..3 {
                assert_eq!(client.poll_transmit(&mut out).unwrap_or(0), 0, "it goes on");
            }
            assert_eq!(client.state(), ClientState::Failed);
            let poisoned = Err(Error::Peer(PeerError::Poisoned));
            assert_eq!(client.handle_input(&[0x04]), poisoned);
            return (wire, true);
        }
        match sent {
            Ok(count @ 1..) => wire.extend_from_slice(&out[..count]),
            _ => return (wire, false),
        }
    }
}

#[test]
fn a_request_is_whole_or_fails() {
    isolated("a_request_is_whole_or_fails", || {
        for padding in [Padding::None, Padding::Padme] {
            let (calls, failed) = at_each_point(|calls| {
                let mut world = world();
                let options = client_options(padding);
                let (mut client, was_made_again) = make_client(&mut world, calls, options);
                let (wire, is_over) = send(&mut client, calls);
                let mut server = world.server(ServerOptions::default());
                let mut events = world.feed_server(&mut server, &wire);
                server.handle_eof(NOW);
                events.extend(server.poll_event());
                match server.take_request() {
                    Some(request) => assert!(request.body().expose() == BODY && !is_over),
                    None => assert!(is_over, "{events:?}"),
                }
                was_made_again || is_over
            });
            println!("request, {padding:?}: {failed} of {calls} calls failed");
            assert!(failed >= 1 && calls > BODY.len() / STEP);
        }
    });
}

/// A gateway that may have no memory for what arrives refuses it.
#[test]
fn a_request_that_there_is_no_memory_for_is_not_taken() {
    isolated("a_request_that_there_is_no_memory_for_is_not_taken", || {
        let (calls, failed) = at_each_point(|calls| {
            let mut world = world();
            let options = client_options(Padding::Padme);
            let (mut client, _) = make_client(&mut world, &mut Calls::none(), options);
            let wire = drain_client(&mut client);
            let made = {
                let World { memory, rng, .. } = &mut world;
                calls.call(|| ServerExchange::new(memory, ServerOptions::default(), rng))
            };
            if is_shortage(&made) {
                return true;
            }
            let mut server = made.expect("memory");
            let mut events = Vec::new();
            for piece in wire.chunks(STEP) {
                events.extend(calls.call(|| world.feed_server(&mut server, piece)));
            }
            server.handle_eof(NOW);
            events.extend(server.poll_event());
            let is_refused = match &events[..] {
                [ServerEvent::Refused(error)] => is_shortage::<()>(&Err(error.clone())),
                events => {
                    assert_eq!(events, [ServerEvent::Request]);
                    false
                }
            };
            match server.take_request() {
                Some(request) => assert!(request.body().expose() == BODY && !is_refused),
                None => assert!(is_refused),
            }
            is_refused
        });
        println!("request received: {failed} of {calls} calls failed");
        assert!(failed >= 3);
    });
}

/// REPLAY-7: a client whose clock is wrong is told so, also where there is no memory for its request.
#[test]
fn the_time_comes_before_memory() {
    isolated("the_time_comes_before_memory", || {
        for (late, code) in [(0, ErrorCode::Busy), (3_600_000, ErrorCode::Time)] {
            let mut world = world();
            let options = client_options(Padding::None);
            let (mut client, _) = make_client(&mut world, &mut Calls::none(), options);
            let wire = drain_client(&mut client);
            let mut server = world.server(ServerOptions::default());
            world.now = UnixTime::from_millis(NOW.as_millis() + late);
            let open = HEADER_LEN + 80;
            let header = *wire[open..].first_chunk().expect("HEAD");
            let end = open + FrameHeader::parse(header).expect("HEAD").size();
            world.feed_server(&mut server, &wire[..end - 1]);
            let mut calls = Calls::failing_at(0);
            calls.call(|| world.feed_server(&mut server, &wire[end - 1..end]));
            world.feed_server(&mut server, &wire[end..]);
            server.handle_eof(world.now);
            let mut seen = Seen::default();
            feed_client(&mut client, &drain_server(&mut server), &mut seen).expect("a refusal");
            assert_eq!(seen.error, Some(code));
        }
    });
}

/// A gateway's answer: `respond`, `send_data` in pieces, `finish`, each made again where memory failed.
fn answer(
    server: &mut ServerExchange,
    calls: &mut Calls,
    head: &ResponseHead<'_>,
    padding: Padding,
) -> (Vec<u8>, bool) {
    let mut wire = Vec::new();
    let mut begun = calls.call(|| server.respond(head, padding));
    let was_short = is_shortage(&begun);
    if was_short {
        begun = server.respond(head, padding);
    }
    // Either it can begin all the same, or it is over: there is nothing between.
    let mut is_over = begun.is_err();
    let mut rest = &BODY[..];
    while !rest.is_empty() && !is_over {
        let piece = &rest[..STEP.min(rest.len())];
        let sent = calls.call(|| server.send_data(piece));
        is_over = is_shortage(&sent);
        rest = &rest[sent.unwrap_or(0)..];
        wire.extend(drain_server(server));
    }
    if !is_over {
        is_over = is_shortage(&calls.call(|| server.finish()));
        wire.extend(drain_server(server));
    }
    if is_over {
        assert!(server.respond(head, padding).is_err(), "it goes on");
        assert!(server.send_data(b"x").is_err(), "it goes on");
        assert!(server.finish().is_err(), "it goes on");
        assert!(drain_server(server).is_empty(), "it goes on");
    }
    (wire, was_short || is_over)
}

#[test]
fn an_answer_is_whole_or_fails() {
    isolated("an_answer_is_whole_or_fails", || {
        for padding in [
            Padding::None,
            Padding::Padme,
            Padding::Uniform { frame: 128 },
        ] {
            let (calls, failed) = at_each_point(|calls| {
                let mut world = world();
                let options = client_options(Padding::Padme);
                let (mut client, _) = make_client(&mut world, &mut Calls::none(), options);
                let (mut server, _) = world.deliver(&drain_client(&mut client));
                let head = ResponseHead::new(200, *client.exchange_id());
                let (wire, was_short) = answer(&mut server, calls, &head, padding);
                let mut seen = Seen::default();
                feed_client(&mut client, &wire, &mut seen).expect("its own");
                let is_whole = seen.body == BODY && seen.status == Some(200);
                assert_eq!(seen.complete, is_whole, "{} bytes", seen.body.len());
                assert!(seen.complete || was_short);
                was_short
            });
            println!("answer, {padding:?}: {failed} of {calls} calls failed");
            assert!(failed >= 1 && calls > BODY.len() / STEP);
        }
    });
}

/// A client that has no memory for what arrives shows a part at most, and not as the whole.
#[test]
fn an_answer_that_there_is_no_memory_for_is_not_whole() {
    isolated("an_answer_that_there_is_no_memory_for_is_not_whole", || {
        let (calls, failed) = at_each_point(|calls| {
            let mut world = world();
            let mut options = client_options(Padding::Padme);
            // For the smallest there is room from the start.
            options.response.frame = 4096;
            let (mut client, _) = make_client(&mut world, &mut Calls::none(), options);
            let (mut server, request) = world.deliver(&drain_client(&mut client));
            let id = request.head().exchange_id;
            let wire = world.answer(&mut server, id, &[&BODY], Padding::Padme);
            let mut seen = Seen::default();
            for piece in wire.chunks(STEP) {
                let heard = calls.call(|| feed_client(&mut client, piece, &mut seen));
                if is_shortage(&heard) {
                    let again = feed_client(&mut client, piece, &mut seen);
                    assert_eq!(again, Err(Error::Peer(PeerError::Poisoned)));
                    assert!(!seen.complete && BODY.starts_with(&seen.body));
                    return true;
                }
            }
            assert!(seen.complete && seen.body == BODY);
            false
        });
        println!("answer received: {failed} of {calls} calls failed");
        assert!(failed >= 1);
    });
}
