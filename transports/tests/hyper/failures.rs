//! Answers that do not arrive, and what is said about it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::iter;
use sealwire::chat::{ChatRequest, Message};
use sealwire::core::ErrorCode;
use sealwire::core::exchange::ClientOptions;
use sealwire::hyper::SecureChatCompletion;
use sealwire::server::{Reply, ReplyBody};
use sealwire::{Error, ErrorKind};

use crate::answers::{chat, next_text};
use crate::support::{
    CHAT, Cut, Server, TestHandler, at_once, bytes, canned, cutting_proxy, delta, json, printed,
    quick,
};

#[tokio::test]
async fn statuses_by_class() {
    const BODY: &[u8] = br#"{"error":{"message":"prompt-marker is wrong","type":"some_error"}}"#;
    let server = Server::start(at_once(|request| {
        let status = request
            .head()
            .path
            .rsplit('/')
            .next()
            .and_then(|status| status.parse().ok());
        let mut reply = json(status.expect("a status"), BODY);
        reply.retry_after = (reply.status == 429).then_some(7);
        Ok(reply)
    }))
    .await;
    let client = server.builder().max_retries(0).build().expect("configured");
    for (status, kind) in [
        (302, ErrorKind::InvalidRequest),
        (400, ErrorKind::InvalidRequest),
        (401, ErrorKind::Authentication),
        (403, ErrorKind::Forbidden),
        (404, ErrorKind::InvalidRequest),
        (422, ErrorKind::InvalidRequest),
        (429, ErrorKind::RateLimit),
        (500, ErrorKind::Server),
        (502, ErrorKind::Server),
        (503, ErrorKind::ServiceUnavailable),
    ] {
        let path = format!("/status/{status}");
        let error = client
            .request("GET", &path, bytes(b""))
            .await
            .expect_err("a failure");
        assert_eq!(
            (error.kind(), error.status()),
            (kind, Some(status)),
            "{status}"
        );
        assert_eq!(error.retry_after(), (status == 429).then_some(7));
        assert!(error.exchange_id().is_some());
        let words = error.body().and_then(|body| body.error()?.message());
        assert!(words.is_some_and(|words| words == "prompt-marker is wrong"));
        assert!(!printed(&error).contains("marker"), "{}", printed(&error));
    }
}

#[tokio::test]
async fn refusals_by_class() {
    let server = Server::start(at_once(|request| match request.head().path {
        "/forbidden" => Err(ErrorCode::Forbidden),
        "/timeout" => Err(ErrorCode::Timeout),
        _ => Err(ErrorCode::Internal),
    }))
    .await;
    let client = server.builder().max_retries(0).build().expect("configured");
    for (path, kind) in [
        ("/forbidden", ErrorKind::Forbidden),
        ("/timeout", ErrorKind::Timeout),
        ("/internal", ErrorKind::Server),
    ] {
        let error = client
            .request("GET", path, bytes(b""))
            .await
            .expect_err("refused");
        assert_eq!(error.kind(), kind, "{path}");
    }
}

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

#[tokio::test]
async fn a_prompt_above_the_limit_is_refused_before_it_is_sealed() {
    let server = Server::start(at_once(|_| Ok(json(200, CHAT)))).await;
    let long = "x".repeat(20 << 20);
    let request = ChatRequest::new("m").message(Message::user(long.as_str()));
    let error = server
        .client()
        .create(&request)
        .await
        .expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(
        error.to_string(),
        "request body is larger than the limit of 10485760 bytes"
    );
}

#[tokio::test]
async fn what_is_no_answer_of_a_gateway() {
    let html = "<html>marker</html>";
    for (status, content_type, tries, retries) in [
        ("502 Bad Gateway", "text/html", "502", 2),
        ("200 OK", "text/html", "200", 0),
        ("302 Found\r\nlocation: /elsewhere", "text/html", "302", 0),
        ("200 OK", "application/octet-stream", "200", 0),
    ] {
        let reply = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{html}",
            html.len()
        );
        let url = canned(reply).await;
        let builder = SecureChatCompletion::builder(url).allow_http(true);
        let client = builder
            .dangerous_trust_any()
            .retry(quick(retries))
            .build()
            .expect("configured");
        let error = client.create(&chat()).await.expect_err("no gateway");
        assert_eq!(error.kind(), ErrorKind::Connection);
        assert_eq!(
            error.status().map(|status| status.to_string()).as_deref(),
            Some(tries)
        );
        assert!(!printed(&error).contains("marker"));
    }
}

