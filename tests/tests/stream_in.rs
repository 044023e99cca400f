//! Requests that are given out while they arrive. Protocol: ORDER-2, ORDER-3, SEAL-3, SEAL-5.

use sealwire_core::exchange::{
    ClientExchange, ClientOptions, Limits, ServerEvent, ServerExchange, ServerOptions,
};
use sealwire_core::head::ResponseHead;
use sealwire_core::padding::Padding;
use sealwire_core::{ErrorCode, Suite};
use sealwire_tests::pair::{Seen, World, drain_client, drain_server, feed_client};

const OPTIONS: ServerOptions = ServerOptions {
    request: Limits::REQUEST,
    one_exchange: true,
    stream_requests: true,
};

fn body() -> Vec<u8> {
    (0..60_000u32).map(|n| (n % 251) as u8).collect()
}

/// A sealed request, and where each of its frames ends.
fn sealed(world: &mut World) -> (ClientExchange, Vec<u8>, Vec<usize>) {
    let request = world.request(&body());
    let options = ClientOptions {
        padding: Padding::None,
        ..ClientOptions::default()
    };
    let mut client = world.client(Suite::P256, request, options);
    let wire = drain_client(&mut client);
    let mut ends = Vec::new();
    let mut end = 0;
    while end < wire.len() {
        let length = [0, wire[end + 1], wire[end + 2], wire[end + 3]];
        end += 4 + u32::from_be_bytes(length) as usize;
        ends.push(end);
    }
    (client, wire, ends)
}

/// Feeds bytes in small parts, and adds to what was given out.
fn feed(
    world: &mut World,
    server: &mut ServerExchange,
    wire: &[u8],
    given: &mut Vec<u8>,
) -> Vec<ServerEvent> {
    let mut events = Vec::new();
    for part in wire.chunks(20) {
        let news = world.feed_server(server, part);
        if news.contains(&ServerEvent::Data) {
            given.extend_from_slice(server.take_data().expect("given out").expose());
        }
        events.extend(news);
    }
    events
}

#[test]
fn what_verified_is_given_out_at_once() {
    let mut world = World::new(1);
    let (mut client, wire, ends) = sealed(&mut world);
    let mut server = world.server(OPTIONS);
    let mut given = Vec::new();
    let mut begin = 0;
    for (frame, &end) in ends.iter().enumerate() {
        // Nothing of a frame before the last byte of its tag (SEAL-5).
        assert_eq!(
            feed(&mut world, &mut server, &wire[begin..end - 1], &mut given),
            []
        );
        let events = feed(&mut world, &mut server, &wire[end - 1..end], &mut given);
        match frame {
            0 => assert_eq!(events, []),
            1 => {
                assert_eq!(events, [ServerEvent::Head]);
                let request = server.take_request().expect("its head");
                assert_eq!(request.head().path, "/v1/chat/completions");
                assert!(request.body().is_empty());
                assert!(server.take_request().is_none(), "once");
            }
            last if last + 1 == ends.len() => assert_eq!(events, []),
            _ => assert_eq!(events, [ServerEvent::Data]),
        }
        begin = end;
        // Half-duplex: no answer before the request has ended.
        let head = ResponseHead::new(200, *client.exchange_id());
        if frame + 1 < ends.len() {
            assert!(server.respond(&head, Padding::None).is_err());
        }
    }
    assert_eq!(given, body());
    server.handle_eof(world.now);
    assert_eq!(server.poll_event(), Some(ServerEvent::Request));
    server.handle_eof(world.now);
    assert_eq!(server.poll_event(), None, "once");
    let answer = world.answer(&mut server, *client.exchange_id(), &[b"ok"], Padding::None);
    let mut seen = Seen::default();
    feed_client(&mut client, &answer, &mut seen).expect("an answer");
    assert_eq!((seen.status, seen.complete), (Some(200), true));
}

/// One changed byte in each frame, and a cut in each: what was given out is a true prefix, and the end is never told.
#[test]
fn a_later_failure_is_told_and_nothing_comes_after() {
    let mut world = World::new(2);
    let (_, _, ends) = sealed(&mut world);
    for frame in 0..ends.len() {
        for is_cut in [false, true] {
            let mut world = World::new(2);
            let (mut client, mut wire, ends) = sealed(&mut world);
            match is_cut {
                true => wire.truncate(ends[frame] - 1),
                false => wire[ends[frame] - 1] ^= 1,
            }
            let mut server = world.server(OPTIONS);
            let mut given = Vec::new();
            let mut events = feed(&mut world, &mut server, &wire, &mut given);
            server.handle_eof(world.now);
            events.extend(server.poll_event());
            let refused = |event: &ServerEvent| matches!(event, ServerEvent::Refused(_));
            assert!(events.last().is_some_and(refused), "{frame}: {events:?}");
            assert_eq!(events.iter().filter(|event| refused(event)).count(), 1);
            assert!(!events.contains(&ServerEvent::Request));
            assert!(body().starts_with(&given));
            assert_eq!(given.is_empty(), frame <= 2, "what verified before");
            assert!(server.take_request().is_none() && server.take_data().is_none());
            // And its client learns of it.
            let mut seen = Seen::default();
            feed_client(&mut client, &drain_server(&mut server), &mut seen).expect("a refusal");
            match seen.error {
                Some(code) => assert_eq!(code, ErrorCode::Malformed),
                None => assert!(seen.rejected.is_some()),
            }
        }
    }
}

#[test]
fn a_request_that_is_not_admitted_is_not_given_out() {
    let mut world = World::new(3);
    let (_, wire, _) = sealed(&mut world);
    let mut server = world.server(OPTIONS);
    let events = world.feed_server(&mut server, &wire);
    assert_eq!(events[0], ServerEvent::Head);
    let mut server = world.server(OPTIONS);
    let events = world.feed_server(&mut server, &wire);
    assert!(
        matches!(events[..], [ServerEvent::Refused(_)]),
        "{events:?}"
    );
    assert!(server.take_request().is_none());
}

#[test]
fn bytes_after_the_end_undo_it() {
    // ORDER-5
    let mut world = World::new(4);
    let (_, mut wire, _) = sealed(&mut world);
    wire.push(0);
    let mut server = world.server(OPTIONS);
    let events = world.feed_server(&mut server, &wire);
    assert!(
        matches!(events.last(), Some(ServerEvent::Refused(_))),
        "{events:?}"
    );
    server.handle_eof(world.now);
    assert_eq!(server.poll_event(), None);
}
