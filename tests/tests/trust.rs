//! Whom a session trusts, and by whose clock: section 5 of the specification, with virtual time.

use std::time::Duration;

use sealwire_core::exchange::{ClientEvent, Request};
use sealwire_core::keys::{KeySet, key_id};
use sealwire_core::session::{
    ClientSession, GatewayState, SessionConfig, SessionError, Step, Trust,
};
use sealwire_core::{ErrorCode, Malformed, Now, UnixTime};
use sealwire_tests::pair::{NOW, World, drain_client, drain_server};

const HOUR: u64 = 3_600_000;

/// The client's clock, so many milliseconds after [`NOW`], and as much on the clock that is not set.
fn at(millis: u64) -> Now {
    Now {
        monotonic: Duration::from_millis(millis),
        unix: UnixTime::from_millis(NOW.as_millis() + millis),
    }
}

fn session(world: &World, trust: Trust, known: GatewayState, now: Now) -> ClientSession {
    let config = SessionConfig::new(trust);
    ClientSession::new(&world.memory, config, known, world.request(b"{}"), now)
}

fn step(session: &mut ClientSession, world: &mut World, now: Now) -> Result<Step, SessionError> {
    session.step(now, &mut world.rng)
}

fn sent(session: &mut ClientSession) -> Vec<u8> {
    let (mut wire, mut out) = (Vec::new(), [0; 4096]);
    while let count @ 1.. = session.poll_transmit(&mut out).expect("memory") {
        wire.extend_from_slice(&out[..count]);
    }
    wire
}

/// What the gateway says, at its own time, of what the session sends; refusals are acted on.
fn answer(session: &mut ClientSession, world: &mut World, now: Now) {
    let mut server = world.server(Default::default());
    world.feed_server(&mut server, &sent(session));
    server.handle_eof(world.now);
    let wire = drain_server(&mut server);
    let mut rest = &wire[..];
    while !rest.is_empty() && session.is_sending() {
        let count = session.handle_input(now, rest, &mut world.rng);
        rest = &rest[count..];
        assert!(session.poll_event(now, &mut world.rng).is_none());
    }
}

/// A world whose key set holds a key of now, and one that begins in 12 hours.
fn two_keys(seed: u64) -> (World, KeySet) {
    let mut world = World::new(seed);
    world
        .keys
        .rotate(at(12 * HOUR).unix, &mut world.rng)
        .expect("seeded");
    let set = world.keys.key_set();
    (world, set)
}

/// TRUST-4: what is judged is what is used, though a newer record becomes valid while somebody looks at it.
#[test]
fn the_record_that_is_judged_is_the_one_that_is_used() {
    for trust in [Trust::AskEachKey, Trust::Ask] {
        let (mut world, set) = two_keys(1);
        // A second before the newer one is valid here: its not_before less the skew.
        let before = at(12 * HOUR - 301_000);
        let mut session = session(&world, trust, GatewayState::default(), before);
        assert_eq!(step(&mut session, &mut world, before), Ok(Step::FetchKeys));
        session.handle_key_set(before, set.clone());
        assert_eq!(step(&mut session, &mut world, before), Ok(Step::Judge));
        let judged = key_id(&session.candidate().expect("to be judged").record);
        let after = at(12 * HOUR - 299_000);
        let newer = set.select(Default::default(), after.unix).expect("valid");
        assert_ne!(newer.key_id(), judged, "another would be chosen now");
        session.judge(true);
        assert_eq!(step(&mut session, &mut world, after), Ok(Step::Send));
        let used = session.gateway().key().expect("accepted");
        assert_eq!(used.key_id(), judged);
    }
}

/// TIME-1, TRUST-4: a key that ended while somebody looked at it is not used; the keys are fetched again.
#[test]
fn a_key_that_ended_while_it_was_judged_is_not_used() {
    let mut world = World::new(2);
    let set = world.keys.key_set();
    let early = at(24 * HOUR - 1);
    let mut session = session(&world, Trust::AskEachKey, GatewayState::default(), early);
    assert_eq!(step(&mut session, &mut world, early), Ok(Step::FetchKeys));
    session.handle_key_set(early, set);
    assert_eq!(step(&mut session, &mut world, early), Ok(Step::Judge));
    session.judge(true);
    let late = at(24 * HOUR);
    assert_eq!(step(&mut session, &mut world, late), Ok(Step::FetchKeys));
}

/// TRUST-2: an identity that was judged is not exchanged for another, whatever made the session fetch the keys again.
#[test]
fn another_identity_than_the_one_that_was_judged_stops_the_session() {
    let (mut world, set) = (World::new(3), World::new(3).keys.key_set());
    let mut session = session(&world, Trust::Ask, GatewayState::default(), at(0));
    assert_eq!(step(&mut session, &mut world, at(0)), Ok(Step::FetchKeys));
    session.handle_key_set(at(0), set.clone());
    assert_eq!(step(&mut session, &mut world, at(0)), Ok(Step::Judge));
    session.judge(true);
    assert_eq!(step(&mut session, &mut world, at(0)), Ok(Step::Send));
    sent(&mut session);
    // Somebody in between: REJECT(key), and a set of their own.
    session.handle_input(at(0), &[0x05, 0, 0, 1, 3], &mut world.rng);
    assert!(session.poll_event(at(0), &mut world.rng).is_none());
    assert_eq!(step(&mut session, &mut world, at(0)), Ok(Step::FetchKeys));
    let theirs = World::new(4).keys.key_set();
    session.handle_key_set(at(0), theirs.clone());
    let (expected, found) = (set.pin(), theirs.pin());
    let error = step(&mut session, &mut world, at(0));
    assert_eq!(error, Err(SessionError::Identity { expected, found }));
}

