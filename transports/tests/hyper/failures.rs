//! Answers that do not arrive, and what is said about it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::stream::iter;
use sealwire::core::ErrorCode;
use sealwire::hyper::SecureChatCompletion;
use sealwire::server::{Reply, ReplyBody};
use sealwire::{Error, ErrorKind};

use crate::handler::at_once;
use crate::server::{Server, canned, next_text};
use crate::support::{CHAT, bytes, chat, delta, json, printed};

#[tokio::test]
async fn a_configuration_that_cannot_work() {
    let fails = |error: Result<SecureChatCompletion, Error>, word: &str| {
        let error = error.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(word), "{error}");
    };
    let builder = |url: &str| SecureChatCompletion::builder(url).dangerous_trust_any();
    fails(builder("http://127.0.0.1:1").build(), "allow_http");
    fails(builder("127.0.0.1:1").build(), "https://");
    fails(builder("https://bad host").build(), "URL");
    fails(
        SecureChatCompletion::builder("https://g.example").build(),
        "pin",
    );
}

/// Keeps what is logged by this crate's own code.
struct Kept(Mutex<Vec<String>>);

impl log::Log for Kept {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target().starts_with("sealwire") {
            let line = format!("{} {}", record.level(), record.args());
            self.0.lock().expect("no panic").push(line);
        }
    }

    fn flush(&self) {}
}

static LOG: Kept = Kept(Mutex::new(Vec::new()));

#[tokio::test]
async fn a_wait_is_not_silent() {
    log::set_logger(&LOG).expect("the only one");
    log::set_max_level(log::LevelFilter::Info);
    let asked = AtomicUsize::new(0);
    let server = Server::start(at_once(move |_| {
        let mut reply = json(429, b"{}");
        reply.retry_after = Some(30);
        match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(reply),
            _ => Ok(json(200, CHAT)),
        }
    }))
    .await;
    // The longest wait is 20 ms here, else it would be the 30 s.
    server.client().create(&chat()).await.expect("answered");
    let lines = LOG.0.lock().expect("no panic");
    let line = "INFO the server answered with status 429; next try in 0.0 s";
    assert!(lines.iter().any(|found| found == line), "{lines:?}");
    assert!(
        !lines.iter().any(|line| line.contains("marker")),
        "{lines:?}"
    );
}

/// The last error tells what came before it, also where the last try brought an answer.
#[tokio::test]
async fn the_last_error_says_how_often_it_was_tried() {
    let server = Server::start(at_once(|request| match request.head().path {
        "/status" => Ok(json(503, b"{}")),
        "/refused" => Err(ErrorCode::Upstream),
        "/wrong" => Ok(json(404, b"{}")),
        _ => Ok(json(200, CHAT)),
    }))
    .await;
    let client = server.client();
    for (path, tries) in [("/status", 3), ("/refused", 3), ("/wrong", 1)] {
        let error = client.request("GET", path, bytes(b"")).await;
        let error = error.expect_err("refused");
        assert_eq!(error.tries(), tries, "{path}: {error}");
        let is_said = error.to_string().contains("tried 3 times");
        assert_eq!(is_said, tries > 1, "{path}: {error}");
    }
    let nobody = canned("").await;
    let gone = server.builder_at(&nobody).build().expect("configured");
    let error = gone.create(&chat()).await.expect_err("no answer");
    assert_eq!(error.tries(), 3, "{error}");
    let answer = client.create(&chat()).await.expect("answered");
    assert_eq!(answer.metadata().tries, 1);
}

/// A stream of status 200 can still end with an error: that is told, and not as the status of success. The server's words may quote
/// the prompt, so they are in [`sealwire::Error::body`] alone.
#[tokio::test]
async fn a_stream_that_ends_with_an_error() {
    let server = Server::start(at_once(|_| {
        let words = "{\"error\":{\"message\":\"prompt-marker\",\"code\":\"prompt-marker\"}}";
        let event = format!("data: {words}\n\n");
        let pieces = iter([bytes(&delta("half")), bytes(event.as_bytes())]).map(Ok);
        let body = ReplyBody::Stream(pieces.boxed());
        Ok(Reply::new(200, "text/event-stream", body))
    }))
    .await;
    let mut stream = server.client().stream(&chat()).await.expect("begun");
    assert_eq!(next_text(&mut stream).await.as_deref(), Some("half"));
    let error = stream.next().await.expect("an item").expect_err("failed");
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::Server, Some(200))
    );
    let said = error.to_string();
    assert!(said.contains("ended its answer with an error"), "{said}");
    assert!(said.contains("`Error::body`"), "{said}");
    assert!(!printed(&error).contains("200"), "{said}");
    assert!(!printed(&error).contains("prompt-marker"), "{said}");
    let words = error.body().and_then(|body| body.error()?.message());
    assert!(words.is_some_and(|words| words == "prompt-marker"));
    assert!(stream.next().await.is_none());
}
