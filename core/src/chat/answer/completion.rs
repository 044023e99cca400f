//! A whole answer.

use core::fmt;

use sealwire_memlock::{SecureBytes, SecureString};

use super::shape::{self, Members, Shape, member};
use super::usage::USAGE;
use super::{Usage, view};
use crate::chat::ChatError;
use crate::chat::json::{Json, JsonStr};

/// The answer to a request that was not streamed. It owns the body, in secure memory, and lends views of it.
///
/// ```
/// use sealwire_core::chat::ChatCompletion;
/// use sealwire_memlock::{Policy, SecureMemory};
///
/// let memory = SecureMemory::new(Policy::BestEffort);
/// let body = memory.copy_from(
///     br#"{"id": "1", "choices": [{"index": 0, "finish_reason": "stop",
///          "message": {"role": "assistant", "content": "Hello,\nworld"}}]}"#,
/// )?;
/// let completion = ChatCompletion::parse(body)?;
/// let choice = completion.choices().next().expect("one choice");
/// assert!(choice.finish_reason().is_some_and(|reason| reason == "stop"));
/// let content = choice.message().content().expect("a content");
/// assert_eq!(content.to_secure(&memory)?.expose(), "Hello,\nworld");
/// # Ok::<(), sealwire_core::chat::ChatError>(())
/// ```
pub struct ChatCompletion {
    body: SecureString,
}

const COMPLETION: Members = &[
    ("id", Shape::String),
    ("object", Shape::String),
    ("created", Shape::Unsigned),
    ("model", Shape::String),
    ("system_fingerprint", Shape::String),
    ("service_tier", Shape::String),
    ("choices", Shape::ArrayOf(CHOICE)),
    ("usage", Shape::Object(USAGE)),
];

const CHOICE: Members = &[
    ("index", Shape::Unsigned),
    ("finish_reason", Shape::String),
    ("message", Shape::Object(MESSAGE)),
];

const MESSAGE: Members = &[
    ("role", Shape::String),
    ("content", Shape::StringOrArray),
    ("refusal", Shape::String),
    ("reasoning_content", Shape::String),
    ("tool_calls", Shape::ArrayOf(TOOL_CALL)),
    ("function_call", Shape::Object(FUNCTION)),
    ("annotations", Shape::Array),
];

/// Of a whole answer and of a streamed one: `index` is in the latter alone.
pub(super) const TOOL_CALL: Members = &[
    ("index", Shape::Unsigned),
    ("id", Shape::String),
    ("type", Shape::String),
    ("function", Shape::Object(FUNCTION)),
    ("custom", Shape::Object(CUSTOM)),
];

pub(super) const FUNCTION: Members = &[("name", Shape::String), ("arguments", Shape::String)];

const CUSTOM: Members = &[("name", Shape::String), ("input", Shape::String)];

impl ChatCompletion {
    /// Checks `body`, whole, and takes it.
    ///
    /// # Errors
    /// [`ChatError::InvalidUtf8`] and [`ChatError::Json`] for what is no JSON; [`ChatError::Unexpected`],
    /// [`ChatError::Missing`] and [`ChatError::Duplicate`] for what is no answer. An error body has no `choices`, so
    /// it is refused too: see [`ErrorBody`](super::ErrorBody).
    pub fn parse(body: SecureBytes) -> Result<Self, ChatError> {
        let json = Json::from_bytes(body.expose())?;
        shape::check("body", json, COMPLETION)?;
        let choices = member(json, "choices").ok_or(ChatError::Missing { member: "choices" })?;
        if choices
            .items()
            .any(|choice| member(choice, "message").is_none())
        {
            return Err(ChatError::Missing { member: "message" });
        }
        match SecureString::from_utf8(body) {
            Ok(body) => Ok(Self { body }),
            // `from_bytes` has just found it to be UTF-8.
            Err(_) => Err(ChatError::InvalidUtf8 { offset: 0 }),
        }
    }

