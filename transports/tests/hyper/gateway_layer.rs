//! Requests opened in front of a router, and its answers sealed.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Request as AxumRequest;
use axum::http::HeaderName;
use axum::response::{IntoResponse, Response as AxumResponse};
use axum::routing::{any, post};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::iter;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use sealwire::ErrorKind;
use sealwire::core::ErrorCode;
use sealwire::core::exchange::Limits;
use sealwire::core::head::Tier;
use sealwire::core::session::SessionError;
use sealwire::hyper::{Exchange, SealedUpload, SecureChatCompletion};
use sealwire::server::GatewayConfig;
use tower::{Layer, service_fn};

use crate::support::{CHAT, MEMORY, bytes, chat, delta, printed};

use crate::layers::{behind_gateway, body, client_of, gateway_layer, listen, text};

#[tokio::test]
async fn a_router_behind_the_layer_answers_chats() {
    async fn completions(request: AxumRequest) -> AxumResponse {
        let exchange = request.extensions().get::<Exchange>().copied();
        let (parts, body) = request.into_parts();
        let mut names: Vec<_> = parts.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "content-type", "idempotency-key"]);
        assert_eq!(parts.headers["authorization"], "Bearer sk-marker");
        assert!(parts.headers["authorization"].is_sensitive());
        let body = text(body).await;
        assert!(body.contains("prompt-marker"));
        let exchange = exchange.expect("it was sealed");
        assert_eq!(exchange.tier, Some(Tier::High));
        if !body.contains("\"stream\":true") {
            let head = [
                ("content-type", "application/json"),
                ("x-ratelimit-x", "1"),
                ("set-cookie", "no"),
            ];
            let mut response = (head, CHAT).into_response();
            response.extensions_mut().insert(Tier::High);
            return response;
        }
        let events = ["one", " two"].map(|word| Ok::<_, Infallible>(Bytes::from(delta(word))));
        let body = axum::body::Body::from_stream(iter(events));
        ([("content-type", "text/event-stream")], body).into_response()
    }
    let router = Router::new().route("/v1/chat/completions", post(completions));
    let (layer, pin) = gateway_layer(GatewayConfig::new(MEMORY));
    let url = listen(layer.layer(router)).await;
    let builder = SecureChatCompletion::builder(url).allow_http(true).pin(pin);
    let builder = builder.api_key("sk-marker").security_tier(Tier::High);
    let client = builder.build().expect("configured");
    let answer = client.create(&chat()).await.expect("answered");
    assert_eq!(answer.choices().count(), 1);
    let metadata = answer.metadata();
    assert_eq!(metadata.tier, Some(Tier::High));
    assert_eq!(metadata.headers, [("x-ratelimit-x".into(), "1".into())]);
    let mut stream = client.stream(&chat()).await.expect("begun");
    assert_eq!(
        crate::server::next_text(&mut stream).await.as_deref(),
        Some("one")
    );
    assert_eq!(
        crate::server::next_text(&mut stream).await.as_deref(),
        Some(" two")
    );
    assert!(stream.next().await.is_none());
    let error = client.request("GET", "/elsewhere", bytes(b"")).await;
    assert_eq!(error.expect_err("no route").status(), Some(404));
}

#[tokio::test]
async fn large_bodies_both_ways() {
    // Of known length, and of none.
    let echo = async |body: Bytes| body;
    let stream = async |body: Bytes| {
        let pieces: Vec<_> = body.chunks(100_000).map(Bytes::copy_from_slice).collect();
        axum::body::Body::from_stream(iter(pieces.into_iter().map(Ok::<_, Infallible>)))
    };
    let limit = axum::extract::DefaultBodyLimit::disable();
    let router = Router::new()
        .route("/echo", post(echo))
        .route("/stream", post(stream))
        .layer(limit);
    let client = behind_gateway(router).await;
    let body: Vec<u8> = (0..10u32 << 20).map(|n| (n % 251) as u8).collect();
    for path in ["/echo", "/stream"] {
        let answer = client.request("POST", path, bytes(&body)).await;
        assert!(answer.expect("echoed").body().expose() == body, "{path}");
    }
}

/// A router that says whether it was reached by an exchange, and how often it was.
fn counting() -> (Router, Arc<AtomicUsize>) {
    let reached = Arc::new(AtomicUsize::new(0));
    let count = reached.clone();
    let router = Router::new().fallback(any(move |request: AxumRequest| {
        count.fetch_add(1, Ordering::SeqCst);
        let is_sealed = request.extensions().get::<Exchange>().is_some();
        async move { if is_sealed { "sealed" } else { "plain" } }
    }));
    (router, reached)
}

async fn send_plain(request: Request<Full<Bytes>>) -> (StatusCode, String) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let reply = client.request(request).await.expect("a reply");
    (reply.status(), text(reply.into_body()).await)
}

