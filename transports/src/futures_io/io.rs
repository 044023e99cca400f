//! The I/O of one request, without blocking.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_io::{AsyncRead as _, AsyncWrite as _};
use getrandom::SysRng;
use sealwire_core::Now;
use sealwire_core::session::Failure;

use super::connection::{Connection, Connector, Gateway, open};
use crate::client::Client;
use crate::line::{Io, Moved, Opened};
use crate::tls::failure;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One request's connection, and what is waited for.
pub(super) struct Request<C> {
    gateway: Arc<Gateway<C>>,
    opening: Option<Boxed<io::Result<Connection>>>,
    connection: Option<Connection>,
    /// Something was written that the connection may still hold.
    is_to_flush: bool,
    alarm: Option<(Duration, Boxed<()>)>,
}

impl<C: Connector> Request<C> {
    pub(super) const fn new(gateway: Arc<Gateway<C>>) -> Self {
        Self {
            gateway,
            opening: None,
            connection: None,
            is_to_flush: false,
            alarm: None,
        }
    }
}

impl<C: Connector> Io for Request<C> {
    type Random = SysRng;

    fn client(&self) -> &Client {
        &self.gateway.client
    }

    fn now(&self) -> Now {
        self.gateway.client.clock.now()
    }

    fn with_random<T>(&self, f: impl FnOnce(&mut SysRng) -> T) -> T {
        f(&mut SysRng)
    }

    fn poll_open(&mut self, cx: &mut Context<'_>, due: Duration) -> Poll<Opened> {
        if self.opening.is_none()
            && let Some(idle) = self.gateway.idle.take(is_quiet)
        {
            self.connection = Some(idle);
            return Poll::Ready(Opened::Kept);
        }
        let gateway = self.gateway.clone();
        let opening = self.opening.get_or_insert_with(|| {
            Box::pin(async move {
                open(&gateway.connector, &gateway.address, gateway.tls.as_ref()).await
            })
        });
        let opened = match opening.as_mut().poll(cx) {
            Poll::Ready(Ok(connection)) => {
                self.connection = Some(connection);
                self.is_to_flush = false;
                Opened::New
            }
            Poll::Ready(Err(error)) => {
                let failure = failure(&error).unwrap_or(Failure::Connect);
                Opened::Failed(failure, Some(error.into()))
            }
            Poll::Pending => {
                ready!(self.poll_sleep(cx, due));
                Opened::Failed(Failure::Connect, None)
            }
        };
        self.opening = None;
        Poll::Ready(opened)
    }

    fn poll_transfer(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        output: &[u8],
        due: Duration,
    ) -> Poll<Moved> {
        let Some(mut connection) = self.connection.as_mut().map(Pin::new) else {
            return Poll::Ready(Moved::Read(0));
        };
        if let Poll::Ready(read) = connection.as_mut().poll_read(cx, buffer) {
            return Poll::Ready(read.map_or_else(|error| Moved::Broken(error.into()), Moved::Read));
        }
        if !output.is_empty() {
            if let Poll::Ready(written) = connection.as_mut().poll_write(cx, output) {
                self.is_to_flush = true;
                return Poll::Ready(match written {
                    Ok(0) => Moved::Deaf(io::Error::from(io::ErrorKind::WriteZero).into()),
                    Ok(count) => Moved::Wrote(count),
                    Err(error) => Moved::Deaf(error.into()),
                });
            }
        } else if self.is_to_flush
            && let Poll::Ready(flushed) = connection.as_mut().poll_flush(cx)
        {
            self.is_to_flush = false;
            if let Err(error) = flushed {
                return Poll::Ready(Moved::Deaf(error.into()));
            }
        }
        self.poll_sleep(cx, due).map(|()| Moved::TimedOut)
    }

    fn try_write(&mut self, output: &[u8]) {
        // What cannot be written at once is not waited for: the connection is closed anyway.
        let mut cx = Context::from_waker(Waker::noop());
        if let Some(mut connection) = self.connection.as_mut().map(Pin::new) {
            let _ = connection.as_mut().poll_write(&mut cx, output);
            let _ = connection.as_mut().poll_flush(&mut cx);
        }
    }

    fn poll_sleep(&mut self, cx: &mut Context<'_>, until: Duration) -> Poll<()> {
        loop {
            let now = self.now().monotonic;
            if now >= until {
                self.alarm = None;
                return Poll::Ready(());
            }
            if self.alarm.as_ref().is_none_or(|(at, _)| *at != until) {
                let gateway = self.gateway.clone();
                let sleep = async move { gateway.connector.sleep(until - now).await };
                self.alarm = Some((until, Box::pin(sleep)));
            }
            if let Some((_, sleep)) = &mut self.alarm {
                ready!(sleep.as_mut().poll(cx));
                // A clock that is not quite the connector's is asked again.
                self.alarm = None;
            }
        }
    }

    fn close(&mut self, fit: bool) {
        if let Some(connection) = self.connection.take().filter(|_| fit) {
            self.gateway.idle.put(connection);
        }
    }
}

/// Whether nothing has come on a connection on which nothing should: not its end either.
fn is_quiet(connection: &mut Connection) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(connection)
        .poll_read(&mut cx, &mut [0])
        .is_pending()
}
