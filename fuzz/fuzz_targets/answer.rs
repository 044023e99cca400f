//! Chat answers, chunks and error bodies: what is accepted is JSON, and each text read from it is what serde_json reads at the same
//! place. A stream of chunks, put together, holds the deltas in their order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire_core::chat::json::JsonStr;
use sealwire_core::chat::{ChatAccumulator, ChatChunk, ChatCompletion, ChatRequest, ErrorBody};
use sealwire_fuzz::{Call, CallsTogether, Said, World, calls, read_first, said, tells_of_an_error};
use serde_json::Value;

/// Compares a text of ours with a string of serde_json's; anything but a string is none to us.
fn same(world: &World, ours: Option<JsonStr<'_>>, theirs: &Value) {
    let ours = ours.map(|text| text.to_secure(&world.memory).expect("ordinary memory"));
    assert_eq!(ours.as_ref().map(|text| text.expose()), theirs.as_str());
}

/// Strings of ours.
fn own<'a>(world: &World, ours: impl IntoIterator<Item = JsonStr<'a>>) -> Vec<String> {
    let own = |text: JsonStr<'_>| text.to_secure(&world.memory).expect("ordinary memory");
    let all = ours.into_iter();
    all.map(|text| own(text).expose().to_owned()).collect()
}

/// Those of some texts that are of this kind.
fn of_kind(said: &[Said], kind: &str) -> Vec<String> {
    let those = said.iter().filter(|said| said.kind == kind);
    those.map(|said| said.text.clone()).collect()
}

fn call<'a>(world: &World, index: Option<u64>, parts: [Option<JsonStr<'a>>; 4]) -> Call {
    (index, parts.map(|part| own(world, part).pop()))
}

fn check_completion(world: &World, bytes: &[u8]) {
    let body = world.memory.copy_from(bytes).expect("ordinary memory");
    let Ok(completion) = ChatCompletion::parse(body) else {
        return;
    };
    let Some(theirs) = theirs(bytes) else { return };
    same(world, completion.id(), &theirs["id"]);
    same(world, completion.model(), &theirs["model"]);
    let (_, _) = (completion.created(), completion.usage());
    assert_eq!(
        completion.choices().count(),
        theirs["choices"].as_array().map_or(0, Vec::len)
    );
    for (at, choice) in completion.choices().enumerate() {
        let theirs = &theirs["choices"][at];
        same(world, choice.finish_reason(), &theirs["finish_reason"]);
        let (message, theirs) = (choice.message(), &theirs["message"]);
        same(world, message.role(), &theirs["role"]);
        same(world, message.content(), &theirs["content"]);
        same(world, message.refusal(), &theirs["refusal"]);
        let reasoning = match &theirs["reasoning_content"] {
            Value::Null => &theirs["reasoning"],
            reasoning => reasoning,
        };
        same(world, message.reasoning_content(), reasoning);
        let said = said(theirs);
        assert_eq!(own(world, message.texts()), of_kind(&said, "text"));
        assert_eq!(own(world, message.thoughts()), of_kind(&said, "reasoning"));
        let ours = message.tool_calls().map(|ours| {
            let parts = [ours.id(), ours.kind(), ours.name(), ours.arguments()];
            call(world, None, parts)
        });
        let theirs = calls(theirs).into_iter().map(|(_, parts)| (None, parts));
        assert!(ours.eq(theirs));
    }
    assert_eq!(completion.into_body().expose(), bytes);
}

