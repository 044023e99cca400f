//! Connections: a runtime's own, and TLS over them.

use std::future::Future;
use std::io;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;

use crate::address::Address;
use crate::client::Client;
use crate::pool::Pool;
use crate::tls::Tls;

/// What the adapter asks of a runtime.
pub trait Connector: Send + Sync + 'static {
    /// A TCP connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Connects to a host, which is a name or an IP address. The deadline is kept by the caller, who drops the future.
    ///
    /// # Errors
    /// The runtime's own.
    fn connect(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Waits for this long.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

/// A gateway with its idle connections.
pub(super) struct Gateway<C> {
    pub(super) client: Client,
    pub(super) address: Address,
    pub(super) tls: Option<Tls>,
    pub(super) connector: C,
    pub(super) idle: Pool<Connection>,
}

/// A connection to a gateway, plain or under TLS.
pub(super) type Connection = Box<dyn Stream>;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub(super) async fn open<C: Connector>(
    connector: &C,
    address: &Address,
    tls: Option<&Tls>,
) -> io::Result<Connection> {
    let stream = connector.connect(&address.host, address.port).await?;
    let Some(tls) = tls else {
        return Ok(Box::new(stream));
    };
    let connector = TlsConnector::from(tls.config.clone());
    Ok(Box::new(connector.connect(tls.name.clone(), stream).await?))
}
