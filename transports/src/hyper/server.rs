//! The gateway as a hyper service.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::future::{Either, select};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::rt::Timer;
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioTimer;
use sealwire_core::exchange::ServerExchange;
use sealwire_core::keys::{KeyRing, KeySet};
use sealwire_core::{Error as CoreError, ServerState, UnixTime};

use crate::answer::is_type;
use crate::clock::unix_now;
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
        Box::pin(async move { Ok(route(shared, request).await) })
    }
}

async fn route<H, B>(shared: Arc<Shared<H>>, request: Request<B>) -> Response<SealedBody>
where
    H: Handler,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    let path = request.uri().path();
    if path == shared.keys_path {
        return match *request.method() {
            Method::GET | Method::HEAD => {
                let mut reply = plain(StatusCode::OK, shared.key_set().to_json());
                let json = HeaderValue::from_static("application/json");
                reply.headers_mut().insert(CONTENT_TYPE, json);
                reply
            }
            _ => refuse(StatusCode::METHOD_NOT_ALLOWED),
        };
    }
    if path != shared.send_path {
        return refuse(StatusCode::NOT_FOUND);
    }
    let content_type = request.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    if request.method() != Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED);
    }
    if !content_type.is_some_and(|found| is_type(found, crate::MEDIA_TYPE)) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let sealed: Result<Sealed, CoreError> = async {
        let mut exchange = shared.exchange()?;
        receive(&shared, &mut exchange, request.into_body()).await;
        shared.answer(exchange).await
    }
    .await;
    match sealed {
        Ok(sealed) => sealed_reply(sealed),
        Err(error) => {
            log::warn!("a request could not be answered: {error}");
            refuse(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

/// Reads the request up to its end, or until the exchange has heard enough (ORDER-3).
async fn receive<H: Handler, B: Body>(shared: &Shared<H>, exchange: &mut ServerExchange, body: B) {
    let mut body = std::pin::pin!(body);
    let mut deadline = TokioTimer::new().sleep(shared.request_deadline);
    while exchange.state() != ServerState::Done {
        match select(body.as_mut().frame(), deadline).await {
            Either::Left((Some(Ok(frame)), rest)) => {
                deadline = rest;
                if let Ok(mut data) = frame.into_data() {
                    while data.has_remaining() {
                        let len = data.chunk().len();
                        shared.handle_input(exchange, data.chunk());
                        data.advance(len);
                    }
                }
            }
            // A request that broke off is answered too, in case its client still listens.
            Either::Left(_) | Either::Right(_) => break,
        }
    }
    exchange.handle_eof(unix_now());
}

/// HTTP-2.
fn sealed_reply(sealed: Sealed) -> Response<SealedBody> {
    let mut reply = Response::new(SealedBody(Content::Sealed(Box::new(sealed))));
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

fn plain(status: StatusCode, text: String) -> Response<SealedBody> {
    let mut reply = Response::new(SealedBody(Content::Plain(text.into())));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// What is no request of the protocol gets HTTP's own answer.
fn refuse(status: StatusCode) -> Response<SealedBody> {
    plain(status, String::new())
}

/// The body of a gateway's reply. Sealed as hyper asks for it: a slow reader slows the handler's stream down.
#[derive(Debug)]
pub struct SealedBody(Content);

enum Content {
    Plain(Bytes),
    Sealed(Box<Sealed>),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Sealed(_) => "Sealed",
        })
    }
}

impl Body for SealedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let chunk = match &mut self.0 {
            Content::Plain(text) if text.is_empty() => None,
            Content::Plain(text) => Some(std::mem::take(text)),
            Content::Sealed(sealed) => match ready!(sealed.poll_chunk(cx)) {
                Ok(chunk) => chunk.map(Bytes::from),
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            },
        };
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Content::Plain(text) if text.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Plain(text) => SizeHint::with_exact(text.len() as u64),
            Content::Sealed(_) => SizeHint::default(),
        }
    }
}
