//! Streamed answers: chunks, and the answer they add up to.

use sealwire_core::chat::json::{Json, JsonStr};
use sealwire_core::chat::{
    AccumulatedToolCall, ChatAccumulator, ChatChunk, ChatError, ChatRequest, SseParser,
};
use sealwire_memlock::{Policy, SecureMemory};
use serde_json::{Value, json};

const MEMORY: SecureMemory = SecureMemory::new(Policy::BestEffort);

fn accumulate(chunks: &[&str]) -> Result<ChatAccumulator, ChatError> {
    let mut answer = ChatAccumulator::new(&MEMORY);
    for data in chunks {
        answer.push(&ChatChunk::parse(data)?)?;
    }
    Ok(answer)
}

#[test]
fn a_chunk_is_read() {
    let chunk = ChatChunk::parse(
        r#"{"id":"1","model":"m","created":2,"system_fingerprint":"fp","x":true,"choices":[{"index":3,
            "delta":{"role":"assistant","content":"a\n","refusal":"b","reasoning_content":"c","tool_calls":[
            {"index":4,"id":"i","type":"function","function":{"name":"f","arguments":"{"}}]},
            "logprobs":{},"finish_reason":"length"}],"usage":null}"#,
    )
    .expect("a chunk");
    assert!(chunk.id().is_some_and(|id| id == "1"));
    assert!(chunk.model().is_some_and(|model| model == "m"));
    assert!(
        chunk
            .system_fingerprint()
            .is_some_and(|fingerprint| fingerprint == "fp")
    );
    assert_eq!(chunk.created(), Some(2));
    assert_eq!(chunk.raw("x").and_then(Json::as_bool), Some(true));
    assert!(chunk.usage().is_none());
    assert!(chunk.error().is_none());
    let choice = chunk.choices().next().expect("a choice");
    assert_eq!(choice.index(), 3);
    assert!(
        choice
            .finish_reason()
            .is_some_and(|reason| reason == "length")
    );
    assert!(choice.logprobs().is_some());
    let delta = choice.delta().expect("a delta");
    assert!(delta.role().is_some_and(|role| role == "assistant"));
    let content = delta.content().expect("a content");
    assert_eq!(content.as_plain(), None);
    assert_eq!(content.to_secure(&MEMORY).expect("memory").expose(), "a\n");
    assert_eq!(delta.refusal().and_then(JsonStr::as_plain), Some("b"));
    assert_eq!(
        delta.reasoning_content().and_then(JsonStr::as_plain),
        Some("c")
    );
    let call = delta.tool_calls().next().expect("a call");
    assert_eq!(call.index(), Some(4));
    assert!(call.id().is_some_and(|id| id == "i"));
    assert!(call.kind().is_some_and(|kind| kind == "function"));
    assert!(call.name().is_some_and(|name| name == "f"));
    assert_eq!(call.arguments().and_then(JsonStr::as_plain), Some("{"));
}

