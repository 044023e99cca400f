//! What is said when there is no answer: the same in every adapter.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use sealwire::core::ErrorCode;
use sealwire::core::session::{Failure, SessionError};
use sealwire::{Error, ErrorKind};
use sealwire_tests::adapters::{
    Client, Combination, Model, Reserved, Settings, Stand, bytes, chat, fed, model, printed, quick,
    whole,
};

/// Sealed refusals by class (spec section 8.1).
pub(crate) fn refused(on: Combination) {
    let stand = Stand::new(
        on,
        model(|asked| {
            Err(match asked.path.as_str() {
                "/forbidden" => ErrorCode::Forbidden,
                "/timeout" => ErrorCode::Timeout,
                "/busy" => ErrorCode::Busy,
                "/upstream" => ErrorCode::Upstream,
                _ => ErrorCode::Internal,
            })
        }),
    );
    let client = stand.client_with(|settings| settings.retry = quick(0));
    for (path, kind) in [
        ("/forbidden", ErrorKind::Forbidden),
        ("/timeout", ErrorKind::Timeout),
        ("/busy", ErrorKind::ServiceUnavailable),
        ("/upstream", ErrorKind::Server),
        ("/internal", ErrorKind::Server),
    ] {
        let error = client
            .request("GET", path, bytes(b""))
            .expect_err("refused");
        assert_eq!(error.kind(), kind, "{path}");
    }
}

/// A configuration that cannot work says so before anything is sent.
pub(crate) fn configuration(on: Combination) {
    let stand = Stand::new(on, whole());
    let fails = |url: &str, word: &str| {
        let mut settings = stand.settings();
        settings.url = url.into();
        let error = (on.client)(&settings).err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        assert!(error.to_string().contains(word), "{url}: {error}");
    };
    fails("127.0.0.1:1", "https://");
    fails("https://", "host");
    fails("https://bad host", "URL");
    fails("https://user:password@g.example", "password");
}

pub(crate) fn gateway_down(on: Combination) {
    let stand = Stand::new(on, whole());
    let nobody = Reserved::port();
    let client = stand.client_with(|settings| {
        let (scheme, _) = settings.url.split_once("://").expect("a URL");
        settings.url = format!("{scheme}://{}", nobody.address());
        settings.retry = quick(1);
    });
    let error = client.create(&chat()).expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::Connection);
    let failed = SessionError::Connection(Failure::Connect);
    assert_eq!(error.session(), Some(&failed));
    assert!(error.to_string().contains("check the base URL"), "{error}");
    assert!(printed(&error).contains("refused"), "{}", printed(&error));
}

pub(crate) fn too_late(on: Combination) {
    let stand = Stand::new(on, Model::new(|_| std::future::pending()));
    let client = stand.client_with(|settings| {
        settings.timeouts.first_byte = Duration::from_millis(100);
    });
    let error = client.create(&chat()).expect_err("late");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("the answer to begin"), "{error}");
}

pub(crate) fn too_late_within(on: Combination) {
    // On a machine that is busy not even the keys come within the shortest of these.
    let error = [100, 1_000, 10_000].map(Duration::from_millis).into_iter();
    let error = error.map(|idle| late_within(on, idle)).find(is_next_piece);
    assert_eq!(error.expect("late").kind(), ErrorKind::Timeout);
}

fn is_next_piece(error: &Error) -> bool {
    error.to_string().contains("next piece")
}

fn late_within(on: Combination, idle: Duration) -> Error {
    let (model, feed) = fed();
    let stand = Stand::new(on, model);
    let client = stand.client_with(|settings| settings.timeouts.idle = idle);
    let mut stream = match client.stream(&chat()) {
        Ok(stream) => stream,
        Err(error) => return error,
    };
    feed.say("one");
    // The machine may be as late with the first as the model is with the second.
    match stream.next_text() {
        Ok(_) => stream.next_text().expect_err("late"),
        Err(error) => error,
    }
}

/// Answers every connection's first request with these bytes, and closes.
fn canned(reply: impl Into<Vec<u8>>) -> String {
    let reply = reply.into();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            // A client that has gone away needs no answer.
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(&reply);
        }
    });
    format!("http://{address}")
}

