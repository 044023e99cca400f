//! Messages.

use alloc::vec::Vec;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Content, Function, ToolCall, extra, has_duplicate, list, optional, redact};
use crate::chat::json::Json;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// Instructions that outrank the user's; takes the place of `System` for newer models.
    Developer,
    /// Instructions that outrank the user's.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
    /// The result of a function call; deprecated in favour of `Tool`.
    Function,
}

/// One message of a conversation.
///
/// ```
/// use sealwire_core::chat::{ContentPart, Message};
///
/// let plain = Message::user("What is in this picture?").name("ada");
/// let parts = Message::user(vec![
///     ContentPart::text("What is in this picture?"),
///     ContentPart::image_url("https://example.com/cat.png", Some("low")),
/// ]);
/// assert_eq!(format!("{parts:?}"), "Message([REDACTED])");
/// ```
#[derive(Clone)]
pub struct Message<'a> {
    role: Role,
    content: Option<Content<'a>>,
    name: Option<&'a str>,
    refusal: Option<&'a str>,
    audio: Option<&'a str>,
    tool_calls: Vec<ToolCall<'a>>,
    tool_call_id: Option<&'a str>,
    function_call: Option<(&'a str, &'a str)>,
    extra: Vec<(&'a str, Json<'a>)>,
}

/// Every member [`Message`] writes by itself.
const MEMBERS: &[&str] = &[
    "role",
    "content",
    "name",
    "refusal",
    "audio",
    "tool_calls",
    "tool_call_id",
    "function_call",
];

impl<'a> Message<'a> {
    /// A message without content, such as an assistant's that only calls tools.
    #[must_use]
    pub const fn new(role: Role) -> Self {
        Self {
            role,
            content: None,
            name: None,
            refusal: None,
            audio: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            function_call: None,
            extra: Vec::new(),
        }
    }

    /// Instructions from the developer.
    #[must_use]
    pub fn developer(content: impl Into<Content<'a>>) -> Self {
        Self::new(Role::Developer).content(content)
    }

    /// Instructions from the system.
    #[must_use]
    pub fn system(content: impl Into<Content<'a>>) -> Self {
        Self::new(Role::System).content(content)
    }

    /// What the user says.
    #[must_use]
    pub fn user(content: impl Into<Content<'a>>) -> Self {
        Self::new(Role::User).content(content)
    }

    /// What the model said.
    #[must_use]
    pub fn assistant(content: impl Into<Content<'a>>) -> Self {
        Self::new(Role::Assistant).content(content)
    }

    /// The result of the tool call with this id.
    #[must_use]
    pub fn tool(tool_call_id: &'a str, content: impl Into<Content<'a>>) -> Self {
        let mut message = Self::new(Role::Tool).content(content);
        message.tool_call_id = Some(tool_call_id);
        message
    }

    /// The result of a function call; deprecated in favour of [`Message::tool`].
    #[must_use]
    pub fn function(name: &'a str, content: impl Into<Content<'a>>) -> Self {
        Self::new(Role::Function).content(content).name(name)
    }

    /// What the message says.
    #[must_use]
    pub fn content(mut self, content: impl Into<Content<'a>>) -> Self {
        self.content = Some(content.into());
        self
    }

    /// Tells participants of the same role apart.
    #[must_use]
    pub const fn name(mut self, name: &'a str) -> Self {
        self.name = Some(name);
        self
    }

    /// What an assistant said instead of an answer.
    #[must_use]
    pub const fn refusal(mut self, refusal: &'a str) -> Self {
        self.refusal = Some(refusal);
        self
    }

    /// The id of an earlier spoken answer.
    #[must_use]
    pub const fn audio(mut self, id: &'a str) -> Self {
        self.audio = Some(id);
        self
    }

    /// Adds a tool call that an assistant made.
    #[must_use]
    pub fn tool_call(mut self, call: ToolCall<'a>) -> Self {
        self.tool_calls.push(call);
        self
    }

    /// The function call that an assistant made; deprecated in favour of [`Message::tool_call`].
    #[must_use]
    pub const fn function_call(mut self, name: &'a str, arguments: &'a str) -> Self {
        self.function_call = Some((name, arguments));
        self
    }

    /// Adds a member that this type does not know, such as `reasoning_content` or `cache_control`.
    #[must_use]
    pub fn extra(mut self, name: &'a str, value: Json<'a>) -> Self {
        self.extra.push((name, value));
        self
    }

    pub(super) fn has_duplicate(&self) -> bool {
        has_duplicate(&self.extra, MEMBERS)
    }
}

impl Serialize for Message<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Audio<'a> {
            id: &'a str,
        }

        let audio = self.audio.map(|id| Audio { id });
        let function_call = self
            .function_call
            .map(|(name, arguments)| Function::call(name, arguments));
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", &self.role)?;
        optional(&mut map, "content", &self.content)?;
        optional(&mut map, "name", &self.name)?;
        optional(&mut map, "refusal", &self.refusal)?;
        optional(&mut map, "audio", &audio)?;
        list(&mut map, "tool_calls", &self.tool_calls)?;
        optional(&mut map, "tool_call_id", &self.tool_call_id)?;
        optional(&mut map, "function_call", &function_call)?;
        extra(&mut map, &self.extra, MEMBERS)?;
        map.end()
    }
}

redact!(Message);
