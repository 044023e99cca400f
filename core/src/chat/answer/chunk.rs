//! A piece of a streamed answer.

use super::completion::{FUNCTION, TOOL_CALL, arguments, called};
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
}

const CHUNK: Members = &[
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
    ("delta", Shape::Object(DELTA)),
];

const DELTA: Members = &[
    ("role", Shape::String),
    ("content", Shape::StringOrArray),
    ("refusal", Shape::String),
    ("reasoning_content", Shape::String),
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
        let chunk = Self { json };
        // An error in the middle of a stream has no choices; a count of tokens alone may leave them out, too.
        let stands_alone = chunk.error().is_some() || chunk.raw("usage").is_some();
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

    /// When the answer began, in seconds since 1970.
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
        self.raw("usage").map(Usage::read)
    }

    /// An error in the middle of the stream; nothing of the answer follows.
    pub fn error(&self) -> Option<ApiError<'a>> {
        ApiError::find(self.json)
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

    /// More of the answer.
    pub fn content(&self) -> Option<JsonStr<'a>> {
        self.string("content")
    }

    /// More of what the model says instead of an answer.
    pub fn refusal(&self) -> Option<JsonStr<'a>> {
        self.string("refusal")
    }

    /// More of what the model thinks, where the server tells (DeepSeek, vLLM and others; not OpenAI).
    pub fn reasoning_content(&self) -> Option<JsonStr<'a>> {
        self.string("reasoning_content")
    }

    /// More of the tool calls.
    pub fn tool_calls(&self) -> impl Iterator<Item = DeltaToolCall<'a>> + use<'a> {
        let calls = self.raw("tool_calls").into_iter().flat_map(Json::items);
        calls.map(DeltaToolCall::new)
    }
}

/// More of a tool call.
#[derive(Clone, Copy)]
pub struct DeltaToolCall<'a> {
    json: Json<'a>,
}

impl<'a> DeltaToolCall<'a> {
    /// `json` must have been checked as a tool call, of a chunk or a whole answer.
    pub(in crate::chat) const fn new(json: Json<'a>) -> Self {
        Self { json }
    }

    /// Which of the calls; some servers send each call whole and leave it out.
    pub fn index(&self) -> Option<u64> {
        self.raw("index")?.as_u64()
    }

    /// What the result has to refer to; in the first piece.
    pub fn id(&self) -> Option<JsonStr<'a>> {
        self.string("id")
    }

    /// `function` or `custom`; in the first piece.
    pub fn kind(&self) -> Option<JsonStr<'a>> {
        self.string("type")
    }

    /// The name of the function or custom tool; in the first piece.
    pub fn name(&self) -> Option<JsonStr<'a>> {
        member(called(self.json)?, "name")?.as_str()
    }

    /// More of the arguments of a function, or of the input of a custom tool.
    pub fn arguments(&self) -> Option<JsonStr<'a>> {
        arguments(self.json)
    }
}

view!(ChatChunk, ChunkChoice, Delta, DeltaToolCall);