#[test]
fn chunks_without_choices_are_usage_or_errors() {
    let usage = ChatChunk::parse(r#"{"choices":[],"usage":{"total_tokens":9}}"#).expect("a chunk");
    assert_eq!(usage.usage().map(|usage| usage.total_tokens), Some(9));
    assert_eq!(usage.choices().count(), 0);

    for data in [
        r#"{"error":{"message":"overloaded"}}"#,
        r#"{"error":"overloaded"}"#,
    ] {
        let chunk = ChatChunk::parse(data).expect("a chunk");
        let message = chunk.error().and_then(|error| error.message());
        assert!(message.is_some_and(|message| message == "overloaded"));
    }

    // Beside choices, what says nothing of an error is none.
    for member in [
        r#""detail":"x""#,
        r#""error":"""#,
        r#""error":false"#,
        r#""error":{}"#,
    ] {
        let data = format!(r#"{{{member},"choices":[]}}"#);
        assert!(ChatChunk::parse(&data).expect("a chunk").error().is_none());
    }

    for (data, error) in [
        ("{}", ChatError::Missing { member: "choices" }),
        (r#"{"error":{}}"#, ChatError::Missing { member: "choices" }),
        (
            r#"{"choices":[{"delta":{"content":"a","content":"b"}}]}"#,
            ChatError::Duplicate { member: "content" },
        ),
        (
            r#"{"choices":[{"delta":[]}]}"#,
            ChatError::Unexpected {
                member: "delta",
                expected: "an object",
                offset: 21,
            },
        ),
    ] {
        assert_eq!(ChatChunk::parse(data).err(), Some(error));
    }
    assert!(ChatChunk::parse("[DONE]").is_err());
}

#[test]
fn every_truncated_chunk_is_refused() {
    let data = r#"{"id":"1","choices":[{"index":0,"delta":{"content":"\u00e9"}}],"usage":{"total_tokens":1}}"#;
    for end in 0..data.len() {
        assert!(matches!(
            ChatChunk::parse(&data[..end]),
            Err(ChatError::Json { .. })
        ));
    }
}

#[test]
fn texts_and_tool_calls_add_up() {
    let answer = accumulate(&[
        r#"{"id":"1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":null}}]}"#,
        r#"{"id":"1","choices":[{"index":0,"delta":{"reasoning_content":"h"}}]}"#,
        r#"{"id":"1","choices":[{"index":0,"delta":{"reasoning_content":"m"}}]}"#,
        r#"{"id":"1","choices":[{"index":0,"delta":{"content":"caf\u00e9"}},{"index":1,"delta":{"refusal":"n"}}]}"#,
        r#"{"id":"1","choices":[{"index":0,"delta":{"content":"\n"}},{"index":1,"delta":{"refusal":"o"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":5,"id":"b","type":"custom","custom":{"name":"t","input":"i"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":":1}"}}]}}]}"#,
        r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}],"usage":{"total_tokens":1}}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        r#"{"choices":[],"usage":{"total_tokens":9}}"#,
    ])
    .expect("an answer");
    assert_eq!((answer.id(), answer.model()), (Some("1"), Some("m")));
    assert!(answer.is_finished());
    assert_eq!(answer.usage().map(|usage| usage.total_tokens), Some(9));

    let [first, second] = answer.choices() else {
        panic!("two choices");
    };
    assert_eq!(first.role(), Some("assistant"));
    assert_eq!(first.content(), Some("café\n"));
    assert_eq!(first.reasoning_content(), Some("hm"));
    assert_eq!(first.refusal(), None);
    assert_eq!(first.finish_reason(), Some("tool_calls"));
    let [function, custom] = first.tool_calls() else {
        panic!("two calls");
    };
    assert_eq!(
        (function.id(), function.kind(), function.name()),
        (Some("a"), Some("function"), Some("f"))
    );
    assert_eq!(function.arguments(), r#"{"x":1}"#);
    assert_eq!(
        (custom.id(), custom.kind(), custom.name()),
        (Some("b"), Some("custom"), Some("t"))
    );
    assert_eq!(custom.arguments(), "i");
    assert_eq!(
        (second.index(), second.content(), second.refusal()),
        (1, None, Some("no"))
    );

    // And the conversation goes on.
    let request = ChatRequest::new("m").message(first.to_message());
    let body = request.to_json(&MEMORY).expect("written");
    let body: Value = serde_json::from_slice(body.expose()).expect("JSON");
    assert_eq!(
        body["messages"],
        json!([{"role": "assistant", "content": "café\n", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
            {"id": "b", "type": "custom", "custom": {"name": "t", "input": "i"}},
        ]}])
    );
}

#[test]
fn parts_of_a_content_add_up() {
    let answer = accumulate(&[
        r#"{"choices":[{"delta":{"reasoning":"h","created":0.5}}],"created":1.5}"#,
        r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"m"},{"type":"text","text":"."}]}]}}]}"#,
        r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":"!"},{"type":"text","text":"a"},{"type":"text","text":"b"}]}}]}"#,
        r#"{"choices":[{"delta":{"content":"c"}}]}"#,
    ])
    .expect("an answer");
    let choice = &answer.choices()[0];
    assert_eq!(choice.content(), Some("abc"));
    assert_eq!(choice.reasoning_content(), Some("hm.!"));
    // The limit counts what stands in parts, too.
    let mut answer = ChatAccumulator::with_limit(&MEMORY, 3);
    let parts = r#"{"choices":[{"delta":{"content":[{"type":"text","text":"ab"},{"type":"text","text":"cd"}]}}]}"#;
    let chunk = ChatChunk::parse(parts).expect("a chunk");
    assert_eq!(answer.push(&chunk), Err(ChatError::TooLarge { limit: 3 }));

    let unknown = r#"{"choices":[{"delta":{"content":[{"type":"image"}]}}]}"#;
    assert!(matches!(
        ChatChunk::parse(unknown),
        Err(ChatError::Unexpected { member: "type", .. })
    ));
}

