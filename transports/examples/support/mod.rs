//! A gateway in this process, with a model of a few words, for examples that show the client's side.
#![allow(dead_code)] // no example needs all of it

use futures_util::StreamExt;
use futures_util::stream::iter;
use sealwire::core::exchange::ReceivedRequest;
use sealwire::core::keys::{Identity, KeyRing, Pin as GatewayPin};
use sealwire::core::{ErrorCode, Suite};
use sealwire::memlock::{Policy, SecureMemory};
use sealwire::server::{GatewayConfig, Reply, ReplyBody};

pub(crate) const MEMORY: SecureMemory = SecureMemory::new(Policy::BestEffort);

/// New keys, and the pin that clients need.
pub(crate) fn keys() -> (KeyRing, GatewayPin) {
    let identity = Identity::generate(&MEMORY, &mut getrandom::SysRng).expect("randomness");
    let pin = identity.pin();
    let keys = KeyRing::new(identity, Suite::ALL, Default::default(), MEMORY);
    (keys, pin)
}

pub(crate) fn config() -> GatewayConfig {
    GatewayConfig::new(MEMORY)
}

/// Answers every chat with the same words, streamed.
pub(crate) async fn model(request: ReceivedRequest) -> Result<Reply, ErrorCode> {
    if request.head().authorization != Some("Bearer sk-example") {
        let body = br#"{"error":{"message":"wrong API key"}}"#;
        let body = MEMORY.copy_from(body).map_err(|_| ErrorCode::Busy)?;
        return Ok(Reply::new(401, "application/json", ReplyBody::Whole(body)));
    }
    let words = ["Sealed ", "end ", "to ", "end."].map(|word| {
        let event = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}}}}]}}\n\n"
        );
        let event = MEMORY.copy_from(event.as_bytes());
        event.map_err(|_| ErrorCode::Busy)
    });
    let body = ReplyBody::Stream(iter(words).boxed());
    Ok(Reply::new(200, "text/event-stream", body))
}

/// A gateway over HTTP on a port of its own, on a thread of its own. Returns its URL and its pin.
#[cfg(feature = "hyper")]
pub(crate) fn http_gateway() -> (String, GatewayPin) {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::conn::auto::Builder;

    let (keys, pin) = keys();
    let gateway = sealwire::hyper::Gateway::new(config(), keys, model).expect("keys");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    listener.set_nonblocking(true).expect("a socket");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            while let Ok((stream, _)) = listener.accept().await {
                let gateway = gateway.clone();
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true); // a connection that is gone already says so when it is served
                    let builder = Builder::new(TokioExecutor::new());
                    builder
                        .serve_connection(TokioIo::new(stream), gateway)
                        .await
                });
            }
        });
    });
    (format!("http://{address}"), pin)
}
