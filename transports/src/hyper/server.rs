//! The gateway as a hyper service.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode};
use sealwire_core::keys::{KeyRing, KeySet};
use sealwire_core::{Error as CoreError, UnixTime};

use super::body::SealedBody;
use super::receive::receive;
use crate::client::is_type;
use crate::error::Error;
use crate::server::{GatewayConfig, Handler, Sealed, Shared};

/// A gateway as a hyper [`Service`]: opens requests, gives them to its handler, and seals the replies.
///
/// Cheap to clone; all clones are the same gateway. It must be used within a tokio runtime, for its deadlines.
/// Its host calls [`rotate`](Self::rotate) when it is due.
///
/// ```no_run
/// use hyper_util::rt::{TokioExecutor, TokioIo};
/// use hyper_util::server::conn::auto::Builder;
/// use sealwire::core::exchange::ReceivedRequest;
/// use sealwire::core::keys::{Identity, KeyRing};
/// use sealwire::core::{ErrorCode, Suite};
/// use sealwire::hyper::Gateway;
/// use sealwire::memlock::{Policy, SecureMemory};
/// use sealwire::server::{GatewayConfig, Reply, ReplyBody};
///
/// # async fn example(listener: tokio::net::TcpListener) -> Result<(), Box<dyn std::error::Error>> {
/// let memory = SecureMemory::new(Policy::BestEffort);
/// let identity = Identity::generate(&memory, &mut getrandom::SysRng)?;
/// let keys = KeyRing::new(identity, Suite::ALL, Default::default(), memory.clone());
/// let echo = |request: ReceivedRequest| async {
///     let body = ReplyBody::Whole(request.into_body());
///     Ok::<_, ErrorCode>(Reply::new(200, "application/json", body))
/// };
/// let gateway = Gateway::new(GatewayConfig::new(memory), keys, echo)?;
/// loop {
///     let (stream, _) = listener.accept().await?;
///     let gateway = gateway.clone();
///     tokio::spawn(async move {
///         let builder = Builder::new(TokioExecutor::new());
///         builder.serve_connection(TokioIo::new(stream), gateway).await
///     });
/// }
/// # }
/// ```
pub struct Gateway<H> {
    shared: Arc<Shared<H>>,
}

impl<H: Handler> Gateway<H> {
    /// A gateway with these keys; those that are missing are made.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if randomness or secure memory cannot be had.
    pub fn new(config: GatewayConfig, keys: KeyRing, handler: H) -> Result<Self, Error> {
        Ok(Self {
            shared: Arc::new(Shared::new(config, keys, handler)?),
        })
    }

    /// Makes the keys that are missing at `now`, wipes those that have ended, and says when to call again.
    ///
    /// # Errors
    /// As [`new`](Self::new); the keys that exist stay.
    pub fn rotate(&self, now: UnixTime) -> Result<UnixTime, Error> {
        self.shared.rotate(now)
    }

    /// What clients fetch.
    pub fn key_set(&self) -> KeySet {
        self.shared.key_set()
    }

    /// The same gateway for raw streams: it knows the same keys and requests.
    #[cfg(feature = "_lines")]
    pub fn raw(&self) -> crate::server::RawGateway<H> {
        crate::server::RawGateway::over(self.shared.clone())
    }
}

impl<H> Clone for Gateway<H> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<H> fmt::Debug for Gateway<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}

impl<H, B> Service<Request<B>> for Gateway<H>
where
    H: Handler,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<SealedBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let shared = self.shared.clone();
        Box::pin(async move {
            if !is_sealed(&shared, &request) {
                return Ok(unsealed(&shared, &request));
            }
            let sealed = async {
                let (exchange, event) = receive(&shared, request.into_body()).await?;
                shared.answer(exchange, event).await
            };
            Ok(sealed_reply(sealed.await))
        })
    }
}

/// Whether this is a request of the protocol (HTTP-1).
pub(super) fn is_sealed<H, B>(shared: &Shared<H>, request: &Request<B>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE);
    request.uri().path() == shared.send_path
        && request.method() == Method::POST
        && content_type
            .and_then(|value| value.to_str().ok())
            .is_some_and(|found| is_type(found, crate::MEDIA_TYPE))
}

/// The keys, or why a request is none of the protocol's.
pub(super) fn unsealed<H, B>(shared: &Shared<H>, request: &Request<B>) -> Response<SealedBody> {
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        path if path == shared.keys_path && is_get => {
            let mut reply = plain(StatusCode::OK, shared.key_set().to_json());
            let json = HeaderValue::from_static("application/json");
            reply.headers_mut().insert(CONTENT_TYPE, json);
            reply
        }
        path if path == shared.keys_path => refuse(StatusCode::METHOD_NOT_ALLOWED),
        path if path != shared.send_path => refuse(StatusCode::NOT_FOUND),
        _ if request.method() == Method::POST => refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        _ => refuse(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// HTTP-2.
pub(super) fn sealed_reply(sealed: Result<Sealed, CoreError>) -> Response<SealedBody> {
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

fn plain(status: StatusCode, text: String) -> Response<SealedBody> {
    let mut reply = Response::new(SealedBody::plain(Full::new(Bytes::from(text))));
    *reply.status_mut() = status;
    let no_store = HeaderValue::from_static("no-store");
    reply.headers_mut().insert(CACHE_CONTROL, no_store);
    reply
}
