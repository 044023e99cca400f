//! Streamed answers. That each token arrives when it was said, and not later, is shown by a handshake: the model says the
//! next one only after the test has seen the one before.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::sleep;
use std::time::Duration;

use futures_util::stream::{iter, repeat_with};
use sealwire::ErrorKind;
use sealwire::chat::ChatAccumulator;
use sealwire::core::ErrorCode;
use sealwire::core::session::SessionError;
use sealwire_tests::adapters::{
    Combination, GUARD, Gone, MEMORY, Model, Stand, chat, delta, event_stream, fed, json, model,
    whole,
};

use crate::answers::weather;

pub(crate) fn streamed(on: Combination) {
    let (model, mut feed) = fed();
    let stand = Stand::new(on, model);
    let client = stand.client();
    let mut stream = client.stream(&chat()).expect("begun");
    assert!(stream.metadata.is_event_stream());
    for word in ["one", " two", " three"] {
        feed.say(word);
        assert_eq!(stream.next_text().expect("a chunk").as_deref(), Some(word));
    }
    feed.send(Ok(b"data: [DONE]\n\n".to_vec()));
    feed.finish();
    for _ in 0..2 {
        assert_eq!(stream.next_text().expect("its end"), None);
    }
    feed.wait_until_dropped();
}

pub(crate) fn tools_streamed(on: Combination) {
    const CALL: [&str; 4] = [
        r#"{"role":"assistant","tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"weather","arguments":""}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"\"Bern\"}"}}]}"#,
        "{}",
    ];
    let stand = Stand::new(
        on,
        model(|_| {
            let event =
                |delta| format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n");
            Ok(event_stream(iter(
                CALL.map(|delta| Ok(event(delta).into())),
            )))
        }),
    );
    let client = stand.client();
    let stream = client.stream(&weather()).expect("begun");
    let mut whole = ChatAccumulator::new(&MEMORY);
    for chunk in stream.items {
        whole.push(&chunk.expect("a chunk").get()).expect("memory");
    }
    let call = &whole.choices()[0].tool_calls()[0];
    assert_eq!((call.id(), call.name()), (Some("call_1"), Some("weather")));
    assert_eq!(call.arguments(), "{\"city\":\"Bern\"}");
}

/// An upstream cuts its pieces anywhere.
pub(crate) fn events_in_parts(on: Combination) {
    let (model, mut feed) = fed();
    let stand = Stand::new(on, model);
    let client = stand.client();
    let mut stream = client.stream(&chat()).expect("begun");
    let two = [delta("one"), delta("two")].concat();
    for byte in &two[..two.len() - 1] {
        feed.send(Ok(vec![*byte]));
    }
    assert_eq!(stream.next_text().expect("a chunk").as_deref(), Some("one"));
    feed.send(Ok(two[two.len() - 1..].into()));
    // Signs that the server lives, and that there is nothing more: of the last only the empty line is missing.
    feed.send(Ok(b"data:\n\n: hello\n\ndata: [DONE]".to_vec()));
    assert_eq!(stream.next_text().expect("a chunk").as_deref(), Some("two"));
    feed.finish();
    assert_eq!(stream.next_text().expect("its end"), None);
}

pub(crate) fn ten_thousand_deltas(on: Combination) {
    let stand = Stand::new(
        on,
        model(|_| {
            let said = |n: usize| Ok(delta(&format!("{n},")));
            Ok(event_stream(iter((0..10_000).map(said))))
        }),
    );
    let client = stand.client();
    let mut stream = client.stream(&chat()).expect("begun");
    for n in 0..10_000 {
        assert_eq!(stream.next_text().expect("a chunk"), Some(format!("{n},")));
    }
    assert_eq!(stream.next_text().expect("its end"), None);
}

pub(crate) fn failing_upstream(on: Combination) {
    let (model, feed) = fed();
    let stand = Stand::new(on, model);
    let client = stand.client();
    let mut stream = client.stream(&chat()).expect("begun");
    feed.say("half");
    assert_eq!(
        stream.next_text().expect("a chunk").as_deref(),
        Some("half")
    );
    feed.send(Err(ErrorCode::Upstream));
    let error = stream.next_text().expect_err("failed");
    assert_eq!(error.kind(), ErrorKind::Server);
    assert_eq!(error.exchange_id(), Some(stream.metadata.exchange_id));
    let refused = SessionError::Refused {
        code: ErrorCode::Upstream,
        answer_begun: true,
    };
    assert_eq!(error.session(), Some(&refused));
    assert_eq!(stream.next_text().expect("its end"), None);
}

