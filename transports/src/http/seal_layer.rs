//! The client as a tower layer and service: plain requests in, sealed ones out.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Buf;
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Request as HttpRequest, Response, Uri, http::request::Parts};
use sealwire_core::Misuse;
use sealwire_core::exchange::Request;
use sealwire_core::head::{Direction, Tier};
use sealwire_memlock::SecureBytes;
use tower_layer::Layer;
use tower_service::Service;

use super::body::{AnswerBody, IDEMPOTENCY_KEY};
use super::client::{Remote, SecureChatCompletion, over};
use super::service::{BoxError, HttpService};
use crate::client::Client;
use crate::client::Metadata;
use crate::error::Error;

/// Seals what passes through an HTTP client: a tower [`Layer`] around any [`HttpService`], made by
/// [`ClientBuilder::layer`](crate::ClientBuilder::layer).
///
/// What it makes is a [`SecureChatCompletion`](crate::SecureChatCompletion), which is a tower [`Service`] of `http::Request`s:
///
/// - **The URI** is the path at the server behind the gateway, such as `/v1/chat/completions`; or a whole URI under the base
///   URL. One to another place is an error: what is meant for another host must not reach this gateway.
/// - **The body** is collected into secure memory, up to the limit of a request, before anything is sent.
/// - **Header fields**: `content-type`, `authorization` (else the client's own API key), `idempotency-key`, and those that may
///   travel (`accept`, `x-request-id`, `openai-*`) are sealed. Every other field is dropped, because HTTP libraries add their own;
///   none is ever sent in the clear. A [`Tier`] among the request's extensions is the tier asked for.
/// - **The response** has the sealed status, `content-type`, `retry-after` and listed fields, the [`Metadata`] among its
///   extensions, and a body that streams what was opened from secure memory. A status that is no success is a response, not an error.
/// - **Errors**, of the service and of the body, are [`Error`]s. A body that ends without one was whole.
///
/// Retries, keys and timeouts are the client's, as ever; the service beneath adds none, and follows no redirects (HTTP-4): reqwest does
/// unless it is told otherwise. The timeout for a connection is met when the service beneath asks for the request's body.
///
/// ```no_run
/// use bytes::Bytes;
/// use http_body_util::{BodyExt, Full};
/// use hyper::Request;
/// use hyper_util::client::legacy::{Client, connect::HttpConnector};
/// use hyper_util::rt::TokioExecutor;
/// use sealwire::hyper::SecureChatCompletion;
/// use tower::{Layer, ServiceExt};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// // Any connector: TLS, a proxy, a Unix socket.
/// let mut connector = HttpConnector::new();
/// connector.set_nodelay(true);
/// let client = Client::builder(TokioExecutor::new()).build(connector);
/// let seal = SecureChatCompletion::builder("http://127.0.0.1:8443")
///     .allow_http(true)
///     .api_key("sk-...")
///     .pin("sha256:0c5e...".parse()?)
///     .layer()?;
/// let service = seal.layer(client);
///
/// let request = Request::post("/v1/chat/completions")
///     .header("content-type", "application/json")
///     .body(Full::new(Bytes::from_static(b"{\"model\":\"m\",\"messages\":[]}")))?;
/// let response = service.oneshot(request).await?;
/// println!("{}", response.status());
/// let body = response.into_body().collect().await?.to_bytes();
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SealLayer(Arc<Remote>);

impl SealLayer {
    pub(crate) const fn new(remote: Arc<Remote>) -> Self {
        Self(remote)
    }
}

impl std::fmt::Debug for SealLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SealLayer").field(&self.0.send_uri).finish()
    }
}

impl<S: HttpService> Layer<S> for SealLayer {
    type Service = SecureChatCompletion<S>;

    fn layer(&self, inner: S) -> Self::Service {
        over(self.0.clone(), inner)
    }
}

impl<S, B> Service<HttpRequest<B>> for SecureChatCompletion<S>
where
    S: HttpService,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    /// Always: what is beneath is asked each time something is sent.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = collect(&this.transport.remote.client, body).await?;
            let answer = this
                .send(sealed_request(&this.transport.remote, &parts, body)?)
                .await?;
            let mut response = Response::new(());
            response_head(&mut response, answer.metadata())?;
            Ok(response.map(|()| AnswerBody(answer)))
        })
    }
}

