//! `sealwire demo`: both ends, a model, and an onlooker in between, in one process.

use std::net::{Ipv4Addr, SocketAddr};

use futures_util::StreamExt;
use getrandom::SysRng;
use getrandom::rand_core::TryRng;
use sealwire::hyper::SecureChatCompletion;
use sealwire_core::Suite;
use sealwire_core::chat::{ChatRequest, Message};
use sealwire_core::exchange::ReceivedRequest;
use sealwire_core::frame::FrameType;
use sealwire_core::keys::Identity;
use sealwire_memlock::{SecureMemory, SecureString, memory_protection_info};

use crate::cli::DemoArgs;
use crate::exit::{Exit, Failure};
use crate::onlooker::{self, Frame, Message as HttpMessage};
use crate::recorder::{Recorder, Recording};
use crate::terminal::{AnswerOutput, BAD, DIM, GOOD, HEAD};
use crate::url::BaseUrl;
use crate::{gateway, info, model, terminal, tls};

/// Frames of an answer that the table shows before it skips to the last.
const SHOWN: usize = 12;
/// Characters of the right column.
const WIDTH: usize = 56;

pub(crate) async fn run(args: DemoArgs, memory: SecureMemory) -> Result<(), Failure> {
    let mut prompt = memory.string();
    prompt.try_push_str(&args.prompt)?;
    let identity = Identity::generate(&memory, &mut SysRng)?;
    let pin = identity.pin();
    let for_model = memory.clone();
    let answer = move |request: ReceivedRequest| model::answer(request, for_model.clone());
    let gateway = gateway::new(identity, Suite::ALL, memory.clone(), answer)?;
    let listener = gateway::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "--listen").await?;
    let address = listener.local_addr().map_err(|error| no_port(&error))?;
    tokio::spawn(gateway::serve(
        listener,
        None,
        gateway,
        std::future::pending(),
    ));
    let recorder = Recorder::start(address)
        .await
        .map_err(|error| no_port(&error))?;

    let url = format!("http://{}", recorder.address);
    let api_key = demo_key(&memory)?;
    let suite = match args.post_quantum {
        true => Suite::MlKem768P256,
        false => Suite::P256,
    };
    let client = SecureChatCompletion::builder(&url)
        .memory(memory.clone())
        .allow_http(true)
        .tls(tls::config(
            &url.parse::<BaseUrl>()
                .map_err(|error| Failure::new(Exit::Failure, error))?,
        )?)
        .suite(suite)
        .pin(pin)
        .api_key(api_key.expose())
        .build()
        .map_err(|error| Failure::of_request(&error, false))?;

    anstream::println!(
        "{HEAD}A sealed chat{HEAD:#}, over HTTP at {url}, with the model that is built into this program"
    );
    anstream::println!("  {DIM}gateway{DIM:#} {pin}");
    anstream::println!("  {DIM}suite{DIM:#}   {}\n", suite.name());
    let mut out = AnswerOutput::stdout().map_err(|error| no_output(&error))?;
    let mut say = |text: &str| out.write(text).map_err(|error| no_output(&error));
    say("> ")?;
    say(prompt.expose())?;
    say("\n")?;

    let request = ChatRequest::new(model::NAME).message(Message::user(&prompt));
    let body = request.clone().stream(true).to_json(&memory);
    let body = body.map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    let mut answer = memory.string();
    let mut events = Vec::new();
    let stream = client.stream(&request).await;
    let mut stream = stream.map_err(|error| Failure::of_request(&error, false))?;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| Failure::of_request(&error, !answer.is_empty()))?;
        let text = chunk
            .text(&memory)
            .map_err(|error| Failure::of_request(&error, !answer.is_empty()))?;
        say(text.expose())?;
        answer.try_push_str(text.expose())?;
        events.push(text);
    }
    say("\n\n")?;

    let ends = Ends {
        api_key: &api_key,
        prompt: &prompt,
        answer: &answer,
        body: str::from_utf8(body.expose()).unwrap_or_default(),
        events: &events,
    };
    let recordings = recorder.recordings();
    ends.show(&recordings);
    let hidden = ends.search(&recordings);
    anstream::println!();
    info::show(&memory_protection_info());
    match hidden {
        true => Ok(()),
        false => Err(
            Failure::new(Exit::Failure, "a secret crossed the wire in the clear")
                .advise("this must never happen: please report it, as SECURITY.md says"),
        ),
    }
}

/// What the two ends know of the chat.
struct Ends<'a> {
    api_key: &'a SecureString,
    prompt: &'a SecureString,
    answer: &'a SecureString,
    body: &'a str,
    /// The text of each event of the answer; those without text are the model's first and last word.
    events: &'a [SecureString],
}

