//! Answers that arrive: whole, streamed, tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{iter, unfold};
use sealwire::chat::{ChatRequest, Message};
use sealwire::core::ErrorCode;
use sealwire::core::exchange::Request;
use sealwire::core::head::Tier;
use sealwire::core::{Suite, session::SessionError};
use sealwire::hyper::{ChatStream, SecureChatCompletion};
use sealwire::server::{Reply, ReplyBody};
use sealwire::{Completion, ErrorKind};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::support::{CHAT, MEMORY, Server, TestHandler, at_once, bytes, delta, json, now};

pub(crate) fn chat() -> ChatRequest<'static> {
    ChatRequest::new("test-model").message(Message::user("prompt-marker"))
}

fn text(completion: &Completion) -> String {
    let choice = completion.choices().next().expect("one choice");
    let content = choice.message().content().expect("content");
    content
        .to_secure(&MEMORY)
        .expect("memory")
        .expose()
        .to_owned()
}

pub(crate) async fn next_text(stream: &mut ChatStream) -> Option<String> {
    let chunk = stream.next().await?.expect("a chunk");
    Some(chunk.text(&MEMORY).expect("memory").expose().to_owned())
}

#[tokio::test]
async fn a_whole_answer_in_every_suite() {
    let server = Server::start(at_once(|request| {
        let head = request.head();
        assert_eq!((head.method, head.path), ("POST", "/v1/chat/completions"));
        assert_eq!(head.authorization, Some("Bearer sk-marker"));
        assert_eq!(head.tier, Some(Tier::High));
        let body = str::from_utf8(request.body().expose()).expect("JSON");
        assert!(body.contains("prompt-marker"));
        let mut reply = json(200, CHAT);
        reply.headers = vec![
            ("x-request-id".into(), "r1".into()),
            ("set-cookie".into(), "no".into()),
            ("x-ratelimit-limit-requests".into(), "10".into()),
        ];
        reply.tier = Some(Tier::High);
        Ok(reply)
    }))
    .await;
    for &suite in Suite::ALL {
        let client = server.builder().suite(suite).security_tier(Tier::High);
        let answer = client
            .build()
            .expect("configured")
            .create(&chat())
            .await
            .expect("answered");
        assert_eq!(text(&answer), "sealed answer");
        let metadata = answer.metadata();
        assert_eq!(
            (metadata.status, metadata.suite, metadata.tier),
            (200, suite, Some(Tier::High))
        );
        assert!(metadata.processed_at.expect("told").abs_diff(now()) < Duration::from_secs(60));
        assert!(
            metadata
                .memory_protection
                .as_ref()
                .expect("told")
                .secure_zeroing
        );
        let names: Vec<_> = metadata
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["x-ratelimit-limit-requests", "x-request-id"]);
    }
}

#[tokio::test]
async fn any_endpoint_and_any_status() {
    let server = Server::start(at_once(|request| {
        let head = request.head();
        Ok(match (head.method, head.path) {
            ("GET", "/v1/models?x=1") if head.content_type.is_none() => json(200, b"{\"data\":[]}"),
            _ => json(404, b"{}"),
        })
    }))
    .await;
    let client = server.client();
    let answer = client
        .request("GET", "/v1/models?x=1", bytes(b""))
        .await
        .expect("answered");
    assert_eq!(answer.body().expose(), b"{\"data\":[]}");
    let error = client
        .request("GET", "/no", bytes(b""))
        .await
        .expect_err("404");
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::InvalidRequest, Some(404))
    );
    let answer = client
        .send(Request::new("GET", "/no", bytes(b"")))
        .await
        .expect("answered");
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.whole().await.expect("whole").body().expose(), b"{}");
}

