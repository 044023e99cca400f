//! The gateway behind every adapter's: keys, replay protection, and the order of things.

use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use getrandom::SysRng;
#[cfg(feature = "hyper")]
use sealwire_core::exchange::ServerEvent;
use sealwire_core::exchange::{ReceivedRequest, ServerContext, ServerExchange, ServerOptions};
use sealwire_core::head::{
    Direction, EXCHANGE_ID_LEN, HeadersBuilder, MemoryProtection, RequestHead, ResponseHead,
};
use sealwire_core::keys::{KeyRing, KeySet};
use sealwire_core::padding::Padding;
use sealwire_core::replay::ReplayStore;
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
}

impl<H: Handler> Shared<H> {
    pub(crate) fn new(config: GatewayConfig, keys: KeyRing, handler: H) -> Result<Self, Error> {
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
        };
        this.rotate(unix_now())?;
        Ok(this)
    }

    pub(crate) fn rotate(&self, now: UnixTime) -> Result<UnixTime, Error> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.rotate(now, &mut SysRng)?)
    }

    fn keys(&self) -> RwLockReadGuard<'_, KeyRing> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn key_set(&self) -> KeySet {
        self.keys().key_set()
    }

    #[cfg(feature = "hyper")]
    pub(crate) fn exchange(&self) -> Result<ServerExchange, CoreError> {
        ServerExchange::new(&self.memory, self.options, &mut SysRng)
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

    /// Feeds `input` to the exchange up to its next event, and says how much that was.
    pub(super) fn feed(&self, exchange: &mut ServerExchange, input: &[u8]) -> usize {
        let keys = self.keys();
        let mut replay = lock(&self.replay);
        exchange.handle_input(
            input,
            &mut ServerContext {
                now: unix_now(),
                keys: &*keys,
                replay: replay.as_mut(),
            },
        )
    }

    /// Feeds `input`, all of it, to the exchange.
    #[cfg(feature = "hyper")]
    pub(crate) fn handle_input(&self, exchange: &mut ServerExchange, mut input: &[u8]) {
        loop {
            let consumed = self.feed(exchange, input);
            input = &input[consumed..];
            // Over HTTP the request is whole at its end, so what comes earlier is a refusal, or a wish to stop.
            if let Some(event) = exchange.poll_event() {
                log::debug!("request not served: {event:?}");
            } else if consumed == 0 {
                return;
            }
        }
    }

    /// Runs the handler if the request is whole, and gets the answer ready.
    #[cfg(feature = "hyper")]
    pub(crate) async fn answer(&self, mut exchange: ServerExchange) -> Result<Sealed, CoreError> {
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
        let handled = self.handle(request).await;
        self.seal(exchange, handled)
    }

    /// Runs the handler, once.
    pub(super) async fn handle(&self, request: ReceivedRequest) -> Handled {
        let asked = Asked::from(&request.head());
        let mut run = self.runs.begin(&request.head())?;
        let result = self.handler.handle(request).await;
        if is_retryable(&result) {
            run.failed();
        }
        Ok((asked, result?, run))
    }

    /// Gets the answer ready: a handler's reply, or a refusal.
    pub(super) fn seal(
        &self,
        mut exchange: ServerExchange,
        handled: Handled,
    ) -> Result<Sealed, CoreError> {
        let code = match handled {
            Ok((asked, reply, run)) => match self.respond(&mut exchange, &asked, &reply) {
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
            ReplyBody::Whole(_) => Padding::Padme,
            ReplyBody::Stream(_) => Padding::Uniform {
                frame: STREAM_FRAME,
            },
        };
        exchange.respond(&head, padding)
    }
}

/// What a handler came to, and the proof that it ran.
pub(super) type Handled = Result<(Asked, Reply, Run), ErrorCode>;

/// What of the request's head the response needs.
pub(super) struct Asked {
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

/// Whether a client may try again after this (spec section 8.1).
fn is_retryable(result: &Result<Reply, ErrorCode>) -> bool {
    match result {
        Ok(reply) => matches!(reply.status, 429 | 500 | 502 | 503 | 504),
        Err(code) => matches!(
            code,
            ErrorCode::Busy | ErrorCode::Upstream | ErrorCode::Timeout | ErrorCode::Internal
        ),
    }
}
