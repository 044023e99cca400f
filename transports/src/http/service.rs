//! What carries requests of HTTP, and what its errors are to a session.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::io;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Body;
use hyper::{Request, Response};
use hyper_util::client::legacy;
use sealwire_core::session::Failure;
use tower_service::Service;

use super::upload::SealedUpload;
use crate::tls;

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;
pub(super) type Reply = UnsyncBoxBody<Bytes, BoxError>;

/// What sealed requests can travel over: every tower service that carries an HTTP request whose body is a [`SealedUpload`] to an HTTP
/// response. hyper-util's pool is one.
pub trait HttpService: Clone + Send + 'static {
    #[doc(hidden)]
    fn send(&mut self, request: Request<SealedUpload>) -> Sending;
}

type Sending = BoxFuture<'static, Result<Response<Reply>, BoxError>>;

impl<S, B> HttpService for S
where
    S: Service<Request<SealedUpload>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn send(&mut self, request: Request<SealedUpload>) -> Sending {
        // The one that is asked whether it is ready is the one that is called; a clone may not be.
        let clone = self.clone();
        let mut service = std::mem::replace(self, clone);
        Box::pin(async move {
            let ready = poll_fn(|cx| service.poll_ready(cx).map_err(Into::into));
            ready.await?;
            let reply = service.call(request).await.map_err(Into::into)?;
            Ok(reply.map(|body| body.map_err(Into::into).boxed_unsync()))
        })
    }
}

/// What an error of the service is to a session.
pub(super) fn failure(error: &(dyn StdError + 'static)) -> Failure {
    let is_connect = |error: &(dyn StdError + 'static)| {
        error.downcast_ref().is_some_and(legacy::Error::is_connect)
    };
    let tls = tls::failure(error).or_else(|| tls::beneath(error).find_map(retold));
    tls.unwrap_or(match tls::beneath(error).any(is_connect) {
        true => Failure::Connect,
        false => Failure::Reset,
    })
}

/// h2 hands on an error of the connection beneath it as its kind and its words, which are rustls' own.
fn retold(error: &(dyn StdError + 'static)) -> Option<Failure> {
    let error: &io::Error = error.downcast_ref()?;
    let is_alert = error.kind() == io::ErrorKind::InvalidData
        && error.to_string().starts_with("received fatal alert");
    is_alert.then_some(Failure::TlsRefused)
}
