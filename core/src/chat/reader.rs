//! The answer to a chat, streamed or whole, as one sequence of typed events.

use alloc::boxed::Box;
use core::fmt;

use sealwire_memlock::{SecureBytes, SecureMemory};

use super::answer::{
    ApiError, ChatChunk, ChatCompletion, DeltaToolCall, ErrorBody, Part, Parts, Text, Usage,
};
use super::json::{Json, JsonStr};
use super::{ChatError, SseParser};
use crate::head::ResponseHead;

/// What an answer brings, borrowed from secure memory until the reader is used again.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ChatEvent<'a> {
    /// More of an answer's text.
    Text {
        /// Which of the answers.
        choice: u64,
        /// What goes to the end of what came before.
        text: JsonStr<'a>,
    },
    /// More of what the model says instead of an answer.
    Refusal {
        /// Which of the answers.
        choice: u64,
        /// What goes to the end of what came before.
        text: JsonStr<'a>,
    },
    /// More of what the model thinks, where the server tells.
    Reasoning {
        /// Which of the answers.
        choice: u64,
        /// What goes to the end of what came before.
        text: JsonStr<'a>,
    },
    /// A tool call, or more of one.
    ToolCall {
        /// Which of the answers.
        choice: u64,
        /// Which call, and what is new of it.
        call: ToolCallDelta<'a>,
    },
    /// An answer has ended.
    Finish {
        /// Which of the answers.
        choice: u64,
        /// `stop`, `length`, `tool_calls`, `content_filter`, ...
        reason: JsonStr<'a>,
    },
    /// What it cost: at the end, if the server tells.
    Usage(Usage),
    /// The server says that it failed, in place of an answer or in the middle of one.
    Failed {
        /// The HTTP status; that of a success when a stream fails after it has begun, and with servers that have no other.
        status: u16,
        /// The reason, if it gives one in a known form. Error messages quote prompts.
        error: Option<ApiError<'a>>,
    },
    /// There is no more, and the gateway's END was verified.
    Done,
}

/// What is new of a tool call. In a stream `id`, `kind` and `name` come with its first piece.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ToolCallDelta<'a> {
    /// Which of the calls. In a stream some servers leave it out, or give several calls one index: there, a piece with an id and a name of
    /// its own begins a call ([`ChatAccumulator`](super::ChatAccumulator) does this). A streamed `function_call` has none.
    pub index: Option<u64>,
    /// What the result has to refer to. A `function_call` has none.
    pub id: Option<JsonStr<'a>>,
    /// `function` or `custom`; `function_call`, in each piece, for the call of a request's older
    /// [`functions`](super::ChatRequest::function), whose result refers to its name. There is one of these at most.
    pub kind: Option<JsonStr<'a>>,
    /// The name of the function or custom tool.
    pub name: Option<JsonStr<'a>>,
    /// More of the arguments, or of the input.
    pub arguments: Option<JsonStr<'a>>,
}

/// Reads the body of an answer as it comes out of an exchange, in whatever pieces, and gives typed events.
///
/// Whether it is a stream or whole, and a success or not, is in the head; the events are the same, so that a caller has one loop.
/// Text is lent from secure memory, where it was decrypted. The first error stays: an answer with a hole is none.
///
/// ```
/// use sealwire_core::chat::{ChatEvent, ChatReader};
/// use sealwire_core::head::ResponseHead;
/// use sealwire_memlock::{Policy, SecureMemory};
///
/// let memory = SecureMemory::new(Policy::BestEffort);
/// let mut head = ResponseHead::new(200, [7; 16]);
/// head.content_type = Some("text/event-stream");
/// let mut reader = ChatReader::new(&memory, &head)?;
/// let mut said = memory.string();
/// let mut done = false;
/// // What `ClientEvent::Data` brings, cut anywhere.
/// let pieces = [&b"data: {\"choices\":[{\"index\":0,\"delta\":{\"con"[..], b"tent\":\"hello\"}}]}\n", b"\ndata: [DONE]\n\n"];
/// for piece in pieces {
///     let mut rest = piece;
///     while !rest.is_empty() {
///         let taken = reader.handle_input(rest)?;
///         rest = &rest[taken..];
///         while let Some(event) = reader.poll_event() {
///             if let ChatEvent::Text { choice: 0, text } = event {
///                 text.append_to(&mut said)?;
///             }
///         }
///     }
/// }
/// // `ClientEvent::Complete`
/// reader.handle_complete()?;
/// while let Some(event) = reader.poll_event() {
///     done |= matches!(event, ChatEvent::Done);
/// }
/// assert!(done);
/// assert_eq!(said.expose(), "hello");
/// # Ok::<(), sealwire_core::chat::ChatError>(())
/// ```
pub struct ChatReader {
    status: u16,
    body: Body,
    limit: usize,
    /// What is still to be given out of what stands in the body.
    parts: Parts,
    /// There was a chunk.
    begun: bool,
    end: End,
    failure: Option<ChatError>,
}

