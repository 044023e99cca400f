//! Server-sent events, held against a plain reading of the HTML Standard, section 9.2.

use sealwire_core::chat::{ChatError, SseParser};
use sealwire_memlock::{Policy, SecureMemory};

const MEMORY: SecureMemory = SecureMemory::new(Policy::BestEffort);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    event: String,
    data: String,
    id: String,
}

fn event(event: &str, data: &str, id: &str) -> Event {
    Event {
        event: event.to_owned(),
        data: data.to_owned(),
        id: id.to_owned(),
    }
}

/// Everything a stream has to tell.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    events: Vec<Event>,
    retry: Option<u64>,
    last_event_id: String,
    end: Result<(), ChatError>,
}

fn feed<'a>(parser: &mut SseParser, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut events = Vec::new();
    let mut result = Ok(());
    'stream: for mut piece in pieces {
        while !piece.is_empty() {
            match parser.handle_input(piece) {
                Ok(consumed) => piece = &piece[consumed..],
                Err(error) => {
                    result = Err(error);
                    break 'stream;
                }
            }
            while let Some(polled) = parser.poll_event() {
                events.push(event(polled.event(), polled.data(), polled.id()));
            }
        }
    }
    let end = result.and_then(|()| parser.handle_eof());
    Outcome {
        events,
        retry: parser.retry(),
        last_event_id: parser.last_event_id().to_owned(),
        end,
    }
}

fn parser() -> SseParser {
    SseParser::new(&MEMORY).expect("memory")
}

fn read(stream: &[u8]) -> Outcome {
    feed(&mut parser(), [stream])
}

/// Events, the reconnection time, and the last event id.
type Read = (Vec<Event>, Option<u64>, String);

#[track_caller]
fn assert_reads_as_reference(stream: &str) {
    let outcome = read(stream.as_bytes());
    let found: Read = (outcome.events, outcome.retry, outcome.last_event_id);
    assert_eq!(found, reference(stream), "{stream:?}");
}

/// The standard's algorithm over the whole text, with nothing incremental in it.
fn reference(stream: &str) -> Read {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
    // What follows the last line end is an unfinished line.
    let (lines, _unfinished) = stream.rsplit_once('\n').unwrap_or_default();
    let (mut data, mut kind, mut id) = (String::new(), String::new(), String::new());
    let (mut events, mut retry, mut last_id) = (Vec::new(), None, String::new());
    let lines = if stream.contains('\n') {
        lines
    } else {
        return (events, retry, last_id);
    };
    for line in lines.split('\n') {
        if line.is_empty() {
            last_id.clone_from(&id);
            if !data.is_empty() {
                let kind = if kind.is_empty() { "message" } else { &kind };
                events.push(event(kind, &data[..data.len() - 1], &id));
            }
            data.clear();
            kind.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => data.extend([value, "\n"]),
            "event" => kind = value.to_owned(),
            "id" if !value.contains('\0') => id = value.to_owned(),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                retry = value.parse().ok().or(retry);
            }
            _ => {}
        }
    }
    (events, retry, last_id)
}

const STREAMS: &[&str] = &[
    "data: {\"choices\":[]}\n\ndata: [DONE]\n\n",
    "\u{feff}data: a\r\n\r\ndata: b\r\rdata: c\n\n",
    "\u{feff}\u{feff}data: the second mark is part of the name\n\ndata:x\n\n",
    ": comment\r\n:\r\n:::\r\n\r\nevent: add\ndata: 1\ndata: 2\ndata:  3\ndata\n\n",
    "id: 7\nretry: 250\n\ndata: first\nid: 8\n\ndata: second\nid\n\ndata: third\n\n",
    "id: nul\0\ndata: x\nretry: 1x\nretry:\nunknown: y\nDATA: z\n data: w\n\n",
    "data\n\ndata\ndata\n\ndata:\n\nevent: gone\n\nevent: x\ndata: y\n\n",
    "data: é😀\ndata:\u{feff}\n\r\n\r\rdata: cut off\n",
    "\n\r\r\n\n\ndata: a\r\ndata: b\n\rdata: c\r\n\n",
    "data: no end",
    "event: alone\n",
    "id: 1\ndata: x\n\nid: 2\ndata: cut off\n",
    "id: 1\n\nid: 2\n\nid: 3\n",
    "id: 1\ndata: x\n\nid\nid: 2\nid\n\ndata: y\nid: 3",
    "event: gone\n\ndata: y\n\n",
    "",
];

