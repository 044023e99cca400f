//! An axum router behind a sealwire gateway: requests are opened in front of it, its answers are sealed.
//!
//! `cargo run -p sealwire --example axum_gateway --features hyper`

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Extension;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use futures_util::{StreamExt, stream};
use sealwire::chat::{ChatRequest, Message};
use sealwire::core::keys::{Identity, KeyRing};
use sealwire::core::{Suite, UnixTime};
use sealwire::hyper::{Exchange, GatewayLayer, SecureChatCompletion};
use sealwire::memlock::{Policy, SecureMemory};
use sealwire::server::GatewayConfig;
use serde_json::{Value, json};
use tower::Layer;

/// A handler like any other. What it gets was opened and verified, what it answers is sealed on its way out.
async fn completions(
    Extension(exchange): Extension<Exchange>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Response {
    if headers
        .get(header::AUTHORIZATION)
        .is_none_or(|key| key != "Bearer sk-example")
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    println!(
        "gateway: exchange {:02x?} asks {}",
        &exchange.id[..4],
        request["messages"][0]["content"]
    );
    let words = ["Sealed ", "in, ", "sealed ", "out."];
    if request["stream"] != true {
        let message = json!({"role": "assistant", "content": words.concat()});
        return Json(
            json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}),
        )
        .into_response();
    }
    // Each piece leaves as soon as it is made, in frames of one size.
    let events = stream::iter(words).then(async |word| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let chunk = json!({"choices": [{"index": 0, "delta": {"content": word}}]});
        Ok::<_, Infallible>(format!("data: {chunk}\n\n"))
    });
    let done = stream::iter([Ok("data: [DONE]\n\n".to_owned())]);
    let body = Body::from_stream(events.chain(done));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let memory = SecureMemory::new(Policy::BestEffort);
    // A gateway that is to be known again keeps its identity in a file: `sealwire keygen`.
    let identity = Identity::generate(&memory, &mut getrandom::SysRng)?;
    let pin = identity.pin();
    let keys = KeyRing::new(identity, Suite::ALL, Default::default(), memory.clone());
    let gateway = GatewayLayer::new(GatewayConfig::new(memory), keys)?;

    let sealed = gateway.layer(Router::new().route("/v1/chat/completions", post(completions)));
    // What may be asked in plaintext has routes of its own in front; everything else must be sealed.
    let app = Router::new()
        .route("/healthz", get(async || "ok"))
        .fallback_service(sealed);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    // An answer is several small writes; without this the second waits until the first is acknowledged.
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    tokio::spawn(async move { axum::serve(listener, app).await });
    tokio::spawn(rotate(gateway));

    let client = SecureChatCompletion::builder(&url)
        .allow_http(true) // on this machine
        .api_key("sk-example")
        .pin(pin)
        .build()?;
    let request = ChatRequest::new("example").message(Message::user("What happens to this?"));
    let mut answer = client.stream(&request).await?;
    while let Some(chunk) = answer.next().await {
        println!("client: {:?}", chunk?.text(client.memory())?.expose());
    }
    Ok(())
}

/// Makes new epoch keys when they are due, and wipes those that have ended.
async fn rotate(gateway: GatewayLayer) {
    loop {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = UnixTime::from_millis(since.map_or(0, |since| since.as_millis() as u64));
        if let Err(error) = gateway.rotate(now) {
            eprintln!("keys could not be rotated: {error}");
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}