/// The whole body, in secure memory. What is above the limit is refused, not read.
async fn collect<B>(client: &Client, body: B) -> Result<SecureBytes, Error>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let limit = client.config.session.options.max_request;
    let mut body = std::pin::pin!(body);
    let expected = body.size_hint().lower().min(limit);
    let mut whole = client.memory().with_capacity(expected as usize)?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Error::invalid_request("the request's body could not be read")
                .because(Some(error.into()))
        })?;
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        if (whole.len() + data.remaining()) as u64 > limit {
            let what = "request body";
            return Err(Misuse::TooLarge { what, limit }.into());
        }
        while data.has_remaining() {
            let len = data.chunk().len();
            whole.try_extend_from_slice(data.chunk())?;
            data.advance(len);
        }
    }
    Ok(whole)
}

/// The request as it is sealed.
fn sealed_request(remote: &Remote, parts: &Parts, body: SecureBytes) -> Result<Request, Error> {
    let mut request = Request::new(parts.method.as_str(), path(remote, &parts.uri)?, body);
    let field = |name| one(&parts.headers, name).map(|value| value.map(Cow::into_owned));
    request.content_type = field(&CONTENT_TYPE)?;
    request.idempotency_key = field(&IDEMPOTENCY_KEY)?;
    request.tier = parts.extensions.get::<Tier>().copied();
    if let Some(value) = parts.headers.get(AUTHORIZATION) {
        request.authorization = Some(remote.client.memory().copy_from(value.as_bytes())?);
    }
    for name in parts.headers.keys() {
        if !Direction::Request.allows(name.as_str()) {
            log::trace!("header field {name} is not sealed");
        } else if let Some(value) = field(name)? {
            request.headers.push((name.as_str().into(), value));
        }
    }
    Ok(request)
}

/// The path at the server behind the gateway.
fn path<'a>(remote: &Remote, uri: &'a Uri) -> Result<&'a str, Error> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    if uri.authority().is_none() {
        return Ok(path);
    }
    let send = &remote.send_uri;
    let base = send.path().strip_suffix(crate::SEND_PATH);
    let is_same = (uri.scheme(), uri.authority()) == (send.scheme(), send.authority());
    base.and_then(|base| path.strip_prefix(base))
        .filter(|rest| is_same && rest.starts_with('/'))
        .ok_or_else(|| {
            Error::invalid_request("the request's URI is not under the gateway's base URL")
        })
}

/// The value of a field; of one that stands there several times, a list (RFC 9110, section 5.3).
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<Cow<'a, str>>, Error> {
    let mut all: Option<Cow<'a, str>> = None;
    for value in headers.get_all(name) {
        let value = value.to_str().map_err(|_| Misuse::Head("headers"))?.trim();
        all = Some(match all {
            None => value.into(),
            Some(before) => (before.into_owned() + ", " + value).into(),
        });
    }
    Ok(all)
}

/// What of the sealed head is HTTP's.
fn response_head(response: &mut Response<()>, metadata: &Metadata) -> Result<(), Error> {
    // HEAD-3, HEAD-7 and the table of 6.2 allow nothing that is not a status or a field of HTTP.
    let malformed = || sealwire_core::Error::from(sealwire_core::Malformed::Head("headers"));
    *response.status_mut() = metadata.status.try_into().map_err(|_| malformed())?;
    let headers = response.headers_mut();
    let retry_after = metadata.retry_after.map(|seconds| seconds.to_string());
    let own = [
        (CONTENT_TYPE.as_str(), metadata.content_type.as_deref()),
        (RETRY_AFTER.as_str(), retry_after.as_deref()),
    ];
    let own = own.iter().filter_map(|&(name, value)| Some((name, value?)));
    let listed = metadata.headers.iter();
    for (name, value) in own.chain(listed.map(|(name, value)| (name.as_str(), value.as_str()))) {
        let name = HeaderName::try_from(name).map_err(|_| malformed())?;
        let value = HeaderValue::try_from(value).map_err(|_| malformed())?;
        headers.insert(name, value);
    }
    response.extensions_mut().insert(metadata.clone());
    Ok(())
}
