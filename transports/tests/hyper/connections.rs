//! Versions of HTTP, and connections that are slow.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use ::hyper::body::Incoming;
use ::hyper::service::service_fn;
use ::hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use sealwire::{ErrorKind, hyper};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::handler::at_once;
use crate::server::Server;
use crate::support::{CHAT, Certificate, chat, json};

async fn server() -> Server {
    Server::start(at_once(|_| Ok(json(200, CHAT)))).await
}

/// What version of HTTP each request came by.
async fn versions(listener: TcpListener, seen: mpsc::UnboundedSender<Version>) {
    while let Ok((stream, _)) = listener.accept().await {
        let seen = seen.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let _ = seen.send(request.version());
            ready(Ok::<_, Infallible>(Response::new(String::from("none"))))
        });
        let builder = auto::Builder::new(TokioExecutor::new());
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let _ = connection.await;
    }
}

#[tokio::test]
async fn http2_without_tls_where_it_is_asked_for() {
    for (only, expected) in [(false, Version::HTTP_11), (true, Version::HTTP_2)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (seen, mut versions_seen) = mpsc::unbounded_channel();
        tokio::spawn(versions(listener, seen));
        let builder = hyper::SecureChatCompletion::builder(url).allow_http(true);
        let builder = builder.dangerous_trust_any().http2_only(only);
        let client = builder.build().expect("configured");
        client.create(&chat()).await.expect_err("no gateway");
        assert_eq!(versions_seen.recv().await, Some(expected));
    }
}

#[tokio::test]
async fn http2_only_holds_under_tls() {
    for (protocols, works) in [(&[b"h2" as &[u8]][..], true), (&[b"http/1.1"], false)] {
        let certificate = Certificate::new();
        let tls = Some(certificate.server(protocols).into());
        let server = Server::start_with(at_once(|_| Ok(json(200, CHAT))), tls).await;
        let builder = server.builder().tls(certificate.client());
        let builder = builder.http2_only(true);
        let client = builder.build().expect("configured");
        assert_eq!(client.create(&chat()).await.is_ok(), works);
    }
}

#[tokio::test]
async fn a_layer_has_no_connections_of_its_own() {
    let builder = hyper::SecureChatCompletion::builder("https://g.example").dangerous_trust_any();
    let error = builder.http2_only(true).layer().expect_err("not its own");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("under the layer"), "{error}");
}

/// A connection that stands may take its time with the keys, however short the patience for connections. A busy machine may not
/// even connect in so little time: then with more.
#[tokio::test]
async fn keys_that_take_longer_than_a_connection_may() {
    for patience in [200, 2_000, 20_000].map(Duration::from_millis) {
        if keys_after(patience).await {
            return;
        }
    }
    panic!("no keys");
}

/// Whether keys come that are sent when twice `patience` is over, the time for a connection.
async fn keys_after(patience: Duration) -> bool {
    let server = server().await;
    let keys = server.key_set().to_json();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut buffer = [0; 4096];
        assert!(stream.read(&mut buffer).await.expect("a request") > 0);
        tokio::time::sleep(2 * patience).await;
        let reply = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{keys}",
            keys.len()
        );
        // The client may have given up.
        let _ = stream.write_all(reply.as_bytes()).await;
    });
    let builder = server.builder_at(&url).connect_timeout(patience);
    let client = builder.build().expect("configured");
    let keys = client.fetch_keys().await;
    keys.is_ok_and(|keys| keys.pin() == server.pin)
}

#[test]
fn what_is_shared_between_threads_can_be() {
    fn check<T: Send + Sync>() {}
    check::<hyper::SecureChatCompletion>();
    check::<sealwire::Error>();
    check::<sealwire::Answer>();
    check::<sealwire::Completion>();
    fn send<T: Send>() {}
    send::<hyper::ChatStream>();
    send::<hyper::AnswerStream>();
    send::<hyper::SealedBody>();
    send::<hyper::AnswerBody>();
    send::<hyper::RequestBody>();
    check::<hyper::SealLayer>();
    check::<hyper::GatewayLayer>();
}