#[test]
fn a_function_call_adds_up_beside_tool_calls() {
    let answer = accumulate(&[
        r#"{"choices":[{"delta":{"function_call":{"name":"f","arguments":""}}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"g","arguments":"1"}}]}}]}"#,
        r#"{"choices":[{"delta":{"function_call":{"arguments":"{\"x\""}}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"2"}}]}}]}"#,
        r#"{"choices":[{"delta":{"function_call":{"arguments":":1}"}},"finish_reason":"function_call"}]}"#,
    ])
    .expect("an answer");
    let choice = &answer.choices()[0];
    let [function, tool] = choice.tool_calls() else {
        panic!("two calls");
    };
    assert_eq!(
        (function.id(), function.kind(), function.name()),
        (None, Some("function_call"), Some("f"))
    );
    assert_eq!(function.arguments(), r#"{"x":1}"#);
    assert_eq!((tool.id(), tool.arguments()), (Some("a"), "12"));

    let request = ChatRequest::new("m").message(choice.to_message());
    let body = request.to_json(&MEMORY).expect("written");
    let body: Value = serde_json::from_slice(body.expose()).expect("JSON");
    assert_eq!(
        body["messages"],
        json!([{"role": "assistant",
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "g", "arguments": "12"}}],
            "function_call": {"name": "f", "arguments": "{\"x\":1}"}}])
    );
}

#[test]
fn an_error_adds_nothing() {
    let answer = accumulate(&[
        r#"{"choices":[{"delta":{"content":"a"}}]}"#,
        r#"{"id":"1","choices":[{"delta":{"content":"b"},"finish_reason":"error"}],"usage":{},"error":{"message":"m"}}"#,
    ])
    .expect("chunks");
    assert_eq!(answer.choices()[0].content(), Some("a"));
    assert_eq!((answer.id(), answer.usage()), (None, None));
    assert!(!answer.is_finished());
}

#[test]
fn tool_calls_without_an_index_are_told_apart_by_their_ids() {
    let answer = accumulate(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"1"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"2"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"id":"b","function":{"name":"g","arguments":"3"}}]}}]}"#,
    ])
    .expect("an answer");
    assert!(!answer.is_finished());
    let calls = answer.choices()[0].tool_calls();
    let calls: Vec<_> = calls
        .iter()
        .map(|call| (call.name(), call.arguments()))
        .collect();
    assert_eq!(calls, [(Some("f"), "12"), (Some("g"), "3")]);
}

/// Gemini, and Ollama for some models, give calls that are made at once the same index.
#[test]
fn tool_calls_of_one_index_are_told_apart_by_their_ids_and_names() {
    let call = |pieces: &[&str]| {
        let chunks: Vec<_> = pieces
            .iter()
            .map(|piece| format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{piece}]}}}}]}}"#))
            .collect();
        let chunks: Vec<_> = chunks.iter().map(String::as_str).collect();
        let answer = accumulate(&chunks).expect("an answer");
        let calls = answer.choices()[0].tool_calls();
        let called = |call: &AccumulatedToolCall| {
            let own = |text: Option<&str>| text.unwrap_or("-").to_owned();
            [
                own(call.id()),
                own(call.name()),
                call.arguments().to_owned(),
            ]
            .join(" ")
        };
        calls.iter().map(called).collect::<Vec<_>>()
    };
    let [f, g] = [
        r#"{"index":0,"id":"a","function":{"name":"f","arguments":"1"}}"#,
        r#"{"index":0,"id":"b","function":{"name":"g","arguments":"2"}}"#,
    ];
    let more = r#"{"index":0,"function":{"arguments":"3"}}"#;
    assert_eq!(call(&[f, g, more]), ["a f 1", "b g 23"]);
    assert_eq!(call(&[f, g, f]), ["a f 11", "b g 2"]);
    // The same function twice is two calls.
    assert_eq!(call(&[f, &g.replace("\"g\"", "\"f\"")]), ["a f 1", "b f 2"]);
    // An id without a name begins nothing: some servers make one up for each piece.
    for id in ["b", ""] {
        let piece =
            format!(r#"{{"index":0,"id":"{id}","function":{{"name":"","arguments":"2"}}}}"#);
        assert_eq!(call(&[f, &piece]), ["a f 12"]);
    }
    // Without an index, the id of a call is that call's.
    let bare = |piece: &str| piece.replace("\"index\":0,", "");
    let again = bare(f).replace("\"f\"", "\"\"");
    assert_eq!(
        call(&[&bare(f), &again, &bare(g), &again]),
        ["a f 111", "b g 2"]
    );
    assert_eq!(
        call(&[&bare(f), &again.replace("\"a\"", "\"\"")]),
        ["a f 11"]
    );
}

