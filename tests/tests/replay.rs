//! The replay window, its store, and what input that says nothing can cost (spec sections 10 and 11).

use std::sync::{Arc, Mutex, PoisonError};

use sealwire_core::exchange::{
    ClientOptions, Limits, ServerContext, ServerEvent, ServerExchange, ServerOptions,
};
use sealwire_core::frame::CONTENT_OFFSET;
use sealwire_core::padding::Padding;
use sealwire_core::record::{OpenHeader, RequestSealer};
use sealwire_core::replay::{Admission, MemoryReplayStore, ReplayStore};
use sealwire_core::{Environment, Error, ErrorCode, KEY_BLOCK_LEN, PeerError, Suite, UnixTime};
use sealwire_tests::pair::{NOW, Seen, World, drain_client, drain_server, feed_client};

fn at(millis: u64) -> UnixTime {
    UnixTime::from_millis(NOW.as_millis() + millis)
}

/// Carries a new request to a gateway with this store and says what the client heard: nothing if it was taken.
fn ask(world: &mut World, store: &mut dyn ReplayStore) -> Option<ErrorCode> {
    let request = world.request(b"{}");
    let mut client = world.client(Suite::P256, request, ClientOptions::default());
    let wire = drain_client(&mut client);
    let mut server = world.server(ServerOptions::default());
    deliver(world, &mut server, &wire, store);
    let mut seen = Seen::default();
    feed_client(&mut client, &drain_server(&mut server), &mut seen).expect("well-formed");
    seen.error
}

fn deliver(world: &World, server: &mut ServerExchange, wire: &[u8], store: &mut dyn ReplayStore) {
    let mut rest = wire;
    while !rest.is_empty() {
        let mut context = ServerContext {
            now: world.now,
            keys: &world.keys,
            replay: store,
        };
        let consumed = server.handle_input(rest, &mut context);
        rest = &rest[consumed..];
        if server.poll_event().is_none() && consumed == 0 {
            break;
        }
    }
    server.handle_eof(world.now);
}

/// REPLAY-3: a full store refuses, until what it holds has expired; it never forgets to make room.
#[test]
fn a_full_store_is_busy() {
    let mut world = World::new(21);
    let mut store = MemoryReplayStore::new(2);
    assert_eq!(ask(&mut world, &mut store), None);
    assert_eq!(ask(&mut world, &mut store), None);
    for _ in 0..3 {
        assert_eq!(ask(&mut world, &mut store), Some(ErrorCode::Busy));
    }
    world.now = at(300_000);
    assert_eq!(ask(&mut world, &mut store), Some(ErrorCode::Busy));
    world.now = at(300_001);
    assert_eq!(ask(&mut world, &mut store), None);
    assert_eq!(store.len(), 1);
}

/// The host is told why a request was not admitted, in words of its own: a store that is full is not the client's fault.
#[test]
fn the_host_is_told_why() {
    let mut world = World::new(23);
    let request = world.request(b"{}");
    let mut client = world.client(Suite::P256, request, ClientOptions::default());
    let wire = drain_client(&mut client);
    let mut reason = |now, store: &mut dyn ReplayStore| {
        world.now = now;
        let mut server = world.server(ServerOptions::default());
        let mut context = ServerContext {
            now,
            keys: &world.keys,
            replay: store,
        };
        server.handle_input(&wire, &mut context);
        server.poll_event()
    };
    let not_admitted = |code| Some(ServerEvent::Refused(PeerError::NotAdmitted(code).into()));
    let mut store = MemoryReplayStore::new(1);
    assert_eq!(
        reason(at(300_001), &mut store),
        not_admitted(ErrorCode::Time)
    );
    let mut full = MemoryReplayStore::new(0);
    let busy = Error::Environment(Environment::ReplayWindow);
    assert_eq!(reason(NOW, &mut full), Some(ServerEvent::Refused(busy)));
    reason(NOW, &mut store);
    assert_eq!(reason(NOW, &mut store), not_admitted(ErrorCode::Replay));
    let mut young = MemoryReplayStore::after_restart(1, NOW);
    assert_eq!(reason(NOW, &mut young), not_admitted(ErrorCode::Time));
}