pub(crate) fn error_event(on: Combination) {
    let (model, feed) = fed();
    let stand = Stand::new(on, model);
    let client = stand.client();
    let mut stream = client.stream(&chat()).expect("begun");
    let event = b"data: {\"error\":{\"message\":\"no more\",\"type\":\"server_error\"}}\n\n";
    feed.send(Ok(event.to_vec()));
    let error = stream.next_text().expect_err("failed");
    let words = error.body().and_then(|body| body.error()?.message());
    assert!(words.is_some_and(|words| words == "no more"));
}

pub(crate) fn not_a_stream(on: Combination) {
    let stand = Stand::new(on, whole());
    let error = stand.client().stream(&chat()).err().expect("no stream");
    assert_eq!(error.kind(), ErrorKind::Server);
    assert!(
        error.to_string().contains("ask for a whole answer"),
        "{error}"
    );
    // An error with the status of a success is told in the server's own words.
    let said = br#"{"error": {"message": "no such model"}}"#;
    let stand = Stand::new(on, model(|_| Ok(json(200, said))));
    let error = stand.client().stream(&chat()).err().expect("no stream");
    let words = error.body().and_then(|body| body.error()?.message());
    assert!(words.is_some_and(|words| words == "no such model"));
    // Nor is one without a chunk.
    for body in ["", "data: [DONE]\n\n", "<html>\n"] {
        let stand = Stand::new(
            on,
            model(move |_| Ok(event_stream(iter([Ok(body.into())])))),
        );
        let client = stand.client();
        let mut stream = client.stream(&chat()).expect("begun");
        let error = stream.next_text().expect_err("no chunk");
        assert_eq!(error.kind(), ErrorKind::Server, "{body:?}");
    }
}

/// Dropping a stream cancels: the model's stream is dropped too.
pub(crate) fn dropped_stream(on: Combination) {
    let (model, feed) = fed();
    let stand = Stand::new(on, model);
    let client = stand.client();
    let mut stream = client.stream(&chat()).expect("begun");
    feed.say("one");
    assert_eq!(stream.next_text().expect("a chunk").as_deref(), Some("one"));
    drop(stream);
    feed.wait_until_dropped();
}

/// haproxy leaves a gateway at work for a client of HTTP/1.1 that has gone, until it has something to pass on: the next
/// token ends it. (With its `option abortonclose` it would be ended at once.)
pub(crate) fn dropped_stream_by_the_next_token(on: Combination) {
    let (model, feed) = fed();
    let stand = Stand::new(on, model);
    let client = stand.client();
    let mut stream = client.stream(&chat()).expect("begun");
    feed.say("one");
    assert_eq!(stream.next_text().expect("a chunk").as_deref(), Some("one"));
    drop(stream);
    feed.say_until_dropped("more");
}

/// Dropping a future cancels: the model's future is dropped too.
pub(crate) fn dropped_future(on: Combination) {
    let (begun, has_begun) = channel();
    let (gone, is_gone) = channel();
    let stand = Stand::new(
        on,
        Model::new(move |_| {
            let (begun, gone) = (begun.clone(), Gone(gone.clone()));
            async move {
                let _gone = gone;
                let _ = begun.send(());
                std::future::pending().await
            }
        }),
    );
    stand.client().abandon(&chat(), has_begun);
    is_gone.recv_timeout(GUARD).expect("cancelled");
}

/// A reader that stops makes the model stop: whoever holds a stream back holds the whole way back, and no queue on it
/// grows without end.
pub(crate) fn slow_reader(on: Combination) {
    /// What may be under way: buffers of the system, of each library, of proxies.
    const MOST: usize = 48 << 20;
    const PIECE: usize = 16 << 10;
    let said = Arc::new(AtomicUsize::new(0));
    let count = said.clone();
    let (gone, is_gone) = channel();
    let stand = Stand::new(
        on,
        model(move |_| {
            let (count, gone) = (count.clone(), Gone(gone.clone()));
            let word = "x".repeat(PIECE);
            Ok(event_stream(repeat_with(move || {
                let _here = &gone;
                count.fetch_add(PIECE, Ordering::SeqCst);
                Ok(delta(&word))
            })))
        }),
    );
    let client = stand.client_with(|settings| {
        settings.options.response.content = u64::MAX;
        settings.options.response.wire = u64::MAX;
    });
    let mut stream = client.stream(&chat()).expect("begun");
    let mut read = 0;
    for _ in 0..3 {
        for _ in 0..20 {
            let text = stream.next_text().expect("a chunk").expect("more");
            read += text.len();
        }
        // Waits until the model has said nothing for a while. That it is only slow is not told from that it waits, which
        // can hide a mistake and never make one.
        loop {
            let before = said.load(Ordering::SeqCst);
            sleep(Duration::from_millis(20));
            let now = said.load(Ordering::SeqCst);
            assert!(now - read < MOST, "{} MiB under way", (now - read) >> 20);
            if now == before {
                break;
            }
        }
    }
    drop(stream);
    is_gone.recv_timeout(GUARD).expect("cancelled");
}
