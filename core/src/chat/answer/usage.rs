//! What an answer cost.

use super::shape::{Members, Shape, member, members};
use crate::chat::json::Json;

/// How many tokens an answer took. Counts that the server did not send are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Of the prompt.
    pub prompt_tokens: u64,
    /// Of the answer.
    pub completion_tokens: u64,
    /// Both.
    pub total_tokens: u64,
    /// Of the prompt, those that were cached.
    pub cached_tokens: u64,
    /// Of the prompt, those that were sound.
    pub prompt_audio_tokens: u64,
    /// Of the answer, those spent on reasoning.
    pub reasoning_tokens: u64,
    /// Of the answer, those that were sound.
    pub completion_audio_tokens: u64,
    /// Of the prediction, those that came true.
    pub accepted_prediction_tokens: u64,
    /// Of the prediction, those that did not.
    pub rejected_prediction_tokens: u64,
}

pub(super) const USAGE: Members = &[
    ("prompt_tokens", Shape::Unsigned),
    ("completion_tokens", Shape::Unsigned),
    ("total_tokens", Shape::Unsigned),
    ("prompt_tokens_details", Shape::Object(PROMPT_DETAILS)),
    (
        "completion_tokens_details",
        Shape::Object(COMPLETION_DETAILS),
    ),
];

const PROMPT_DETAILS: Members = &[
    ("cached_tokens", Shape::Unsigned),
    ("audio_tokens", Shape::Unsigned),
];

const COMPLETION_DETAILS: Members = &[
    ("reasoning_tokens", Shape::Unsigned),
    ("audio_tokens", Shape::Unsigned),
    ("accepted_prediction_tokens", Shape::Unsigned),
    ("rejected_prediction_tokens", Shape::Unsigned),
];

impl Usage {
    /// The count of a checked answer, or of a chunk: where OpenAI has it, or else in `x_groq` (Groq) or the first choice (Moonshot), where
    /// a count of another type than expected is 0.
    pub(super) fn find(answer: Json<'_>) -> Option<Self> {
        let [usage, groq, choices] = members(answer, ["usage", "x_groq", "choices"]);
        let usage = usage
            .or_else(|| member(groq?, "usage"))
            .or_else(|| member(choices?.items().next()?, "usage"));
        usage.filter(|usage| usage.is_object()).map(Self::read)
    }

    fn read(json: Json<'_>) -> Self {
        let prompt = member(json, "prompt_tokens_details");
        let completion = member(json, "completion_tokens_details");
        let count = |object: Option<Json<'_>>, name| {
            let value = object.and_then(|object| member(object, name));
            value.and_then(Json::as_u64).unwrap_or(0)
        };
        Self {
            prompt_tokens: count(Some(json), "prompt_tokens"),
            completion_tokens: count(Some(json), "completion_tokens"),
            total_tokens: count(Some(json), "total_tokens"),
            cached_tokens: count(prompt, "cached_tokens"),
            prompt_audio_tokens: count(prompt, "audio_tokens"),
            reasoning_tokens: count(completion, "reasoning_tokens"),
            completion_audio_tokens: count(completion, "audio_tokens"),
            accepted_prediction_tokens: count(completion, "accepted_prediction_tokens"),
            rejected_prediction_tokens: count(completion, "rejected_prediction_tokens"),
        }
    }
}
