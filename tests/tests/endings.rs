//! How sessions end, and what stays true afterwards: whole answers stay whole, and what failed stays failed.

use std::time::Duration;

use sealwire_core::exchange::{Request, ServerEvent, ServerOptions};
use sealwire_core::head::ResponseHead;
use sealwire_core::keys::Pin;
use sealwire_core::padding::Padding;
use sealwire_core::session::{
    ClientSession, Failure, GatewayState, SessionConfig, SessionError, SessionEvent, Step, Trust,
};
use sealwire_core::{ErrorCode, Now, RejectCode};
use sealwire_tests::pair::{NOW, World, drain_server};

fn now(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        unix: NOW,
    }
}

/// A session that has sent its request, and what it sent.
fn sending(world: &mut World, config: SessionConfig) -> (ClientSession, Vec<u8>) {
    let state = GatewayState::default();
    let request = world.request(b"{}");
    let mut session = ClientSession::new(&world.memory, config, state, request, now(0));
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
    session.handle_key_set(now(0), world.keys.key_set());
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Send));
    let (mut wire, mut out) = (Vec::new(), [0; 4096]);
    while let count @ 1.. = session.poll_transmit(&mut out).expect("memory") {
        wire.extend_from_slice(&out[..count]);
    }
    (session, wire)
}

/// A session that has sent its request, and a whole answer of `status` to it.
fn answered(world: &mut World, config: SessionConfig, status: u16) -> (ClientSession, Vec<u8>) {
    let (session, wire) = sending(world, config);
    let mut server = world.server(ServerOptions {
        one_exchange: config.options.one_exchange,
        ..ServerOptions::default()
    });
    world.feed_server(&mut server, &wire);
    server.handle_eof(NOW);
    server.poll_event();
    let id = server.take_request().expect("whole").head().exchange_id;
    let mut head = ResponseHead::new(status, id);
    head.retry_after = Some(60);
    server.respond(&head, Padding::None).expect("waits");
    server.send_data(b"{}").expect("under way");
    server.finish().expect("under way");
    (session, drain_server(&mut server))
}

fn pinned(world: &World) -> SessionConfig {
    SessionConfig::new(Trust::Pin(world.keys.key_set().pin()))
}

/// HTTP-5, ORDER-1: END makes an answer whole. What becomes of the connection afterwards takes nothing from it, whether its events were
/// taken before or are taken then.
#[test]
fn a_whole_answer_stays_whole() {
    for taken_before in [true, false] {
        for what in 0..4 {
            let mut world = World::new(1);
            let config = pinned(&world);
            let (mut session, answer) = answered(&mut world, config, 200);
            let mut rest = &answer[..];
            let mut events = 0;
            loop {
                let count = session.handle_input(now(1), rest, &mut world.rng);
                rest = &rest[count..];
                if rest.is_empty() && !taken_before {
                    break;
                }
                match session.poll_event(now(1), &mut world.rng) {
                    Some(_) => events += 1,
                    None if count == 0 => break,
                    None => {}
                }
            }
            match what {
                0 => session.handle_failure(now(2), Failure::Reset, &mut world.rng),
                1 => session.handle_failure(now(2), Failure::Tls, &mut world.rng),
                2 => session.handle_timeout(now(3600)),
                _ => session.handle_eof(now(2), &mut world.rng),
            }
            if !taken_before {
                assert_eq!(session.step(now(3600), &mut world.rng), Ok(Step::Send));
                let last = session.poll_event(now(3600), &mut world.rng);
                assert!(matches!(last, Some(SessionEvent::Complete(_))));
                events += 1;
            }
            assert_eq!(events, 3, "HEAD, DATA, END");
            assert_eq!(session.step(now(3600), &mut world.rng), Ok(Step::Done));
        }
    }
}

