//! One exchange, both ends in memory: what it carries, how it ends, and what a stream is worth afterwards.

use sealwire_core::exchange::{
    ClientExchange, ClientOptions, Limits, ServerContext, ServerEvent, ServerExchange,
    ServerOptions,
};
use sealwire_core::frame::FrameHeader;
use sealwire_core::head::{Direction, HeadersBuilder, ResponseHead};
use sealwire_core::keys::{Identity, KeyRing, RecordLimits};
use sealwire_core::padding::{Padding, padme};
use sealwire_core::{ClientState, Error, ErrorCode, Misuse, RejectCode, ServerState, Suite};
use sealwire_tests::pair::{NOW, Seen, World, drain_client, drain_server, feed_client};

fn raw() -> ServerOptions {
    ServerOptions {
        one_exchange: false,
        ..ServerOptions::default()
    }
}

/// Gives the gateway keys whose records say these limits.
fn promise(world: &mut World, limits: RecordLimits) {
    let identity = Identity::generate(&world.memory, &mut world.rng).expect("seeded");
    world.keys = KeyRing::new(identity, &[Suite::P256], limits, world.memory.clone());
    world.keys.rotate(NOW, &mut world.rng).expect("seeded");
}

fn raw_client(world: &mut World, body: &[u8]) -> ClientExchange {
    let options = ClientOptions {
        one_exchange: false,
        padding: Padding::None,
        ..ClientOptions::default()
    };
    let request = world.request(body);
    world.client(Suite::P256, request, options)
}

fn sizes(wire: &[u8]) -> Vec<(u8, usize)> {
    let mut sizes = Vec::new();
    let mut rest = wire;
    while let Some(header) = rest.first_chunk::<4>() {
        let header = FrameHeader::parse(*header).expect("well-formed");
        sizes.push((header.kind() as u8, header.size()));
        rest = &rest[header.size()..];
    }
    sizes
}

#[test]
fn a_chat_in_every_suite_and_padding() {
    for &suite in Suite::ALL {
        for padding in [
            Padding::None,
            Padding::Padme,
            Padding::Uniform { frame: 1024 },
        ] {
            let mut world = World::new(1);
            let body = vec![b'x'; 40_000];
            let options = ClientOptions {
                padding,
                ..ClientOptions::default()
            };
            let is_of_one_size = |wire: &[u8]| {
                let sizes = sizes(wire);
                let Padding::Uniform { frame } = padding else {
                    return;
                };
                assert!(
                    sizes[1..].iter().all(|(_, size)| *size == frame),
                    "{sizes:?}"
                );
                let count = sizes.len() as u64 - 1;
                assert_eq!(padme(count), count);
            };
            let request = world.request(&body);
            let mut client = world.client(suite, request, options);
            let wire = drain_client(&mut client);
            is_of_one_size(&wire);
            let (mut server, received) = world.deliver(&wire);
            assert_eq!(received.head().path, "/v1/chat/completions");
            assert_eq!(received.head().authorization, Some("Bearer sk-secret"));
            assert_eq!(received.body().expose(), body);
            let id = received.head().exchange_id;
            let wire = world.answer(&mut server, id, &[b"hello ", b"world"], padding);
            is_of_one_size(&wire);
            let mut seen = Seen::default();
            feed_client(&mut client, &wire, &mut seen).expect("accepted");
            client.handle_eof().expect("whole");
            assert_eq!(
                seen,
                Seen {
                    status: Some(200),
                    body: b"hello world".to_vec(),
                    complete: true,
                    ..Seen::default()
                }
            );
        }
    }
}

/// FRAME-4: a client that has little memory sends frames of the smallest size that every gateway takes.
#[test]
fn a_client_of_small_frames_sends_no_larger_ones() {
    let mut world = World::new(2);
    let body = vec![b'x'; 10_000];
    let request = world.request(&body);
    let options = ClientOptions {
        request_frame: 1024,
        ..ClientOptions::default()
    };
    let mut client = world.client(Suite::P256, request, options);
    let wire = drain_client(&mut client);
    let sealed = &sizes(&wire)[1..];
    assert!(sealed.iter().all(|(_, size)| *size <= 1024), "{sealed:?}");
    let (_, received) = world.deliver(&wire);
    assert_eq!(received.body().expose(), body);
}

