//! The answer to a chat, streamed or whole, as one sequence of typed events.

use alloc::boxed::Box;
use core::fmt;

use sealwire_memlock::{SecureBytes, SecureMemory};

use super::answer::{
    ApiError, ChatChunk, ChatCompletion, CompletionToolCall, DeltaToolCall, ErrorBody, Usage,
};
use super::json::JsonStr;
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
        /// The HTTP status; that of a success when a stream fails after it has begun.
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
    /// Which of the calls; some servers send each call whole and leave it out.
    pub index: Option<u64>,
    /// What the result has to refer to.
    pub id: Option<JsonStr<'a>>,
    /// `function` or `custom`.
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
    /// How many events of what stands in the body were given out.
    given: usize,
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
            given: 0,
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
                if parser.event().is_some() {
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
        } else {
            event.chunk()?;
        }
        Ok(())
    }

    /// The answer is whole: the exchange gave its [`Complete`](crate::record::Complete). The last events can be polled now.
    ///
    /// # Errors
    /// [`ChatError`] for what is no chat's answer: one that is whole is read only now, a stream may stop within an event.
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
                self.body = Body::Stream(parser);
            }
            Body::Coming(body) if self.status < 300 => {
                self.body = Body::Whole(ChatCompletion::parse(body)?);
            }
            // What comes in place of an answer need not be JSON.
            Body::Coming(body) => self.body = Body::Error(ErrorBody::parse(body).ok()),
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
        if self.part(self.given).is_some() {
            self.given += 1;
            let failed = matches!(self.part(self.given - 1), Some(ChatEvent::Failed { .. }));
            if failed && self.end == End::Open {
                self.end = End::Marked;
            }
            return self.part(self.given - 1);
        }
        if let Body::Stream(parser) = &mut self.body {
            parser.forget_event();
            self.given = 0;
        }
        if self.end == End::Verified {
            self.end = End::Told;
            return Some(ChatEvent::Done);
        }
        None
    }

    /// Part number `n` of what stands in the body.
    fn part(&self, n: usize) -> Option<ChatEvent<'_>> {
        match &self.body {
            Body::Stream(parser) => {
                // It was checked when it came in.
                let chunk = parser.event()?.chunk().ok()?;
                match chunk.error() {
                    Some(error) => self.failed(Some(error)).filter(|_| n == 0),
                    None => parts_of_chunk(chunk).nth(n),
                }
            }
            Body::Coming(_) => None,
            Body::Whole(completion) => parts_of_completion(completion).nth(n),
            Body::Error(error) => self
                .failed(error.as_ref().and_then(ErrorBody::error))
                .filter(|_| n == 0),
        }
    }

    fn failed<'a>(&self, error: Option<ApiError<'a>>) -> Option<ChatEvent<'a>> {
        let status = self.status;
        Some(ChatEvent::Failed { status, error })
    }

    /// The whole answer, if it was not streamed, and is there: for what the events leave out.
    pub fn completion(&self) -> Option<&ChatCompletion> {
        match &self.body {
            Body::Whole(completion) => Some(completion),
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

/// A text that says something.
fn some(text: Option<JsonStr<'_>>) -> Option<JsonStr<'_>> {
    text.filter(|text| !text.is_empty())
}

fn parts_of_chunk(chunk: ChatChunk<'_>) -> impl Iterator<Item = ChatEvent<'_>> {
    let choices = chunk.choices().flat_map(|part| {
        let choice = part.index();
        let delta = part.delta();
        let texts = [
            delta
                .and_then(|delta| some(delta.reasoning_content()))
                .map(|text| ChatEvent::Reasoning { choice, text }),
            delta
                .and_then(|delta| some(delta.content()))
                .map(|text| ChatEvent::Text { choice, text }),
            delta
                .and_then(|delta| some(delta.refusal()))
                .map(|text| ChatEvent::Refusal { choice, text }),
        ];
        let calls = delta.into_iter().flat_map(|delta| delta.tool_calls());
        let calls = calls.map(move |call| ChatEvent::ToolCall {
            choice,
            call: call.into(),
        });
        let finish = some(part.finish_reason());
        let finish = finish.map(|reason| ChatEvent::Finish { choice, reason });
        texts.into_iter().flatten().chain(calls).chain(finish)
    });
    choices.chain(chunk.usage().map(ChatEvent::Usage))
}

fn parts_of_completion(completion: &ChatCompletion) -> impl Iterator<Item = ChatEvent<'_>> {
    let choices = completion.choices().flat_map(|part| {
        let choice = part.index();
        let message = part.message();
        let texts = [
            some(message.reasoning_content()).map(|text| ChatEvent::Reasoning { choice, text }),
            some(message.content()).map(|text| ChatEvent::Text { choice, text }),
            some(message.refusal()).map(|text| ChatEvent::Refusal { choice, text }),
        ];
        let calls = (0..)
            .zip(message.tool_calls())
            .map(move |(index, call)| ChatEvent::ToolCall {
                choice,
                call: whole_call(index, call),
            });
        let finish = some(part.finish_reason());
        let finish = finish.map(|reason| ChatEvent::Finish { choice, reason });
        texts.into_iter().flatten().chain(calls).chain(finish)
    });
    choices.chain(completion.usage().map(ChatEvent::Usage))
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

fn whole_call(index: u64, call: CompletionToolCall<'_>) -> ToolCallDelta<'_> {
    ToolCallDelta {
        index: Some(index),
        id: call.id(),
        kind: call.kind(),
        name: call.name(),
        arguments: call.arguments(),
    }
}
