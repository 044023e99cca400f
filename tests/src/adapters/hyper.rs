//! The hyper client and the hyper gateway, on tokio.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use futures_util::StreamExt;
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

use super::client::{BlockOn, client_of_futures};
use super::{Client, Gateway, GatewaySettings, Model, Settings};

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
    Ok(Box::new(builder.build()?))
}

struct Tokio;

impl BlockOn for Tokio {
    fn block_on<F: Future>(future: F) -> F::Output {
        TOKIO.block_on(future)
    }
}

client_of_futures!(SecureChatCompletion, Tokio);

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