/// FRAME-4: a client keeps to the frames that the record allows, though it would send larger ones.
#[test]
fn a_client_keeps_to_the_frames_of_the_record() {
    let mut world = World::new(18);
    let limits = RecordLimits {
        max_frame: 1024,
        ..RecordLimits::default()
    };
    promise(&mut world, limits);
    for padding in [
        Padding::None,
        Padding::Padme,
        Padding::Uniform { frame: 4096 },
    ] {
        let options = ClientOptions {
            padding,
            ..ClientOptions::default()
        };
        let request = world.request(&[b'x'; 10_000]);
        let mut client = world.client(Suite::P256, request, options);
        let sizes = sizes(&drain_client(&mut client));
        let largest = sizes[1..].iter().map(|(_, size)| *size).max();
        assert_eq!(largest, Some(1024), "{padding:?}");
    }
}

/// FRAME-4: every gateway takes frames of 1024, whatever its host says.
#[test]
fn a_gateway_takes_frames_of_1024() {
    let mut world = World::new(19);
    let options = ClientOptions {
        request_frame: 1024,
        ..ClientOptions::default()
    };
    let request = world.request(&[b'x'; 10_000]);
    let mut client = world.client(Suite::P256, request, options);
    let wire = drain_client(&mut client);
    assert!(sizes(&wire).iter().any(|(_, size)| *size == 1024));
    let mut server = world.server(ServerOptions {
        request: Limits {
            frame: 64,
            ..Limits::REQUEST
        },
        ..ServerOptions::default()
    });
    world.feed_server(&mut server, &wire);
    server.handle_eof(NOW);
    assert_eq!(server.poll_event(), Some(ServerEvent::Request));
}

/// REC-6: a HEAD that does not fit a frame is refused to the caller, before anything of the request can leave, and comes back.
#[test]
fn a_head_larger_than_a_frame_is_not_sent() {
    let mut world = World::new(20);
    let key = world.gateway_key(Suite::P256);
    let options = ClientOptions {
        request_frame: 1024,
        ..ClientOptions::default()
    };
    // What the rest of the HEAD takes is the same in both.
    for (len, is_sent) in [(900, true), (1000, false)] {
        let mut request = world.request(b"x");
        let value = vec![b'k'; len];
        request.authorization = Some(world.memory.copy_from(&value).expect("memory"));
        let made = ClientExchange::new(&world.memory, &key, request, NOW, options, &mut world.rng);
        assert_eq!(made.is_ok(), is_sent);
        if let Err((request, error)) = made {
            assert_eq!(request.authorization.map(|value| value.len()), Some(len));
            let what = "head";
            assert_eq!(error, Error::Misuse(Misuse::TooLarge { what, limit: 1002 }));
        }
    }
}

/// KEY-3: when the response is sealed its key is gone, and the buffer that it was sealed in, though the object lives on.
#[test]
fn a_response_that_is_sealed_holds_no_key() {
    for fails in [false, true] {
        let mut world = World::new(21);
        let request = world.request(b"x");
        let mut client = world.client(Suite::P256, request, ClientOptions::default());
        let (mut server, received) = world.deliver(&drain_client(&mut client));
        let head = ResponseHead::new(200, received.head().exchange_id);
        server.respond(&head, Padding::Padme).expect("waits");
        let ended = match fails {
            true => server.fail(ErrorCode::Upstream, NOW),
            false => server.finish(),
        };
        ended.expect("under way");
        let largest_frame = Limits::RESPONSE.frame;
        assert!(server.buffered() >= largest_frame);
        while server.pending_transmit() > 0 {
            server.poll_transmit(&mut [0; 10]);
        }
        assert!(server.is_finished());
        // What may be left is room for ciphertext.
        assert!(server.buffered() < largest_frame, "{}", server.buffered());
    }
}

/// REC-6: what a record does not promise to take is refused to the caller, and comes back.
#[test]
fn a_body_larger_than_the_gateway_takes_is_not_sent() {
    let mut world = World::new(15);
    let limits = RecordLimits {
        max_request: 1000,
        ..RecordLimits::default()
    };
    promise(&mut world, limits);
    let key = world.gateway_key(Suite::P256);
    for (len, is_sent) in [(1000, true), (1001, false)] {
        let request = world.request(&vec![b'x'; len]);
        let options = ClientOptions::default();
        let made = ClientExchange::new(&world.memory, &key, request, NOW, options, &mut world.rng);
        assert_eq!(made.is_ok(), is_sent);
        if let Err((request, error)) = made {
            assert_eq!(request.body.len(), len);
            let what = "request body";
            assert_eq!(error, Error::Misuse(Misuse::TooLarge { what, limit: 1000 }));
        }
    }
}

