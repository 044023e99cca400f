//! Chat requests: whatever a caller puts in, the body is JSON in a buffer of exactly its size, says what was put in, and holds no member
//! twice; numbers that JSON cannot express are refused.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sealwire_core::chat::json::Json;
use sealwire_core::chat::{
    ChatError, ChatRequest, ContentPart, Function, Message, ResponseFormat, Tool, ToolCall,
    ToolChoice,
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
    extra: Vec<(&'a str, &'a str)>,
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
        let mut extra = Vec::new();
        for (name, text) in &plan.extra {
            if let Ok(json) = Json::parse(text) {
                request = request.extra(name, json);
                extra.push((*name, json));
            }
        }
        let body = match request.to_json(&world.memory) {
            Ok(body) => body,
            Err(ChatError::NotFinite) => {
                let bias = plan.bias.iter().map(|(_, bias)| bias);
                let mut numbers = bias.chain(&plan.temperature);
                assert!(numbers.any(|number| !number.is_finite()));
                return;
            }
            Err(ChatError::Duplicate { .. }) => {
                assert!(!extra.is_empty());
                return;
            }
            Err(other) => panic!("{other:?}"),
        };
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
            assert!(!extra.is_empty());
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
        if let Some((name, _)) = plan.tool {
            assert_eq!(read["tools"][0]["function"]["name"], name);
        }
    });
});
