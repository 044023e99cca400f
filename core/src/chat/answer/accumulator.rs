//! A whole answer, put together from its chunks.

use alloc::vec::Vec;
use core::fmt;

use sealwire_memlock::{SecureMemory, SecureString};

use super::{CallForm, ChatChunk, ChunkChoice, DeltaToolCall, Usage};
use crate::chat::json::{Json, JsonStr};
use crate::chat::{ChatError, Message, Role, ToolCall};

/// The most choices of an answer, tool calls of a choice, and members of a call that are not known.
const MAX_ENTRIES: usize = 128;

/// Puts a streamed answer together, in secure memory.
///
/// ```
/// use sealwire_core::chat::{ChatAccumulator, ChatChunk};
/// use sealwire_memlock::{Policy, SecureMemory};
///
/// let memory = SecureMemory::new(Policy::BestEffort);
/// let mut answer = ChatAccumulator::new(&memory);
/// for data in [
///     r#"{"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hel"}}]}"#,
///     r#"{"choices": [{"index": 0, "delta": {"content": "lo"}}]}"#,
///     r#"{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}"#,
/// ] {
///     answer.push(&ChatChunk::parse(data)?)?;
/// }
/// assert!(answer.is_finished());
/// assert_eq!(answer.choices()[0].content(), Some("Hello"));
/// # Ok::<(), sealwire_core::chat::ChatError>(())
/// ```
pub struct ChatAccumulator {
    texts: Texts,
    id: Option<SecureString>,
    model: Option<SecureString>,
    choices: Vec<AccumulatedChoice>,
    usage: Option<Usage>,
    failure: Option<ChatError>,
}

impl ChatAccumulator {
    /// The limit of [`ChatAccumulator::new`]: 64 MiB of text.
    pub const DEFAULT_LIMIT: usize = 64 << 20;

    /// An empty answer in `memory`.
    #[must_use]
    pub fn new(memory: &SecureMemory) -> Self {
        Self::with_limit(memory, Self::DEFAULT_LIMIT)
    }

    /// An empty answer that takes at most `limit` bytes of text.
    #[must_use]
    pub fn with_limit(memory: &SecureMemory, limit: usize) -> Self {
        Self {
            texts: Texts {
                memory: memory.clone(),
                limit,
                held: 0,
            },
            id: None,
            model: None,
            choices: Vec::new(),
            usage: None,
            failure: None,
        }
    }

    /// Adds a chunk. One that tells of an error ([`ChatChunk::error`]) adds nothing: look for that first.
    ///
    /// # Errors
    /// [`ChatError::TooLarge`] and [`ChatError::Memory`]. An answer with a hole is none, so the first error stays.
    pub fn push(&mut self, chunk: &ChatChunk<'_>) -> Result<(), ChatError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if chunk.error().is_some() {
            return Ok(());
        }
        self.fold(chunk)
            .inspect_err(|error| self.failure = Some(error.clone()))
    }

    fn fold(&mut self, chunk: &ChatChunk<'_>) -> Result<(), ChatError> {
        self.texts.set(&mut self.id, chunk.id())?;
        self.texts.set(&mut self.model, chunk.model())?;
        for choice in chunk.choices() {
            let index = choice.index();
            let at = find_or_push(
                &mut self.choices,
                |known| known.index == index,
                || AccumulatedChoice::new(index),
            )?;
            self.choices[at].fold(&choice, &mut self.texts)?;
        }
        // Some servers count in every chunk: the last count is the whole one.
        self.usage = chunk.usage().or(self.usage);
        Ok(())
    }

    /// The answer's id.
    pub fn id(&self) -> Option<&str> {
        self.id.as_ref().map(SecureString::expose)
    }

    /// The model that answered.
    pub fn model(&self) -> Option<&str> {
        self.model.as_ref().map(SecureString::expose)
    }

    /// The choices, in the order in which they first appeared.
    pub fn choices(&self) -> &[AccumulatedChoice] {
        &self.choices
    }

    /// What the answer cost, if the server told.
    pub const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Whether there is a choice, and every choice has ended.
    pub fn is_finished(&self) -> bool {
        let mut choices = self.choices.iter();
        !self.choices.is_empty() && choices.all(|choice| choice.finish_reason.is_some())
    }
}

/// One of the answers.
pub struct AccumulatedChoice {
    index: u64,
    role: Option<SecureString>,
    content: Option<SecureString>,
    refusal: Option<SecureString>,
    reasoning_content: Option<SecureString>,
    tool_calls: Vec<AccumulatedToolCall>,
    finish_reason: Option<SecureString>,
}

