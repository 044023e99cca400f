//! A gateway that answers before the request has ended. Protocol: ORDER-3, ORDER-9.

use sealwire_core::exchange::{
    ClientExchange, ClientOptions, Limits, ServerEvent, ServerExchange, ServerOptions,
};
use sealwire_core::head::ResponseHead;
use sealwire_core::padding::Padding;
use sealwire_core::{ClientState, Error, ErrorCode, Malformed, PeerError, RejectCode, Suite};
use sealwire_tests::pair::{Seen, World, drain_client, drain_server, feed_client};

const SUITE: Suite = Suite::P256;

/// A client that has sent 20,000 bytes of its 100,000, and those.
fn half_sent(world: &mut World) -> (ClientExchange, Vec<u8>) {
    let request = world.request(&[b'x'; 100_000]);
    let mut client = world.client(SUITE, request, ClientOptions::default());
    let mut wire = vec![0; 20_000];
    assert_eq!(client.poll_transmit(&mut wire).expect("memory"), 20_000);
    assert_eq!(client.state(), ClientState::Sending);
    (client, wire)
}

#[test]
fn a_refusal_in_the_middle_of_the_request_is_heard() {
    for (content, at_deadline, expected) in [
        (1_000, true, ErrorCode::TooLarge),
        (1 << 20, true, ErrorCode::Timeout),
        (1 << 20, false, ErrorCode::Malformed),
    ] {
        let mut world = World::new(1);
        let (mut client, wire) = half_sent(&mut world);
        let mut server = world.server(ServerOptions {
            request: Limits {
                content,
                ..Limits::REQUEST
            },
            ..ServerOptions::default()
        });
        world.feed_server(&mut server, &wire);
        // It does not wait for the rest.
        match at_deadline {
            true => server.handle_deadline(world.now),
            false => server.handle_eof(world.now),
        }
        // ACCEPT and ERROR, of the size that every refusal before a response HEAD has (PAD-1).
        let answer = drain_server(&mut server);
        assert_eq!(answer.len(), 36 + 1024);
        let mut seen = Seen::default();
        feed_client(&mut client, &answer, &mut seen).expect("a refusal");
        assert_eq!(seen.error, Some(expected));
        client.handle_eof().expect("refused as it should be");
        assert!(drain_client(&mut client).is_empty(), "it stops sending");
        assert!(!client.can_continue(), "the stream is of no more use");
    }
}

#[test]
fn a_request_that_says_nothing_is_rejected_at_the_deadline() {
    // ORDER-4
    for bytes in [0, 100, 1_168] {
        let mut world = World::new(4);
        let (_, wire) = half_sent(&mut world);
        let mut server = world.server(ServerOptions::default());
        world.feed_server(&mut server, &wire[..bytes]);
        server.handle_deadline(world.now);
        let busy = [0x05, 0, 0, 1, RejectCode::Busy.to_u8()];
        let answer = drain_server(&mut server);
        match bytes {
            1_168 => assert_eq!((answer[0], answer.len()), (0x04, 36 + 1024)),
            _ => assert_eq!(answer, busy, "{bytes}"),
        }
    }
}

/// ORDER-4: between two exchanges there is no request to refuse, and a REJECT would be the answer to the next.
#[test]
fn an_idle_stream_has_no_deadline() {
    let mut world = World::new(5);
    let mut server = world.server(ServerOptions {
        one_exchange: false,
        ..ServerOptions::default()
    });
    server.handle_deadline(world.now);
    assert!(drain_server(&mut server).is_empty());
    world.feed_server(&mut server, &[0x03]);
    server.handle_deadline(world.now);
    assert_eq!(
        drain_server(&mut server),
        [0x05, 0, 0, 1, RejectCode::Busy.to_u8()]
    );
}

/// ORDER-4: a deadline is for a request that has not arrived. What comes of a timer that fires behind its END changes nothing, and the
/// stream carries on.
#[test]
fn a_whole_request_has_no_deadline() {
    let mut world = World::new(6);
    let raw = ServerOptions {
        one_exchange: false,
        ..ServerOptions::default()
    };
    for fires_at in 0..3 {
        let request = world.request(b"x");
        let mut client = world.client(Suite::P256, request, ClientOptions::default());
        let mut server = world.server(raw);
        let wire = drain_client(&mut client);
        assert_eq!(
            world.feed_server(&mut server, &wire),
            [ServerEvent::Request]
        );
        let fire = |at, server: &mut ServerExchange| {
            if at == fires_at {
                server.handle_deadline(world.now);
            }
        };
        fire(0, &mut server);
        let head = ResponseHead::new(200, *client.exchange_id());
        server.respond(&head, Padding::None).expect("waits");
        fire(1, &mut server);
        server.finish().expect("under way");
        let answer = drain_server(&mut server);
        fire(2, &mut server);
        let mut seen = Seen::default();
        feed_client(&mut client, &answer, &mut seen).expect("an answer");
        assert!(seen.complete && server.can_continue(), "{fires_at}");
    }
}

/// ORDER-9: a frame is received with its last byte. An ACCEPT that began to arrive before END had left, and ended after it, is that of an
/// answer.
#[test]
fn an_accept_that_ends_after_the_request_has_left() {
    let mut world = World::new(12);
    let request = world.request(b"x");
    let mut whole = world.client(SUITE, request, ClientOptions::default());
    let wire = drain_client(&mut whole);
    let (mut server, _) = world.deliver(&wire);
    let answer = world.answer(&mut server, *whole.exchange_id(), &[b"y"], Padding::None);
    for has_left in [true, false] {
        let mut world = World::new(12);
        let request = world.request(b"x");
        let mut client = world.client(SUITE, request, ClientOptions::default());
        let mut out = vec![0; wire.len() - 1];
        assert_eq!(client.poll_transmit(&mut out).expect("memory"), out.len());
        let mut seen = Seen::default();
        feed_client(&mut client, &answer[..35], &mut seen).expect("a part of ACCEPT");
        if has_left {
            assert_eq!(drain_client(&mut client), wire[out.len()..]);
        }
        let heard = feed_client(&mut client, &answer[35..], &mut seen);
        assert_eq!((heard.is_ok(), seen.complete), (has_left, has_left));
    }
}

#[test]
fn a_reject_in_the_middle_of_the_request_is_heard() {
    let mut world = World::new(2);
    let (mut client, _) = half_sent(&mut world);
    let mut seen = Seen::default();
    let reject = [0x05, 0, 0, 1, RejectCode::Suite.to_u8()];
    feed_client(&mut client, &reject, &mut seen).expect("a refusal");
    assert_eq!(seen.rejected, Some(RejectCode::Suite));
    assert!(drain_client(&mut client).is_empty());
    assert!(!client.can_continue());
}

#[test]
fn an_answer_in_the_middle_of_the_request_is_none() {
    // Two worlds of one seed make the same client twice: one that has sent everything, and is answered ...
    let mut world = World::new(3);
    let (mut whole, mut wire) = half_sent(&mut world);
    wire.extend(drain_client(&mut whole));
    let (mut server, request) = world.deliver(&wire);
    let id = request.head().exchange_id;
    let answer = world.answer(&mut server, id, &[b"ok"], Padding::None);
    feed_client(&mut whole, &answer, &mut Seen::default()).expect("in turn");
    // ... and one that has not.
    let (mut half, _) = half_sent(&mut World::new(3));
    let mut seen = Seen::default();
    let error = feed_client(&mut half, &answer, &mut seen).expect_err("out of turn");
    assert_eq!(error, Error::Peer(PeerError::Malformed(Malformed::Order)));
    assert_eq!(seen, Seen::default());
}
