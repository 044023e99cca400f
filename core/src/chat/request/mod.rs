//! The chat completions request.

mod content;
mod message;
mod options;
mod tool;

use alloc::vec::Vec;
use core::fmt;

use sealwire_memlock::{SecureBytes, SecureMemory};
use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};

pub use content::{Content, ContentPart};
pub use message::{Message, Role};
pub use options::{
    AudioOutput, Prediction, ResponseFormat, StreamOptions, UserLocation, WebSearchOptions,
};
pub use tool::{Function, FunctionChoice, Tool, ToolCall, ToolChoice};

use super::ChatError;
use super::json::{self, Json};

/// Writes each option once: it becomes a field, a builder method and a member of the JSON, under one name.
macro_rules! chat_request {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        /// A request to `POST /v1/chat/completions`.
        ///
        /// Content is borrowed from wherever the caller keeps it, a `SecureString` at best, so that building a
        /// request copies no secret; [`ChatRequest::to_json`] then writes it once, into secure memory.
        ///
        /// Words that servers keep adding to, such as the values of `reasoning_effort`, are strings; members this type
        /// does not know go through [`ChatRequest::extra`].
        ///
        /// ```
        /// use sealwire_core::chat::{ChatRequest, Message, ResponseFormat};
        /// use sealwire_memlock::{Policy, SecureMemory};
        ///
        /// let memory = SecureMemory::new(Policy::BestEffort);
        /// let request = ChatRequest::new("some-model")
        ///     .message(Message::system("Answer in one word."))
        ///     .message(Message::user("Is water wet?"))
        ///     .response_format(ResponseFormat::Text)
        ///     .temperature(0.5)
        ///     .stream(true);
        /// let body = request.to_json(&memory)?;
        /// assert!(body.expose().starts_with(br#"{"model":"some-model","messages":[{"role":"system","#));
        /// # Ok::<(), sealwire_core::chat::ChatError>(())
        /// ```
        #[derive(Clone)]
        pub struct ChatRequest<'a> {
            model: &'a str,
            messages: Vec<Message<'a>>,
            tools: Vec<Tool<'a>>,
            functions: Vec<Function<'a>>,
            logit_bias: &'a [(u32, f64)],
            metadata: &'a [(&'a str, &'a str)],
            $($name: Option<$type>,)*
            extra: Vec<(&'a str, Json<'a>)>,
        }

        /// Every member this type writes by itself, so that none is written twice.
        const MEMBERS: &[&str] = &[
            "model", "messages", "tools", "functions", "logit_bias", "metadata", $(stringify!($name)),*
        ];

        impl<'a> ChatRequest<'a> {
            /// A request to `model`, without messages.
            #[must_use]
            pub const fn new(model: &'a str) -> Self {
                Self {
                    model,
                    messages: Vec::new(),
                    tools: Vec::new(),
                    functions: Vec::new(),
                    logit_bias: &[],
                    metadata: &[],
                    $($name: None,)*
                    extra: Vec::new(),
                }
            }

            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(mut self, $name: $type) -> Self {
                    self.$name = Some($name);
                    self
                }
            )*
        }

        impl Serialize for ChatRequest<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("model", self.model)?;
                map.serialize_entry("messages", &self.messages)?;
                list(&mut map, "tools", &self.tools)?;
                list(&mut map, "functions", &self.functions)?;
                if !self.logit_bias.is_empty() {
                    map.serialize_entry("logit_bias", &Pairs(self.logit_bias))?;
                }
                if !self.metadata.is_empty() {
                    map.serialize_entry("metadata", &Pairs(self.metadata))?;
                }
                $(optional(&mut map, stringify!($name), &self.$name)?;)*
                extra(&mut map, &self.extra, MEMBERS)?;
                map.end()
            }
        }
    };
}

chat_request! {
    /// Answers piece by piece, as server-sent events.
    stream: bool,
    /// What a stream carries besides the answer.
    stream_options: StreamOptions,
    /// Sampling temperature, 0 to 2.
    temperature: f64,
    /// Nucleus sampling: the share of probability mass to choose from.
    top_p: f64,
    /// How many choices to generate.
    n: u32,
    /// Up to four sequences that end the answer.
    stop: &'a [&'a str],
    /// The most tokens to generate; older than `max_completion_tokens`, and the one many servers know.
    max_tokens: u32,
    /// The most tokens to generate, reasoning included.
    max_completion_tokens: u32,
    /// Penalty on tokens that have appeared at all, -2 to 2.
    presence_penalty: f64,
    /// Penalty on tokens by how often they have appeared, -2 to 2.
    frequency_penalty: f64,
    /// Returns the log probabilities of the answer's tokens.
    logprobs: bool,
    /// How many of the likeliest tokens to return at each position, 0 to 20.
    top_logprobs: u32,
    /// Asks for the same answer to the same request, as far as the server can.
    seed: i64,
    /// Which tool the model must or may call.
    tool_choice: ToolChoice<'a>,
    /// Lets the model call several tools at once.
    parallel_tool_calls: bool,
    /// Which of the `functions` to call; deprecated in favour of `tool_choice`.
    function_call: FunctionChoice<'a>,
    /// The form the answer must have.
    response_format: ResponseFormat<'a>,
    /// `none`, `minimal`, `low`, `medium`, `high`, ...
    reasoning_effort: &'a str,
    /// `low`, `medium` or `high`.
    verbosity: &'a str,
    /// What the answer may be made of: `text`, `audio`.
    modalities: &'a [&'a str],
    /// How spoken answers sound; needed when `modalities` has `audio`.
    audio: AudioOutput<'a>,
    /// Much of the answer, where it is known in advance.
    prediction: Prediction<'a>,
    /// Lets the model search the web.
    web_search_options: WebSearchOptions<'a>,
    /// Lets the server keep the answer.
    store: bool,
    /// `auto`, `default`, `flex`, `priority`, ...
    service_tier: &'a str,
    /// The end user; replaced by `safety_identifier` and `prompt_cache_key`.
    user: &'a str,
    /// A stable, opaque name of the end user, by which a provider can tell abusers apart.
    safety_identifier: &'a str,
    /// Requests with the same key share a prompt cache.
    prompt_cache_key: &'a str,
    /// How long the prompt stays cached: `in_memory`, `24h`, ...
    prompt_cache_retention: &'a str,
}

