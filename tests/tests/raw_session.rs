//! The session over raw streams (spec section 13): keys, exchanges one after another, stopping and going on; with virtual time.

use std::time::Duration;

use sealwire_core::exchange::{ServerEvent, ServerExchange, ServerOptions};
use sealwire_core::head::ResponseHead;
use sealwire_core::padding::Padding;
use sealwire_core::session::{
    ClientSession, Failure, GatewayState, SessionConfig, SessionError, SessionEvent, Step, Trust,
};
use sealwire_core::{ErrorCode, Malformed, Now, RejectCode};
use sealwire_tests::pair::{NOW, World, drain_server};

const START: Now = Now {
    monotonic: Duration::ZERO,
    unix: NOW,
};

fn session(world: &World, known: GatewayState) -> ClientSession {
    let mut config = SessionConfig::new(Trust::Pin(world.keys.key_set().pin()));
    config.options.one_exchange = false;
    let request = world.request(b"{}");
    ClientSession::new(&world.memory, config, known, request, START)
}

fn server(world: &mut World) -> ServerExchange {
    world.server(ServerOptions {
        one_exchange: false,
        ..ServerOptions::default()
    })
}

fn sent(session: &mut ClientSession) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut buffer = [0; 100];
    loop {
        match session.poll_transmit(&mut buffer).expect("memory") {
            0 => return wire,
            count => wire.extend_from_slice(&buffer[..count]),
        }
    }
}

/// What an answer brought.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    status: Option<u16>,
    body: Vec<u8>,
    complete: bool,
}

/// Feeds the session as long as the try is on, and says how much it took.
fn hear(session: &mut ClientSession, world: &mut World, wire: &[u8], seen: &mut Seen) -> usize {
    let mut taken = 0;
    loop {
        let count = session.handle_input(START, &wire[taken..], &mut world.rng);
        taken += count;
        match session.poll_event(START, &mut world.rng) {
            Some(SessionEvent::Head(head)) => seen.status = Some(head.status),
            Some(SessionEvent::Data(data)) => seen.body.extend_from_slice(data),
            Some(_) => seen.complete = true,
            None if count == 0 => return taken,
            None => {}
        }
    }
}

/// KEYS as a gateway answers it.
fn keys(world: &mut World, request: &[u8]) -> Vec<u8> {
    let mut server = server(world);
    let events = world.feed_server(&mut server, request);
    assert_eq!(events, [ServerEvent::KeysRequested]);
    server.send_keys(&world.keys.key_set()).expect("fits");
    drain_server(&mut server)
}

/// FRAME-3: what anyone on the way can make a fetch take is one KEYS frame, however it arrives.
#[test]
fn a_key_set_takes_no_more_memory_than_its_frame() {
    for piece in [1, 1000, 70_000] {
        let mut world = World::new(40);
        let mut session = session(&world, GatewayState::default());
        assert_eq!(session.step(START, &mut world.rng), Ok(Step::FetchKeys));
        sent(&mut session);
        let wire = [&[0x02, 0, 0xff, 0xff][..], &[0; 65_535]].concat();
        let (last, wire) = wire.split_last().expect("not empty");
        for piece in wire.chunks(piece) {
            assert_eq!(
                session.handle_input(START, piece, &mut world.rng),
                piece.len()
            );
            assert!(session.buffered() <= 65_539, "{}", session.buffered());
        }
        session.handle_input(START, &[*last], &mut world.rng);
        let error = session.step(START, &mut world.rng);
        assert_eq!(error, Err(SessionError::Keys(Malformed::Keys("length"))));
        assert_eq!(session.buffered(), 0);
    }
}