/// A handler that streams what the test sends it, and tells when it is dropped.
async fn fed_by_test() -> (
    Server,
    mpsc::UnboundedSender<Result<Vec<u8>, ErrorCode>>,
    Arc<Notify>,
) {
    struct Dropped(Arc<Notify>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let (sender, receiver) = mpsc::unbounded_channel::<Result<Vec<u8>, ErrorCode>>();
    let dropped = Arc::new(Notify::new());
    let receiver = std::sync::Mutex::new(Some((receiver, Dropped(dropped.clone()))));
    let server = Server::start(at_once(move |_| {
        let source = receiver
            .lock()
            .expect("no panic")
            .take()
            .expect("asked once");
        let pieces = unfold(source, |mut source| async move {
            let piece = source.0.recv().await?;
            Some((piece.map(|piece| bytes(&piece)), source))
        });
        Ok(Reply::new(
            200,
            "text/event-stream",
            ReplyBody::Stream(pieces.boxed()),
        ))
    }))
    .await;
    (server, sender, dropped)
}

#[tokio::test]
async fn a_stream_arrives_piece_by_piece() {
    let (server, sender, _) = fed_by_test().await;
    let mut stream = server.client().stream(&chat()).await.expect("begun");
    assert!(stream.metadata().is_event_stream());
    for word in ["one", " two", " three"] {
        sender.send(Ok(delta(word))).expect("listening");
        assert_eq!(next_text(&mut stream).await.as_deref(), Some(word));
    }
    // An event in two pieces.
    let event = delta("four");
    sender.send(Ok(event[..10].into())).expect("listening");
    sender.send(Ok(event[10..].into())).expect("listening");
    assert_eq!(next_text(&mut stream).await.as_deref(), Some("four"));
    sender
        .send(Ok(b"data: [DONE]\n\n".to_vec()))
        .expect("listening");
    drop(sender);
    assert!(stream.next().await.is_none());
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_fails_upstream_ends_with_an_error() {
    let (server, sender, _) = fed_by_test().await;
    let mut stream = server.client().stream(&chat()).await.expect("begun");
    sender.send(Ok(delta("half"))).expect("listening");
    assert_eq!(next_text(&mut stream).await.as_deref(), Some("half"));
    sender.send(Err(ErrorCode::Upstream)).expect("listening");
    let error = stream.next().await.expect("an item").expect_err("failed");
    assert_eq!(error.kind(), ErrorKind::Server);
    assert_eq!(error.exchange_id(), Some(stream.metadata().exchange_id));
    let refused = SessionError::Refused {
        code: ErrorCode::Upstream,
        answer_begun: true,
    };
    assert_eq!(error.session(), Some(&refused));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn an_error_event_in_a_stream_is_an_error() {
    let (server, sender, _) = fed_by_test().await;
    let mut stream = server.client().stream(&chat()).await.expect("begun");
    let event = b"data: {\"error\":{\"message\":\"no more\",\"type\":\"server_error\"}}\n\n";
    sender.send(Ok(event.to_vec())).expect("listening");
    let error = stream.next().await.expect("an item").expect_err("failed");
    let words = error.body().and_then(|body| body.error()?.message());
    assert!(words.is_some_and(|words| words == "no more"));
}

#[tokio::test]
async fn a_dropped_stream_cancels_the_handler() {
    let (server, sender, dropped) = fed_by_test().await;
    let mut stream = server.client().stream(&chat()).await.expect("begun");
    sender.send(Ok(delta("one"))).expect("listening");
    assert_eq!(next_text(&mut stream).await.as_deref(), Some("one"));
    drop(stream);
    timeout(Duration::from_secs(5), dropped.notified())
        .await
        .expect("cancelled");
}

#[tokio::test]
async fn a_dropped_request_cancels_the_handler() {
    struct Dropped(mpsc::UnboundedSender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (begun, mut has_begun) = mpsc::unbounded_channel();
    let (dropped, mut is_dropped) = mpsc::unbounded_channel();
    let server = Server::start(TestHandler::new(move |_| {
        let (begun, guard) = (begun.clone(), Dropped(dropped.clone()));
        Box::pin(async move {
            let _guard = guard;
            let _ = begun.send(());
            std::future::pending().await
        })
    }))
    .await;
    let client = server.client();
    let waiting = tokio::spawn(async move { client.create(&chat()).await });
    has_begun.recv().await.expect("the handler runs");
    waiting.abort();
    timeout(Duration::from_secs(5), is_dropped.recv())
        .await
        .expect("cancelled");
}

#[tokio::test]
async fn ten_thousand_deltas_and_a_slow_reader() {
    let server = Server::start(at_once(|_| {
        let pieces = iter(0..10_000).map(|n| Ok(bytes(&delta(&format!("{n},")))));
        Ok(Reply::new(
            200,
            "text/event-stream",
            ReplyBody::Stream(pieces.boxed()),
        ))
    }))
    .await;
    let mut stream = server.client().stream(&chat()).await.expect("begun");
    let mut count = 0;
    while let Some(text) = next_text(&mut stream).await {
        assert_eq!(text, format!("{count},"));
        count += 1;
        if count % 2_000 == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(count, 10_000);
}

#[tokio::test]
async fn bodies_just_under_their_limits() {
    let server = Server::start(at_once(|request| {
        Ok(Reply::new(
            200,
            "application/octet-stream",
            ReplyBody::Whole(request.into_body()),
        ))
    }))
    .await;
    let client = server.client();
    let body = vec![b'x'; 10 << 20];
    let answer = client
        .request("POST", "/echo", bytes(&body))
        .await
        .expect("echoed");
    assert!(answer.body().expose() == body);
}

async fn failing_first(
    failures: usize,
    answer: fn() -> Result<Reply, ErrorCode>,
) -> (Server, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let server = Server::start(at_once(move |_| {
        match count.fetch_add(1, Ordering::SeqCst) < failures {
            true => answer(),
            false => Ok(json(200, CHAT)),
        }
    }))
    .await;
    (server, asked)
}

#[tokio::test]
async fn what_may_be_tried_again_is() {
    let answers: [fn() -> Result<Reply, ErrorCode>; 4] = [
        || Ok(json(500, b"{}")),
        || Ok(json(429, b"{}")),
        || Err(ErrorCode::Upstream),
        || Err(ErrorCode::Busy),
    ];
    for answer in answers {
        let (server, asked) = failing_first(2, answer).await;
        let answer = server
            .client()
            .create(&chat())
            .await
            .expect("answered in the end");
        assert_eq!(text(&answer), "sealed answer");
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }
}

#[tokio::test]
async fn what_may_not_be_tried_again_is_not() {
    let (server, asked) = failing_first(1, || Ok(json(400, b"{}"))).await;
    let error = server.client().create(&chat()).await.expect_err("400");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// REPLAY-6, the gateway's half.
#[tokio::test]
async fn a_request_of_one_idempotency_key_runs_once() {
    let (server, asked) = failing_first(0, || Err(ErrorCode::Internal)).await;
    let client = server.client();
    let send = async |client: &SecureChatCompletion, key: &str| {
        let mut request = Request::new("POST", "/v1/chat/completions", bytes(b"{}"));
        request.idempotency_key = Some(key.into());
        client.send(request).await?.whole().await
    };
    send(&client, "one").await.expect("answered");
    let error = send(&client, "one").await.expect_err("again");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(matches!(
        error.session(),
        Some(SessionError::Refused {
            code: ErrorCode::Duplicate,
            ..
        })
    ));
    send(&client, "two").await.expect("another");
    // The key of another caller is another key.
    let other = server
        .builder()
        .api_key("sk-other")
        .build()
        .expect("configured");
    send(&other, "one").await.expect("another caller");
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}