impl<'a> ChatRequest<'a> {
    /// Adds a message.
    #[must_use]
    pub fn message(mut self, message: Message<'a>) -> Self {
        self.messages.push(message);
        self
    }

    /// Adds messages, such as an earlier conversation.
    #[must_use]
    pub fn messages(mut self, messages: impl IntoIterator<Item = Message<'a>>) -> Self {
        self.messages.extend(messages);
        self
    }

    /// Adds a tool that the model may call.
    #[must_use]
    pub fn tool(mut self, tool: Tool<'a>) -> Self {
        self.tools.push(tool);
        self
    }

    /// Adds a function that the model may call; deprecated in favour of [`ChatRequest::tool`].
    #[must_use]
    pub fn function(mut self, function: Function<'a>) -> Self {
        self.functions.push(function);
        self
    }

    /// By how much, from -100 to 100, each of these tokens is made likelier.
    #[must_use]
    pub const fn logit_bias(mut self, bias: &'a [(u32, f64)]) -> Self {
        self.logit_bias = bias;
        self
    }

    /// Names and values that are stored with the answer.
    #[must_use]
    pub const fn metadata(mut self, metadata: &'a [(&'a str, &'a str)]) -> Self {
        self.metadata = metadata;
        self
    }

    /// Adds a member that this type does not know. One that it does know, or the same one twice, is refused by
    /// [`ChatRequest::to_json`].
    #[must_use]
    pub fn extra(mut self, name: &'a str, value: Json<'a>) -> Self {
        self.extra.push((name, value));
        self
    }

    /// Whether the answer will be a stream.
    pub fn is_stream(&self) -> bool {
        self.stream == Some(true)
    }

    /// Writes the request into secure memory, in a buffer of exactly its size.
    ///
    /// # Errors
    /// [`ChatError::NotFinite`] for a number JSON cannot express, [`ChatError::Duplicate`] for a member given twice, also within
    /// `logit_bias` and `metadata`, [`ChatError::Memory`].
    pub fn to_json(&self, memory: &SecureMemory) -> Result<SecureBytes, ChatError> {
        let duplicate =
            has_duplicate(&self.extra, MEMBERS) || self.messages.iter().any(Message::has_duplicate);
        if duplicate {
            return Err(ChatError::Duplicate { member: "extra" });
        }
        for (member, duplicate) in [
            ("logit_bias", Pairs(self.logit_bias).has_duplicate()),
            ("metadata", Pairs(self.metadata).has_duplicate()),
        ] {
            if duplicate {
                return Err(ChatError::Duplicate { member });
            }
        }
        json::to_secure(memory, self)
    }
}

impl fmt::Debug for ChatRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChatRequest([REDACTED])")
    }
}

/// Implements `Debug` for types that hold content, or what gives it away.
macro_rules! redact {
    ($($name:ident),*) => {
        $(impl core::fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($name), "([REDACTED])"))
            }
        })*
    };
}
use redact;

/// Names and values as a JSON object.
struct Pairs<'a, K, V>(&'a [(K, V)]);

impl<K: PartialEq, V> Pairs<'_, K, V> {
    fn has_duplicate(&self) -> bool {
        let mut keys = self.0.iter().map(|(key, _)| key).enumerate();
        keys.any(|(at, key)| self.0[..at].iter().any(|(earlier, _)| earlier == key))
    }
}

impl<K: Serialize + PartialEq, V: Serialize> Serialize for Pairs<'_, K, V> {
    /// Refuses to write a name twice.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.has_duplicate() {
            return Err(S::Error::custom("a member appears twice"));
        }
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// Writes a member that is there.
fn optional<M, T>(map: &mut M, name: &str, value: &Option<T>) -> Result<(), M::Error>
where
    M: SerializeMap,
    T: Serialize,
{
    match value {
        Some(value) => map.serialize_entry(name, value),
        None => Ok(()),
    }
}

/// Writes a list that is not empty: servers refuse some of the empty ones.
fn list<M, T>(map: &mut M, name: &str, values: &[T]) -> Result<(), M::Error>
where
    M: SerializeMap,
    T: Serialize,
{
    match values {
        [] => Ok(()),
        values => map.serialize_entry(name, values),
    }
}

/// Writes the caller's own members, and refuses to write a name twice.
fn extra<M>(map: &mut M, extra: &[(&str, Json<'_>)], members: &[&str]) -> Result<(), M::Error>
where
    M: SerializeMap,
{
    if has_duplicate(extra, members) {
        return Err(M::Error::custom("a member appears twice"));
    }
    extra
        .iter()
        .try_for_each(|(name, value)| map.serialize_entry(name, value))
}

fn has_duplicate(extra: &[(&str, Json<'_>)], members: &[&str]) -> bool {
    extra.iter().enumerate().any(|(at, (name, _))| {
        members.contains(name) || extra[..at].iter().any(|(earlier, _)| earlier == name)
    })
}
