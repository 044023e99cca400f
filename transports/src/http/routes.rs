//! What of HTTP is the protocol's, at the gateway (spec section 12).

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use sealwire_core::Error as CoreError;

use super::body::SealedBody;
use crate::client::is_type;
use crate::server::{Sealed, Shared};

/// Whether this is a request of the protocol (HTTP-1).
pub(crate) fn is_sealed<H, B>(shared: &Shared<H>, request: &Request<B>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE);
    request.uri().path() == shared.send_path
        && request.method() == Method::POST
        && content_type
            .and_then(|value| value.to_str().ok())
            .is_some_and(|found| is_type(found, crate::MEDIA_TYPE))
}

/// The keys, or why a request is none of the protocol's.
pub(crate) fn unsealed<H, B>(shared: &Shared<H>, request: &Request<B>) -> Response<SealedBody> {
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        path if path == shared.keys_path && is_get => {
            let mut reply = plain(StatusCode::OK, shared.key_set().to_json());
            let json = HeaderValue::from_static("application/json");
            reply.headers_mut().insert(CONTENT_TYPE, json);
            reply
        }
        path if path == shared.keys_path => refuse_method("GET, HEAD"),
        path if path != shared.send_path => refuse(StatusCode::NOT_FOUND),
        _ if request.method() == Method::POST => refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        _ => refuse_method("POST"),
    }
}

/// HTTP-2.
pub(crate) fn sealed_reply(sealed: Result<Sealed, CoreError>) -> Response<SealedBody> {
    let sealed = match sealed {
        Ok(sealed) => sealed,
        Err(error) => {
            log::warn!("a request could not be answered: {error}");
            return refuse(StatusCode::SERVICE_UNAVAILABLE);
        }
    };
    let mut reply = Response::new(SealedBody::sealed(sealed));
    let headers = reply.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, crate::MEDIA_TYPE),
        (CACHE_CONTROL, "no-store, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    reply
}

/// What is no request of the protocol gets HTTP's own answer: those who sent it learn what is served here.
fn refuse(status: StatusCode) -> Response<SealedBody> {
    let reason = status.canonical_reason().unwrap_or_default();
    let text = format!(
        "{reason}. Only sealed requests are served here: POST {} as {}\n",
        crate::SEND_PATH,
        crate::MEDIA_TYPE
    );
    plain(status, text)
}

/// Another method is served here (RFC 9110, section 15.5.6).
fn refuse_method(served: &'static str) -> Response<SealedBody> {
    let mut reply = refuse(StatusCode::METHOD_NOT_ALLOWED);
    let served = HeaderValue::from_static(served);
    reply.headers_mut().insert(ALLOW, served);
    reply
}

fn plain(status: StatusCode, text: String) -> Response<SealedBody> {
    let mut reply = Response::new(SealedBody::plain(Full::new(Bytes::from(text))));
    *reply.status_mut() = status;
    let no_store = HeaderValue::from_static("no-store");
    reply.headers_mut().insert(CACHE_CONTROL, no_store);
    reply
}
