//! Both ends with the real cipher, driven by sequences of operations: bodies, padding, pieces, cuts and changed bytes. The client
//! never shows anything but a prefix of what the gateway sent, and completes only with all of it.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sealwire_core::exchange::{
    ClientEvent, ClientExchange, ClientOptions, ServerContext, ServerEvent, ServerExchange,
    ServerOptions,
};
use sealwire_core::head::ResponseHead;
use sealwire_core::padding::Padding;
use sealwire_core::replay::MemoryReplayStore;
use sealwire_core::{ErrorCode, UnixTime};
use sealwire_fuzz::{NOW, World};

#[derive(Arbitrary, Debug)]
struct Plan {
    body: Vec<u8>,
    request_padded: bool,
    padding: u16,
    pieces: Vec<Vec<u8>>,
    fails: bool,
    step: u8,
    change: Option<(u16, u8)>,
}

fuzz_target!(|plan: Plan| {
    World::with(|world| {
        let padding = if plan.request_padded {
            Padding::Padme
        } else {
            Padding::None
        };
        let options = ClientOptions {
            padding,
            ..ClientOptions::default()
        };
        let request = world.request(&plan.body);
        let made = ClientExchange::new(
            &world.memory,
            &world.key,
            request,
            NOW,
            options,
            &mut world.rng,
        );
        let mut client = made.expect("a request that can be sent");
        let mut server =
            ServerExchange::new(&world.memory, ServerOptions::default(), &mut world.rng)
                .expect("ordinary memory");
        let mut replay = MemoryReplayStore::new(4);
        let mut buffer = vec![0; usize::from(plan.step) + 1];
        loop {
            let count = client.poll_transmit(&mut buffer).expect("ordinary memory");
            if count == 0 {
                break;
            }
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let mut context = ServerContext {
                    now: NOW,
                    keys: &world.keys,
                    replay: &mut replay,
                };
                let consumed = server.handle_input(rest, &mut context);
                assert!(consumed > 0, "the gateway stopped taking a true request");
                rest = &rest[consumed..];
                assert_eq!(server.poll_event(), None);
            }
        }
        server.handle_eof(NOW);
        assert_eq!(server.poll_event(), Some(ServerEvent::Request));
        let received = server.take_request().expect("announced");
        assert_eq!(received.body().expose(), plan.body);

        let response = match plan.padding {
            0 => Padding::None,
            1 => Padding::Padme,
            frame => Padding::Uniform {
                frame: frame.into(),
            },
        };
        let head = ResponseHead::new(200, received.head().exchange_id);
        server.respond(&head, response).expect("a request waits");
        let mut truth = Vec::new();
        for piece in &plan.pieces {
            let sent = server.send_data(piece).expect("under way");
            truth.extend_from_slice(&piece[..sent]);
        }
        if plan.fails {
            server
                .fail(ErrorCode::Upstream, UnixTime::UNKNOWN)
                .expect("under way");
        } else {
            server.finish().expect("under way");
        }
        let mut wire = Vec::new();
        loop {
            match server.poll_transmit(&mut buffer) {
                0 => break,
                count => wire.extend_from_slice(&buffer[..count]),
            }
        }
        let changed = plan.change.is_some_and(|(at, flip)| {
            let at = usize::from(at) % wire.len();
            wire[at] ^= flip;
            flip != 0
        });

        let (mut shown, mut complete, mut error) = (Vec::new(), false, false);
        let mut rest = &wire[..];
        loop {
            let Ok(consumed) = client.handle_input(rest) else {
                error = true;
                break;
            };
            rest = &rest[consumed..];
            match client.poll_event() {
                Some(ClientEvent::Data(data)) => shown.extend_from_slice(data),
                Some(ClientEvent::Complete(_)) => complete = true,
                Some(ClientEvent::Error { code, .. }) => {
                    assert!(plan.fails && code == ErrorCode::Upstream);
                    error = true;
                }
                Some(_) => {}
                None if consumed == 0 => break,
                None => {}
            }
        }
        error |= client.handle_eof().is_err();
        assert!(truth.starts_with(&shown));
        assert_eq!(complete && !error, !changed && !plan.fails);
        assert!(!complete || shown == truth);
    });
});
