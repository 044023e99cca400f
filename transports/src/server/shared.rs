//! The gateway behind every adapter's: keys, replay protection, and the order of things.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::task::Poll;
use std::time::Duration;

use getrandom::SysRng;
use sealwire_core::exchange::{
    ReceivedRequest, ServerContext, ServerEvent, ServerExchange, ServerOptions,
};
use sealwire_core::head::{
    Direction, EXCHANGE_ID_LEN, HeadersBuilder, MemoryProtection, RequestHead, ResponseHead,
};
use sealwire_core::keys::{KeyRing, KeySet};
use sealwire_core::padding::Padding;
use sealwire_core::replay::{Admission, ReplayStore};
use sealwire_core::{Error as CoreError, ErrorCode, UnixTime};
use sealwire_memlock::SecureMemory;

use super::runs::{Run, Runs};
use super::sealed::Sealed;
use super::{GatewayConfig, Handler, Reply, ReplyBody, lock};
use crate::clock::unix_now;
use crate::error::Error;

/// Bytes on the wire of each frame of a streamed answer.
const STREAM_FRAME: usize = 1024;
/// Bytes of header fields that fit a head of that size, whatever else is in it.
const HEADERS_ROOM: usize = 512;

/// The gateway behind an adapter's.
pub(crate) struct Shared<H> {
    handler: H,
    memory: SecureMemory,
    options: ServerOptions,
    #[cfg(feature = "hyper")]
    pub(crate) keys_path: String,
    #[cfg(feature = "hyper")]
    pub(crate) send_path: String,
    pub(crate) request_deadline: Duration,
    #[cfg(feature = "_lines")]
    pub(super) idle_deadline: Duration,
    keys: RwLock<KeyRing>,
    replay: Mutex<Box<dyn ReplayStore + Send>>,
    runs: Runs,
    warned: Seldom,
}

/// What is said once a minute at most: many requests must not become as many lines.
#[derive(Default)]
struct Seldom(AtomicU64);

impl Seldom {
    fn is_due(&self, now: UnixTime) -> bool {
        let (last, now) = (self.0.load(Ordering::Relaxed), now.as_millis());
        now.abs_diff(last) >= 60_000
            && self
                .0
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// The store, locked for each question and no longer: opening requests waits for nobody.
struct Locked<'a>(&'a Mutex<Box<dyn ReplayStore + Send>>);

impl ReplayStore for Locked<'_> {
    fn admit(
        &mut self,
        hash: &[u8; 32],
        sent: UnixTime,
        expires: UnixTime,
        now: UnixTime,
    ) -> Admission {
        lock(self.0).admit(hash, sent, expires, now)
    }
}

impl<H: Handler> Shared<H> {
    /// Runs the handler, however that ends.
    #[cfg(feature = "_lines")]
    pub(super) async fn handle(&self, request: ReceivedRequest) -> Result<Reply, ErrorCode> {
        unless_it_panics(async { self.handler.handle(request).await }).await
    }

    /// Runs the handler if the request is whole, and gets the answer ready. `event` is the exchange's last.
    #[cfg(feature = "hyper")]
    pub(crate) async fn answer(
        &self,
        exchange: ServerExchange,
        event: Option<ServerEvent>,
    ) -> Result<Sealed, CoreError> {
        self.answer_by(exchange, event, |request| self.handler.handle(request))
            .await
    }
}

impl<H> Shared<H> {
    pub(crate) fn new(config: GatewayConfig, keys: KeyRing, handler: H) -> Result<Self, Error> {
        let (promised, accepted) = (keys.limits(), config.options.request);
        let max_request = u64::from(promised.max_request);
        if accepted.frame < promised.max_frame as usize
            || accepted.content < max_request
            // Spec section 10: what padding and HEAD can make of it.
            || accepted.wire < 2 * max_request + 128 * 1024
        {
            log::warn!(
                "this gateway refuses requests that its key records promise to accept: raise its limits, or lower the records'"
            );
        }
        let this = Self {
            handler,
            memory: config.memory,
            options: config.options,
            #[cfg(feature = "hyper")]
            keys_path: format!("{}{}", config.base_path, crate::KEYS_PATH),
            #[cfg(feature = "hyper")]
            send_path: format!("{}{}", config.base_path, crate::SEND_PATH),
            request_deadline: config.request_deadline,
            #[cfg(feature = "_lines")]
            idle_deadline: config.idle_deadline,
            keys: RwLock::new(keys),
            replay: Mutex::new(config.replay),
            runs: Runs::new(config.max_runs),
            warned: Seldom::default(),
        };
        this.rotate(unix_now())?;
        Ok(this)
    }