/// What serde_json makes of an accepted text. It has no numbers beyond a double, and of two members of one name it keeps the last: of
/// those that we know there is only one, but for names inside members that we do not know.
fn theirs(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

/// `stream` holds chunks, one a line.
fn check_chunks(world: &World, stream: &[u8]) {
    let mut answer = ChatAccumulator::with_limit(&world.memory, 256);
    let mut contents: Vec<(u64, [Option<String>; 2], CallsTogether)> = Vec::new();
    for line in stream.split(|byte| *byte == b'\n') {
        let Some(chunk) = std::str::from_utf8(line)
            .ok()
            .and_then(|line| ChatChunk::parse(line).ok())
        else {
            continue;
        };
        let first = read_first(line);
        assert!(first.is_none_or(|first| tells_of_an_error(&first) == chunk.error().is_some()));
        if let Some(error) = chunk.error() {
            let _ = (error.message(), error.kind(), error.code(), error.param());
        }
        // What cannot be held against another reading is left out of the answer.
        let Some(theirs) = theirs(line) else { continue };
        same(world, chunk.id(), &theirs["id"]);
        for (at, choice) in chunk.choices().enumerate() {
            let theirs = &theirs["choices"][at]["delta"];
            let Some(delta) = choice.delta() else {
                assert!(theirs.is_null());
                continue;
            };
            same(world, delta.role(), &theirs["role"]);
            same(world, delta.content(), &theirs["content"]);
            let said = said(theirs);
            assert_eq!(own(world, delta.texts()), of_kind(&said, "text"));
            assert_eq!(own(world, delta.thoughts()), of_kind(&said, "reasoning"));
            let ours = delta.tool_calls().map(|ours| {
                let parts = [ours.id(), ours.kind(), ours.name(), ours.arguments()];
                call(world, ours.index(), parts)
            });
            assert!(ours.eq(calls(theirs)));
        }
        if answer.push(&chunk).is_err() {
            let held: usize = answer
                .choices()
                .iter()
                .filter_map(|choice| choice.content())
                .map(str::len)
                .sum();
            assert!(held <= 256);
            assert!(answer.push(&chunk).is_err(), "an answer with a hole");
            return;
        }
        if chunk.error().is_some() {
            continue;
        }
        for (at, choice) in chunk.choices().enumerate() {
            let known = contents.iter().position(|(of, ..)| *of == choice.index());
            let known = known.unwrap_or_else(|| {
                contents.push((choice.index(), [None, None], CallsTogether::default()));
                contents.len() - 1
            });
            let (_, texts, calls) = &mut contents[known];
            let delta = &theirs["choices"][at]["delta"];
            for said in said(delta) {
                let kept = &mut texts[usize::from(said.kind == "text")];
                kept.get_or_insert_default().push_str(&said.text);
            }
            calls.push(delta);
        }
    }
    assert_eq!(answer.choices().len(), contents.len());
    for (choice, (index, [thoughts, content], calls)) in answer.choices().iter().zip(&contents) {
        assert_eq!(choice.index(), *index);
        assert_eq!(choice.content(), content.as_deref());
        assert_eq!(choice.reasoning_content(), thoughts.as_deref());
        assert!(choice.tool_calls().len() <= 128);
        let ours = choice.tool_calls().iter().map(|call| {
            let arguments = call.arguments();
            [call.id(), call.kind(), call.name(), Some(arguments)]
        });
        let theirs = calls.calls().map(|[id, kind, name, arguments]| {
            let arguments = arguments.as_deref().unwrap_or("");
            let [id, kind, name] = [id, kind, name].map(Option::as_deref);
            [id, kind, name, Some(arguments)]
        });
        assert!(ours.eq(theirs));
    }
    // What a conversation goes on with is JSON again, and says the same.
    let messages = answer.choices().iter().map(|choice| choice.to_message());
    let request = ChatRequest::new("m").messages(messages);
    let body = request.to_json(&world.memory).expect("plain values");
    let read: Value = serde_json::from_slice(body.expose()).expect("JSON");
    for (at, choice) in answer.choices().iter().enumerate() {
        assert_eq!(read["messages"][at]["content"].as_str(), choice.content());
    }
}

fuzz_target!(|bytes: &[u8]| {
    World::with(|world| {
        check_completion(world, bytes);
        check_chunks(world, bytes);
        let body = || world.memory.copy_from(bytes).expect("ordinary memory");
        let in_place = ChatCompletion::parse_or_error(body());
        if let Ok(body) = ErrorBody::parse(body()) {
            let error = body.error();
            let first = read_first(bytes);
            assert!(first.is_none_or(|first| tells_of_an_error(&first) == error.is_some()));
            assert_eq!(matches!(in_place, Ok(Err(_))), error.is_some());
            let _ = error.map(|error| (error.message(), error.kind()));
            assert_eq!(format!("{body:?}"), "ErrorBody([REDACTED])");
        }
    });
});