fn client_of(on: Combination, stand: &Stand, url: &str, retries: u32) -> Box<dyn Client> {
    let settings = Settings {
        url: url.into(),
        retry: quick(retries),
        ..stand.settings()
    };
    (on.client)(&settings).expect("a configuration that works")
}

fn reply(head: &str, body: &str) -> String {
    let len = body.len();
    format!("HTTP/1.1 {head}\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n{body}")
}

/// A proxy's own pages, and whatever else answers in the gateway's place (HTTP-3).
pub(crate) fn not_a_gateway(on: Combination) {
    let stand = Stand::new(on, whole());
    for (head, status) in [
        ("502 Bad Gateway\r\ncontent-type: text/html", 502),
        ("413 Content Too Large\r\ncontent-type: text/html", 413),
        ("200 OK\r\ncontent-type: text/html", 200),
        ("200 OK\r\ncontent-type: application/octet-stream", 200),
        ("200 OK", 200),
        (
            "503 Unavailable\r\nretry-after: 9\r\ncontent-type: application/sealwire",
            503,
        ),
    ] {
        let url = canned(reply(head, "<html>marker</html>"));
        let error = client_of(on, &stand, &url, 1)
            .create(&chat())
            .expect_err("no gateway");
        is_between(&error, status);
        assert_eq!(error.retry_after(), (status == 503).then_some(9));
    }
}

fn is_between(error: &Error, status: u16) {
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::Connection, Some(status))
    );
    assert!(matches!(
        error.session(),
        Some(SessionError::Intermediary { .. })
    ));
    assert!(!printed(error).contains("marker"), "{}", printed(error));
}

/// HTTP-4: redirects are not followed, wherever they lead.
pub(crate) fn redirected(on: Combination) {
    let stand = Stand::new(on, whole());
    let gateway = stand.settings().url;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{gateway}/.well-known/sealwire-keys");
        let url = canned(reply(
            &format!("{status} Elsewhere\r\nlocation: {location}"),
            "",
        ));
        let error = client_of(on, &stand, &url, 0)
            .create(&chat())
            .expect_err("no gateway");
        is_between(&error, status);
    }
    assert_eq!(stand.gateway().connections(), 0);
}

pub(crate) fn no_keys(on: Combination) {
    let stand = Stand::new(on, whole());
    for body in [
        "",
        "{}",
        "[]",
        "{\"version\":1,\"identity\":\"\",\"keys\":[]}",
        &"x".repeat(300_000),
    ] {
        let url = canned(reply("200 OK\r\ncontent-type: application/json", body));
        let error = client_of(on, &stand, &url, 0)
            .create(&chat())
            .expect_err("no keys");
        assert_eq!(error.kind(), ErrorKind::Security, "{error}");
        assert!(
            matches!(error.session(), Some(SessionError::Keys(_))),
            "{error}"
        );
    }
}

/// A proxy whose gateway is gone answers itself.
pub(crate) fn gateway_gone(on: Combination) {
    let mut stand = Stand::new(on, whole());
    let client = stand.client_with(|settings| settings.retry = quick(1));
    client.create(&chat()).expect("answered");
    stand.stop_gateway();
    let error = client.create(&chat()).expect_err("gone");
    assert_eq!(error.kind(), ErrorKind::Connection);
    // nginx says 502, haproxy 503.
    assert!(matches!(error.status(), Some(502 | 503)), "{error}");
}

/// A proxy that lets through less than the gateway takes answers itself. haproxy has no such limit.
pub(crate) fn request_too_large_for_the_proxy(on: Combination) {
    let stand = Stand::with(on, whole(), |settings| settings.longest_at_nginx = 150_000);
    let client = stand.client_with(|settings| settings.retry = quick(0));
    client
        .request("POST", "/echo", bytes(&[b'x'; 90_000]))
        .expect("answered");
    let error = client.request("POST", "/echo", bytes(&[b'x'; 300_000]));
    let error = error.expect_err("too large");
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::Connection, Some(413)),
        "{error}"
    );
}
