//! Exchanges one after another on a raw stream: what may follow what, and when the stream is of no more use (spec section 13).
//! Protocol: ORDER-3, ORDER-5, ORDER-6, ORDER-7.

use sealwire_core::exchange::{
    ClientEvent, ClientExchange, ClientOptions, Limits, ServerContext, ServerEvent, ServerExchange,
    ServerOptions,
};
use sealwire_core::head::ResponseHead;
use sealwire_core::keys::KeySet;
use sealwire_core::padding::Padding;
use sealwire_core::{
    ClientState, Error, ErrorCode, Malformed, Misuse, PeerError, RejectCode, ServerState, Suite,
};
use sealwire_tests::pair::{NOW, Seen, World, drain_client, drain_server, feed_client};

fn client_options() -> ClientOptions {
    ClientOptions {
        padding: Padding::None,
        one_exchange: false,
        ..ClientOptions::default()
    }
}

fn server_options() -> ServerOptions {
    ServerOptions {
        one_exchange: false,
        ..ServerOptions::default()
    }
}

fn client(world: &mut World, body: &[u8]) -> ClientExchange {
    let request = world.request(body);
    world.client(Suite::P256, request, client_options())
}

/// Gives bytes to a gateway until it takes no more, and says how many it took, with what it told.
fn give(world: &mut World, server: &mut ServerExchange, bytes: &[u8]) -> (usize, Vec<ServerEvent>) {
    let (mut taken, mut events) = (0, Vec::new());
    loop {
        let mut context = ServerContext {
            now: world.now,
            keys: &world.keys,
            replay: &mut world.replay,
        };
        let count = server.handle_input(&bytes[taken..], &mut context);
        taken += count;
        match server.poll_event() {
            Some(event) => events.push(event),
            None if count == 0 => return (taken, events),
            None => {}
        }
    }
}

fn answer(server: &mut ServerExchange, client: &ClientExchange, body: &[u8]) -> Vec<u8> {
    server.take_request().expect("announced");
    let head = ResponseHead::new(200, *client.exchange_id());
    server.respond(&head, Padding::None).expect("waits");
    server.send_data(body).expect("under way");
    server.finish().expect("under way");
    drain_server(server)
}

fn complete(body: &[u8]) -> Seen {
    Seen {
        status: Some(200),
        body: body.to_vec(),
        complete: true,
        ..Seen::default()
    }
}

/// ORDER-7, ORDER-5: each side leaves what belongs to the next exchange where it is.
#[test]
fn one_exchange_after_another() {
    let mut world = World::new(31);
    let (mut first, mut second) = (client(&mut world, b"1"), client(&mut world, b"2"));
    let wires = [drain_client(&mut first), drain_client(&mut second)];
    let mut server = world.server(server_options());
    // Too early, and so it waits: a gateway looks at nothing but CANCEL before its answer has ended.
    let both = wires.concat();
    let (taken, events) = give(&mut world, &mut server, &both);
    assert_eq!(
        (taken, events),
        (wires[0].len(), vec![ServerEvent::Request])
    );
    assert!(!server.can_continue(), "its answer is still to come");
    let answers = answer(&mut server, &first, b"one");
    assert!(server.can_continue());
    let (more, _) = give(&mut world, &mut server, &both[taken..]);
    assert_eq!(more, 0, "the next exchange is another's");
    let mut server = world.server(server_options());
    let (taken, events) = give(&mut world, &mut server, &wires[1]);
    assert_eq!(
        (taken, events),
        (wires[1].len(), vec![ServerEvent::Request])
    );
    let both = [answers.clone(), answer(&mut server, &second, b"two")].concat();

    assert!(!first.can_continue());
    let mut seen = Seen::default();
    feed_client(&mut first, &both, &mut seen).expect("accepted");
    assert_eq!(seen, complete(b"one"));
    assert!(first.can_continue());
    assert_eq!(first.handle_input(&both[answers.len()..]), Ok(0));
    let mut seen = Seen::default();
    feed_client(&mut second, &both[answers.len()..], &mut seen).expect("accepted");
    assert_eq!(seen, complete(b"two"));
}

