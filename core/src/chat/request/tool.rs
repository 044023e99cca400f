//! Tools, calls of them, and the choice among them.

use core::iter::empty;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::redact;
use crate::chat::AccumulatedToolCall;
use crate::chat::json::Json;

/// A function the model may call.
///
/// ```
/// use sealwire_core::chat::{Function, Tool};
/// use sealwire_core::chat::json::Json;
///
/// let schema = Json::parse(r#"{"type": "object", "properties": {"city": {"type": "string"}}}"#)?;
/// let tool = Tool::function(
///     Function::new("weather").description("The weather in a city").parameters(schema).strict(true),
/// );
/// # Ok::<(), sealwire_core::chat::ChatError>(())
/// ```
#[derive(Clone, Copy, Serialize)]
pub struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Json<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    /// Of a call, where it stands in place of all of the above but the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
}

impl<'a> Function<'a> {
    /// A function without parameters.
    #[must_use]
    pub const fn new(name: &'a str) -> Self {
        Self {
            name,
            description: None,
            parameters: None,
            strict: None,
            arguments: None,
        }
    }

    /// What it does, for the model to judge when to call it.
    #[must_use]
    pub const fn description(mut self, description: &'a str) -> Self {
        self.description = Some(description);
        self
    }

    /// The JSON schema of its arguments.
    #[must_use]
    pub const fn parameters(mut self, schema: Json<'a>) -> Self {
        self.parameters = Some(schema);
        self
    }

    /// Whether the arguments must follow the schema exactly.
    #[must_use]
    pub const fn strict(mut self, strict: bool) -> Self {
        self.strict = Some(strict);
        self
    }

    pub(super) const fn call(name: &'a str, arguments: &'a str) -> Self {
        let mut function = Self::new(name);
        function.arguments = Some(arguments);
        function
    }
}

/// A tool the model may call.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Tool<'a> {
    /// A function: its arguments are JSON.
    Function(Function<'a>),
    /// A custom tool: its input is text.
    Custom {
        /// Its name.
        name: &'a str,
        /// What it does.
        description: Option<&'a str>,
        /// The form of its input: `{"type": "text"}`, or a grammar.
        format: Option<Json<'a>>,
    },
    /// A tool that this type does not know.
    Other(Json<'a>),
}

impl<'a> Tool<'a> {
    /// A function.
    pub const fn function(function: Function<'a>) -> Self {
        Self::Function(function)
    }

    /// A custom tool that takes any text.
    pub const fn custom(name: &'a str, description: Option<&'a str>) -> Self {
        Self::Custom {
            name,
            description,
            format: None,
        }
    }
}

impl Serialize for Tool<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Custom<'a> {
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            description: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            format: Option<Json<'a>>,
        }

        match *self {
            Self::Other(json) => json.serialize(serializer),
            Self::Function(function) => typed(serializer, "function", &function),
            Self::Custom {
                name,
                description,
                format,
            } => {
                let custom = Custom {
                    name,
                    description,
                    format,
                };
                typed(serializer, "custom", &custom)
            }
        }
    }
}