/// REPLAY-2: what was admitted is remembered as long as its time is within the window, that moment included.
#[test]
fn remembered_for_as_long_as_it_would_be_taken() {
    let mut store = MemoryReplayStore::new(8);
    let mut admit = |now| store.admit(&[1; 32], at(0), at(300_000), now);
    assert_eq!(admit(at(0)), Admission::Admitted);
    assert_eq!(admit(at(1)), Admission::Replayed);
    assert_eq!(admit(at(300_000)), Admission::Replayed);
}

/// A clock that jumped ahead makes the store forget; once it is set back, what was forgotten must not be admitted again.
#[test]
fn a_clock_set_back_does_not_open_the_window() {
    let mut store = MemoryReplayStore::new(8);
    let mut admit = |hash, sent, now| store.admit(&[hash; 32], sent, at(300_000), now);
    assert_eq!(admit(1, at(0), at(0)), Admission::Admitted);
    assert_eq!(admit(2, at(900_000), at(900_000)), Admission::TooOld);
    let mut late = |hash, sent: UnixTime, now| {
        let expires = UnixTime::from_millis(sent.as_millis() + 300_000);
        store.admit(&[hash; 32], sent, expires, now)
    };
    assert_eq!(late(3, at(900_000), at(900_000)), Admission::Admitted);
    assert_eq!(late(1, at(0), at(0)), Admission::TooOld, "it was forgotten");
    assert_eq!(late(4, at(900_000), at(700_000)), Admission::Admitted);
}

/// REPLAY-7: the time is judged before the store is asked, and what was seen before the store is said to be full.
#[test]
fn reasons_have_an_order() {
    let mut world = World::new(27);
    let mut store = MemoryReplayStore::new(1);
    let request = world.request(b"{}");
    let mut client = world.client(Suite::P256, request, ClientOptions::default());
    let wire = drain_client(&mut client);
    let mut hear = |world: &mut World| {
        let mut server = world.server(ServerOptions::default());
        deliver(world, &mut server, &wire, &mut store);
        drain_server(&mut server)
    };
    assert_eq!(hear(&mut world), [0; 0], "taken");
    let replayed = hear(&mut world);
    world.now = at(300_001);
    let late = hear(&mut world);
    let mut codes = Vec::new();
    for answer in [replayed, late] {
        let mut twin = World::new(27);
        let request = twin.request(b"{}");
        let mut client = twin.client(Suite::P256, request, ClientOptions::default());
        drain_client(&mut client);
        let mut seen = Seen::default();
        feed_client(&mut client, &answer, &mut seen).expect("a refusal");
        codes.push(seen.error);
    }
    assert_eq!(codes, [Some(ErrorCode::Replay), Some(ErrorCode::Time)]);
}

/// REPLAY-4
#[test]
fn after_a_restart_old_times_are_refused() {
    let mut world = World::new(22);
    let mut store = MemoryReplayStore::after_restart(8, NOW);
    assert_eq!(ask(&mut world, &mut store), Some(ErrorCode::Time));
    world.now = at(299_999);
    assert_eq!(ask(&mut world, &mut store), Some(ErrorCode::Time));
    world.now = at(300_000);
    assert_eq!(ask(&mut world, &mut store), None);
}

/// Gateways that share keys share a store: a request that one has taken, the other refuses (REPLAY-2).
#[test]
fn two_gateways_share_a_store() {
    #[derive(Clone)]
    struct Shared(Arc<Mutex<MemoryReplayStore>>);
    impl ReplayStore for Shared {
        fn admit(
            &mut self,
            hash: &[u8; 32],
            sent: UnixTime,
            expires: UnixTime,
            now: UnixTime,
        ) -> Admission {
            let mut store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            store.admit(hash, sent, expires, now)
        }
    }
    let mut world = World::new(23);
    let request = world.request(b"{}");
    let mut client = world.client(Suite::P256, request, ClientOptions::default());
    let wire = drain_client(&mut client);
    let store = Shared(Arc::new(Mutex::new(MemoryReplayStore::new(8))));
    let mut stores = [store.clone(), store];
    let answers: Vec<bool> = stores
        .iter_mut()
        .map(|store| {
            let mut server = world.server(ServerOptions::default());
            deliver(&world, &mut server, &wire, store);
            server.poll_event() == Some(ServerEvent::Request)
        })
        .collect();
    assert_eq!(answers, [true, false]);
}