enum Body {
    Stream(Box<SseParser>),
    /// It can be read when it has ended.
    Coming(SecureBytes),
    Whole(ChatCompletion),
    Error(Option<ErrorBody>),
}

impl Body {
    /// What the places of parts are in.
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Stream(parser) => parser.event_data().unwrap_or_default(),
            Self::Whole(completion) => completion.body(),
            Self::Coming(_) | Self::Error(_) => &[],
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// More may come.
    Open,
    /// The stream said `[DONE]`, or failed: what else comes in it says nothing.
    Marked,
    /// END was verified.
    Verified,
    /// And that was told.
    Told,
}

impl ChatReader {
    /// The limit of [`new`](Self::new) on a whole answer, and on one event of a streamed one: 64 MiB, and 1 MiB.
    pub const DEFAULT_LIMIT: usize = 64 << 20;

    /// A reader of the answer that `head` begins.
    ///
    /// # Errors
    /// [`ChatError::Memory`] when there is none.
    pub fn new(memory: &SecureMemory, head: &ResponseHead<'_>) -> Result<Self, ChatError> {
        let stream = head.status < 300 && head.content_type.is_some_and(is_event_stream);
        let limit = if stream {
            SseParser::DEFAULT_LIMIT
        } else {
            Self::DEFAULT_LIMIT
        };
        Self::with_limit(memory, head, limit)
    }

    /// A reader that holds at most `limit` bytes, of the answer if it is whole, of each event if it is streamed.
    ///
    /// # Errors
    /// [`ChatError::Memory`] when there is none.
    pub fn with_limit(
        memory: &SecureMemory,
        head: &ResponseHead<'_>,
        limit: usize,
    ) -> Result<Self, ChatError> {
        let stream = head.status < 300 && head.content_type.is_some_and(is_event_stream);
        let body = if stream {
            Body::Stream(Box::new(SseParser::with_limit(memory, limit)?))
        } else {
            Body::Coming(memory.with_capacity(0)?)
        };
        Ok(Self {
            status: head.status,
            body,
            limit,
            parts: Parts::NONE,
            begun: false,
            end: End::Open,
            failure: None,
        })
    }

