//! Answers that do not arrive, and what is said about it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::iter;
use sealwire::core::ErrorCode;
use sealwire::core::exchange::ClientOptions;
use sealwire::core::keys::Pin;
use sealwire::core::session::{Failure, SessionError};
use sealwire::server::{Reply, ReplyBody};
use sealwire::{Error, ErrorKind};

use crate::adapters::{Adapter, on_each_client, on_each_wire};
use crate::handler::{TestHandler, at_once};
use crate::server::{Server, Wire, canned, proxy};
use crate::support::{CHAT, Reserved, bytes, chat, delta, json, printed, quick, text};

on_each_wire!(
    another_identity_than_the_pinned_one,
    refusals_by_class,
    an_answer_cut_anywhere_is_never_whole,
    an_idle_connection_that_was_closed_is_not_missed,
    nothing_new_for_too_long,
    an_answer_that_does_not_begin,
    a_gateway_that_is_not_there,
);

on_each_client!(
    an_error_with_the_status_of_a_success,
    what_is_no_answer_of_a_gateway,
    an_early_reply_is_read,
    a_certificate_that_is_not_trusted,
    base_urls,
);

fn another_identity_than_the_pinned_one<A: Adapter>(wire: Wire) {
    let server = Server::start(wire, at_once(|_| Ok(json(200, CHAT))));
    let other = Pin::from_bytes([7; 32]);
    let client = A::build(server.builder::<A>().pin(other)).expect("configured");
    let error = A::create(&client, &chat()).expect_err("another");
    let expected = SessionError::Identity {
        expected: other,
        found: server.pin,
    };
    assert_eq!(error.session(), Some(&expected));
}

fn refusals_by_class<A: Adapter>(wire: Wire) {
    let server = Server::start(
        wire,
        at_once(|request| match request.head().path {
            "/forbidden" => Err(ErrorCode::Forbidden),
            "/timeout" => Err(ErrorCode::Timeout),
            "/internal" => Err(ErrorCode::Internal),
            path => Ok(json(path[1..].parse().expect("a status"), b"{}")),
        }),
    );
    let client = A::build(server.builder::<A>().max_retries(0)).expect("configured");
    for (path, kind) in [
        ("/forbidden", ErrorKind::Forbidden),
        ("/timeout", ErrorKind::Timeout),
        ("/internal", ErrorKind::Server),
        ("/401", ErrorKind::Authentication),
        ("/429", ErrorKind::RateLimit),
        ("/503", ErrorKind::ServiceUnavailable),
    ] {
        let error = A::request(&client, "GET", path, bytes(b"")).expect_err("refused");
        assert_eq!(error.kind(), kind, "{path}: {error}");
    }
    assert_eq!(server.accepted(), 1);
}