impl AccumulatedChoice {
    const fn new(index: u64) -> Self {
        Self {
            index,
            role: None,
            content: None,
            refusal: None,
            reasoning_content: None,
            tool_calls: Vec::new(),
            finish_reason: None,
        }
    }

    fn fold(&mut self, choice: &ChunkChoice<'_>, texts: &mut Texts) -> Result<(), ChatError> {
        texts.set(&mut self.finish_reason, choice.finish_reason())?;
        let Some(delta) = choice.delta() else {
            return Ok(());
        };
        texts.set(&mut self.role, delta.role())?;
        texts.append(&mut self.content, delta.texts())?;
        texts.append(&mut self.refusal, delta.refusal())?;
        texts.append(&mut self.reasoning_content, delta.thoughts())?;
        for call in delta.tool_calls() {
            let at = self.tool_call(&call)?;
            let known = &mut self.tool_calls[at];
            texts.set(&mut known.id, call.id())?;
            texts.set(&mut known.kind, call.kind())?;
            texts.set(&mut known.name, call.name())?;
            texts.append(&mut known.arguments, call.arguments())?;
            known.keep_rest(&call, texts)?;
        }
        Ok(())
    }

    /// Which tool call this piece belongs to: the last of its form that it can go on with.
    fn tool_call(&mut self, call: &DeltaToolCall<'_>) -> Result<usize, ChatError> {
        find_or_push(
            &mut self.tool_calls,
            |known| known.goes_on_with(call),
            || AccumulatedToolCall::new(call.form(), call.index()),
        )
    }

    /// Which of the answers.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Who speaks: `assistant`.
    pub fn role(&self) -> Option<&str> {
        self.role.as_ref().map(SecureString::expose)
    }

    /// The text of the answer.
    pub fn content(&self) -> Option<&str> {
        self.content.as_ref().map(SecureString::expose)
    }

    /// What the model said instead of an answer.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_ref().map(SecureString::expose)
    }

    /// What the model thought, where the server told.
    pub fn reasoning_content(&self) -> Option<&str> {
        self.reasoning_content.as_ref().map(SecureString::expose)
    }

    /// The tools it calls; the older `function_call` is one of them.
    pub fn tool_calls(&self) -> &[AccumulatedToolCall] {
        &self.tool_calls
    }

    /// Why the answer ended, once it has.
    pub fn finish_reason(&self) -> Option<&str> {
        self.finish_reason.as_ref().map(SecureString::expose)
    }

    /// The choice as a message, to go on with the conversation. It borrows every text.
    ///
    /// What was thought is not in it: some servers refuse it, and others want it back with calls of tools, such as DeepSeek's in
    /// thinking mode. To those, add it by [`Message::extra`].
    #[must_use]
    pub fn to_message(&self) -> Message<'_> {
        let mut message = Message::new(Role::Assistant);
        if let Some(content) = self.content() {
            message = message.content(content);
        }
        if let Some(refusal) = self.refusal() {
            message = message.refusal(refusal);
        }
        self.tool_calls.iter().fold(message, |message, call| {
            if call.form == CallForm::Function {
                return message.function_call(call.name().unwrap_or(""), call.arguments());
            }
            message.tool_call(ToolCall::Accumulated(call))
        })
    }
}

/// A call of a tool.
pub struct AccumulatedToolCall {
    form: CallForm,
    index: Option<u64>,
    id: Option<SecureString>,
    kind: Option<SecureString>,
    name: Option<SecureString>,
    arguments: Option<SecureString>,
    /// Other members, by name: JSON as it stood.
    extra: Vec<(SecureString, SecureString)>,
}

impl AccumulatedToolCall {
    const fn new(form: CallForm, index: Option<u64>) -> Self {
        Self {
            form,
            index,
            id: None,
            kind: None,
            name: None,
            arguments: None,
            extra: Vec::new(),
        }
    }

    /// Whether a piece can be more of this call. One with a name and another id begins a call, though the index be known: Gemini, and
    /// Ollama for some models, give one index to all calls that are made at once. An id alone means nothing: some servers make one up
    /// for each piece.
    fn goes_on_with(&self, piece: &DeltaToolCall<'_>) -> bool {
        let says = |text: &JsonStr<'_>| !text.is_empty();
        let other_id = match (piece.id().filter(says), self.id()) {
            (Some(id), Some(known)) => id != *known,
            _ => false,
        };
        let named = piece.name().is_some_and(|name| says(&name)) && self.name.is_some();
        self.form == piece.form()
            && match piece.index() {
                Some(_) => self.index == piece.index() && !(other_id && named),
                None => !other_id,
            }
    }

