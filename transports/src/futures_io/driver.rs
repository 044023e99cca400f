//! The loop around a line: what [`Want`] asks for, done without blocking.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_core::Stream;
use getrandom::SysRng;
use sealwire_core::exchange::Request;
use sealwire_core::head::EXCHANGE_ID_LEN;
use sealwire_core::keys::KeySet;
use sealwire_memlock::SecureBytes;

use super::connection::{Connection, Connector};
use crate::address::Address;
use crate::client::{Client, Event};
use crate::error::Error;
use crate::line::{BUFFER, Line, Want};
use crate::pool::Pool;
use crate::tls::{Tls, failure};

/// A client with its idle connections.
pub(super) struct Inner<C: Connector> {
    pub(super) client: Client,
    pub(super) address: Address,
    pub(super) tls: Option<Tls>,
    pub(super) connector: C,
    pub(super) idle: Pool<Connection<C::Stream>>,
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Carries one request to its answer. Dropping it cancels: the connection is closed, on a raw stream after CANCEL.
pub(super) struct Driver<C: Connector> {
    inner: Arc<Inner<C>>,
    line: Line,
    connecting: Option<Boxed<io::Result<Connection<C::Stream>>>>,
    connection: Option<Connection<C::Stream>>,
    /// Something was written that the connection may still hold.
    is_to_flush: bool,
    alarm: Option<(Duration, Boxed<()>)>,
    buffer: Vec<u8>,
}

impl<C: Connector> Driver<C> {
    pub(super) fn new(inner: &Arc<Inner<C>>, request: Request) -> Result<Self, Error> {
        let now = inner.client.clock.now();
        Ok(Self::over(inner, Line::new(&inner.client, request, now)?))
    }

    fn over(inner: &Arc<Inner<C>>, line: Line) -> Self {
        Self {
            inner: inner.clone(),
            line,
            connecting: None,
            connection: None,
            is_to_flush: false,
            alarm: None,
            buffer: Vec::new(),
        }
    }

    /// The gateway's keys, not judged: goes no further than that.
    pub(super) async fn key_set(inner: &Arc<Inner<C>>) -> Result<KeySet, Error> {
        let line = Line::for_keys(&inner.client, inner.client.clock.now())?;
        let mut driver = Self::over(inner, line);
        while driver.next().await?.is_some() {}
        driver.line.key_set()
    }

    /// The next event of the answer; `None` once it was whole.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Error> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, Error>> {
        loop {
            let now = self.inner.client.clock.now();
            match self.line.poll(&self.inner.client, now, &mut SysRng)? {
                Want::Connect => ready!(self.poll_connect(cx))?,
                Want::Transfer => ready!(self.poll_transfer(cx)),
                Want::Release => self
                    .connection
                    .take()
                    .into_iter()
                    .for_each(|idle| self.inner.idle.put(idle)),
                Want::Close => self.connection = None,
                Want::Wait(until) => ready!(self.poll_alarm(cx, until)),
                Want::Event(event) => return Poll::Ready(Ok(Some(event))),
                Want::Done => return Poll::Ready(Ok(None)),
            }
        }
    }

    fn poll_connect(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let client = &self.inner.client;
        if self.connecting.is_none()
            && let Some(idle) = self.inner.idle.take(Connection::is_quiet)
        {
            self.connection = Some(idle);
            return Poll::Ready(self.line.connected(client, client.clock.now(), true));
        }
        let inner = self.inner.clone();
        let connecting = self.connecting.get_or_insert_with(|| {
            Box::pin(async move {
                Connection::open(&inner.connector, &inner.address, inner.tls.as_ref()).await
            })
        });
        let opened = match connecting.as_mut().poll(cx) {
            Poll::Ready(opened) => opened,
            Poll::Pending => {
                ready!(self.poll_deadline(cx));
                self.connecting = None;
                return Poll::Ready(Ok(()));
            }
        };
        self.connecting = None;
        let client = &self.inner.client;
        let now = client.clock.now();
        Poll::Ready(match opened {
            Ok(connection) => {
                self.connection = Some(connection);
                self.is_to_flush = false;
                self.line.connected(client, now, false)
            }
            Err(error) => {
                let failure = failure(&error);
                self.line
                    .connect_failed(now, failure, Some(error.into()), &mut SysRng);
                Ok(())
            }
        })
    }