/// Gemini wants its signature of a thought back with the call.
#[test]
fn members_of_a_call_that_are_not_known_go_back_with_it() {
    let answer = accumulate(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"1"},"none":null,
            "extra_content":{"google":{"thought_signature":"s"}}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"2"},"extra_content":1,"x\u0079":[]}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","type":"custom","custom":{"name":"t"},"z":2}]}}]}"#,
    ])
    .expect("an answer");
    let choice = &answer.choices()[0];
    let names: Vec<_> = choice.tool_calls()[0]
        .extra()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["extra_content", "xy"]);
    let request = ChatRequest::new("m").message(choice.to_message());
    let body = request.to_json(&MEMORY).expect("written");
    let body: Value = serde_json::from_slice(body.expose()).expect("JSON");
    assert_eq!(
        body["messages"][0]["tool_calls"],
        json!([
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "12"},
                "extra_content": {"google": {"thought_signature": "s"}}, "xy": []},
            {"id": "b", "type": "custom", "custom": {"name": "t", "input": ""}, "z": 2},
        ])
    );

    // They count as text does, and no call has more than it may.
    let chunk = r#"{"choices":[{"delta":{"tool_calls":[{"ab":"cd"}]}}]}"#;
    let chunk = ChatChunk::parse(chunk).expect("a chunk");
    for (limit, result) in [(6, Ok(())), (5, Err(ChatError::TooLarge { limit: 5 }))] {
        let mut answer = ChatAccumulator::with_limit(&MEMORY, limit);
        assert_eq!(answer.push(&chunk), result);
    }
    for count in [128, 129] {
        let members: Vec<_> = (0..count).map(|n| format!(r#""m{n}":0"#)).collect();
        let chunk = format!(
            r#"{{"choices":[{{"delta":{{"tool_calls":[{{{}}}]}}}}]}}"#,
            members.join(",")
        );
        assert_eq!(accumulate(&[&chunk]).is_ok(), count == 128);
    }
}

#[test]
fn the_server_cannot_choose_how_much_memory_is_taken() {
    // Indices are compared, not allocated for.
    let far = r#"{"choices":[{"index":18446744073709551615,"delta":{"content":"a"}}]}"#;
    let answer = accumulate(&[far]).expect("an answer");
    assert_eq!(answer.choices()[0].index(), u64::MAX);

    let too_many = ChatError::TooLarge { limit: 128 };
    let mut answer = ChatAccumulator::new(&MEMORY);
    for index in 0..129 {
        let data = format!(r#"{{"choices":[{{"index":{index},"delta":{{}}}}]}}"#);
        let result = answer.push(&ChatChunk::parse(&data).expect("a chunk"));
        assert_eq!(result.is_ok(), index < 128);
    }
    // The first error stays.
    let chunk = ChatChunk::parse(far).expect("a chunk");
    assert_eq!(answer.push(&chunk), Err(too_many.clone()));

    let mut answer = ChatAccumulator::new(&MEMORY);
    for index in 0..129 {
        let data = format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":{index}}}]}}}}]}}"#);
        let result = answer.push(&ChatChunk::parse(&data).expect("a chunk"));
        assert_eq!(result.is_ok(), index < 128);
    }

    let mut answer = ChatAccumulator::with_limit(&MEMORY, 5);
    let chunk =
        ChatChunk::parse(r#"{"choices":[{"delta":{"content":"\u0061bc"}}]}"#).expect("a chunk");
    assert_eq!(answer.push(&chunk), Ok(()));
    assert_eq!(answer.push(&chunk), Err(ChatError::TooLarge { limit: 5 }));
}

/// The whole way, cut at every byte.
#[test]
fn a_stream_adds_up_in_any_pieces() {
    let stream = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Zo\\u00eb\"}}]}\r\n\r\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" é\\\"\"},\"finish_reason\":\"stop\"}]}\n\n\
        data: [DONE]\n\n"
        .as_bytes();
    for cut in 0..=stream.len() {
        let mut parser = SseParser::new(&MEMORY).expect("memory");
        let mut answer = ChatAccumulator::new(&MEMORY);
        let mut is_done = false;
        for mut piece in [&stream[..cut], &stream[cut..]] {
            while !piece.is_empty() {
                let consumed = parser.handle_input(piece).expect("valid");
                piece = &piece[consumed..];
                while let Some(event) = parser.poll_event() {
                    is_done = event.is_done();
                    if !is_done {
                        let chunk = event.chunk().expect("a chunk");
                        answer.push(&chunk).expect("memory");
                    }
                }
            }
        }
        assert!(is_done && answer.is_finished());
        assert_eq!(answer.choices()[0].content(), Some("Zoë é\""));
    }
}

#[test]
fn debug_shows_no_content() {
    let data = r#"{"choices":[{"delta":{"content":"SECRET","tool_calls":[{"id":"SECRET"}]}}]}"#;
    let chunk = ChatChunk::parse(data).expect("a chunk");
    let choice = chunk.choices().next().expect("a choice");
    let delta = choice.delta().expect("a delta");
    let call = delta.tool_calls().next();
    let answer = accumulate(&[data]).expect("an answer");
    let accumulated = &answer.choices()[0];
    let shown = format!(
        "{chunk:?} {choice:?} {delta:?} {call:?} {answer:?} {accumulated:?} {:?}",
        accumulated.tool_calls()
    );
    assert!(!shown.contains("SECRET"), "{shown}");
    assert_eq!(shown.matches("[REDACTED]").count(), 7);
}