impl Ends<'_> {
    /// The table: every message of every connection, frame by frame.
    fn show(&self, recordings: &[Recording]) {
        let (left, right) = ("What the onlooker saw", "What the two ends saw");
        anstream::println!("{HEAD}{left:<48}{right}{HEAD:#}");
        anstream::println!("{DIM}   frame length  first bytes{DIM:#}");
        for recording in recordings {
            let requests = onlooker::messages(&recording.from_client);
            let answers = onlooker::messages(&recording.from_gateway);
            for (request, answer) in requests.iter().zip(&answers) {
                self.show_message("->", request, |index, frame| self.in_request(index, frame));
                self.show_message("<-", answer, |index, frame| self.in_answer(index, frame));
            }
        }
    }

    fn show_message(
        &self,
        way: &str,
        message: &HttpMessage,
        meaning: impl Fn(usize, &Frame) -> String,
    ) {
        let frames = onlooker::frames(&message.body);
        let clear = match frames.is_empty() && !message.body.is_empty() {
            true => format!(
                "{}, {} bytes, signed",
                message.first_line,
                message.body.len()
            ),
            false => message.first_line.clone(),
        };
        anstream::println!("{DIM}{way} {clear}{DIM:#}");
        let skipped = frames.len().saturating_sub(SHOWN + 1);
        for (index, frame) in frames.iter().enumerate() {
            if skipped > 1 && index == SHOWN {
                anstream::println!("   {DIM}... and {skipped} more frames of this kind{DIM:#}");
            }
            if skipped > 1 && index >= SHOWN && index + 1 < frames.len() {
                continue;
            }
            let first: String = frame
                .first
                .iter()
                .map(|byte| format!("{byte:02x} "))
                .collect();
            let name = frame.kind.name();
            anstream::println!(
                "{way} {name:<7}{:>6}  {first:<24}..    {}",
                frame.len,
                meaning(index, frame)
            );
        }
    }

    fn in_request(&self, index: usize, frame: &Frame) -> String {
        match frame.kind {
            FrameType::Open => "a fresh key for this request, sealed to the gateway's".into(),
            FrameType::Head => cut(&format!(
                "POST /v1/chat/completions, Bearer {}",
                self.api_key.expose()
            )),
            FrameType::Data if index == 2 => cut(self.body),
            FrameType::Data => "more of it, or padding".into(),
            _ => "the end of the request".into(),
        }
    }

    fn in_answer(&self, index: usize, frame: &Frame) -> String {
        match frame.kind {
            FrameType::Accept => "a fresh key for the answer".into(),
            FrameType::Head => "200 text/event-stream".into(),
            // ACCEPT and HEAD come first.
            FrameType::Data => match self.events.get(index.wrapping_sub(2)) {
                Some(text) if !text.is_empty() => cut(&format!("\"{}\"", text.expose())),
                Some(_) if index == 2 => "(the model begins)".into(),
                Some(_) => "(the model has finished)".into(),
                None => "the end of the stream, or padding".into(),
            },
            _ => "the end of the answer, which is whole".into(),
        }
    }

    /// Searches the recording for what must not be in it, and says what was found.
    fn search(&self, recordings: &[Recording]) -> bool {
        let heads_and_bodies: Vec<u8> = recordings
            .iter()
            .flat_map(|recording| [&recording.from_client, &recording.from_gateway])
            .flatten()
            .copied()
            .collect();
        // In chunks of HTTP a secret could be torn apart. The signed keys are public, and not of the chat.
        let bodies: Vec<u8> = recordings
            .iter()
            .flat_map(|recording| [&recording.from_client, &recording.from_gateway])
            .flat_map(|bytes| onlooker::messages(bytes))
            .map(|message| message.body)
            .filter(|body| !onlooker::frames(body).is_empty())
            .flatten()
            .collect();
        anstream::println!("\n{HEAD}Looking for the secrets in what the onlooker saw{HEAD:#}");
        let in_context = format!("\"content\":{}", json(self.prompt.expose()));
        let mut hidden = true;
        for (name, secrets) in [
            ("the API key", vec![self.api_key.expose()]),
            ("the prompt", vec![self.prompt.expose(), &in_context]),
            ("the answer", vec![self.answer.expose()]),
        ] {
            let found = secrets.iter().any(|secret| {
                // What HTTP itself says in the clear may well be a word of a prompt.
                onlooker::occurs(secret.as_bytes(), &bodies)
                    || secret.len() > 24 && onlooker::occurs(secret.as_bytes(), &heads_and_bodies)
            });
            hidden &= !found;
            let (style, result) = match found {
                true => (BAD, "FOUND"),
                false => (GOOD, "not there"),
            };
            anstream::println!("  {name:<13}{style}{result}{style:#}");
        }
        anstream::println!(
            "  {DIM}searched {} recorded bytes for each, as it is, in hexadecimal and in base64{DIM:#}",
            heads_and_bodies.len()
        );
        hidden
    }
}

/// A text as it stands in a JSON string, near enough to search for it.
fn json(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// As much as fits the column, without what could act on a terminal.
fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(WIDTH).collect();
    if cut.len() < text.len() {
        cut.push_str("..");
    }
    let mut shown = Vec::new();
    // A vector takes everything.
    let _ = terminal::write_escaped(&mut shown, &cut.replace('\n', "\\n"));
    String::from_utf8_lossy(&shown).into_owned()
}

/// A key that nobody has.
fn demo_key(memory: &SecureMemory) -> Result<SecureString, Failure> {
    let mut random = memory.array::<12>()?;
    SysRng
        .try_fill_bytes(random.expose_mut())
        .map_err(|error| Failure::new(Exit::Failure, format!("no randomness: {error}")))?;
    let mut key = memory.string();
    key.try_push_str("sk-demo-")?;
    key.try_push_str(&onlooker::hex(random.expose()))?;
    Ok(key)
}

fn no_port(error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Connection,
        format!("no port on this machine: {error}"),
    )
    .advise("check that loopback connections are allowed here")
}

fn no_output(error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Failure,
        format!("standard output cannot be written: {error}"),
    )
    .advise("check where the output goes")
}
