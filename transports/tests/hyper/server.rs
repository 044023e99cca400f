//! A gateway on a port of its own, and what can stand between it and a client.

use futures_util::StreamExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use sealwire::core::Suite;
use sealwire::core::keys::{Identity, KeyRing, KeySet, Pin as GatewayPin, RecordLimits};
use sealwire::hyper::{ChatStream, Gateway, SecureChatCompletion, Versions};
use sealwire::server::GatewayConfig;
use sealwire::{ClientBuilder, Settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::handler::TestHandler;
use crate::support::{MEMORY, PATIENCE, quick};

pub(crate) async fn next_text(stream: &mut ChatStream) -> Option<String> {
    let chunk = stream.next().await?.expect("a chunk");
    Some(chunk.text(&MEMORY).expect("memory").expose().to_owned())
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
            .connect_timeout(PATIENCE)
            .retry(quick(2))
    }

    pub(crate) fn client(&self) -> SecureChatCompletion {
        self.builder().build().expect("configured")
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
