//! One reader for whole answers and streamed ones: the same events, wherever the bytes are cut.

use sealwire_core::chat::{ChatError, ChatEvent, ChatReader};
use sealwire_core::head::ResponseHead;
use sealwire_memlock::{Policy, SecureMemory};

const MEMORY: SecureMemory = SecureMemory::new(Policy::BestEffort);

fn head(status: u16, content_type: &'static str) -> ResponseHead<'static> {
    let mut head = ResponseHead::new(status, [7; 16]);
    head.content_type = Some(content_type);
    head
}

fn told(event: &ChatEvent<'_>) -> String {
    let text = |text: &sealwire_core::chat::json::JsonStr<'_>| {
        text.to_secure(&MEMORY).expect("memory").expose().to_owned()
    };
    match event {
        ChatEvent::Text { choice, text: t } => format!("text {choice} {}", text(t)),
        ChatEvent::Refusal { choice, text: t } => format!("refusal {choice} {}", text(t)),
        ChatEvent::Reasoning { choice, text: t } => format!("reasoning {choice} {}", text(t)),
        ChatEvent::ToolCall { choice, call } => {
            let part = |part: Option<_>| part.as_ref().map(text).unwrap_or_default();
            format!(
                "call {choice} {:?} {} {} {} {}",
                call.index,
                part(call.id),
                part(call.kind),
                part(call.name),
                part(call.arguments)
            )
        }
        ChatEvent::Finish { choice, reason } => format!("finish {choice} {}", text(reason)),
        ChatEvent::Usage(usage) => format!("usage {}", usage.total_tokens),
        ChatEvent::Failed { status, error } => {
            let message = error.and_then(|error| error.message());
            format!(
                "failed {status} {}",
                message.as_ref().map(text).unwrap_or_default()
            )
        }
        ChatEvent::Done => "done".into(),
        _ => "?".into(),
    }
}

/// Gives the pieces to a reader, ends it, and says what it told.
fn read(head: &ResponseHead<'_>, pieces: &[&[u8]]) -> (Vec<String>, Result<(), ChatError>) {
    let mut reader = ChatReader::new(&MEMORY, head).expect("memory");
    let mut events = Vec::new();
    let mut feed = || {
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let taken = reader.handle_input(rest)?;
                rest = &rest[taken..];
                let before = events.len();
                while let Some(event) = reader.poll_event() {
                    events.push(told(&event));
                }
                assert!(taken > 0 || events.len() > before, "no progress");
            }
        }
        reader.handle_complete()
    };
    let result = feed();
    while let Some(event) = reader.poll_event() {
        events.push(told(&event));
    }
    if let Err(error) = &result {
        assert_eq!(reader.handle_input(b"data: {}\n\n"), Err(error.clone()));
        assert_eq!(reader.handle_complete(), Err(error.clone()));
    }
    assert!(reader.poll_event().is_none());
    (events, result)
}

/// Whole, byte by byte, and cut in two at every place.
fn read_in_every_way(head: &ResponseHead<'_>, body: &[u8]) -> Vec<String> {
    let (events, result) = read(head, &[body]);
    result.expect("an answer");
    let bytes: Vec<&[u8]> = body.chunks(1).collect();
    assert_eq!(read(head, &bytes).0, events, "byte by byte");
    for cut in 0..body.len() {
        let (again, _) = read(head, &[&body[..cut], &body[cut..]]);
        assert_eq!(again, events, "cut at {cut}");
    }
    events
}

const STREAM: &[u8] = b": hello\r\n\r\ndata: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n\
data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\",\"content\":\"gr\\u00fc\\u00df\\n\"}},{\"index\":1,\"delta\":{\"refusal\":\"no\"}}]}\n\n\
data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\"\"}},{\"index\":1,\"id\":\"c2\"}]}}]}\n\n\
data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n\
data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\n\
data: [DONE]\n\n";

#[test]
fn a_stream_cut_anywhere() {
    let head = head(200, "text/event-stream; charset=utf-8");
    assert_eq!(
        read_in_every_way(&head, STREAM),
        [
            "reasoning 0 hm",
            "text 0 grüß\n",
            "refusal 1 no",
            "call 0 Some(0) c1 function f {\"a\"",
            "call 0 Some(1) c2   ",
            "call 0 Some(0)    :1}",
            "finish 0 tool_calls",
            "usage 7",
            "done",
        ]
    );
}

