//! Chat bodies: requests written into secure memory, answers read in secure memory.
//!
//! ```text
//!  &str, SecureString --borrow--> ChatRequest --to_json--> SecureBytes --> sealed frames
//!
//!  sealed frames --> SecureBytes ---> ChatCompletion --> JsonStr --> &str, SecureString
//!                         |     `---> ErrorBody
//!                         |--> SseParser --> SseEvent --> ChatChunk --> ChatAccumulator
//!                         `--> ChatReader --> ChatEvent: the same events for whole answers and streamed ones
//! ```
//!
//! No text of a request or an answer is ever on the ordinary heap: requests borrow what they say and are written once,
//! into a buffer of their exact size; answers stay where they were decrypted, and their strings are lent as they stand,
//! or unescaped straight into secure memory. What lies on the ordinary heap is lists of references. [`json`] has the
//! reading and writing, for bodies of other endpoints too.
//!
//! Types follow the OpenAI chat completions API, and let through what they do not know: a request's members by
//! [`ChatRequest::extra`], an answer's by `raw`.
//!
//! ```
//! use sealwire_core::chat::{ChatAccumulator, ChatRequest, Message, SseParser};
//! use sealwire_memlock::{Policy, SecureMemory};
//!
//! let memory = SecureMemory::new(Policy::BestEffort);
//! let body = ChatRequest::new("some-model")
//!     .message(Message::user("Say hello"))
//!     .stream(true)
//!     .to_json(&memory)?;
//! assert_eq!(
//!     body.expose(),
//!     br#"{"model":"some-model","messages":[{"role":"user","content":"Say hello"}],"stream":true}"#,
//! );
//!
//! // What the server answers, in whatever pieces it arrives.
//! let mut input = &b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"}}]}\n\ndata: [DONE]\n\n"[..];
//! let mut parser = SseParser::new(&memory)?;
//! let mut answer = ChatAccumulator::new(&memory);
//! while !input.is_empty() {
//!     let consumed = parser.handle_input(input)?;
//!     input = &input[consumed..];
//!     while let Some(event) = parser.poll_event() {
//!         if !event.is_done() {
//!             answer.push(&event.chunk()?)?;
//!         }
//!     }
//! }
//! parser.handle_eof()?;
//! assert_eq!(answer.choices()[0].content(), Some("hello"));
//! # Ok::<(), sealwire_core::chat::ChatError>(())
//! ```

mod answer;
mod error;
pub mod json;
mod reader;
mod request;
mod sse;

pub use answer::{
    AccumulatedChoice, AccumulatedToolCall, ApiError, ChatAccumulator, ChatChunk, ChatCompletion,
    Choice, ChunkChoice, CompletionMessage, CompletionToolCall, Delta, DeltaToolCall, ErrorBody,
    Usage,
};
pub use error::{ChatError, JsonFault};
pub use reader::{ChatEvent, ChatReader, ToolCallDelta};
pub use request::{
    AudioOutput, ChatRequest, Content, ContentPart, Function, FunctionChoice, Message, Prediction,
    ResponseFormat, Role, StreamOptions, Tool, ToolCall, ToolChoice, UserLocation,
    WebSearchOptions,
};
pub use sse::{SseEvent, SseParser};
