//! Answers that arrive: whole, streamed, tried again, stopped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use futures_util::StreamExt;
use futures_util::stream::{iter, unfold};
use sealwire::core::exchange::{ClientOptions, Limits};
use sealwire::core::{ErrorCode, Suite};
use sealwire::server::{Reply, ReplyBody};
use tokio::sync::mpsc as channel;

use crate::adapters::{Adapter, on_each_client, on_each_wire};
use crate::handler::{TestHandler, at_once};
use crate::server::{Server, Wire, proxy};
use crate::support::{CHAT, MEMORY, PATIENCE, bytes, chat, delta, json, text};

on_each_wire!(
    a_whole_answer_in_every_suite,
    one_connection_carries_many_requests,
    keys_that_changed_are_fetched_again,
    keys_are_shown,
    a_stream_arrives_piece_by_piece,
    a_dropped_stream_cancels_the_handler,
    what_may_be_tried_again_is,
    two_thousand_deltas,
    the_largest_prompt,
    byte_by_byte,
    many_at_once_on_one_client,
);

on_each_client!(one_event_is_the_whole_answer);

fn a_whole_answer_in_every_suite<A: Adapter>(wire: Wire) {
    let server = Server::start(
        wire,
        at_once(|request| {
            let head = request.head();
            assert_eq!((head.method, head.path), ("POST", "/v1/chat/completions"));
            assert_eq!(head.authorization, Some("Bearer sk-marker"));
            let body = str::from_utf8(request.body().expose()).expect("JSON");
            assert!(body.contains("prompt-marker"));
            Ok(json(200, CHAT))
        }),
    );
    for &suite in Suite::ALL {
        let client = A::build(server.builder::<A>().suite(suite)).expect("configured");
        let answer = A::create(&client, &chat()).expect("answered");
        assert_eq!(text(&answer), "sealed answer");
        assert_eq!(answer.metadata().suite, suite);
    }
}

fn one_connection_carries_many_requests<A: Adapter>(wire: Wire) {
    let server = Server::start(wire, at_once(|_| Ok(json(200, CHAT))));
    let client = server.client::<A>();
    for _ in 0..5 {
        A::create(&client, &chat()).expect("answered");
        A::request(&client, "GET", "/v1/models", bytes(b"")).expect("answered");
    }
    assert_eq!(server.accepted(), 1);
}

fn keys_that_changed_are_fetched_again<A: Adapter>(wire: Wire) {
    let server = Server::start(wire, at_once(|_| Ok(json(200, CHAT))));
    let client = server.client::<A>();
    for _ in 0..3 {
        A::create(&client, &chat()).expect("answered");
        server.restart();
    }
}

fn keys_are_shown<A: Adapter>(wire: Wire) {
    let server = Server::start(wire, at_once(|_| Ok(json(200, CHAT))));
    let keys = A::fetch_keys(&server.client::<A>()).expect("keys");
    assert_eq!(keys.pin(), server.pin);
}

/// One event may be as long as the response, and no longer.
fn one_event_is_the_whole_answer<A: Adapter>() {
    const LEN: usize = 2 << 20;
    let server = Server::start(
        Wire::Http,
        at_once(|_| {
            let event = delta(&"x".repeat(LEN));
            let pieces = iter(
                event
                    .chunks(1 << 16)
                    .map(|piece| Ok(bytes(piece)))
                    .collect::<Vec<_>>(),
            );
            Ok(Reply::new(
                200,
                "text/event-stream",
                ReplyBody::Stream(pieces.boxed()),
            ))
        }),
    );
    let ask = |content| {
        let response = Limits {
            content,
            ..Limits::RESPONSE
        };
        let options = ClientOptions {
            response,
            ..ClientOptions::default()
        };
        let client = A::build(server.builder::<A>().options(options)).expect("configured");
        let mut chunks = Vec::new();
        A::stream(&client, &chat(), &mut |chunk| {
            chunks.push(chunk.map(|chunk| chunk.text(&MEMORY).expect("memory").len()));
            true
        })
        .expect("begun");
        chunks
    };
    let all = ask(Limits::RESPONSE.content);
    assert!(matches!(all[..], [Ok(LEN)]), "{all:?}");
    let cut = ask(LEN as u64);
    assert!(matches!(cut[..], [Err(_)]), "{cut:?}");
}

type Feed = channel::UnboundedSender<Result<Vec<u8>, ErrorCode>>;