/// ORDER-7: after a failure the stream is closed; after a refusal that was read to its end it goes on.
#[test]
fn what_ends_a_stream() {
    let mut world = World::new(32);
    let wire = drain_client(&mut client(&mut world, b"x"));
    let open = 4 + 15 + 65;

    // REJECT, drained to END.
    let mut changed = wire.clone();
    changed[4 + 7] ^= 1; // the key id
    let mut server = world.server(server_options());
    let (taken, events) = give(&mut world, &mut server, &changed);
    let reason = Error::Peer(PeerError::Malformed(Malformed::Open(RejectCode::Key)));
    assert_eq!(
        (taken, events),
        (wire.len(), vec![ServerEvent::Refused(reason)])
    );
    assert_eq!(drain_server(&mut server), [0x05, 0, 0, 1, 3]);
    assert!(server.can_continue());

    // A sealed ERROR, drained to END.
    let mut replayed = world.server(server_options());
    give(&mut world, &mut replayed, &wire);
    let mut server = world.server(server_options());
    let (_, events) = give(&mut world, &mut server, &wire);
    assert!(matches!(events[..], [ServerEvent::Refused(_)]));
    assert!(!server.can_continue(), "the answer has not left");
    assert_eq!(drain_server(&mut server)[0], 0x04);
    assert!(server.can_continue());

    // Framing that cannot be followed, before the first frame opened and after it, and in a refused request.
    for (at, value) in [(0, 0x77), (open, 0x77), (open + 3, 1)] {
        let mut broken = wire.clone();
        broken[at] = value;
        let mut server = world.server(server_options());
        let (_, events) = give(&mut world, &mut server, &broken);
        assert!(
            matches!(events[..], [ServerEvent::Refused(_)]),
            "{at}: {events:?}"
        );
        assert_eq!(drain_server(&mut server)[0], 0x05);
        assert!(server.is_finished() && !server.can_continue(), "{at}");
        assert!(!server.awaits_cancel(), "{at}");
    }
    // A frame over the limit can be followed: the answer waits for its end, which never comes.
    let mut large = wire.clone();
    large[open + 1] = 0xff;
    let mut server = world.server(server_options());
    let (_, events) = give(&mut world, &mut server, &large);
    assert!(matches!(events[..], [ServerEvent::Refused(_)]));
    assert!(drain_server(&mut server).is_empty());
    server.handle_eof(NOW);
    assert_eq!(drain_server(&mut server), [0x05, 0, 0, 1, 6]);
    assert!(server.is_finished() && !server.can_continue());

    let mut broken = changed.clone();
    broken[open] = 0x77;
    let mut server = world.server(server_options());
    give(&mut world, &mut server, &broken);
    assert_eq!(drain_server(&mut server), [0x05, 0, 0, 1, 3]);
    assert!(!server.can_continue());

    // A deadline, and the end of the stream.
    let mut server = world.server(server_options());
    give(&mut world, &mut server, &wire[..open + 10]);
    server.handle_eof(NOW);
    assert!(matches!(server.poll_event(), Some(ServerEvent::Refused(_))));
    drain_server(&mut server);
    assert!(server.is_finished() && !server.can_continue());

    // On the client's side, anything malformed.
    let mut client = client(&mut world, b"x");
    drain_client(&mut client);
    assert!(
        client.handle_input(&[0x10, 0, 0, 40]).is_err(),
        "by its header alone"
    );
    assert_eq!(client.state(), ClientState::Failed);
    assert!(!client.can_continue());
}