/// What a server says in place of an answer is kept, whatever its status says.
fn an_error_with_the_status_of_a_success<A: Adapter>() {
    let server = Server::start(
        Wire::Http,
        at_once(|_| Ok(json(200, br#"{"error":{"message":"words-marker"}}"#))),
    );
    let error = A::create(&server.client::<A>(), &chat()).expect_err("an error");
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::Server, Some(200))
    );
    let words = error.body().and_then(|body| body.error()?.message());
    assert!(words.is_some_and(|words| words == "words-marker"));
    assert!(!printed(&error).contains("words-marker"));
}

/// Cuts the connection all over what comes back, the key set first: what is shown as whole is whole (ORDER-1).
fn an_answer_cut_anywhere_is_never_whole<A: Adapter>(wire: Wire) {
    if matches!(wire, Wire::Https | Wire::RawTls) {
        // The cuts fall into TLS there, most of them into its handshake.
        return;
    }
    let server = Server::start(
        wire,
        at_once(|_| {
            let pieces = iter([Ok(bytes(b"first,")), Ok(bytes(b"second"))]);
            Ok(Reply::new(
                200,
                "text/plain",
                ReplyBody::Stream(pieces.boxed()),
            ))
        }),
    );
    let limit = Arc::new(AtomicUsize::new(usize::MAX));
    let most = Arc::new(AtomicUsize::new(0));
    let (at, seen) = (limit.clone(), most.clone());
    let address = proxy(
        &server,
        move |passed, bytes| {
            let allowed = bytes.len().min(at.load(Ordering::SeqCst) - passed);
            seen.fetch_max(passed + allowed, Ordering::SeqCst);
            allowed
        },
        4096,
    );
    // Without padding the answer is short enough to be cut after every byte.
    let options = ClientOptions {
        response_padding: Some(false),
        ..ClientOptions::default()
    };
    let ask = || {
        let builder = server
            .builder_at::<A>(address)
            .max_retries(0)
            .options(options);
        let client = A::build(builder).expect("configured");
        A::request(&client, "GET", "/", bytes(b""))
    };
    ask().expect("whole");
    let len = most.load(Ordering::SeqCst);
    // Every frame of the answer begins within these steps; each byte is tried without a network, in tests/.
    let cuts = (0..len).step_by(7).chain(len - 40..len);
    let (mut refused, mut tried) = (0, 0);
    for after in cuts {
        tried += 1;
        limit.store(after, Ordering::SeqCst);
        match ask() {
            Ok(answer) => assert_eq!(answer.body().expose(), b"first,second", "{after} of {len}"),
            Err(error) => {
                let kinds = [ErrorKind::Security, ErrorKind::Connection];
                // A connection that was kept since the keys, and cut before a byte of the answer, is tried again on another.
                assert!(
                    kinds.contains(&error.kind()) || is_duplicate(&error),
                    "{after} of {len}: {error}"
                );
                refused += 1;
            }
        }
    }
    // Only the last bytes, which end the body of HTTP, may be missing.
    let may_miss = if wire.is_raw() { 0 } else { 16 };
    assert!(
        refused + may_miss >= tried && len > 300,
        "{refused} of {tried}"
    );
}

/// The gateway had the request the first time.
fn is_duplicate(error: &Error) -> bool {
    let refused = SessionError::Refused {
        code: ErrorCode::Duplicate,
        answer_begun: false,
    };
    error.session() == Some(&refused)
}

fn an_idle_connection_that_was_closed_is_not_missed<A: Adapter>(wire: Wire) {
    let server = Server::start(wire, at_once(|_| Ok(json(200, CHAT))));
    // Connections live until the test says otherwise.
    let generation = Arc::new(AtomicUsize::new(0));
    let current = generation.clone();
    let address = proxy(
        &server,
        move |passed, bytes| match current.load(Ordering::SeqCst) {
            0 => bytes.len(),
            // An old connection takes a request and is cut before a byte of the answer; a new one lives.
            _ if passed > 0 => {
                current.store(0, Ordering::SeqCst);
                0
            }
            _ => bytes.len(),
        },
        65536,
    );
    let client = A::build(server.builder_at::<A>(address).max_retries(0)).expect("configured");
    A::create(&client, &chat()).expect("answered");
    generation.store(1, Ordering::SeqCst);
    // No retry is allowed, and none is needed: nothing had come back. The gateway may say that it knows the request.
    match A::create(&client, &chat()) {
        Ok(answer) => assert_eq!(text(&answer), "sealed answer"),
        Err(error) => assert!(is_duplicate(&error), "{error}"),
    }
    assert_eq!(server.accepted(), 2);
}

/// On a busy machine even the first piece may come too late: then again, with more patience.
fn nothing_new_for_too_long<A: Adapter>(wire: Wire) {
    let expected = [Ok(()), Err(ErrorKind::Timeout)];
    let patience = [200, 2_000, 20_000].map(Duration::from_millis);
    assert!(
        patience
            .into_iter()
            .any(|idle| pieces::<A>(wire, idle) == expected)
    );
}

/// What a client sees that waits so long for the next piece, after the first of which none comes.
fn pieces<A: Adapter>(wire: Wire, idle: Duration) -> Vec<Result<(), ErrorKind>> {
    let server = Server::start(
        wire,
        at_once(|_| {
            let pieces = iter([Ok(bytes(&delta("one")))]).chain(futures_util::stream::pending());
            Ok(Reply::new(
                200,
                "text/event-stream",
                ReplyBody::Stream(pieces.boxed()),
            ))
        }),
    );
    let client = A::build(server.builder::<A>().idle_timeout(idle)).expect("configured");
    let mut kinds = Vec::new();
    let begun = A::stream(&client, &chat(), &mut |chunk| {
        kinds.push(chunk.map_err(|error| error.kind()).map(|_| ()));
        true
    });
    if let Err(error) = begun {
        kinds.push(Err(error.kind()));
    }
    kinds
}

fn an_answer_that_does_not_begin<A: Adapter>(wire: Wire) {
    let server = Server::start(wire, TestHandler::new(|_| Box::pin(std::future::pending())));
    let builder = server
        .builder::<A>()
        .first_byte_timeout(Duration::from_millis(400));
    let client = A::build(builder).expect("configured");
    let error = A::create(&client, &chat()).expect_err("late");
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

fn a_gateway_that_is_not_there<A: Adapter>(wire: Wire) {
    let server = Server::start(wire, at_once(|_| Ok(json(200, CHAT))));
    let nobody = Reserved::port();
    let client = A::build(server.builder_at::<A>(nobody.address())).expect("configured");
    let error = A::create(&client, &chat()).expect_err("nobody listens");
    assert_eq!(
        error.session(),
        Some(&SessionError::Connection(Failure::Connect))
    );
}

fn dangerous<A: Adapter>(address: SocketAddr) -> A::Client {
    let builder = A::builder(&format!("http://{address}")).allow_http(true);
    A::build(builder.dangerous_trust_any().retry(quick(1))).expect("configured")
}

/// HTTP-3, HTTP-4.
fn what_is_no_answer_of_a_gateway<A: Adapter>() {
    let html = "<html>marker</html>";
    for (status, content_type, code) in [
        ("502 Bad Gateway", "text/html", 502),
        ("200 OK", "text/html", 200),
        ("302 Found\r\nlocation: /elsewhere", "text/html", 302),
        ("429 Too Many Requests\r\nretry-after: 0", "text/html", 429),
    ] {
        let length = html.len();
        let reply = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{html}"
        );
        let error = A::create(&dangerous::<A>(canned(reply)), &chat()).expect_err("no gateway");
        assert_eq!(
            (error.kind(), error.status()),
            (ErrorKind::Connection, Some(code))
        );
    }
    for garbage in [
        "",
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 abc\r\n\r\n",
    ] {
        let error = A::create(&dangerous::<A>(canned(garbage)), &chat()).expect_err("no gateway");
        let expected = SessionError::Connection(Failure::Reset);
        assert_eq!(error.session(), Some(&expected), "{garbage:?}");
    }
    let endless = "HTTP/1.1 200 OK\r\n".to_owned() + &"x: y\r\n".repeat(100_000);
    let error = A::create(&dangerous::<A>(canned(endless)), &chat()).expect_err("no end");
    assert_eq!(error.kind(), ErrorKind::Connection);
}

/// A peer that refuses a large upload says so before its end, and stops reading.
fn an_early_reply_is_read<A: Adapter>() {
    let server = Server::start(Wire::Http, at_once(|_| Ok(json(200, CHAT))));
    let keys = server.keys_json();
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        let mut standing = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("accepted");
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).expect("a request");
            if head.starts_with(b"GET") {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
                stream.write_all(head.as_bytes()).expect("sent");
                stream.write_all(keys.as_bytes()).expect("sent");
                continue;
            }
            let reply = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(reply).expect("sent");
            // It neither reads on nor closes.
            standing.push(stream);
        }
    });
    // Who does not read it while the upload stands still finds out when this is over.
    let builder = server
        .builder_at::<A>(address)
        .first_byte_timeout(Duration::from_secs(60));
    let client = A::build(builder).expect("configured");
    let body = bytes(&vec![b'x'; 10 << 20]);
    let error: Error = A::request(&client, "POST", "/v1/files", body).expect_err("refused");
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::Connection, Some(413))
    );
}

fn a_certificate_that_is_not_trusted<A: Adapter>() {
    let server = Server::start(Wire::Https, at_once(|_| Ok(json(200, CHAT))));
    let builder = A::builder(&format!("https://localhost:{}", server.address.port()));
    let client = A::build(builder.pin(server.pin)).expect("configured");
    let error = A::create(&client, &chat()).expect_err("not trusted");
    assert_eq!(
        error.session(),
        Some(&SessionError::Connection(Failure::Tls))
    );
}

fn base_urls<A: Adapter>() {
    let build = |url: &str| A::build(A::builder(url).dangerous_trust_any()).map(|_| ());
    for url in [
        "http://127.0.0.1:1",
        "tcp://127.0.0.1:1",
        "tls://g.example",
        "ftp://g.example",
        "g.example",
        "https://bad host",
        "https://g.example:port",
        "https://under_score.example\u{e4}",
    ] {
        let error = build(url).expect_err(url);
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
    }
    build("https://g.example/base").expect("configured");
    build("tls://[::1]:7").expect("configured");
}
