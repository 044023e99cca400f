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
use hyper::body::{Body, Frame};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::rt::Timer;
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioTimer;
use sealwire_core::exchange::{ServerEvent, ServerExchange};
use sealwire_core::keys::{KeyRing, KeySet};
use sealwire_core::{Error as CoreError, ErrorCode, ServerState, UnixTime};
use sealwire_memlock::SecureBytes;

use crate::client::is_type;
use crate::clock::unix_now;
use crate::error::Error;
use crate::server::{
    Asked, GatewayConfig, Handler, PieceStream, ReplyBody, Run, Shared, is_retryable,
};

/// Ciphertext handed to hyper at once.
const CHUNK: usize = 64 * 1024;

/// A gateway as a hyper [`Service`]: opens requests, gives them to its handler, and seals the replies.
///
/// Cheap to clone; all clones are the same gateway. It must be used within a tokio runtime, for its deadlines.
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
    let sealed = async {
        let mut exchange = shared.exchange()?;
        receive(&shared, &mut exchange, request.into_body()).await;
        answer(&shared, exchange).await
    };
    match sealed.await {
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

/// Runs the handler if the request is whole, and gets the answer ready.
async fn answer<H: Handler>(
    shared: &Shared<H>,
    mut exchange: ServerExchange,
) -> Result<Sealed, CoreError> {
    let event = exchange.poll_event();
    let request = match event {
        Some(ServerEvent::Request) => exchange.take_request(),
        _ => None,
    };
    let Some(request) = request else {
        // Refused, and its answer is in the exchange already; or stopped by the client.
        if event == Some(ServerEvent::Cancelled) {
            exchange.fail(ErrorCode::Cancelled, unix_now())?;
        }
        return Ok(Sealed::over(exchange));
    };
    let head = request.head();
    let asked = Asked::from(&head);
    let mut run = match shared.begin(&head) {
        Ok(run) => run,
        Err(code) => {
            exchange.fail(code, unix_now())?;
            return Ok(Sealed::over(exchange));
        }
    };
    let result = shared.handler.handle(request).await;
    if is_retryable(&result) {
        run.failed();
    }
    let code = match result {
        Ok(reply) => match shared.respond(&mut exchange, &asked, &reply) {
            Ok(()) => return Ok(Sealed::new(exchange, reply.body, run)),
            Err(error) => {
                log::warn!("the handler's reply cannot be sent: {error}");
                ErrorCode::Internal
            }
        },
        Err(code) => code,
    };
    exchange.fail(code, unix_now())?;
    Ok(Sealed::over(exchange))
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

/// A response under way.
struct Sealed {
    exchange: ServerExchange,
    /// The piece that is being sealed, and how much of it was.
    piece: Option<(SecureBytes, usize)>,
    pieces: Option<PieceStream>,
    /// Ends with the response.
    _run: Option<Run>,
}

impl Sealed {
    /// A response that is in the exchange already.
    fn over(exchange: ServerExchange) -> Self {
        Self {
            exchange,
            piece: None,
            pieces: None,
            _run: None,
        }
    }

    fn new(exchange: ServerExchange, body: ReplyBody, run: Run) -> Self {
        let (piece, pieces) = match body {
            ReplyBody::Whole(body) => (Some((body, 0)), None),
            ReplyBody::Stream(pieces) => (None, Some(pieces)),
        };
        Self {
            exchange,
            piece,
            pieces,
            _run: Some(run),
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, CoreError>> {
        loop {
            let pending = self.exchange.pending_transmit().min(CHUNK);
            if pending > 0 {
                let mut buffer = vec![0; pending];
                self.exchange.poll_transmit(&mut buffer);
                return Poll::Ready(Ok(Some(buffer.into())));
            }
            if self.exchange.is_finished() {
                return Poll::Ready(Ok(None));
            }
            if let Some((piece, sealed)) = &mut self.piece {
                *sealed += self.exchange.send_data(&piece.expose()[*sealed..])?;
                if *sealed == piece.len() {
                    self.piece = None;
                }
                continue;
            }
            match self
                .pieces
                .as_mut()
                .map(|pieces| pieces.as_mut().poll_next(cx))
            {
                Some(Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(Some(Ok(piece)))) => self.piece = Some((piece, 0)),
                Some(Poll::Ready(Some(Err(code)))) => {
                    self.pieces = None;
                    self.exchange.fail(code, unix_now())?;
                }
                Some(Poll::Ready(None)) | None => {
                    self.pieces = None;
                    self.exchange.finish()?;
                }
            }
        }
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
                Ok(chunk) => chunk,
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            },
        };
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Content::Plain(text) if text.is_empty())
    }
}