/// ORDER-6: the client that cancelled hears how it ended, and nothing of the answer; the stream goes on.
#[test]
fn cancel() {
    let mut world = World::new(33);
    let mut client = client(&mut world, b"x");
    assert!(client.cancel().is_err(), "the request has not ended");
    let wire = drain_client(&mut client);
    let mut server = world.server(server_options());
    give(&mut world, &mut server, &wire);
    server.take_request().expect("announced");
    let head = ResponseHead::new(200, *client.exchange_id());
    server.respond(&head, Padding::None).expect("waits");
    server.send_data(b"half").expect("under way");
    let half = drain_server(&mut server);

    client.cancel().expect("the request has ended");
    assert!(client.cancel().is_err(), "once");
    let cancel = drain_client(&mut client);
    let (taken, events) = give(&mut world, &mut server, &cancel);
    assert_eq!(
        (taken, events),
        (cancel.len(), vec![ServerEvent::Cancelled])
    );
    let (again, events) = give(&mut world, &mut server, &cancel);
    assert_eq!((again, events), (0, vec![]), "one is taken");
    server.fail(ErrorCode::Cancelled, NOW).expect("under way");
    let rest = drain_server(&mut server);
    assert!(server.can_continue());

    let mut seen = Seen::default();
    feed_client(&mut client, &[half, rest].concat(), &mut seen).expect("accepted");
    let cancelled = Seen {
        error: Some(ErrorCode::Cancelled),
        ..Seen::default()
    };
    assert_eq!(seen, cancelled, "what came before it was thrown away");
    assert!(client.can_continue());
}

/// RAW-3, ORDER-6: a CANCEL that crossed the end of the answer stands where the next exchange begins, and is passed over, once.
#[test]
fn a_late_cancel_is_passed_over() {
    let mut world = World::new(34);
    let mut first = client(&mut world, b"1");
    let wire = drain_client(&mut first);
    let mut server = world.server(server_options());
    give(&mut world, &mut server, &wire);
    let whole = answer(&mut server, &first, b"one");
    first.cancel().expect("it has not heard the answer");
    let cancel = drain_client(&mut first);
    let mut seen = Seen::default();
    feed_client(&mut first, &whole, &mut seen).expect("accepted");
    assert!(seen.complete && seen.body.is_empty());
    assert!(first.can_continue());

    let mut second = client(&mut world, b"2");
    let wire = drain_client(&mut second);
    let mut server = world.server(server_options());
    let late = [cancel.clone(), wire.clone()].concat();
    for byte in late.chunks(1) {
        let (taken, events) = give(&mut world, &mut server, byte);
        assert_eq!(taken, 1);
        assert!(events.is_empty() || events == [ServerEvent::Request]);
    }
    let answered = answer(&mut server, &second, b"two");
    let mut seen = Seen::default();
    feed_client(&mut second, &answered, &mut seen).expect("accepted");
    assert_eq!(seen, complete(b"two"));

    let mut server = world.server(server_options());
    give(
        &mut world,
        &mut server,
        &[cancel.clone(), cancel.clone()].concat(),
    );
    assert_eq!(
        drain_server(&mut server),
        [0x05, 0, 0, 1, 4],
        "twice is too much"
    );
    // Over HTTP there is no exchange before.
    let mut server = world.server(ServerOptions::default());
    give(&mut world, &mut server, &cancel);
    assert_eq!(drain_server(&mut server), [0x05, 0, 0, 1, 4]);

    // Each question for the keys may have one before it, and so may the request behind them.
    let mut third = client(&mut world, b"3");
    let mut server = world.server(server_options());
    let ask = [&cancel[..], &[0x01, 0, 0, 1, 1]].concat();
    let wire = [&ask[..], &ask, &cancel, &drain_client(&mut third)].concat();
    let mut rest = &wire[..];
    for _ in 0..2 {
        let asked = (ask.len(), vec![ServerEvent::KeysRequested]);
        assert_eq!(give(&mut world, &mut server, rest), asked);
        rest = &rest[ask.len()..];
        server.send_keys(&world.keys.key_set()).expect("asked for");
        drain_server(&mut server);
    }
    let last = (rest.len(), vec![ServerEvent::Request]);
    assert_eq!(give(&mut world, &mut server, rest), last);
}

