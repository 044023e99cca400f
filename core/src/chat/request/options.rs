//! Options of a request that are objects of their own.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Content, optional, redact};
use crate::chat::json::Json;

/// What a stream carries besides the answer.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[must_use]
pub struct StreamOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    include_usage: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    include_obfuscation: Option<bool>,
}

impl StreamOptions {
    /// What the server thinks best.
    pub const fn new() -> Self {
        Self {
            include_usage: None,
            include_obfuscation: None,
        }
    }

    /// Ends the stream with a chunk that counts the tokens.
    pub const fn include_usage(mut self, include: bool) -> Self {
        self.include_usage = Some(include);
        self
    }

    /// Pads chunks against an observer of their sizes. sealwire hides sizes by itself, so `false` saves bandwidth.
    pub const fn include_obfuscation(mut self, include: bool) -> Self {
        self.include_obfuscation = Some(include);
        self
    }
}

/// The form the answer must have.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum ResponseFormat<'a> {
    /// Text.
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// The schema's name.
        name: &'a str,
        /// What it is for.
        description: Option<&'a str>,
        /// The schema.
        schema: Json<'a>,
        /// Whether to follow it exactly.
        strict: Option<bool>,
    },
    /// A form that this type does not know, such as a grammar.
    Other(Json<'a>),
}

impl<'a> ResponseFormat<'a> {
    /// JSON that follows `schema` exactly.
    pub const fn json_schema(name: &'a str, schema: Json<'a>) -> Self {
        Self::JsonSchema {
            name,
            description: None,
            schema,
            strict: Some(true),
        }
    }
}

impl Serialize for ResponseFormat<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Schema<'a> {
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            description: Option<&'a str>,
            schema: Json<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            strict: Option<bool>,
        }

        let (kind, schema) = match *self {
            Self::Other(json) => return json.serialize(serializer),
            Self::Text => ("text", None),
            Self::JsonObject => ("json_object", None),
            Self::JsonSchema {
                name,
                description,
                schema,
                strict,
            } => {
                let schema = Schema {
                    name,
                    description,
                    schema,
                    strict,
                };
                ("json_schema", Some(schema))
            }
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", kind)?;
        optional(&mut map, "json_schema", &schema)?;
        map.end()
    }
}

/// How spoken answers sound.
#[derive(Clone, Copy, Serialize)]
pub struct AudioOutput<'a> {
    voice: &'a str,
    format: &'a str,
}

impl<'a> AudioOutput<'a> {
    /// A voice, and a format such as `wav`, `mp3` or `pcm16`.
    #[must_use]
    pub const fn new(voice: &'a str, format: &'a str) -> Self {
        Self { voice, format }
    }
}

/// Much of the answer, where it is known in advance, such as a file that is to be changed a little.
#[derive(Clone)]
pub struct Prediction<'a>(Content<'a>);

impl<'a> Prediction<'a> {
    /// Predicts that much of the answer will be `content`.
    #[must_use]
    pub fn new(content: impl Into<Content<'a>>) -> Self {
        Self(content.into())
    }
}

impl Serialize for Prediction<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("type", "content")?;
        map.serialize_entry("content", &self.0)?;
        map.end()
    }
}

/// How the model searches the web.
#[derive(Clone, Copy, Default, Serialize)]
pub struct WebSearchOptions<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    search_context_size: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_location: Option<UserLocation<'a>>,
}

impl<'a> WebSearchOptions<'a> {
    /// As the server thinks best.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            search_context_size: None,
            user_location: None,
        }
    }

    /// How much of what it finds to read: `low`, `medium` or `high`.
    #[must_use]
    pub const fn search_context_size(mut self, size: &'a str) -> Self {
        self.search_context_size = Some(size);
        self
    }

    /// Where to search from.
    #[must_use]
    pub const fn user_location(mut self, location: UserLocation<'a>) -> Self {
        self.user_location = Some(location);
        self
    }
}

/// Roughly where the user is.
#[derive(Clone, Copy, Default)]
pub struct UserLocation<'a> {
    /// The country, by its two letters of ISO 3166-1.
    pub country: Option<&'a str>,
    /// The region.
    pub region: Option<&'a str>,
    /// The city.
    pub city: Option<&'a str>,
    /// The time zone, by its IANA name.
    pub timezone: Option<&'a str>,
}

impl Serialize for UserLocation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Approximate<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            country: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            region: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            city: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            timezone: Option<&'a str>,
        }

        let approximate = Approximate {
            country: self.country,
            region: self.region,
            city: self.city,
            timezone: self.timezone,
        };
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("type", "approximate")?;
        map.serialize_entry("approximate", &approximate)?;
        map.end()
    }
}

redact!(
    ResponseFormat,
    AudioOutput,
    Prediction,
    WebSearchOptions,
    UserLocation
);