#[tokio::test]
async fn keys_that_are_none() {
    for body in [
        "",
        "{}",
        "[]",
        "{\"version\":1,\"identity\":\"\",\"keys\":[]}",
        &"x".repeat(300_000),
    ] {
        let reply = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let url = canned(reply).await;
        let builder = SecureChatCompletion::builder(url).allow_http(true);
        let client = builder.dangerous_trust_any().build().expect("configured");
        let error = client.create(&chat()).await.expect_err("no keys");
        assert_eq!(error.kind(), ErrorKind::Security, "{error}");
    }
}

#[tokio::test]
async fn nobody_listens() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let builder = SecureChatCompletion::builder(url).allow_http(true);
    let client = builder
        .dangerous_trust_any()
        .retry(quick(1))
        .build()
        .expect("configured");
    let error = client.create(&chat()).await.expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.to_string().contains("check the base URL"), "{error}");
    assert!(printed(&error).contains("refused"), "{}", printed(&error));
}

#[tokio::test]
async fn an_answer_that_takes_too_long() {
    let server = Server::start(TestHandler::new(|_| Box::pin(std::future::pending()))).await;
    let builder = server
        .builder()
        .first_byte_timeout(Duration::from_millis(100));
    let error = builder
        .build()
        .expect("configured")
        .create(&chat())
        .await
        .expect_err("late");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("the answer to begin"), "{error}");

    let server = Server::start(at_once(|_| {
        let pieces = iter([Ok(bytes(&delta("one")))]).chain(futures_util::stream::pending());
        Ok(Reply::new(
            200,
            "text/event-stream",
            ReplyBody::Stream(pieces.boxed()),
        ))
    }))
    .await;
    let builder = server.builder().idle_timeout(Duration::from_millis(100));
    let mut stream = builder
        .build()
        .expect("configured")
        .stream(&chat())
        .await
        .expect("begun");
    assert_eq!(next_text(&mut stream).await.as_deref(), Some("one"));
    let error = stream.next().await.expect("an item").expect_err("late");
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

/// Cuts the reply after every byte, and so at every frame: what is shown as whole is whole.
#[tokio::test]
async fn an_answer_cut_anywhere_is_never_whole() {
    let server = Server::start(at_once(|_| {
        let pieces = iter([Ok(bytes(b"first,")), Ok(bytes(b"second"))]);
        Ok(Reply::new(
            200,
            "text/plain",
            ReplyBody::Stream(pieces.boxed()),
        ))
    }))
    .await;
    let cut = Arc::new(Cut::default());
    let url = cutting_proxy(&server, cut.clone()).await;
    // Without padding the answer is short enough to be cut after every byte.
    let options = ClientOptions {
        response_padding: Some(false),
        ..ClientOptions::default()
    };
    let connect = || {
        let builder = server.builder_at(&url).max_retries(0).options(options);
        builder.build().expect("configured")
    };
    let ask = async |client: SecureChatCompletion| client.request("GET", "/", bytes(b"")).await;
    ask(connect()).await.expect("whole");
    let len = *cut.passed.lock().expect("no panic");
    let mut refused = 0;
    for after in 0..len {
        *cut.after.lock().expect("no panic") = Some(after);
        match ask(connect()).await {
            Ok(answer) => assert_eq!(
                answer.body().expose(),
                b"first,second",
                "cut at {after} of {len}"
            ),
            Err(error) => {
                let kinds = [ErrorKind::Security, ErrorKind::Connection];
                assert!(
                    kinds.contains(&error.kind()),
                    "cut at {after} of {len}: {error}"
                );
                refused += 1;
            }
        }
    }
    // Only the last bytes, which end the body of HTTP, may be missing.
    assert!(refused + 16 > len && refused > 300, "{refused} of {len}");
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
