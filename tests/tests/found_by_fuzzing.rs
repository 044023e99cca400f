//! What the fuzz targets found, each as the smallest case of it (`docs/fuzzing.md`).

use std::time::Duration;

use sealwire_core::exchange::{ClientOptions, ServerEvent, ServerOptions};
use sealwire_core::head::ResponseHead;
use sealwire_core::padding::Padding;
use sealwire_core::session::{
    ClientSession, GatewayState, SessionConfig, SessionError, SessionEvent, Step, Trust,
};
use sealwire_core::{Error, Malformed, Now, PeerError, RejectCode, Suite};
use sealwire_tests::pair::{NOW, World, drain_client, drain_server};

fn now(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        unix: NOW,
    }
}

/// A session that has sent its request.
fn sent(world: &mut World) -> (ClientSession, Vec<u8>) {
    let set = world.keys.key_set();
    let config = SessionConfig::new(Trust::Pin(set.pin()));
    let request = world.request(b"{}");
    let state = GatewayState::default();
    let mut session = ClientSession::new(&world.memory, config, state, request, now(0));
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
    session.handle_key_set(now(0), set);
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Send));
    let mut wire = vec![0; 1 << 16];
    let count = session.poll_transmit(&mut wire).expect("memory");
    wire.truncate(count);
    (session, wire)
}

/// Target `session`: the input ended before the refusal in it was taken, and the session was done, as if there had been an answer.
#[test]
fn a_refusal_that_nobody_took_before_the_end_is_no_answer() {
    let mut world = World::new(1);
    let (mut session, _) = sent(&mut world);
    let reject = [0x05, 0, 0, 1, RejectCode::Suite.to_u8()];
    assert_eq!(session.handle_input(now(0), &reject, &mut world.rng), 5);
    session.handle_eof(now(0), &mut world.rng);
    let over = session.step(now(0), &mut world.rng);
    assert_eq!(over, Err(SessionError::Rejected(RejectCode::Suite)));
}

/// The same with a whole answer: it is done when its last event was taken, not before.
#[test]
fn an_answer_is_done_when_its_end_was_taken() {
    // ORDER-1
    let mut world = World::new(2);
    let (mut session, wire) = sent(&mut world);
    let (mut server, request) = world.deliver(&wire);
    let head = ResponseHead::new(200, request.head().exchange_id);
    server
        .respond(&head, Padding::None)
        .expect("a request waits");
    server.finish().expect("under way");
    let wire = drain_server(&mut server);
    let count = session.handle_input(now(0), &wire, &mut world.rng);
    assert!(
        session.poll_event(now(0), &mut world.rng).is_some(),
        "the head"
    );
    session.handle_input(now(0), &wire[count..], &mut world.rng);
    session.handle_eof(now(0), &mut world.rng);
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Send));
    let event = session.poll_event(now(0), &mut world.rng);
    assert!(matches!(event, Some(SessionEvent::Complete(_))));
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Done));
}

/// Target `peer`: a sealed frame of more than 64 KiB is too large, not malformed, whatever its length: padding has no other bound.
#[test]
fn a_frame_of_any_length_is_held_against_the_limit() {
    // FRAME-3, LIMIT-1, ORDER-4
    let mut world = World::new(3);
    let request = world.request(b"{}");
    let mut client = world.client(Suite::P256, request, ClientOptions::default());
    let wire = drain_client(&mut client);
    let (mut server, received) = world.deliver(&wire);
    let head = ResponseHead::new(200, received.head().exchange_id);
    server
        .respond(&head, Padding::None)
        .expect("a request waits");
    let begun = drain_server(&mut server);
    let count = client.handle_input(&begun).expect("a true answer");
    assert_eq!(count, begun.len());
    assert!(client.poll_event().is_some(), "the head");
    let error = client.handle_input(&[0x11, 0xff, 0xff, 0xff]);
    assert!(matches!(
        error,
        Err(Error::Peer(PeerError::TooLarge { .. }))
    ));

    // The gateway reads on to the end of the request before it says so (ORDER-3).
    let open = 4 + 15 + 65;
    let mut server = world.server(ServerOptions::default());
    let events = world.feed_server(&mut server, &wire[..open]);
    assert_eq!(events, []);
    let events = world.feed_server(&mut server, &[0x10, 0x01, 0x00, 0x02]);
    let refused = ServerEvent::Refused(Error::Peer(PeerError::TooLarge {
        what: "frame",
        limit: 16_404,
    }));
    assert_eq!(events, [refused]);
    assert_eq!(server.pending_transmit(), 0);
    world.feed_server(&mut server, &vec![0; 0x1_0002]);
    assert_eq!(server.pending_transmit(), 0);
    world.feed_server(&mut server, &wire[wire.len() - 22..]);
    let answer = drain_server(&mut server);
    assert_eq!(answer, [0x05, 0, 0, 1, RejectCode::TooLarge.to_u8()]);
}