/// PAD-3: the refusal that no HEAD came before has one size, also for whoever asked for no padding.
#[test]
fn a_refusal_has_one_size() {
    for response_padding in [None, Some(false), Some(true)] {
        let mut world = World::new(16);
        let options = ClientOptions {
            response_padding,
            ..ClientOptions::default()
        };
        let request = world.request(b"x");
        let mut client = world.client(Suite::P256, request, options);
        let (mut server, _) = world.deliver(&drain_client(&mut client));
        server.fail(ErrorCode::Forbidden, NOW).expect("waits");
        assert_eq!(drain_server(&mut server).len(), 36 + 1024);
    }
}

/// ORDER-4: after a head that failed, and a CANCEL, nothing is sealed that needs a head before it.
#[test]
fn without_a_head_there_is_no_answer() {
    let mut world = World::new(17);
    let mut client = raw_client(&mut world, b"x");
    let wire = drain_client(&mut client);
    client.cancel().expect("END has left");
    let cancel = drain_client(&mut client);
    let mut server = world.server(raw());
    assert_eq!(
        world.feed_server(&mut server, &wire),
        [ServerEvent::Request]
    );
    let mut wrong = ResponseHead::new(200, [0; 16]);
    wrong.content_type = Some(" not text");
    assert!(server.respond(&wrong, Padding::None).is_err());
    assert_eq!(
        world.feed_server(&mut server, &cancel),
        [ServerEvent::Cancelled]
    );
    assert!(server.send_data(b"x").is_err());
    assert!(server.finish().is_err());
    server.fail(ErrorCode::Cancelled, NOW).expect("under way");
    assert_eq!(drain_server(&mut server).len(), 36 + 1024);
}

/// RAW-3: a CANCEL that is cut by the end of the response, at any byte, is read to its end, and the stream stays in step.
#[test]
fn a_cancel_that_crosses_the_end_of_the_response() {
    for (cut, ends) in (0..22).flat_map(|cut| [(cut, false), (cut, true)]) {
        let mut world = World::new(6);
        let mut client = raw_client(&mut world, b"x");
        let wire = drain_client(&mut client);
        client.cancel().expect("END has left");
        let cancel = drain_client(&mut client);
        assert_eq!(cancel.len(), 22);
        let mut server = world.server(raw());
        assert_eq!(
            world.feed_server(&mut server, &wire),
            [ServerEvent::Request]
        );
        let id = server.take_request().expect("whole").head().exchange_id;
        let events = world.feed_server(&mut server, &cancel[..cut]);
        assert_eq!(events, []);
        server
            .respond(&ResponseHead::new(200, id), Padding::None)
            .expect("waits");
        server.finish().expect("under way");
        drain_server(&mut server);
        assert_eq!(server.can_continue(), cut == 0, "{cut} bytes of it");
        assert_eq!(server.awaits_cancel(), cut != 0, "{cut} bytes of it");
        if ends {
            server.handle_eof(NOW);
            assert!(!server.awaits_cancel() && !server.can_continue());
            continue;
        }
        let events = world.feed_server(&mut server, &cancel[cut..]);
        assert_eq!(events, []);
        assert!(server.can_continue() && !server.awaits_cancel());
    }
}

/// RAW-2, section 13.1: a stream that ends after KEYS_REQUEST is answered by KEYS, and by nothing else.
#[test]
fn keys_are_given_on_a_stream_that_has_ended() {
    for taken_before in [true, false] {
        let mut world = World::new(7);
        let mut server = world.server(raw());
        let mut context = ServerContext {
            now: NOW,
            keys: &world.keys,
            replay: &mut world.replay,
        };
        assert_eq!(server.handle_input(&[1, 0, 0, 1, 1], &mut context), 5);
        let before = taken_before.then(|| server.poll_event());
        server.handle_eof(NOW);
        let event = before.unwrap_or_else(|| server.poll_event());
        assert_eq!(event, Some(ServerEvent::KeysRequested));
        assert_eq!(server.poll_event(), None);
        server.send_keys(&world.keys.key_set()).expect("fits");
        let answer = drain_server(&mut server);
        assert_eq!(answer[0], 0x02);
        let length = u32::from_be_bytes([0, answer[1], answer[2], answer[3]]);
        assert_eq!(answer.len(), 4 + length as usize, "and nothing behind it");
        assert!(!server.has_begun());
    }
}

