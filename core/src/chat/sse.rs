//! Server-sent events: the HTML Standard, section 9.2 (`text/event-stream`).

use core::fmt;

use sealwire_memlock::{SecureBytes, SecureMemory, SecureString};

use super::{ChatChunk, ChatError};

const BYTE_ORDER_MARK: &[u8; 3] = b"\xEF\xBB\xBF";

/// Takes a stream apart into events, whatever pieces it arrives in.
///
/// An event is put together in secure memory and lent from there; it is wiped at the next call. Comments are passed
/// over without being kept. One thing is stricter than the standard: where it reads a replacement character for bytes
/// that are not UTF-8, this parser refuses them.
///
/// ```
/// use sealwire_core::chat::SseParser;
/// use sealwire_memlock::{Policy, SecureMemory};
///
/// let mut parser = SseParser::new(&SecureMemory::new(Policy::BestEffort))?;
/// let mut seen = Vec::new();
/// for mut input in [&b": hello\n\ndata: {\"choi"[..], b"ces\":[]}\r\n\r\ndata: [DONE]\n\n"] {
///     while !input.is_empty() {
///         let consumed = parser.handle_input(input)?;
///         input = &input[consumed..];
///         while let Some(event) = parser.poll_event() {
///             seen.push(event.data().to_owned());
///         }
///     }
/// }
/// parser.handle_eof()?;
/// assert_eq!(seen, [r#"{"choices":[]}"#, "[DONE]"]);
/// # Ok::<(), sealwire_core::chat::ChatError>(())
/// ```
pub struct SseParser {
    /// The data of the event, a line feed after each line; from `data_len` on, the line that is still coming.
    buffer: SecureBytes,
    data_len: usize,
    event: SecureString,
    /// Checked when it comes in and never again: it may be as long as the limit allows, and the events after it short.
    last_event_id: SecureString,
    /// The id of the event that is coming in, which is no last id before the event has ended.
    next_id: SecureString,
    has_next_id: bool,
    retry: Option<u64>,
    limit: usize,
    /// How much of a byte order mark the stream has begun with; `None` once that is decided.
    mark: Option<usize>,
    /// The last line ended in a carriage return: a line feed now belongs to it.
    after_return: bool,
    in_comment: bool,
    state: State,
    failure: Option<ChatError>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Lines are coming in.
    Reading,
    /// The buffer holds a whole event.
    Ready,
    /// It has been lent, and is wiped at the next call.
    Lent,
}

impl SseParser {
    /// The limit of [`SseParser::new`]: 1 MiB.
    pub const DEFAULT_LIMIT: usize = 1 << 20;

    /// A parser at the start of a stream.
    ///
    /// # Errors
    /// [`ChatError::Memory`] when there is none.
    pub fn new(memory: &SecureMemory) -> Result<Self, ChatError> {
        Self::with_limit(memory, Self::DEFAULT_LIMIT)
    }

    /// A parser that holds at most `limit` bytes, of an event, its id and the last event id together.
    ///
    /// # Errors
    /// [`ChatError::Memory`] when there is none.
    pub fn with_limit(memory: &SecureMemory, limit: usize) -> Result<Self, ChatError> {
        Ok(Self {
            buffer: memory.with_capacity(0)?,
            data_len: 0,
            event: memory.string(),
            last_event_id: memory.string(),
            next_id: memory.string(),
            has_next_id: false,
            retry: None,
            limit,
            mark: Some(0),
            after_return: false,
            in_comment: false,
            state: State::Reading,
            failure: None,
        })
    }