    pub(crate) fn rotate(&self, now: UnixTime) -> Result<UnixTime, Error> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.rotate(now, &mut SysRng)?)
    }

    #[cfg(feature = "hyper")]
    pub(crate) const fn memory(&self) -> &SecureMemory {
        &self.memory
    }

    fn keys(&self) -> RwLockReadGuard<'_, KeyRing> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn key_set(&self) -> KeySet {
        self.keys().key_set()
    }

    /// An exchange that others may follow on the same stream.
    #[cfg(feature = "_lines")]
    pub(super) fn raw_exchange(&self) -> Result<ServerExchange, CoreError> {
        let options = ServerOptions {
            one_exchange: false,
            ..self.options
        };
        ServerExchange::new(&self.memory, options, &mut SysRng)
    }

    /// An exchange that gives a request out once it is whole (ORDER-2).
    #[cfg(feature = "hyper")]
    pub(crate) fn exchange(&self) -> Result<ServerExchange, CoreError> {
        self.exchange_as(false)
    }

    /// An exchange that gives a request out as it arrives, if that is wanted.
    #[cfg(feature = "hyper")]
    pub(crate) fn exchange_as(&self, stream_requests: bool) -> Result<ServerExchange, CoreError> {
        let options = ServerOptions {
            stream_requests,
            ..self.options
        };
        ServerExchange::new(&self.memory, options, &mut SysRng)
    }

    /// Feeds the exchange up to its next event, and says how much it took. It wants no more when it took nothing.
    pub(crate) fn feed(
        &self,
        exchange: &mut ServerExchange,
        input: &[u8],
    ) -> (usize, Option<ServerEvent>) {
        let (keys, now) = (self.keys(), unix_now());
        let consumed = exchange.handle_input(
            input,
            &mut ServerContext {
                now,
                keys: &*keys,
                replay: &mut Locked(&self.replay),
            },
        );
        let event = exchange.poll_event();
        if let Some(ServerEvent::Refused(error)) = &event {
            self.log_refusal(error, now);
        }
        (consumed, event)
    }

    /// What this gateway lacks is for whoever runs it; the rest is what strangers send.
    fn log_refusal(&self, error: &CoreError, now: UnixTime) {
        if matches!(error, CoreError::Environment(_)) && self.warned.is_due(now) {
            log::warn!("requests are refused: {error}");
        } else {
            log::debug!("request refused: {error}");
        }
    }

    /// Has the request answered by `handle` if it is whole, and gets the answer ready. `event` is the exchange's last.
    #[cfg(feature = "hyper")]
    pub(crate) async fn answer_by<T>(
        &self,
        mut exchange: ServerExchange,
        event: Option<ServerEvent>,
        handle: impl FnOnce(ReceivedRequest) -> T,
    ) -> Result<Sealed, CoreError>
    where
        T: Future<Output = Result<Reply, ErrorCode>>,
    {
        let request = match event {
            Some(ServerEvent::Request) => exchange.take_request(),
            _ => None,
        };
        let Some(request) = request else {
            return self.refused(exchange, event);
        };
        let asked = Asked::from(&request.head());
        let run = self.begin(&request.head());
        let result = match run {
            Ok(_) => unless_it_panics(async { handle(request).await }).await,
            Err(code) => Err(code),
        };
        self.finish(exchange, &asked, run.ok(), result)
    }

    /// The answer to what was refused, which is in the exchange already; or stopped by the client.
    #[cfg(feature = "hyper")]
    pub(crate) fn refused(
        &self,
        mut exchange: ServerExchange,
        event: Option<ServerEvent>,
    ) -> Result<Sealed, CoreError> {
        if event == Some(ServerEvent::Cancelled) {
            exchange.fail(ErrorCode::Cancelled, unix_now())?;
        }
        Ok(Sealed::over(exchange))
    }

    /// Whether the request may run (REPLAY-6).
    pub(crate) fn begin(&self, head: &RequestHead<'_>) -> Result<Run, ErrorCode> {
        self.runs.begin(head)
    }

    /// Gets the answer to a whole request ready.
    pub(crate) fn finish(
        &self,
        mut exchange: ServerExchange,
        asked: &Asked,
        mut run: Option<Run>,
        result: Result<Reply, ErrorCode>,
    ) -> Result<Sealed, CoreError> {
        let answer = result.and_then(|reply| match self.respond(&mut exchange, asked, &reply) {
            Ok(()) => Ok(reply),
            Err(error) => {
                log::warn!("the handler's reply cannot be sent: {error}");
                Err(ErrorCode::Internal)
            }
        });
        if let Some(run) = run.as_mut().filter(|_| is_retryable(&answer)) {
            run.failed();
        }
        match answer {
            Ok(reply) => Ok(Sealed::new(exchange, reply.body, run)),
            Err(code) => {
                exchange.fail(code, unix_now())?;
                Ok(Sealed::over(exchange))
            }
        }
    }

    /// Begins the response; its body is to follow.
    fn respond(
        &self,
        exchange: &mut ServerExchange,
        request: &Asked,
        reply: &Reply,
    ) -> Result<(), CoreError> {
        let mut room = [0; HEADERS_ROOM];
        let mut headers = HeadersBuilder::new(Direction::Response, &mut room);
        let mut sorted: Vec<_> = reply.headers.iter().collect();
        sorted.sort();
        for (name, value) in sorted {
            if headers.push(name, value).is_err() {
                log::debug!("header field {name} left out of an answer");
            }
        }
        let memory = self.memory.protection_info();
        let mut head = ResponseHead::new(reply.status, request.exchange_id);
        head.content_type = reply.content_type.as_deref();
        head.retry_after = reply.retry_after;
        head.memory_protection = Some(MemoryProtection {
            memory_locking: memory.has_memory_locking,
            secure_zeroing: memory.has_secure_zeroing,
            core_dump_prevention: memory.excluded_from_core_dumps,
            platform: memory.platform,
        });
        head.processed_at = Some(unix_now());
        head.tier = reply.tier;
        head.headers = headers.finish();
        let padding = match reply.body {
            _ if request.padding == Some(false) => Padding::None,
            ReplyBody::Whole(_) | ReplyBody::Sized(_) => Padding::Padme,
            ReplyBody::Stream(_) => Padding::Uniform {
                frame: STREAM_FRAME,
            },
        };
        exchange.respond(&head, padding)
    }
}

