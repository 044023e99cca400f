//! What every adapter's gateway shares: the handler, keys and replay protection behind it, and the order of things.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use futures_util::stream::Stream;
use getrandom::SysRng;
use sealwire_core::exchange::{ReceivedRequest, ServerContext, ServerExchange, ServerOptions};
use sealwire_core::head::{
    Direction, HeadersBuilder, MemoryProtection, RequestHead, ResponseHead, Tier,
};
use sealwire_core::keys::{KeyRing, KeySet};
use sealwire_core::padding::Padding;
use sealwire_core::replay::{MemoryReplayStore, ReplayStore, WINDOW};
use sealwire_core::{Error as CoreError, ErrorCode, UnixTime};
use sealwire_memlock::{SecureBytes, SecureMemory};
use sha2::{Digest, Sha256};

use crate::clock::unix_now;
use crate::error::Error;

/// Bytes on the wire of each frame of a streamed answer.
const STREAM_FRAME: usize = 1024;
/// Bytes of header fields that fit a head of that size, whatever else is in it.
const HEADERS_ROOM: usize = 512;

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. The future, and the stream in its reply, are dropped when the client goes away.
    ///
    /// An error code is sealed and sent in place of an answer.
    fn handle(
        &self,
        request: ReceivedRequest,
    ) -> impl Future<Output = Result<Reply, ErrorCode>> + Send;
}

impl<F, T> Handler for F
where
    F: Fn(ReceivedRequest) -> T + Send + Sync + 'static,
    T: Future<Output = Result<Reply, ErrorCode>> + Send,
{
    fn handle(
        &self,
        request: ReceivedRequest,
    ) -> impl Future<Output = Result<Reply, ErrorCode>> + Send {
        self(request)
    }
}

/// A body that comes piece by piece; each piece becomes a frame of its own, or several. An error ends the answer with that code.
pub type PieceStream = Pin<Box<dyn Stream<Item = Result<SecureBytes, ErrorCode>> + Send>>;

/// The body of a reply.
#[non_exhaustive]
pub enum ReplyBody {
    /// All of it: padded as one.
    Whole(SecureBytes),
    /// Piece by piece: in frames of one size, so that the lengths of tokens do not show.
    Stream(PieceStream),
}

/// What a handler answers.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reply {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// Seconds to wait before a retry.
    pub retry_after: Option<u32>,
    /// The protection given.
    pub tier: Option<Tier>,
    /// Header fields, names in lower case. Those that may not travel, or do not fit, are left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: ReplyBody,
}

impl Reply {
    /// A reply with nothing but a status, a content type and a body.
    pub fn new(status: u16, content_type: impl Into<String>, body: ReplyBody) -> Self {
        Self {
            status,
            content_type: Some(content_type.into()),
            retry_after: None,
            tier: None,
            headers: Vec::new(),
            body,
        }
    }
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole(_) => "Whole([REDACTED])",
            Self::Stream(_) => "Stream(..)",
        })
    }
}

/// How a gateway is set up.
#[non_exhaustive]
pub struct GatewayConfig {
    /// Where plaintext and keys are kept.
    pub memory: SecureMemory,
    /// Limits.
    pub options: ServerOptions,
    /// What stands before `/sealwire/v1` in the path, without a slash at its end.
    pub base_path: String,
    /// How long a request may take to arrive.
    pub request_deadline: Duration,
    /// Which requests were seen. Gateways that share keys share a store.
    pub replay: Box<dyn ReplayStore + Send>,
    /// How many requests with an idempotency key are remembered; beyond it, more are refused (ERROR(busy)).
    pub max_runs: usize,
}

impl GatewayConfig {
    /// The defaults: a store in this process for 100,000 requests within the replay window, two minutes for a request to arrive.
    pub fn new(memory: SecureMemory) -> Self {
        Self {
            memory,
            options: ServerOptions::default(),
            base_path: String::new(),
            request_deadline: Duration::from_secs(120),
            replay: Box::new(MemoryReplayStore::new(100_000)),
            max_runs: 100_000,
        }
    }
}

impl fmt::Debug for GatewayConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayConfig")
            .field("options", &self.options)
            .field("base_path", &self.base_path)
            .finish_non_exhaustive()
    }
}

/// The gateway behind an adapter's.
pub(crate) struct Shared<H> {
    pub(crate) handler: H,
    pub(crate) memory: SecureMemory,
    pub(crate) options: ServerOptions,
    pub(crate) keys_path: String,
    pub(crate) send_path: String,
    pub(crate) request_deadline: Duration,
    keys: RwLock<KeyRing>,
    replay: Mutex<Box<dyn ReplayStore + Send>>,
    runs: Arc<Mutex<Runs>>,
}

