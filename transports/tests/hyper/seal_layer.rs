//! Plain requests, sealed on their way through an HTTP client. What every client does is in the suite.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderMap, HeaderName, Version};
use axum::routing::post;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::iter;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Frame;
use hyper::{Request, Response, StatusCode};
use sealwire::core::ErrorCode;
use sealwire::core::exchange::ClientOptions;
use sealwire::core::head::Tier;
use sealwire::core::session::SessionError;
use sealwire::hyper::{SealedUpload, SecureChatCompletion};
use sealwire::server::{GatewayConfig, Reply, ReplyBody};
use sealwire::{ErrorKind, Metadata};
use tower::util::BoxCloneService;
use tower::{Layer, ServiceExt, service_fn};

use crate::handler::at_once;
use crate::server::Server;
use crate::support::{CHAT, MEMORY, bytes, chat, json, printed};

use crate::layers::{body, gateway_layer, hyper_client, listen, text};

#[tokio::test]
async fn a_plain_request_is_sealed_and_its_answer_opened() {
    let server = Server::start(at_once(|request| {
        let head = request.head();
        assert_eq!((head.method, head.path), ("PUT", "/v1/things?x=1"));
        assert_eq!(head.content_type, Some("text/plain"));
        assert_eq!(head.authorization, Some("Bearer sk-own"));
        assert_eq!(head.idempotency_key, Some("once"));
        assert_eq!(head.tier, Some(Tier::High));
        let fields: Vec<_> = head.headers.iter().collect();
        let expected = [("accept", "a/b, c/d"), ("openai-project", "p")];
        assert_eq!(fields, expected, "and nothing of what else was there");
        assert_eq!(request.body().expose(), b"prompt-marker");
        let mut reply = json(404, b"answer-marker");
        reply.retry_after = Some(7);
        reply.headers = vec![("x-request-id".into(), "r1".into())];
        Ok(reply)
    }))
    .await;
    let service = server
        .builder()
        .layer()
        .expect("configured")
        .layer(hyper_client());
    let mut request = Request::put("/v1/things?x=1")
        .header("content-type", "text/plain")
        .header("authorization", "Bearer sk-own")
        .header("idempotency-key", "once")
        .header("accept", "a/b")
        .header("accept", "c/d")
        .header("openai-project", "p")
        .header("user-agent", "dropped")
        .header("cookie", "secret=dropped")
        .body(body("prompt-marker"))
        .expect("a request");
    request.extensions_mut().insert(Tier::High);
    let response = service.oneshot(request).await.expect("answered");
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let fields = ["content-type", "retry-after", "x-request-id"];
    let fields = fields.map(|name| response.headers()[name].to_str().expect("text"));
    assert_eq!(fields, ["application/json", "7", "r1"]);
    assert_eq!(response.headers().len(), 3);
    let metadata = response.extensions().get::<Metadata>().expect("told");
    assert!(
        metadata
            .memory_protection
            .as_ref()
            .expect("told")
            .secure_zeroing
    );
    assert_eq!(text(response.into_body()).await, "answer-marker");
}

