//! The gateway as a tower layer in front of a router.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::Body;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::{Extensions, request, response};
use hyper::{Request, Response};
use sealwire_core::exchange::ReceivedRequest;
use sealwire_core::head::{Direction, EXCHANGE_ID_LEN, RequestHead, Tier};
use sealwire_core::keys::{KeyRing, KeySet};
use sealwire_core::{ErrorCode, UnixTime};
use sealwire_memlock::SecureMemory;
use tower_layer::Layer;
use tower_service::Service;

use super::body::{IDEMPOTENCY_KEY, RequestBody, SealedBody, pieces};
use super::receive::{Pieces, answer_streamed, receive};
use super::routes::{is_sealed, sealed_reply, unsealed};
use super::service::BoxError;
use crate::error::Error;
use crate::server::{GatewayConfig, Reply, ReplyBody, Shared};

/// A gateway as a tower [`Layer`]: opens requests in front of a router, and seals what the router answers.
///
/// It goes around the whole router, not onto its routes (axum's `Router::layer`): the path that is routed is sealed.
///
/// - **A request reaches the router only when all of it was verified** (ORDER-2; but see [`stream_requests`](Self::stream_requests)): with the sealed method and path; the header fields
///   `content-type`, `authorization`, `idempotency-key` and those that may travel; and a body that lies in secure memory. Fields of the
///   HTTP request around it are not handed on, because whoever is in between may have written them. Its extensions are, such as axum's
///   `ConnectInfo`, and beside them is an [`Exchange`].
/// - **A response** is sealed as it is produced, and not faster than it is read. Its status, `content-type`, `retry-after` in seconds
///   and the fields that may travel (`x-request-id`, `openai-*`, `x-ratelimit-*`, `retry-after-ms`) go along; others are left out.
///   A body of known length is padded as one; of others every piece leaves at once, in frames of one size. A [`Tier`] among its
///   extensions is the tier that was given. Status 1xx cannot be sent.
/// - **An error of the router, a panic, or a body that breaks off** ends the exchange with a sealed error.
/// - **Plaintext is refused.** With [`allow_plaintext`](Self::allow_plaintext), requests that are none of the protocol's pass through
///   as they are. For a health check it is better to put a router of its own in front, with this service as its
///   `fallback_service`.
///
/// ```no_run
/// use axum::{Router, routing::post, serve::ListenerExt};
/// use sealwire::core::{Suite, keys::{Identity, KeyRing}};
/// use sealwire::hyper::GatewayLayer;
/// use sealwire::memlock::{Policy, SecureMemory};
/// use sealwire::server::GatewayConfig;
/// use tower::Layer;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let memory = SecureMemory::new(Policy::BestEffort);
/// let identity = Identity::generate(&memory, &mut getrandom::SysRng)?;
/// let keys = KeyRing::new(identity, Suite::ALL, Default::default(), memory.clone());
/// let gateway = GatewayLayer::new(GatewayConfig::new(memory), keys)?;
///
/// let router = Router::new().route("/v1/echo", post(async |body: bytes::Bytes| body));
/// let app = Router::new().fallback_service(gateway.layer(router));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8443").await?;
/// axum::serve(listener.tap_io(|tcp| drop(tcp.set_nodelay(true))), app).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct GatewayLayer {
    shared: Arc<Shared<()>>,
    allow_plaintext: bool,
    stream_requests: bool,
}

/// A router behind a gateway: what a [`GatewayLayer`] makes.
#[derive(Clone)]
pub struct GatewayService<S> {
    layer: GatewayLayer,
    inner: S,
}

/// Which exchange a request came by: an extension of requests that were opened, and of no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchange {
    /// Its id, which the client knows too.
    pub id: [u8; EXCHANGE_ID_LEN],
    /// The protection asked for.
    pub tier: Option<Tier>,
    /// When the client says it was sent.
    pub sent: UnixTime,
}

impl GatewayLayer {
    /// A gateway with these keys; those that are missing are made. All clones, and all services it is laid around, are this gateway.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if randomness or secure memory cannot be had.
    pub fn new(config: GatewayConfig, keys: KeyRing) -> Result<Self, Error> {
        Ok(Self {
            shared: Arc::new(Shared::new(config, keys, ())?),
            allow_plaintext: false,
            stream_requests: false,
        })
    }

    /// Whether requests that are not sealed reach the router too, over whatever connection they came. Those that were sealed are known
    /// by their [`Exchange`]. Default: no.
    pub fn allow_plaintext(mut self, allow: bool) -> Self {
        self.allow_plaintext = allow;
        self
    }

    /// Whether the router gets a request while it arrives, each piece of the body as it verified, instead of the whole (ORDER-2).
    ///
    /// What the router has then is not yet a request: if the rest is cut off, altered, late or too large, the body ends with an
    /// error and the router's future is dropped, wherever it stands. So nothing that cannot be undone may be done before the body
    /// has ended without an error. What the router answers is kept back until then. The deadline for a request to arrive counts
    /// the router's reading too. Default: no.
    pub fn stream_requests(mut self, stream: bool) -> Self {
        self.stream_requests = stream;
        self
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
}

impl fmt::Debug for GatewayLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayLayer")
            .field("allow_plaintext", &self.allow_plaintext)
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for GatewayService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GatewayService").field(&self.layer).finish()
    }
}

