//! Requests, held against the JSON the API documents.

use sealwire_core::chat::json::Json;
use sealwire_core::chat::{
    AudioOutput, ChatError, ChatRequest, ContentPart, Function, FunctionChoice, Message,
    Prediction, ResponseFormat, StreamOptions, Tool, ToolCall, ToolChoice, UserLocation,
    WebSearchOptions,
};
use sealwire_memlock::{Policy, SecureMemory};
use serde_json::{Value, json};

const MEMORY: SecureMemory = SecureMemory::new(Policy::BestEffort);

fn written(request: &ChatRequest<'_>) -> Value {
    let body = request.to_json(&MEMORY).expect("written");
    let fresh = MEMORY.with_capacity(body.len()).expect("memory");
    assert_eq!(body.capacity(), fresh.capacity(), "counted first");
    serde_json::from_slice(body.expose()).expect("valid JSON")
}

fn message(message: Message<'_>) -> Value {
    written(&ChatRequest::new("m").message(message))["messages"][0].clone()
}

fn parse(text: &str) -> Json<'_> {
    Json::parse(text).expect("valid JSON")
}

#[test]
fn every_option_is_written_under_its_name() {
    let request = ChatRequest::new("m")
        .stream(true)
        .stream_options(
            StreamOptions::new()
                .include_usage(true)
                .include_obfuscation(false),
        )
        .temperature(0.25)
        .top_p(0.5)
        .n(2)
        .stop(&["\n", "END"])
        .max_tokens(10)
        .max_completion_tokens(20)
        .presence_penalty(-1.5)
        .frequency_penalty(1.5)
        .logprobs(true)
        .top_logprobs(5)
        .seed(-7)
        .tool_choice(ToolChoice::Auto)
        .parallel_tool_calls(false)
        .function_call(FunctionChoice::Function("f"))
        .response_format(ResponseFormat::JsonObject)
        .reasoning_effort("low")
        .verbosity("high")
        .modalities(&["text", "audio"])
        .audio(AudioOutput::new("alloy", "wav"))
        .prediction(Prediction::new("fn main() {}"))
        .web_search_options(
            WebSearchOptions::new()
                .search_context_size("low")
                .user_location(UserLocation {
                    country: Some("DE"),
                    city: Some("Köln"),
                    ..UserLocation::default()
                }),
        )
        .store(false)
        .service_tier("flex")
        .user("u")
        .safety_identifier("s")
        .prompt_cache_key("k")
        .prompt_cache_retention("24h")
        .logit_bias(&[(50256, -100.0), (1, 0.5)])
        .metadata(&[("topic", "a \"b\"")])
        .tool(Tool::custom("t", None))
        .function(Function::new("f"))
        .extra("top_k", parse("40"))
        .extra("chat_template_kwargs", parse(r#"{"thinking": false}"#));
    assert!(request.is_stream());
    assert_eq!(
        written(&request),
        json!({
            "model": "m", "messages": [], "stream": true,
            "stream_options": {"include_usage": true, "include_obfuscation": false},
            "temperature": 0.25, "top_p": 0.5, "n": 2, "stop": ["\n", "END"], "max_tokens": 10,
            "max_completion_tokens": 20, "presence_penalty": -1.5, "frequency_penalty": 1.5,
            "logprobs": true, "top_logprobs": 5, "seed": -7, "tool_choice": "auto",
            "parallel_tool_calls": false, "function_call": {"name": "f"},
            "response_format": {"type": "json_object"}, "reasoning_effort": "low",
            "verbosity": "high", "modalities": ["text", "audio"],
            "audio": {"voice": "alloy", "format": "wav"},
            "prediction": {"type": "content", "content": "fn main() {}"},
            "web_search_options": {
                "search_context_size": "low",
                "user_location": {"type": "approximate", "approximate": {"country": "DE", "city": "Köln"}},
            },
            "store": false, "service_tier": "flex", "user": "u", "safety_identifier": "s",
            "prompt_cache_key": "k", "prompt_cache_retention": "24h",
            "logit_bias": {"50256": -100.0, "1": 0.5}, "metadata": {"topic": "a \"b\""},
            "tools": [{"type": "custom", "custom": {"name": "t"}}], "functions": [{"name": "f"}],
            "top_k": 40, "chat_template_kwargs": {"thinking": false},
        })
    );
}

#[test]
fn what_was_not_asked_for_is_not_written() {
    assert_eq!(
        written(&ChatRequest::new("m")),
        json!({"model": "m", "messages": []})
    );
}

#[test]
fn messages_of_every_role() {
    for (role, built) in [
        ("developer", Message::developer("c")),
        ("system", Message::system("c")),
        ("user", Message::user("c")),
        ("assistant", Message::assistant("c")),
    ] {
        assert_eq!(message(built), json!({"role": role, "content": "c"}));
    }
    assert_eq!(
        message(Message::tool("id", "42")),
        json!({"role": "tool", "tool_call_id": "id", "content": "42"})
    );
    assert_eq!(
        message(Message::function("f", "42")),
        json!({"role": "function", "name": "f", "content": "42"})
    );
    let assistant = Message::assistant("c")
        .name("n")
        .refusal("no")
        .audio("audio_1")
        .tool_call(ToolCall::function("1", "f", "{\"a\":1}"))
        .tool_call(ToolCall::custom("2", "t", "input"))
        .tool_call(ToolCall::Json(parse(r#"{"id": "3"}"#)))
        .function_call("g", "{}")
        .extra("reasoning_content", parse(r#""hm""#));
    assert_eq!(
        message(assistant),
        json!({
            "role": "assistant", "content": "c", "name": "n", "refusal": "no",
            "audio": {"id": "audio_1"},
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
                {"id": "2", "type": "custom", "custom": {"name": "t", "input": "input"}},
                {"id": "3"},
            ],
            "function_call": {"name": "g", "arguments": "{}"}, "reasoning_content": "hm",
        })
    );
}

#[test]
fn content_of_every_kind() {
    let parts = vec![
        ContentPart::text("t"),
        ContentPart::image_url("data:,x", Some("low")),
        ContentPart::image_url("https://e", None),
        ContentPart::input_audio("AAAA", "wav"),
        ContentPart::file_id("file_1"),
        ContentPart::file("a.pdf", "data:,y"),
        ContentPart::Refusal("no"),
        ContentPart::Other(parse(r#"{"type":"video_url"}"#)),
    ];
    assert_eq!(
        message(Message::user(parts))["content"],
        json!([
            {"type": "text", "text": "t"},
            {"type": "image_url", "image_url": {"url": "data:,x", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://e"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "file", "file": {"file_id": "file_1"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:,y"}},
            {"type": "refusal", "refusal": "no"},
            {"type": "video_url"},
        ])
    );

    let mut secure = MEMORY.string();
    secure
        .try_push_str("from \"secure\" memory\n")
        .expect("memory");
    assert_eq!(
        message(Message::user(&secure))["content"],
        "from \"secure\" memory\n"
    );

    // A text with its escapes goes on as it came.
    let answer = parse(r#""caf\u00e9\n""#).as_str().expect("a string");
    let request = ChatRequest::new("m").message(Message::assistant(answer));
    let body = request.to_json(&MEMORY).expect("written");
    let body = core::str::from_utf8(body.expose()).expect("UTF-8");
    assert!(body.contains(r#""content":"caf\u00e9\n""#), "{body}");
}

#[test]
fn tools_and_choices_of_every_kind() {
    let schema = parse(r#"{"type":"object"}"#);
    let function = Function::new("f")
        .description("d")
        .parameters(schema)
        .strict(true);
    let grammar = Tool::Custom {
        name: "t",
        description: Some("d"),
        format: Some(parse(r#"{"type":"text"}"#)),
    };
    let request = ChatRequest::new("m")
        .tool(Tool::function(function))
        .tool(grammar)
        .tool(Tool::Other(parse(r#"{"type":"x"}"#)));
    assert_eq!(
        written(&request)["tools"],
        json!([
            {"type": "function", "function":
                {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true}},
            {"type": "custom", "custom": {"name": "t", "description": "d", "format": {"type": "text"}}},
            {"type": "x"},
        ])
    );

    let tools = parse(r#"[{"type":"function","function":{"name":"f"}}]"#);
    for (choice, expected) in [
        (ToolChoice::None, json!("none")),
        (ToolChoice::Auto, json!("auto")),
        (ToolChoice::Required, json!("required")),
        (
            ToolChoice::Function("f"),
            json!({"type": "function", "function": {"name": "f"}}),
        ),
        (
            ToolChoice::Custom("t"),
            json!({"type": "custom", "custom": {"name": "t"}}),
        ),
        (
            ToolChoice::AllowedTools {
                mode: "auto",
                tools,
            },
            json!({"type": "allowed_tools", "allowed_tools":
                {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}}),
        ),
    ] {
        let request = ChatRequest::new("m").tool_choice(choice);
        assert_eq!(written(&request)["tool_choice"], expected);
    }
    for (choice, expected) in [
        (FunctionChoice::None, "none"),
        (FunctionChoice::Auto, "auto"),
    ] {
        let request = ChatRequest::new("m").function_call(choice);
        assert_eq!(written(&request)["function_call"], expected);
    }
}

#[test]
fn response_formats_of_every_kind() {
    let schema = parse(r#"{"type":"object"}"#);
    for (format, expected) in [
        (ResponseFormat::Text, json!({"type": "text"})),
        (ResponseFormat::JsonObject, json!({"type": "json_object"})),
        (
            ResponseFormat::json_schema("s", schema),
            json!({"type": "json_schema", "json_schema":
                {"name": "s", "schema": {"type": "object"}, "strict": true}}),
        ),
        (ResponseFormat::Other(schema), json!({"type": "object"})),
    ] {
        let request = ChatRequest::new("m").response_format(format);
        assert_eq!(written(&request)["response_format"], expected);
    }
}

#[test]
fn no_member_is_written_twice() {
    let one = parse("1");
    let message = Message::user("c");
    for request in [
        ChatRequest::new("m").extra("model", one),
        ChatRequest::new("m").extra("temperature", one),
        ChatRequest::new("m").extra("metadata", one),
        ChatRequest::new("m").extra("x", one).extra("x", one),
        ChatRequest::new("m").message(message.clone().extra("content", one)),
        ChatRequest::new("m").message(message.extra("y", one).extra("y", one)),
    ] {
        let error = request.to_json(&MEMORY).expect_err("ambiguous");
        assert_eq!(error, ChatError::Duplicate { member: "extra" });
        // Nor by way of another serializer.
        assert!(serde_json::to_string(&request).is_err());
    }
    for (member, request) in [
        (
            "logit_bias",
            ChatRequest::new("m").logit_bias(&[(1, 0.5), (2, 1.0), (1, 0.5)]),
        ),
        (
            "metadata",
            ChatRequest::new("m").metadata(&[("a", "1"), ("b", "2"), ("b", "3")]),
        ),
    ] {
        let error = request.to_json(&MEMORY).expect_err("ambiguous");
        assert_eq!(error, ChatError::Duplicate { member });
        assert!(serde_json::to_string(&request).is_err());
    }
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    for request in [
        ChatRequest::new("m").temperature(f64::NAN),
        ChatRequest::new("m").logit_bias(&[(1, f64::INFINITY)]),
    ] {
        assert_eq!(request.to_json(&MEMORY).err(), Some(ChatError::NotFinite));
    }
}

#[test]
fn our_writer_and_serde_json_agree() {
    let request = ChatRequest::new("m\u{1}")
        .message(Message::user("\"quoted\" \\ \n\t\u{0}\u{7f}é😀"))
        .tool(Tool::function(
            Function::new("f").parameters(parse(" {\"a\" : 1} ")),
        ));
    let ours = request.to_json(&MEMORY).expect("written");
    assert_eq!(ours.expose(), serde_json::to_vec(&request).expect("JSON"));
}

#[test]
fn debug_shows_no_content() {
    let secret = parse(r#""SECRET""#);
    let function = Function::new("SECRET")
        .description("SECRET")
        .parameters(secret);
    let message = Message::user(vec![ContentPart::text("SECRET")]).name("SECRET");
    let request = ChatRequest::new("SECRET")
        .message(message.clone())
        .tool(Tool::function(function));
    let part = ContentPart::text("SECRET");
    let choice = ToolChoice::Function("SECRET");
    let call = ToolCall::function("SECRET", "SECRET", "SECRET");
    let format = ResponseFormat::json_schema("SECRET", secret);
    let prediction = Prediction::new("SECRET");
    let shown = format!(
        "{request:?} {message:?} {function:?} {part:?} {choice:?} {call:?} {format:?} {prediction:?}"
    );
    assert!(!shown.contains("SECRET"), "{shown}");
    assert_eq!(shown.matches("[REDACTED]").count(), 8);
}