    /// Takes bytes of the body and says how many. While [`poll_event`](Self::poll_event) has events to give, it takes none.
    ///
    /// # Errors
    /// [`ChatError`] for what is no chat's answer, or passes the limit.
    pub fn handle_input(&mut self, input: &[u8]) -> Result<usize, ChatError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let result = self.take(input);
        self.keep_failure(result)
    }

    fn take(&mut self, input: &[u8]) -> Result<usize, ChatError> {
        if self.end == End::Marked {
            return Ok(input.len());
        }
        match &mut self.body {
            Body::Stream(parser) => {
                if parser.event_data().is_some() {
                    return Ok(0);
                }
                let taken = parser.handle_input(input)?;
                self.look()?;
                Ok(taken)
            }
            Body::Coming(body) => {
                if input.len() > self.limit.saturating_sub(body.len()) {
                    return Err(ChatError::TooLarge { limit: self.limit });
                }
                body.try_extend_from_slice(input)?;
                Ok(input.len())
            }
            // After its end nothing comes.
            Body::Whole(_) | Body::Error(_) => Ok(input.len()),
        }
    }

    /// Checks an event that has come in whole, so that giving out its parts cannot fail.
    fn look(&mut self) -> Result<(), ChatError> {
        let Body::Stream(parser) = &mut self.body else {
            return Ok(());
        };
        let Some(event) = parser.event() else {
            return Ok(());
        };
        if event.is_done() {
            self.end = End::Marked;
            parser.forget_event();
        } else if event.is_empty() {
            parser.forget_event();
        } else {
            self.parts = Parts::of_chunk(&event.chunk()?);
            self.begun = true;
        }
        Ok(())
    }

    /// The answer is whole: the exchange gave its [`Complete`](crate::record::Complete). The last events can be polled now.
    ///
    /// # Errors
    /// [`ChatError`] for what is no chat's answer: one that is whole is read only now, a stream may stop within an event, or before its
    /// first chunk.
    pub fn handle_complete(&mut self) -> Result<(), ChatError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let result = self.complete();
        self.keep_failure(result)
    }

    fn complete(&mut self) -> Result<(), ChatError> {
        match core::mem::replace(&mut self.body, Body::Error(None)) {
            Body::Stream(mut parser) => {
                if self.end == End::Open {
                    parser.handle_eof()?;
                }
                if !self.begun {
                    return Err(ChatError::Missing { member: "choices" });
                }
                self.body = Body::Stream(parser);
            }
            Body::Coming(body) if self.status < 300 => {
                match ChatCompletion::parse_or_error(body)? {
                    Ok(completion) => {
                        self.parts = Parts::of_completion(&completion);
                        self.body = Body::Whole(completion);
                    }
                    Err(error) => {
                        self.parts = Parts::FAILED;
                        self.body = Body::Error(Some(error));
                    }
                }
            }
            Body::Coming(body) => {
                self.parts = Parts::FAILED;
                // What comes in place of an answer need not be JSON.
                self.body = Body::Error(ErrorBody::parse(body).ok());
            }
            ended => self.body = ended,
        }
        if self.end != End::Told {
            self.end = End::Verified;
        }
        Ok(())
    }

    fn keep_failure<T>(&mut self, result: Result<T, ChatError>) -> Result<T, ChatError> {
        result.inspect_err(|error| {
            self.failure = Some(error.clone());
            self.body = Body::Error(None);
        })
    }

    /// The next event, if what has come so far makes one.
    pub fn poll_event(&mut self) -> Option<ChatEvent<'_>> {
        if self.failure.is_some() {
            return None;
        }
        if let Some(part) = self.parts.take_next(self.body.bytes()) {
            if matches!(part, Part::Failed) && self.end == End::Open {
                self.end = End::Marked;
            }
            return self.event(part);
        }
        if let Body::Stream(parser) = &mut self.body {
            parser.forget_event();
            self.parts = Parts::NONE;
        }
        if self.end == End::Verified {
            self.end = End::Told;
            return Some(ChatEvent::Done);
        }
        None
    }

    /// A part of what stands in the body, read where it stands.
    fn event(&self, part: Part) -> Option<ChatEvent<'_>> {
        let body = self.body.bytes();
        Some(match part {
            Part::Text { kind, choice, at } => {
                let text = Json::at(body, at).as_str()?;
                match kind {
                    Text::Reasoning => ChatEvent::Reasoning { choice, text },
                    Text::Content => ChatEvent::Text { choice, text },
                    Text::Refusal => ChatEvent::Refusal { choice, text },
                    Text::FinishReason => {
                        let reason = text;
                        ChatEvent::Finish { choice, reason }
                    }
                }
            }
            Part::ToolCall {
                choice,
                counted,
                form,
                at,
            } => {
                let mut call = ToolCallDelta::from(DeltaToolCall::new(Json::at(body, at), form));
                call.index = counted.or(call.index);
                ChatEvent::ToolCall { choice, call }
            }
            Part::Usage(usage) => ChatEvent::Usage(usage),
            Part::Failed => ChatEvent::Failed {
                status: self.status,
                error: match self.error_body() {
                    Some(body) => body.error(),
                    None => self.chunk().and_then(|chunk| chunk.error()),
                },
            },
        })
    }

    /// The whole answer, if it was not streamed, and is there: for what the events leave out.
    pub fn completion(&self) -> Option<&ChatCompletion> {
        match &self.body {
            Body::Whole(completion) => Some(completion),
            _ => None,
        }
    }

    /// The chunk that came last in a stream, for what the events leave out: after [`handle_input`](Self::handle_input), until
    /// [`poll_event`](Self::poll_event) has no event of it left. It is read once more at each call.
    pub fn chunk(&self) -> Option<ChatChunk<'_>> {
        match &self.body {
            Body::Stream(parser) => parser.event()?.chunk().ok(),
            _ => None,
        }
    }

    /// The JSON that came in place of an answer, once it is there: for an error in a form that is not known.
    pub fn error_body(&self) -> Option<&ErrorBody> {
        match &self.body {
            Body::Error(error) => error.as_ref(),
            _ => None,
        }
    }
}

impl fmt::Debug for ChatReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChatReader([REDACTED])")
    }
}

fn is_event_stream(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("text/event-stream")
}

impl<'a> From<DeltaToolCall<'a>> for ToolCallDelta<'a> {
    fn from(call: DeltaToolCall<'a>) -> Self {
        Self {
            index: call.index(),
            id: call.id(),
            kind: call.kind(),
            name: call.name(),
            arguments: call.arguments(),
        }
    }
}

#[cfg(test)]
mod tests;