impl<S> Layer<S> for GatewayLayer {
    type Service = GatewayService<S>;

    fn layer(&self, inner: S) -> GatewayService<S> {
        let layer = self.clone();
        GatewayService { layer, inner }
    }
}

impl<S, B, R> Service<Request<B>> for GatewayService<S>
where
    S: Service<Request<RequestBody>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<SealedBody>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    /// Always: the router is asked when there is a request for it.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let GatewayLayer {
            shared,
            allow_plaintext,
            stream_requests,
        } = self.layer.clone();
        let mut inner = self.inner.clone();
        Box::pin(async move {
            if !is_sealed(&shared, &request) {
                let path = request.uri().path();
                let is_own = path == shared.send_path || path == shared.keys_path;
                if is_own || !allow_plaintext {
                    return Ok(unsealed(&shared, &request));
                }
                poll_fn(|cx| inner.poll_ready(cx)).await?;
                let reply = inner.call(request.map(RequestBody::plain)).await?;
                return Ok(reply.map(SealedBody::plain));
            }
            let (parts, body) = request.into_parts();
            let memory = shared.memory().clone();
            let answer = |received: ReceivedRequest, rest: Option<Pieces>| async move {
                let request = opened(received, rest, parts.extensions)?;
                let failed = |error: S::Error| {
                    log::warn!("the router failed: {}", error.into());
                    ErrorCode::Internal
                };
                let ready = poll_fn(|cx| inner.poll_ready(cx).map_err(failed));
                ready.await?;
                let reply = inner.call(request).await.map_err(failed)?;
                let (head, body) = reply.into_parts();
                Ok(sealed(&head, body, memory))
            };
            let sealed = async {
                if stream_requests {
                    let answer = |head, rest| answer(head, Some(rest));
                    return answer_streamed(&shared, body, answer).await;
                }
                let (exchange, event) = receive(&shared, body).await?;
                let answer = |request| answer(request, None);
                shared.answer_by(exchange, event, answer).await
            };
            Ok(sealed_reply(sealed.await))
        })
    }
}

/// The request as the router gets it.
fn opened(
    received: ReceivedRequest,
    rest: Option<Pieces>,
    mut extensions: Extensions,
) -> Result<Request<RequestBody>, ErrorCode> {
    let head = received.head();
    extensions.insert(Exchange {
        id: head.exchange_id,
        tier: head.tier,
        sent: head.time,
    });
    let mut parts = head_parts(&head).map_err(|error| {
        // Section 6.1 allows paths that HTTP's types do not take: no router serves those.
        log::debug!("a request has a head that is none in HTTP: {error}");
        ErrorCode::Forbidden
    })?;
    parts.extensions = extensions;
    let body = match rest {
        Some(rest) => RequestBody::streamed(rest),
        None => RequestBody::opened(received.into_body()),
    };
    Ok(Request::from_parts(parts, body))
}

fn head_parts(head: &RequestHead<'_>) -> Result<request::Parts, hyper::http::Error> {
    let (mut parts, ()) = Request::builder()
        .method(head.method)
        .uri(head.path)
        .body(())?
        .into_parts();
    let own = [
        (CONTENT_TYPE, head.content_type),
        (AUTHORIZATION, head.authorization),
        (IDEMPOTENCY_KEY.clone(), head.idempotency_key),
    ];
    for (name, value) in own {
        if let Some(value) = value {
            let mut value = HeaderValue::try_from(value)?;
            value.set_sensitive(name == AUTHORIZATION);
            parts.headers.insert(name, value);
        }
    }
    for (name, value) in head.headers.iter() {
        let name = HeaderName::try_from(name)?;
        parts.headers.insert(name, HeaderValue::try_from(value)?);
    }
    Ok(parts)
}

/// The reply as it is sealed.
fn sealed<B>(head: &response::Parts, body: B, memory: SecureMemory) -> Reply
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let body = match body.size_hint().exact() {
        Some(_) => ReplyBody::Sized(pieces(body, memory)),
        None => ReplyBody::Stream(pieces(body, memory)),
    };
    let mut reply = Reply::new(head.status.as_u16(), "", body);
    reply.content_type = text(&head.headers, &CONTENT_TYPE);
    reply.retry_after = text(&head.headers, &RETRY_AFTER).and_then(|value| value.parse().ok());
    reply.tier = head.extensions.get().copied();
    for name in head.headers.keys() {
        if Direction::Response.allows(name.as_str()) {
            let value = text(&head.headers, name);
            let field = value.map(|value| (name.as_str().to_owned(), value));
            reply.headers.extend(field);
        }
    }
    reply
}

/// A field, if it is text.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    Some(value.to_owned()).filter(|value| !value.is_empty())
}