/// Asks for the keys and takes them: the session is about to send, and what it has learned.
fn with_keys(world: &mut World) -> (ClientSession, GatewayState) {
    let mut session = session(world, GatewayState::default());
    assert_eq!(session.step(START, &mut world.rng), Ok(Step::FetchKeys));
    let request = sent(&mut session);
    let reply = keys(world, &request);
    let taken = hear(&mut session, world, &reply, &mut Seen::default());
    assert_eq!(taken, reply.len());
    assert!(session.can_carry_on());
    assert_eq!(session.step(START, &mut world.rng), Ok(Step::Send));
    assert!(!session.can_carry_on(), "an exchange is under way");
    let known = session.gateway().clone();
    (session, known)
}

/// A gateway's answer to what the session sends.
fn answer(world: &mut World, session: &mut ClientSession, status: u16, body: &[u8]) -> Vec<u8> {
    let mut server = server(world);
    let events = world.feed_server(&mut server, &sent(session));
    assert_eq!(events, [ServerEvent::Request]);
    let request = server.take_request().expect("whole");
    let head = ResponseHead::new(status, request.head().exchange_id);
    server.respond(&head, Padding::None).expect("waits");
    server.send_data(body).expect("under way");
    server.finish().expect("under way");
    drain_server(&mut server)
}

/// RAW-2, ORDER-7: the keys, and then one exchange after another, each leaving what is not its own.
#[test]
fn keys_and_exchanges_on_one_stream() {
    let mut world = World::new(1);
    let (mut session, known) = with_keys(&mut world);
    let mut wire = answer(&mut world, &mut session, 200, b"one");
    let len = wire.len();
    wire.extend_from_slice(b"of the next exchange");
    let mut seen = Seen::default();
    assert_eq!(hear(&mut session, &mut world, &wire, &mut seen), len);
    assert!(seen.complete && seen.body == b"one");
    assert!(session.can_carry_on());
    session.handle_eof(START, &mut world.rng);
    assert_eq!(session.step(START, &mut world.rng), Ok(Step::Done));

    // The next session knows the keys.
    let mut session = self::session(&world, known);
    assert_eq!(session.step(START, &mut world.rng), Ok(Step::Send));
}

/// The key set arrives whole however it is cut, and is asked for once.
#[test]
fn keys_byte_by_byte() {
    let mut world = World::new(2);
    let mut session = session(&world, GatewayState::default());
    assert_eq!(session.step(START, &mut world.rng), Ok(Step::FetchKeys));
    let request = sent(&mut session);
    assert_eq!(request, [0x01, 0, 0, 1, 1]);
    let reply = keys(&mut world, &request);
    for byte in &reply {
        assert_eq!(session.step(START, &mut world.rng), Ok(Step::FetchKeys));
        assert!(!session.can_carry_on());
        assert_eq!(session.handle_input(START, &[*byte], &mut world.rng), 1);
    }
    assert_eq!(session.step(START, &mut world.rng), Ok(Step::Send));
}

/// FRAME-5: what is no KEYS, or longer than one can be, ends the session by its header.
#[test]
fn what_is_no_key_set() {
    for (reply, expected) in [
        (&[0x02, 1, 0, 0][..], Malformed::FrameLength),
        (&[0x04, 0, 0, 32], Malformed::Order),
        (&[0x99, 0, 0, 1], Malformed::FrameType(0x99)),
        (&[0x02, 0, 0, 1, 7], Malformed::Keys("identity")),
    ] {
        let mut world = World::new(3);
        let mut session = session(&world, GatewayState::default());
        assert_eq!(session.step(START, &mut world.rng), Ok(Step::FetchKeys));
        sent(&mut session);
        hear(&mut session, &mut world, reply, &mut Seen::default());
        assert!(!session.can_carry_on());
        let error = session.step(START, &mut world.rng);
        assert_eq!(error, Err(SessionError::Keys(expected)));
    }
}

