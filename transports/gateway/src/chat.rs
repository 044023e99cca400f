//! `sealwire chat`: one question, or a conversation.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::Path;

use futures_util::StreamExt;
use sealwire_core::chat::json::JsonStr;
use sealwire_core::chat::{ChatAccumulator, ChatRequest, Message};
use sealwire_memlock::{SecureMemory, SecureString};

use crate::cli::ChatArgs;
use crate::connect::{Connection, Target, TrustBy};
use crate::exit::{Exit, Failure};
use crate::input::SecureInput;
use crate::terminal::{AnswerOutput, DIM, HEAD, WARN};

pub(crate) async fn run(args: ChatArgs, memory: SecureMemory) -> Result<(), Failure> {
    args.gateway.check_scheme(args.allow_http)?;
    if args.prompt.as_deref().is_some_and(is_blank) {
        return Err(no_prompt());
    }
    let mut input =
        SecureInput::stdin(&memory).map_err(|error| unreadable("standard input", &error))?;
    let api_key = match &args.api_key_file {
        Some(path) => Some(read_api_key(path, &mut input, &memory)?),
        None => None,
    };
    let target = Target {
        url: args.gateway,
        allow_http: args.allow_http,
        post_quantum: args.post_quantum,
        trust: match args.pin {
            Some(pin) => TrustBy::Pin(pin),
            None => TrustBy::FirstUse(args.known_gateways),
        },
    };
    let mut chat = Chat {
        connection: target.connect(api_key.as_ref(), &memory).await?,
        model: args.model,
        stream: !args.no_stream,
        said: Vec::new(),
        out: AnswerOutput::stdout().map_err(|error| unwritable(&error))?,
        memory,
    };
    match args.prompt.as_deref() {
        Some("-") => {
            let prompt = input
                .rest()
                .map_err(|error| unreadable("standard input", &error))?;
            if is_blank(prompt.expose()) {
                return Err(no_prompt());
            }
            chat.ask(prompt).await
        }
        Some(prompt) => {
            let mut text = chat.memory.string();
            text.try_push_str(prompt)?;
            chat.ask(text).await
        }
        None => converse(chat, input).await,
    }
}

/// Line by line, until the end of input. On a terminal an error is shown and the conversation goes on; in a script it ends it.
async fn converse(mut chat: Chat, mut input: SecureInput) -> Result<(), Failure> {
    let interactive = io::stdin().is_terminal();
    let mut has_asked = false;
    if interactive {
        anstream::eprintln!("{DIM}A line asks, Ctrl-D ends.{DIM:#}");
    }
    loop {
        if interactive {
            anstream::eprint!("{HEAD}>{HEAD:#} ");
        }
        // Connections are looked after while somebody types.
        let read = tokio::task::spawn_blocking(move || {
            let line = input.line();
            (input, line)
        });
        let (returned, line) = read
            .await
            .map_err(|error| Failure::new(Exit::Failure, format!("reading failed: {error}")))?;
        input = returned;
        let Some(line) = line.map_err(|error| unreadable("standard input", &error))? else {
            if interactive {
                anstream::eprintln!();
            }
            return match interactive || has_asked {
                true => Ok(()),
                false => Err(no_prompt()),
            };
        };
        if is_blank(line.expose()) {
            continue;
        }
        has_asked = true;
        match chat.ask(line).await {
            Err(failure) if interactive && failure.exit() != Exit::Trust => failure.show(),
            result => result?,
        }
    }
}

fn is_blank(prompt: &str) -> bool {
    prompt.trim().is_empty()
}

fn no_prompt() -> Failure {
    Failure::new(Exit::Usage, "there is no prompt: what was given is empty")
        .advise("give one as the last argument, or `-` there and pipe it")
}

/// A conversation with a model.
struct Chat {
    connection: Connection,
    model: String,
    stream: bool,
    /// What was said: the user and the model, in turn.
    said: Vec<SecureString>,
    out: AnswerOutput,
    memory: SecureMemory,
}

impl Chat {
    /// Asks, shows the answer, and keeps both; neither, if there is no whole answer.
    async fn ask(&mut self, prompt: SecureString) -> Result<(), Failure> {
        self.said.push(prompt);
        let answer = match self.stream {
            true => self.streamed().await,
            false => self.whole().await,
        };
        match answer {
            Ok(answer) => self.said.push(answer),
            Err(failure) => {
                self.said.pop();
                return Err(failure);
            }
        }
        Ok(())
    }

