//! A router behind a gateway's layer, and clients of it.

use std::convert::Infallible;

use axum::Router;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use sealwire::core::Suite;
use sealwire::core::keys::{Identity, KeyRing, Pin, RecordLimits};
use sealwire::hyper::{GatewayLayer, SealedUpload, SecureChatCompletion};
use sealwire::server::GatewayConfig;
use tokio::net::TcpListener;
use tower::{Layer, Service};

use crate::support::{MEMORY, PATIENCE, quick};

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

pub(crate) fn client_of(url: &str, pin: Pin) -> SecureChatCompletion {
    SecureChatCompletion::builder(url)
        .allow_http(true)
        .api_key("sk-marker")
        .pin(pin)
        .connect_timeout(PATIENCE)
        .retry(quick(2))
        .build()
        .expect("configured")
}

pub(crate) fn body(text: &'static str) -> Full<Bytes> {
    Full::new(Bytes::from_static(text.as_bytes()))
}

pub(crate) async fn text<B: hyper::body::Body>(body: B) -> String
where
    B::Error: std::fmt::Debug,
{
    let whole = body.collect().await.expect("whole").to_bytes();
    String::from_utf8(whole.to_vec()).expect("text")
}