    /// Takes input up to the end of the next event, and returns how much. What is left stays with the caller until
    /// [`SseParser::poll_event`] has taken the event; before that, nothing more is consumed.
    ///
    /// # Errors
    /// [`ChatError::TooLarge`], [`ChatError::InvalidUtf8`], [`ChatError::Memory`]. The first error stays.
    pub fn handle_input(&mut self, input: &[u8]) -> Result<usize, ChatError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        self.wipe_lent();
        let mut rest = input;
        while self.state == State::Reading && !rest.is_empty() {
            match self.step(rest) {
                Ok(consumed) => rest = &rest[consumed..],
                Err(error) => {
                    self.wipe_event();
                    self.failure = Some(error.clone());
                    return Err(error);
                }
            }
        }
        Ok(input.len() - rest.len())
    }

    /// The event that is complete, if there is one. It can be read until the parser is used again.
    pub fn poll_event(&mut self) -> Option<SseEvent<'_>> {
        self.wipe_lent();
        if self.state != State::Ready {
            return None;
        }
        self.state = State::Lent;
        self.event()
    }

    /// The event that is complete, or was lent last, left where it is.
    pub(super) fn event(&self) -> Option<SseEvent<'_>> {
        Some(SseEvent {
            event: match self.event.is_empty() {
                true => "message",
                false => self.event.expose(),
            },
            // Each line was checked as it came in.
            data: check_text(self.event_data()?).unwrap_or(""),
            id: self.last_event_id.expose(),
        })
    }

    /// The data of that event, without going over it again.
    pub(super) fn event_data(&self) -> Option<&[u8]> {
        if self.state == State::Reading {
            return None;
        }
        // "If the data buffer's last character is a U+000A LINE FEED (LF) character, then remove the last character
        // from the data buffer." Every line of data has left one.
        Some(&self.buffer.expose()[..self.data_len - 1])
    }

    /// Ends the stream. An event that is complete can still be polled. The parser is then at the start of another
    /// stream; the last event id stays, as it does when a client reconnects.
    ///
    /// # Errors
    /// [`ChatError::IncompleteEvent`] if the stream ended before the empty line that ends an event: the standard wants
    /// it discarded, and it is; a caller may want to know that the answer was cut off. Of a `[DONE]`, which some servers send without that
    /// line, nothing is missing.
    pub fn handle_eof(&mut self) -> Result<(), ChatError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        self.wipe_lent();
        let mark = self.mark.replace(0).unwrap_or(0);
        self.after_return = false;
        self.in_comment = false;
        if self.state == State::Ready {
            return Ok(());
        }
        let discarded = match self.ends_in_done() {
            true => 0,
            false => self.buffer.len() + self.event.len() + mark,
        };
        self.wipe_event();
        match discarded {
            0 => Ok(()),
            discarded => Err(ChatError::IncompleteEvent { discarded }),
        }
    }

    /// Whether all that has come of the next event is a `[DONE]`.
    fn ends_in_done(&self) -> bool {
        let (data, line) = self.buffer.expose().split_at(self.data_len);
        match split_field(line) {
            (b"", _) => is_done(data),
            (b"data", value) => data.is_empty() && is_done(value),
            _ => false,
        }
    }

    /// The id of the last event that ended and had one: what a client sends as `Last-Event-ID` when it reconnects.
    pub fn last_event_id(&self) -> &str {
        self.last_event_id.expose()
    }

    /// How long the server wants a client to wait before it reconnects, in milliseconds.
    pub const fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// Takes the rest of a line, or as much of it as is there.
    fn step(&mut self, input: &[u8]) -> Result<usize, ChatError> {
        if let Some(matched) = self.mark {
            if input[0] == BYTE_ORDER_MARK[matched] {
                self.mark = Some(matched + 1).filter(|matched| *matched < BYTE_ORDER_MARK.len());
                return Ok(1);
            }
            // No mark after all, so what looked like one belongs to the first line.
            self.mark = None;
            self.keep(&BYTE_ORDER_MARK[..matched])?;
        }
        if core::mem::take(&mut self.after_return) && input[0] == b'\n' {
            return Ok(1);
        }
        let is_line_start = self.buffer.len() == self.data_len;
        self.in_comment |= is_line_start && input[0] == b':';

        let end = input.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let line = &input[..end.unwrap_or(input.len())];
        if !self.in_comment {
            self.keep(line)?;
        }
        let Some(end) = end else {
            return Ok(input.len());
        };
        self.after_return = input[end] == b'\r';
        if !core::mem::take(&mut self.in_comment) {
            self.end_line()?;
        }
        Ok(end + 1)
    }

    /// Adds to the line, if the limit allows.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), ChatError> {
        let ids = self.last_event_id.len() + self.next_id.len();
        let held = self.buffer.len() + self.event.len() + ids;
        if bytes.len() > self.limit.saturating_sub(held) {
            return Err(ChatError::TooLarge { limit: self.limit });
        }
        Ok(self.buffer.try_extend_from_slice(bytes)?)
    }

    /// HTML Standard, section 9.2.6, "interpreting an event stream": one line, which is complete.
    fn end_line(&mut self) -> Result<(), ChatError> {
        let line = &self.buffer.expose()[self.data_len..];
        if line.is_empty() {
            // "Set the last event ID string of the event source to the value of the last event ID buffer.", also without data.
            if core::mem::take(&mut self.has_next_id) {
                core::mem::swap(&mut self.last_event_id, &mut self.next_id);
                self.next_id.clear();
            }
            // "If the data buffer is an empty string, set the data buffer and the event type buffer to the empty
            // string and return."
            match self.data_len {
                0 => self.event.clear(),
                _ => self.state = State::Ready,
            }
            return Ok(());
        }
        let (field, value) = split_field(line);
        match field {
            b"data" => {
                check_text(value)?;
                return self.keep_data(line.len() - value.len());
            }
            b"event" => replace(&mut self.event, value)?,
            // "If the field value does not contain U+0000 NULL, then set the last event ID buffer to the field value.
            // Otherwise, ignore the field."
            b"id" if !value.contains(&0) => {
                replace(&mut self.next_id, value)?;
                self.has_next_id = true;
            }
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                let digits = core::str::from_utf8(value).ok();
                self.retry = digits.and_then(|digits| digits.parse().ok()).or(self.retry);
            }
            // "The field is ignored."
            _ => {}
        }
        self.buffer.truncate(self.data_len);
        Ok(())
    }

    /// Moves the value of the line down to the data before it: the first `skip` bytes of the line are no value.
    fn keep_data(&mut self, skip: usize) -> Result<(), ChatError> {
        let start = self.data_len + skip;
        let len = self.buffer.len() - skip;
        self.buffer.expose_mut().copy_within(start.., self.data_len);
        self.buffer.truncate(len);
        // Never more than the limit: `data` was longer than the line feed in its place.
        self.buffer.try_extend_from_slice(b"\n")?;
        self.data_len = self.buffer.len();
        Ok(())
    }

    /// Wipes the event that is complete, if there is one.
    pub(super) fn forget_event(&mut self) {
        if self.state == State::Ready {
            self.state = State::Lent;
        }
        self.wipe_lent();
    }

    fn wipe_lent(&mut self) {
        if self.state == State::Lent {
            self.state = State::Reading;
            self.wipe_event();
        }
    }

    fn wipe_event(&mut self) {
        self.buffer.clear();
        self.data_len = 0;
        self.event.clear();
        self.next_id.clear();
        self.has_next_id = false;
    }
}

