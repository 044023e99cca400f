//! The layers: plain requests sealed on their way through an HTTP client, and opened in front of a router.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Request as AxumRequest;
use axum::http::{HeaderMap, HeaderName, Version};
use axum::response::{IntoResponse, Response as AxumResponse};
use axum::routing::{any, post};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::iter;
use http_body_util::{BodyExt, Empty, Full};
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use sealwire::core::exchange::{ClientOptions, Limits};
use sealwire::core::head::Tier;
use sealwire::core::keys::{Identity, KeyRing, Pin, RecordLimits};
use sealwire::core::session::SessionError;
use sealwire::core::{ErrorCode, Suite};
use sealwire::hyper::{Exchange, GatewayLayer, SealedUpload, SecureChatCompletion};
use sealwire::server::{GatewayConfig, Reply, ReplyBody};
use sealwire::{ErrorKind, Metadata};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{CHAT, MEMORY, Server, at_once, bytes, chat, delta, json, printed, quick};

pub(crate) type HyperClient = Client<HttpConnector, SealedUpload>;

pub(crate) fn hyper_client() -> HyperClient {
    Client::builder(TokioExecutor::new()).build_http()
}

/// A gateway's layer with an identity of its own.
pub(crate) fn gateway_layer(config: GatewayConfig) -> (GatewayLayer, Pin) {
    let identity = Identity::generate(&MEMORY, &mut getrandom::SysRng).expect("random");
    let pin = identity.pin();
    let keys = KeyRing::new(identity, Suite::ALL, RecordLimits::default(), MEMORY);
    (GatewayLayer::new(config, keys).expect("keys"), pin)
}

/// Serves `service` over HTTP/1.1 and HTTP/2, and says where.
pub(crate) async fn listen<S, B>(service: S) -> String
where
    S: Service<Request<hyper::body::Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                // A connection that breaks is what some tests want.
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    format!("http://{address}")
}

/// `router` behind a gateway, and a client of it.
pub(crate) async fn behind_gateway(router: Router) -> SecureChatCompletion {
    let (layer, pin) = gateway_layer(GatewayConfig::new(MEMORY));
    client_of(&listen(layer.layer(router)).await, pin)
}

fn client_of(url: &str, pin: Pin) -> SecureChatCompletion {
    SecureChatCompletion::builder(url)
        .allow_http(true)
        .api_key("sk-marker")
        .pin(pin)
        .retry(quick(2))
        .build()
        .expect("configured")
}

fn body(text: &'static str) -> Full<Bytes> {
    Full::new(Bytes::from_static(text.as_bytes()))
}

async fn text<B: hyper::body::Body>(body: B) -> String
where
    B::Error: std::fmt::Debug,
{
    let whole = body.collect().await.expect("whole").to_bytes();
    String::from_utf8(whole.to_vec()).expect("text")
}

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
    for (request, kind) in [
        (many, ErrorKind::InvalidRequest),
        (field, ErrorKind::InvalidRequest),
        (get("https://other.example/base/v1"), ErrorKind::Config),
        (get("http://gateway.example/base/v1"), ErrorKind::Config),
        (get("https://gateway.example/v1"), ErrorKind::Config),
        (get("https://gateway.example/basement"), ErrorKind::Config),
    ] {
        let uri = request.uri().clone();
        let error = layer.layer(nowhere.clone()).oneshot(request).await;
        let error = error.expect_err("not sealed");
        assert_eq!(error.kind(), kind, "{uri}: {error}");
    }
    assert_eq!(sent.load(Ordering::SeqCst), 0);
    let _ = layer
        .layer(nowhere)
        .oneshot(get("https://gateway.example/base/v1"))
        .await;
    assert_eq!(sent.load(Ordering::SeqCst), 1, "the keys are asked for");
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
        crate::support::next_text(&mut stream).await.as_deref(),
        Some("one")
    );
    assert_eq!(
        crate::support::next_text(&mut stream).await.as_deref(),
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

#[tokio::test]
async fn reqwest_carries_what_the_layer_seals() {
    let router = Router::new().route(
        "/v1/echo",
        post(async |headers: HeaderMap, body: Bytes| (headers["content-type"].clone(), body).1),
    );
    let (layer, pin) = gateway_layer(GatewayConfig::new(MEMORY));
    let url = listen(layer.layer(router)).await;
    let builder = SecureChatCompletion::builder(url).allow_http(true).pin(pin);
    let carrier = tower::ServiceBuilder::new()
        .map_request(|request: Request<SealedUpload>| {
            reqwest::Request::try_from(request.map(reqwest::Body::wrap)).expect("a whole URL")
        })
        .map_response(Response::<reqwest::Body>::from)
        .service(reqwest::Client::new());
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