#[tokio::test]
async fn plaintext_does_not_reach_the_router() {
    let (router, reached) = counting();
    let (layer, _) = gateway_layer(GatewayConfig::new(MEMORY));
    let url = listen(layer.layer(router)).await;
    for (method, path, content_type, status) in [
        ("POST", "/v1/chat/completions", "application/json", 404),
        ("POST", "/v1/chat/completions", "application/sealwire", 404),
        ("GET", "/", "", 404),
        ("GET", "/sealwire/v1", "application/sealwire", 405),
        ("POST", "/sealwire/v1", "application/json", 415),
        ("POST", "/.well-known/sealwire-keys", "", 405),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(format!("{url}{path}"));
        let request = request
            .header("content-type", content_type)
            .body(body("{}"));
        let (found, text) = send_plain(request.expect("a request")).await;
        assert_eq!(found, status, "{method} {path}");
        assert!(text.contains("POST /sealwire/v1"), "{text}");
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn plaintext_reaches_the_router_where_the_operator_says_so() {
    let (router, reached) = counting();
    let (layer, pin) = gateway_layer(GatewayConfig::new(MEMORY));
    let url = listen(layer.allow_plaintext(true).layer(router)).await;
    let post = |path: &str| {
        Request::post(format!("{url}{path}"))
            .body(body("{}"))
            .expect("a request")
    };
    assert_eq!(
        send_plain(post("/v1")).await,
        (StatusCode::OK, "plain".into())
    );
    let answer = client_of(&url, pin).request("GET", "/v1", bytes(b"")).await;
    assert_eq!(answer.expect("answered").body().expose(), b"sealed");
    // The protocol's own paths are never the router's.
    assert_eq!(send_plain(post("/sealwire/v1")).await.0, 415);
    assert_eq!(send_plain(post("/.well-known/sealwire-keys")).await.0, 405);
    assert_eq!(reached.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_request_that_is_not_whole_does_not_reach_the_router() {
    // ORDER-2
    let (router, reached) = counting();
    let (layer, pin) = gateway_layer(GatewayConfig::new(MEMORY));
    let url = listen(layer.layer(router)).await;
    // Something in between drops the last byte of the request, which is in END's tag.
    let cut = service_fn(|request: Request<SealedUpload>| async move {
        let (parts, body) = request.into_parts();
        let mut body = body.collect().await.expect("ours").to_bytes();
        body.truncate(body.len().saturating_sub(1));
        let client = Client::builder(TokioExecutor::new()).build_http();
        client
            .request(Request::from_parts(parts, Full::new(body)))
            .await
    });
    let builder = SecureChatCompletion::builder(url).allow_http(true).pin(pin);
    let client = builder
        .max_retries(0)
        .layer()
        .expect("configured")
        .layer(cut);
    let error = client.create(&chat()).await.expect_err("cut");
    assert_eq!(
        error.kind(),
        ErrorKind::InvalidRequest,
        "{}",
        printed(&error)
    );
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

/// Section 6.1 allows paths that HTTP's types do not take: nothing is malformed, but no router can serve them.
#[tokio::test]
async fn a_path_that_no_router_takes_is_not_served() {
    let (router, reached) = counting();
    let client = behind_gateway(router).await;
    let error = client.request("GET", "/v1/a<b", bytes(b"")).await;
    let error = error.expect_err("not served");
    assert_eq!(error.kind(), ErrorKind::Forbidden, "{}", printed(&error));
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_limit_of_the_layer_is_told() {
    let (router, reached) = counting();
    let mut config = GatewayConfig::new(MEMORY);
    config.options.request = Limits {
        content: 1000,
        ..Limits::REQUEST
    };
    let (layer, pin) = gateway_layer(config);
    let client = client_of(&listen(layer.layer(router)).await, pin);
    let error = client.request("POST", "/", bytes(&[b'x'; 1001])).await;
    let error = error.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_handler_that_panics_fails_alone() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let router = Router::new()
        .route(
            "/panic",
            any(async || -> &'static str { panic!("on purpose") }),
        )
        .route(
            "/once",
            any(move || {
                let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
                async move {
                    if is_first {
                        panic!("on purpose")
                    } else {
                        "well"
                    }
                }
            }),
        )
        .route(
            "/stream",
            any(async || {
                let pieces = iter(0..3).map(|n| match n {
                    0 => Ok::<_, Infallible>("half"),
                    _ => panic!("on purpose"),
                });
                axum::body::Body::from_stream(pieces)
            }),
        );
    let client = behind_gateway(router).await;
    for path in ["/panic", "/stream"] {
        let error = client
            .request("GET", path, bytes(b""))
            .await
            .expect_err("a panic");
        assert_eq!(error.kind(), ErrorKind::Server, "{path}");
        let internal = matches!(
            error.session(),
            Some(SessionError::Refused {
                code: ErrorCode::Internal,
                ..
            })
        );
        assert!(internal, "{path}: {}", printed(&error));
    }
    // It may be tried again: nothing holds that against it.
    let answer = client.request("GET", "/once", bytes(b"")).await;
    assert_eq!(answer.expect("the second time").body().expose(), b"well");
}