/// KEY-2: each ACCEPT carries 32 bytes drawn for it; no source, no exchange.
#[test]
fn every_accept_has_a_nonce_of_its_own() {
    let mut world = World::new(24);
    let mut nonces = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let request = world.request(b"{}");
        let mut client = world.client(Suite::P256, request, ClientOptions::default());
        let wire = drain_client(&mut client);
        let mut drawn = [0; 32];
        rand_core::TryRng::try_fill_bytes(&mut world.rng.clone(), &mut drawn).expect("seeded");
        let (mut server, _) = world.deliver(&wire);
        let wire = world.answer(&mut server, *client.exchange_id(), &[b"a"], Padding::None);
        assert_eq!(wire[..4], [0x04, 0, 0, 32]);
        assert_eq!(wire[4..36], drawn, "not what was drawn for this exchange");
        assert!(nonces.insert(wire[4..36].to_vec()), "a nonce twice");
    }

    struct Broken;
    impl rand_core::TryRng for Broken {
        type Error = std::fmt::Error;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Err(std::fmt::Error)
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Err(std::fmt::Error)
        }
        fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Self::Error> {
            Err(std::fmt::Error)
        }
    }
    impl rand_core::TryCryptoRng for Broken {}
    let made = ServerExchange::new(&world.memory, ServerOptions::default(), &mut Broken);
    assert!(matches!(made.err(), Some(Error::Environment(_))));
}

/// Runs in a thread whose stack would not bear a call for each frame.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(512 * 1024);
    let result = thread.spawn(test).expect("a thread").join();
    result.expect("no overflow");
}

/// LIMIT-2: a hundred thousand frames without content end at the limit on wire bytes, one after the other, and take no memory.
#[test]
fn cover_frames_are_bounded_work() {
    on_a_small_stack(|| {
        let mut world = World::new(25);
        let key = world.gateway_key(Suite::P256);
        let header = OpenHeader::new(Suite::P256, key.key_id());
        let set = world.keys.key_set();
        let public = set
            .records()
            .iter()
            .map(|signed| sealwire_core::keys::KeyRecord::parse(&signed.record).expect("its own"))
            .find(|record| record.suite == Some(Suite::P256))
            .expect("offered")
            .public_key
            .to_vec();
        let (mut seed, mut enc, mut block) = ([5; 320], [0; 65], [0; KEY_BLOCK_LEN]);
        let mut sealer = RequestSealer::new(&header, &public, &mut seed, &mut enc, &mut block)
            .expect("a good key");
        let mut wire = vec![0x03, 0, 0, 80];
        wire.extend(header.to_bytes());
        wire.extend(enc);
        let mut frame = [0; 512];
        let head =
            sealwire_core::head::RequestHead::new("POST", "/v1/chat/completions", [1; 16], NOW);
        let len = head.encode(&mut frame[CONTENT_OFFSET..]).expect("fits");
        sealer.seal_head(&mut frame, len, 512).expect("fits");
        wire.extend(frame);
        let limit = 22 * 100_000;
        while wire.len() < limit + 22 {
            let mut cover = [0; 22];
            sealer.seal_data(&mut cover, 0, 22).expect("fits");
            wire.extend(cover);
        }
        let options = ServerOptions {
            request: Limits {
                wire: limit as u64,
                ..Limits::REQUEST
            },
            ..ServerOptions::default()
        };
        let mut server = world.server(options);
        let events = world.feed_server(&mut server, &wire);
        assert_eq!(
            events,
            [ServerEvent::Refused(Error::Peer(PeerError::TooLarge {
                what: "message with its padding",
                limit: limit as u64,
            }))]
        );
        assert!(
            server.buffered() <= 2048,
            "{} bytes for nothing",
            server.buffered()
        );
    });
}

/// LIMIT-2: nor does the depth of a body's JSON reach the stack.
#[test]
fn nesting_is_refused_not_followed() {
    on_a_small_stack(|| {
        let deep = "[".repeat(1_000_000);
        assert!(sealwire_core::chat::json::Json::parse(&deep).is_err());
    });
}