/// ORDER-3: what is read on behind a refusal is counted by its headers, each frame once, and ends at twice the limit on wire bytes.
#[test]
fn reading_on_ends_at_its_limit() {
    let mut world = World::new(41);
    let mut client = client(&mut world, b"x");
    let wire = drain_client(&mut client);
    give_to_new(&mut world, server_options(), &wire);
    let head = 84 + 4 + usize::from(u16::from_be_bytes([wire[86], wire[87]]));
    let changed = |at: usize, upto: usize| {
        let mut prefix = wire[..upto].to_vec();
        prefix[at] ^= 2;
        prefix
    };
    let refused_by = [
        ("version", changed(4, 84)),
        ("key", changed(11, 84)),
        ("tag", changed(head - 1, head)),
        ("replay", wire[..head].to_vec()),
        ("length", [&[0x03, 0, 0, 5], &wire[4..9]].concat()),
        ("order", vec![]),
        (
            "header",
            [&wire[..head], &[0x10, 0, 0x10, 0], &[0; 4096]].concat(),
        ),
    ];
    let options = ServerOptions {
        request: Limits {
            frame: 1024,
            wire: 5000,
            ..Limits::REQUEST
        },
        ..server_options()
    };
    let end = [&[0x12, 0, 0, 18][..], &[0; 18]].concat();
    for (name, prefix) in refused_by {
        for (total, may_go_on) in [(10_000, true), (10_001, false)] {
            let data = total - prefix.len() - end.len() - 4;
            let data = [
                &[0x11][..],
                &(data as u32).to_be_bytes()[1..],
                &vec![0; data],
            ]
            .concat();
            let request = [&prefix[..], &data, &end].concat();
            assert_eq!(request.len(), total);
            let server = give_to_new(&mut world, options, &request);
            assert_eq!(server.can_continue(), may_go_on, "{name}, {total}");
        }
    }
}

/// What becomes of a gateway that was given these bytes, its answer sent.
fn give_to_new(world: &mut World, options: ServerOptions, bytes: &[u8]) -> ServerExchange {
    let mut server = world.server(options);
    give(world, &mut server, bytes);
    drain_server(&mut server);
    server
}

/// What follows END and is neither CANCEL nor another exchange ends the stream, not the answer.
#[test]
fn a_broken_cancel_does_not_break_the_answer() {
    let mut world = World::new(35);
    let mut client = client(&mut world, b"x");
    let wire = drain_client(&mut client);
    let mut server = world.server(server_options());
    give(&mut world, &mut server, &wire);
    server.take_request().expect("announced");
    let head = ResponseHead::new(200, *client.exchange_id());
    server.respond(&head, Padding::None).expect("waits");
    let (taken, events) = give(&mut world, &mut server, &[0x14, 0, 0, 1, 9, 9]);
    assert_eq!((taken, events), (6, vec![]));
    assert_eq!(server.state(), ServerState::Responding);
    server.send_data(b"whole").expect("under way");
    server.finish().expect("under way");
    let mut seen = Seen::default();
    feed_client(&mut client, &drain_server(&mut server), &mut seen).expect("accepted");
    assert_eq!(seen, complete(b"whole"));
    assert!(!server.can_continue());
}