/// Target `operations`: over HTTP a request could be taken and answered before its body had ended, and with it what follows END.
#[test]
fn over_http_a_request_is_whole_only_when_its_body_has_ended() {
    // ORDER-2, ORDER-5
    let mut world = World::new(4);
    let request = world.request(b"{}");
    let mut client = world.client(Suite::P256, request, ClientOptions::default());
    let wire = drain_client(&mut client);
    let mut server = world.server(ServerOptions::default());
    assert_eq!(world.feed_server(&mut server, &wire), []);
    assert!(server.take_request().is_none());
    let head = ResponseHead::new(200, *client.exchange_id());
    assert!(server.respond(&head, Padding::None).is_err());
    server.handle_eof(NOW);
    assert_eq!(server.poll_event(), Some(ServerEvent::Request));
    assert!(server.take_request().is_some());
    assert!(server.respond(&head, Padding::None).is_ok());
}

/// Target `session`: KEYS that nobody had asked for, or only half, was taken, and the stream would have gone on with OPEN in the middle
/// of KEYS_REQUEST.
#[test]
fn keys_before_they_were_asked_for_are_no_answer() {
    // RAW-2, FRAME-6
    for sent in 0..=5 {
        let mut world = World::new(5);
        let set = world.keys.key_set();
        let mut config = SessionConfig::new(Trust::Pin(set.pin()));
        config.options.one_exchange = false;
        let request = world.request(b"{}");
        let state = GatewayState::default();
        let mut session = ClientSession::new(&world.memory, config, state, request, now(0));
        assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
        let mut asked = vec![0; sent];
        assert_eq!(session.poll_transmit(&mut asked), Ok(sent));
        let body = set.to_bytes();
        let mut keys = vec![0x02, 0];
        keys.extend_from_slice(&(body.len() as u16).to_be_bytes());
        keys.extend_from_slice(&body);
        session.handle_input(now(0), &keys, &mut world.rng);
        assert_eq!(session.can_carry_on(), sent == 5);
        let step = session.step(now(0), &mut world.rng);
        match sent {
            5 => assert_eq!(step, Ok(Step::Send)),
            _ => assert_eq!(step, Err(SessionError::Keys(Malformed::Order))),
        }
    }
}

/// Target `server`: where requests are given out while they arrive, a second call for the head threw away what had come of the body.
#[test]
fn asking_for_the_head_again_loses_nothing() {
    // ORDER-2
    let mut world = World::new(6);
    let request = world.request(b"{\"model\":\"m\"}");
    let mut client = world.client(Suite::P256, request, ClientOptions::default());
    let wire = drain_client(&mut client);
    let mut server = world.server(ServerOptions {
        stream_requests: true,
        ..ServerOptions::default()
    });
    let mut events = Vec::new();
    for part in wire.chunks(1) {
        events.extend(world.feed_server(&mut server, part));
        if events == [ServerEvent::Head] {
            assert!(server.take_request().is_some());
            events.clear();
        }
    }
    assert_eq!(events, [ServerEvent::Data]);
    assert!(server.take_request().is_none());
    let body = server.take_data().expect("all that came");
    assert_eq!(body.expose(), b"{\"model\":\"m\"}");
}

/// Seen while the target `session` was written.
#[test]
fn what_a_session_shows_is_not_in_its_debug_output() {
    let shown = format!("{:?}", SessionEvent::Data(b"diagnosis"));
    assert_eq!(shown, "Data([REDACTED; 9])");
}
