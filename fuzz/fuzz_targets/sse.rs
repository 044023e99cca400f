//! Server-sent events: the incremental parser, fed in pieces, against a plain reading of the whole stream. The same events, the same
//! end, the same reconnection time and last id; and with a small limit, never more than it allows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire_core::chat::{ChatError, SseParser};
use sealwire_fuzz::{Event, StreamEnd, WholeStream, World, pieces, read_whole_stream};

/// Events and the first error.
fn read(
    parser: &mut SseParser,
    stream: &[u8],
    how: u8,
    mut show: impl FnMut(Event),
) -> Result<(), ChatError> {
    for piece in pieces(stream, how) {
        let mut rest = piece;
        while !rest.is_empty() {
            let consumed = parser.handle_input(rest).inspect_err(|error| {
                assert_eq!(parser.handle_input(rest).as_ref(), Err(error));
                assert!(parser.poll_event().is_none(), "an event after a failure");
            })?;
            rest = &rest[consumed..];
            let event = parser.poll_event().map(|event| Event {
                event: event.event().into(),
                data: event.data().into(),
                id: event.id().into(),
            });
            assert!(consumed > 0 || event.is_some(), "no progress");
            event.into_iter().for_each(&mut show);
        }
    }
    parser.handle_eof()
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (how, limit, stream) = input;
    World::with(|world| {
        let mut parser = SseParser::new(&world.memory).expect("ordinary memory");
        let mut events = Vec::new();
        let end = read(&mut parser, stream, how, |event| events.push(event));
        let end = match end {
            Ok(()) => StreamEnd::Clean,
            Err(ChatError::IncompleteEvent { discarded }) => {
                assert!(discarded > 0);
                StreamEnd::Within
            }
            Err(ChatError::InvalidUtf8 { .. }) => StreamEnd::NotUtf8,
            Err(other) => panic!("{other:?}"),
        };
        let found = WholeStream {
            events,
            end,
            retry: parser.retry(),
            last_event_id: parser.last_event_id().into(),
        };
        assert_eq!(found, read_whole_stream(stream));

        let limit = usize::from(limit);
        let small = SseParser::with_limit(&world.memory, limit);
        let mut small = small.expect("ordinary memory");
        let result = read(&mut small, stream, how, |event| {
            // A data line holds a line feed where `data` stood, so an event is never longer than its lines were.
            assert!(event.data.len() + event.id.len() <= limit);
        });
        if let Err(ChatError::TooLarge { limit: told }) = result {
            assert_eq!(told, limit);
        }
    });
});
