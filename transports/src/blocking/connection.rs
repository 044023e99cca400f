//! TCP and TLS connections as links.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use embedded_io::{ErrorType, Read, Write};
use rustls::ServerConfig;

use super::link::{Interest, Link, Ready};
use super::socket::Socket;
use super::tls::TlsSocket;

/// A connection over TCP or TLS, with deadlines.
pub struct Connection(Kind);

enum Kind {
    Plain(Socket),
    Tls(Box<TlsSocket>),
}

impl Connection {
    /// A TCP connection, as it is.
    ///
    /// # Errors
    /// The socket's own.
    pub fn tcp(stream: TcpStream) -> io::Result<Self> {
        Ok(Self::plain(Socket::new(stream)?))
    }

    /// A TCP connection that was accepted, under TLS once hands are shaken.
    ///
    /// # Errors
    /// The socket's own, and those of TLS; [`TimedOut`](io::ErrorKind::TimedOut) if it takes longer than `timeout`.
    pub fn accept_tls(
        stream: TcpStream,
        config: Arc<ServerConfig>,
        timeout: Duration,
    ) -> io::Result<Self> {
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now);
        let socket = Socket::new(stream)?;
        Ok(Self::tls(TlsSocket::accept(socket, config, deadline)?))
    }

    pub(super) const fn plain(socket: Socket) -> Self {
        Self(Kind::Plain(socket))
    }

    pub(super) fn tls(socket: TlsSocket) -> Self {
        Self(Kind::Tls(Box::new(socket)))
    }
}

impl ErrorType for Connection {
    type Error = io::Error;
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Plain(socket) => socket.read(buffer),
            Kind::Tls(socket) => socket.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Plain(socket) => socket.write(bytes),
            Kind::Tls(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Plain(socket) => socket.flush(),
            Kind::Tls(socket) => socket.flush(),
        }
    }
}

impl Link for Connection {
    fn wait(&mut self, wanted: Interest, timeout: Duration) -> io::Result<Ready> {
        match &mut self.0 {
            Kind::Plain(socket) => socket.wait(wanted.is_readable(), wanted.is_writable(), timeout),
            Kind::Tls(socket) => socket.wait(wanted, timeout),
        }
    }

    fn keeps_time(&self) -> bool {
        true
    }

    fn waker(&mut self) -> io::Result<Option<Waker>> {
        match &mut self.0 {
            Kind::Plain(socket) => socket.waker(),
            Kind::Tls(socket) => socket.waker(),
        }
    }

    fn cause(error: io::Error) -> Box<dyn StdError + Send + Sync> {
        error.into()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
