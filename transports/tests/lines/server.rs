//! A gateway on ports of its own, one for each wire, and what can stand between it and a client.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;

use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use sealwire::core::Suite;
use sealwire::core::keys::{Identity, KeyRing, Pin as GatewayPin, RecordLimits};
use sealwire::hyper::Gateway;
use sealwire::server::{GatewayConfig, Handler, RawGateway};
use sealwire::{ClientBuilder, blocking, futures_io};
use tokio::runtime::Runtime;

use crate::adapters::Adapter;
use crate::handler::TestHandler;
use crate::support::{Certificate, MEMORY, PATIENCE, quick};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// How frames travel, and who takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Http,
    Https,
    /// A raw stream to the blocking server.
    Raw,
    /// A raw stream under TLS, to the same.
    RawTls,
    /// A raw stream to the async server.
    RawAsync,
}

const WIRES: [Wire; 5] = [
    Wire::Http,
    Wire::Https,
    Wire::Raw,
    Wire::RawTls,
    Wire::RawAsync,
];

impl Wire {
    pub(crate) fn is_raw(self) -> bool {
        matches!(self, Self::Raw | Self::RawTls | Self::RawAsync)
    }

    fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::RawTls)
    }
}

/// Runs a test over each wire.
pub(crate) fn on_each_wire(test: fn(Wire)) {
    for wire in WIRES {
        println!("{wire:?}");
        test(wire);
    }
}

/// The certificate of every gateway.
pub(crate) static CERTIFICATE: LazyLock<Certificate> = LazyLock::new(Certificate::new);

/// A gateway that listens for one wire.
pub(crate) struct Server {
    pub(crate) wire: Wire,
    pub(crate) address: SocketAddr,
    pub(crate) pin: GatewayPin,
    scalar: [u8; 32],
    gateway: Arc<Mutex<Gateway<TestHandler>>>,
    handler: TestHandler,
    accepted: Arc<AtomicUsize>,
}

/// A gateway for raw streams, with keys of its own.
pub(crate) fn raw_gateway<H: Handler>(handler: H) -> (RawGateway<H>, GatewayPin) {
    let identity = Identity::generate(&MEMORY, &mut getrandom::SysRng).expect("random");
    let pin = identity.pin();
    let keys = KeyRing::new(identity, Suite::ALL, RecordLimits::default(), MEMORY);
    let gateway = RawGateway::new(GatewayConfig::new(MEMORY), keys, handler);
    (gateway.expect("keys"), pin)
}

fn gateway(identity: Identity, handler: TestHandler) -> Gateway<TestHandler> {
    let keys = KeyRing::new(identity, Suite::ALL, RecordLimits::default(), MEMORY);
    Gateway::new(GatewayConfig::new(MEMORY), keys, handler).expect("keys")
}

impl Server {
    pub(crate) fn start(wire: Wire, handler: TestHandler) -> Self {
        let identity = Identity::generate(&MEMORY, &mut getrandom::SysRng).expect("random");
        let (pin, scalar) = (identity.pin(), *identity.expose_scalar());
        let gateway = Arc::new(Mutex::new(gateway(identity, handler.clone())));
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let address = listener.local_addr().expect("bound");
        let accepted = Arc::new(AtomicUsize::new(0));
        let (current, count) = (gateway.clone(), accepted.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("accepted");
                count.fetch_add(1, Ordering::SeqCst);
                let gateway = current.clone();
                match wire {
                    Wire::Http | Wire::Https => {
                        drop(RUNTIME.spawn(serve_http(stream, gateway, wire)));
                    }
                    _ => drop(thread::spawn(move || serve_raw(stream, &gateway, wire))),
                }
            }
        });
        Self {
            wire,
            address,
            pin,
            scalar,
            gateway,
            handler,
            accepted,
        }
    }

    /// Connections accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// What it tells clients of its keys.
    pub(crate) fn keys_json(&self) -> String {
        self.gateway.lock().expect("no panic").key_set().to_json()
    }

    /// The same identity with new epoch keys, as after a restart; for connections that come.
    pub(crate) fn restart(&self) {
        let mut scalar = MEMORY.array().expect("memory");
        scalar.expose_mut().copy_from_slice(&self.scalar);
        let identity = Identity::from_scalar(scalar).expect("was one");
        *self.gateway.lock().expect("no panic") = gateway(identity, self.handler.clone());
    }

    pub(crate) fn builder<A: Adapter>(&self) -> ClientBuilder<A::Settings> {
        self.builder_at::<A>(self.address)
    }

    /// A client that reaches this gateway by another address.
    pub(crate) fn builder_at<A: Adapter>(&self, address: SocketAddr) -> ClientBuilder<A::Settings> {
        let (scheme, host) = match self.wire {
            Wire::Http => ("http", "127.0.0.1"),
            Wire::Https => ("https", "localhost"),
            Wire::RawTls => ("tls", "localhost"),
            Wire::Raw | Wire::RawAsync => ("tcp", "127.0.0.1"),
        };
        let builder = A::builder(&format!("{scheme}://{host}:{}", address.port()))
            .allow_http(true)
            .api_key("sk-marker")
            .pin(self.pin)
            .connect_timeout(PATIENCE)
            .retry(quick(2));
        match self.wire.is_tls() {
            true => A::tls(builder, CERTIFICATE.client()),
            false => builder,
        }
    }

    pub(crate) fn client<A: Adapter>(&self) -> A::Client {
        A::build(self.builder::<A>()).expect("configured")
    }
}

