//! TLS over a [`Socket`], by rustls, with deadlines.

use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, Connection, ServerConfig, ServerConnection};

use super::link::{Interest, Ready};
use super::socket::Socket;
use crate::tls::Tls;

/// A connection under TLS.
pub(super) struct TlsSocket {
    socket: Socket,
    tls: Connection,
    ended: bool,
}

impl TlsSocket {
    /// Shakes hands with a server.
    pub(super) fn connect(socket: Socket, tls: &Tls, deadline: Instant) -> io::Result<Self> {
        let client = ClientConnection::new(tls.config.clone(), tls.name.clone());
        Self::shake_hands(socket, client.map_err(io::Error::other)?.into(), deadline)
    }

    /// Shakes hands with a client.
    pub(super) fn accept(
        socket: Socket,
        config: Arc<ServerConfig>,
        deadline: Instant,
    ) -> io::Result<Self> {
        let server = ServerConnection::new(config).map_err(io::Error::other)?;
        Self::shake_hands(socket, server.into(), deadline)
    }

    fn shake_hands(socket: Socket, tls: Connection, deadline: Instant) -> io::Result<Self> {
        let mut this = Self {
            socket,
            tls,
            ended: false,
        };
        while this.tls.is_handshaking() {
            let left = deadline.saturating_duration_since(Instant::now());
            if this.ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if this.turn(true, left)? == Ready::TimedOut {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(this)
    }

    /// Waits until plaintext can be read, or taken.
    pub(super) fn wait(&mut self, wanted: Interest, timeout: Duration) -> io::Result<Ready> {
        let (read, write) = (wanted.is_readable(), wanted.is_writable());
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if read && (self.ended || self.has_plaintext()) {
                return Ok(Ready::Read);
            }
            // There is room in a buffer that was written out. Before more is, a peer may have said that it wants no more.
            let may_write = write && !self.tls.wants_write();
            if may_write && !(read && cfg!(unix) && self.has_input()?) {
                return Ok(Ready::Write);
            }
            let left = deadline.map_or(timeout, |at| at.saturating_duration_since(Instant::now()));
            match self.turn(read, left)? {
                Ready::Read | Ready::Write => {}
                other => return Ok(other),
            }
        }
    }

    pub(super) fn waker(&mut self) -> io::Result<Option<Waker>> {
        self.socket.waker()
    }

    /// Whether reading gives something, if only the end.
    fn has_plaintext(&mut self) -> bool {
        let mut reader = self.tls.reader();
        let found = reader.fill_buf();
        !matches!(found, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    fn has_input(&self) -> io::Result<bool> {
        Ok(self.socket.wait(true, false, Duration::ZERO)? == Ready::Read)
    }

    /// Moves records, in whichever direction is possible first.
    fn turn(&mut self, read: bool, timeout: Duration) -> io::Result<Ready> {
        let ready = self.socket.wait(read, self.tls.wants_write(), timeout)?;
        match ready {
            Ready::Read => {
                self.ended = self.tls.read_tls(&mut self.socket)? == 0;
                if let Err(error) = self.tls.process_new_packets() {
                    // The peer is told why, if it still listens.
                    let _ = self.tls.write_tls(&mut self.socket);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
            Ready::Write => drop(self.tls.write_tls(&mut self.socket)?),
            _ => {}
        }
        Ok(ready)
    }
}

impl Read for TlsSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.tls.reader().read(buffer) {
            // Whether the answer was whole is for END to say, not for TLS.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            // Records without plaintext in them.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::ErrorKind::TimedOut.into())
            }
            result => result,
        }
    }
}

impl Write for TlsSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tls.writer().write(bytes)
    }

    /// Records leave in [`wait`](Self::wait), which knows how long that may take.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