    /// Keeps the members that are no part of a call as OpenAI has it: servers may want them back, as Gemini its signature of a thought.
    fn keep_rest(&mut self, piece: &DeltaToolCall<'_>, texts: &mut Texts) -> Result<(), ChatError> {
        for (name, value) in piece.extra() {
            if self.extra.iter().any(|(known, _)| name == *known.expose()) {
                continue;
            }
            if self.extra.len() == MAX_ENTRIES {
                return Err(ChatError::TooLarge { limit: MAX_ENTRIES });
            }
            let member = (texts.copy(name)?, texts.json(value)?);
            self.extra.push(member);
        }
        Ok(())
    }

    /// The members that are no part of a call as OpenAI has it, such as Gemini's `extra_content`: of each name the first.
    pub fn extra(&self) -> impl Iterator<Item = (&str, Json<'_>)> {
        let extra = self.extra.iter();
        extra.map(|(name, value)| (name.expose(), Json::checked(value.expose())))
    }

    /// What the result has to refer to. A `function_call` has none.
    pub fn id(&self) -> Option<&str> {
        self.id.as_ref().map(SecureString::expose)
    }

    /// `function` or `custom`; `function_call` for the older one, whose result refers to its name.
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_ref().map(SecureString::expose)
    }

    /// The name of the function or custom tool.
    pub fn name(&self) -> Option<&str> {
        self.name.as_ref().map(SecureString::expose)
    }

    /// The arguments of a function: JSON, as the model wrote it, which need not be valid. The input of a custom tool.
    pub fn arguments(&self) -> &str {
        self.arguments.as_ref().map_or("", SecureString::expose)
    }
}

/// Where texts are kept, and how much of them may still come.
struct Texts {
    memory: SecureMemory,
    limit: usize,
    held: usize,
}

impl Texts {
    /// Ids, names and other words: the first that is not empty stands, for some servers repeat them in every chunk.
    fn set(
        &mut self,
        target: &mut Option<SecureString>,
        text: Option<JsonStr<'_>>,
    ) -> Result<(), ChatError> {
        match text {
            Some(text) if target.is_none() && !text.is_empty() => self.append(target, [text]),
            _ => Ok(()),
        }
    }

    fn append<'a>(
        &mut self,
        target: &mut Option<SecureString>,
        texts: impl IntoIterator<Item = JsonStr<'a>>,
    ) -> Result<(), ChatError> {
        for text in texts {
            self.hold(text.len())?;
            text.append_to(target.get_or_insert_with(|| self.memory.string()))?;
        }
        Ok(())
    }

    fn copy(&mut self, text: JsonStr<'_>) -> Result<SecureString, ChatError> {
        self.hold(text.len())?;
        text.to_secure(&self.memory)
    }

    /// The JSON of a value, as it stands.
    fn json(&mut self, value: Json<'_>) -> Result<SecureString, ChatError> {
        self.hold(value.raw().len())?;
        let mut text = self.memory.string();
        text.try_push_str(value.raw())?;
        Ok(text)
    }

    /// Counts so many bytes more, if the limit allows.
    fn hold(&mut self, len: usize) -> Result<(), ChatError> {
        let held = self.held.saturating_add(len);
        if held > self.limit {
            return Err(ChatError::TooLarge { limit: self.limit });
        }
        self.held = held;
        Ok(())
    }
}

/// The last that it is. An index is the server's and only compared, never used to size anything.
fn find_or_push<T>(
    entries: &mut Vec<T>,
    is_it: impl Fn(&T) -> bool,
    new: impl FnOnce() -> T,
) -> Result<usize, ChatError> {
    if let Some(at) = entries.iter().rposition(is_it) {
        return Ok(at);
    }
    if entries.len() == MAX_ENTRIES {
        return Err(ChatError::TooLarge { limit: MAX_ENTRIES });
    }
    entries.push(new());
    Ok(entries.len() - 1)
}

/// `Debug` that shows no content.
macro_rules! redact {
    ($($name:ident),*) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([REDACTED])"))
            }
        })*
    };
}
redact!(ChatAccumulator, AccumulatedChoice, AccumulatedToolCall);
