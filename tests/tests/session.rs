//! The session: fetch, judge, seal, refusals, retries; with virtual time.

use std::collections::BTreeSet;
use std::time::Duration;

use sealwire_core::exchange::{ServerEvent, ServerOptions};
use sealwire_core::frame::{FrameHeader, HEADER_LEN};
use sealwire_core::head::ResponseHead;
use sealwire_core::keys::{GatewayKey, KeyRecord, KeySet, Pin, SignedRecord};
use sealwire_core::padding::Padding;
use sealwire_core::record::OpenHeader;
use sealwire_core::session::{
    ClientSession, Failure, GatewayState, SessionConfig, SessionError, SessionEvent, Step, Trust,
};
use sealwire_core::{ErrorCode, Malformed, Now, RejectCode, Suite, UnixTime};
use sealwire_tests::pair::{NOW, World, drain_server};

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
    session.judge(true);
    session.handle_key_set(now(0), set.clone());
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
    session.judge(true);
    session.handle_key_set(now(0), set.clone());
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Judge));
    session.handle_key_set(now(0), set);
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Judge));
    session.judge(true);
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
    assert_eq!(session.poll_transmit(&mut [0; 4096]), Ok(0));
}

#[test]
fn a_reject_leads_to_one_fetch_and_no_more() {
    // ERR-3, KEY-1
    let mut world = World::new(3);
    let set = world.keys.key_set();
    let mut session = session(&world, Trust::Pin(set.pin()));
    let reject = [0x05, 0, 0, 1, RejectCode::Key.to_u8()];
    let (mut encs, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..2 {
        assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
        session.handle_key_set(now(0), set.clone());
        assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Send));
        let wire = sent(&mut session);
        encs.insert(enc(&wire).to_vec());
        // One key, and still each try is sealed afresh: a gateway takes both.
        let (_, request) = world.deliver(&wire);
        ids.insert(request.head().exchange_id);
        reply(&mut session, &mut world, &reject);
    }
    assert_eq!((encs.len(), ids.len()), (2, 2));
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

/// ORDER-8: a piece of the answer begins the idle time anew, a cover frame does not, however many come.
#[test]
fn cover_frames_do_not_reset_the_idle_timer() {
    let mut world = World::new(10);
    let set = world.keys.key_set();
    let mut session = session(&world, Trust::Pin(set.pin()));
    let idle = SessionConfig::new(Trust::Ask).timeouts.idle;
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
    session.handle_key_set(now(0), set);
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Send));
    let (mut server, request) = world.deliver(&sent(&mut session));
    let head = ResponseHead::new(200, request.head().exchange_id);
    let padding = Padding::Uniform { frame: 64 };
    server.respond(&head, padding).expect("waits");
    for _ in 0..127 {
        server.send_data(b"t").expect("under way");
    }
    server.finish().expect("under way");
    // ACCEPT; HEAD and 127 pieces; what makes these and END, which are 129, 144 frames; END.
    let answer = drain_server(&mut server);
    let mut rest = &answer[..];
    let mut next = || {
        let header = FrameHeader::parse(*rest.first_chunk()?).expect("its own");
        let (frame, after) = rest.split_at(header.size());
        rest = after;
        Some(frame)
    };
    let mut clock = 0;
    for frame in next().into_iter().chain((0..128).map_while(|_| next())) {
        clock += 1;
        let count = session.handle_input(now(clock), frame, &mut world.rng);
        assert_eq!(count, frame.len());
        let shown = session.poll_event(now(clock), &mut world.rng).is_some();
        assert_eq!(shown, clock > 1, "ACCEPT shows nothing, each piece does");
    }
    let due = Duration::from_secs(clock) + idle;
    assert_eq!(session.poll_timeout(), Some(due));
    let last = due.as_secs() - 1;
    for at in last - 14..=last {
        let frame = next().expect("a cover frame");
        let count = session.handle_input(now(at), frame, &mut world.rng);
        assert_eq!(count, frame.len());
        assert_eq!(session.poll_event(now(at), &mut world.rng), None);
        assert_eq!(session.poll_timeout(), Some(due));
        session.handle_timeout(now(at));
        assert_eq!(session.step(now(at), &mut world.rng), Ok(Step::Send));
    }
    assert_eq!(next().map(|frame| frame[0]), Some(0x12), "END is next");
    session.handle_timeout(now(due.as_secs()));
    let over = session.step(now(due.as_secs()), &mut world.rng);
    let what = "the next piece of the answer";
    assert_eq!(over, Err(SessionError::Timeout { what }));
}