#[tokio::test]
async fn what_is_not_said_is_the_clients_own() {
    let server = Server::start(at_once(|request| {
        let head = request.head();
        assert_eq!(head.authorization, Some("Bearer sk-marker"));
        assert_eq!((head.content_type, head.tier), (None, None));
        Ok(json(200, b"{}"))
    }))
    .await;
    let layer = server.builder().layer().expect("configured");
    // By its whole URI too, if that is the gateway's.
    for uri in ["/v1/models", &format!("{}/v1/models", server.url)] {
        let request = Request::get(uri)
            .body(Empty::<Bytes>::new())
            .expect("a request");
        let response = layer.layer(hyper_client()).oneshot(request).await;
        assert_eq!(response.expect("answered").status(), 200, "{uri}");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_sealed_is_not_sent() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let nowhere = service_fn(move |_: Request<SealedUpload>| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    let options = ClientOptions {
        max_request: 10,
        ..ClientOptions::default()
    };
    let builder = SecureChatCompletion::builder("https://gateway.example/base");
    let builder = builder.dangerous_trust_any().options(options);
    let layer = builder.layer().expect("configured");
    let get = |uri: &str| Request::get(uri).body(body("")).expect("a request");
    let mut many = get("/");
    *many.body_mut() = body("more than 10 bytes");
    let mut field = get("/");
    let name = HeaderName::from_static("x-request-id");
    let value = axum::http::HeaderValue::from_bytes(b"\xff").expect("HTTP allows it");
    field.headers_mut().insert(name, value);
    for request in [
        many,
        field,
        get("https://other.example/base/v1"),
        get("http://gateway.example/base/v1"),
        get("https://gateway.example/v1"),
        get("https://gateway.example/basement"),
    ] {
        let uri = request.uri().clone();
        let error = layer.layer(nowhere.clone()).oneshot(request).await;
        let error = error.expect_err("not sealed");
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{uri}: {error}");
    }
    let breaks = iter([Err::<Frame<Bytes>, _>(io::Error::other("on purpose"))]);
    let broken = Request::get("/").body(StreamBody::new(breaks));
    let error = layer.layer(nowhere.clone());
    let error = error.oneshot(broken.expect("a request")).await;
    let error = error.expect_err("not sealed");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
    assert!(printed(&error).contains("on purpose"), "{error}");
    assert_eq!(sent.load(Ordering::SeqCst), 0);
    let _ = layer
        .layer(nowhere)
        .oneshot(get("https://gateway.example/base/v1"))
        .await;
    assert_eq!(sent.load(Ordering::SeqCst), 1, "the keys are asked for");
}

/// A service that one thread at a time may use is enough for futures that go from thread to thread.
#[tokio::test]
async fn futures_are_send_over_a_service_that_is_not_sync() {
    fn send<T: Send>(future: T) -> T {
        future
    }
    let server = Server::start(at_once(|_| Ok(json(200, CHAT)))).await;
    let layer = server.builder().layer().expect("configured");
    let client = layer.layer(BoxCloneService::new(hyper_client()));
    let request = chat();
    let answer = send(client.create(&request)).await;
    assert_eq!(answer.expect("answered").choices().count(), 1);
    let stream = send(client.stream(&request)).await;
    assert_eq!(stream.expect_err("not streamed").kind(), ErrorKind::Server);
    let answer = send(client.request("GET", "/", bytes(b""))).await;
    assert_eq!(answer.expect("answered").body().expose(), CHAT);
    let keys = send(client.fetch_keys()).await;
    assert_eq!(keys.expect("fetched").pin(), server.pin);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_of_the_body() {
    let server = Server::start(at_once(|_| {
        let pieces = iter([Ok(bytes(b"half")), Err(ErrorCode::Upstream)]);
        Ok(Reply::new(
            200,
            "text/plain",
            ReplyBody::Stream(pieces.boxed()),
        ))
    }))
    .await;
    let layer = server.builder().layer().expect("configured");
    let request = Request::get("/").body(body("")).expect("a request");
    let response = layer
        .layer(hyper_client())
        .oneshot(request)
        .await
        .expect("begun");
    let mut body = response.into_body();
    let first = body.frame().await.expect("a frame").expect("data");
    assert_eq!(first.into_data().expect("data"), "half");
    let error = body.frame().await.expect("an item").expect_err("failed");
    assert!(error.exchange_id().is_some());
    let code = ErrorCode::Upstream;
    let answer_begun = true;
    assert_eq!(
        error.session(),
        Some(&SessionError::Refused { code, answer_begun })
    );
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn reqwest_carries_what_the_layer_seals() {
    let router = Router::new().route(
        "/v1/echo",
        post(async |headers: HeaderMap, body: Bytes| (headers["content-type"].clone(), body).1),
    );
    let (layer, pin) = gateway_layer(GatewayConfig::new(MEMORY));
    let url = listen(layer.layer(router)).await;
    let builder = SecureChatCompletion::builder(url).allow_http(true).pin(pin);
    // Whatever this machine has for others.
    let no_proxy = reqwest::Client::builder().no_proxy();
    let carrier = tower::ServiceBuilder::new()
        .map_request(|request: Request<SealedUpload>| {
            reqwest::Request::try_from(request.map(reqwest::Body::wrap)).expect("a whole URL")
        })
        .map_response(Response::<reqwest::Body>::from)
        .service(no_proxy.build().expect("configured"));
    let client = builder.layer().expect("configured").layer(carrier);
    let request = Request::post("/v1/echo").header("content-type", "text/plain");
    let response = client
        .oneshot(request.body(body("hello")).expect("a request"))
        .await;
    let response = response.expect("answered");
    assert_eq!(
        (response.status(), response.version()),
        (StatusCode::OK, Version::HTTP_11)
    );
    assert_eq!(text(response.into_body()).await, "hello");
}
