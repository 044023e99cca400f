//! The hyper client and the hyper gateway, on tokio.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::future::join_all;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use sealwire::chat::ChatRequest;
use sealwire::core::exchange::Request;
use sealwire::core::keys::{KeySet, Pin};
use sealwire::hyper::SecureChatCompletion;
use sealwire::memlock::SecureBytes;
use sealwire::{Answer, Completion, Error};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::{Chunks, Client, GUARD, Gateway, GatewaySettings, Model, Pieces, Settings};

/// What everything on tokio runs on.
pub(super) static TOKIO: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all();
    builder.build().expect("threads")
});

/// The client.
///
/// # Errors
/// If it cannot be set up.
pub fn client(settings: &Settings) -> Result<Box<dyn Client>, Error> {
    let mut builder = settings.apply(SecureChatCompletion::builder(&settings.url));
    if let Some(tls) = &settings.tls {
        builder = builder.tls(tls.clone());
    }
    Ok(Box::new(Hyper(builder.build()?)))
}

struct Hyper(SecureChatCompletion);

impl Client for Hyper {
    fn create(&self, request: &ChatRequest<'_>) -> Result<Completion, Error> {
        TOKIO.block_on(self.0.create(request))
    }

    fn create_many(
        &self,
        request: &ChatRequest<'static>,
        count: usize,
    ) -> Vec<Result<Completion, Error>> {
        let begin = |_| {
            let (client, request) = (self.0.clone(), request.clone());
            TOKIO.spawn(async move { client.create(&request).await })
        };
        let tasks = (0..count).map(begin).collect::<Vec<_>>();
        let ended = TOKIO.block_on(join_all(tasks));
        ended
            .into_iter()
            .map(|task| task.expect("no panic"))
            .collect()
    }

    fn abandon(&self, request: &ChatRequest<'static>, when: Receiver<()>) {
        let (client, request) = (self.0.clone(), request.clone());
        let task = TOKIO.spawn(async move { client.create(&request).await });
        when.recv_timeout(GUARD).expect("told when");
        task.abort();
    }

    fn stream(&self, request: &ChatRequest<'_>) -> Result<Chunks, Error> {
        let mut stream = TOKIO.block_on(self.0.stream(request))?;
        Ok(Chunks {
            metadata: stream.metadata().clone(),
            items: Box::new(std::iter::from_fn(move || TOKIO.block_on(stream.next()))),
        })
    }

    fn request(&self, method: &str, path: &str, body: SecureBytes) -> Result<Answer, Error> {
        TOKIO.block_on(self.0.request(method, path, body))
    }

    fn send(&self, request: Request) -> Result<Pieces, Error> {
        let mut stream = TOKIO.block_on(self.0.send(request))?;
        Ok(Pieces {
            metadata: stream.metadata().clone(),
            items: Box::new(std::iter::from_fn(move || TOKIO.block_on(stream.next()))),
        })
    }

    fn fetch_keys(&self) -> Result<KeySet, Error> {
        TOKIO.block_on(self.0.fetch_keys())
    }

    fn gateway_pin(&self) -> Option<Pin> {
        self.0.gateway_pin()
    }
}

type Sealing = sealwire::hyper::Gateway<Model>;

/// Starts the gateway.
///
/// # Panics
/// Without a port, randomness or memory.
pub fn gateway(settings: GatewaySettings) -> Box<dyn Gateway> {
    let listener = TOKIO.block_on(TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("bound");
    let current = Arc::new(Mutex::new(sealing(&settings)));
    let connections = Arc::new(AtomicUsize::new(0));
    let accepting = TOKIO.spawn(accept(
        listener,
        settings.tls.clone().map(TlsAcceptor::from),
        current.clone(),
        connections.clone(),
    ));
    Box::new(HyperGateway {
        settings,
        address,
        current,
        connections,
        accepting,
    })
}

fn sealing(settings: &GatewaySettings) -> Sealing {
    Sealing::new(settings.config(), settings.keys(), settings.model.clone()).expect("keys")
}

struct HyperGateway {
    settings: GatewaySettings,
    address: SocketAddr,
    current: Arc<Mutex<Sealing>>,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Gateway for HyperGateway {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn restart(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = sealing(&self.settings);
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for HyperGateway {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    current: Arc<Mutex<Sealing>>,
    connections: Arc<AtomicUsize>,
) {
    // Whoever ends this ends the connections too.
    let mut tasks = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        let current = current.clone();
        let tls = tls.clone();
        tasks.spawn(async move {
            match tls {
                None => serve(stream, current).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, current).await;
                    }
                }
            }
        });
    }
}

/// Each request meets the gateway of its time, also on a connection that is older.
async fn serve<S>(stream: S, current: Arc<Mutex<Sealing>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let gateway = current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        async move { gateway.call(request).await }
    });
    // A connection that breaks is what some tests want.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
