//! A client behind a null cipher: the fuzzer writes the response. Fed whole and in pieces, the client must see the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire_core::exchange::{ClientEvent, ClientExchange, ClientOptions};
use sealwire_core::{ClientState, Error};
use sealwire_fuzz::{CountingRng, NOW, NullAead, World};

/// What came out, up to the first error.
fn run(world: &World, chunks: &mut dyn Iterator<Item = &[u8]>) -> (Vec<u8>, u8, Option<Error>) {
    let mut rng = CountingRng::default();
    let request = world.request(b"{}");
    let options = ClientOptions::default();
    let made = ClientExchange::<NullAead>::with_aead(
        &world.memory,
        &world.key,
        request,
        NOW,
        options,
        &mut rng,
    );
    let mut client = made.expect("a request that can be sent");
    let mut out = [0; 1024];
    while client.poll_transmit(&mut out).expect("ordinary memory") > 0 {}
    let (mut body, mut events) = (Vec::new(), 0u8);
    for chunk in chunks {
        let mut rest = chunk;
        loop {
            match client.handle_input(rest) {
                Ok(consumed) => {
                    rest = &rest[consumed..];
                    match client.poll_event() {
                        Some(ClientEvent::Data(data)) => {
                            assert!(!data.is_empty());
                            body.extend_from_slice(data);
                        }
                        Some(ClientEvent::Complete(_)) => {
                            assert_eq!(client.state(), ClientState::Done);
                            events |= 1;
                        }
                        Some(ClientEvent::Head(_)) => {
                            assert_eq!(events, 0);
                            events |= 2;
                        }
                        Some(_) => events |= 4,
                        None if consumed == 0 => break,
                        None => {}
                    }
                }
                Err(error) => {
                    assert!(client.poll_event().is_none());
                    assert!(client.handle_input(rest).is_err());
                    return (body, events, Some(error));
                }
            }
        }
    }
    if client.handle_eof().is_ok() {
        assert_eq!(client.state(), ClientState::Done);
    }
    (body, events, None)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    World::with(|world| {
        let whole = run(world, &mut std::iter::once(bytes));
        let pieces = run(world, &mut bytes.chunks(usize::from(step) + 1));
        assert_eq!(whole, pieces);
    });
});
