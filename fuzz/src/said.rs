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

/// Calls put together from their pieces. A piece with a name goes to the call of its id, if both have one, whatever the index says.
#[derive(Debug, Default)]
pub struct CallsTogether {
    calls: Vec<(bool, Call)>,
}

impl CallsTogether {
    /// Adds the pieces of a delta.
    pub fn push(&mut self, delta: &Value) {
        let tools = delta["tool_calls"].as_array().map_or(0, Vec::len);
        for (at, (index, [id, kind, name, arguments])) in calls(delta).into_iter().enumerate() {
            let [id, kind, name] =
                [id, kind, name].map(|text| text.filter(|text| !text.is_empty()));
            let older = at >= tools;
            let mut last = None;
            for (at, (known_older, (known_index, [known_id, _, known_name, _]))) in
                self.calls.iter().enumerate()
            {
                let ids_differ = id.is_some() && known_id.is_some() && id != *known_id;
                let both_named = name.is_some() && known_name.is_some();
                let same_place = match index {
                    Some(_) => index == *known_index && !(ids_differ && both_named),
                    None => !ids_differ,
                };
                if same_place && older == *known_older {
                    last = Some(at);
                }
            }
            let at = last.unwrap_or_else(|| {
                self.calls.push((older, (index, [const { None }; 4])));
                self.calls.len() - 1
            });
            let (_, (_, known)) = &mut self.calls[at];
            for (known, new) in known.iter_mut().zip([id, kind, name]) {
                *known = known.take().or(new);
            }
            if let Some(arguments) = arguments {
                known[3].get_or_insert_default().push_str(&arguments);
            }
        }
    }

    /// What they are: ids, kinds, names and arguments.
    pub fn calls(&self) -> impl Iterator<Item = &[Option<String>; 4]> {
        self.calls.iter().map(|(_, (_, parts))| parts)
    }
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
                    // It says where the text is from.
                    (_, Some("reference")) => {}
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