/// Before END, all of that is an error still.
#[test]
fn an_answer_that_breaks_before_its_end_is_none() {
    let mut world = World::new(2);
    let config = pinned(&world);
    let (mut session, answer) = answered(&mut world, config, 200);
    let mut rest = &answer[..answer.len() - 1];
    while !rest.is_empty() {
        let count = session.handle_input(now(1), rest, &mut world.rng);
        rest = &rest[count..];
        session.poll_event(now(1), &mut world.rng);
    }
    session.handle_failure(now(2), Failure::Reset, &mut world.rng);
    let error = session.step(now(2), &mut world.rng);
    assert_eq!(error, Err(SessionError::Connection(Failure::Reset)));
}

/// Section 12: an answer that is thrown away for another try ends with its stream, however late its events are asked for.
#[test]
fn the_end_of_an_abandoned_answer_is_not_that_of_the_next_try() {
    let mut world = World::new(3);
    let mut config = pinned(&world);
    config.options.one_exchange = false;
    let (mut session, wire) = sending(&mut world, config);
    let mut server = world.server(ServerOptions {
        one_exchange: false,
        ..ServerOptions::default()
    });
    let events = world.feed_server(&mut server, &wire);
    assert_eq!(events, [ServerEvent::Request]);
    let id = server.take_request().expect("whole").head().exchange_id;
    server
        .respond(&ResponseHead::new(503, id), Padding::None)
        .expect("waits");
    server.finish().expect("under way");
    let answer = drain_server(&mut server);
    let mut rest = &answer[..];
    while !rest.is_empty() {
        let count = session.handle_input(now(1), rest, &mut world.rng);
        rest = &rest[count..];
        if !rest.is_empty() {
            assert!(session.poll_event(now(1), &mut world.rng).is_none());
        }
    }
    session.handle_eof(now(1), &mut world.rng);
    let Ok(Step::Wait(until)) = session.step(now(1), &mut world.rng) else {
        panic!("another try is due");
    };
    let later = now(until.as_secs() + 1);
    for _ in 0..3 {
        assert_eq!(session.step(later, &mut world.rng), Ok(Step::Send));
    }
}

/// What fails while nothing is sent changes nothing: the next try is still due.
#[test]
fn a_connection_that_breaks_between_tries_is_no_failure() {
    let mut world = World::new(4);
    let config = pinned(&world);
    let (mut session, _) = answered(&mut world, config, 200);
    session.handle_input(now(1), &[0x05, 0, 0, 1, 5], &mut world.rng);
    assert!(session.poll_event(now(1), &mut world.rng).is_none());
    let waiting = session.step(now(1), &mut world.rng);
    assert!(matches!(waiting, Ok(Step::Wait(_))), "{waiting:?}");
    for failure in [Failure::Reset, Failure::Tls, Failure::Gone] {
        session.handle_failure(now(1), failure, &mut world.rng);
        session.handle_reply(now(1), 404, false, None, &mut world.rng);
        assert_eq!(session.step(now(1), &mut world.rng), waiting);
    }
}

/// A wait that would outlast the time for everything is not begun: the answer, or the reason, is told at once.
#[test]
fn no_try_is_waited_for_that_would_come_too_late() {
    for (total, waits) in [(60, false), (61, true)] {
        let mut world = World::new(5);
        let mut config = pinned(&world);
        config.timeouts.total = Duration::from_secs(total);
        let (mut session, answer) = answered(&mut world, config, 503);
        let mut rest = &answer[..];
        let mut status = None;
        while session.is_sending() && !rest.is_empty() {
            let count = session.handle_input(now(0), rest, &mut world.rng);
            rest = &rest[count..];
            if let Some(SessionEvent::Head(head)) = session.poll_event(now(0), &mut world.rng) {
                status = Some(head.status);
            }
        }
        assert_eq!(
            status,
            (!waits).then_some(503),
            "shown as the last try's is"
        );
        let until = Duration::from_secs(60);
        let waiting = session.step(now(0), &mut world.rng) == Ok(Step::Wait(until));
        assert_eq!(waiting, waits);
    }
    let mut world = World::new(5);
    let mut config = pinned(&world);
    config.timeouts.total = Duration::from_millis(400);
    let (mut session, _) = answered(&mut world, config, 503);
    session.handle_input(now(0), &[0x05, 0, 0, 1, 5], &mut world.rng);
    assert!(session.poll_event(now(0), &mut world.rng).is_none());
    let error = session.step(now(0), &mut world.rng);
    assert_eq!(error, Err(SessionError::Rejected(RejectCode::Busy)));
}