/// A handler that streams what the test sends it, and tells when it is dropped.
fn fed_by_test(wire: Wire) -> (Server, Feed, mpsc::Receiver<()>) {
    struct Dropped(mpsc::Sender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (sender, receiver) = channel::unbounded_channel::<Result<Vec<u8>, ErrorCode>>();
    let (dropped, is_dropped) = mpsc::channel();
    let receiver = Mutex::new(Some((receiver, Dropped(dropped))));
    let handler = at_once(move |_| {
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
    });
    (Server::start(wire, handler), sender, is_dropped)
}

fn a_stream_arrives_piece_by_piece<A: Adapter>(wire: Wire) {
    let (server, sender, _dropped) = fed_by_test(wire);
    let words = ["one", " two", " three", "four"];
    // Each word is sent only once the one before has arrived.
    let mut sender = Some(sender);
    let send = |sender: &Option<Feed>, n: usize| {
        sender
            .as_ref()
            .expect("more")
            .send(Ok(delta(words[n])))
            .expect("listening");
    };
    send(&sender, 0);
    let mut seen = 0;
    A::stream(&server.client::<A>(), &chat(), &mut |chunk| {
        let text = chunk.expect("a chunk").text(&MEMORY).expect("memory");
        assert_eq!(text.expose(), words[seen]);
        seen += 1;
        match words.len() - seen {
            0 => sender = None,
            _ => send(&sender, seen),
        }
        true
    })
    .expect("begun");
    assert_eq!(seen, words.len());
}

fn a_dropped_stream_cancels_the_handler<A: Adapter>(wire: Wire) {
    let (server, sender, dropped) = fed_by_test(wire);
    sender.send(Ok(delta("one"))).expect("listening");
    let client = server.client::<A>();
    A::stream(&client, &chat(), &mut |_| false).expect("begun");
    dropped.recv_timeout(PATIENCE).expect("cancelled");
}

fn what_may_be_tried_again_is<A: Adapter>(wire: Wire) {
    let answers: [fn() -> Result<Reply, ErrorCode>; 4] = [
        || Ok(json(500, b"{}")),
        || Ok(json(429, b"{}")),
        || Err(ErrorCode::Upstream),
        || Err(ErrorCode::Busy),
    ];
    for answer in answers {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let handler = at_once(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => answer(),
            _ => Ok(json(200, CHAT)),
        });
        let server = Server::start(wire, handler);
        let answer = A::create(&server.client::<A>(), &chat()).expect("answered in the end");
        assert_eq!(text(&answer), "sealed answer");
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        // A raw stream goes on after a refusal (ORDER-7).
        assert!(!wire.is_raw() || server.accepted() == 1);
    }
}

fn two_thousand_deltas<A: Adapter>(wire: Wire) {
    let handler = at_once(|_| {
        let pieces = iter(0..2_000).map(|n| Ok(bytes(&delta(&format!("{n},")))));
        Ok(Reply::new(
            200,
            "text/event-stream",
            ReplyBody::Stream(pieces.boxed()),
        ))
    });
    let server = Server::start(wire, handler);
    let mut count = 0;
    A::stream(&server.client::<A>(), &chat(), &mut |chunk| {
        let text = chunk.expect("a chunk").text(&MEMORY).expect("memory");
        assert_eq!(text.expose(), format!("{count},"));
        count += 1;
        true
    })
    .expect("begun");
    assert_eq!(count, 2_000);
}

fn the_largest_prompt<A: Adapter>(wire: Wire) {
    // 10 MiB each way take their time in a build that is not optimised: once for each framing.
    if !matches!(wire, Wire::Http | Wire::Raw) {
        return;
    }
    let handler = at_once(|request| {
        let body = ReplyBody::Whole(request.into_body());
        Ok(Reply::new(200, "application/octet-stream", body))
    });
    let server = Server::start(wire, handler);
    let body = vec![b'x'; 10 << 20];
    let answer = A::request(&server.client::<A>(), "POST", "/echo", bytes(&body)).expect("echoed");
    assert!(answer.body().expose() == body);
}

fn byte_by_byte<A: Adapter>(wire: Wire) {
    let server = Server::start(wire, at_once(|_| Ok(json(200, CHAT))));
    let address = proxy(&server, |_, bytes| bytes.len(), 1);
    let client = A::build(server.builder_at::<A>(address)).expect("configured");
    for _ in 0..2 {
        let answer = A::create(&client, &chat()).expect("answered");
        assert_eq!(text(&answer), "sealed answer");
    }
}

fn many_at_once_on_one_client<A: Adapter>(wire: Wire) {
    let server = Server::start(
        wire,
        TestHandler::new(|_| {
            Box::pin(async {
                futures_util::future::poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    std::task::Poll::Ready(())
                })
                .await;
                Ok(json(200, CHAT))
            })
        }),
    );
    let client = server.client::<A>();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| A::create(&client, &chat()).expect("answered"));
        }
    });
}
