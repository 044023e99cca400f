//! The session: fetch, judge, seal, refusals, retries; with virtual time.

use std::time::Duration;

use sealwire_core::keys::Pin;
use sealwire_core::session::{
    ClientSession, Failure, GatewayState, SessionConfig, SessionError, Step, Trust,
};
use sealwire_core::{Now, RejectCode};
use sealwire_tests::pair::{NOW, World};

fn now(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        unix: NOW,
    }
}

fn session(world: &World, trust: Trust) -> ClientSession {
    let request = world.request(b"{}");
    ClientSession::new(
        &world.memory,
        SessionConfig::new(trust),
        GatewayState::default(),
        request,
        now(0),
    )
}

/// Drains what the session sends and puts a reply in its way.
fn reply(session: &mut ClientSession, world: &mut World, wire: &[u8]) {
    let mut out = [0; 4096];
    while session.poll_transmit(&mut out).expect("memory") > 0 {}
    session.handle_input(now(0), wire, &mut world.rng);
    assert!(session.poll_event(now(0), &mut world.rng).is_none());
}

#[test]
fn answers_out_of_turn_lose_nothing() {
    let mut world = World::new(1);
    let set = world.keys.key_set();
    let mut session = session(&world, Trust::Ask);
    session.judge(now(0), true);
    session.handle_key_set(now(0), set.clone());
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
    session.judge(now(0), true);
    session.handle_key_set(now(0), set.clone());
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Judge));
    session.handle_key_set(now(0), set);
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Judge));
    session.judge(now(0), true);
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Send));
}

#[test]
fn another_identity_than_the_pinned_one_stops_before_anything_is_sent() {
    // TRUST-1, TRUST-2
    let mut world = World::new(2);
    let expected = Pin::from_bytes([9; 32]);
    let mut session = session(&world, Trust::Pin(expected));
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
    let set = world.keys.key_set();
    let found = set.pin();
    session.handle_key_set(now(0), set);
    assert_eq!(
        session.step(now(0), &mut world.rng),
        Err(SessionError::Identity { expected, found })
    );
}

#[test]
fn a_reject_leads_to_one_fetch_and_no_more() {
    // ERR-3, KEY-1
    let mut world = World::new(3);
    let set = world.keys.key_set();
    let mut session = session(&world, Trust::Pin(set.pin()));
    let reject = [0x05, 0, 0, 1, RejectCode::Key.to_u8()];
    for _ in 0..2 {
        assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
        session.handle_key_set(now(0), set.clone());
        assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Send));
        reply(&mut session, &mut world, &reject);
    }
    let error = session.step(now(0), &mut world.rng);
    assert_eq!(error, Err(SessionError::Rejected(RejectCode::Key)));
}

#[test]
fn a_broken_connection_is_tried_again_after_a_growing_wait() {
    let mut world = World::new(4);
    let set = world.keys.key_set();
    let mut session = session(&world, Trust::Pin(set.pin()));
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
    session.handle_key_set(now(0), set);
    let mut clock = 0;
    for base in [1000, 2000] {
        assert_eq!(session.step(now(clock), &mut world.rng), Ok(Step::Send));
        session.handle_failure(now(clock), Failure::Reset, &mut world.rng);
        let Ok(Step::Wait(until)) = session.step(now(clock), &mut world.rng) else {
            panic!("no wait")
        };
        let wait = until - Duration::from_secs(clock);
        assert!(wait >= Duration::from_millis(base / 2) && wait <= Duration::from_millis(base));
        clock += 2;
    }
    assert_eq!(session.step(now(clock), &mut world.rng), Ok(Step::Send));
    session.handle_failure(now(clock), Failure::Reset, &mut world.rng);
    let error = session.step(now(clock), &mut world.rng);
    assert_eq!(error, Err(SessionError::Connection(Failure::Reset)));
}

#[test]
fn a_timeout_ends_it() {
    let mut world = World::new(5);
    let set = world.keys.key_set();
    let mut session = session(&world, Trust::Pin(set.pin()));
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
    let due = session.poll_timeout().expect("waiting");
    session.handle_timeout(now(due.as_secs()));
    let over = session.step(now(due.as_secs()), &mut world.rng);
    assert!(matches!(over, Err(SessionError::Timeout { .. })));
}

#[test]
fn the_keys_may_take_longer_than_the_connection() {
    let mut world = World::new(6);
    let set = world.keys.key_set();
    let mut session = session(&world, Trust::Pin(set.pin()));
    let timeouts = SessionConfig::new(Trust::Ask).timeouts;
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
    assert_eq!(session.poll_timeout(), Some(timeouts.connect));
    session.handle_connected(now(1));
    let due = Duration::from_secs(1) + timeouts.idle;
    assert_eq!(session.poll_timeout(), Some(due));
    session.handle_timeout(now(due.as_secs()));
    let over = session.step(now(due.as_secs()), &mut world.rng);
    let what = "the gateway's keys";
    assert_eq!(over, Err(SessionError::Timeout { what }));
}

#[test]
fn why_there_is_a_wait_can_be_told() {
    let mut world = World::new(7);
    let set = world.keys.key_set();
    let mut session = session(&world, Trust::Pin(set.pin()));
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
    session.handle_key_set(now(0), set);
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Send));
    assert_eq!(session.retry_reason(), None);
    session.handle_reply(now(0), 429, false, Some(30), &mut world.rng);
    let until = Duration::from_secs(30);
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Wait(until)));
    let reason = SessionError::Intermediary {
        status: 429,
        retry_after: Some(30),
    };
    assert_eq!(session.retry_reason(), Some(&reason));
}
