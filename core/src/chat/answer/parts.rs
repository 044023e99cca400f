//! The parts of an answer in their order, each looked for where the one before it ended.
//!
//! A reader lends one part at a time and cannot hold a borrow of the body in between, so what is kept here are places in it. Every
//! choice is entered once and every tool call passed once: giving out all parts goes over the body a fixed number of times, however
//! many they are (LIMIT-2).

use super::call::{self, CallForm};
use super::shape::member;
use super::{ChatChunk, ChatCompletion, Usage, content};
use crate::chat::json::{Json, JsonStr, Place};

/// One part, by its place in the body.
#[derive(Clone, Copy)]
pub(in crate::chat) enum Part {
    /// A text that is not empty.
    Text {
        kind: Text,
        choice: u64,
        at: Place,
    },
    /// `counted` is which call it is in a whole answer, where calls do not say so themselves.
    ToolCall {
        choice: u64,
        counted: Option<u64>,
        form: CallForm,
        at: Place,
    },
    Usage(Usage),
    /// An error in place of all other parts.
    Failed,
}

/// Which text of a choice.
#[derive(Clone, Copy)]
pub(in crate::chat) enum Text {
    Reasoning,
    Content,
    Refusal,
    FinishReason,
}

/// The parts that are still to come.
pub(in crate::chat) struct Parts {
    form: Form,
    failed: bool,
    /// The choice that is being given out.
    choice: Choice,
    /// Those after it.
    choices: Place,
    usage: Option<Usage>,
}

#[derive(Clone, Copy)]
enum Form {
    Chunk,
    Completion,
}

/// What is still to come of a choice.
struct Choice {
    index: u64,
    /// Pieces of what is thought: a string alone, or the rest of an array's parts.
    thoughts: Place,
    /// Pieces of what is said, likewise; among them are thoughts.
    content: Place,
    refusal: Option<Place>,
    calls: Place,
    function_call: Option<Place>,
    calls_taken: u64,
    finish_reason: Option<Place>,
}

impl Parts {
    /// None.
    pub(in crate::chat) const NONE: Self = Self {
        form: Form::Chunk,
        failed: false,
        choice: Choice::NONE,
        choices: Place::EMPTY,
        usage: None,
    };

    /// An error alone.
    pub(in crate::chat) const FAILED: Self = Self {
        failed: true,
        ..Self::NONE
    };

    /// Those of a chunk. An error in the middle of a stream is all that its chunk says.
    pub(in crate::chat) fn of_chunk(chunk: &ChatChunk<'_>) -> Self {
        if chunk.error().is_some() {
            return Self::FAILED;
        }
        Self {
            choices: items(chunk.raw("choices")),
            usage: chunk.usage(),
            ..Self::NONE
        }
    }

    /// Those of a whole answer.
    pub(in crate::chat) fn of_completion(completion: &ChatCompletion) -> Self {
        Self {
            form: Form::Completion,
            choices: items(completion.raw("choices")),
            usage: completion.usage(),
            ..Self::NONE
        }
    }

    /// The next part; `body` is what they were made of.
    pub(in crate::chat) fn take_next(&mut self, body: &[u8]) -> Option<Part> {
        if core::mem::take(&mut self.failed) {
            return Some(Part::Failed);
        }
        loop {
            if let Some(part) = self.choice.take_next(self.form, body) {
                return Some(part);
            }
            match self.choices.take_item(body) {
                Some(at) => self.choice = Choice::enter(self.form, Json::at(body, at)),
                None => return self.usage.take().map(Part::Usage),
            }
        }
    }
}

impl Choice {
    const NONE: Self = Self {
        index: 0,
        thoughts: Place::EMPTY,
        content: Place::EMPTY,
        refusal: None,
        calls: Place::EMPTY,
        function_call: None,
        calls_taken: 0,
        finish_reason: None,
    };

    fn enter(form: Form, choice: Json<'_>) -> Self {
        let said = member(
            choice,
            match form {
                Form::Chunk => "delta",
                Form::Completion => "message",
            },
        );
        let reasoning = said.and_then(content::reasoning);
        let function_call = said.and_then(call::function_call);
        let said = |name| said.and_then(|said| member(said, name));
        Self {
            index: member(choice, "index").and_then(Json::as_u64).unwrap_or(0),
            thoughts: pieces(reasoning.map(JsonStr::as_json)),
            content: pieces(said("content")),
            refusal: text(said("refusal").and_then(Json::as_str)),
            calls: items(said("tool_calls")),
            function_call: function_call.map(Json::place),
            calls_taken: 0,
            finish_reason: text(member(choice, "finish_reason").and_then(Json::as_str)),
        }
    }

    fn take_next(&mut self, form: Form, body: &[u8]) -> Option<Part> {
        let choice = self.index;
        let text = |kind, at| Part::Text { kind, choice, at };
        if let Some((kind, at)) = self.take_said(body) {
            return Some(text(kind, at));
        }
        if let Some(at) = self.refusal.take() {
            return Some(text(Text::Refusal, at));
        }
        let call = self.calls.take_item(body).map(|at| (CallForm::Tool, at));
        let older = || Some((CallForm::Function, self.function_call.take()?));
        if let Some((called, at)) = call.or_else(older) {
            let counted = match form {
                Form::Chunk => None,
                Form::Completion => Some(self.calls_taken),
            };
            self.calls_taken += 1;
            return Some(Part::ToolCall {
                choice,
                counted,
                form: called,
                at,
            });
        }
        let at = self.finish_reason.take()?;
        Some(text(Text::FinishReason, at))
    }

    /// The next text that is thought or said; a thought within the content comes where it stands.
    fn take_said(&mut self, body: &[u8]) -> Option<(Text, Place)> {
        loop {
            while let Some(piece) = self.thoughts.take_item(body) {
                if let Some(at) = text(content::text(Json::at(body, piece))) {
                    return Some((Text::Reasoning, at));
                }
            }
            let piece = Json::at(body, self.content.take_item(body)?);
            if let Some(at) = text(content::text(piece)) {
                return Some((Text::Content, at));
            }
            self.thoughts = pieces(content::thinking(piece));
        }
    }
}

/// A text that says something.
fn text(text: Option<JsonStr<'_>>) -> Option<Place> {
    let text = text.filter(|text| !text.is_empty())?;
    Some(text.as_json().place())
}

/// The pieces of a string, which is its only one, or of an array; either may be missing.
fn pieces(value: Option<Json<'_>>) -> Place {
    match value {
        Some(text) if !text.is_array() => text.place(),
        array => items(array),
    }
}

/// The items of an array that may be missing.
fn items(array: Option<Json<'_>>) -> Place {
    let array = array.filter(|array| array.is_array());
    array.map_or(Place::EMPTY, |array| array.place().inside())
}
