//! A piece of a streamed answer.

use super::call::{self, CallForm, FUNCTION, TOOL_CALL};
use super::content::{self, CONTENT};
use super::shape::{self, Members, Shape, member};
use super::usage::USAGE;
use super::{ApiError, Usage, view};
use crate::chat::ChatError;
use crate::chat::json::{Json, JsonStr};

/// One chunk of a stream: the data of one server-sent event, other than `[DONE]`.
///
/// ```
/// use sealwire_core::chat::ChatChunk;
///
/// let chunk = ChatChunk::parse(r#"{"choices": [{"index": 0, "delta": {"content": "Hel"}}]}"#)?;
/// let choice = chunk.choices().next().expect("one choice");
/// let text = choice.delta().and_then(|delta| delta.content());
/// assert_eq!(text.and_then(|text| text.as_plain()), Some("Hel"));
/// # Ok::<(), sealwire_core::chat::ChatError>(())
/// ```
#[derive(Clone, Copy)]
pub struct ChatChunk<'a> {
    json: Json<'a>,
    error: Option<ApiError<'a>>,
}

const CHUNK: Members = &[
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
    ("delta", Shape::Object(DELTA)),
];

const DELTA: Members = &[
    ("role", Shape::String),
    ("content", CONTENT),
    ("refusal", Shape::String),
    ("reasoning_content", Shape::String),
    ("reasoning", Shape::Any),
    ("tool_calls", Shape::ArrayOf(TOOL_CALL)),
    ("function_call", Shape::Object(FUNCTION)),
];

impl<'a> ChatChunk<'a> {
    /// Checks the data of an event.
    ///
    /// # Errors
    /// [`ChatError::Json`] for what is no JSON; [`ChatError::Unexpected`], [`ChatError::Missing`] and
    /// [`ChatError::Duplicate`] for what is no chunk.
    pub fn parse(data: &'a str) -> Result<Self, ChatError> {
        let json = Json::parse(data)?;
        shape::check("chunk", json, CHUNK)?;
        let error = ApiError::find(json);
        let chunk = Self { json, error };
        // An error in the middle of a stream has no choices; a count of tokens alone may leave them out, too.
        let stands_alone = error.is_some() || chunk.raw("usage").is_some();
        if chunk.raw("choices").is_none() && !stands_alone {
            return Err(ChatError::Missing { member: "choices" });
        }
        Ok(chunk)
    }

    /// The answer's id, the same in each of its chunks.
    pub fn id(&self) -> Option<JsonStr<'a>> {
        self.string("id")
    }

    /// The model that answers.
    pub fn model(&self) -> Option<JsonStr<'a>> {
        self.string("model")
    }

    /// When the answer began, in seconds since 1970, if the server sends a whole number.
    pub fn created(&self) -> Option<u64> {
        self.raw("created")?.as_u64()
    }

    /// The server's configuration, which the same `seed` needs for the same answer.
    pub fn system_fingerprint(&self) -> Option<JsonStr<'a>> {
        self.string("system_fingerprint")
    }

    /// The choices that go on in this chunk: mostly one, and none beside the usage.
    pub fn choices(&self) -> impl Iterator<Item = ChunkChoice<'a>> + use<'a> {
        let choices = self.raw("choices").into_iter().flat_map(Json::items);
        choices.map(|json| ChunkChoice { json })
    }

    /// What the answer cost: in the last chunk, if asked for with `include_usage`.
    pub fn usage(&self) -> Option<Usage> {
        Usage::find(self.json)
    }

    /// An error in the middle of the stream; nothing of the answer follows.
    pub const fn error(&self) -> Option<ApiError<'a>> {
        self.error
    }
}

/// How one choice goes on.
#[derive(Clone, Copy)]
pub struct ChunkChoice<'a> {
    json: Json<'a>,
}

impl<'a> ChunkChoice<'a> {
    /// Which of them.
    pub fn index(&self) -> u64 {
        self.raw("index").and_then(Json::as_u64).unwrap_or(0)
    }

