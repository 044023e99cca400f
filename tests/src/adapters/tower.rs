//! The tower layers: the client's around a hyper client that is ours, the gateway's before an axum router.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request as AxumRequest, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use hyper_util::service::TowerToHyperService;
use sealwire::Error;
use sealwire::core::ErrorCode;
use sealwire::hyper::{Exchange, GatewayLayer, GatewayService, SecureChatCompletion};
use sealwire::server::{Reply, ReplyBody};
use tower::Layer;

use super::hyper::start;
use super::{Asked, Client, Gateway, GatewaySettings, Model, Settings};

/// The client's layer around a hyper client.
///
/// # Errors
/// If it cannot be set up.
pub fn client(settings: &Settings) -> Result<Box<dyn Client>, Error> {
    Ok(Box::new(layered(settings)?))
}

/// The layer around a hyper client.
pub(super) fn layered(settings: &Settings) -> Result<SecureChatCompletion, Error> {
    let layer = settings
        .apply(SecureChatCompletion::builder(&settings.url))
        .layer()?;
    let builder = HttpsConnectorBuilder::new();
    let builder = match &settings.tls {
        Some(tls) => builder.with_tls_config(tls.clone()),
        None => builder.with_platform_verifier(),
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let connector = builder
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    let pool = Pool::builder(TokioExecutor::new()).build(connector);
    Ok(layer.layer(pool))
}

/// Starts an axum server with the gateway's layer before its router.
///
/// # Panics
/// Without a port, randomness or memory.
pub fn gateway(settings: GatewaySettings) -> Box<dyn Gateway> {
    start(settings, |settings| {
        let layer = GatewayLayer::new(settings.config(), settings.keys()).expect("keys");
        let router = Router::new()
            .fallback(answer)
            .with_state(settings.model.clone());
        let service: GatewayService<Router> = layer.layer(router);
        TowerToHyperService::new(service)
    })
}

/// The model as a handler of axum.
async fn answer(State(model): State<Model>, request: AxumRequest) -> Response {
    let (parts, body) = request.into_parts();
    let field = |name| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
    let exchange = parts.extensions.get::<Exchange>();
    let asked = Asked {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        content_type: field("content-type"),
        authorization: field("authorization"),
        tier: exchange.expect("a request that was opened").tier,
        idempotency_key: field("idempotency-key"),
        body: to_bytes(body, usize::MAX).await.expect("whole").into(),
    };
    match model.answer(asked).await {
        Ok(reply) => replied(reply),
        // A handler of axum has statuses, and no codes of ours.
        Err(ErrorCode::Forbidden) => StatusCode::FORBIDDEN.into_response(),
        Err(ErrorCode::Upstream) => StatusCode::BAD_GATEWAY.into_response(),
        Err(ErrorCode::Busy) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn replied(reply: Reply) -> Response {
    let body = match reply.body {
        ReplyBody::Whole(body) => Body::from(body.expose().to_vec()),
        ReplyBody::Stream(pieces) => Body::from_stream(pieces.map(|piece| match piece {
            Ok(piece) => Ok(Bytes::copy_from_slice(piece.expose())),
            Err(code) => Err(std::io::Error::other(code.to_string())),
        })),
        _ => panic!("a body that no model of the suite makes"),
    };
    let mut builder = Response::builder().status(reply.status);
    if let Some(content_type) = reply.content_type {
        builder = builder.header(header::CONTENT_TYPE, content_type);
    }
    if let Some(seconds) = reply.retry_after {
        builder = builder.header(header::RETRY_AFTER, seconds);
    }
    for (name, value) in reply.headers {
        builder = builder.header(name, value);
    }
    if let Some(tier) = reply.tier {
        builder = builder.extension(tier);
    }
    builder.body(body).expect("a response")
}
