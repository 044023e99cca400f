//! The hyper client and the hyper gateway, on tokio.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper::{Request as HttpRequest, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use sealwire::Error;
use sealwire::hyper::{SealedBody, SecureChatCompletion};
use tokio::io::{AsyncRead, AsyncWrite, copy, sink};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::client::{BlockOn, client_of_futures};
use super::{Client, Gateway, GatewaySettings, Settings};

/// What everything on tokio runs on.
static TOKIO: LazyLock<Runtime> = LazyLock::new(|| {
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

pub(super) struct Tokio;

impl BlockOn for Tokio {
    const IS_OF_HYPER: bool = true;

    fn block_on<F: Future>(future: F) -> F::Output {
        TOKIO.block_on(future)
    }
}

client_of_futures!(SecureChatCompletion, Tokio);

/// Starts the gateway.
///
/// # Panics
/// Without a port, randomness or memory.
pub fn gateway(settings: GatewaySettings) -> Box<dyn Gateway> {
    start(settings, |settings| {
        let model = settings.model.clone();
        sealwire::hyper::Gateway::new(settings.config(), settings.keys(), model).expect("keys")
    })
}

/// Starts what `make` makes of the settings, and again at each restart.
pub(super) fn start<T: Sealing>(
    settings: GatewaySettings,
    make: fn(&GatewaySettings) -> T,
) -> Box<dyn Gateway> {
    let listener = TOKIO.block_on(TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("bound");
    let current = Arc::new(Mutex::new(make(&settings)));
    let connections = Arc::new(AtomicUsize::new(0));
    let (stop, stopped) = oneshot::channel();
    let accepting = TOKIO.spawn(accept(
        listener,
        stopped,
        settings.tls.clone().map(TlsAcceptor::from),
        current.clone(),
        connections.clone(),
    ));
    Box::new(Listening {
        settings,
        make,
        address,
        current,
        connections,
        accepting,
        stop: Some(stop),
    })
}

/// A service of hyper that is a gateway.
pub(super) trait Sealing:
    Service<
        HttpRequest<Incoming>,
        Response = Response<SealedBody>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl<T> Sealing for T where
    T: Service<
            HttpRequest<Incoming>,
            Response = Response<SealedBody>,
            Error = Infallible,
            Future: Send,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

struct Listening<T> {
    settings: GatewaySettings,
    make: fn(&GatewaySettings) -> T,
    address: SocketAddr,
    current: Arc<Mutex<T>>,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
    /// Dropped, it ends that.
    stop: Option<oneshot::Sender<()>>,
}

impl<T: Sealing> Gateway for Listening<T> {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn restart(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = (self.make)(&self.settings);
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Nobody is served after this.
impl<T> Drop for Listening<T> {
    fn drop(&mut self) {
        self.stop = None;
        TOKIO.block_on(&mut self.accepting).expect("no panic");
    }
}

async fn accept<T: Sealing>(
    listener: TcpListener,
    mut stopped: oneshot::Receiver<()>,
    tls: Option<TlsAcceptor>,
    current: Arc<Mutex<T>>,
    connections: Arc<AtomicUsize>,
) {
    let mut tasks = JoinSet::new();
    while let Either::Left((Ok((stream, _)), _)) =
        select(pin!(listener.accept()), &mut stopped).await
    {
        connections.fetch_add(1, Ordering::SeqCst);
        // As every gateway does; without it the second frame waits for an acknowledgement of the first.
        let _ = stream.set_nodelay(true);
        let current = current.clone();
        let tls = tls.clone();
        tasks.spawn(async move {
            match tls {
                None => serve(stream, current).await,
                Some(tls) => match tls.accept(stream).into_fallible().await {
                    Ok(stream) => serve(stream, current).await,
                    // Closed with bytes unread, it would be reset, and what was said of why with it.
                    Err((_, mut stream)) => drop(copy(&mut stream, &mut sink()).await),
                },
            }
        });
    }
    tasks.shutdown().await;
}

/// Each request meets the gateway of its time, also on a connection that is older.
async fn serve<S, T>(stream: S, current: Arc<Mutex<T>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: Sealing,
{
    let service = service_fn(|request| {
        let gateway = current.lock().unwrap_or_else(PoisonError::into_inner);
        gateway.call(request)
    });
    // A connection that breaks is what some tests want.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