impl<H: Handler> Shared<H> {
    pub(crate) fn new(config: GatewayConfig, keys: KeyRing, handler: H) -> Result<Self, Error> {
        let this = Self {
            handler,
            memory: config.memory,
            options: config.options,
            keys_path: format!("{}{}", config.base_path, crate::KEYS_PATH),
            send_path: format!("{}{}", config.base_path, crate::SEND_PATH),
            request_deadline: config.request_deadline,
            keys: RwLock::new(keys),
            replay: Mutex::new(config.replay),
            runs: Arc::new(Mutex::new(Runs::new(config.max_runs))),
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

    pub(crate) fn exchange(&self) -> Result<ServerExchange, CoreError> {
        ServerExchange::new(&self.memory, self.options, &mut SysRng)
    }

    /// Feeds `input`, all of it, to the exchange.
    pub(crate) fn handle_input(&self, exchange: &mut ServerExchange, mut input: &[u8]) {
        loop {
            let keys = self.keys();
            let mut replay = lock(&self.replay);
            let consumed = exchange.handle_input(
                input,
                &mut ServerContext {
                    now: unix_now(),
                    keys: &*keys,
                    replay: replay.as_mut(),
                },
            );
            drop((keys, replay));
            input = &input[consumed..];
            // Over HTTP the request is whole at its end, so what comes earlier is a refusal, or a wish to stop.
            if let Some(event) = exchange.poll_event() {
                log::debug!("request not served: {event:?}");
            } else if consumed == 0 {
                return;
            }
        }
    }

    /// Whether the request may run, and the proof that it does (REPLAY-6).
    pub(crate) fn begin(&self, head: &RequestHead<'_>) -> Result<Run, ErrorCode> {
        let hash = head.idempotency_key.map(|key| {
            let authorization = head.authorization.unwrap_or_default();
            let mut hash = Sha256::new();
            // The key is at most 64 bytes, so its length tells where it ends.
            hash.update([key.len() as u8]);
            hash.update(key);
            hash.update(authorization);
            <[u8; 32]>::from(hash.finalize())
        });
        if let Some(hash) = hash {
            lock(&self.runs).begin(hash, unix_now())?;
        }
        Ok(Run {
            runs: self.runs.clone(),
            hash,
            counts: true,
        })
    }

    /// Begins the response; its body is to follow.
    pub(crate) fn respond(
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

/// What of the request's head the response needs.
pub(crate) struct Asked {
    exchange_id: [u8; sealwire_core::head::EXCHANGE_ID_LEN],
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which requests run, or ran within the window, by idempotency key and authorization.
struct Runs {
    capacity: usize,
    known: HashSet<[u8; 32]>,
    ended: VecDeque<(UnixTime, [u8; 32])>,
}

impl Runs {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            known: HashSet::new(),
            ended: VecDeque::new(),
        }
    }

    fn begin(&mut self, hash: [u8; 32], now: UnixTime) -> Result<(), ErrorCode> {
        while let Some((_, hash)) = self.ended.pop_front_if(|ended| ended.0 < now) {
            self.known.remove(&hash);
        }
        if self.known.contains(&hash) {
            return Err(ErrorCode::Duplicate);
        }
        if self.known.len() >= self.capacity {
            return Err(ErrorCode::Busy);
        }
        self.known.insert(hash);
        Ok(())
    }

    fn end(&mut self, hash: [u8; 32], counts: bool, now: UnixTime) {
        if counts {
            self.ended.push_back((now.saturating_add(WINDOW), hash));
        } else {
            self.known.remove(&hash);
        }
    }
}

/// A request that runs, until this is dropped.
pub(crate) struct Run {
    runs: Arc<Mutex<Runs>>,
    hash: Option<[u8; 32]>,
    counts: bool,
}

impl Run {
    /// The request came to nothing, and its client is told to try again: that must not be taken for a duplicate.
    pub(crate) fn failed(&mut self) {
        self.counts = false;
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(hash) = self.hash {
            lock(&self.runs).end(hash, self.counts, unix_now());
        }
    }
}

/// Whether a client may try again after this (spec sections 8.1 and 12).
pub(crate) fn is_retryable(result: &Result<Reply, ErrorCode>) -> bool {
    match result {
        Ok(reply) => matches!(reply.status, 429 | 500 | 502 | 503 | 504),
        Err(code) => matches!(
            code,
            ErrorCode::Busy | ErrorCode::Upstream | ErrorCode::Timeout | ErrorCode::Internal
        ),
    }
}