    /// The whole body.
    pub fn as_json(&self) -> Json<'_> {
        Json::checked(self.body.expose())
    }

    /// A member by its name, known to this crate or not; `null` is taken for absence.
    pub fn raw(&self, name: &str) -> Option<Json<'_>> {
        member(self.as_json(), name)
    }

    /// The answer's id.
    pub fn id(&self) -> Option<JsonStr<'_>> {
        self.raw("id")?.as_str()
    }

    /// The model that answered.
    pub fn model(&self) -> Option<JsonStr<'_>> {
        self.raw("model")?.as_str()
    }

    /// When, in seconds since 1970.
    pub fn created(&self) -> Option<u64> {
        self.raw("created")?.as_u64()
    }

    /// The server's configuration, which the same `seed` needs for the same answer.
    pub fn system_fingerprint(&self) -> Option<JsonStr<'_>> {
        self.raw("system_fingerprint")?.as_str()
    }

    /// The tier that served the request.
    pub fn service_tier(&self) -> Option<JsonStr<'_>> {
        self.raw("service_tier")?.as_str()
    }

    /// The answers, as many as the request's `n`.
    pub fn choices(&self) -> impl Iterator<Item = Choice<'_>> {
        let choices = self.raw("choices").into_iter().flat_map(Json::items);
        choices.map(|json| Choice { json })
    }

    /// What it cost.
    pub fn usage(&self) -> Option<Usage> {
        self.raw("usage").map(Usage::read)
    }

    /// The bytes that the places of its values are of.
    pub(in crate::chat) fn body(&self) -> &[u8] {
        self.body.expose().as_bytes()
    }

    /// Gives the body back.
    pub fn into_body(self) -> SecureBytes {
        self.body.into_bytes()
    }
}

impl fmt::Debug for ChatCompletion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChatCompletion([REDACTED])")
    }
}

/// One of the answers.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    json: Json<'a>,
}

impl<'a> Choice<'a> {
    /// Which of them.
    pub fn index(&self) -> u64 {
        self.raw("index").and_then(Json::as_u64).unwrap_or(0)
    }

    /// Why it ends: `stop`, `length`, `tool_calls`, `content_filter`, ...
    pub fn finish_reason(&self) -> Option<JsonStr<'a>> {
        self.string("finish_reason")
    }

    /// What the model says.
    pub fn message(&self) -> CompletionMessage<'a> {
        // Checked to be there. Were it not, the choice has no member of a message either.
        CompletionMessage {
            json: self.raw("message").unwrap_or(self.json),
        }
    }

    /// Log probabilities, if asked for.
    pub fn logprobs(&self) -> Option<Json<'a>> {
        self.raw("logprobs")
    }
}

/// What the model says.
#[derive(Clone, Copy)]
pub struct CompletionMessage<'a> {
    json: Json<'a>,
}

impl<'a> CompletionMessage<'a> {
    /// Who speaks: `assistant`.
    pub fn role(&self) -> Option<JsonStr<'a>> {
        self.string("role")
    }

    /// The text of the answer, if it has one. A server that sends an array of parts instead has none: see `raw`.
    pub fn content(&self) -> Option<JsonStr<'a>> {
        self.string("content")
    }

    /// What the model says instead of an answer.
    pub fn refusal(&self) -> Option<JsonStr<'a>> {
        self.string("refusal")
    }

    /// What the model thought, where the server tells (DeepSeek, vLLM and others; not OpenAI).
    pub fn reasoning_content(&self) -> Option<JsonStr<'a>> {
        self.string("reasoning_content")
    }

    /// The tools it calls.
    pub fn tool_calls(&self) -> impl Iterator<Item = CompletionToolCall<'a>> + use<'a> {
        let calls = self.raw("tool_calls").into_iter().flat_map(Json::items);
        calls.map(|json| CompletionToolCall { json })
    }

    /// Where it says so from, after a search of the web.
    pub fn annotations(&self) -> Option<Json<'a>> {
        self.raw("annotations")
    }
}

/// A call of a tool.
#[derive(Clone, Copy)]
pub struct CompletionToolCall<'a> {
    json: Json<'a>,
}

impl<'a> CompletionToolCall<'a> {
    /// What the result has to refer to.
    pub fn id(&self) -> Option<JsonStr<'a>> {
        self.string("id")
    }

    /// `function` or `custom`.
    pub fn kind(&self) -> Option<JsonStr<'a>> {
        self.string("type")
    }

    /// The name of the function or custom tool.
    pub fn name(&self) -> Option<JsonStr<'a>> {
        member(called(self.json)?, "name")?.as_str()
    }

    /// The arguments of a function: JSON, as the model wrote it, which need not be valid. The input of a custom tool.
    pub fn arguments(&self) -> Option<JsonStr<'a>> {
        arguments(self.json)
    }
}

/// What a tool call calls.
pub(super) fn called(call: Json<'_>) -> Option<Json<'_>> {
    member(call, "function").or_else(|| member(call, "custom"))
}

/// What it is called with.
pub(super) fn arguments(call: Json<'_>) -> Option<JsonStr<'_>> {
    let called = called(call)?;
    let arguments = member(called, "arguments").or_else(|| member(called, "input"));
    arguments?.as_str()
}

view!(Choice, CompletionMessage, CompletionToolCall);
