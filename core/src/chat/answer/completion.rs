//! A whole answer.

use core::fmt;

use sealwire_memlock::{SecureBytes, SecureString};

use super::call::{self, CallForm, FUNCTION, TOOL_CALL};
use super::content::{self, CONTENT};
use super::shape::{self, Members, Shape, member};
use super::usage::USAGE;
use super::{ApiError, ErrorBody, Usage, view};
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
    ("object", Shape::Any),
    ("created", Shape::Any),
    ("model", Shape::String),
    ("system_fingerprint", Shape::Any),
    ("service_tier", Shape::Any),
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
    ("content", CONTENT),
    ("refusal", Shape::String),
    ("reasoning_content", Shape::String),
    ("reasoning", Shape::Any),
    ("tool_calls", Shape::ArrayOf(TOOL_CALL)),
    ("function_call", Shape::Object(FUNCTION)),
    ("annotations", Shape::Any),
];

impl ChatCompletion {
    /// Checks `body`, whole, and takes it.
    ///
    /// # Errors
    /// [`ChatError::InvalidUtf8`] and [`ChatError::Json`] for what is no JSON; [`ChatError::Unexpected`],
    /// [`ChatError::Missing`] and [`ChatError::Duplicate`] for what is no answer; [`ChatError::Failed`] for what tells of an error: see
    /// [`parse_or_error`](Self::parse_or_error).
    pub fn parse(body: SecureBytes) -> Result<Self, ChatError> {
        Self::parse_or_error(body)?.map_err(|_| ChatError::Failed)
    }

    /// As [`parse`](Self::parse), but a body that tells of an error, as some servers send it with the status of a success, is kept for
    /// what it says. There may be a part of an answer in it.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), for what is neither.
    pub fn parse_or_error(body: SecureBytes) -> Result<Result<Self, ErrorBody>, ChatError> {
        let json = Json::from_bytes(body.expose())?;
        if ApiError::find(json).is_some() {
            return ErrorBody::parse(body).map(Err);
        }
        shape::check("body", json, COMPLETION)?;
        if member(json, "choices").is_none() {
            return Err(ChatError::Missing { member: "choices" });
        }
        match SecureString::from_utf8(body) {
            Ok(body) => Ok(Ok(Self { body })),
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

    /// When, in seconds since 1970, if the server sends a whole number.
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
        Usage::find(self.as_json())
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

    /// What the model says. Some servers leave it out where it says nothing: then it is an empty object.
    pub fn message(&self) -> CompletionMessage<'a> {
        CompletionMessage {
            json: self.raw("message").unwrap_or(Json::checked("{}")),
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

    /// The text of the answer, where it is a string. It may be an array of parts: [`texts`](Self::texts) reads both.
    pub fn content(&self) -> Option<JsonStr<'a>> {
        self.string("content")
    }

    /// The text of the answer, in as many pieces as the server sends it: one where it is a string.
    pub fn texts(&self) -> impl Iterator<Item = JsonStr<'a>> + use<'a> {
        content::texts(self.json)
    }

    /// What the model says instead of an answer.
    pub fn refusal(&self) -> Option<JsonStr<'a>> {
        self.string("refusal")
    }

    /// What the model thought, where the server tells in a member: `reasoning_content` (DeepSeek, SGLang and others), or else `reasoning`
    /// (vLLM, Ollama and others). OpenAI does not tell, and Mistral in the content: [`thoughts`](Self::thoughts) reads all.
    pub fn reasoning_content(&self) -> Option<JsonStr<'a>> {
        content::reasoning(self.json)
    }

    /// What the model thought, in as many pieces as the server sends it.
    pub fn thoughts(&self) -> impl Iterator<Item = JsonStr<'a>> + use<'a> {
        content::thoughts(self.json)
    }

    /// The tools it calls; the older `function_call` is one of them, the last.
    pub fn tool_calls(&self) -> impl Iterator<Item = CompletionToolCall<'a>> + use<'a> {
        call::calls(self.json).map(|(json, form)| CompletionToolCall { json, form })
    }

    /// Where it says so from, after a search of the web.
    pub fn annotations(&self) -> Option<Json<'a>> {
        self.raw("annotations").filter(|value| value.is_array())
    }
}

/// A call of a tool.
#[derive(Clone, Copy)]
pub struct CompletionToolCall<'a> {
    json: Json<'a>,
    form: CallForm,
}

impl<'a> CompletionToolCall<'a> {
    /// What the result has to refer to. A `function_call` has none.
    pub fn id(&self) -> Option<JsonStr<'a>> {
        self.form.id(self.json)
    }

    /// `function` or `custom`; `function_call` for the older one, whose result refers to its name.
    pub fn kind(&self) -> Option<JsonStr<'a>> {
        self.form.kind(self.json)
    }

    /// The name of the function or custom tool.
    pub fn name(&self) -> Option<JsonStr<'a>> {
        self.form.name(self.json)
    }

    /// The arguments of a function: JSON, as the model wrote it, which need not be valid. The input of a custom tool.
    pub fn arguments(&self) -> Option<JsonStr<'a>> {
        self.form.arguments(self.json)
    }
}

view!(Choice, CompletionMessage, CompletionToolCall);
