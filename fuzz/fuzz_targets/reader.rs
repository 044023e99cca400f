//! The reader of chats: an answer in pieces gives the events of a plain reading of it, streamed or whole, a success or not; the texts and
//! calls are those that serde_json reads. `Done` comes once, last, and only after the exchange was complete; after a failure nothing comes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire_core::chat::json::JsonStr;
use sealwire_core::chat::{
    ApiError, ChatChunk, ChatCompletion, ChatError, ChatEvent, ChatReader, Usage,
};
use sealwire_core::head::ResponseHead;
use sealwire_fuzz::{
    Call, StreamEnd, World, calls, is_done, pieces, quotes_nothing, read_whole_stream, said,
};
use serde_json::Value;

fn own(world: &World, text: JsonStr<'_>) -> String {
    let text = text.to_secure(&world.memory).expect("ordinary memory");
    text.expose().to_owned()
}

/// An event in words, to be compared.
fn words(world: &World, event: ChatEvent<'_>) -> String {
    let own = |text: JsonStr<'_>| own(world, text);
    match event {
        ChatEvent::Text { choice, text } => format!("text {choice} {}", own(text)),
        ChatEvent::Refusal { choice, text } => format!("refusal {choice} {}", own(text)),
        ChatEvent::Reasoning { choice, text } => format!("reasoning {choice} {}", own(text)),
        ChatEvent::Finish { choice, reason } => format!("finish {choice} {}", own(reason)),
        ChatEvent::ToolCall { choice, call } => {
            let parts = [call.id, call.kind, call.name, call.arguments];
            call_words(choice, &(call.index, parts.map(|part| part.map(own))))
        }
        ChatEvent::Usage(usage) => usage_words(usage),
        ChatEvent::Failed { status, error } => failed(world, status, error),
        ChatEvent::Done => "done".into(),
        other => panic!("{other:?}"),
    }
}

fn call_words(choice: u64, (index, parts): &Call) -> String {
    format!("call {choice} {index:?} {parts:?}")
}

fn usage_words(usage: Usage) -> String {
    format!("usage {usage:?}")
}

fn failed(world: &World, status: u16, error: Option<ApiError<'_>>) -> String {
    let message = error.and_then(|error| error.message());
    let message = message.map(|message| own(world, message));
    format!("failed {status} {message:?}")
}

/// The words of a choice: what `message` says, the calls numbered if it is whole, and why it ends.
fn choice_words(choice: u64, message: &Value, ends: &Value, whole: bool, out: &mut Vec<String>) {
    let mut text = |kind: &str, text: &str| {
        if !text.is_empty() {
            out.push(format!("{kind} {choice} {text}"));
        }
    };
    for said in said(message) {
        text(said.kind, &said.text);
    }
    text("refusal", message["refusal"].as_str().unwrap_or(""));
    for (at, (index, parts)) in (0..).zip(calls(message)) {
        let index = if whole { Some(at) } else { index };
        out.push(call_words(choice, &(index, parts)));
    }
    let reason = ends["finish_reason"].as_str().unwrap_or("");
    if !reason.is_empty() {
        out.push(format!("finish {choice} {reason}"));
    }
}

/// What serde_json reads. It has no numbers beyond a double: an answer with such a number cannot be compared.
fn theirs(text: &[u8]) -> Result<Value, Beyond> {
    serde_json::from_slice(text).map_err(|_| Beyond)
}

/// Serde_json refused what was accepted.
struct Beyond;

/// What a streamed answer brings, and whether it is one.
fn expect_stream(world: &World, status: u16, body: &[u8]) -> Result<(Vec<String>, bool), Beyond> {
    let mut out = Vec::new();
    let stream = read_whole_stream(body);
    let mut begun = false;
    for event in &stream.events {
        if is_done(event.data.as_bytes()) {
            return Ok((out, begun));
        }
        if event.data.trim_ascii().is_empty() {
            continue;
        }
        begun = true;
        let Ok(chunk) = ChatChunk::parse(&event.data) else {
            return Ok((out, false));
        };
        if let Some(error) = chunk.error() {
            out.push(failed(world, status, Some(error)));
            return Ok((out, true));
        }
        let theirs = theirs(event.data.as_bytes())?;
        for (at, choice) in chunk.choices().enumerate() {
            let theirs = &theirs["choices"][at];
            choice_words(choice.index(), &theirs["delta"], theirs, false, &mut out);
        }
        out.extend(chunk.usage().map(usage_words));
    }
    Ok((out, begun && stream.end == StreamEnd::Clean))
}

/// The same of a whole one.
fn expect_whole(world: &World, status: u16, body: &[u8]) -> Result<(Vec<String>, bool), Beyond> {
    let copy = world.memory.copy_from(body).expect("ordinary memory");
    let mut out = Vec::new();
    match ChatCompletion::parse_or_error(copy) {
        Ok(Ok(completion)) => {
            let theirs = theirs(body)?;
            for (at, choice) in completion.choices().enumerate() {
                let theirs = &theirs["choices"][at];
                choice_words(choice.index(), &theirs["message"], theirs, true, &mut out);
            }
            out.extend(completion.usage().map(usage_words));
        }
        Ok(Err(error)) => out.push(failed(world, status, error.error())),
        Err(_) => return Ok((out, false)),
    }
    Ok((out, true))
}

/// Every event, up to the end or the first failure.
fn read(
    world: &World,
    reader: &mut ChatReader,
    body: &[u8],
    how: u8,
) -> (Vec<String>, Result<(), ChatError>) {
    let mut found = Vec::new();
    let poll = |reader: &mut ChatReader| reader.poll_event().map(|event| words(world, event));
    for piece in pieces(body, how) {
        let mut rest = piece;
        while !rest.is_empty() {
            let taken = match reader.handle_input(rest) {
                Ok(taken) => taken,
                Err(error) => return (found, Err(error)),
            };
            rest = &rest[taken..];
            let before = found.len();
            found.extend(std::iter::from_fn(|| poll(reader)));
            assert!(taken > 0 || found.len() > before, "no progress");
        }
    }
    assert!(!found.iter().any(|event| event == "done"), "done too early");
    let end = reader.handle_complete();
    found.extend(std::iter::from_fn(|| poll(reader)));
    (found, end)
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (how, kind, body) = input;
    World::with(|world| {
        let status = if kind & 1 == 0 { 200 } else { 429 };
        let mut head = ResponseHead::new(status, [7; 16]);
        let is_stream = kind & 2 == 0 && status == 200;
        if kind & 2 == 0 {
            head.content_type = Some("Text/Event-Stream; charset=utf-8");
        }
        let mut reader = ChatReader::new(&world.memory, &head).expect("ordinary memory");
        let (mut found, end) = read(world, &mut reader, body, how);
        let expected = if is_stream {
            expect_stream(world, status, body)
        } else if status == 200 {
            expect_whole(world, status, body)
        } else {
            // Failed, with a reason or without.
            assert!(
                found
                    .first()
                    .is_some_and(|first| first.starts_with("failed 429 "))
            );
            Ok((vec![found[0].clone()], true))
        };
        let Ok((expected, is_answer)) = expected else {
            return;
        };
        assert_eq!(end.is_ok(), is_answer, "{end:?}");
        if let Err(error) = &end {
            quotes_nothing(error);
        }
        match is_answer {
            true => assert_eq!(found.pop().as_deref(), Some("done")),
            false => assert!(reader.handle_input(b"x").is_err() && reader.poll_event().is_none()),
        }
        assert_eq!(found, expected);
    });
});
