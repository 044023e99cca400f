//! What messages say.

use alloc::vec::Vec;

use sealwire_memlock::SecureString;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::redact;
use crate::chat::json::{Json, JsonStr};

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

redact!(Content, ContentPart);
