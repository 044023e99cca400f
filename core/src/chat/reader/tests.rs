//! LIMIT-2: giving out the parts of an answer goes over it a fixed number of times, however many they are, and whatever came before.

extern crate std;

use alloc::string::String;
use alloc::vec::Vec;
use std::format;

use sealwire_memlock::{Policy, SecureMemory};

use super::super::json::work;
use super::{ChatEvent, ChatReader};
use crate::head::ResponseHead;

const COUNT: u64 = 20_000;
/// How often reading may go over a byte: values are passed once for each level that they are nested in and each member that is looked
/// for in them, which was 30 times at most. With each part looked for from the start, 1,000 of them already took 12,000 times.
const PASSES: usize = 40;

fn list(item: impl Fn(u64) -> String) -> String {
    (0..COUNT).map(item).collect::<Vec<_>>().join(",")
}

/// Gives the answer to a reader, and checks that it gives `COUNT` events, numbered in order by `number`.
fn read_all(content_type: &str, body: &str, number: impl Fn(&ChatEvent<'_>) -> Option<u64>) {
    let memory = SecureMemory::new(Policy::BestEffort);
    let mut head = ResponseHead::new(200, [7; 16]);
    head.content_type = Some(content_type);
    let mut reader = ChatReader::with_limit(&memory, &head, 16 << 20).expect("memory");
    work::take();
    let mut rest = body.as_bytes();
    let mut expected = 0;
    let mut drain = |reader: &mut ChatReader| {
        while let Some(event) = reader.poll_event() {
            if !matches!(event, ChatEvent::Done) {
                assert_eq!(number(&event), Some(expected));
                expected += 1;
            }
        }
    };
    while !rest.is_empty() {
        let taken = reader.handle_input(rest).expect("an answer");
        rest = &rest[taken..];
        drain(&mut reader);
    }
    reader.handle_complete().expect("an answer");
    drain(&mut reader);
    assert_eq!(expected, COUNT);
    let scanned = work::take();
    assert!(
        scanned >= body.len(),
        "the counter counts: {scanned} of {} bytes",
        body.len()
    );
    assert!(
        scanned <= PASSES * body.len(),
        "{} bytes, gone over {} times",
        body.len(),
        scanned / body.len()
    );
}

fn choice_of(event: &ChatEvent<'_>) -> Option<u64> {
    match event {
        ChatEvent::Text { choice, text } if *text == "x" => Some(*choice),
        _ => None,
    }
}

fn call_of(event: &ChatEvent<'_>) -> Option<u64> {
    match event {
        ChatEvent::ToolCall { choice: 3, call } if call.name.is_some_and(|name| name == "f") => {
            call.index
        }
        _ => None,
    }
}

/// LIMIT-2: an event with many choices.
#[test]
fn choices_of_an_event() {
    let choices = list(|n| format!(r#"{{"index":{n},"delta":{{"content":"x"}}}}"#));
    let event = format!("data: {{\"choices\":[{choices}]}}\n\n");
    read_all("text/event-stream", &event, choice_of);
}

/// LIMIT-2: an event with many tool calls in one choice.
#[test]
fn tool_calls_of_an_event() {
    let calls = list(|n| format!(r#"{{"index":{n},"function":{{"name":"f"}}}}"#));
    let choice = format!(r#"{{"index":3,"delta":{{"tool_calls":[{calls}]}}}}"#);
    let event = format!("data: {{\"choices\":[{choice}]}}\n\n");
    read_all("text/event-stream", &event, call_of);
}

fn text_of(event: &ChatEvent<'_>) -> Option<u64> {
    match event {
        ChatEvent::Text { choice: 3, text } | ChatEvent::Reasoning { choice: 3, text } => {
            text.as_plain()?.parse().ok()
        }
        _ => None,
    }
}

/// LIMIT-2: a content of many parts, streamed and whole.
#[test]
fn parts_of_a_content() {
    let parts = list(|n| match n % 2 {
        0 => format!(r#"{{"type":"text","text":"{n}"}}"#),
        _ => format!(r#"{{"type":"thinking","thinking":[{{"type":"text","text":"{n}"}}]}}"#),
    });
    let event =
        format!("data: {{\"choices\":[{{\"index\":3,\"delta\":{{\"content\":[{parts}]}}}}]}}\n\n");
    read_all("text/event-stream", &event, text_of);
    let body = format!(r#"{{"choices":[{{"index":3,"message":{{"content":[{parts}]}}}}]}}"#);
    read_all("application/json", &body, text_of);
}

/// LIMIT-2: one part that holds many thoughts.
#[test]
fn thoughts_of_a_part() {
    let thoughts = list(|n| format!(r#"{{"type":"text","text":"{n}"}}"#));
    let part = format!(r#"{{"type":"thinking","thinking":[{thoughts}]}}"#);
    let body = format!(r#"{{"choices":[{{"index":3,"message":{{"content":[{part}]}}}}]}}"#);
    read_all("application/json", &body, text_of);
}

/// LIMIT-2: many events after a long id, which stays the id of each of them.
#[test]
fn events_after_a_long_id() {
    let id = "i".repeat(1 << 20);
    let event =
        |n| format!("data:{{\"choices\":[{{\"index\":{n},\"delta\":{{\"content\":\"x\"}}}}]}}\n\n");
    let events = (0..COUNT).map(event).collect::<String>();
    read_all(
        "text/event-stream",
        &format!("id: {id}\n{events}"),
        choice_of,
    );
}

/// LIMIT-2: a whole answer with many choices.
#[test]
fn choices_of_a_whole_answer() {
    let choices = list(|n| format!(r#"{{"index":{n},"message":{{"content":"x"}}}}"#));
    let body = format!(" {{\"choices\":[{choices}]}}");
    read_all("application/json", &body, choice_of);
}

/// LIMIT-2: a whole answer with many tool calls in one choice; they are numbered by their order.
#[test]
fn tool_calls_of_a_whole_answer() {
    let calls = list(|_| r#"{"index":9,"function":{"name":"f"}}"#.into());
    let choice = format!(r#"{{"index":3,"message":{{"tool_calls":[{calls}]}}}}"#);
    let body = format!("\n{{\"choices\":[{choice}]}}");
    read_all("application/json", &body, call_of);
}