/// RAW-2: a gateway that does not know this version of KEYS_REQUEST says so, and the stream goes on; one that is busy is asked again.
#[test]
fn keys_that_are_refused() {
    for (code, is_tried_again) in [(RejectCode::Version, false), (RejectCode::Busy, true)] {
        let mut world = World::new(11);
        let mut session = session(&world, GatewayState::default());
        assert_eq!(session.step(START, &mut world.rng), Ok(Step::FetchKeys));
        sent(&mut session);
        let reply = [0x05, 0, 0, 1, code.to_u8()];
        let taken = hear(&mut session, &mut world, &reply, &mut Seen::default());
        assert_eq!(taken, reply.len());
        assert!(session.can_carry_on());
        match session.step(START, &mut world.rng) {
            Ok(Step::Wait(_)) => assert!(is_tried_again),
            step => {
                assert_eq!(step, Err(SessionError::Rejected(code)));
                assert!(!is_tried_again);
            }
        }
    }
}

#[test]
fn a_stream_that_ends_before_the_keys_is_tried_again() {
    let mut world = World::new(4);
    let mut session = session(&world, GatewayState::default());
    assert_eq!(session.step(START, &mut world.rng), Ok(Step::FetchKeys));
    session.handle_eof(START, &mut world.rng);
    let step = session.step(START, &mut world.rng);
    assert!(matches!(step, Ok(Step::Wait(_))), "{step:?}");
}

/// ERR-3, ORDER-7: a REJECT leads to new keys on the same stream.
#[test]
fn a_reject_leaves_the_stream_in_step() {
    let mut world = World::new(5);
    let (mut session, _) = with_keys(&mut world);
    sent(&mut session);
    let reject = [0x05, 0, 0, 1, RejectCode::Key.to_u8()];
    hear(&mut session, &mut world, &reject, &mut Seen::default());
    assert!(session.can_carry_on());
    assert_eq!(session.step(START, &mut world.rng), Ok(Step::FetchKeys));
    assert_eq!(sent(&mut session), [0x01, 0, 0, 1, 1]);
}

/// A status that is tried again is read to its end first: the stream cannot be closed in the middle without losing it.
#[test]
fn an_answer_that_is_tried_again_is_read_to_its_end() {
    let mut world = World::new(6);
    let (mut session, _) = with_keys(&mut world);
    let wire = answer(&mut world, &mut session, 503, &[b'x'; 5000]);
    let mut seen = Seen::default();
    hear(&mut session, &mut world, &wire[..wire.len() - 1], &mut seen);
    assert!(session.is_sending() && !session.can_carry_on());
    hear(&mut session, &mut world, &wire[wire.len() - 1..], &mut seen);
    assert_eq!(seen, Seen::default(), "nothing of it is shown");
    assert!(session.can_carry_on());
    let Ok(Step::Wait(until)) = session.step(START, &mut world.rng) else {
        panic!("no wait")
    };
    let later = Now {
        monotonic: until,
        ..START
    };
    assert_eq!(session.step(later, &mut world.rng), Ok(Step::Send));

    // Cut off in the middle it is tried again too, on another stream.
    let mut session = with_keys(&mut world).0;
    let wire = answer(&mut world, &mut session, 503, b"{}");
    hear(
        &mut session,
        &mut world,
        &wire[..wire.len() - 1],
        &mut Seen::default(),
    );
    session.handle_eof(START, &mut world.rng);
    assert!(!session.can_carry_on());
    let step = session.step(START, &mut world.rng);
    assert!(matches!(step, Ok(Step::Wait(_))), "{step:?}");
}