    async fn streamed(&mut self) -> Result<SecureString, Failure> {
        let request = request(&self.model, &self.said);
        let stream = self.connection.client.stream(&request).await;
        let mut stream = stream.map_err(|error| self.connection.failure(&error, false))?;
        let mut answer = ChatAccumulator::new(&self.memory);
        let mut shown = Shown::default();
        while let Some(chunk) = stream.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    shown.end(&mut self.out)?;
                    return Err(self.connection.failure(&error, shown.begun));
                }
            };
            answer.push(&chunk.get()).map_err(|error| {
                Failure::new(
                    Exit::NotWhole,
                    format!("the answer cannot be kept: {error}"),
                )
            })?;
            let text = chunk
                .text(&self.memory)
                .map_err(|error| self.connection.failure(&error, shown.begun))?;
            shown.write(&mut self.out, text.expose())?;
        }
        let choice = answer.choices().first();
        if let Some(refusal) = choice.and_then(|choice| choice.refusal()) {
            shown.write(&mut self.out, refusal)?;
        }
        shown.end(&mut self.out)?;
        let Some(reason) = choice.and_then(|choice| choice.finish_reason()) else {
            return Err(Failure::new(
                Exit::NotWhole,
                "the model server ended its answer without saying that it was finished: it may not be whole",
            )
            .advise("ask again, or ask for the whole answer at once by --no-stream"));
        };
        note(reason);
        self.keep(
            choice
                .and_then(|choice| choice.content())
                .unwrap_or_default(),
        )
    }

    async fn whole(&mut self) -> Result<SecureString, Failure> {
        let request = request(&self.model, &self.said);
        let answer = self.connection.client.create(&request).await;
        let answer = answer.map_err(|error| self.connection.failure(&error, false))?;
        let Some(choice) = answer.choices().next() else {
            return Err(
                Failure::new(Exit::Refused, "the server's answer has no choices in it")
                    .advise("check that the server behind the gateway is OpenAI-compatible"),
            );
        };
        let message = choice.message();
        let mut shown = Shown::default();
        let mut kept = self.memory.string();
        for text in message.texts().chain(message.refusal()) {
            let text = text.to_text(&self.memory).map_err(|error| {
                Failure::new(Exit::Refused, format!("the answer cannot be read: {error}"))
            })?;
            shown.write(&mut self.out, text.expose())?;
            kept.try_push_str(text.expose())?;
        }
        shown.end(&mut self.out)?;
        if let Some(reason) = choice.finish_reason().and_then(JsonStr::as_plain) {
            note(reason);
        }
        Ok(kept)
    }

    fn keep(&self, text: &str) -> Result<SecureString, Failure> {
        let mut kept = self.memory.string();
        kept.try_push_str(text)?;
        Ok(kept)
    }
}

/// How far an answer was shown.
#[derive(Debug, Default)]
struct Shown {
    begun: bool,
    ended_line: bool,
}

impl Shown {
    fn write(&mut self, out: &mut AnswerOutput, text: &str) -> Result<(), Failure> {
        if !text.is_empty() {
            self.begun = true;
            self.ended_line = text.ends_with('\n');
            out.write(text).map_err(|error| unwritable(&error))?;
        }
        Ok(())
    }

    /// Ends the line, so that what comes next stands on its own.
    fn end(&mut self, out: &mut AnswerOutput) -> Result<(), Failure> {
        match self.begun && !self.ended_line {
            true => self.write(out, "\n"),
            false => Ok(()),
        }
    }
}

/// The conversation so far, as a request. It borrows every text.
fn request<'a>(model: &'a str, said: &'a [SecureString]) -> ChatRequest<'a> {
    let messages = said.iter().enumerate().map(|(turn, text)| match turn % 2 {
        0 => Message::user(text),
        _ => Message::assistant(text),
    });
    ChatRequest::new(model).messages(messages)
}

/// Why an answer ended, if that is worth knowing.
fn note(finish_reason: &str) {
    let note = match finish_reason {
        "length" => "the answer ends here because the model server's limit of tokens was reached",
        "content_filter" => "the answer ends here because the model server's filter stopped it",
        "tool_calls" | "function_call" => "the model asks for a tool, and this terminal has none",
        _ => return,
    };
    anstream::eprintln!("{WARN}note:{WARN:#} {note}");
}

/// The first line of a file, which is one word.
fn read_api_key(
    path: &Path,
    stdin: &mut SecureInput,
    memory: &SecureMemory,
) -> Result<SecureString, Failure> {
    let is_stdin = path.as_os_str() == "-";
    let name = match is_stdin {
        true => "standard input".into(),
        false => path.display().to_string(),
    };
    let line = match is_stdin {
        true => stdin.line(),
        false => File::open(path).and_then(|file| {
            warn_if_public(&file, &name);
            SecureInput::new(file, memory)?.line()
        }),
    };
    let line = line.map_err(|error| unreadable(&name, &error))?;
    let key = line.as_ref().map_or("", |line| line.expose().trim());
    if is_stdin && key.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "there is no API key on standard input: its first line is empty",
        )
        .advise(
            "pipe it, as in `pass openai | sealwire chat ... --api-key-file -`, or name a file",
        ));
    }
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::new(
            Exit::Usage,
            format!("the first line of {name} is no API key: it must be one word in ASCII"),
        )
        .advise("put the key alone on the first line, without quotes"));
    }
    let mut kept = memory.string();
    kept.try_push_str(key)?;
    Ok(kept)
}

/// An API key can be replaced, so that it lies open is a warning, unlike a gateway's identity.
#[cfg(unix)]
fn warn_if_public(file: &File, name: &str) {
    use std::os::unix::fs::PermissionsExt;
    let is_public = file
        .metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o077 != 0);
    if is_public {
        anstream::eprintln!(
            "{WARN}warning:{WARN:#} {name} can be read by others; run `chmod 600 {name}`"
        );
    }
}

#[cfg(not(unix))]
fn warn_if_public(_: &File, _: &str) {}

fn unreadable(what: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::Failure, format!("{what} cannot be read: {error}"))
        .advise("check the path and its permissions; text must be UTF-8")
}

fn unwritable(error: &io::Error) -> Failure {
    Failure::new(
        Exit::Failure,
        format!("standard output cannot be written: {error}"),
    )
    .advise("check where the output goes")
}
