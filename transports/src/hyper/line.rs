//! The session between the driver and the request body that hyper polls.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use getrandom::SysRng;
use hyper::body::{Body, Frame};
use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;
use sealwire_core::Error as CoreError;
use sealwire_core::session::ClientSession;

use super::driver::Inner;
use crate::client::{Client, Event};
use crate::error::Error;

/// Ciphertext handed to hyper at once.
const UPLOAD_CHUNK: usize = 32 * 1024;

/// What the driver and the request body, which hyper polls elsewhere, have in common.
pub(super) struct Line {
    pub(super) session: ClientSession,
    pub(super) inner: Arc<Inner>,
    /// Counts the tries: the body of an earlier one must not take bytes of a later one.
    pub(super) turn: u64,
    /// Whoever waits for the deadline, which moves when the body is first polled.
    pub(super) waker: Option<Waker>,
    pub(super) failure: Option<CoreError>,
}

impl Line {
    /// hyper asks for the body, so there is a connection: the deadline is another.
    fn connected(&mut self) {
        self.session.handle_connected(self.inner.client.clock.now());
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Feeds the session from `chunk` up to the next event.
    pub(super) fn take(
        &mut self,
        chunk: &mut Bytes,
        client: &Client,
    ) -> Result<Option<Event>, Error> {
        let now = client.clock.now();
        loop {
            let consumed = self.session.handle_input(now, chunk, &mut SysRng);
            chunk.advance(consumed);
            if let Some(event) = self.session.poll_event(now, &mut SysRng) {
                let suite = client.config.session.suite;
                return Event::copy_from(event, suite, client.memory()).map(Some);
            }
            if consumed == 0 {
                return Ok(None);
            }
        }
    }
}

/// Waits for `work` until the session's deadline; `None` if that came first, and the session knows it.
pub(super) async fn within<T>(
    client: &Client,
    line: &Mutex<Line>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    let mut alarm: Option<(Duration, Pin<Box<dyn Sleep>>)> = None;
    poll_fn(|cx| {
        if let Poll::Ready(value) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        loop {
            let due = {
                let mut line = lock(line);
                line.waker = Some(cx.waker().clone());
                line.session.poll_timeout()
            };
            let Some(due) = due else {
                return Poll::Ready(None);
            };
            let (_, sleep) = match &mut alarm {
                Some(alarm) if alarm.0 == due => alarm,
                other => {
                    let at = client.clock.instant(due);
                    other.insert((due, TokioTimer::new().sleep_until(at)))
                }
            };
            ready!(sleep.as_mut().poll(cx));
            alarm = None;
            lock(line).session.handle_timeout(client.clock.now());
        }
    })
    .await
}

pub(super) fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    // A panic in between ends the exchange anyway: the session stands where it stood.
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of a request: ciphertext, sealed as hyper asks for it. The default is empty.
///
/// It does not keep the session alive: when the driver is dropped, so are the secrets, whatever hyper still holds.
#[derive(Default)]
pub(super) struct Upload {
    pub(super) line: Option<Weak<Mutex<Line>>>,
    pub(super) turn: u64,
    pub(super) begun: bool,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let abandoned = || Poll::Ready(Some(Err(io::Error::other("the request was abandoned"))));
        let Some(weak) = &self.line else {
            return Poll::Ready(None);
        };
        let Some(line) = weak.upgrade() else {
            return abandoned();
        };
        let mut line = lock(&line);
        if line.turn != self.turn || !line.session.is_sending() {
            return abandoned();
        }
        if !std::mem::replace(&mut self.begun, true) {
            line.connected();
        }
        let mut buffer = vec![0; UPLOAD_CHUNK];
        match line.session.poll_transmit(&mut buffer) {
            Ok(0) => Poll::Ready(None),
            Ok(count) => {
                buffer.truncate(count);
                Poll::Ready(Some(Ok(Frame::data(buffer.into()))))
            }
            Err(error) => {
                line.failure = Some(error);
                abandoned()
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.line.is_none()
    }
}
