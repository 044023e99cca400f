//! What the protocol is over HTTP, looked at from outside (spec section 12).

use std::sync::{Arc, Mutex};

use sealwire::ErrorKind;
use sealwire::core::exchange::{ClientEvent, ClientExchange, ClientOptions, Request};
use sealwire::core::keys::KeySet;
use sealwire::core::{ErrorCode, Suite};
use sealwire::hyper::SecureChatCompletion;
use sealwire::server::{Reply, ReplyBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::handler::at_once;
use crate::server::{Server, canned};
use crate::support::{CHAT, MEMORY, bytes, chat, json, now, quick};

/// One exchange of HTTP/1.1, by hand: head and body of the reply.
async fn exchange(server: &Server, request: &str, body: &[u8]) -> (String, Vec<u8>) {
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("listening");
    let head = format!(
        "{request} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("open");
    let kind = match request.starts_with("POST") {
        true => "content-type: application/sealwire\r\n\r\n",
        false => "\r\n",
    };
    stream.write_all(kind.as_bytes()).await.expect("open");
    stream.write_all(body).await.expect("open");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.expect("open");
    let end = reply
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .expect("a head");
    let head = String::from_utf8(reply[..end].to_vec()).expect("text");
    (head.to_lowercase(), reply[end + 4..].to_vec())
}

async fn server() -> Server {
    Server::start(at_once(|_| Ok(json(418, CHAT)))).await
}

/// HTTP-1: which requests are of the protocol, and what becomes of others.
#[tokio::test]
async fn paths_methods_and_content_types() {
    let server = server().await;
    let (head, body) = exchange(&server, "GET /.well-known/sealwire-keys", b"").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    let set = KeySet::from_json(&body).expect("a key set");
    assert_eq!(set.pin(), server.pin);
    let (head, body) = exchange(&server, "HEAD /.well-known/sealwire-keys", b"").await;
    assert!(
        head.starts_with("http/1.1 200") && body.is_empty(),
        "{head}"
    );
    // RFC 9110, section 15.5.6: a refusal of the method names those that are served.
    let (keys, send) = (Some("get, head"), Some("post"));
    for (request, status, allow) in [
        ("POST /.well-known/sealwire-keys", "405", keys),
        ("GET /sealwire/v1", "405", send),
        ("PUT /sealwire/v1", "405", send),
        ("POST /sealwire/v1/", "404", None),
        ("POST /sealwire/v2", "404", None),
        ("POST /v1/chat/completions", "404", None),
        ("GET /", "404", None),
    ] {
        let (head, _) = exchange(&server, request, b"").await;
        assert!(
            head.starts_with(&format!("http/1.1 {status}")),
            "{request}: {head}"
        );
        let found = head.lines().find_map(|line| line.strip_prefix("allow: "));
        assert_eq!(found, allow, "{request}");
        assert!(!head.contains("application/sealwire"), "{request}: {head}");
    }
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("listening");
    let plain = "POST /sealwire/v1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(plain.as_bytes()).await.expect("open");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("text");
    assert!(reply.starts_with("HTTP/1.1 415"), "{reply}");
}

/// HTTP-2: refusals are replies of the protocol too; nobody on the way may keep them, change them or hold them back.
#[tokio::test]
async fn every_reply_of_the_protocol_looks_the_same() {
    let server = server().await;
    let tap = Tap::new(&server).await;
    client(&server, &tap.url)
        .create(&chat())
        .await
        .expect_err("418");
    let mut heads = vec![tap.heads("HTTP/1.1").pop().expect("a reply").to_lowercase()];
    // REJECT(malformed) of nothing, of garbage, and of an OPEN of another version.
    for (body, code) in [(&b""[..], 4), (b"garbage", 4), (&[0x03, 0, 0, 1, 2], 1)] {
        let (head, reply) = exchange(&server, "POST /sealwire/v1", body).await;
        let reject = [0x05, 0, 0, 1, code];
        assert!(reply.windows(5).any(|bytes| bytes == reject), "{reply:?}");
        heads.push(head);
    }
    for head in heads {
        assert!(head.starts_with("http/1.1 200"), "{head}");
        for field in [
            "content-type: application/sealwire",
            "cache-control: no-store, no-transform",
            "x-accel-buffering: no",
        ] {
            assert!(head.contains(field), "no {field} in {head}");
        }
    }
}

/// HTTP-3: what is no reply of the protocol says nothing but its status: some are worth another try, none is an answer.
#[tokio::test]
async fn replies_of_others_are_told_apart() {
    let server = server().await;
    for (status, tries) in [
        ("200 OK", 1),
        ("204 No Content", 1),
        ("400 Bad Request", 1),
        ("404 Not Found", 1),
        ("413 Content Too Large", 1),
        ("429 Too Many Requests", 3),
        ("500 Internal Server Error", 1),
        ("502 Bad Gateway", 3),
        ("503 Service Unavailable", 3),
        ("504 Gateway Timeout", 3),
    ] {
        // With the body of a REJECT that would make a client fetch keys: it must not be read.
        let mut reply = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: 5\r\nconnection: close\r\n\r\n"
        )
        .into_bytes();
        reply.extend([0x05, 0, 0, 1, 3]);
        let tap = Tap::answering(&server, reply).await;
        let error = client(&server, &tap.url)
            .create(&chat())
            .await
            .expect_err(status);
        assert_eq!(error.kind(), ErrorKind::Connection, "{status}: {error}");
        assert_eq!(
            error.status().map(|code| code.to_string()).as_deref(),
            Some(&status[..3])
        );
        assert_eq!(tap.heads("POST ").len(), tries, "{status}");
        assert_eq!(
            tap.heads("GET ").len(),
            1,
            "{status}: the keys are fetched once"
        );
    }
}

/// HTTP-4: the heads of HTTP tell nothing of what is sealed, and a client goes nowhere else because of them.
#[tokio::test]
async fn heads_tell_nothing_and_redirects_are_not_followed() {
    let server = server().await;
    let tap = Tap::new(&server).await;
    let error = client(&server, &tap.url)
        .create(&chat())
        .await
        .expect_err("418");
    assert_eq!(error.status(), Some(418), "the sealed status arrives");
    let seen = tap.seen.lock().expect("no panic").concat();
    let shown = String::from_utf8_lossy(&seen).to_lowercase();
    for secret in [
        "sk-marker",
        "bearer",
        "authorization",
        "chat/completions",
        "teapot",
    ] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    // Three digits may stand in a key's base64 by chance: the sealed status is looked for in heads.
    let replies = tap.heads("HTTP/1.1");
    assert_eq!(replies.len(), 2, "the keys and the answer: {replies:?}");
    for head in replies {
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(!head.contains("418"), "{head}");
    }
    let posts = tap.heads("POST ");
    assert!(
        posts[0].starts_with("POST /sealwire/v1 HTTP/1.1\r\n"),
        "{posts:?}"
    );

    let elsewhere = Tap::new(&server).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/sealwire/v1", elsewhere.url);
        let reply = format!(
            "HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        // The requests, and then the keys too.
        let moved = canned(reply.clone()).await;
        let tap = Tap::answering(&server, reply.into_bytes()).await;
        for url in [&tap.url, &moved] {
            let error = client(&server, url)
                .create(&chat())
                .await
                .expect_err("moved");
            assert_eq!(error.status(), Some(status));
        }
    }
    assert!(
        elsewhere.seen.lock().expect("no panic").is_empty(),
        "a redirect was followed"
    );
}

/// HTTP-5: a body's length may be told, or not; a request and an answer are whole by END alone.
#[tokio::test]
async fn bodies_with_and_without_a_length() {
    let server = Server::start(at_once(|request| {
        Ok(Reply::new(
            200,
            "text/plain",
            ReplyBody::Whole(request.into_body()),
        ))
    }))
    .await;
    let (_, keys) = exchange(&server, "GET /.well-known/sealwire-keys", b"").await;
    let key = KeySet::from_json(&keys)
        .and_then(|set| set.select(Suite::P256, now()))
        .expect("a key");
    for chunked in [false, true] {
        for whole in [true, false] {
            let request = Request::new("POST", "/echo", bytes(b"marker"));
            let options = ClientOptions::default();
            let made = ClientExchange::new(
                &MEMORY,
                &key,
                request,
                now(),
                options,
                &mut getrandom::SysRng,
            );
            let mut client = made.map_err(|(_, error)| error).expect("sealed");
            let mut wire = vec![0; 4096];
            let sent = client.poll_transmit(&mut wire).expect("memory");
            // Without END the body of HTTP is as whole as ever, and the request is not.
            wire.truncate(if whole { sent } else { sent - 22 });
            let address = server.url.trim_start_matches("http://");
            let mut stream = TcpStream::connect(address).await.expect("listening");
            let head = "POST /sealwire/v1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/sealwire; v=1\r\n";
            let mut http = head.as_bytes().to_vec();
            if chunked {
                http.extend(b"transfer-encoding: chunked\r\n\r\n");
                for piece in wire.chunks(100) {
                    http.extend(format!("{:x}\r\n", piece.len()).as_bytes());
                    http.extend(piece);
                    http.extend(b"\r\n");
                }
                http.extend(b"0\r\n\r\n");
            } else {
                http.extend(format!("content-length: {}\r\n\r\n", wire.len()).as_bytes());
                http.extend(&wire);
            }
            stream.write_all(&http).await.expect("open");
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).await.expect("open");
            let end = reply
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n")
                .expect("a head");
            let (head, body) = reply.split_at(end + 4);
            let head = String::from_utf8(head.to_vec())
                .expect("text")
                .to_lowercase();
            assert!(head.starts_with("http/1.1 200"), "{head}");
            let body = match head.contains("chunked") {
                true => unchunked(body),
                false => body.to_vec(),
            };
            let (mut rest, mut said) = (&body[..], Vec::new());
            let mut outcome = "nothing";
            while !rest.is_empty() {
                let taken = client.handle_input(rest).expect("of the protocol");
                rest = &rest[taken..];
                match client.poll_event() {
                    Some(ClientEvent::Data(data)) => said.extend_from_slice(data),
                    Some(ClientEvent::Complete(_)) => outcome = "complete",
                    Some(ClientEvent::Error { code, .. }) => {
                        assert_eq!(code, ErrorCode::Malformed);
                        outcome = "refused";
                    }
                    _ => {}
                }
            }
            match whole {
                true => assert_eq!((outcome, &said[..]), ("complete", &b"marker"[..])),
                false => assert_eq!((outcome, &said[..]), ("refused", &b""[..])),
            }
        }
    }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let end = body
            .windows(2)
            .position(|bytes| bytes == b"\r\n")
            .expect("a size");
        let size = str::from_utf8(&body[..end]).expect("text");
        let size = usize::from_str_radix(size, 16).expect("hexadecimal");
        if size == 0 {
            return out;
        }
        out.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
}

