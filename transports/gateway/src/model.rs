//! The demo's built-in model: a few lines that say something about the prompt, token by token.

use std::time::Duration;

use futures_util::stream;
use sealwire::server::{PieceStream, Reply, ReplyBody};
use sealwire_core::ErrorCode;
use sealwire_core::chat::json::{Json, to_secure};
use sealwire_core::exchange::ReceivedRequest;
use sealwire_memlock::{SecureBytes, SecureMemory, SecureString};

/// Between two tokens, so that one sees them come.
const THINKING: Duration = Duration::from_millis(30);
/// A longer word than this is not repeated in full.
const LONGEST_WORD: usize = 40;

/// The name it answers to.
pub(crate) const NAME: &str = "built-in";

/// Answers a chat request, streamed.
pub(crate) async fn answer(
    request: ReceivedRequest,
    memory: SecureMemory,
) -> Result<Reply, ErrorCode> {
    let body = request.into_body();
    let text = reply_to(&prompt(&body, &memory)?);
    let tokens: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
    let mut events = Vec::new();
    events.push(event(&memory, r#"{"role":"assistant"}"#, "null")?);
    for token in &tokens {
        let token = to_secure(&memory, token.as_str()).map_err(|_| ErrorCode::Internal)?;
        let token = str::from_utf8(token.expose()).map_err(|_| ErrorCode::Internal)?;
        events.push(event(
            &memory,
            &format!(r#"{{"content":{token}}}"#),
            "null",
        )?);
    }
    events.push(event(&memory, "{}", r#""stop""#)?);
    events.push(copy(&memory, "data: [DONE]\n\n")?);
    let pieces = stream::unfold(events.into_iter(), |mut events| async {
        let event = events.next()?;
        tokio::time::sleep(THINKING).await;
        Some((Ok(event), events))
    });
    let pieces: PieceStream = Box::pin(pieces);
    Ok(Reply::new(
        200,
        "text/event-stream",
        ReplyBody::Stream(pieces),
    ))
}

/// The last message of a chat.
fn prompt(body: &SecureBytes, memory: &SecureMemory) -> Result<SecureString, ErrorCode> {
    let body = Json::from_bytes(body.expose()).map_err(|_| ErrorCode::Malformed)?;
    let messages = body.get("messages").ok_or(ErrorCode::Malformed)?;
    let last = messages.items().last().and_then(|last| last.get("content"));
    let text = last.and_then(Json::as_str).ok_or(ErrorCode::Malformed)?;
    text.to_secure(memory).map_err(|_| ErrorCode::Busy)
}

fn reply_to(prompt: &SecureString) -> String {
    let words: Vec<&str> = prompt.expose().split_whitespace().collect();
    let longest = words
        .iter()
        .copied()
        .max_by_key(|word| word.chars().count());
    let longest: String = longest
        .unwrap_or("nothing")
        .chars()
        .take(LONGEST_WORD)
        .collect();
    let count = match words.len() {
        1 => "one word".to_owned(),
        count => format!("{count} words"),
    };
    format!(
        "I am a few lines of code inside this demo, not a language model, so I can only tell you what I see: \
         {count}, the longest of them \"{longest}\". I read them in the gateway's secure memory, and you read this in yours. \
         Each of these tokens travels in a frame of its own, all of one size, and nobody in between can tell one from another."
    )
}

/// A server-sent event with a chunk in it.
fn event(memory: &SecureMemory, delta: &str, finish: &str) -> Result<SecureBytes, ErrorCode> {
    copy(
        memory,
        &format!(
            "data: {{\"id\":\"demo\",\"object\":\"chat.completion.chunk\",\"created\":0,\"model\":\"{NAME}\",\
             \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        ),
    )
}

fn copy(memory: &SecureMemory, text: &str) -> Result<SecureBytes, ErrorCode> {
    memory
        .copy_from(text.as_bytes())
        .map_err(|_| ErrorCode::Busy)
}
