//! Calls of tools, in the form of today and in the older one.

use super::shape::{Members, Shape, member};
use crate::chat::json::{Json, JsonStr};

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

/// How a call stands in an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::chat) enum CallForm {
    /// An item of `tool_calls`.
    Tool,
    /// The one `function_call` of a request's older `functions`: it has neither id nor type, and no function inside.
    Function,
}

impl CallForm {
    pub(super) fn index(self, call: Json<'_>) -> Option<u64> {
        match self {
            Self::Tool => member(call, "index")?.as_u64(),
            Self::Function => None,
        }
    }

    pub(super) fn id(self, call: Json<'_>) -> Option<JsonStr<'_>> {
        match self {
            Self::Tool => member(call, "id")?.as_str(),
            Self::Function => None,
        }
    }

    pub(super) fn kind(self, call: Json<'_>) -> Option<JsonStr<'_>> {
        match self {
            Self::Tool => member(call, "type")?.as_str(),
            // No server says it, but a caller has to answer this one by its name.
            Self::Function => Json::checked(r#""function_call""#).as_str(),
        }
    }

    pub(super) fn name(self, call: Json<'_>) -> Option<JsonStr<'_>> {
        member(self.called(call)?, "name")?.as_str()
    }

    pub(super) fn arguments(self, call: Json<'_>) -> Option<JsonStr<'_>> {
        let called = self.called(call)?;
        let arguments = member(called, "arguments").or_else(|| member(called, "input"));
        arguments?.as_str()
    }

    /// The members that are not known.
    pub(super) fn extra(self, call: Json<'_>) -> impl Iterator<Item = (JsonStr<'_>, Json<'_>)> {
        let call = Some(call).filter(|_| self == Self::Tool);
        let members = call.into_iter().flat_map(Json::members);
        members.filter(|(name, value)| {
            !value.is_null() && TOOL_CALL.iter().all(|(known, _)| *name != *known)
        })
    }

    fn called(self, call: Json<'_>) -> Option<Json<'_>> {
        match self {
            Self::Tool => member(call, "function").or_else(|| member(call, "custom")),
            Self::Function => Some(call),
        }
    }
}

/// The calls of a message or a delta.
pub(super) fn calls(said: Json<'_>) -> impl Iterator<Item = (Json<'_>, CallForm)> {
    let tools = member(said, "tool_calls").into_iter().flat_map(Json::items);
    let function = function_call(said).map(|call| (call, CallForm::Function));
    tools.map(|call| (call, CallForm::Tool)).chain(function)
}

/// The older call. Some servers send it empty where there is none.
pub(super) fn function_call(said: Json<'_>) -> Option<Json<'_>> {
    let says = |text: Option<JsonStr<'_>>| text.is_some_and(|text| !text.is_empty());
    let form = CallForm::Function;
    member(said, "function_call")
        .filter(|call| says(form.name(*call)) || says(form.arguments(*call)))
}
