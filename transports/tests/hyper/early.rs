//! Replies that come before the request has been sent. Protocol: ORDER-3, ORDER-9.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::Request;
use hyper::body::Frame;
use sealwire::core::session::{Failure, SessionError};
use sealwire::core::{ErrorCode, RejectCode};
use sealwire::hyper::{SealedUpload, SecureChatCompletion};
use sealwire::server::GatewayConfig;
use sealwire::{Error, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower::{Layer, service_fn};

use crate::handler::at_once;
use crate::layers::{gateway_layer, listen};
use crate::server::Server;
use crate::support::{MEMORY, bytes, json, printed, quick};

/// Gives `server`'s keys to whoever asks, and answers everything else with `reply` when its first bytes are there. `lingers`: reads on
/// for a while, as careful servers do; others close at once.
async fn hasty(server: &Server, reply: Vec<u8>, lingers: bool) -> String {
    let keys = server.key_set().to_json();
    let keys = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{keys}",
        keys.len()
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (keys, reply) = (keys.clone(), reply.clone());
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    if buffer[..count].starts_with(b"GET") {
                        let _ = stream.write_all(keys.as_bytes()).await;
                        continue;
                    }
                    let _ = stream.write_all(&reply).await;
                    if lingers {
                        let _ = stream.shutdown().await;
                        while let Ok(1..) = stream.read(&mut buffer).await {}
                    }
                    return;
                }
            });
        }
    });
    format!("http://{address}")
}

async fn upload(server: &Server, url: &str) -> Error {
    let builder = server.builder_at(url).retry(quick(0));
    let client = builder.build().expect("configured");
    let body = bytes(&vec![b'x'; 10 << 20]);
    client
        .request("POST", "/", body)
        .await
        .expect_err("refused")
}

#[tokio::test]
async fn a_proxy_that_finds_the_request_too_large() {
    let server = Server::start(at_once(|_| Ok(json(200, b"{}")))).await;
    let reply =
        "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 9\r\nconnection: close\r\n\r\ntoo large";
    for lingers in [true, false] {
        let url = hasty(&server, reply.into(), lingers).await;
        for _ in 0..3 {
            let error = upload(&server, &url).await;
            assert_eq!(error.kind(), ErrorKind::Connection, "{}", printed(&error));
            // Closing on unread bytes resets the connection, which may overtake the reply.
            assert!(
                !lingers || error.status() == Some(413),
                "{}",
                printed(&error)
            );
        }
    }
}

#[tokio::test]
async fn a_gateway_that_rejects_at_once() {
    let server = Server::start(at_once(|_| Ok(json(200, b"{}")))).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/sealwire\r\ncontent-length: 5\r\nconnection: close\r\n\r\n";
    let mut reply = head.as_bytes().to_vec();
    reply.extend([0x05, 0, 0, 1, RejectCode::Suite.to_u8()]);
    for lingers in [true, false] {
        let url = hasty(&server, reply.clone(), lingers).await;
        for _ in 0..3 {
            let error = upload(&server, &url).await;
            let rejected = SessionError::Rejected(RejectCode::Suite);
            let reset = SessionError::Connection(Failure::Reset);
            let found = error.session().expect("the session's");
            assert!(
                *found == rejected || !lingers && *found == reset,
                "{}",
                printed(&error)
            );
        }
    }
}

/// On a busy machine the deadline may be over before the request has begun: then again, with more time.
#[tokio::test]
async fn a_request_that_is_too_slow_is_told_so() {
    let code = ErrorCode::Timeout;
    let answer_begun = false;
    let expected = SessionError::Refused { code, answer_begun };
    for is_http2 in [false, true] {
        let mut seen = Vec::new();
        for deadline in [50, 1_000, 20_000].map(Duration::from_millis) {
            let error = too_slow(is_http2, deadline).await;
            if error.session() == Some(&expected) {
                break;
            }
            seen.push(printed(&error));
        }
        assert!(seen.len() < 3, "{seen:#?}");
    }
}

/// What becomes of a request whose first part goes out, and nothing more.
async fn too_slow(is_http2: bool, deadline: Duration) -> Error {
    let mut config = GatewayConfig::new(MEMORY);
    config.request_deadline = deadline;
    let (layer, pin) = gateway_layer(config);
    let url = listen(layer.layer(axum::Router::new())).await;
    type Slow = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .http2_only(is_http2)
        .build_http::<Slow>();
    let slow = service_fn(move |request: Request<SealedUpload>| {
        let request = request.map(|body| match hyper::body::Body::is_end_stream(&body) {
            true => body.boxed_unsync(),
            false => {
                let begun = body.into_data_stream().take(1);
                let stalled = begun
                    .chain(stream::pending())
                    .map(|data| data.map(Frame::data));
                StreamBody::new(stalled).boxed_unsync()
            }
        });
        client.request(request)
    });
    let builder = SecureChatCompletion::builder(url).allow_http(true).pin(pin);
    let client = builder
        .max_retries(0)
        .layer()
        .expect("configured")
        .layer(slow);
    let body = bytes(&vec![b'x'; 1 << 20]);
    client
        .request("POST", "/", body)
        .await
        .expect_err("too slow")
}