#[test]
fn the_examples_of_the_standard() {
    let stock = read(b"data: YHOO\ndata: +2\ndata: 10\n\n");
    assert_eq!(stock.events, [event("message", "YHOO\n+2\n10", "")]);

    let ids = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
    assert_eq!(
        read(ids).events,
        [
            event("message", "first event", "1"),
            event("message", "second event", ""),
            event("message", " third event", ""),
        ]
    );

    let empty = read(b"data\n\ndata\ndata\n\ndata:");
    assert_eq!(
        empty.events,
        [event("message", "", ""), event("message", "\n", "")]
    );
    assert_eq!(empty.end, Err(ChatError::IncompleteEvent { discarded: 5 }));

    let same = read(b"data:test\n\ndata: test\n\n");
    assert_eq!(
        same.events,
        [event("message", "test", ""), event("message", "test", "")]
    );
}

#[test]
fn every_stream_reads_as_the_standard_has_it() {
    for stream in STREAMS {
        assert_reads_as_reference(stream);
    }
}

#[test]
fn streams_are_the_same_in_any_pieces() {
    for stream in STREAMS {
        let stream = stream.as_bytes();
        let whole = read(stream);
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(
                    feed(&mut parser(), pieces),
                    whole,
                    "at {first} and {second}"
                );
            }
        }
        assert_eq!(feed(&mut parser(), stream.chunks(1)), whole);
    }
}

/// Every text of up to six of the characters that mean something.
#[test]
fn every_short_stream_reads_as_the_standard_has_it() {
    const WORDS: [&str; 8] = ["\n", "\r", ":", " ", "data", "event", "id", "x"];
    for len in 0..=6 {
        for number in 0..WORDS.len().pow(len) {
            let words = (0..len).map(|at| WORDS[number / WORDS.len().pow(at) % WORDS.len()]);
            let stream: String = words.collect();
            assert_reads_as_reference(&stream);
        }
    }
}

#[test]
fn nothing_is_consumed_past_an_event_that_waits() {
    let mut parser = parser();
    let stream = b"data: 1\n\ndata: 2\n\n";
    assert_eq!(parser.handle_input(stream), Ok(9));
    assert_eq!(parser.handle_input(&stream[9..]), Ok(0));
    assert_eq!(
        parser.poll_event().map(|event| event.data() == "1"),
        Some(true)
    );
    assert!(parser.poll_event().is_none());
    assert_eq!(parser.handle_input(&stream[9..]), Ok(9));
    // The end of the stream takes nothing away from an event that is complete.
    assert_eq!(parser.handle_eof(), Ok(()));
    assert_eq!(
        parser.poll_event().map(|event| event.data() == "2"),
        Some(true)
    );
    assert_eq!(parser.handle_eof(), Ok(()));
}

#[test]
fn every_stream_that_ends_inside_an_event_is_reported() {
    let stream = b"event: x\ndata: 1\ndata: 2\n\n";
    for end in 1..stream.len() {
        let outcome = read(&stream[..end]);
        assert_eq!(outcome.events, []);
        assert!(
            matches!(outcome.end, Err(ChatError::IncompleteEvent { .. })),
            "at {end}"
        );
    }
    assert_eq!(read(stream).end, Ok(()));
    // Of the mark that there is nothing more, nothing can be missing.
    for end in [
        "data: [DONE]",
        "event: x\ndata:[DONE]\t",
        "data: [DONE]\r",
        "data: [DONE]\n: x",
    ] {
        let outcome = read(end.as_bytes());
        assert_eq!((outcome.events, outcome.end), (vec![], Ok(())), "{end}");
    }
    for end in [
        "data: [DONE",
        "[DONE]",
        "data: 1\ndata: [DONE]",
        "data: [DONE]\ndata: 1",
        "data: [DONE]\nid: 1",
    ] {
        assert!(read(end.as_bytes()).end.is_err(), "{end}");
    }
    // A comment is no event, whole or not.
    assert_eq!(read(b": keep-ali").end, Ok(()));
    assert_eq!(read(b": keep-alive\n").end, Ok(()));
    assert_eq!(
        read(b"\xEF\xBB").end,
        Err(ChatError::IncompleteEvent { discarded: 2 })
    );
}

