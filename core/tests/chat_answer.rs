//! Whole answers and error bodies.

use sealwire_core::chat::json::{Json, JsonStr};
use sealwire_core::chat::{ChatCompletion, ChatError, ErrorBody, JsonFault};
use sealwire_memlock::{Policy, SecureBytes, SecureMemory};

const MEMORY: SecureMemory = SecureMemory::new(Policy::BestEffort);

const ANSWER: &str = r#" {
  "id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "m\u002d1",
  "choices": [
    {"index": 0, "message": {
        "role": "assistant", "content": "caf\u00e9 \"\ud83d\ude00\"\n", "refusal": null,
        "reasoning_content": "hm", "annotations": [{"type": "url_citation"}],
        "tool_calls": [
          {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
          {"id": "call_2", "type": "custom", "custom": {"name": "t", "input": "in"}}
        ]},
     "logprobs": {"content": []}, "finish_reason": "tool_calls"},
    {"index": 1, "message": {"role": "assistant", "content": null, "refusal": "no"}, "finish_reason": "stop"}
  ],
  "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 4,
      "accepted_prediction_tokens": 6, "rejected_prediction_tokens": 8}},
  "service_tier": "default", "system_fingerprint": "fp", "x_unknown": [1, 2]
} "#;

fn secure(text: &str) -> SecureBytes {
    MEMORY.copy_from(text.as_bytes()).expect("memory")
}

fn parse(text: &str) -> Result<ChatCompletion, ChatError> {
    ChatCompletion::parse(secure(text))
}

/// Asserts what a string means.
#[track_caller]
fn assert_text(text: Option<JsonStr<'_>>, expected: &str) {
    let text = text.expect("a string").to_secure(&MEMORY).expect("memory");
    assert_eq!(text.expose(), expected);
}

