//! Chat requests: whatever a caller puts in, the body is JSON in a buffer of exactly its size, says what was put in, and holds no member
//! twice; numbers that JSON cannot express are refused.
#![no_main]

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sealwire_core::chat::json::Json;
use sealwire_core::chat::{
    AudioOutput, ChatError, ChatRequest, ContentPart, Function, FunctionChoice, Message,
    Prediction, ResponseFormat, StreamOptions, Tool, ToolCall, ToolChoice, UserLocation,
    WebSearchOptions,
};
use sealwire_fuzz::World;
use serde_json::Value;

#[derive(Arbitrary, Debug)]
enum Said<'a> {
    System(&'a str),
    User(&'a str, Option<&'a str>),
    Parts(&'a str, &'a str),
    Calls(&'a str, &'a str, &'a str, bool),
    Result(&'a str, &'a str),
    Refusal(&'a str),
}

#[derive(Arbitrary, Debug)]
struct Plan<'a> {
    model: &'a str,
    said: Vec<Said<'a>>,
    temperature: Option<f64>,
    seed: Option<i64>,
    stop: Option<Vec<&'a str>>,
    bias: Vec<(u32, f64)>,
    metadata: Vec<(&'a str, &'a str)>,
    tool: Option<(&'a str, &'a str)>,
    stream: Option<bool>,
    json_object: bool,
    options: Option<Options<'a>>,
    extra: Vec<(&'a str, &'a str)>,
}

/// Those that are rarer.
#[derive(Arbitrary, Debug)]
struct Options<'a> {
    text: &'a str,
    number: u32,
    real: f64,
    flag: bool,
    json: &'a str,
}

/// Sets every option that there is.
fn with_options<'a>(request: ChatRequest<'a>, options: &Options<'a>) -> ChatRequest<'a> {
    let Options {
        text,
        number,
        real,
        flag,
        json,
    } = *options;
    let json = Json::parse(json).unwrap_or(Json::parse("{}").expect("JSON"));
    let place = UserLocation {
        country: Some(text),
        city: Some(text),
        ..UserLocation::default()
    };
    let search = WebSearchOptions::new()
        .search_context_size(text)
        .user_location(place);
    let stream = StreamOptions::new().include_usage(flag);
    request
        .stream_options(stream.include_obfuscation(flag))
        .top_p(real)
        .n(number)
        .max_tokens(number)
        .max_completion_tokens(number)
        .presence_penalty(real)
        .frequency_penalty(real)
        .logprobs(flag)
        .top_logprobs(number)
        .parallel_tool_calls(flag)
        .function(Function::new(text).parameters(json).strict(flag))
        .function_call(FunctionChoice::Function(text))
        .response_format(ResponseFormat::json_schema(text, json))
        .tool(Tool::custom(text, Some(text)))
        .tool_choice(ToolChoice::AllowedTools {
            mode: text,
            tools: json,
        })
        .reasoning_effort(text)
        .verbosity(text)
        .audio(AudioOutput::new(text, text))
        .prediction(Prediction::new(text))
        .web_search_options(search)
        .store(flag)
        .service_tier(text)
        .user(text)
        .safety_identifier(text)
        .prompt_cache_key(text)
        .prompt_cache_retention(text)
        .message(Message::user(vec![
            ContentPart::input_audio(text, text),
            ContentPart::file_id(text),
            ContentPart::file(text, text),
        ]))
}

fn check_options(options: &Options<'_>, read: &Value) {
    let Options {
        text, number, flag, ..
    } = *options;
    for name in ["reasoning_effort", "verbosity", "service_tier", "user"] {
        assert_eq!(read[name], text);
    }
    assert_eq!(read["stream_options"]["include_usage"], flag);
    assert_eq!(read["n"], number);
    assert_eq!(read["response_format"]["json_schema"]["name"], text);
    assert_eq!(read["audio"]["voice"], text);
    assert_eq!(read["prediction"]["content"], text);
    let place = &read["web_search_options"]["user_location"];
    assert_eq!(place["approximate"]["city"], text);
    let parts = read["messages"].as_array().and_then(|all| all.last());
    let parts = &parts.expect("the last message")["content"];
    assert_eq!(parts[0]["input_audio"]["data"], text);
    assert_eq!(parts[1]["file"]["file_id"], text);
    assert_eq!(parts[2]["file"]["filename"], text);
}

fn message<'a>(said: &Said<'a>) -> Message<'a> {
    match *said {
        Said::System(text) => Message::system(text),
        Said::User(text, name) => {
            let message = Message::user(text);
            match name {
                Some(name) => message.name(name),
                None => message,
            }
        }
        Said::Parts(text, url) => Message::user(vec![
            ContentPart::text(text),
            ContentPart::image_url(url, Some("low")),
        ]),
        Said::Calls(id, name, arguments, custom) => {
            Message::assistant("").tool_call(match custom {
                true => ToolCall::custom(id, name, arguments),
                false => ToolCall::function(id, name, arguments),
            })
        }
        Said::Result(id, text) => Message::tool(id, text),
        Said::Refusal(text) => Message::assistant("no").refusal(text),
    }
}