#[test]
fn a_whole_answer_gives_the_same_events() {
    let body = "{\"choices\":[{\"index\":0,\"finish_reason\":\"tool_calls\",\"message\":{\"role\":\"assistant\",\
        \"content\":\"gr\\u00fc\\u00df\",\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}],\
        \"usage\":{\"total_tokens\":7}}";
    assert_eq!(
        read_in_every_way(&head(200, "application/json"), body.as_bytes()),
        [
            "text 0 grüß",
            "call 0 Some(0) c1 function f {}",
            "finish 0 tool_calls",
            "usage 7",
            "done",
        ]
    );
}

/// Reasoning models of Mistral send parts, whole and streamed; the older `function_call` is a tool call.
#[test]
fn contents_of_parts_and_function_calls_are_told() {
    let said = r#"{"reasoning":"h","content":[
        {"type":"thinking","thinking":[{"type":"text","text":"m"},{"type":"text","text":""},{"type":"text","text":"."}]},
        {"type":"text","text":"gr"},{"type":"text","text":""},{"type":"thinking","thinking":"?"},{"type":"text","text":"\u00fc"}],
        "refusal":"no","tool_calls":[{"id":"c1","function":{"name":"g"}}],"function_call":{"name":"f","arguments":"{}"}}"#;
    let events = |function: &str| {
        [
            "reasoning 0 h",
            "reasoning 0 m",
            "reasoning 0 .",
            "text 0 gr",
            "reasoning 0 ?",
            "text 0 ü",
            "refusal 0 no",
        ]
        .map(String::from)
        .into_iter()
        .chain([function.to_owned(), "finish 0 function_call".into()])
        .chain(["done".into()])
        .collect::<Vec<_>>()
    };
    let whole = format!(r#"{{"choices":[{{"message":{said},"finish_reason":"function_call"}}]}}"#);
    let mut expected = events("call 0 Some(1)  function_call f {}");
    expected.insert(7, "call 0 Some(0) c1  g ".into());
    let head_of = |kind| head(200, kind);
    let found = read_in_every_way(&head_of("application/json"), whole.as_bytes());
    assert_eq!(found, expected);

    let chunk = whole.replace("message", "delta").replace('\n', " ");
    let stream = format!("data: {chunk}\n\n");
    let mut expected = events("call 0 None  function_call f {}");
    expected.insert(7, "call 0 None c1  g ".into());
    let found = read_in_every_way(&head_of("text/event-stream"), stream.as_bytes());
    assert_eq!(found, expected);

    // A part that is not known is no part to leave out.
    for (kind, body) in [
        (
            "application/json",
            r#"{"choices":[{"message":{"content":[{"type":"image"}]}}]}"#,
        ),
        (
            "text/event-stream",
            "data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"image\"}]}}]}\n\n",
        ),
    ] {
        let (events, result) = read(&head_of(kind), &[body.as_bytes()]);
        assert!(events.is_empty() && result.is_err(), "{kind}");
    }
}