#[test]
fn a_whole_answer_is_read() {
    let answer = parse(ANSWER).expect("an answer");
    assert_text(answer.id(), "chatcmpl-1");
    assert_text(answer.model(), "m-1");
    assert_text(answer.service_tier(), "default");
    assert_text(answer.system_fingerprint(), "fp");
    assert_eq!(answer.created(), Some(1_700_000_000));
    assert_eq!(
        answer.raw("x_unknown").map(|json| json.items().count()),
        Some(2)
    );

    let [first, second] = answer.choices().collect::<Vec<_>>()[..] else {
        panic!("two choices");
    };
    assert_eq!((first.index(), second.index()), (0, 1));
    assert_text(first.finish_reason(), "tool_calls");
    assert!(first.logprobs().is_some_and(Json::is_object));
    assert!(second.logprobs().is_none());

    let message = first.message();
    assert_text(message.role(), "assistant");
    assert_text(message.content(), "café \"😀\"\n");
    assert_eq!(message.content().and_then(JsonStr::as_plain), None);
    assert_eq!(
        message.reasoning_content().and_then(JsonStr::as_plain),
        Some("hm")
    );
    assert!(message.refusal().is_none());
    assert!(message.annotations().is_some_and(Json::is_array));
    let [function, custom] = message.tool_calls().collect::<Vec<_>>()[..] else {
        panic!("two calls");
    };
    assert_text(function.id(), "call_1");
    assert_text(function.kind(), "function");
    assert_text(function.name(), "f");
    assert_text(function.arguments(), r#"{"a":1}"#);
    assert_text(custom.kind(), "custom");
    assert_text(custom.name(), "t");
    assert_text(custom.arguments(), "in");

    assert!(second.message().content().is_none());
    assert_text(second.message().refusal(), "no");

    let usage = answer.usage().expect("a usage");
    assert_eq!(
        (
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens
        ),
        (5, 7, 12)
    );
    assert_eq!((usage.cached_tokens, usage.prompt_audio_tokens), (3, 1));
    assert_eq!(
        (usage.reasoning_tokens, usage.completion_audio_tokens),
        (2, 4)
    );
    assert_eq!(
        (
            usage.accepted_prediction_tokens,
            usage.rejected_prediction_tokens
        ),
        (6, 8)
    );

    assert_eq!(answer.into_body().expose(), ANSWER.as_bytes());
}

#[test]
fn every_truncation_is_refused() {
    let whole = ANSWER.trim_end();
    for end in 0..whole.len() {
        match parse(&whole[..end]) {
            Err(ChatError::Json { offset, .. }) => assert!(offset <= end),
            other => panic!("{other:?} at {end}"),
        }
    }
}

/// Whatever a body says: it is refused, or all of it can be read.
#[test]
fn every_changed_byte_is_refused_or_read() {
    for at in 0..ANSWER.len() {
        for byte in [
            0, b' ', b'"', b'\\', b'{', b'}', b'[', b']', b',', b':', b'1', b'u', 0x80,
        ] {
            let mut bytes = ANSWER.as_bytes().to_vec();
            bytes[at] = byte;
            let body = MEMORY.copy_from(&bytes).expect("memory");
            if let Ok(answer) = ChatCompletion::parse(body) {
                for choice in answer.choices() {
                    let message = choice.message();
                    let _ = (choice.index(), choice.finish_reason());
                    let content = message.content().map(|content| content.to_secure(&MEMORY));
                    assert!(!matches!(content, Some(Err(_))));
                    for call in message.tool_calls() {
                        let _ = (call.name(), call.arguments().map(JsonStr::len));
                    }
                }
                let _ = answer.usage();
            }
        }
    }
}

#[test]
fn a_server_may_leave_out_what_it_does_not_know() {
    let answer = parse(r#"{"choices":[{"message":{"content":""}}]}"#).expect("an answer");
    let choice = answer.choices().next().expect("a choice");
    assert_eq!(choice.index(), 0);
    assert!(choice.finish_reason().is_none());
    assert!(choice.message().content().is_some_and(JsonStr::is_empty));
    assert_eq!(choice.message().tool_calls().count(), 0);
    assert!(answer.usage().is_none());

    // Gemini's endpoint, where nothing was generated.
    for choice in [
        r#"{"finish_reason":"content_filter","content":"no message"}"#,
        r#"{"finish_reason":"content_filter","message":null}"#,
    ] {
        let answer = parse(&format!(r#"{{"choices":[{choice}]}}"#)).expect("an answer");
        let choice = answer.choices().next().expect("a choice");
        assert_text(choice.finish_reason(), "content_filter");
        let message = choice.message();
        assert!(message.content().is_none() && message.role().is_none());
        assert_eq!(message.as_json().raw(), "{}");
    }
}

#[test]
fn what_nothing_rests_on_may_be_anything() {
    for value in ["1700000000.5", "-1", "{}", "[]", "true", r#""text""#] {
        let answer = format!(
            r#"{{"object":{value},"created":{value},"system_fingerprint":{value},"service_tier":{value},
                "choices":[{{"message":{{"content":"a","reasoning":{value},"annotations":{value}}}}}]}}"#
        );
        let answer = parse(&answer).expect(value);
        assert_eq!(answer.created(), None, "{value}");
        let is_text = value.starts_with('"');
        assert_eq!(answer.system_fingerprint().is_some(), is_text);
        assert_eq!(answer.service_tier().is_some(), is_text);
        let message = answer.choices().next().expect("a choice").message();
        assert_text(message.content(), "a");
        assert_eq!(message.reasoning_content().is_some(), is_text);
        assert_eq!(message.annotations().is_some(), value == "[]");
    }
}

/// The texts of an answer, and of what was thought.
fn said(message: &str) -> (Vec<String>, Vec<String>) {
    let answer = parse(&format!(r#"{{"choices":[{{"message":{message}}}]}}"#)).expect(message);
    let message = answer.choices().next().expect("a choice").message();
    let own = |text: JsonStr<'_>| text.to_secure(&MEMORY).expect("memory").expose().to_owned();
    (
        message.texts().map(own).collect(),
        message.thoughts().map(own).collect(),
    )
}

#[test]
fn a_content_of_parts_is_read_whole() {
    for (message, texts, thoughts) in [
        (
            r#"{"content":"a","reasoning_content":"t"}"#,
            &["a"][..],
            &["t"][..],
        ),
        (r#"{"content":"a","reasoning":"t"}"#, &["a"], &["t"]),
        (
            r#"{"reasoning_content":"t","reasoning":"other"}"#,
            &[],
            &["t"],
        ),
        (r#"{"reasoning_content":null,"reasoning":"t"}"#, &[], &["t"]),
        (r#"{"content":[]}"#, &[], &[]),
        (
            r#"{"content":[{"type":"thinking","thinking":[]}]}"#,
            &[],
            &[],
        ),
        (
            r#"{"reasoning":"t","content":[{"type":"thinking","thinking":[{"type":"text","text":"u\n"},{"text":"v","type":"text","x":1}],"closed":true},
                {"type":"t\u0065xt","text":"a"},{"type":"thinking","thinking":"w"},{"text":"b","type":"text","thinking":null}]}"#,
            &["a", "b"],
            &["t", "u\n", "v", "w"],
        ),
        // Where the text is from, which Mistral tells in numbers.
        (
            r#"{"content":[{"type":"text","text":"a"},{"type":"reference","reference_ids":[0]},
                {"type":"thinking","thinking":[{"type":"reference","reference":{}},{"type":"text","text":"t"}]},{"type":"text","text":"b"}]}"#,
            &["a", "b"],
            &["t"],
        ),
    ] {
        assert_eq!(
            said(message),
            (
                texts.iter().map(|&text| text.to_owned()).collect(),
                thoughts.iter().map(|&text| text.to_owned()).collect()
            ),
            "{message}"
        );
    }
}

/// An answer with a hole is none.
#[test]
fn a_part_that_cannot_be_read_refuses_the_answer() {
    let missing = |member| ChatError::Missing { member };
    let unexpected = |member, expected, offset| ChatError::Unexpected {
        member,
        expected,
        offset,
    };
    let known = "that of a part that is known";
    for (part, error) in [
        (
            r#"{"type":"image","image":"SECRET"}"#,
            unexpected("type", known, 43),
        ),
        (r#"{"type":"type"}"#, unexpected("type", known, 43)),
        (r#"{"type":null,"text":"SECRET"}"#, missing("type")),
        (r#"{"text":"SECRET"}"#, missing("type")),
        (r#"{"type":"text","text":null}"#, missing("text")),
        (r#"{"type":"text","thinking":"SECRET"}"#, missing("text")),
        (
            r#"{"type":"text","text":[]}"#,
            unexpected("text", "a string", 57),
        ),
        (
            r#"{"type":"thinking","thinking":{}}"#,
            unexpected("thinking", "a string or an array", 65),
        ),
        (
            r#"{"type":"thinking","thinking":[{"type":"thinking","thinking":"SECRET"}]}"#,
            unexpected("type", known, 74),
        ),
        (
            r#"{"type":"text","text":"a","text":"SECRET"}"#,
            ChatError::Duplicate { member: "text" },
        ),
        (r#""SECRET""#, unexpected("content", "an object", 35)),
    ] {
        let body = format!(r#"{{"choices":[{{"message":{{"content":[{part}]}}}}]}}"#);
        assert_eq!(parse(&body).expect_err(part), error, "{part}");
        assert!(!format!("{error} {error:?}").contains("SECRET"));
    }
}

#[test]
fn a_function_call_is_a_tool_call() {
    let body = r#"{"choices":[{"message":{"function_call":{"name":"f","arguments":"{}","id":"x","type":"y"},
        "tool_calls":[{"id":"a","type":"function","function":{"name":"g","arguments":""}}]}},
        {"message":{"function_call":{"name":"","arguments":""}}},{"message":{"function_call":{"arguments":"1"}}}]}"#;
    let answer = parse(body).expect("an answer");
    let [both, empty, nameless] = answer.choices().collect::<Vec<_>>()[..] else {
        panic!("three choices");
    };
    let [tool, function] = both.message().tool_calls().collect::<Vec<_>>()[..] else {
        panic!("two calls");
    };
    assert_text(tool.id(), "a");
    assert_text(tool.name(), "g");
    assert!(function.id().is_none());
    assert_text(function.kind(), "function_call");
    assert_text(function.name(), "f");
    assert_text(function.arguments(), "{}");
    assert_eq!(empty.message().tool_calls().count(), 0);
    assert_eq!(nameless.message().tool_calls().count(), 1);
}

#[test]
fn an_error_in_place_of_an_answer_keeps_its_words() {
    for body in [
        r#"{"error":{"message":"m"}}"#,
        r#"{"choices":null,"error":{"message":"m"},"id":1}"#,
        r#"[{"error":{"message":"m"}}]"#,
        r#"{"detail":"m"}"#,
        r#"{"choices":[{"message":{"content":"half"}}],"error":{"message":"m"}}"#,
        r#"{"choices":[{"message":{"content":"half"},"error":{"message":"m"},"finish_reason":"error"}]}"#,
    ] {
        let error = ChatCompletion::parse_or_error(secure(body)).expect("either");
        let error = error.expect_err("an error");
        assert_text(error.error().and_then(|error| error.message()), "m");
        assert_eq!(error.into_body().expose(), body.as_bytes());
    }
    let answer = ChatCompletion::parse_or_error(secure(ANSWER)).expect("either");
    assert!(answer.is_ok());
    assert!(ChatCompletion::parse_or_error(secure("{}")).is_err());
}

#[test]
fn what_is_no_answer_is_refused() {
    let missing = |member| ChatError::Missing { member };
    let duplicate = |member| ChatError::Duplicate { member };
    let unexpected = |member, expected, offset| ChatError::Unexpected {
        member,
        expected,
        offset,
    };
    for (body, error) in [
        ("[]", unexpected("body", "an object", 0)),
        ("{}", missing("choices")),
        (r#"{"choices":null}"#, missing("choices")),
        (r#"{"error":{"message":"SECRET"}}"#, ChatError::Failed),
        (r#"[{"error":{"message":"SECRET"}}]"#, ChatError::Failed),
        (
            r#"{"choices":[],"error":{"message":"SECRET"}}"#,
            ChatError::Failed,
        ),
        (r#"{"choices":{}}"#, unexpected("choices", "an array", 11)),
        (r#"{"choices":[1]}"#, unexpected("choices", "an object", 12)),
        (
            r#"{"choices":[null]}"#,
            unexpected("choices", "an object", 12),
        ),
        (
            r#"{"choices":[{"message":"SECRET"}]}"#,
            unexpected("message", "an object", 23),
        ),
        (
            r#"{"choices":[{"message":{"content":1}}]}"#,
            unexpected("content", "a string or an array", 34),
        ),
        (
            r#"{"choices":[{"message":{"tool_calls":[{"function":{"arguments":{}}}]}}]}"#,
            unexpected("arguments", "a string", 63),
        ),
        (
            r#"{"choices":[],"usage":{"prompt_tokens":-1}}"#,
            unexpected("prompt_tokens", "a whole number", 39),
        ),
        (r#"{"choices":[],"id":1}"#, unexpected("id", "a string", 19)),
        (r#"{"choices":[],"choices":[]}"#, duplicate("choices")),
        (r#"{"choices":[],"choices":null}"#, duplicate("choices")),
        (r#"{"choices":[],"ch\u006fices":[]}"#, duplicate("choices")),
        (
            r#"{"choices":[{"message":{"reasoning":{},"reasoning":"SECRET"}}]}"#,
            duplicate("reasoning"),
        ),
        (
            r#"{"choices":[{"message":{"content":"a","content":"SECRET"}}]}"#,
            duplicate("content"),
        ),
    ] {
        let found = parse(body).expect_err(body);
        assert_eq!(found, error, "{body}");
        assert!(!format!("{found} {found:?}").contains("SECRET"));
    }
    let nul = ChatError::Json {
        fault: JsonFault::LoneSurrogate,
        offset: 35,
    };
    let body = r#"{"choices":[{"message":{"content":"\ud83d"}}]}"#;
    assert_eq!(parse(body).err(), Some(nul));
}

#[test]
fn errors_of_every_kind_of_server() {
    for (body, message) in [
        (
            r#"{"error":{"message":"m","type":"t","code":"c","param":"p"}}"#,
            "m",
        ),
        (r#"{"error":"m"}"#, "m"),
        (r#"{"detail":"m"}"#, "m"),
        (r#"{"detail":{"message":"m"}}"#, "m"),
        (
            r#"{"object":"error","message":"m","type":"t","param":null,"code":400}"#,
            "m",
        ),
        (r#"[{"error":{"message":"m","code":429}}]"#, "m"),
        (r#"{"error":{},"detail":"m"}"#, "m"),
        (
            r#"{"choices":[],"error":{"message":"m"},"detail":"n"}"#,
            "m",
        ),
        (r#"{"message":"m","request_id":"r"}"#, "m"),
        (r#"{"statusCode":401,"message":"m","error":null}"#, "m"),
        // Where an answer breaks off: OpenRouter, Groq.
        (
            r#"{"choices":[{},{"error":{"code":502,"message":"m"},"finish_reason":"error"}]}"#,
            "m",
        ),
        (r#"{"choices":[{}],"x_groq":{"id":"r","error":"m"}}"#, "m"),
        (
            r#"{"choices":[{"error":{"message":"n"}}],"x_groq":{"error":"m"}}"#,
            "m",
        ),
    ] {
        let body = ErrorBody::parse(secure(body)).expect("JSON");
        assert_text(body.error().expect("an error").message(), message);
    }

    let body = r#"{"error":{"message":"m","type":"t","code":429,"param":"p"}}"#;
    let body = ErrorBody::parse(secure(body)).expect("JSON");
    let error = body.error().expect("an error");
    assert_text(error.kind(), "t");
    assert_text(error.param(), "p");
    assert_eq!(error.code().and_then(Json::as_u64), Some(429));

    let body = r#"{"detail":[{"loc":["body","messages"],"msg":"field required"}]}"#;
    let body = ErrorBody::parse(secure(body)).expect("JSON");
    let error = body.error().expect("an error");
    assert!(error.message().is_none());
    assert!(error.as_json().is_array());

    for none in [
        "{}",
        "[]",
        "[1]",
        r#"[[{"error":"m"}]]"#,
        r#"[{},{"error":"m"}]"#,
        r#"{"error":null}"#,
        r#"{"error":""}"#,
        r#"{"error":{}}"#,
        r#"{"error":false}"#,
        r#"{"choices":[],"detail":"m"}"#,
        r#"{"choices":[],"message":"m"}"#,
        r#"{"message":""}"#,
        r#"{"message":{"content":"m"}}"#,
        r#"{"choices":[{"error":{}},{"error":null}],"x_groq":{"id":"r","error":""}}"#,
        r#"{"x_groq":{"error":"m"}}"#,
        r#"{"object":"list"}"#,
    ] {
        let body = ErrorBody::parse(secure(none)).expect("JSON");
        assert!(body.error().is_none(), "{none}");
    }
    assert!(ErrorBody::parse(secure("<html>502</html>")).is_err());
}

#[test]
fn debug_shows_no_content() {
    let answer = parse(&ANSWER.replace("caf", "SECRET")).expect("an answer");
    let choice = answer.choices().next().expect("a choice");
    let call = choice.message().tool_calls().next();
    let body = ErrorBody::parse(secure(r#"{"error":{"message":"SECRET"}}"#)).expect("JSON");
    let error = body.error();
    let shown = format!(
        "{answer:?} {choice:?} {:?} {call:?} {body:?} {error:?}",
        choice.message()
    );
    assert!(!shown.contains("SECRET"), "{shown}");
    assert_eq!(shown.matches("[REDACTED]").count(), 6);
}