/// HTTP-1: a base URL may have a path, with a slash at its end or without.
#[tokio::test]
async fn a_base_path_is_put_in_front() {
    let server = server().await;
    for base in ["", "/", "/llm", "/llm/"] {
        let tap = Tap::new(&server).await;
        let url = format!("{}{base}", tap.url);
        // This gateway serves the root, so elsewhere there are no keys: what was asked for is what counts.
        let _ = client(&server, &url).create(&chat()).await;
        let base = base.trim_end_matches('/');
        let asked = format!("GET {base}/.well-known/sealwire-keys HTTP/1.1\r\n");
        let gets = tap.heads("GET ");
        assert!(gets[0].starts_with(&asked), "{gets:?}");
    }
}

fn client(server: &Server, url: &str) -> SecureChatCompletion {
    let builder = server.builder_at(url).retry(quick(2));
    builder.build().expect("configured")
}

/// What stands between a client and a gateway, and keeps what it sees.
struct Tap {
    url: String,
    /// What each read brought, in both directions.
    seen: Log,
}

type Log = Arc<Mutex<Vec<Vec<u8>>>>;

impl Tap {
    /// Passes connections on.
    async fn new(server: &Server) -> Self {
        let address = server.url.trim_start_matches("http://").to_owned();
        Self::start(move |stream, log| pass(stream, address.clone(), log)).await
    }

