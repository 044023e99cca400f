//! Clients on async-std and on smol, and the gateway of raw streams on smol.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_rustls::TlsAcceptor;

use futures_util::stream::FuturesUnordered;
use sealwire::futures_io::{Connector, SecureChatCompletion, serve};
use sealwire::server::RawGateway;
use sealwire::{Error, async_std};
use smol::io::{copy, sink};
use smol::net::TcpStream;
use smol::{Async, Task, Timer};

use super::client::{BlockOn, client_of_futures};
use super::{Client, Gateway, GatewaySettings, Model, Settings};

struct AsyncStd;

impl BlockOn for AsyncStd {
    fn block_on<F: Future>(future: F) -> F::Output {
        ::async_std::task::block_on(future)
    }
}

client_of_futures!(async_std::SecureChatCompletion, AsyncStd);

/// The client on async-std.
///
/// # Errors
/// If it cannot be set up.
pub fn async_std_client(settings: &Settings) -> Result<Box<dyn Client>, Error> {
    let builder = async_std::SecureChatCompletion::builder(&settings.url);
    let mut builder = settings.apply(builder);
    if let Some(tls) = &settings.tls {
        builder = builder.tls(tls.clone());
    }
    Ok(Box::new(builder.build()?))
}

/// What smol needs to be a runtime of the adapter.
pub struct Smol;

impl Connector for Smol {
    type Stream = TcpStream;

    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn sleep(&self, duration: Duration) {
        Timer::after(duration).await;
    }
}

impl BlockOn for Smol {
    fn block_on<F: Future>(future: F) -> F::Output {
        smol::block_on(future)
    }
}

client_of_futures!(SecureChatCompletion<Smol>, Smol);

/// The client on smol.
///
/// # Errors
/// If it cannot be set up.
pub fn smol_client(settings: &Settings) -> Result<Box<dyn Client>, Error> {
    let builder = SecureChatCompletion::with_connector(&settings.url, Smol);
    let mut builder = settings.apply(builder);
    if let Some(tls) = &settings.tls {
        builder = builder.tls(tls.clone());
    }
    Ok(Box::new(builder.build()?))
}

/// Starts the gateway of raw streams.
///
/// # Panics
/// Without a port, randomness or memory.
pub fn gateway(settings: GatewaySettings) -> Box<dyn Gateway> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let current = Arc::new(Mutex::new(raw(&settings)));
    let connections = Arc::new(AtomicUsize::new(0));
    let accepting = smol::spawn(accept(
        Async::new(listener).expect("a reactor"),
        settings.tls.clone().map(TlsAcceptor::from),
        current.clone(),
        connections.clone(),
    ));
    Box::new(Smolled {
        settings,
        address,
        current,
        connections,
        _accepting: accepting,
    })
}

pub(super) fn raw(settings: &GatewaySettings) -> RawGateway<Model> {
    RawGateway::new(settings.config(), settings.keys(), settings.model.clone()).expect("keys")
}

struct Smolled {
    settings: GatewaySettings,
    address: SocketAddr,
    current: Arc<Mutex<RawGateway<Model>>>,
    connections: Arc<AtomicUsize>,
    /// Dropping it ends every connection.
    _accepting: Task<()>,
}

impl Gateway for Smolled {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn restart(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = raw(&self.settings);
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn accept(
    listener: Async<TcpListener>,
    tls: Option<TlsAcceptor>,
    current: Arc<Mutex<RawGateway<Model>>>,
    connections: Arc<AtomicUsize>,
) {
    // Held for as long as this runs, and no longer.
    let served = FuturesUnordered::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        // As every gateway does; without it the second frame waits for an acknowledgement of the first.
        let _ = stream.get_ref().set_nodelay(true);
        let gateway = current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let tls = tls.clone();
        served.push(smol::spawn(async move {
            let sleep = |duration| async move {
                Timer::after(duration).await;
            };
            // A connection that breaks is what some tests want.
            let _ = match tls {
                None => serve(&gateway, stream, sleep).await,
                Some(tls) => match tls.accept(stream).into_fallible().await {
                    Ok(stream) => serve(&gateway, stream, sleep).await,
                    // Closed with bytes unread, it would be reset, and what was said of why with it.
                    Err((_, stream)) => copy(stream, &mut sink()).await.map(drop),
                },
            };
        }));
    }
}