/// A call that an assistant made.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum ToolCall<'a> {
    /// Of a function.
    Function {
        /// The id its result refers to.
        id: &'a str,
        /// The function.
        name: &'a str,
        /// The arguments: JSON, as the model wrote it, which need not be valid.
        arguments: &'a str,
    },
    /// Of a custom tool.
    Custom {
        /// The id its result refers to.
        id: &'a str,
        /// The tool.
        name: &'a str,
        /// What the model wrote.
        input: &'a str,
    },
    /// As it stood in the answer.
    Json(Json<'a>),
    /// As its pieces add up, with the members of it that this crate does not know.
    Accumulated(&'a AccumulatedToolCall),
}

impl<'a> ToolCall<'a> {
    /// A call of a function.
    pub const fn function(id: &'a str, name: &'a str, arguments: &'a str) -> Self {
        Self::Function {
            id,
            name,
            arguments,
        }
    }

    /// A call of a custom tool.
    pub const fn custom(id: &'a str, name: &'a str, input: &'a str) -> Self {
        Self::Custom { id, name, input }
    }
}

/// A call of a function or of a custom tool: its id, name and input, and what else there is.
fn call<'a, S: Serializer>(
    serializer: S,
    is_custom: bool,
    [id, name, input]: [&str; 3],
    extra: impl Iterator<Item = (&'a str, Json<'a>)>,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Custom<'a> {
        name: &'a str,
        input: &'a str,
    }

    if is_custom {
        let custom = Custom { name, input };
        return typed_with(serializer, "custom", Some(id), &custom, extra);
    }
    let function = Function::call(name, input);
    typed_with(serializer, "function", Some(id), &function, extra)
}

impl Serialize for ToolCall<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Json(json) => json.serialize(serializer),
            Self::Function {
                id,
                name,
                arguments,
            } => call(serializer, false, [id, name, arguments], empty()),
            Self::Custom { id, name, input } => call(serializer, true, [id, name, input], empty()),
            Self::Accumulated(made) => {
                let (id, name) = (made.id().unwrap_or(""), made.name().unwrap_or(""));
                let is_custom = made.kind() == Some("custom");
                call(
                    serializer,
                    is_custom,
                    [id, name, made.arguments()],
                    made.extra(),
                )
            }
        }
    }
}

/// Which tool the model must or may call.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum ToolChoice<'a> {
    /// None.
    None,
    /// As it sees fit.
    Auto,
    /// At least one.
    Required,
    /// This function.
    Function(&'a str),
    /// This custom tool.
    Custom(&'a str),
    /// Some of the tools.
    AllowedTools {
        /// `auto` or `required`.
        mode: &'a str,
        /// An array of tools, each by type and name.
        tools: Json<'a>,
    },
}

impl Serialize for ToolChoice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Allowed<'a> {
            mode: &'a str,
            tools: Json<'a>,
        }

        match *self {
            Self::None => serializer.serialize_str("none"),
            Self::Auto => serializer.serialize_str("auto"),
            Self::Required => serializer.serialize_str("required"),
            Self::Function(name) => typed(serializer, "function", &Function::new(name)),
            Self::Custom(name) => typed(serializer, "custom", &Function::new(name)),
            Self::AllowedTools { mode, tools } => {
                typed(serializer, "allowed_tools", &Allowed { mode, tools })
            }
        }
    }
}

/// Which function the model must or may call; deprecated in favour of [`ToolChoice`].
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum FunctionChoice<'a> {
    /// None.
    None,
    /// As it sees fit.
    Auto,
    /// This one.
    Function(&'a str),
}

impl Serialize for FunctionChoice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::None => serializer.serialize_str("none"),
            Self::Auto => serializer.serialize_str("auto"),
            Self::Function(name) => Function::new(name).serialize(serializer),
        }
    }
}

/// `{"type": kind, kind: value}`
fn typed<S, T>(serializer: S, kind: &str, value: &T) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    T: Serialize,
{
    typed_with(serializer, kind, None, value, empty())
}

/// The same, behind an id, and before what else there is.
fn typed_with<'a, S, T>(
    serializer: S,
    kind: &str,
    id: Option<&str>,
    value: &T,
    extra: impl Iterator<Item = (&'a str, Json<'a>)>,
) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    T: Serialize,
{
    let mut map = serializer.serialize_map(None)?;
    if let Some(id) = id {
        map.serialize_entry("id", id)?;
    }
    map.serialize_entry("type", kind)?;
    map.serialize_entry(kind, value)?;
    for (name, value) in extra {
        map.serialize_entry(name, &value)?;
    }
    map.end()
}

redact!(Function, Tool, ToolCall, ToolChoice, FunctionChoice);