/// What the session sends, as a gateway gets it.
fn sent(session: &mut ClientSession) -> Vec<u8> {
    let (mut wire, mut out) = (Vec::new(), [0; 4096]);
    while let count @ 1.. = session.poll_transmit(&mut out).expect("memory") {
        wire.extend_from_slice(&out[..count]);
    }
    wire
}

/// The encapsulated key in the OPEN of what was sent.
fn enc(wire: &[u8]) -> &[u8] {
    &wire[HEADER_LEN + OpenHeader::LEN..][..Suite::P256.enc_len()]
}

/// A gateway's answer to what was sent, and what it read in the head.
fn serve(world: &mut World, wire: &[u8], clock: UnixTime) -> (Vec<u8>, Option<(UnixTime, String)>) {
    world.now = clock;
    let mut server = world.server(ServerOptions::default());
    world.feed_server(&mut server, wire);
    server.handle_eof(clock);
    let mut told = None;
    if server.poll_event() == Some(ServerEvent::Request) {
        let request = server.take_request().expect("announced");
        let head = request.head();
        let key = head.idempotency_key.expect("in every try").to_owned();
        told = Some((head.time, key));
        let head = ResponseHead::new(200, head.exchange_id);
        server.respond(&head, Padding::None).expect("waits");
        server.finish().expect("under way");
    }
    (drain_server(&mut server), told)
}

/// Feeds an answer and says whether it was whole.
fn hear(session: &mut ClientSession, world: &mut World, now: Now, wire: &[u8]) -> bool {
    let (mut rest, mut complete) = (wire, false);
    while !rest.is_empty() && session.is_sending() {
        let count = session.handle_input(now, rest, &mut world.rng);
        rest = &rest[count..];
        while let Some(event) = session.poll_event(now, &mut world.rng) {
            complete |= matches!(event, SessionEvent::Complete(_));
        }
    }
    complete
}

/// REPLAY-5: the gateway's clock is learned from ERROR(time), kept, and one more request is sealed; with the key of the first
/// (REPLAY-6).
#[test]
fn the_gateways_clock_is_learned_once() {
    let mut world = World::new(6);
    let set = world.keys.key_set();
    let mut session = session(&world, Trust::Pin(set.pin()));
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
    session.handle_key_set(now(0), set.clone());
    // An hour ahead of the client, for which the key set is still good.
    let ahead = UnixTime::from_millis(NOW.as_millis() + 3_600_000);
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Send));
    let first = sent(&mut session);
    let (answer, told) = serve(&mut world, &first, ahead);
    assert_eq!(told, None);
    assert!(!hear(&mut session, &mut world, now(0), &answer));
    // At once, without a wait: the client was wrong, not the gateway busy. Ten seconds later it still counts from that clock.
    assert_eq!(session.step(now(10), &mut world.rng), Ok(Step::Send));
    let second = sent(&mut session);
    assert_ne!(first, second, "a ciphertext is never sent twice");
    let then = UnixTime::from_millis(ahead.as_millis() + 10_000);
    let (answer, told) = serve(&mut world, &second, then);
    let (time, key) = told.expect("taken");
    assert_eq!(time, then);
    assert!(hear(&mut session, &mut world, now(10), &answer));
    session.handle_eof(now(10), &mut world.rng);

    // Kept for the next session; its own idempotency key is another.
    let gateway = session.gateway().clone();
    let config = SessionConfig::new(Trust::Pin(set.pin()));
    let request = world.request(b"{}");
    let mut next = ClientSession::new(&world.memory, config, gateway, request, now(20));
    assert_eq!(next.step(now(20), &mut world.rng), Ok(Step::Send));
    let later = UnixTime::from_millis(ahead.as_millis() + 20_000);
    let wire = sent(&mut next);
    let (_, told) = serve(&mut world, &wire, later);
    let (time, other) = told.expect("taken at the first try");
    assert_eq!(time, later);
    assert_ne!(key, other);

    // A gateway that always says so is asked twice, not for ever.
    let far = UnixTime::from_millis(ahead.as_millis() + 9_000_000);
    let further = UnixTime::from_millis(far.as_millis() + 9_000_000);
    let mut session = self::session(&world, Trust::Pin(set.pin()));
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
    session.handle_key_set(now(0), set);
    for clock in [far, further] {
        assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Send));
        let wire = sent(&mut session);
        let (answer, _) = serve(&mut world, &wire, clock);
        hear(&mut session, &mut world, now(0), &answer);
    }
    let refused = SessionError::Refused {
        code: ErrorCode::Time,
        answer_begun: false,
    };
    assert_eq!(session.step(now(0), &mut world.rng), Err(refused));
}

