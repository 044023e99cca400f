//! The session between the driver and the request body, which the HTTP library polls elsewhere.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use getrandom::SysRng;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;
use sealwire_core::Error as CoreError;

use super::client::Remote;
use crate::client::{Event, Next, Task};
use crate::error::Error;

/// Ciphertext handed to the HTTP library at once.
const UPLOAD_CHUNK: usize = 32 * 1024;

/// What the driver and the request body have in common.
pub(super) struct Line {
    pub(super) task: Task,
    remote: Arc<Remote>,
    /// Counts the tries: the body of an earlier one must not take bytes of a later one.
    turn: u64,
    /// Whoever waits for the deadline, which moves when there is a connection.
    waker: Option<Waker>,
    pub(super) failure: Option<CoreError>,
}

impl Line {
    pub(super) fn new(remote: Arc<Remote>, task: Task) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            task,
            remote,
            turn: 0,
            waker: None,
            failure: None,
        }))
    }

    /// There is a connection: the deadline is another.
    pub(super) fn connected(&mut self) {
        self.task
            .session
            .handle_connected(self.remote.client.clock.now());
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// What to do next.
    pub(super) fn step(&mut self) -> Result<Next, Error> {
        let client = &self.remote.client;
        self.task.step(client, client.clock.now(), &mut SysRng)
    }

    /// Feeds the session from `chunk` up to the next event.
    pub(super) fn take(&mut self, chunk: &mut Bytes) -> Result<Option<Event>, Error> {
        let client = &self.remote.client;
        let now = client.clock.now();
        let (taken, event) = self.task.take(client, now, chunk, &mut SysRng)?;
        chunk.advance(taken);
        Ok(event)
    }
}

/// Waits for `work` until the session's deadline; `None` if that came first, and the session knows it.
pub(super) async fn within<T>(
    remote: &Remote,
    line: &Mutex<Line>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let clock = &remote.client.clock;
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
                line.task.session.poll_timeout()
            };
            let Some(due) = due else {
                return Poll::Ready(None);
            };
            let (_, sleep) = match &mut alarm {
                Some(alarm) if alarm.0 == due => alarm,
                other => other.insert((due, TokioTimer::new().sleep_until(clock.instant(due)))),
            };
            ready!(sleep.as_mut().poll(cx));
            alarm = None;
            lock(line).task.session.handle_timeout(clock.now());
        }
    })
    .await
}

pub(super) fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    // A panic in between ends the exchange anyway: the session stands where it stood.
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of a client's HTTP request: ciphertext, sealed as the HTTP library asks for it. Empty where keys are fetched.
///
/// It does not keep the session alive: when whoever waits for the answer is gone, so are the secrets, whatever the HTTP
/// library still holds, and the upload ends with an error.
#[derive(Default)]
pub struct SealedUpload {
    line: Option<Weak<Mutex<Line>>>,
    turn: u64,
    begun: bool,
}

impl SealedUpload {
    /// The body of the next try.
    pub(super) fn next(line: &Arc<Mutex<Line>>) -> Self {
        let mut locked = lock(line);
        locked.turn += 1;
        Self {
            line: Some(Arc::downgrade(line)),
            turn: locked.turn,
            begun: false,
        }
    }
}

impl Body for SealedUpload {
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
        if line.turn != self.turn || !line.task.session.is_sending() {
            return abandoned();
        }
        // Whoever asks for the body has a connection.
        if !std::mem::replace(&mut self.begun, true) {
            line.connected();
        }
        let mut buffer = vec![0; UPLOAD_CHUNK];
        match line.task.session.poll_transmit(&mut buffer) {
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

    fn size_hint(&self) -> SizeHint {
        match self.line {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl std::fmt::Debug for SealedUpload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedUpload").finish_non_exhaustive()
    }
}