/// RAW-2: the keys may be asked for between exchanges, in this version, and never over HTTP.
#[test]
fn keys_on_request() {
    let mut world = World::new(36);
    let ask = [0x01, 0, 0, 1, 1];
    let mut server = world.server(server_options());
    for _ in 0..2 {
        let (taken, events) = give(&mut world, &mut server, &ask);
        assert_eq!((taken, events), (5, vec![ServerEvent::KeysRequested]));
        server.send_keys(&world.keys.key_set()).expect("small");
        let wire = drain_server(&mut server);
        let header = [
            0x02,
            0,
            ((wire.len() - 4) >> 8) as u8,
            (wire.len() - 4) as u8,
        ];
        assert_eq!(wire[..4], header);
        assert_eq!(KeySet::parse(&wire[4..]), Ok(world.keys.key_set()));
    }
    let mut client = client(&mut world, b"x");
    let wire = drain_client(&mut client);
    assert_eq!(
        give(&mut world, &mut server, &wire).1,
        [ServerEvent::Request]
    );
    answer(&mut server, &client, b"y");

    let mut server = world.server(server_options());
    give(&mut world, &mut server, &[0x01, 0, 0, 1, 2]);
    assert_eq!(
        drain_server(&mut server),
        [0x05, 0, 0, 1, 1],
        "another version"
    );
    assert!(server.can_continue());
    let mut server = world.server(server_options());
    give(&mut world, &mut server, &[&wire[..84], &ask[..]].concat());
    assert_eq!(
        drain_server(&mut server),
        [0x05, 0, 0, 1, 4],
        "within an exchange"
    );
    let mut server = world.server(ServerOptions::default());
    give(&mut world, &mut server, &ask);
    assert_eq!(drain_server(&mut server), [0x05, 0, 0, 1, 4], "over HTTP");
}

/// RAW-2: KEYS comes before anything behind its KEYS_REQUEST is looked at, however late the host gives it, and never unasked.
#[test]
fn nothing_is_read_before_the_keys_are_given() {
    let mut world = World::new(38);
    let mut client = client(&mut world, b"x");
    let wire = drain_client(&mut client);
    let mut server = world.server(server_options());
    let keys = world.keys.key_set();
    let unasked = Err(Misuse::State("nobody has asked for the keys").into());
    assert_eq!(server.send_keys(&keys), unasked);
    let both = [&[0x01, 0, 0, 1, 1], &wire[..]].concat();
    let (taken, events) = give(&mut world, &mut server, &both);
    assert_eq!((taken, events), (5, vec![ServerEvent::KeysRequested]));
    assert_eq!(give(&mut world, &mut server, &wire), (0, vec![]));
    server.send_keys(&keys).expect("asked for");
    assert_eq!(server.send_keys(&keys), unasked, "once");
    assert_eq!(give(&mut world, &mut server, &wire), (0, vec![]));
    assert_eq!(drain_server(&mut server)[0], 0x02);
    // Within a request and behind it there is no place for them.
    assert_eq!(give(&mut world, &mut server, &wire[..84]).0, 84);
    assert_eq!(server.send_keys(&keys), unasked);
    let (_, events) = give(&mut world, &mut server, &wire[84..]);
    assert_eq!(events, [ServerEvent::Request]);
    assert_eq!(server.send_keys(&keys), unasked);
    let answered = answer(&mut server, &client, b"y");
    let mut seen = Seen::default();
    feed_client(&mut client, &answered, &mut seen).expect("accepted");
    assert_eq!(seen, complete(b"y"));
}

/// LIMIT-1: who asks for the keys many times without taking them holds one KEYS, not many, in a host that is slow to transmit too.
#[test]
fn keys_that_nobody_takes_are_queued_once() {
    const ASKED: usize = 800;
    let mut world = World::new(37);
    let keys = world.keys.key_set().to_bytes().len() + 4;
    let input = [0x01, 0, 0, 1, 1].repeat(ASKED);
    let mut server = world.server(server_options());
    let (mut rest, mut answered) = (&input[..], 0);
    while !rest.is_empty() {
        let mut context = ServerContext {
            now: NOW,
            keys: &world.keys,
            replay: &mut world.replay,
        };
        let taken = server.handle_input(rest, &mut context);
        rest = &rest[taken..];
        match server.poll_event() {
            Some(ServerEvent::KeysRequested) => {
                server.send_keys(&world.keys.key_set()).expect("small");
                assert_eq!(server.pending_transmit(), keys);
                answered += 1;
            }
            Some(event) => panic!("{event:?}"),
            None => {
                assert_eq!(taken, 0, "nothing is read while KEYS waits");
                assert_eq!(drain_server(&mut server).len(), keys);
            }
        }
    }
    assert_eq!(answered, ASKED);
    assert!(server.buffered() < 4 * keys + 8192, "{}", server.buffered());
}