/// REPLAY-6, the client's half: one idempotency key from the first try on, whatever the next one is for; and nothing else is the
/// same (KEY-1).
#[test]
fn every_try_has_the_same_idempotency_key() {
    let mut world = World::new(7);
    let set = world.keys.key_set();
    let mut session = session(&world, Trust::Pin(set.pin()));
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
    session.handle_key_set(now(0), set.clone());
    let (mut keys, mut encs) = (Vec::new(), BTreeSet::new());
    let mut clock = 0;
    for lost in 0..4 {
        assert_eq!(session.step(now(clock), &mut world.rng), Ok(Step::Send));
        let wire = sent(&mut session);
        encs.insert(enc(&wire).to_vec());
        let (_, told) = serve(&mut world, &wire, NOW);
        keys.push(told.expect("a new request each time").1);
        match lost {
            0 => session.handle_failure(now(clock), Failure::Reset, &mut world.rng),
            1 => {
                hear(&mut session, &mut world, now(clock), &[0x05, 0, 0, 1, 3]);
                assert_eq!(
                    session.step(now(clock), &mut world.rng),
                    Ok(Step::FetchKeys)
                );
                session.handle_key_set(now(clock), set.clone());
            }
            _ => session.handle_eof(now(clock), &mut world.rng),
        }
        clock += 100;
        if let Ok(Step::Wait(until)) = session.step(now(clock), &mut world.rng) {
            clock = until.as_secs() + 1;
        }
    }
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_eq!(encs.len(), 4);
    // One that the caller chose is kept.
    let mut request = world.request(b"{}");
    request.idempotency_key = Some("mine".into());
    let gateway = session.gateway().clone();
    let config = SessionConfig::new(Trust::Pin(set.pin()));
    let mut session = ClientSession::new(&world.memory, config, gateway, request, now(0));
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Send));
    let wire = sent(&mut session);
    let (_, told) = serve(&mut world, &wire, NOW);
    assert_eq!(told.expect("taken").1, "mine");
}

/// SUITE-1: a session seals by its own suite, though an earlier one brought a key of the other, and the gateway has no other now.
#[test]
fn a_key_of_another_suite_is_not_used() {
    let mut world = World::new(9);
    let trust = Trust::Pin(world.keys.key_set().pin());
    let of = |suite| SessionConfig {
        suite,
        ..SessionConfig::new(trust)
    };
    let begin = |world: &World, suite, known| {
        let request = world.request(b"{}");
        ClientSession::new(&world.memory, of(suite), known, request, now(0))
    };
    let set = world.keys.key_set();
    for (first, second) in [
        (Suite::P256, Suite::MlKem768P256),
        (Suite::MlKem768P256, Suite::P256),
    ] {
        let mut session = begin(&world, first, GatewayState::default());
        assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
        session.handle_key_set(now(0), set.clone());
        assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Send));
        let known = session.gateway().clone();
        assert_eq!(known.key().map(GatewayKey::suite), Some(first));

        let mut session = begin(&world, second, known);
        assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
        let is_first = |record: &&SignedRecord| {
            KeyRecord::parse(&record.record).expect("its own").suite == Some(first)
        };
        let records = set.records().iter().filter(is_first).cloned().collect();
        let only_first = KeySet::new(*set.identity(), records).expect("a few");
        session.handle_key_set(now(0), only_first);
        let error = session.step(now(0), &mut world.rng);
        assert_eq!(error, Err(SessionError::Keys(Malformed::NoKey)));
    }
}

