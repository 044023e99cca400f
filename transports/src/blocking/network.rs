//! TCP and TLS connections, kept for the next exchange where they may be.

use std::fmt;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use getrandom::SysRng;
use sealwire_core::Now;
use sealwire_core::session::Failure;

use super::client::SecureChatCompletion;
use super::connection::Connection;
use super::link::{Interest, Link, OpenError, Ready, Transport};
use super::socket::Socket;
use super::tls::TlsSocket;
use crate::address::Address;
use crate::client::{Client, ClientBuilder, Settings};
use crate::clock::Clock;
use crate::error::Error;
use crate::pool::Pool;
use crate::tls::{Tls, failure};

/// Opens connections to one gateway.
pub struct Network {
    address: Address,
    tls: Option<Tls>,
    idle: Pool<Connection>,
    clock: Clock,
}

impl SecureChatCompletion<Network> {
    /// Sets up a client of the gateway at `base_url`: `https://` or `http://` for HTTP/1.1, `tls://` or `tcp://` for a raw stream.
    pub fn builder(base_url: impl Into<String>) -> ClientBuilder<Settings<()>> {
        ClientBuilder::on(base_url, ())
    }
}

impl ClientBuilder<Settings<()>> {
    /// The client.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), which says what to change.
    pub fn build(self) -> Result<SecureChatCompletion, Error> {
        let (config, address, Settings { connector: (), tls }) = self.check_address()?;
        let transport = Network {
            tls: Tls::new(&address, tls)?,
            address,
            idle: Pool::new(),
            clock: Clock::new(),
        };
        Ok(SecureChatCompletion {
            client: Client::new(config),
            transport,
        })
    }
}

impl Network {
    fn connect(&self, timeout: Duration) -> io::Result<Connection> {
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now);
        let socket = Socket::connect(&self.address.host, self.address.port, deadline)?;
        Ok(match &self.tls {
            None => Connection::plain(socket),
            Some(tls) => Connection::tls(TlsSocket::connect(socket, tls, deadline)?),
        })
    }
}

impl Transport for Network {
    type Link = Connection;
    type Random = SysRng;

    fn open(&self, timeout: Duration) -> Result<(Connection, bool), OpenError> {
        // Nothing is to be read from an idle connection but its end.
        let is_alive = |idle: &mut Connection| {
            matches!(
                idle.wait(Interest::Read, Duration::ZERO),
                Ok(Ready::TimedOut)
            ) || cfg!(not(unix))
        };
        if let Some(connection) = self.idle.take(is_alive) {
            return Ok((connection, true));
        }
        match self.connect(timeout) {
            Ok(connection) => Ok((connection, false)),
            Err(error) => Err(OpenError {
                failure: failure(&error).unwrap_or(Failure::Connect),
                source: Some(error.into()),
            }),
        }
    }

    fn put_back(&self, connection: Connection, fit: bool) {
        if fit {
            self.idle.put(connection);
        }
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn sleep_until(&self, monotonic: Duration) {
        let instant = self.clock.instant(monotonic);
        thread::sleep(instant.saturating_duration_since(Instant::now()));
    }

    fn with_random<T>(&self, f: impl FnOnce(&mut SysRng) -> T) -> T {
        f(&mut SysRng)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
