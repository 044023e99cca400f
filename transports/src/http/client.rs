//! A client whose requests another one carries.

use std::fmt;
use std::sync::Arc;

use hyper::Uri;

use super::driver::Driver;
use super::service::HttpService;
use crate::client::{Client, Config, Drive, SecureChatCompletion as Face, Task, Transport};
use crate::error::Error;

/// A client over an [`HttpService`].
pub(crate) type SecureChatCompletion<S> = Face<Http<S>>;

/// Requests of HTTP, by whatever carries them.
#[derive(Clone)]
pub struct Http<S> {
    pub(super) remote: Arc<Remote>,
    service: S,
}

/// A gateway as its client knows it, and where it is.
pub(crate) struct Remote {
    pub(super) client: Client,
    pub(super) keys_uri: Uri,
    pub(super) send_uri: Uri,
}

impl Remote {
    pub(crate) fn new(config: Config) -> Result<Arc<Self>, Error> {
        let uri = |path| {
            let uri = format!("{}{path}", config.base_url).parse::<Uri>();
            uri.map_err(|error| {
                Error::config("the base URL cannot be read").because(Some(error.into()))
            })
        };
        Ok(Arc::new(Self {
            keys_uri: uri(crate::KEYS_PATH)?,
            send_uri: uri(crate::SEND_PATH)?,
            client: Client::new(config),
        }))
    }
}

/// A client whose requests `service` carries.
pub(crate) const fn over<S>(remote: Arc<Remote>, service: S) -> SecureChatCompletion<S> {
    let transport = Http { remote, service };
    Face { transport }
}

impl<S> fmt::Debug for Http<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Http").field(&self.remote.client).finish()
    }
}

impl<S: HttpService> Transport for Http<S> {
    fn client(&self) -> &Client {
        &self.remote.client
    }

    fn drive(&self, task: Task) -> Box<dyn Drive + Send> {
        let (remote, service) = (self.remote.clone(), self.service.clone());
        Box::new(Driver::new(remote, service, task))
    }
}