/// LIMIT-1, RAW-3: what comes before OPEN is not of the request, and takes nothing of its limit.
#[test]
fn what_comes_between_exchanges_does_not_count() {
    let mut world = World::new(8);
    let mut client = raw_client(&mut world, b"x");
    let wire = drain_client(&mut client);
    let mut options = raw();
    options.request.wire = wire.len() as u64;
    let mut server = world.server(options);
    for _ in 0..3 {
        let events = world.feed_server(&mut server, &[1, 0, 0, 1, 1]);
        assert_eq!(events, [ServerEvent::KeysRequested]);
        server.send_keys(&world.keys.key_set()).expect("asked for");
        drain_server(&mut server);
    }
    let mut late = vec![0x14, 0, 0, 18];
    late.extend([7; 18]);
    assert_eq!(world.feed_server(&mut server, &late), []);
    assert!(!server.has_begun());
    assert_eq!(
        world.feed_server(&mut server, &wire),
        [ServerEvent::Request]
    );
}

/// ORDER-9: a byte has left when it was handed out. A CANCEL that is asked for while END waits comes behind it, whole, and makes no
/// answer one that came too early.
#[test]
fn a_cancel_that_waits_behind_end() {
    let mut world = World::new(9);
    let mut client = raw_client(&mut world, b"x");
    let mut whole = raw_client(&mut World::new(9), b"x");
    let size = drain_client(&mut whole).len();
    let mut exact = raw_client(&mut World::new(9), b"x");
    assert_eq!(exact.poll_transmit(&mut vec![0; size]), Ok(size));
    assert_eq!(exact.state(), ClientState::AwaitAccept);
    assert!(exact.is_request_sent());
    let mut wire = vec![0; size - 1];
    assert_eq!(client.poll_transmit(&mut wire), Ok(size - 1));
    assert_eq!(client.state(), ClientState::Sending);
    client.cancel().expect("END is on its way");
    let mut byte = [0; 1];
    assert_eq!(client.poll_transmit(&mut byte), Ok(1));
    wire.extend(byte);
    assert_eq!(client.state(), ClientState::AwaitAccept);
    assert!(!client.is_request_sent(), "CANCEL is to come");

    // The gateway has answered already.
    let mut server = world.server(raw());
    assert_eq!(
        world.feed_server(&mut server, &wire),
        [ServerEvent::Request]
    );
    let id = server.take_request().expect("whole").head().exchange_id;
    server
        .respond(&ResponseHead::new(200, id), Padding::None)
        .expect("waits");
    server.finish().expect("under way");
    let mut seen = Seen::default();
    feed_client(&mut client, &drain_server(&mut server), &mut seen).expect("a true answer");
    assert!(seen.complete && seen.status.is_none(), "{seen:?}");
    assert!(!client.can_continue());
    let cancel = drain_client(&mut client);
    assert_eq!((cancel.len(), cancel[0]), (22, 0x14));
    assert!(client.can_continue());
}

/// Section 9.2: a head that does not fit is refused, and changes nothing: the gateway leaves out headers, and tries again.
#[test]
fn a_head_that_does_not_fit_can_be_made_to() {
    let mut world = World::new(10);
    let options = ClientOptions {
        response: Limits {
            frame: 1024,
            ..Limits::RESPONSE
        },
        ..ClientOptions::default()
    };
    let request = world.request(b"x");
    let mut client = world.client(Suite::P256, request, options);
    let wire = drain_client(&mut client);
    let (mut server, request) = world.deliver(&wire);
    let long = "x".repeat(256);
    let mut room = [0; 4096];
    let mut headers = HeadersBuilder::new(Direction::Response, &mut room);
    for name in ["openai-a", "openai-b", "openai-c", "openai-d"] {
        headers.push(name, &long).expect("room");
    }
    let mut head = ResponseHead::new(200, request.head().exchange_id);
    head.headers = headers.finish();
    let uniform = Padding::Uniform { frame: 1024 };
    let refused = server.respond(&head, uniform);
    let what = "head";
    assert_eq!(
        refused,
        Err(Error::Misuse(Misuse::TooLarge { what, limit: 1002 }))
    );
    // HEAD-7: what was collected for the other direction has no place in this one.
    let mut room = [0; 64];
    let mut headers = HeadersBuilder::new(Direction::Request, &mut room);
    headers.push("accept", "text/event-stream").expect("room");
    let mut wrong = ResponseHead::new(200, request.head().exchange_id);
    wrong.headers = headers.finish();
    let refused = server.respond(&wrong, uniform);
    assert_eq!(refused, Err(Error::Misuse(Misuse::Head("headers"))));
    assert_eq!(server.state(), ServerState::Handling);
    assert!(server.send_data(b"no head yet").is_err());
    assert!(server.finish().is_err());
    let head = ResponseHead::new(200, request.head().exchange_id);
    server.respond(&head, uniform).expect("now it fits");
    server.send_data(b"answer").expect("under way");
    server.finish().expect("under way");
    let mut seen = Seen::default();
    feed_client(&mut client, &drain_server(&mut server), &mut seen).expect("accepted");
    assert_eq!((seen.body, seen.complete), (b"answer".to_vec(), true));

    // Or it gives up: ERROR of the size that refusals have, whatever padding was meant.
    let mut client = world.client(Suite::P256, world.request(b"y"), options);
    let (mut server, _) = world.deliver(&drain_client(&mut client));
    let mut wrong = ResponseHead::new(200, [0; 16]);
    wrong.content_type = Some(" not text");
    assert!(server.respond(&wrong, Padding::None).is_err());
    server.fail(ErrorCode::Internal, NOW).expect("waits");
    assert_eq!(drain_server(&mut server).len(), 36 + 1024);
}

