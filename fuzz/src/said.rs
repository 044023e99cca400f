//! What a message or a delta says, read from serde_json's values: to hold the views and the events of an accepted answer against.

use serde_json::Value;

/// A text, and whether it was thought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// `reasoning` or `text`.
    pub kind: &'static str,
    /// The text, which may be empty.
    pub text: String,
}

/// A call of a tool: which it says that it is, then its id, kind, name and arguments.
pub type Call = (Option<u64>, [Option<String>; 4]);

/// What was thought and said, in this order, but for thoughts in the content, which stand where they stand.
///
/// # Panics
/// If the content has a part that is not known: an answer with a hole was accepted.
pub fn said(message: &Value) -> Vec<Said> {
    let mut all = Vec::new();
    let reasoning = match &message["reasoning_content"] {
        Value::Null => &message["reasoning"],
        reasoning => reasoning,
    };
    if reasoning.is_string() {
        take("reasoning", reasoning, &mut all);
    }
    take("text", &message["content"], &mut all);
    all
}

fn take(kind: &'static str, value: &Value, all: &mut Vec<Said>) {
    match value {
        Value::Null => {}
        Value::String(text) => {
            let text = text.clone();
            all.push(Said { kind, text });
        }
        Value::Array(parts) => {
            for part in parts {
                match (kind, part["type"].as_str()) {
                    (_, Some("text")) if part["text"].is_string() => take(kind, &part["text"], all),
                    ("text", Some("thinking")) if !part["thinking"].is_null() => {
                        take("reasoning", &part["thinking"], all);
                    }
                    _ => panic!("a part was passed over"),
                }
            }
        }
        _ => panic!("a content was passed over"),
    }
}

/// The calls of tools, the older one last.
pub fn calls(message: &Value) -> Vec<Call> {
    let tools = message["tool_calls"].as_array();
    let mut all: Vec<_> = tools.into_iter().flatten().map(tool_call).collect();
    let function = &message["function_call"];
    let [name, arguments] = called(function);
    let says = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if says(&name) || says(&arguments) {
        all.push((None, [None, Some("function_call".into()), name, arguments]));
    }
    all
}

fn tool_call(call: &Value) -> Call {
    let [name, arguments] = called(match &call["function"] {
        Value::Null => &call["custom"],
        function => function,
    });
    let index = &call["index"];
    // A whole number, however it is written.
    let float = || index.as_f64().map(|index| index as u64);
    let index = index.as_u64().or_else(float);
    (
        index,
        [string(&call["id"]), string(&call["type"]), name, arguments],
    )
}

/// The name and the arguments of what is called.
fn called(called: &Value) -> [Option<String>; 2] {
    let arguments = match &called["arguments"] {
        Value::Null => &called["input"],
        arguments => arguments,
    };
    [string(&called["name"]), string(arguments)]
}

fn string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
