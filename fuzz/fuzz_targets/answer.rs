//! Chat answers, chunks and error bodies: what is accepted is JSON, and each text read from it is what serde_json reads at the same
//! place. A stream of chunks, put together, holds the deltas in their order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire_core::chat::json::JsonStr;
use sealwire_core::chat::{ChatAccumulator, ChatChunk, ChatCompletion, ChatRequest, ErrorBody};
use sealwire_fuzz::World;
use serde_json::Value;

/// Compares a text of ours with a string of serde_json's; anything but a string is none to us.
fn same(world: &World, ours: Option<JsonStr<'_>>, theirs: &Value) {
    let ours = ours.map(|text| text.to_secure(&world.memory).expect("ordinary memory"));
    assert_eq!(ours.as_ref().map(|text| text.expose()), theirs.as_str());
}

/// The first of a call's two forms that is there.
fn called(call: &Value) -> &Value {
    match &call["function"] {
        Value::Null => &call["custom"],
        function => function,
    }
}

fn arguments(called: &Value) -> &Value {
    match &called["arguments"] {
        Value::Null => &called["input"],
        arguments => arguments,
    }
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
        same(
            world,
            message.reasoning_content(),
            &theirs["reasoning_content"],
        );
        for (at, call) in message.tool_calls().enumerate() {
            let theirs = &theirs["tool_calls"][at];
            same(world, call.id(), &theirs["id"]);
            same(world, call.kind(), &theirs["type"]);
            same(world, call.name(), &called(theirs)["name"]);
            same(world, call.arguments(), arguments(called(theirs)));
        }
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
    let mut contents: Vec<(u64, String)> = Vec::new();
    for line in stream.split(|byte| *byte == b'\n') {
        let Some(chunk) = std::str::from_utf8(line)
            .ok()
            .and_then(|line| ChatChunk::parse(line).ok())
        else {
            continue;
        };
        if let Some(error) = chunk.error() {
            let _ = (error.message(), error.kind(), error.code(), error.param());
        }
        if let Some(theirs) = theirs(line) {
            same(world, chunk.id(), &theirs["id"]);
            for (at, choice) in chunk.choices().enumerate() {
                let theirs = &theirs["choices"][at]["delta"];
                let delta = choice.delta();
                same(world, delta.and_then(|d| d.role()), &theirs["role"]);
                same(world, delta.and_then(|d| d.content()), &theirs["content"]);
            }
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
        for choice in chunk.choices() {
            let Some(text) = choice.delta().and_then(|delta| delta.content()) else {
                continue;
            };
            let text = text.to_secure(&world.memory).expect("ordinary memory");
            match contents
                .iter_mut()
                .find(|(index, _)| *index == choice.index())
            {
                Some((_, content)) => content.push_str(text.expose()),
                None => contents.push((choice.index(), text.expose().into())),
            }
        }
    }
    for choice in answer.choices() {
        let content = contents.iter().find(|(index, _)| *index == choice.index());
        assert_eq!(
            choice.content(),
            content.map(|(_, content)| content.as_str())
        );
        assert!(choice.tool_calls().len() <= 128);
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
        let body = world.memory.copy_from(bytes).expect("ordinary memory");
        if let Ok(body) = ErrorBody::parse(body) {
            let _ = body.error().map(|error| (error.message(), error.kind()));
            assert_eq!(format!("{body:?}"), "ErrorBody([REDACTED])");
        }
    });
});