    /// What is new.
    pub fn delta(&self) -> Option<Delta<'a>> {
        self.raw("delta").map(|json| Delta { json })
    }

    /// Why it ends here: `stop`, `length`, `tool_calls`, `content_filter`, ...
    pub fn finish_reason(&self) -> Option<JsonStr<'a>> {
        self.string("finish_reason")
    }

    /// Log probabilities, if asked for.
    pub fn logprobs(&self) -> Option<Json<'a>> {
        self.raw("logprobs")
    }
}

/// What is new in a choice: each text goes to the end of what came before.
#[derive(Clone, Copy)]
pub struct Delta<'a> {
    json: Json<'a>,
}

impl<'a> Delta<'a> {
    /// Who speaks; in the first chunk only.
    pub fn role(&self) -> Option<JsonStr<'a>> {
        self.string("role")
    }

    /// More of the answer, where it is a string. It may be an array of parts: [`texts`](Self::texts) reads both.
    pub fn content(&self) -> Option<JsonStr<'a>> {
        self.string("content")
    }

    /// More of the answer, in as many pieces as the server sends it: one where it is a string.
    pub fn texts(&self) -> impl Iterator<Item = JsonStr<'a>> + use<'a> {
        content::texts(self.json)
    }

    /// More of what the model says instead of an answer.
    pub fn refusal(&self) -> Option<JsonStr<'a>> {
        self.string("refusal")
    }

    /// More of what the model thinks, where the server tells in a member: `reasoning_content` (DeepSeek, SGLang and others), or else
    /// `reasoning` (vLLM, Ollama and others). OpenAI does not tell, and Mistral in the content: [`thoughts`](Self::thoughts) reads all.
    pub fn reasoning_content(&self) -> Option<JsonStr<'a>> {
        content::reasoning(self.json)
    }

    /// More of what the model thinks, in as many pieces as the server sends it.
    pub fn thoughts(&self) -> impl Iterator<Item = JsonStr<'a>> + use<'a> {
        content::thoughts(self.json)
    }

    /// More of the tool calls; the older `function_call` is one of them, the last.
    pub fn tool_calls(&self) -> impl Iterator<Item = DeltaToolCall<'a>> + use<'a> {
        call::calls(self.json).map(|(json, form)| DeltaToolCall::new(json, form))
    }
}

/// More of a tool call.
#[derive(Clone, Copy)]
pub struct DeltaToolCall<'a> {
    json: Json<'a>,
    form: CallForm,
}

impl<'a> DeltaToolCall<'a> {
    /// `json` must have been checked as a call of this form, of a chunk or a whole answer.
    pub(in crate::chat) const fn new(json: Json<'a>, form: CallForm) -> Self {
        Self { json, form }
    }

    pub(super) const fn form(&self) -> CallForm {
        self.form
    }

    pub(super) fn extra(&self) -> impl Iterator<Item = (JsonStr<'a>, Json<'a>)> + use<'a> {
        self.form.extra(self.json)
    }

    /// Which of the calls. Some servers leave it out, or give several calls one index; a `function_call` has none.
    /// [`ChatAccumulator`](super::ChatAccumulator) tells them apart.
    pub fn index(&self) -> Option<u64> {
        self.form.index(self.json)
    }

    /// What the result has to refer to; in the first piece. A `function_call` has none.
    pub fn id(&self) -> Option<JsonStr<'a>> {
        self.form.id(self.json)
    }

    /// `function` or `custom`; in the first piece. `function_call` in each piece of the older one, whose result refers to its name.
    pub fn kind(&self) -> Option<JsonStr<'a>> {
        self.form.kind(self.json)
    }

    /// The name of the function or custom tool; in the first piece.
    pub fn name(&self) -> Option<JsonStr<'a>> {
        self.form.name(self.json)
    }

    /// More of the arguments of a function, or of the input of a custom tool.
    pub fn arguments(&self) -> Option<JsonStr<'a>> {
        self.form.arguments(self.json)
    }
}

view!(ChatChunk, ChunkChoice, Delta, DeltaToolCall);