async fn serve_http(stream: TcpStream, gateway: Arc<Mutex<Gateway<TestHandler>>>, wire: Wire) {
    let service = service_fn(|request| {
        let gateway = gateway.lock().expect("no panic").clone();
        async move { gateway.call(request).await }
    });
    stream.set_nonblocking(true).expect("a socket");
    let stream = tokio::net::TcpStream::from_std(stream).expect("a socket");
    let builder = auto::Builder::new(TokioExecutor::new());
    // A connection that breaks is what some tests want.
    if wire.is_tls() {
        let acceptor = tokio_rustls::TlsAcceptor::from(CERTIFICATE.server(&[]));
        if let Ok(stream) = acceptor.accept(stream).await {
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    } else {
        let _ = builder
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }
}

fn serve_raw(stream: TcpStream, gateway: &Mutex<Gateway<TestHandler>>, wire: Wire) {
    let gateway = gateway.lock().expect("no panic").raw();
    match wire {
        Wire::RawTls => {
            if let Ok(stream) =
                blocking::Connection::accept_tls(stream, CERTIFICATE.server(&[]), PATIENCE)
            {
                let _ = blocking::serve(&gateway, stream);
            }
        }
        Wire::RawAsync => {
            let stream = ::async_std::net::TcpStream::from(stream);
            let sleep = ::async_std::task::sleep;
            let _ = ::async_std::task::block_on(futures_io::serve(&gateway, stream, sleep));
        }
        _ => {
            let stream = blocking::Connection::tcp(stream).expect("a socket");
            let _ = blocking::serve(&gateway, stream);
        }
    }
}

/// Answers every connection's first request with these bytes and closes.
pub(crate) fn canned(reply: impl Into<Vec<u8>>) -> SocketAddr {
    let reply = reply.into();
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accepted");
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&reply);
            // What it still sends is read, so that the reply is not lost.
            let _ = stream.shutdown(Shutdown::Write);
            while let Ok(1..) = stream.read(&mut [0; 65536]) {}
        }
    });
    address
}

/// Passes connections on to `server`: bytes of an answer by `pass`, which says how many of those there are to pass on, and how
/// many were passed before on this connection; fewer, and the connection is cut.
pub(crate) fn proxy(
    server: &Server,
    pass: impl Fn(usize, &[u8]) -> usize + Send + Sync + 'static,
    chunk: usize,
) -> SocketAddr {
    let upstream = server.address;
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let address = listener.local_addr().expect("bound");
    let pass = Arc::new(pass);
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.expect("accepted");
            let server = TcpStream::connect(upstream).expect("listening");
            for stream in [&client, &server] {
                stream.set_nodelay(true).expect("a socket");
            }
            let (mut from, mut to) = (
                client.try_clone().expect("a socket"),
                server.try_clone().expect("a socket"),
            );
            thread::spawn(move || {
                let mut buffer = vec![0; chunk];
                while let Ok(count @ 1..) = from.read(&mut buffer) {
                    if to.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                let _ = to.shutdown(Shutdown::Write);
            });
            let (pass, mut client, mut server) = (pass.clone(), client, server);
            thread::spawn(move || {
                let mut buffer = vec![0; chunk];
                let mut passed = 0;
                while let Ok(count @ 1..) = server.read(&mut buffer) {
                    let allowed = pass(passed, &buffer[..count]);
                    passed += allowed;
                    if client.write_all(&buffer[..allowed]).is_err() || allowed < count {
                        break;
                    }
                }
                for stream in [&client, &server] {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            });
        }
    });
    address
}
