//! A gateway under test, what stands before it, and clients of it.

use std::fmt;
use std::net::SocketAddr;

use sealwire::Error;
use sealwire::core::keys::Pin;

use super::front::Front;
use super::{Certificate, Client, Gateway, GatewaySettings, Line, Model, Settings};

/// What a client and whatever answers it speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1.
    H1,
    /// HTTP/1.1 over TLS.
    H1Tls,
    /// HTTP/2 over TLS.
    H2,
    /// One frame after another.
    Raw,
    /// The same over TLS.
    RawTls,
    /// One frame after another in packets of COBS, on a line that is there from the start and cannot be opened anew.
    Cobs,
}

impl Wire {
    /// Whether it is TLS.
    pub const fn is_tls(self) -> bool {
        !matches!(self, Self::H1 | Self::Raw | Self::Cobs)
    }

    /// What TLS offers.
    pub const fn protocols(self) -> &'static [&'static [u8]] {
        match self {
            Self::H1 | Self::H1Tls => &[b"http/1.1"],
            Self::H2 => &[b"h2"],
            Self::Raw | Self::RawTls | Self::Cobs => &[],
        }
    }

    fn url(self, address: SocketAddr) -> String {
        // The certificate's name.
        let localhost = format!("localhost:{}", address.port());
        match self {
            Self::H1 => format!("http://{address}"),
            Self::H1Tls | Self::H2 => format!("https://{localhost}"),
            Self::Raw | Self::Cobs => format!("tcp://{address}"),
            Self::RawTls => format!("tls://{localhost}"),
        }
    }
}

/// What stands between client and gateway for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// Nothing.
    Nothing,
    /// nginx, which speaks HTTP/1.1 to the gateway, or what it takes for it.
    Nginx,
    /// haproxy, which speaks HTTP/1.1 to the gateway.
    Haproxy,
}

/// A client, a gateway, and what is between.
#[derive(Clone, Copy)]
pub struct Combination {
    /// Makes the client.
    pub client: fn(&Settings) -> Result<Box<dyn Client>, Error>,
    /// Starts the gateway.
    pub gateway: fn(GatewaySettings) -> Box<dyn Gateway>,
    /// What the client speaks.
    pub wire: Wire,
    /// What stands between.
    pub between: Between,
}

/// A combination with its gateway running.
pub struct Stand {
    on: Combination,
    gateway: Option<Box<dyn Gateway>>,
    front: Option<Front>,
    certificate: Option<Certificate>,
    pin: Pin,
    line: Option<(Line, SocketAddr)>,
}

impl Stand {
    /// A gateway with its defaults.
    pub fn new(on: Combination, model: Model) -> Self {
        Self::with(on, model, |_| {})
    }

    /// A gateway that is `set` up.
    pub fn with(on: Combination, model: Model, set: impl FnOnce(&mut GatewaySettings)) -> Self {
        let mut settings = GatewaySettings::new(model);
        let certificate = on.wire.is_tls().then(Certificate::new);
        if let (Some(certificate), Between::Nothing) = (&certificate, on.between) {
            settings.tls = Some(certificate.server(on.wire.protocols()));
        }
        set(&mut settings);
        let (pin, largest) = (settings.identity().pin(), settings.longest_at_nginx);
        let gateway = (on.gateway)(settings);
        let front = Front::start(
            on.between,
            on.wire,
            certificate.as_ref(),
            gateway.address(),
            largest,
        );
        Self {
            on,
            gateway: Some(gateway),
            front,
            certificate,
            pin,
            line: None,
        }
    }

    /// Lays `line` before everything else: clients made from now on come through it.
    #[must_use]
    pub fn behind(mut self, line: &Line) -> Self {
        let address = line.lay(self.address());
        self.line = Some((line.clone(), address));
        self
    }

    /// What clients of this gateway are told, if nothing else is said.
    pub fn settings(&self) -> Settings {
        let tls = self.certificate.as_ref().map(Certificate::client);
        Settings::new(self.on.wire.url(self.address()), self.pin, tls)
    }

    /// A client.
    ///
    /// # Panics
    /// If it cannot be set up.
    pub fn client(&self) -> Box<dyn Client> {
        self.client_with(|_| {})
    }

    /// A client that is `set` up.
    ///
    /// # Panics
    /// If it cannot be.
    pub fn client_with(&self, set: impl FnOnce(&mut Settings)) -> Box<dyn Client> {
        let mut settings = self.settings();
        set(&mut settings);
        (self.on.client)(&settings).expect("a configuration that works")
    }

    /// The gateway.
    ///
    /// # Panics
    /// If it was stopped.
    pub fn gateway(&self) -> &dyn Gateway {
        self.gateway.as_deref().expect("not stopped")
    }

    /// Stops the gateway; what stands before it stays.
    pub fn stop_gateway(&mut self) {
        self.gateway = None;
    }

    /// The gateway's pin.
    pub const fn pin(&self) -> Pin {
        self.pin
    }

    /// What the client speaks.
    pub const fn wire(&self) -> Wire {
        self.on.wire
    }

    fn address(&self) -> SocketAddr {
        match (&self.line, &self.front) {
            (Some((_, address)), _) => *address,
            (None, Some(front)) => front.address(),
            (None, None) => self.gateway().address(),
        }
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        if let Some((line, address)) = &self.line {
            line.close(*address);
        }
    }
}

impl fmt::Debug for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stand")
            .field("wire", &self.on.wire)
            .field("between", &self.on.between)
            .finish_non_exhaustive()
    }
}
