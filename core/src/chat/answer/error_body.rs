//! What a server says instead of an answer.

use core::fmt;

use sealwire_memlock::{SecureBytes, SecureString};

use super::shape::{member, members};
use super::view;
use crate::chat::ChatError;
use crate::chat::json::{Json, JsonStr};

/// A body that tells of an error. It owns the body, in secure memory: error messages quote prompts.
///
/// ```
/// use sealwire_core::chat::ErrorBody;
/// use sealwire_memlock::{Policy, SecureMemory};
///
/// let memory = SecureMemory::new(Policy::BestEffort);
/// let body = memory.copy_from(br#"{"error": {"message": "no such model", "type": "invalid_request_error"}}"#)?;
/// let body = ErrorBody::parse(body)?;
/// let error = body.error().expect("an error");
/// assert!(error.kind().is_some_and(|kind| kind == "invalid_request_error"));
/// assert!(error.message().is_some_and(|message| message == "no such model"));
/// # Ok::<(), sealwire_core::chat::ChatError>(())
/// ```
pub struct ErrorBody {
    body: SecureString,
}

impl ErrorBody {
    /// Checks that `body` is JSON and takes it.
    ///
    /// # Errors
    /// [`ChatError::InvalidUtf8`] and [`ChatError::Json`]: what comes in place of an answer is often a page of HTML.
    pub fn parse(body: SecureBytes) -> Result<Self, ChatError> {
        Json::from_bytes(body.expose())?;
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

    /// Gives the body back.
    pub fn into_body(self) -> SecureBytes {
        self.body.into_bytes()
    }

    /// The error, if the body tells of one in any of the known ways.
    pub fn error(&self) -> Option<ApiError<'_>> {
        ApiError::find(self.as_json())
    }
}

impl fmt::Debug for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErrorBody([REDACTED])")
    }
}

/// An error a server tells of. Servers differ, so a member of another type than expected counts as absent.
#[derive(Clone, Copy)]
pub struct ApiError<'a> {
    json: Json<'a>,
}

impl<'a> ApiError<'a> {
    /// Finds the error in a body: `{"error": {...}}` as OpenAI has it, `{"error": "..."}`, `{"detail": ...}` of
    /// FastAPI, `{"object": "error", ...}` of vLLM, and `{"message": "..."}` of what stands before a server. Gemini puts such a body into
    /// an array, alone. Where an answer breaks off, OpenRouter has the error in the choice, too, and Groq in `x_groq`.
    ///
    /// Some servers send an `error` that says nothing with each chunk, and what a `detail` beside an answer is they alone know.
    pub(super) fn find(body: Json<'a>) -> Option<Self> {
        let body = body.items().next().unwrap_or(body);
        let names = ["choices", "error", "detail", "object", "message", "x_groq"];
        let [choices, error, detail, object, message, groq] = members(body, names);
        let is_text = |value: &Json<'_>| value.as_str().is_some_and(|text| !text.is_empty());
        let says = |error: &Json<'_>| is_text(error) || error.members().next().is_some();
        let error_in = |object| member(object, "error").filter(says);
        let error = error.filter(says);
        let json = match choices {
            Some(choices) => error
                .or_else(|| error_in(groq?))
                .or_else(|| choices.items().find_map(error_in)),
            None => {
                let kind = object.and_then(Json::as_str);
                let is_error = kind.is_some_and(|kind| kind == "error")
                    || message.is_some_and(|text| is_text(&text));
                error.or(detail).or(is_error.then_some(body))
            }
        };
        json.map(|json| Self { json })
    }

    /// What went wrong, in words.
    pub fn message(&self) -> Option<JsonStr<'a>> {
        self.json.as_str().or_else(|| self.string("message"))
    }

    /// The class of error, such as `invalid_request_error`.
    pub fn kind(&self) -> Option<JsonStr<'a>> {
        self.string("type")
    }

    /// A code, such as `"model_not_found"`, or the HTTP status as a number.
    pub fn code(&self) -> Option<Json<'a>> {
        self.raw("code")
    }

    /// The member of the request that is at fault.
    pub fn param(&self) -> Option<JsonStr<'a>> {
        self.string("param")
    }
}

view!(ApiError);