/// TRUST-1, TRUST-2: a key that an earlier session took with less trust is not used by one that demands more.
#[test]
fn trust_is_not_inherited() {
    let mut world = World::new(8);
    let set = world.keys.key_set();
    let learned = |world: &mut World, trust| {
        let mut session = session(world, trust);
        assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
        session.handle_key_set(now(0), world.keys.key_set());
        if session.step(now(0), &mut world.rng) == Ok(Step::Judge) {
            session.judge(true);
        }
        assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Send));
        session.gateway().clone()
    };
    let step = |world: &mut World, gateway: &GatewayState, trust| {
        let (config, request) = (SessionConfig::new(trust), world.request(b"{}"));
        let mut session =
            ClientSession::new(&world.memory, config, gateway.clone(), request, now(0));
        let first = session.step(now(0), &mut world.rng);
        if first == Ok(Step::FetchKeys) {
            session.handle_key_set(now(0), world.keys.key_set());
            return session.step(now(0), &mut world.rng);
        }
        first
    };
    let other = Pin::from_bytes([9; 32]);
    let wrong = Err(SessionError::Identity {
        expected: other,
        found: set.pin(),
    });
    let any = learned(&mut world, Trust::DangerousAny);
    assert_eq!(step(&mut world, &any, Trust::DangerousAny), Ok(Step::Send));
    assert_eq!(step(&mut world, &any, Trust::Ask), Ok(Step::Judge));
    assert_eq!(step(&mut world, &any, Trust::AskEachKey), Ok(Step::Judge));
    assert_eq!(
        step(&mut world, &any, Trust::Pin(set.pin())),
        Ok(Step::Send)
    );
    assert_eq!(step(&mut world, &any, Trust::Pin(other)), wrong);
    let asked = learned(&mut world, Trust::Ask);
    assert_eq!(step(&mut world, &asked, Trust::Ask), Ok(Step::Send));
    assert_eq!(step(&mut world, &asked, Trust::AskEachKey), Ok(Step::Judge));
    assert_eq!(step(&mut world, &asked, Trust::Pin(other)), wrong);
    let each = learned(&mut world, Trust::AskEachKey);
    assert_eq!(step(&mut world, &each, Trust::AskEachKey), Ok(Step::Send));
}

/// TRUST-4: evidence is judged for the record that is used, again after each rotation, and before anything is sealed.
#[test]
fn evidence_is_judged_for_each_record() {
    let mut world = World::new(9);
    // Stands for a quote: it commits to the record's hash, and nothing else does.
    world.keys.attest(|_, hash| Some(hash.to_vec()));
    let verify = |session: &ClientSession| {
        let signed = session.candidate().expect("to be judged");
        signed.evidence.as_deref() == Some(&signed.hash()[..])
    };
    let mut session = session(&world, Trust::AskEachKey);
    assert_eq!(session.candidate(), None);
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::FetchKeys));
    // By JSON, as over HTTP.
    let json = world.keys.key_set().to_json();
    session.handle_key_set(now(0), KeySet::from_json(json.as_bytes()).expect("its own"));
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Judge));
    assert!(verify(&session));
    session.judge(true);
    assert_eq!(session.step(now(0), &mut world.rng), Ok(Step::Send));

    // The gateway rotates; the client hears REJECT(key), fetches, and judges the new record, whose identity it knows.
    let later = UnixTime::from_millis(NOW.as_millis() + 13 * 3_600_000);
    world.keys.rotate(later, &mut world.rng).expect("seeded");
    let gateway = session.gateway().clone();
    for attested in [false, true] {
        if attested {
            world.keys.attest(|_, hash| Some(hash.to_vec()));
        }
        let at = Now {
            monotonic: Duration::from_secs(13 * 3600),
            unix: later,
        };
        let (config, request) = (SessionConfig::new(Trust::AskEachKey), world.request(b"{}"));
        let mut next = ClientSession::new(&world.memory, config, gateway.clone(), request, at);
        assert_eq!(next.step(at, &mut world.rng), Ok(Step::Send));
        sent(&mut next);
        hear(&mut next, &mut world, at, &[0x05, 0, 0, 1, 3]);
        assert_eq!(next.step(at, &mut world.rng), Ok(Step::FetchKeys));
        next.handle_key_set(at, world.keys.key_set());
        assert_eq!(next.step(at, &mut world.rng), Ok(Step::Judge));
        let signed = next.candidate().expect("to be judged");
        let good = signed.evidence.as_deref() == Some(&signed.hash()[..]);
        assert_eq!(good, attested);
        next.judge(good);
        match next.step(at, &mut world.rng) {
            Ok(Step::Send) => assert!(attested),
            Err(SessionError::Untrusted { .. }) => assert!(!attested),
            other => panic!("{other:?}"),
        }
    }
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
