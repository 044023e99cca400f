//! The reader of chats: an answer in pieces gives the events of a plain reading of it, streamed or whole, a success or not. `Done` comes
//! once, last, and only after the exchange was complete; after a failure nothing comes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire_core::chat::json::JsonStr;
use sealwire_core::chat::{ChatChunk, ChatCompletion, ChatError, ChatEvent, ChatReader, Usage};
use sealwire_core::head::ResponseHead;
use sealwire_fuzz::{StreamEnd, World, pieces, quotes_nothing, read_whole_stream};

/// An event in words, to be compared.
fn words(event: ChatEvent<'_>) -> String {
    let text = |text: JsonStr<'_>| text.raw().to_owned();
    match event {
        ChatEvent::Text { choice, text: t } => format!("text {choice} {}", text(t)),
        ChatEvent::Refusal { choice, text: t } => format!("refusal {choice} {}", text(t)),
        ChatEvent::Reasoning { choice, text: t } => format!("reasoning {choice} {}", text(t)),
        ChatEvent::Finish { choice, reason } => format!("finish {choice} {}", text(reason)),
        ChatEvent::ToolCall { choice, call } => tool_call(
            choice,
            call.index,
            [call.id, call.kind, call.name, call.arguments],
        ),
        ChatEvent::Usage(usage) => usage_words(usage),
        ChatEvent::Failed { status, error } => {
            let message = error.and_then(|error| error.message()).map(text);
            format!("failed {status} {message:?}")
        }
        ChatEvent::Done => "done".into(),
        other => panic!("{other:?}"),
    }
}

fn tool_call(choice: u64, index: Option<u64>, parts: [Option<JsonStr<'_>>; 4]) -> String {
    format!(
        "call {choice} {index:?} {:?}",
        parts.map(|part| part.map(|part| part.raw().to_owned()))
    )
}

fn usage_words(usage: Usage) -> String {
    format!("usage {usage:?}")
}

/// The words of some texts, those that say nothing left out.
fn texts(choice: u64, texts: [(&str, Option<JsonStr<'_>>); 3], out: &mut Vec<String>) {
    for (name, text) in texts {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            out.push(format!("{name} {choice} {}", text.raw()));
        }
    }
}

/// `false` for a chunk that tells of an error.
fn expect_chunk(status: u16, chunk: &ChatChunk<'_>, out: &mut Vec<String>) -> bool {
    if let Some(error) = chunk.error() {
        let message = error.message().map(|message| message.raw().to_owned());
        out.push(format!("failed {status} {message:?}"));
        return false;
    }
    for part in chunk.choices() {
        if let Some(delta) = part.delta() {
            let all = [
                ("reasoning", delta.reasoning_content()),
                ("text", delta.content()),
                ("refusal", delta.refusal()),
            ];
            texts(part.index(), all, out);
            for call in delta.tool_calls() {
                let parts = [call.id(), call.kind(), call.name(), call.arguments()];
                out.push(tool_call(part.index(), call.index(), parts));
            }
        }
        if let Some(reason) = part.finish_reason().filter(|reason| !reason.is_empty()) {
            out.push(format!("finish {} {}", part.index(), reason.raw()));
        }
    }
    out.extend(chunk.usage().map(usage_words));
    true
}

/// What a streamed answer brings, and whether it is one.
fn expect_stream(status: u16, body: &[u8]) -> (Vec<String>, bool) {
    let mut out = Vec::new();
    let (events, end, _) = read_whole_stream(body);
    for event in &events {
        if event.data == "[DONE]" {
            return (out, true);
        }
        match ChatChunk::parse(&event.data) {
            Ok(chunk) if expect_chunk(status, &chunk, &mut out) => {}
            Ok(_) => return (out, true),
            Err(_) => return (out, false),
        }
    }
    (out, end == StreamEnd::Clean)
}

fn expect_whole(world: &World, body: &[u8]) -> Option<Vec<String>> {
    let body = world.memory.copy_from(body).expect("ordinary memory");
    let completion = ChatCompletion::parse(body).ok()?;
    let mut out = Vec::new();
    for part in completion.choices() {
        let message = part.message();
        let all = [
            ("reasoning", message.reasoning_content()),
            ("text", message.content()),
            ("refusal", message.refusal()),
        ];
        texts(part.index(), all, &mut out);
        for (at, call) in (0..).zip(message.tool_calls()) {
            let parts = [call.id(), call.kind(), call.name(), call.arguments()];
            out.push(tool_call(part.index(), Some(at), parts));
        }
        if let Some(reason) = part.finish_reason().filter(|reason| !reason.is_empty()) {
            out.push(format!("finish {} {}", part.index(), reason.raw()));
        }
    }
    out.extend(completion.usage().map(usage_words));
    Some(out)
}

/// Every event, up to the end or the first failure.
fn read(reader: &mut ChatReader, body: &[u8], how: u8) -> (Vec<String>, Result<(), ChatError>) {
    let mut found = Vec::new();
    for piece in pieces(body, how) {
        let mut rest = piece;
        while !rest.is_empty() {
            let taken = match reader.handle_input(rest) {
                Ok(taken) => taken,
                Err(error) => return (found, Err(error)),
            };
            rest = &rest[taken..];
            let before = found.len();
            found.extend(std::iter::from_fn(|| reader.poll_event().map(words)));
            assert!(taken > 0 || found.len() > before, "no progress");
        }
    }
    assert!(!found.iter().any(|event| event == "done"), "done too early");
    let end = reader.handle_complete();
    found.extend(std::iter::from_fn(|| reader.poll_event().map(words)));
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
        let (mut found, end) = read(&mut reader, body, how);
        let (expected, is_answer) = if is_stream {
            expect_stream(status, body)
        } else if status == 200 {
            let expected = expect_whole(world, body);
            let is_answer = expected.is_some();
            (expected.unwrap_or_default(), is_answer)
        } else {
            // Failed, with a reason or without.
            assert!(
                found
                    .first()
                    .is_some_and(|first| first.starts_with("failed 429 "))
            );
            (vec![found[0].clone()], true)
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
