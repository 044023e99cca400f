//! TLS, as far as it is the same for every adapter that sets it up itself.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sealwire_core::session::Failure;

use crate::address::{Address, Wire};
use crate::client::configured;
use crate::error::Error;

/// What a connection to one gateway needs.
pub(crate) struct Tls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

impl Tls {
    /// For the gateway at `address`, if TLS is spoken there. Without a configuration certificates are judged as the platform does.
    pub(crate) fn new(
        address: &Address,
        config: Option<ClientConfig>,
    ) -> Result<Option<Self>, Error> {
        if !address.tls {
            return Ok(None);
        }
        let mut config = configured(config)?;
        // HTTP/1.1 is what will be spoken; a raw stream has no name there.
        config.alpn_protocols = match address.wire {
            Wire::Http => vec![b"http/1.1".to_vec()],
            Wire::Raw => Vec::new(),
        };
        let name = ServerName::try_from(address.host.clone()).map_err(|error| {
            Error::config("the base URL's host is no name that a certificate could have")
                .because(Some(error.into()))
        })?;
        Ok(Some(Self {
            config: Arc::new(config),
            name,
        }))
    }
}

/// What an error means that came while a connection was made.
pub(crate) fn failure(error: &io::Error) -> Failure {
    match is_tls(error) {
        true => Failure::Tls,
        false => Failure::Connect,
    }
}

/// Whether the peer could not prove who it is.
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    // What an I/O error wraps is not its source; that is the source of what it wraps.
    let wrapped = error
        .downcast_ref()
        .and_then(io::Error::get_ref)
        .map(|error| error as &(dyn StdError + 'static));
    error.is::<rustls::Error>() || wrapped.or_else(|| error.source()).is_some_and(is_tls)
}