/// ORDER-9, ORDER-3: a gateway that has heard enough may answer while the client still sends. Its refusal arrives; nothing more leaves, and
/// nothing but a refusal is taken.
#[test]
fn an_answer_before_the_request_has_left() {
    let mut world = World::new(37);
    let body = vec![b'x'; 100_000];
    let mut client = client(&mut world, &body);
    let mut buffer = vec![0; 40_000];
    let sent = client.poll_transmit(&mut buffer).expect("memory");
    assert_eq!(client.state(), ClientState::Sending);
    let options = ServerOptions {
        request: Limits {
            content: 1000,
            wire: 17_000,
            ..Limits::REQUEST
        },
        ..server_options()
    };
    let mut server = world.server(options);
    let (_, events) = give(&mut world, &mut server, &buffer[..sent]);
    assert!(
        matches!(events[..], [ServerEvent::Refused(_)]),
        "{events:?}"
    );
    let refusal = drain_server(&mut server);
    assert_eq!(
        refusal[0], 0x04,
        "past twice the limit it waits no longer for END"
    );
    assert!(!server.can_continue());
    let mut seen = Seen::default();
    feed_client(&mut client, &refusal, &mut seen).expect("accepted");
    let refused = Seen {
        error: Some(ErrorCode::TooLarge),
        ..Seen::default()
    };
    assert_eq!(seen, refused);
    assert_eq!(drain_client(&mut client), [0; 0], "the rest stays");
    assert!(!client.can_continue());

    // The same by REJECT.
    let mut client = self::client(&mut world, &body);
    client.poll_transmit(&mut buffer).expect("memory");
    assert_eq!(client.handle_input(&[0x05, 0, 0, 1, 5]), Ok(5));
    assert_eq!(
        client.poll_event(),
        Some(ClientEvent::Rejected(RejectCode::Busy))
    );
    assert_eq!(drain_client(&mut client), [0; 0]);
    assert!(!client.can_continue());

    // An answer to half a request is none (ORDER-2), not even from whoever holds the keys.
    let mut world = World::new(38);
    let mut client = self::client(&mut world, b"short");
    let wire = drain_client(&mut client);
    let (mut server, _) = world.deliver(&wire);
    let whole = world.answer(&mut server, *client.exchange_id(), &[b"a"], Padding::None);
    let mut world = World::new(38);
    let mut twin = self::client(&mut world, b"short");
    twin.poll_transmit(&mut buffer[..wire.len() - 1])
        .expect("memory");
    let mut seen = Seen::default();
    let result = feed_client(&mut twin, &whole, &mut seen);
    assert_eq!(
        result,
        Err(Error::Peer(PeerError::Malformed(Malformed::Order)))
    );
    assert_eq!(seen, Seen::default());
}

/// FRAME-3, FRAME-6, FRAME-7: what may not come is refused by its header alone, before there is room for its body.
#[test]
fn order_is_checked_by_the_header() {
    let mut world = World::new(39);
    for header in [
        [0x10, 0, 0x40, 0],
        [0x11, 0, 0x40, 0],
        [0x04, 0, 0, 32],
        [0x02, 0, 0xff, 0xff],
    ] {
        let mut server = world.server(server_options());
        let (_, events) = give(&mut world, &mut server, &header);
        let order = Error::Peer(PeerError::Malformed(Malformed::Order));
        assert_eq!(events, [ServerEvent::Refused(order)], "{header:?}");
        assert!(
            server.buffered() <= 64,
            "{} bytes for a header",
            server.buffered()
        );
    }
}
