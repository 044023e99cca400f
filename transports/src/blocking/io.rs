//! The I/O of one request, with blocking calls.

use core::task::{Context, Poll};
use core::time::Duration;

use embedded_io::{Read, Write};
use sealwire_core::Now;
use sealwire_core::keys::KeySet;

use super::link::{Interest, Link, Ready, Transport, is_passing};
use crate::client::{Client, Drive, Event, Task};
use crate::error::Error;
use crate::line::{Driver, Io, Moved, Opened};

/// One request's stream. Nothing is ever pending.
struct Request<'a, T: Transport> {
    client: &'a Client,
    transport: &'a T,
    link: Option<T::Link>,
    /// There was something to write, and something else was done.
    passed_over: bool,
}

/// What drives an answer that blocks.
#[derive(Debug)]
pub struct Blocking<'a, T: Transport>(Driver<Request<'a, T>>);

impl<'a, T: Transport> Blocking<'a, T> {
    pub(super) const fn new(client: &'a Client, transport: &'a T, task: Task) -> Self {
        let request = Request {
            client,
            transport,
            link: None,
            passed_over: false,
        };
        Self(Driver::new(request, task))
    }
}

impl<T: Transport> Drive for Blocking<'_, T> {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, Error>> {
        self.0.poll_event(cx)
    }

    fn key_set(&self) -> Result<KeySet, Error> {
        self.0.key_set()
    }
}

impl<T: Transport> Io for Request<'_, T> {
    type Random = T::Random;

    fn client(&self) -> &Client {
        self.client
    }

    fn now(&self) -> Now {
        self.transport.now()
    }

    fn with_random<R>(&self, f: impl FnOnce(&mut T::Random) -> R) -> R {
        self.transport.with_random(f)
    }

    fn poll_open(&mut self, _: &mut Context<'_>, due: Duration) -> Poll<Opened> {
        let timeout = due.saturating_sub(self.now().monotonic);
        let (link, opened) = match self.transport.open(timeout) {
            Ok((link, false)) => (Some(link), Opened::New),
            Ok((link, true)) => (Some(link), Opened::Kept),
            Err(error) => (None, Opened::Failed(error.failure, error.source)),
        };
        self.link = link;
        Poll::Ready(opened)
    }

    fn poll_transfer(
        &mut self,
        _: &mut Context<'_>,
        buffer: &mut [u8],
        output: &[u8],
        due: Duration,
    ) -> Poll<Moved> {
        let timeout = due.saturating_sub(self.now().monotonic);
        let Some(link) = self.link.as_mut().filter(|_| !timeout.is_zero()) else {
            return Poll::Ready(Moved::TimedOut);
        };
        let can_write = |ready: &Result<_, _>| matches!(ready, Ok(Ready::Write));
        // A CANCEL must leave, also where there is always more of the answer to read.
        let its_turn = self.passed_over && can_write(&link.wait(Interest::Write, Duration::ZERO));
        let may_write = !output.is_empty();
        let ready = link.wait(Interest::new(!(may_write && its_turn), may_write), timeout);
        self.passed_over = may_write && !can_write(&ready);
        let moved = ready.and_then(|ready| match ready {
            Ready::Read => link.read(buffer).map(Moved::Read),
            Ready::Write => match link.write(output) {
                Ok(count) if count == output.len() => link.flush().map(|()| Moved::Wrote(count)),
                Ok(count) => Ok(Moved::Wrote(count)),
                Err(error) if is_passing(&error) => Err(error),
                Err(error) => Ok(Moved::Deaf(T::Link::cause(error))),
            },
            _ => Ok(Moved::TimedOut),
        });
        Poll::Ready(match moved {
            Ok(moved) => moved,
            Err(error) if is_passing(&error) => Moved::TimedOut,
            Err(error) => Moved::Broken(T::Link::cause(error)),
        })
    }

    fn try_write(&mut self, output: &[u8]) {
        if let Some(link) = &mut self.link
            && let Ok(Ready::Write) = link.wait(Interest::Write, Duration::ZERO)
        {
            let _ = link.write(output);
            // Under TLS it leaves only now.
            let _ = link.wait(Interest::Write, Duration::ZERO);
        }
    }

    fn poll_sleep(&mut self, _: &mut Context<'_>, until: Duration) -> Poll<()> {
        self.transport.sleep_until(until);
        Poll::Ready(())
    }

    fn close(&mut self, fit: bool) {
        if let Some(link) = self.link.take() {
            self.transport.put_back(link, fit);
        }
    }

    fn is_irreplaceable(&self) -> bool {
        self.transport.is_irreplaceable()
    }
}
