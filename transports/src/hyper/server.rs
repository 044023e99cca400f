//! The gateway as a hyper service.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hyper::body::Body;
use hyper::service::Service;
use hyper::{Request, Response};
use sealwire_core::UnixTime;
use sealwire_core::keys::{KeyRing, KeySet};

use crate::error::Error;
use crate::http::{SealedBody, is_sealed, receive, sealed_reply, unsealed};
use crate::server::{GatewayConfig, Handler, Shared};

/// A gateway as a hyper [`Service`]: opens requests, gives them to its handler, and seals the replies.
///
/// Cheap to clone; all clones are the same gateway. It must be used within a tokio runtime, for its deadlines.
/// Its host calls [`rotate`](Self::rotate) when it is due.
///
/// ```no_run
/// use hyper_util::rt::{TokioExecutor, TokioIo};
/// use hyper_util::server::conn::auto::Builder;
/// use sealwire::core::exchange::ReceivedRequest;
/// use sealwire::core::keys::{Identity, KeyRing};
/// use sealwire::core::{ErrorCode, Suite};
/// use sealwire::hyper::Gateway;
/// use sealwire::memlock::{Policy, SecureMemory};
/// use sealwire::server::{GatewayConfig, Reply, ReplyBody};
///
/// # async fn example(listener: tokio::net::TcpListener) -> Result<(), Box<dyn std::error::Error>> {
/// let memory = SecureMemory::new(Policy::BestEffort);
/// let identity = Identity::generate(&memory, &mut getrandom::SysRng)?;
/// let keys = KeyRing::new(identity, Suite::ALL, Default::default(), memory.clone());
/// let echo = |request: ReceivedRequest| async {
///     let body = ReplyBody::Whole(request.into_body());
///     Ok::<_, ErrorCode>(Reply::new(200, "application/json", body))
/// };
/// let gateway = Gateway::new(GatewayConfig::new(memory), keys, echo)?;
/// loop {
///     let (stream, _) = listener.accept().await?;
///     stream.set_nodelay(true)?; // or one small write waits for the acknowledgement of another
///     let gateway = gateway.clone();
///     tokio::spawn(async move {
///         let builder = Builder::new(TokioExecutor::new());
///         builder.serve_connection(TokioIo::new(stream), gateway).await
///     });
/// }
/// # }
/// ```
pub struct Gateway<H> {
    shared: Arc<Shared<H>>,
}

impl<H: Handler> Gateway<H> {
    /// A gateway with these keys; those that are missing are made.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if randomness or secure memory cannot be had.
    pub fn new(config: GatewayConfig, keys: KeyRing, handler: H) -> Result<Self, Error> {
        Ok(Self {
            shared: Arc::new(Shared::new(config, keys, handler)?),
        })
    }

    /// Makes the keys that are missing at `now`, wipes those that have ended, and says when to call again.
    ///
    /// # Errors
    /// As [`new`](Self::new); the keys that exist stay.
    pub fn rotate(&self, now: UnixTime) -> Result<UnixTime, Error> {
        self.shared.rotate(now)
    }

    /// What clients fetch.
    pub fn key_set(&self) -> KeySet {
        self.shared.key_set()
    }

    /// The same gateway for raw streams: it knows the same keys and requests.
    #[cfg(feature = "_lines")]
    pub fn raw(&self) -> crate::server::RawGateway<H> {
        crate::server::RawGateway::over(self.shared.clone())
    }
}

impl<H> Clone for Gateway<H> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<H> fmt::Debug for Gateway<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}

impl<H, B> Service<Request<B>> for Gateway<H>
where
    H: Handler,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<SealedBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let shared = self.shared.clone();
        Box::pin(async move {
            if !is_sealed(&shared, &request) {
                return Ok(unsealed(&shared, &request));
            }
            let sealed = async {
                let (exchange, event) = receive(&shared, request.into_body()).await?;
                shared.answer(exchange, event).await
            };
            Ok(sealed_reply(sealed.await))
        })
    }
}
