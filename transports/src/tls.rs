//! TLS, as far as it is the same for every adapter.

use std::error::Error as StdError;
use std::io;
use std::iter::successors;
#[cfg(feature = "_http1")]
use std::sync::Arc;

#[cfg(feature = "_http1")]
use rustls::{ClientConfig, pki_types::ServerName};
use sealwire_core::session::Failure;

#[cfg(feature = "_http1")]
use crate::address::{Address, Wire};
#[cfg(feature = "_http1")]
use crate::client::configured;
#[cfg(feature = "_http1")]
use crate::error::Error;

/// What a connection to one gateway needs.
#[cfg(feature = "_http1")]
pub(crate) struct Tls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

#[cfg(feature = "_http1")]
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

/// What is wrong with TLS, if that is what lies beneath an error.
pub(crate) fn failure(error: &(dyn StdError + 'static)) -> Option<Failure> {
    Some(
        match beneath(error).find_map(<dyn StdError>::downcast_ref)? {
            // Of a client's certificate a server of TLS 1.3 says so only after hands were shaken.
            rustls::Error::AlertReceived(_) => Failure::TlsRefused,
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
                Failure::Tls
            }
            // What answers does not speak TLS, or another one.
            _ => return None,
        },
    )
}

/// An error, and whatever lies beneath it.
pub(crate) fn beneath<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    successors(Some(error), |&error| {
        // What an I/O error wraps is not its source; that is the source of what it wraps.
        let wrapped = error.downcast_ref().and_then(io::Error::get_ref);
        wrapped.map(|error| error as _).or_else(|| error.source())
    })
}