    /// Reads or writes once, whichever can be done first.
    fn poll_transfer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.inner.client.clock.now();
        let Some(connection) = &mut self.connection else {
            self.line.handle_end(now, None, &mut SysRng);
            return Poll::Ready(());
        };
        self.buffer.resize(BUFFER, 0);
        // Reading comes first: a peer that stops reading may have said why.
        if let Poll::Ready(read) = connection.poll_read(cx, &mut self.buffer) {
            match read {
                Ok(0) => self.line.handle_end(now, None, &mut SysRng),
                Ok(count) => self
                    .line
                    .handle_input(now, &self.buffer[..count], &mut SysRng),
                Err(error) => self.line.handle_end(now, Some(error.into()), &mut SysRng),
            }
            return Poll::Ready(());
        }
        let output = self.line.output();
        if !output.is_empty() {
            if let Poll::Ready(written) = connection.poll_write(cx, output) {
                match written {
                    Ok(count) => self.line.wrote(count),
                    Err(error) => self.line.write_failed(error.into()),
                }
                self.is_to_flush = true;
                return Poll::Ready(());
            }
        } else if self.is_to_flush
            && let Poll::Ready(flushed) = connection.poll_flush(cx)
        {
            self.is_to_flush = false;
            if let Err(error) = flushed {
                self.line.write_failed(error.into());
                return Poll::Ready(());
            }
        }
        self.poll_deadline(cx)
    }

    /// Waits for the session's deadline, and tells it.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(due) = self.line.deadline() {
            ready!(self.poll_alarm(cx, due));
            self.line.handle_timeout(self.inner.client.clock.now());
        }
        Poll::Ready(())
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>, due: Duration) -> Poll<()> {
        loop {
            let now = self.inner.client.clock.now().monotonic;
            if now >= due {
                self.alarm = None;
                return Poll::Ready(());
            }
            if self.alarm.as_ref().is_none_or(|(at, _)| *at != due) {
                let inner = self.inner.clone();
                let sleep = async move { inner.connector.sleep(due - now).await };
                self.alarm = Some((due, Box::pin(sleep)));
            }
            if let Some((_, sleep)) = &mut self.alarm {
                ready!(sleep.as_mut().poll(cx));
                // A clock that is not quite the connector's is asked again.
                self.alarm = None;
            }
        }
    }
}

impl<C: Connector> Drop for Driver<C> {
    fn drop(&mut self) {
        if !self.line.cancel() {
            return;
        }
        let now = self.inner.client.clock.now();
        let want = self.line.poll(&self.inner.client, now, &mut SysRng);
        if let (Ok(Want::Transfer), Some(connection)) = (want, &mut self.connection) {
            // What cannot be written at once is not waited for: the connection is closed anyway.
            let mut cx = Context::from_waker(Waker::noop());
            let _ = connection.poll_write(&mut cx, self.line.output());
            let _ = connection.poll_flush(&mut cx);
        }
    }
}

/// The pieces of an answer whose head was there.
pub(super) struct Pieces<C: Connector> {
    /// Gone once the answer has ended.
    pub(super) driver: Option<Driver<C>>,
    pub(super) exchange_id: [u8; EXCHANGE_ID_LEN],
}

impl<C: Connector> Stream for Pieces<C> {
    type Item = Result<SecureBytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Some(driver) = &mut self.driver {
            match ready!(driver.poll_event(cx)) {
                Ok(Some(Event::Data(piece))) => return Poll::Ready(Some(Ok(piece))),
                Ok(Some(_)) => {}
                Ok(None) => self.driver = None,
                Err(error) => {
                    self.driver = None;
                    let id = Some(self.exchange_id);
                    return Poll::Ready(Some(Err(error.in_exchange(id))));
                }
            }
        }
        Poll::Ready(None)
    }
}