#[test]
fn failures_are_told_wherever_they_come() {
    let error = b"{\"error\":{\"message\":\"too many\",\"type\":\"rate_limit\"}}";
    let failed = read_in_every_way(&head(429, "application/json"), error);
    assert_eq!(failed, ["failed 429 too many", "done"]);
    // Some servers say it with the status of a success, Gemini in an array.
    let failed = read_in_every_way(&head(200, "application/json"), error);
    assert_eq!(failed, ["failed 200 too many", "done"]);
    for status in [200, 400] {
        let failed = read_in_every_way(
            &head(status, "application/json"),
            &[b"[", &error[..], b"]\n"].concat(),
        );
        assert_eq!(failed, [&format!("failed {status} too many"), "done"]);
    }
    // A page of HTML, and an error of a status whatever its content type says.
    let failed = read_in_every_way(&head(502, "text/html"), b"<html>bad gateway</html>");
    assert_eq!(failed, ["failed 502 ", "done"]);
    let failed = read_in_every_way(&head(401, "text/event-stream"), error);
    assert_eq!(failed, ["failed 401 too many", "done"]);

    // In the middle of a stream; what follows in it says nothing any more.
    let stream = [
        &b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"half\"}}]}\n\ndata: "[..],
        error,
        b"\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"more\"}}]}\n\n",
    ]
    .concat();
    let failed = read_in_every_way(&head(200, "text/event-stream"), &stream);
    assert_eq!(failed, ["text 0 half", "failed 200 too many", "done"]);

    // Beside a part of the answer, which is none then: at the top, in the choice (OpenRouter), in a member of its own (Groq).
    for (choice, top) in [
        ("", r#","error":{"message":"too many"}"#),
        (r#","error":{"message":"too many"}"#, ""),
        ("", r#","x_groq":{"error":"too many"}"#),
    ] {
        let said = |said: &str| {
            format!(
                r#"{{"choices":[{{"{said}":{{"content":"half"}}{choice},"finish_reason":"error"}}]{top}}}"#
            )
        };
        let failed = read_in_every_way(&head(200, "application/json"), said("message").as_bytes());
        assert_eq!(failed, ["failed 200 too many", "done"]);
        let stream = format!("data: {}\n\ndata: [DONE]\n\n", said("delta"));
        let failed = read_in_every_way(&head(200, "text/event-stream"), stream.as_bytes());
        assert_eq!(failed, ["failed 200 too many", "done"]);
    }

    // What is not known as an error can be looked at.
    let body = br#"{"reason":"quota"}"#;
    let mut reader = ChatReader::new(&MEMORY, &head(429, "application/json")).expect("memory");
    assert_eq!(reader.handle_input(body), Ok(body.len()));
    assert!(reader.error_body().is_none(), "it has not ended");
    reader.handle_complete().expect("whole");
    assert!(matches!(
        reader.poll_event(),
        Some(ChatEvent::Failed { error: None, .. })
    ));
    let told = reader
        .error_body()
        .and_then(|body| body.as_json().get("reason")?.as_str());
    assert!(told.is_some_and(|reason| reason == "quota"));
}

/// What says nothing between two chunks, and what events leave out.
#[test]
fn the_rest_of_a_stream() {
    let stream = "data:\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\nevent: ping\ndata\n\ndata: \t\n\n\
        data: {\"choices\":[{\"delta\":{\"audio\":{\"id\":\"x\"}}}]}\n\n";
    let events = read_in_every_way(&head(200, "text/event-stream"), stream.as_bytes());
    assert_eq!(events, ["text 0 a", "done"]);

    let mut reader = ChatReader::new(&MEMORY, &head(200, "text/event-stream")).expect("memory");
    let (mut rest, mut audio) = (stream.as_bytes(), 0);
    while !rest.is_empty() {
        let taken = reader.handle_input(rest).expect("an answer");
        rest = &rest[taken..];
        let delta = reader
            .chunk()
            .and_then(|chunk| chunk.choices().next()?.delta());
        audio += usize::from(delta.is_some_and(|delta| delta.raw("audio").is_some()));
        while reader.poll_event().is_some() {}
        assert!(reader.chunk().is_none(), "lent until the last event");
    }
    assert_eq!(audio, 1);

    // What it cost, where Groq and Moonshot say it.
    for data in [
        r#"{"choices":[{"delta":{}}],"usage":null,"x_groq":{"id":"r","usage":{"total_tokens":7}}}"#,
        r#"{"choices":[{"delta":{},"usage":{"total_tokens":7}}]}"#,
    ] {
        let stream = format!("data: {data}\n\n");
        let events = read_in_every_way(&head(200, "text/event-stream"), stream.as_bytes());
        assert_eq!(events, ["usage 7", "done"]);
    }
}

/// A stream that never begins is no empty answer.
#[test]
fn a_stream_without_a_chunk_is_no_answer() {
    let missing = ChatError::Missing { member: "choices" };
    for body in [
        "",
        ": hello\n\n",
        "data:\n\n",
        "data: [DONE]\n\n",
        "data: [DONE]",
        "{\"error\":{\"message\":\"m\"}}\n",
        "<html>\n<p>It works!</p>\n",
        // llama.cpp, of before September 2025.
        "error: {\"code\":400,\"message\":\"m\"}\n\ndata: [DONE]\n\n",
    ] {
        let (events, result) = read(&head(200, "text/event-stream"), &[body.as_bytes()]);
        assert_eq!((events, result), (vec![], Err(missing.clone())), "{body}");
    }
}

#[test]
fn what_is_no_answer_is_an_error_that_stays() {
    let stream = head(200, "text/event-stream");
    for bad in [
        &b"data: {\"choices\":1}\n\n"[..],
        b"data: not json\n\n",
        b"data: \xff\n\n",
    ] {
        let (events, result) = read(
            &stream,
            &[
                b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n",
                bad,
            ],
        );
        assert_eq!(events, ["text 0 a"]);
        assert!(result.is_err(), "{bad:?}");
    }
    // Cut within an event, though the exchange was whole.
    let (events, result) = read(&stream, &[b"data: {\"choices\":[]}\n\ndata: {\"cho"]);
    assert!(events.is_empty());
    assert!(matches!(result, Err(ChatError::IncompleteEvent { .. })));

    let whole = head(200, "application/json");
    for bad in [
        &b""[..],
        b"{",
        b"{}",
        b"{\"choices\":[1]}",
        b"{\"error\":{}}",
    ] {
        let (events, result) = read(&whole, &[bad]);
        assert!(events.is_empty() && result.is_err(), "{bad:?}");
    }
}

/// The exchange says when an answer is whole. `[DONE]` may be missing or come again, and what is behind it says nothing.
#[test]
fn done_in_a_stream_is_a_mark_and_no_more() {
    let said = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    for end in [
        &b""[..],
        b"data: [DONE]\n\n",
        b"data: [DONE]\n",
        b"data: [DONE]",
        b"data: [DONE] \n\n",
        b"data:\t[DONE]\ndata:\n\n",
        b"data: [DONE]\n\ndata: [DONE]\n\n",
        b"data: [DONE]\n\ndata: junk\n\n\xff",
        b"data: [DONE]\n\ndata: cut",
        b"data: [DONE]\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\n",
    ] {
        let stream = [&said[..], end].concat();
        let events = read_in_every_way(&head(200, "text/event-stream"), &stream);
        assert_eq!(events, ["text 0 a", "done"], "{end:?}");
    }
    for end in [&b"data: [DONE"[..], b"data: [DONE]!\n\n"] {
        let (events, result) = read(&head(200, "text/event-stream"), &[said, end]);
        assert_eq!(events, ["text 0 a"]);
        assert!(result.is_err(), "{end:?}");
    }
}

#[test]
fn limits_hold_before_memory_is_taken() {
    let mut reader =
        ChatReader::with_limit(&MEMORY, &head(200, "application/json"), 10).expect("memory");
    assert_eq!(reader.handle_input(&[b'x'; 10]), Ok(10));
    assert_eq!(
        reader.handle_input(b"x"),
        Err(ChatError::TooLarge { limit: 10 })
    );
    let mut reader =
        ChatReader::with_limit(&MEMORY, &head(200, "text/event-stream"), 10).expect("memory");
    assert_eq!(
        reader.handle_input(b"data: 3456789"),
        Err(ChatError::TooLarge { limit: 10 })
    );
}

#[test]
fn nothing_is_done_before_the_end_was_verified() {
    let mut reader = ChatReader::new(&MEMORY, &head(200, "text/event-stream")).expect("memory");
    let chunk = b"data: {\"choices\":[]}\n\n";
    assert_eq!(reader.handle_input(chunk), Ok(chunk.len()));
    assert!(reader.poll_event().is_none());
    let end = b"data: [DONE]\n\n";
    assert_eq!(reader.handle_input(end), Ok(end.len()));
    assert!(reader.poll_event().is_none(), "[DONE] alone proves nothing");
    reader.handle_complete().expect("whole");
    assert!(matches!(reader.poll_event(), Some(ChatEvent::Done)));
    assert!(reader.poll_event().is_none());
}