    /// Has the gateway's keys, and answers every request with this.
    async fn answering(server: &Server, reply: Vec<u8>) -> Self {
        let (_, keys) = exchange(server, "GET /.well-known/sealwire-keys", b"").await;
        let mut set = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            keys.len()
        )
        .into_bytes();
        set.extend(keys);
        Self::start(move |stream, log| answer(stream, set.clone(), reply.clone(), log)).await
    }

    async fn start<F>(serve: impl Fn(TcpStream, Log) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let seen = Log::default();
        let log = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, log.clone()));
            }
        });
        Self { url, seen }
    }

    /// Heads that begin with this.
    fn heads(&self, start: &str) -> Vec<String> {
        let seen = self.seen.lock().expect("no panic");
        let texts = seen.iter().map(|bytes| String::from_utf8_lossy(bytes));
        let head = |text: &str| text.split("\r\n\r\n").next().unwrap_or_default().to_owned();
        texts
            .filter(|text| text.starts_with(start))
            .map(|text| head(&text))
            .collect()
    }
}

async fn answer(mut client: TcpStream, keys: Vec<u8>, reply: Vec<u8>, log: Log) {
    let mut request = vec![0; 64 * 1024];
    let count = client.read(&mut request).await.unwrap_or(0);
    log.lock()
        .expect("no panic")
        .push(request[..count].to_vec());
    let reply = match request.starts_with(b"GET") {
        true => keys,
        false => reply,
    };
    // A client that has heard enough may be gone.
    let _ = client.write_all(&reply).await;
}

async fn pass(client: TcpStream, server: String, log: Log) {
    let server = TcpStream::connect(server).await.expect("listening");
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let upload = tokio::spawn(copy(from_client, to_server, log.clone()));
    copy(from_server, to_client, log).await;
    upload.abort();
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, log: Log) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        log.lock().expect("no panic").push(buffer[..count].to_vec());
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
}