/// REPLAY-5, TIME-1: the time that a gateway tells is that of requests. It makes no record valid, nor invalid.
#[test]
fn the_time_that_a_gateway_tells_judges_no_record() {
    // The gateway is half an hour behind; its key ends a quarter of an hour from now, by the client's clock.
    let mut world = World::new(5);
    let trust = Trust::Pin(world.keys.key_set().pin());
    let now = at(24 * HOUR - HOUR / 4);
    world.now = at(24 * HOUR - 3 * HOUR / 4).unix;
    let mut first = session(&world, trust, GatewayState::default(), now);
    assert_eq!(step(&mut first, &mut world, now), Ok(Step::FetchKeys));
    first.handle_key_set(now, world.keys.key_set());
    assert_eq!(step(&mut first, &mut world, now), Ok(Step::Send));
    answer(&mut first, &mut world, now);
    assert_eq!(
        step(&mut first, &mut world, now),
        Ok(Step::Send),
        "once more"
    );
    let (_, request) = world.deliver(&sent(&mut first));
    assert_eq!(
        request.head().time,
        world.now,
        "by the clock that it was told"
    );

    // Half an hour later the key is valid by the gateway's clock alone.
    let later = at(24 * HOUR + HOUR / 4);
    let known = first.gateway().clone();
    let mut next = session(&world, trust, known, later);
    assert_eq!(step(&mut next, &mut world, later), Ok(Step::FetchKeys));
    next.handle_key_set(later, world.keys.key_set());
    let error = step(&mut next, &mut world, later);
    assert_eq!(error, Err(SessionError::Keys(Malformed::KeyTime)));
}

/// REPLAY-5: a client without a clock is told one, which later turns out wrong; it is told again, and is not shut out.
#[test]
fn a_client_without_a_clock_follows_the_gateways() {
    let clockless = |seconds| Now {
        monotonic: Duration::from_secs(seconds),
        unix: UnixTime::UNKNOWN,
    };
    let mut world = World::new(6);
    let trust = Trust::Pin(world.keys.key_set().pin());
    // The gateway began three days behind.
    world.now = UnixTime::from_millis(NOW.as_millis() - 72 * HOUR);
    let mut first = session(&world, trust, GatewayState::default(), clockless(0));
    assert_eq!(
        step(&mut first, &mut world, clockless(0)),
        Ok(Step::FetchKeys)
    );
    first.handle_key_set(clockless(0), world.keys.key_set());
    assert_eq!(step(&mut first, &mut world, clockless(0)), Ok(Step::Send));
    answer(&mut first, &mut world, clockless(0));
    assert_eq!(step(&mut first, &mut world, clockless(0)), Ok(Step::Send));
    world.deliver(&sent(&mut first));

    // Its clock is set right, and its keys are other ones.
    world.now = at(36 * HOUR).unix;
    world
        .keys
        .rotate(world.now, &mut world.rng)
        .expect("seeded");
    let known = first.gateway().clone();
    let mut next = session(&world, trust, known, clockless(60));
    assert_eq!(step(&mut next, &mut world, clockless(60)), Ok(Step::Send));
    answer(&mut next, &mut world, clockless(60)); // REJECT(key)
    assert_eq!(
        step(&mut next, &mut world, clockless(60)),
        Ok(Step::FetchKeys)
    );
    next.handle_key_set(clockless(60), world.keys.key_set());
    assert_eq!(step(&mut next, &mut world, clockless(60)), Ok(Step::Send));
    answer(&mut next, &mut world, clockless(60)); // ERROR(time)
    assert_eq!(step(&mut next, &mut world, clockless(60)), Ok(Step::Send));
    let (_, request) = world.deliver(&sent(&mut next));
    assert_eq!(request.head().time, world.now);
}

/// ERROR(time) tells the time of its sealing (spec section 8.1), however long the rest of the request took.
#[test]
fn the_time_that_is_told_is_that_of_the_answer() {
    let mut world = World::new(7);
    let request = world.request(&[b'x'; 50_000]);
    let mut client = world.client(Default::default(), request, Default::default());
    let wire = drain_client(&mut client);
    world.now = at(HOUR).unix;
    let mut server = world.server(Default::default());
    world.feed_server(&mut server, &wire[..wire.len() - 1]);
    world.now = at(HOUR + 70_000).unix;
    world.feed_server(&mut server, &wire[wire.len() - 1..]);
    server.handle_eof(world.now);
    let answer = drain_server(&mut server);
    let mut rest = &answer[..];
    let told = loop {
        let count = client.handle_input(rest).expect("a refusal");
        rest = &rest[count..];
        match client.poll_event() {
            Some(ClientEvent::Error { code, gateway_time }) => break (code, gateway_time),
            Some(event) => panic!("{event:?}"),
            None => {}
        }
    };
    assert_eq!(told, (ErrorCode::Time, Some(world.now)));
}

/// Section 14: what travels sealed is not shown by `Debug`.
#[test]
fn debug_shows_nothing_of_a_request() {
    let world = World::new(8);
    let body = world.memory.copy_from(b"the-body").expect("memory");
    let mut request = Request::new("POST", "/v1/the-path?q=the-query", body);
    request.authorization = Some(world.memory.copy_from(b"the-key").expect("memory"));
    request.idempotency_key = Some("the-idempotency".into());
    request.headers = vec![("x-request-id".into(), "the-value".into())];
    let shown = format!("{request:?}");
    assert!(shown.contains("Request"), "{shown}");
    for secret in ["body\"", "path", "query", "the-"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