fn check_message(said: &Said<'_>, read: &Value) {
    match *said {
        Said::System(text) => {
            assert_eq!(read["role"], "system");
            assert_eq!(read["content"], text);
        }
        Said::User(text, name) => {
            assert_eq!(read["content"], text);
            assert_eq!(read["name"].as_str(), name);
        }
        Said::Parts(text, url) => {
            assert_eq!(read["content"][0]["text"], text);
            assert_eq!(read["content"][1]["image_url"]["url"], url);
        }
        Said::Calls(id, name, arguments, custom) => {
            let call = &read["tool_calls"][0];
            assert_eq!(call["id"], id);
            let (kind, member) = match custom {
                true => ("custom", "input"),
                false => ("function", "arguments"),
            };
            assert_eq!(call["type"], kind);
            assert_eq!(call[kind]["name"], name);
            assert_eq!(call[kind][member], arguments);
        }
        Said::Result(id, text) => {
            assert_eq!(read["tool_call_id"], id);
            assert_eq!(read["content"], text);
        }
        Said::Refusal(text) => assert_eq!(read["refusal"], text),
    }
}

/// Whether a name is among these twice.
fn twice<K: Ord + Copy, V>(pairs: &[(K, V)]) -> bool {
    let names: BTreeSet<K> = pairs.iter().map(|(name, _)| *name).collect();
    names.len() < pairs.len()
}

fuzz_target!(|plan: Plan<'_>| {
    World::with(|world| {
        let mut request = ChatRequest::new(plan.model)
            .messages(plan.said.iter().map(message))
            .logit_bias(&plan.bias)
            .metadata(&plan.metadata);
        if let Some(temperature) = plan.temperature {
            request = request.temperature(temperature);
        }
        if let Some(seed) = plan.seed {
            request = request.seed(seed);
        }
        if let Some(stop) = &plan.stop {
            request = request.stop(stop);
        }
        if let Some(stream) = plan.stream {
            request = request.stream(stream);
        }
        if let Some((name, description)) = plan.tool {
            let function = Function::new(name).description(description);
            request = request
                .tool(Tool::function(function))
                .tool_choice(ToolChoice::Function(name));
        }
        if plan.json_object {
            request = request.response_format(ResponseFormat::JsonObject);
        }
        if let Some(options) = &plan.options {
            request = with_options(request, options);
        }
        let mut extra = Vec::new();
        for (name, text) in &plan.extra {
            if let Ok(json) = Json::parse(text) {
                request = request.extra(name, json);
                extra.push((*name, json));
            }
        }
        let is_twice = twice(&plan.bias) || twice(&plan.metadata);
        let body = match request.to_json(&world.memory) {
            Ok(body) => body,
            Err(ChatError::NotFinite) => {
                let bias = plan.bias.iter().map(|(_, bias)| bias);
                let rare = plan.options.as_ref().map(|options| &options.real);
                let mut numbers = bias.chain(&plan.temperature).chain(rare);
                assert!(numbers.any(|number| !number.is_finite()));
                return;
            }
            Err(ChatError::Duplicate { .. }) => {
                assert!(is_twice || !extra.is_empty());
                return;
            }
            Err(other) => panic!("{other:?}"),
        };
        assert!(!is_twice, "a name twice within a member");
        let text = std::str::from_utf8(body.expose()).expect("JSON is text");
        let json = Json::parse(text).expect("what was written can be read");
        let names: Vec<String> = json.members().map(|(key, _)| key.raw().into()).collect();
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name), "`{name}` is written twice");
        }
        for (name, value) in &extra {
            assert_eq!(json.get(name).map(Json::raw), Some(value.raw()));
        }
        // A number of the caller's own may be beyond a double.
        let Ok(read) = serde_json::from_str::<Value>(text) else {
            assert!(!extra.is_empty() || plan.options.is_some());
            return;
        };
        assert_eq!(read["model"], plan.model);
        // serde_json reads doubles fast, and not to the last bit.
        let temperature = json.get("temperature").and_then(Json::as_f64);
        assert_eq!(temperature, plan.temperature);
        assert_eq!(read["seed"].as_i64(), plan.seed);
        assert_eq!(read["stream"].as_bool(), plan.stream);
        for (at, said) in plan.said.iter().enumerate() {
            check_message(said, &read["messages"][at]);
        }
        if let Some(options) = &plan.options {
            check_options(options, &read);
        }
        if let Some((name, _)) = plan.tool {
            assert_eq!(read["tools"][0]["function"]["name"], name);
        }
    });
});
