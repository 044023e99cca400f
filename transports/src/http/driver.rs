//! The loop around a session: what [`Next`] asks for, done over an HTTP service.

use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, FutureExt, TryFutureExt, select};
use futures_util::stream::{BoxStream, StreamExt, try_unfold};
use getrandom::SysRng;
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::rt::Timer;
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::TokioTimer;
use sealwire_core::Malformed;
use sealwire_core::keys::KeySet;
use sealwire_core::session::Failure;

use super::client::Remote;
use super::service::{BoxError, HttpService, Reply, failure};
use super::upload::{Line, SealedUpload, lock, within};
use crate::client::{Drive, Event, Next, Task, is_type, retry_after};
use crate::error::Error;

/// The largest key set read, in bytes.
const MAX_KEY_SET: usize = 256 * 1024;

/// Carries one request to its answer. Dropping it cancels.
struct Loop<S> {
    remote: Arc<Remote>,
    service: S,
    line: Arc<Mutex<Line>>,
    reply: Option<Reply>,
    /// What of the reply the session has not taken yet.
    chunk: Bytes,
}

/// The loop as a driver.
pub(super) struct Driver {
    line: Arc<Mutex<Line>>,
    events: BoxStream<'static, Result<Event, Error>>,
}

impl Driver {
    pub(super) fn new<S: HttpService>(remote: Arc<Remote>, service: S, task: Task) -> Self {
        let line = Line::new(remote.clone(), task);
        let work = Loop {
            remote,
            service,
            line: line.clone(),
            reply: None,
            chunk: Bytes::new(),
        };
        let events = try_unfold(work, |mut work| async {
            Ok(work.next().await?.map(|event| (event, work)))
        });
        let events = events.boxed();
        Self { line, events }
    }
}

impl Drive for Driver {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, Error>> {
        self.events.poll_next_unpin(cx).map(Option::transpose)
    }

    fn key_set(&self) -> Result<KeySet, Error> {
        lock(&self.line).task.key_set()
    }
}

impl<S: HttpService> Loop<S> {
    /// The next event of the answer; `None` once it was whole.
    async fn next(&mut self) -> Result<Option<Event>, Error> {
        let clock = &self.remote.clone().client.clock;
        loop {
            let next = lock(&self.line).step()?;
            match next {
                Next::FetchKeys => self.fetch_keys().await,
                Next::Send if self.reply.is_none() => self.send().await?,
                Next::Send => {
                    if let Some(event) = self.read().await? {
                        return Ok(Some(event));
                    }
                }
                Next::Wait(until) => TokioTimer::new().sleep_until(clock.instant(until)).await,
                Next::Done => return Ok(None),
            }
        }
    }

    async fn fetch_keys(&mut self) {
        let mut request = Request::new(SealedUpload::default());
        *request.uri_mut() = self.remote.keys_uri.clone();
        let Some(body) = self.request(request, "application/json").await else {
            return;
        };
        let Some(body) = within(&self.remote, &self.line, key_set(body)).await else {
            return;
        };
        let now = self.remote.client.clock.now();
        let task = &mut lock(&self.line).task;
        match body {
            Ok(body) => match KeySet::from_json(&body) {
                Ok(set) => task.session.handle_key_set(now, set),
                Err(error) => task.session.handle_key_error(error),
            },
            Err(error) if error.is::<LengthLimitError>() => {
                task.session.handle_key_error(Malformed::Keys("length"));
            }
            Err(error) => {
                task.cause = Some(error);
                task.session
                    .handle_failure(now, Failure::Reset, &mut SysRng);
            }
        }
    }

    /// Sends the request and waits for the head of the reply.
    async fn send(&mut self) -> Result<(), Error> {
        let mut request = Request::new(SealedUpload::next(&self.line));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.remote.send_uri.clone();
        let media_type = HeaderValue::from_static(crate::MEDIA_TYPE);
        request.headers_mut().insert(CONTENT_TYPE, media_type);
        self.reply = self.request(request, crate::MEDIA_TYPE).await;
        match lock(&self.line).failure.take() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// The body of the reply, if it is one of the protocol's; else the session knows what is wrong.
    async fn request(
        &mut self,
        mut request: Request<SealedUpload>,
        expected: &str,
    ) -> Option<Reply> {
        lock(&self.line).task.cause = None;
        // A request without a body does not show when it has a connection. hyper-util's pool tells.
        let mut connection = capture_connection(&mut request);
        let line = &self.line;
        let connected = async move {
            if connection.wait_for_connection_metadata().await.is_some() {
                lock(line).connected();
            }
            pending::<Infallible>().await
        };
        let work = async {
            match select(self.service.send(request), pin!(connected)).await {
                Either::Left((reply, _)) => reply,
                Either::Right((never, _)) => match never {},
            }
        };
        let reply = within(&self.remote, line, work).await?;
        let now = self.remote.client.clock.now();
        let task = &mut lock(line).task;
        match reply {
            Ok(reply) => {
                let field = |name| {
                    reply
                        .headers()
                        .get(name)
                        .and_then(|value| value.to_str().ok())
                };
                let is_expected = reply.status() == StatusCode::OK
                    && field(CONTENT_TYPE).is_some_and(|found| is_type(found, expected));
                let wait = field(RETRY_AFTER).and_then(retry_after);
                let status = reply.status().as_u16();
                task.session
                    .handle_reply(now, status, is_expected, wait, &mut SysRng)
                    .then(|| reply.into_body())
            }
            Err(error) => {
                let failure = failure(error.as_ref());
                task.session.handle_failure(now, failure, &mut SysRng);
                task.cause = Some(error);
                None
            }
        }
    }

    /// Feeds the session until there is an event, or until this try is over.
    async fn read(&mut self) -> Result<Option<Event>, Error> {
        while let Some(reply) = &mut self.reply {
            let event = lock(&self.line).take(&mut self.chunk)?;
            if event.is_some() {
                return Ok(event);
            }
            let is_sending = lock(&self.line).task.session.is_sending();
            let frame = match is_sending {
                true => within(&self.remote, &self.line, reply.frame()).await,
                false => None,
            };
            let now = self.remote.client.clock.now();
            let task = &mut lock(&self.line).task;
            match frame {
                Some(Some(Ok(frame))) => {
                    // Trailers are not the protocol's.
                    self.chunk = frame.into_data().unwrap_or_default();
                    continue;
                }
                // However the reply ends, it was whole if END was there.
                Some(end) => {
                    task.cause = end.and_then(Result::err);
                    task.session.handle_eof(now, &mut SysRng);
                }
                None => {}
            }
            self.reply = None;
        }
        self.chunk.clear();
        Ok(None)
    }
}

fn key_set(body: Reply) -> BoxFuture<'static, Result<Bytes, BoxError>> {
    let body = Limited::new(body, MAX_KEY_SET).collect();
    body.map_ok(Collected::to_bytes).boxed()
}
