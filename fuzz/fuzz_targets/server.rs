//! A gateway behind a null cipher: the fuzzer writes the request after a valid OPEN. Fed whole and in pieces, it must do the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire_core::exchange::{ServerContext, ServerEvent, ServerExchange, ServerOptions};
use sealwire_core::head::ResponseHead;
use sealwire_core::padding::Padding;
use sealwire_core::replay::MemoryReplayStore;
use sealwire_fuzz::{AnyKey, CountingRng, NOW, NullAead, World};

type Outcome = (Option<Vec<u8>>, Vec<u8>);

fn run(world: &World, one_exchange: bool, chunks: &mut dyn Iterator<Item = &[u8]>) -> Outcome {
    let mut replay = MemoryReplayStore::new(4);
    let options = ServerOptions {
        one_exchange,
        ..ServerOptions::default()
    };
    let mut rng = CountingRng::default();
    let made = ServerExchange::<NullAead>::with_aead(&world.memory, options, &mut rng);
    let mut server = made.expect("ordinary memory");
    let mut request = None;
    let take = |server: &mut ServerExchange<NullAead>, request: &mut Option<Vec<u8>>| {
        let received = server.take_request().expect("announced");
        let head = ResponseHead::new(200, received.head().exchange_id);
        assert!(request.replace(received.body().expose().to_vec()).is_none());
        server
            .respond(&head, Padding::None)
            .expect("a request waits");
        server.send_data(b"answer").expect("under way");
        server.finish().expect("under way");
    };
    for chunk in chunks {
        let mut rest = chunk;
        loop {
            let mut context = ServerContext {
                now: NOW,
                keys: &AnyKey,
                replay: &mut replay,
            };
            let consumed = server.handle_input(rest, &mut context);
            rest = &rest[consumed..];
            match server.poll_event() {
                Some(ServerEvent::Request) => take(&mut server, &mut request),
                Some(ServerEvent::KeysRequested) => {
                    server.send_keys(&world.keys.key_set()).expect("small");
                }
                Some(_) => {}
                None if consumed == 0 => break,
                None => {}
            }
        }
    }
    server.handle_eof(NOW);
    if server.poll_event() == Some(ServerEvent::Request) {
        take(&mut server, &mut request);
    }
    let mut out = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match server.poll_transmit(&mut buffer) {
            0 => break,
            count => out.extend_from_slice(&buffer[..count]),
        }
    }
    (request, out)
}

fuzz_target!(|input: (u8, bool, bool, &[u8])| {
    let (step, one_exchange, with_open, bytes) = input;
    World::with(|world| {
        let mut wire = if with_open {
            world.open_frame()
        } else {
            Vec::new()
        };
        wire.extend_from_slice(bytes);
        let whole = run(world, one_exchange, &mut std::iter::once(&wire[..]));
        let pieces = run(world, one_exchange, &mut wire.chunks(usize::from(step) + 1));
        assert_eq!(whole, pieces);
    });
});