/// OPEN-1, SUITE-2: which suites are offered is asked before how long their keys are.
#[test]
fn a_suite_that_is_not_offered_is_refused_whatever_its_length() {
    let mut world = World::new(11);
    let identity = Identity::generate(&world.memory, &mut world.rng).expect("seeded");
    let limits = RecordLimits::default();
    world.keys = KeyRing::new(identity, &[Suite::P256], limits, world.memory.clone());
    world.keys.rotate(NOW, &mut world.rng).expect("seeded");
    for (kem, length, code) in [
        (0x50, 15 + 1153, RejectCode::Suite),
        (0x50, 15 + 65, RejectCode::Suite),
        (0x10, 15 + 1153, RejectCode::Malformed),
        (0x10, 15 + 65, RejectCode::Key),
    ] {
        let mut open = vec![0x03, 0];
        open.extend(u16::to_be_bytes(length));
        open.extend([1, 0, kem, 0, 1, 0, 2]);
        open.resize(4 + usize::from(length), 9);
        let mut server: ServerExchange = world.server(ServerOptions::default());
        world.feed_server(&mut server, &open);
        server.handle_eof(NOW);
        assert_eq!(drain_server(&mut server), [5, 0, 0, 1, code.to_u8()]);
    }
}

/// ORDER-3: a header that no request has ends the one that was refused, though nothing comes behind it.
#[test]
fn a_header_that_no_request_has_is_answered_at_once() {
    let mut world = World::new(12);
    let wire = drain_client(&mut raw_client(&mut world, b"x"));
    let mut server = world.server(raw());
    world.feed_server(&mut server, &wire[..84]);
    world.feed_server(&mut server, &[0x03, 0, 0, 80]);
    assert_eq!(drain_server(&mut server), [5, 0, 0, 1, 4]);
    assert!(!server.can_continue());
}

/// Section 10: padding is sealed as it leaves, and takes no memory beside a frame; in both directions.
#[test]
fn padding_takes_no_memory() {
    let mut world = World::new(13);
    let options = ClientOptions {
        request_frame: 1024,
        ..ClientOptions::default()
    };
    let body = vec![b'x'; 1_000_000];
    let request = world.request(&body);
    let mut client = world.client(Suite::P256, request, options);
    let (mut wire, mut out, mut most) = (Vec::new(), [0; 512], 0);
    while let count @ 1.. = client.poll_transmit(&mut out).expect("memory") {
        wire.extend_from_slice(&out[..count]);
        most = most.max(client.buffered());
    }
    // The frame, in a block of its pool; its ciphertext; OPEN and HEAD, which waited together.
    assert!(most <= 4096 + 2048, "{most}");

    let (mut server, request) = world.deliver(&wire);
    assert_eq!(request.body().len(), body.len());
    let head = ResponseHead::new(200, request.head().exchange_id);
    let uniform = Padding::Uniform { frame: 1024 };
    server.respond(&head, uniform).expect("waits");
    let (mut total, mut most, before) = (0, 0, server.buffered());
    for _ in 0..20_000 {
        server.send_data(b"piece").expect("under way");
        total += drain_server(&mut server).len();
        most = most.max(server.buffered());
    }
    server.finish().expect("under way");
    loop {
        most = most.max(server.buffered());
        match server.poll_transmit(&mut out) {
            0 => break,
            count => total += count,
        }
    }
    assert_eq!(total, 36 + 20_480 * 1024, "20,002 frames, made 20,480");
    assert!(most <= before + 8192, "{most}, and {before} at first");
    assert!(server.is_finished());
}