/// ERR-4: an ERROR behind a HEAD that was shown leads to no other try, whatever its code.
#[test]
fn nothing_is_tried_again_once_an_answer_has_begun() {
    for code in [
        ErrorCode::Time,
        ErrorCode::Replay,
        ErrorCode::Busy,
        ErrorCode::Upstream,
        ErrorCode::Timeout,
        ErrorCode::Internal,
    ] {
        let mut world = World::new(14);
        let config = pinned(&world);
        let (mut session, wire) = sending(&mut world, config);
        let (mut server, request) = world.deliver(&wire);
        let head = ResponseHead::new(200, request.head().exchange_id);
        server.respond(&head, Padding::None).expect("waits");
        server.fail(code, NOW).expect("under way");
        let answer = drain_server(&mut server);
        let mut rest = &answer[..];
        let mut events = 0;
        while !rest.is_empty() && session.is_sending() {
            let count = session.handle_input(now(1), rest, &mut world.rng);
            rest = &rest[count..];
            events += usize::from(session.poll_event(now(1), &mut world.rng).is_some());
        }
        assert_eq!(events, 1, "HEAD");
        let error = SessionError::Refused {
            code,
            answer_begun: true,
        };
        assert_eq!(session.step(now(1), &mut world.rng), Err(error));
    }
}

/// ERR-4: a HEAD that was opened is the beginning of an answer, also where it waits to be taken; one of a status that says to try again
/// is not.
#[test]
fn an_answer_that_waits_to_be_taken_has_begun() {
    let ends: [fn(&mut ClientSession, &mut World); 3] = [
        |session, world| session.handle_failure(now(1), Failure::Reset, &mut world.rng),
        |session, world| session.handle_eof(now(1), &mut world.rng),
        |session, _| {
            let _ = session.handle_stale_connection();
        },
    ];
    for end in ends {
        for status in [200, 404, 503] {
            let mut world = World::new(30);
            let config = pinned(&world);
            let (mut session, answer) = answered(&mut world, config, status);
            let mut rest = &answer[..];
            loop {
                let count = session.handle_input(now(1), rest, &mut world.rng);
                rest = &rest[count..];
                if count == 0 {
                    break;
                }
            }
            assert!(!rest.is_empty(), "HEAD waits, and its body behind it");
            end(&mut session, &mut world);
            let is_tried_again = match session.step(now(1), &mut world.rng) {
                Ok(Step::Wait(_)) => true,
                Ok(Step::Send) => !session
                    .poll_transmit(&mut [0; 4])
                    .is_ok_and(|sent| sent == 0),
                _ => false,
            };
            assert_eq!(is_tried_again, status == 503, "{status}");
            // Its *retry after* is what is waited for, also where nobody took it; a dead connection is replaced at once.
            if let Ok(Step::Wait(until)) = session.step(now(1), &mut world.rng) {
                assert_eq!(until, Duration::from_secs(61));
            }
        }
    }
}

