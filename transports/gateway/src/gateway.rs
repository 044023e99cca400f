//! The listening side of `serve` and `demo`: connections, rotation of keys, an orderly end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use sealwire::futures_io::serve_until;
use sealwire::hyper::Gateway;
use sealwire::server::{GatewayConfig, Handler, RawGateway};
use sealwire_core::keys::{Identity, KeyRing, RecordLimits};
use sealwire_core::{Suite, UnixTime};
use sealwire_memlock::SecureMemory;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::compat::TokioAsyncReadCompatExt;

use crate::exit::{Exit, Failure};

/// More connections than this wait in the system's queue.
const MAX_CONNECTIONS: usize = 1024;
/// How long answers under way may take once the end has been asked for.
const GRACE: Duration = Duration::from_secs(10);
/// How long a connection may take to say what it wants.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest time between two looks at the keys: the wall clock may be set meanwhile.
const LOOK_AT_KEYS: Duration = Duration::from_secs(60);

/// A gateway that gives what it opens to `handler`.
pub(crate) fn new<H: Handler>(
    identity: Identity,
    suites: &[Suite],
    memory: SecureMemory,
    handler: H,
) -> Result<Gateway<H>, Failure> {
    let keys = KeyRing::new(identity, suites, RecordLimits::default(), memory.clone());
    Gateway::new(GatewayConfig::new(memory), keys, handler)
        .map_err(|error| Failure::new(Exit::Failure, error.to_string()))
}

/// Listens, or says why that cannot be.
pub(crate) async fn listen(address: SocketAddr, option: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("something listens there already: stop it, or choose another port by {option} (port 0 lets the system choose)")
            }
            io::ErrorKind::PermissionDenied => {
                format!("choose a port above 1023 by {option}, or grant CAP_NET_BIND_SERVICE")
            }
            _ => format!("choose an address of this machine by {option}"),
        };
        Failure::new(Exit::Connection, format!("cannot listen on {address}: {error}")).advise(advice)
    })
}

/// Serves until `stop`, HTTP on `listener` and raw streams on `raw`, then lets answers under way end.
pub(crate) async fn serve<H: Handler>(
    listener: TcpListener,
    raw: Option<TcpListener>,
    gateway: Gateway<H>,
    stop: impl Future<Output = ()>,
) {
    let rotation = tokio::spawn(rotate(gateway.clone()));
    let mut server = Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEADER_TIMEOUT)
        .keep_alive_timeout(HEADER_TIMEOUT);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = GracefulShutdown::new();
    // Dropping the sender ends the raw streams.
    let (stopping, stopped) = watch::channel(());
    tokio::pin!(stop);
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let place = places.clone().acquire_owned().await.ok();
            let (accepted, is_raw) = tokio::select! {
                accepted = listener.accept() => (accepted, false),
                accepted = accept_raw(raw.as_ref()) => (accepted, true),
            };
            (accepted, is_raw, place)
        };
        let (accepted, is_raw, place) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, or a connection that is gone already: others may be served.
                log::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Tokens are small: none of them waits for the next.
        let _ = stream.set_nodelay(true);
        let (gateway, stopped) = (gateway.clone(), stopped.clone());
        let (server, watcher) = (server.clone(), connections.watcher());
        tokio::spawn(async move {
            match is_raw {
                true => serve_raw(stream, &gateway.raw(), stopped).await,
                false => serve_http(stream, gateway, &server, watcher, stopped).await,
            }
            drop(place);
        });
    }
    drop((listener, raw, stopping));
    let ended = async {
        connections.shutdown().await;
        // Whoever has a place is still answered.
        let _ = places.acquire_many(MAX_CONNECTIONS as u32).await;
    };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        log::warn!(
            "connections still open after {} s were closed, and what was under way on them was cut off",
            GRACE.as_secs()
        );
    }
    rotation.abort();
}

async fn serve_raw<H: Handler>(
    stream: TcpStream,
    gateway: &RawGateway<H>,
    mut stopped: watch::Receiver<()>,
) {
    let stop = async move { drop(stopped.changed().await) };
    let served = serve_until(gateway, stream.compat(), tokio::time::sleep, stop);
    if let Err(error) = served.await {
        log::debug!("a connection broke: {error}");
    }
}

async fn serve_http<H: Handler>(
    stream: TcpStream,
    gateway: Gateway<H>,
    server: &Builder<TokioExecutor>,
    watcher: Watcher,
    mut stopped: watch::Receiver<()>,
) {
    // Which version of HTTP it is has no time limit of its own: whoever says nothing must not keep a place.
    let spoke = tokio::select! {
        spoke = tokio::time::timeout(HEADER_TIMEOUT, stream.readable()) => matches!(spoke, Ok(Ok(()))),
        _ = stopped.changed() => false,
    };
    if !spoke {
        return;
    }
    let connection = server.serve_connection(TokioIo::new(stream), gateway);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        log::debug!("a connection broke: {error}");
    }
}

async fn accept_raw(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Makes new epoch keys when they are due, and wipes those that have ended.
async fn rotate<H: Handler>(gateway: Gateway<H>) {
    loop {
        let now = now();
        let wait = match gateway.rotate(now) {
            Ok(next) if next > now => next.abs_diff(now).min(LOOK_AT_KEYS),
            Ok(_) => LOOK_AT_KEYS,
            Err(error) => {
                log::error!("keys could not be rotated, and the old ones stay: {error}");
                LOOK_AT_KEYS
            }
        };
        tokio::time::sleep(wait).await;
    }
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime::from_millis(since.map_or(0, |since| since.as_millis() as u64))
}