#[test]
fn a_stream_can_follow_another_and_keeps_the_last_id() {
    let mut parser = parser();
    let first = feed(
        &mut parser,
        [&b"\xEF\xBB\xBFid: 4\ndata: a\n\nid: 5\ndata: lost\r"[..]],
    );
    assert_eq!(first.events, [event("message", "a", "4")]);
    assert_eq!(parser.last_event_id(), "4");
    let second = feed(&mut parser, [&b"\xEF\xBB\xBFdata: b\n\n"[..]]);
    assert_eq!(second.events, [event("message", "b", "4")]);
    assert_eq!(second.end, Ok(()));
    assert_eq!(second.last_event_id, "4");
}

#[test]
fn the_limit_is_checked_before_memory_is_taken() {
    // Exactly the limit: `data: ` and four more, then the event's type.
    for stream in [&b"data: 1234\n\n"[..], b"event: 123\n\n", b"id: 345678\n\n"] {
        let mut parser = SseParser::with_limit(&MEMORY, 10).expect("memory");
        assert_eq!(feed(&mut parser, [stream]).end, Ok(()));
    }
    let too_large = ChatError::TooLarge { limit: 10 };
    for stream in [
        &b"data: 12345"[..],
        b"data:1\ndata:2\ndata:34",
        b"event:a\ndata:12345",
        b"id:abc\n\ndata:123",
        b"id:abc\n\nid:d\ndata:12",
        &[b'x'; 100_000],
    ] {
        for chunk_len in [1, 3, stream.len()] {
            let mut parser = SseParser::with_limit(&MEMORY, 10).expect("memory");
            let outcome = feed(&mut parser, stream.chunks(chunk_len));
            assert_eq!(outcome.end, Err(too_large.clone()), "{chunk_len}");
            // It stays, whatever comes next.
            assert_eq!(parser.handle_input(b"\n\n"), Err(too_large.clone()));
            assert_eq!(parser.handle_eof(), Err(too_large.clone()));
            assert!(parser.poll_event().is_none());
        }
    }
    // Comments are not kept, so they have no limit; events one after another neither.
    let mut stream = vec![b':'; 100_000];
    stream.extend(b"\ndata: 1\n\n".repeat(100));
    let mut parser = SseParser::with_limit(&MEMORY, 10).expect("memory");
    assert_eq!(feed(&mut parser, [&stream[..]]).events.len(), 100);
}

#[test]
fn what_is_not_utf_8_is_refused() {
    for (stream, offset) in [
        (&b"data: a\xff\n\n"[..], 1),
        (b"event:\xc3\n", 0),
        (b"id: \xed\xa0\x80\n", 0),
        // One line cannot complete the character of another.
        (b"data: \xc3\ndata: \xa9\n\n", 0),
    ] {
        let outcome = read(stream);
        assert_eq!(outcome.end, Err(ChatError::InvalidUtf8 { offset }));
        assert_eq!(outcome.events, []);
    }
    // Half a byte order mark is part of a name, and nobody asked for that field.
    let outcome = read(b"\xEF\xBBdata: a\n\ndata: b\n\n");
    assert_eq!(outcome.events, [event("message", "b", "")]);
}

#[test]
fn debug_shows_no_content() {
    let mut parser = parser();
    assert_eq!(parser.handle_input(b"data: SECRET\n\n"), Ok(14));
    assert!(!format!("{parser:?}").contains("SECRET"));
    let event = parser.poll_event().expect("an event");
    assert!(!format!("{event:?}").contains("SECRET"));
    assert!(!event.is_done());
    let error = event.chunk().expect_err("no JSON");
    assert!(!format!("{error} {error:?}").contains("SECRET"));
}