/// What of the request's head the response needs.
pub(crate) struct Asked {
    exchange_id: [u8; EXCHANGE_ID_LEN],
    padding: Option<bool>,
}

impl From<&RequestHead<'_>> for Asked {
    fn from(head: &RequestHead<'_>) -> Self {
        Self {
            exchange_id: head.exchange_id,
            padding: head.padding,
        }
    }
}

/// A handler that panics has failed; other exchanges on its connection go on, and its client is told (ERROR(internal)).
pub(crate) async fn unless_it_panics(
    work: impl Future<Output = Result<Reply, ErrorCode>>,
) -> Result<Reply, ErrorCode> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        polled.unwrap_or_else(|_| {
            log::error!("a handler panicked");
            Poll::Ready(Err(ErrorCode::Internal))
        })
    })
    .await
}

/// Whether a client may try again after this (spec section 8.1).
fn is_retryable(answer: &Result<Reply, ErrorCode>) -> bool {
    match answer {
        Ok(reply) => matches!(reply.status, 429 | 500 | 502 | 503 | 504),
        Err(code) => matches!(
            code,
            ErrorCode::Busy | ErrorCode::Upstream | ErrorCode::Timeout | ErrorCode::Internal
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_seldom() {
        let seldom = Seldom::default();
        let at = |seconds: u64| UnixTime::from_millis(1_800_000_000_000 + seconds * 1000);
        let said = [0, 0, 1, 59, 60, 61, 119, 120, 30].map(|second| seldom.is_due(at(second)));
        let expected = [true, false, false, false, true, false, false, true, true];
        assert_eq!(said, expected, "also where the clock is set back");
    }
}
