//! A client behind a null cipher: the fuzzer writes the response. Fed whole and in pieces, the client must see the same and fail at the
//! same byte for the same reason; after a failure, or the end, nothing more comes out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire_core::exchange::{ClientEvent, ClientOptions, Limits};
use sealwire_core::{ClientState, Error, PeerError};
use sealwire_fuzz::{World, pieces, quotes_nothing};

/// What came out, up to the first error.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    /// Each by its name, and all that it says.
    events: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    error: Option<Error>,
    /// Bytes taken on a stream that carries more than one exchange.
    taken: Option<usize>,
    eof: Option<PeerError>,
}

#[derive(Clone, Copy)]
struct Setting {
    one_exchange: bool,
    small_limits: bool,
    cancelled: bool,
}

fn run<'a>(world: &World, set: Setting, chunks: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut options = ClientOptions {
        one_exchange: set.one_exchange,
        ..ClientOptions::default()
    };
    if set.small_limits {
        options.response = Limits {
            frame: 1024,
            content: 64,
            wire: 2048,
        };
    }
    let mut client = world.sent_request(options);
    if set.cancelled {
        client.cancel().expect("the request has ended");
    }
    let (mut seen, mut taken) = (Outcome::default(), 0);
    for chunk in chunks {
        let mut rest = chunk;
        loop {
            let consumed = match client.handle_input(rest) {
                Ok(consumed) => consumed,
                Err(error) => {
                    assert_eq!(client.state(), ClientState::Failed);
                    assert!(client.poll_event().is_none(), "an event after a failure");
                    let again = client.handle_input(rest);
                    assert_eq!(again, Err(Error::Peer(PeerError::Poisoned)));
                    assert_eq!(client.handle_eof(), Err(PeerError::Poisoned));
                    quotes_nothing(&error);
                    seen.error = Some(error);
                    return seen;
                }
            };
            rest = &rest[consumed..];
            taken += consumed;
            let peeked = client.peek_event().map(|event| said(&event));
            match client.poll_event() {
                Some(ClientEvent::Data(data)) => {
                    assert!(!data.is_empty() && !set.cancelled);
                    seen.body.extend_from_slice(data);
                }
                Some(event) => {
                    let is_head = matches!(event, ClientEvent::Head(_));
                    assert_eq!(is_head, seen.events.is_empty() && is_head, "a second head");
                    assert!(!is_head || !set.cancelled, "a head after CANCEL");
                    let event = said(&event);
                    assert_eq!(peeked.as_ref(), Some(&event));
                    assert_eq!(client.state() == ClientState::Done, !is_head);
                    seen.events.push(event);
                }
                None if consumed == 0 => break,
                None => {}
            }
        }
    }
    assert!(seen.events.len() <= 2, "{:?}", seen.events);
    let limit = if set.small_limits { 64 } else { 64 << 20 };
    assert!(seen.body.len() <= limit);
    let is_done = client.state() == ClientState::Done;
    seen.eof = client.handle_eof().err();
    assert_eq!(seen.eof.is_none(), is_done);
    seen.taken = (!set.one_exchange).then_some(taken);
    seen
}

/// `Debug` shows less.
fn said(event: &ClientEvent<'_>) -> (String, Vec<u8>) {
    let content = match event {
        ClientEvent::Head(head) => {
            let mut content = vec![0; 16 * 1024];
            let len = head.encode(&mut content).expect("it was decoded");
            content[..len].to_vec()
        }
        ClientEvent::Data(content) => content.to_vec(),
        ClientEvent::Error { gateway_time, .. } => format!("{gateway_time:?}").into(),
        _ => Vec::new(),
    };
    (format!("{event:?}"), content)
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (how, flags, bytes) = input;
    let set = Setting {
        one_exchange: flags & 1 == 0,
        small_limits: flags & 2 != 0,
        cancelled: flags & 4 != 0,
    };
    World::with(|world| {
        let whole = run(world, set, std::iter::once(bytes));
        let in_pieces = run(world, set, pieces(bytes, how));
        assert_eq!(whole, in_pieces);
    });
});
