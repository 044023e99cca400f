//! A gateway on a port of its own, and what can stand between it and a client.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use sealwire::chat::{ChatRequest, Message};
use sealwire::core::ErrorCode;
use sealwire::core::exchange::ReceivedRequest;
use sealwire::core::keys::{Identity, KeyRing, KeySet, Pin as GatewayPin, RecordLimits};
use sealwire::core::session::RetryPolicy;
use sealwire::core::{Suite, UnixTime};
use sealwire::hyper::{ChatStream, Gateway, SecureChatCompletion, Versions};
use sealwire::memlock::{Policy, SecureBytes, SecureMemory};
use sealwire::server::{GatewayConfig, Handler, Reply, ReplyBody};
use sealwire::{ClientBuilder, Error, Settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

pub(crate) const MEMORY: SecureMemory = SecureMemory::new(Policy::BestEffort);
pub(crate) const CHAT: &[u8] = br#"{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"sealed answer"}}]}"#;

pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Reply, ErrorCode>> + Send>>;

/// A handler made of a closure, for every gateway that starts with it.
#[derive(Clone)]
pub(crate) struct TestHandler(Arc<dyn Fn(ReceivedRequest) -> Answering + Send + Sync>);

impl TestHandler {
    pub(crate) fn new(
        answer: impl Fn(ReceivedRequest) -> Answering + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(answer))
    }
}

impl Handler for TestHandler {
    async fn handle(&self, request: ReceivedRequest) -> Result<Reply, ErrorCode> {
        (self.0)(request).await
    }
}

/// A handler of a closure that answers at once.
pub(crate) fn at_once(
    answer: impl Fn(ReceivedRequest) -> Result<Reply, ErrorCode> + Send + Sync + 'static,
) -> TestHandler {
    TestHandler::new(move |request| Box::pin(std::future::ready(answer(request))))
}

pub(crate) fn chat() -> ChatRequest<'static> {
    ChatRequest::new("test-model").message(Message::user("prompt-marker"))
}

pub(crate) async fn next_text(stream: &mut ChatStream) -> Option<String> {
    let chunk = stream.next().await?.expect("a chunk");
    Some(chunk.text(&MEMORY).expect("memory").expose().to_owned())
}

pub(crate) fn bytes(content: &[u8]) -> SecureBytes {
    MEMORY.copy_from(content).expect("memory")
}

pub(crate) fn json(status: u16, body: &[u8]) -> Reply {
    Reply::new(status, "application/json", ReplyBody::Whole(bytes(body)))
}

/// The data of one event with this text in it.
pub(crate) fn delta(text: &str) -> Vec<u8> {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
        .into()
}

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) pin: GatewayPin,
    gateway: Gateway<TestHandler>,
}

impl Server {
    pub(crate) async fn start(handler: TestHandler) -> Self {
        Self::start_with(handler, None).await
    }

    pub(crate) async fn start_with(
        handler: TestHandler,
        tls: Option<tokio_rustls::TlsAcceptor>,
    ) -> Self {
        let identity = Identity::generate(&MEMORY, &mut getrandom::SysRng).expect("random");
        let pin = identity.pin();
        let keys = KeyRing::new(identity, Suite::ALL, RecordLimits::default(), MEMORY);
        let gateway = Gateway::new(GatewayConfig::new(MEMORY), keys, handler).expect("keys");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let address = listener.local_addr().expect("bound");
        let current = gateway.clone();
        let is_tls = tls.is_some();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let gateway = current.clone();
                match tls.clone() {
                    None => drop(tokio::spawn(serve(stream, gateway))),
                    Some(tls) => drop(tokio::spawn(async move {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, gateway).await;
                        }
                    })),
                }
            }
        });
        Self {
            url: match is_tls {
                true => format!("https://localhost:{}", address.port()),
                false => format!("http://{address}"),
            },
            pin,
            gateway,
        }
    }

    pub(crate) fn key_set(&self) -> KeySet {
        self.gateway.key_set()
    }

    pub(crate) fn builder(&self) -> ClientBuilder<Settings<Versions>> {
        self.builder_at(&self.url)
    }

    /// A client that reaches this gateway by another address.
    pub(crate) fn builder_at(&self, url: &str) -> ClientBuilder<Settings<Versions>> {
        SecureChatCompletion::builder(url)
            .allow_http(true)
            .api_key("sk-marker")
            .pin(self.pin)
            .retry(quick(2))
    }

    pub(crate) fn client(&self) -> SecureChatCompletion {
        self.builder().build().expect("configured")
    }
}

/// How long a test waits for what must come, however busy the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Retries without much of a wait.
pub(crate) fn quick(max_retries: u32) -> RetryPolicy {
    RetryPolicy {
        max_retries,
        base: Duration::from_millis(5),
        max: Duration::from_millis(20),
    }
}

async fn serve<S>(stream: S, gateway: Gateway<TestHandler>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // A connection that breaks is what some tests want.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), gateway)
        .await;
}

/// Answers every connection's first request with these bytes and closes.
pub(crate) async fn canned(reply: impl Into<Vec<u8>>) -> String {
    let reply = reply.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(&reply).await;
        }
    });
    format!("http://{address}")
}

/// An error and everything beneath it, as a log would have it.
pub(crate) fn printed(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text += &format!(" {source} {source:?}");
        next = source.source();
    }
    text
}

/// Now, as the gateway sees it.
pub(crate) fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime::from_millis(since.expect("after 1970").as_millis() as u64)
}
