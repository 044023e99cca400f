//! The blocking client, and the gateway of raw streams with a thread for each.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};

use rustls::ServerConfig;
use sealwire::Error;
use sealwire::blocking::{Connection, SecureChatCompletion, serve};
use sealwire::chat::ChatRequest;
use sealwire::core::exchange::Request;
use sealwire::core::keys::{KeySet, Pin};
use sealwire::memlock::SecureBytes;
use sealwire::server::RawGateway;

use super::futures_io::raw;
use super::{
    Answer, Chunks, Client, Completion, GUARD, Gateway, GatewaySettings, Model, Pieces, Settings,
};

/// Enough for debug builds; a thousand of the default would be much.
const STACK: usize = 1 << 20;

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

impl Client for SecureChatCompletion {
    fn create(&self, request: &ChatRequest<'_>) -> Result<Completion, Error> {
        self.create(request).map(Into::into)
    }

    fn create_many(
        &self,
        request: &ChatRequest<'static>,
        count: usize,
    ) -> Vec<Result<Completion, Error>> {
        thread::scope(|scope| {
            let begin = |_| {
                let builder = thread::Builder::new().stack_size(STACK);
                let spawned = builder.spawn_scoped(scope, || Client::create(self, request));
                spawned.expect("a thread")
            };
            let threads: Vec<_> = (0..count).map(begin).collect();
            let ended = threads.into_iter().map(ScopedJoinHandle::join);
            ended.map(|answer| answer.expect("no panic")).collect()
        })
    }

    fn stream(&self, request: &ChatRequest<'static>) -> Result<Chunks<'_>, Error> {
        let stream = self.stream(request)?;
        Ok(Chunks {
            metadata: stream.metadata().clone(),
            items: Box::new(stream.map(|chunk| chunk.map(Into::into))),
        })
    }

    fn request(&self, method: &str, path: &str, body: SecureBytes) -> Result<Answer, Error> {
        self.request(method, path, body).map(Into::into)
    }

    fn send(&self, request: Request) -> Result<Pieces<'_>, Error> {
        let stream = self.send(request)?;
        Ok(Pieces {
            metadata: stream.metadata().clone(),
            items: Box::new(stream),
        })
    }

    fn fetch_keys(&self) -> Result<KeySet, Error> {
        self.fetch_keys()
    }

    fn gateway_pin(&self) -> Option<Pin> {
        self.gateway_pin()
    }
}

/// Starts the gateway.
///
/// # Panics
/// Without a port, randomness or memory.
pub fn gateway(settings: GatewaySettings) -> Box<dyn Gateway> {
    start(settings, |gateway, stream, tls| {
        let connection = match tls {
            None => Connection::tcp(stream),
            Some(tls) => Connection::accept_tls(stream, tls, GUARD),
        };
        serve(gateway, connection?)
    })
}

/// What a thread does with its connection.
type Serve = fn(&RawGateway<Model>, TcpStream, Option<Arc<ServerConfig>>) -> io::Result<()>;

/// Starts a gateway that serves connections like this.
pub(super) fn start(settings: GatewaySettings, serve: Serve) -> Box<dyn Gateway> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let shared = Arc::new(Shared {
        current: Mutex::new(raw(&settings)),
        connections: AtomicUsize::new(0),
        open: Mutex::new(Vec::new()),
        closed: AtomicBool::new(false),
    });
    let (accepting, tls) = (shared.clone(), settings.tls.clone());
    thread::spawn(move || accept(&listener, tls.as_ref(), &accepting, serve));
    Box::new(Threads {
        settings,
        address,
        shared,
    })
}

struct Shared {
    current: Mutex<RawGateway<Model>>,
    connections: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
    closed: AtomicBool,
}

struct Threads {
    settings: GatewaySettings,
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Gateway for Threads {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn restart(&self) {
        let current = &self.shared.current;
        *current.lock().unwrap_or_else(PoisonError::into_inner) = raw(&self.settings);
    }

    fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Wakes whoever accepts.
        drop(TcpStream::connect(self.address));
        let mut open = self
            .shared
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for stream in open.drain(..) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, tls: Option<&Arc<ServerConfig>>, shared: &Shared, serve: Serve) {
    for stream in listener.incoming() {
        if shared.closed.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        if let Ok(stream) = stream.try_clone() {
            let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.push(stream);
        }
        let current = shared
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (gateway, tls) = (current.clone(), tls.cloned());
        let builder = thread::Builder::new().stack_size(STACK);
        // A connection that breaks is what some tests want.
        let spawned = builder.spawn(move || drop(serve(&gateway, stream, tls)));
        spawned.expect("a thread");
    }
}
