//! Messages and what they are made of.

use alloc::vec::Vec;

use sealwire_memlock::SecureString;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Function, ToolCall, extra, has_duplicate, list, optional, redact};
use crate::chat::json::{Json, JsonStr};

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

/// What a message says: one text, or parts of several kinds.
#[derive(Clone)]
#[non_exhaustive]
pub enum Content<'a> {
    /// One text.
    Text(&'a str),
    /// A text that still has its JSON escapes: an answer goes back into the conversation as it came.
    Json(JsonStr<'a>),
    /// Parts.
    Parts(Vec<ContentPart<'a>>),
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Json(text) => text.serialize(serializer),
            Self::Parts(parts) => parts.serialize(serializer),
        }
    }
}

impl<'a> From<&'a str> for Content<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a SecureString> for Content<'a> {
    fn from(text: &'a SecureString) -> Self {
        Self::Text(text.expose())
    }
}

impl<'a> From<JsonStr<'a>> for Content<'a> {
    fn from(text: JsonStr<'a>) -> Self {
        Self::Json(text)
    }
}

impl<'a> From<Vec<ContentPart<'a>>> for Content<'a> {
    fn from(parts: Vec<ContentPart<'a>>) -> Self {
        Self::Parts(parts)
    }
}

/// A part of a message's content.
#[derive(Clone)]
#[non_exhaustive]
pub enum ContentPart<'a> {
    /// Text.
    Text(&'a str),
    /// An image.
    ImageUrl {
        /// Where it is, or a `data:` URL that holds it.
        url: &'a str,
        /// `auto`, `low` or `high`.
        detail: Option<&'a str>,
    },
    /// Sound.
    InputAudio {
        /// The recording, in base64.
        data: &'a str,
        /// `wav` or `mp3`.
        format: &'a str,
    },
    /// A file: one uploaded before, or its content.
    File {
        /// The id of an uploaded file.
        file_id: Option<&'a str>,
        /// The content, as a `data:` URL in base64.
        file_data: Option<&'a str>,
        /// The name the model sees.
        filename: Option<&'a str>,
    },
    /// What an assistant said instead of an answer.
    Refusal(&'a str),
    /// A part that this type does not know.
    Other(Json<'a>),
}

impl<'a> ContentPart<'a> {
    /// Text.
    pub const fn text(text: &'a str) -> Self {
        Self::Text(text)
    }

    /// An image: where it is, or a `data:` URL; and how closely the model shall look.
    pub const fn image_url(url: &'a str, detail: Option<&'a str>) -> Self {
        Self::ImageUrl { url, detail }
    }

    /// Sound in base64, and its format.
    pub const fn input_audio(data: &'a str, format: &'a str) -> Self {
        Self::InputAudio { data, format }
    }

    /// A file uploaded before.
    pub const fn file_id(file_id: &'a str) -> Self {
        Self::File {
            file_id: Some(file_id),
            file_data: None,
            filename: None,
        }
    }

    /// A file sent along: its name, and its content as a `data:` URL.
    pub const fn file(filename: &'a str, file_data: &'a str) -> Self {
        Self::File {
            file_id: None,
            file_data: Some(file_data),
            filename: Some(filename),
        }
    }
}

impl Serialize for ContentPart<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// The inner object of every kind of part that has one.
        #[derive(Default, Serialize)]
        struct Inner<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            url: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            format: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            file_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            file_data: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            filename: Option<&'a str>,
        }

        let (kind, inner) = match *self {
            Self::Other(json) => return json.serialize(serializer),
            Self::Text(text) => return text_part(serializer, "text", text),
            Self::Refusal(refusal) => return text_part(serializer, "refusal", refusal),
            Self::ImageUrl { url, detail } => {
                let url = Some(url);
                let inner = Inner {
                    url,
                    detail,
                    ..Inner::default()
                };
                ("image_url", inner)
            }
            Self::InputAudio { data, format } => {
                let (data, format) = (Some(data), Some(format));
                let inner = Inner {
                    data,
                    format,
                    ..Inner::default()
                };
                ("input_audio", inner)
            }
            Self::File {
                file_id,
                file_data,
                filename,
            } => {
                let inner = Inner {
                    file_id,
                    file_data,
                    filename,
                    ..Inner::default()
                };
                ("file", inner)
            }
        };
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("type", kind)?;
        map.serialize_entry(kind, &inner)?;
        map.end()
    }
}

/// `{"type": kind, kind: text}`
fn text_part<S: Serializer>(serializer: S, kind: &str, text: &str) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("type", kind)?;
    map.serialize_entry(kind, text)?;
    map.end()
}

redact!(Message, Content, ContentPart);
