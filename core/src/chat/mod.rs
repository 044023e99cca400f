//! Chat.
mod error;
pub mod json;
mod request;

pub use error::{ChatError, JsonFault};
pub use request::{
    AudioOutput, ChatRequest, Content, ContentPart, Function, FunctionChoice, Message, Prediction,
    ResponseFormat, Role, StreamOptions, Tool, ToolCall, ToolChoice, UserLocation,
    WebSearchOptions,
};
