//! The server that the client examples talk to: a router behind a gateway. `axum_gateway` explains it.

use axum::routing::post;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use sealwire::core::Suite;
use sealwire::core::keys::{Identity, KeyRing, Pin};
use sealwire::hyper::GatewayLayer;
use sealwire::memlock::{Policy, SecureMemory};
use sealwire::server::GatewayConfig;
use serde_json::{Value, json};
use tower::Layer;

/// Starts it on a free port, and says where it is and what it must prove.
pub(crate) async fn start_gateway() -> Result<(String, Pin), Box<dyn std::error::Error>> {
    let memory = SecureMemory::new(Policy::BestEffort);
    let identity = Identity::generate(&memory, &mut getrandom::SysRng)?;
    let pin = identity.pin();
    let keys = KeyRing::new(identity, Suite::ALL, Default::default(), memory.clone());
    let gateway = GatewayLayer::new(GatewayConfig::new(memory), keys)?;

    let answer = async |Json(request): Json<Value>| {
        let prompt = &request["messages"][0]["content"];
        let message = json!({"role": "assistant", "content": format!("you said {prompt}")});
        Json(json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}))
    };
    let sealed = gateway.layer(Router::new().route("/v1/chat/completions", post(answer)));
    let app = Router::new().fallback_service(sealed);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok((url, pin))
}
