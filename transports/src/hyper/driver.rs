//! The loop around a session: what [`Step`] asks for, done with hyper.

use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use getrandom::SysRng;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::rt::Timer;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{Client as Pool, connect::HttpConnector};
use hyper_util::rt::TokioTimer;
use sealwire_core::keys::KeySet;
use sealwire_core::session::{ClientSession, Failure, GatewayState, Step};
use sealwire_core::{Error as CoreError, Malformed};

use super::line::{Line, Upload, lock, within};
use crate::answer::is_type;
use crate::client::{Client, Event, retry_after};
use crate::error::Error;

/// The largest key set read, in bytes.
const MAX_KEY_SET: usize = 256 * 1024;

/// A client with its pool of connections.
pub(super) struct Inner {
    pub(super) client: Client,
    pub(super) pool: Pool<HttpsConnector<HttpConnector>, Upload>,
    pub(super) keys_uri: Uri,
    pub(super) send_uri: Uri,
}

/// Carries one request to its answer. Dropping it cancels.
pub(super) struct Driver {
    inner: Arc<Inner>,
    line: Arc<Mutex<Line>>,
    known: GatewayState,
    reply: Option<Incoming>,
    /// What of the reply the session has not taken yet.
    chunk: Bytes,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Driver {
    pub(super) fn new(inner: Arc<Inner>, session: ClientSession) -> Self {
        Self {
            known: session.gateway().clone(),
            line: Arc::new(Mutex::new(Line {
                session,
                inner: inner.clone(),
                turn: 0,
                waker: None,
                failure: None,
            })),
            inner,
            reply: None,
            chunk: Bytes::new(),
            cause: None,
        }
    }

    /// The next event of the answer; `None` once it was whole.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            match self.step()? {
                Step::FetchKeys => self.fetch_keys().await,
                Step::Judge => {
                    let now = self.inner.client.clock.now();
                    self.inner.client.judge(&mut lock(&self.line).session, now);
                }
                Step::Send if self.reply.is_none() => self.send().await?,
                Step::Send => {
                    if let Some(event) = self.read().await? {
                        return Ok(Some(event));
                    }
                }
                Step::Wait(until) => self.sleep_until(until).await,
                _ => return Ok(None),
            }
        }
    }

    /// The gateway's keys, not judged: goes no further than that.
    pub(super) async fn key_set(mut self) -> Result<KeySet, Error> {
        loop {
            match self.step()? {
                Step::FetchKeys => self.fetch_keys().await,
                Step::Wait(until) => self.sleep_until(until).await,
                _ => {
                    let line = lock(&self.line);
                    let set = line.session.key_set().cloned();
                    return set.ok_or_else(|| CoreError::from(Malformed::Order).into());
                }
            }
        }
    }

    fn step(&mut self) -> Result<Step, Error> {
        let client = &self.inner.client;
        let mut line = lock(&self.line);
        let step = line.session.step(client.clock.now(), &mut SysRng);
        client.learn(&mut self.known, &line.session);
        step.map_err(|error| Error::from(error).because(self.cause.take()))
    }

    async fn sleep_until(&self, until: Duration) {
        TokioTimer::new()
            .sleep_until(self.inner.client.clock.instant(until))
            .await;
    }

    async fn fetch_keys(&mut self) {
        let mut request = Request::new(Upload::default());
        *request.uri_mut() = self.inner.keys_uri.clone();
        let Some(body) = self.request(request, "application/json").await else {
            return;
        };
        let body = Limited::new(body, MAX_KEY_SET).collect();
        let Some(body) = within(&self.inner.client, &self.line, body).await else {
            return;
        };
        let now = self.inner.client.clock.now();
        let session = &mut lock(&self.line).session;
        match body {
            Ok(body) => match KeySet::from_json(&body.to_bytes()) {
                Ok(set) => session.handle_key_set(now, set),
                Err(error) => session.handle_key_error(error),
            },
            Err(error) if error.is::<LengthLimitError>() => {
                session.handle_key_error(Malformed::Keys("length"));
            }
            Err(error) => {
                self.cause = Some(error);
                session.handle_failure(now, Failure::Reset, &mut SysRng);
            }
        }
    }

    /// Sends the request and waits for the head of the reply.
    async fn send(&mut self) -> Result<(), Error> {
        let turn = {
            let mut line = lock(&self.line);
            line.turn += 1;
            line.turn
        };
        let mut request = Request::new(Upload {
            line: Some(Arc::downgrade(&self.line)),
            turn,
            begun: false,
        });
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.inner.send_uri.clone();
        let media_type = HeaderValue::from_static(crate::MEDIA_TYPE);
        request.headers_mut().insert(CONTENT_TYPE, media_type);
        self.reply = self.request(request, crate::MEDIA_TYPE).await;
        match lock(&self.line).failure.take() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// The body of the reply, if it is one of the protocol's; else the session knows what is wrong.
    async fn request(&mut self, request: Request<Upload>, expected: &str) -> Option<Incoming> {
        self.cause = None;
        let client = &self.inner.client;
        let reply = within(client, &self.line, self.inner.pool.request(request)).await?;
        let now = client.clock.now();
        let session = &mut lock(&self.line).session;
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
                session
                    .handle_reply(now, status, is_expected, wait, &mut SysRng)
                    .then(|| reply.into_body())
            }
            Err(error) => {
                let failure = match error.is_connect() {
                    _ if is_tls(&error) => Failure::Tls,
                    true => Failure::Connect,
                    false => Failure::Reset,
                };
                session.handle_failure(now, failure, &mut SysRng);
                self.cause = Some(Box::new(error));
                None
            }
        }
    }

    /// Feeds the session until there is an event, or until this try is over.
    async fn read(&mut self) -> Result<Option<Event>, Error> {
        let client = &self.inner.client;
        while let Some(reply) = &mut self.reply {
            let event = lock(&self.line).take(&mut self.chunk, client)?;
            if event.is_some() {
                return Ok(event);
            }
            let is_sending = lock(&self.line).session.is_sending();
            let frame = match is_sending {
                true => within(client, &self.line, reply.frame()).await,
                false => None,
            };
            let now = client.clock.now();
            let session = &mut lock(&self.line).session;
            match frame {
                Some(Some(Ok(frame))) => {
                    // Trailers are not the protocol's.
                    self.chunk = frame.into_data().unwrap_or_default();
                    continue;
                }
                // However the reply ends, it was whole if END was there.
                Some(end) => {
                    self.cause = end.and_then(Result::err).map(Into::into);
                    session.handle_eof(now, &mut SysRng);
                }
                None => {}
            }
            self.reply = None;
        }
        self.chunk.clear();
        Ok(None)
    }
}

/// Whether the peer could not prove who it is.
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    // What an I/O error wraps is not its source; that is the source of what it wraps.
    let wrapped = error
        .downcast_ref()
        .and_then(io::Error::get_ref)
        .map(|error| error as &(dyn StdError + 'static));
    error.is::<rustls::Error>() || wrapped.or_else(|| error.source()).is_some_and(is_tls)
}
