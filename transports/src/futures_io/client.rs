//! The client: what its builder makes.

use std::fmt;
use std::sync::Arc;

use super::connection::{Connector, Gateway};
use super::io::Request;
use crate::client::{
    Client, ClientBuilder, Drive, SecureChatCompletion as Face, Settings, Task, Transport,
};
use crate::error::Error;
use crate::line::Driver;
use crate::pool::Pool;
use crate::tls::Tls;

/// A client of a gateway, on the runtime that `C` stands for.
///
/// Dropping a future or a stream of it closes its connection, which cancels the request.
pub type SecureChatCompletion<C> = Face<Lines<C>>;

/// Connections that a runtime opens.
pub struct Lines<C: Connector>(Arc<Gateway<C>>);

impl<C: Connector> ClientBuilder<Settings<C>> {
    /// The client.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), which says what to change.
    pub fn build(self) -> Result<SecureChatCompletion<C>, Error> {
        let (config, address, settings) = self.check_address()?;
        let transport = Lines(Arc::new(Gateway {
            client: Client::new(config),
            tls: Tls::new(&address, settings.tls)?,
            address,
            connector: settings.connector,
            idle: Pool::new(),
        }));
        Ok(Face { transport })
    }
}

impl<C: Connector> SecureChatCompletion<C> {
    /// Sets up a client of the gateway at `base_url`, on the runtime that `connector` stands for.
    pub fn with_connector(base_url: impl Into<String>, connector: C) -> ClientBuilder<Settings<C>> {
        ClientBuilder::on(base_url, connector)
    }
}

impl<C: Connector> Clone for Lines<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Connector> fmt::Debug for Lines<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lines").field(&self.0.client).finish()
    }
}

impl<C: Connector> Transport for Lines<C> {
    fn client(&self) -> &Client {
        &self.0.client
    }

    fn drive(&self, task: Task) -> Box<dyn Drive + Send> {
        Box::new(Driver::new(Request::new(self.0.clone()), task))
    }
}