/// Section 8.1: a refusal leads to what it says, also where it waits to be taken and the connection fails, or its time is over.
#[test]
fn a_refusal_that_waits_to_be_taken_counts() {
    let ends: [fn(&mut ClientSession, &mut World); 4] = [
        |session, world| session.handle_failure(now(1), Failure::Reset, &mut world.rng),
        |session, world| session.handle_eof(now(1), &mut world.rng),
        |session, world| {
            assert!(!session.handle_stale_connection());
            session.handle_failure(now(1), Failure::Gone, &mut world.rng);
        },
        |session, world| {
            session.handle_timeout(now(10_000));
            assert!(session.poll_event(now(1), &mut world.rng).is_none());
        },
    ];
    for end in ends {
        let mut world = World::new(31);
        let config = pinned(&world);
        let mut refused = |code: Option<ErrorCode>| {
            let (mut session, wire) = sending(&mut world, config);
            let refusal = match code {
                Some(code) => {
                    let (mut server, _) = world.deliver(&wire);
                    server.fail(code, NOW).expect("a request waits");
                    drain_server(&mut server)
                }
                None => vec![0x05, 0, 0, 1, RejectCode::Suite.to_u8()],
            };
            let mut rest = &refusal[..];
            while !rest.is_empty() {
                let count = session.handle_input(now(1), rest, &mut world.rng);
                rest = &rest[count..];
            }
            end(&mut session, &mut world);
            session.step(now(1), &mut world.rng)
        };
        let answer_begun = false;
        let code = ErrorCode::Duplicate;
        let duplicate = SessionError::Refused { code, answer_begun };
        assert_eq!(refused(Some(code)), Err(duplicate));
        assert_eq!(
            refused(Some(ErrorCode::Time)),
            Ok(Step::Send),
            "sealed anew"
        );
        let suite = SessionError::Rejected(RejectCode::Suite);
        assert_eq!(refused(None), Err(suite));
    }
}

/// REPLAY-6: a session that failed gives its request back, with the idempotency key of its tries.
#[test]
fn a_failed_session_gives_its_request_back() {
    let keys = |request: Option<Request>| {
        let request = request.expect("not answered");
        assert_eq!(request.body.expose(), b"{}");
        request.idempotency_key
    };
    let mut world = World::new(31);
    let config = pinned(&world);
    let (mut session, wire) = sending(&mut world, config);
    let (_, first) = world.deliver(&wire);
    let due = session.poll_timeout().expect("an answer is waited for");
    session.handle_timeout(now(due.as_secs()));
    let error = session.step(now(due.as_secs()), &mut world.rng);
    assert!(matches!(error, Err(SessionError::Timeout { .. })));
    let sealed = first.head().idempotency_key.map(str::to_owned);
    assert!(sealed.is_some());
    assert_eq!(keys(session.into_request()), sealed);

    // One that was answered has none, whether or not it was told of the end.
    let (mut session, answer) = answered(&mut world, config, 200);
    let mut rest = &answer[..];
    while !rest.is_empty() {
        let count = session.handle_input(now(1), rest, &mut world.rng);
        rest = &rest[count..];
        session.poll_event(now(1), &mut world.rng);
    }
    assert!(session.into_request().is_none());

    // Whatever ended it, and where none was sealed yet.
    let other = SessionConfig::new(Trust::Pin(Pin::from_bytes([9; 32])));
    let request = world.request(b"{}");
    let state = GatewayState::default();
    let mut session = ClientSession::new(&world.memory, other, state, request, now(0));
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
    session.handle_key_set(now(0), world.keys.key_set());
    let error = session.step(now(0), &mut world.rng);
    assert!(matches!(error, Err(SessionError::Identity { .. })));
    assert_eq!(keys(session.into_request()), None);
}

/// ORDER-7: a stream that broke behind END carries nothing more, though the answer is whole.
#[test]
fn a_stream_that_broke_carries_nothing_more() {
    for breaks in [false, true] {
        let mut world = World::new(18);
        let mut config = pinned(&world);
        config.options.one_exchange = false;
        let (mut session, answer) = answered(&mut world, config, 200);
        let mut rest = &answer[..];
        loop {
            let count = session.handle_input(now(1), rest, &mut world.rng);
            rest = &rest[count..];
            if rest.is_empty() {
                break;
            }
            session.poll_event(now(1), &mut world.rng);
        }
        if breaks {
            session.handle_failure(now(1), Failure::Reset, &mut world.rng);
        }
        let last = session.poll_event(now(1), &mut world.rng);
        assert!(matches!(last, Some(SessionEvent::Complete(_))));
        assert_eq!(session.can_carry_on(), !breaks);
    }
}