impl fmt::Debug for SseParser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SseParser([REDACTED])")
    }
}

/// A field's name and value: "If value starts with a U+0020 SPACE character, remove it from value."
fn split_field(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|byte| *byte == b':') {
        Some(colon) => {
            let value = &line[colon + 1..];
            (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
        }
        None => (line, &[]),
    }
}

fn is_done(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]"
}

fn check_text(value: &[u8]) -> Result<&str, ChatError> {
    #[cfg(test)]
    super::json::work::count(value.len());
    core::str::from_utf8(value).map_err(|error| ChatError::InvalidUtf8 {
        offset: error.valid_up_to(),
    })
}

fn replace(target: &mut SecureString, value: &[u8]) -> Result<(), ChatError> {
    let text = check_text(value)?;
    target.clear();
    Ok(target.try_push_str(text)?)
}

/// One event, lent by [`SseParser::poll_event`].
#[derive(Clone, Copy)]
pub struct SseEvent<'a> {
    event: &'a str,
    data: &'a str,
    id: &'a str,
}

impl<'a> SseEvent<'a> {
    /// Its type, `message` unless it says otherwise.
    pub const fn event(&self) -> &'a str {
        self.event
    }

    /// Its data, lines joined by line feeds.
    pub const fn data(&self) -> &'a str {
        self.data
    }

    /// The last event id.
    pub const fn id(&self) -> &'a str {
        self.id
    }

    /// Whether it is the `[DONE]` after the last chunk of an answer; blanks around it mean nothing.
    pub fn is_done(&self) -> bool {
        is_done(self.data.as_bytes())
    }

    /// Whether there is nothing in it: some servers send such events as a sign that they live.
    pub fn is_empty(&self) -> bool {
        self.data.trim_ascii().is_empty()
    }

    /// Its data as a chunk of an answer.
    ///
    /// # Errors
    /// As [`ChatChunk::parse`]; `[DONE]` is no chunk.
    pub fn chunk(&self) -> Result<ChatChunk<'a>, ChatError> {
        ChatChunk::parse(self.data)
    }
}

impl fmt::Debug for SseEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SseEvent([REDACTED])")
    }
}
