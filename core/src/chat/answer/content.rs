//! What a message or a delta says: a string, or an array of parts, as the reasoning models of some servers send it.

use super::shape::{Members, Shape, member};
use crate::chat::json::{Json, JsonStr};

/// What `content` must be. A part of any other type is an error: an answer with a hole is none. A `reference` says where the text before
/// it is from, in numbers.
pub(super) const CONTENT: Shape = Shape::Parts(&[
    ("type", Shape::String),
    ("text", Shape::String),
    ("thinking", Shape::Parts(THINKING)),
    ("reference", Shape::Any),
]);

const THINKING: Members = &[
    ("type", Shape::String),
    ("text", Shape::String),
    ("reference", Shape::Any),
];

/// The texts of an answer, in their order.
pub(super) fn texts(said: Json<'_>) -> impl Iterator<Item = JsonStr<'_>> {
    pieces(member(said, "content")).filter_map(text)
}

/// The texts of what was thought: the member for it, then the parts of the content that are thoughts.
pub(super) fn thoughts(said: Json<'_>) -> impl Iterator<Item = JsonStr<'_>> {
    let parts = pieces(member(said, "content")).filter_map(thinking);
    let texts = parts.flat_map(|part| pieces(Some(part)).filter_map(text));
    reasoning(said).into_iter().chain(texts)
}

/// What was thought, in the member that DeepSeek and SGLang have for it, or else in that of vLLM, Ollama and OpenRouter. The latter may
/// be of any type: a string is its only form that is known.
pub(super) fn reasoning(said: Json<'_>) -> Option<JsonStr<'_>> {
    let reasoning = member(said, "reasoning_content").or_else(|| member(said, "reasoning"));
    reasoning?.as_str()
}

/// A string is its own only piece, an array has its parts.
fn pieces(value: Option<Json<'_>>) -> impl Iterator<Item = Json<'_>> {
    let alone = value.filter(|value| !value.is_array());
    let parts = value.into_iter().flat_map(Json::items);
    alone.into_iter().chain(parts)
}

/// The text of a piece that is one.
pub(super) fn text(piece: Json<'_>) -> Option<JsonStr<'_>> {
    piece.as_str().or_else(|| part(piece, "text")?.as_str())
}

/// The thought of a piece that is one: a string or an array again.
pub(super) fn thinking(piece: Json<'_>) -> Option<Json<'_>> {
    part(piece, "thinking")
}

fn part<'a>(piece: Json<'a>, kind: &str) -> Option<Json<'a>> {
    let found = member(piece, "type")?.as_str()?;
    (found == kind).then(|| member(piece, kind))?
}