/// ORDER-6: CANCEL goes out, what still arrives is thrown away, and the stream goes on.
#[test]
fn cancel() {
    let mut world = World::new(7);
    let (mut session, _) = with_keys(&mut world);
    assert!(!session.cancel(), "the request has not been sent");
    let mut server = server(&mut world);
    world.feed_server(&mut server, &sent(&mut session));
    let request = server.take_request().expect("whole");
    let head = ResponseHead::new(200, request.head().exchange_id);
    server.respond(&head, Padding::None).expect("waits");
    server.send_data(b"first").expect("under way");
    let mut seen = Seen::default();
    let wire = drain_server(&mut server);
    hear(&mut session, &mut world, &wire, &mut seen);
    assert_eq!(seen.body, b"first");

    assert!(session.cancel());
    assert!(!session.cancel(), "once");
    server.send_data(b"crosses it").expect("under way");
    let events = world.feed_server(&mut server, &sent(&mut session));
    assert_eq!(events, [ServerEvent::Cancelled]);
    server.fail(ErrorCode::Cancelled, NOW).expect("under way");
    let wire = drain_server(&mut server);
    assert_eq!(hear(&mut session, &mut world, &wire, &mut seen), wire.len());
    assert_eq!(seen.body, b"first", "nothing more is shown");
    assert!(session.can_carry_on() && server.can_continue());
    let error = session.step(START, &mut world.rng);
    let cancelled = SessionError::Refused {
        code: ErrorCode::Cancelled,
        answer_begun: true,
    };
    assert_eq!(error, Err(cancelled));
}

/// ORDER-9: a refusal in the middle of the request is heard, and the stream is closed.
#[test]
fn a_refusal_before_the_request_has_left() {
    let mut world = World::new(8);
    let (mut session, _) = with_keys(&mut world);
    let mut some = [0; 50];
    session.poll_transmit(&mut some).expect("memory");
    let reject = [0x05, 0, 0, 1, RejectCode::TooLarge.to_u8()];
    hear(&mut session, &mut world, &reject, &mut Seen::default());
    assert!(!session.can_carry_on());
    let error = session.step(START, &mut world.rng);
    assert_eq!(error, Err(SessionError::Rejected(RejectCode::TooLarge)));
}

/// A kept connection that was closed costs neither a wait nor a try; and the request is sealed afresh (KEY-1).
#[test]
fn a_stale_connection() {
    let mut world = World::new(9);
    let (mut session, known) = with_keys(&mut world);
    let first = sent(&mut session);
    assert!(session.handle_stale_connection());
    assert_eq!(session.step(START, &mut world.rng), Ok(Step::Send));
    assert_ne!(sent(&mut session)[..200], first[..200]);
    // While the keys are fetched, likewise.
    let mut session = self::session(&world, GatewayState::default());
    assert_eq!(session.step(START, &mut world.rng), Ok(Step::FetchKeys));
    sent(&mut session);
    assert!(session.handle_stale_connection());
    assert_eq!(session.step(START, &mut world.rng), Ok(Step::FetchKeys));
    assert_eq!(sent(&mut session).len(), 5, "asked again");
    // What was cancelled is not asked for again.
    let mut session = self::session(&world, known.clone());
    assert_eq!(session.step(START, &mut world.rng), Ok(Step::Send));
    sent(&mut session);
    assert!(session.cancel());
    assert!(!session.handle_stale_connection());
    session.handle_failure(START, Failure::Reset, &mut world.rng);
    let cancelled = SessionError::Refused {
        code: ErrorCode::Cancelled,
        answer_begun: false,
    };
    assert_eq!(session.step(START, &mut world.rng), Err(cancelled));
    // Once something of the answer was shown there is no other try.
    let mut session = self::session(&world, known);
    assert_eq!(session.step(START, &mut world.rng), Ok(Step::Send));
    let wire = answer(&mut world, &mut session, 200, b"one");
    let mut seen = Seen::default();
    hear(&mut session, &mut world, &wire[..wire.len() - 1], &mut seen);
    assert_eq!(seen.status, Some(200));
    assert!(!session.handle_stale_connection());
    session.handle_failure(START, Failure::Reset, &mut world.rng);
    let error = session.step(START, &mut world.rng);
    assert_eq!(error, Err(SessionError::Connection(Failure::Reset)));
}

/// The only stream there is: without it nothing is tried again.
#[test]
fn a_stream_that_is_gone() {
    let mut world = World::new(10);
    let (mut session, _) = with_keys(&mut world);
    session.handle_failure(START, Failure::Gone, &mut world.rng);
    let error = session.step(START, &mut world.rng);
    assert_eq!(error, Err(SessionError::Connection(Failure::Gone)));
}
