//! The loop around a line: what [`Want`] asks for, done with blocking calls.

use alloc::vec::Vec;
use core::time::Duration;

use embedded_io::{ErrorKind, Read, Write};
use sealwire_core::exchange::Request;
use sealwire_core::keys::KeySet;

use super::link::{Interest, Link, Ready, Transport};
use crate::client::{Client, Event};
use crate::error::Error;
use crate::line::{BUFFER, Line, Want};

/// Carries one request to its answer. Dropping it cancels.
pub(super) struct Driver<'a, T: Transport> {
    client: &'a Client,
    transport: &'a T,
    line: Line,
    link: Option<T::Link>,
    buffer: Vec<u8>,
}

impl<'a, T: Transport> Driver<'a, T> {
    pub(super) fn new(
        client: &'a Client,
        transport: &'a T,
        request: Request,
    ) -> Result<Self, Error> {
        let line = Line::new(client, request, transport.now())?;
        Ok(Self::over(client, transport, line))
    }

    fn over(client: &'a Client, transport: &'a T, line: Line) -> Self {
        Self {
            client,
            transport,
            line,
            link: None,
            buffer: Vec::new(),
        }
    }

    /// The gateway's keys, not judged: goes no further than that.
    pub(super) fn key_set(client: &'a Client, transport: &'a T) -> Result<KeySet, Error> {
        let line = Line::for_keys(client, transport.now())?;
        let mut driver = Self::over(client, transport, line);
        while driver.next()?.is_some() {}
        driver.line.key_set()
    }

    /// The next event of the answer; `None` once it was whole.
    pub(super) fn next(&mut self) -> Result<Option<Event>, Error> {
        let transport = self.transport;
        loop {
            let now = transport.now();
            let want = transport.with_random(|random| self.line.poll(self.client, now, random));
            match want? {
                Want::Connect => self.connect()?,
                Want::Transfer => self.transfer(),
                Want::Release => self.put_back(true),
                Want::Close => self.put_back(false),
                Want::Wait(until) => transport.sleep_until(until),
                Want::Event(event) => return Ok(Some(event)),
                Want::Done => return Ok(None),
            }
        }
    }

    /// How long whatever is waited for may take.
    fn time_left(&self) -> Duration {
        let now = self.transport.now().monotonic;
        self.line.deadline().unwrap_or(now).saturating_sub(now)
    }

    fn connect(&mut self) -> Result<(), Error> {
        let opened = self.transport.open(self.time_left());
        let now = self.transport.now();
        match opened {
            Ok((link, is_kept)) => {
                self.link = Some(link);
                self.line.connected(self.client, now, is_kept)
            }
            Err(error) => {
                self.line.handle_timeout(now);
                self.transport.with_random(|random| {
                    let (failure, source) = (error.failure, error.source);
                    self.line.connect_failed(now, failure, source, random);
                });
                Ok(())
            }
        }
    }

    /// Writes or reads once, whichever can be done first.
    fn transfer(&mut self) {
        let timeout = self.time_left();
        let Some(link) = self.link.as_mut().filter(|_| !timeout.is_zero()) else {
            return self.line.handle_timeout(self.transport.now());
        };
        let output = self.line.output();
        let done = link
            .wait(Interest::new(true, !output.is_empty()), timeout)
            .and_then(|ready| match ready {
                Ready::Read => {
                    self.buffer.resize(BUFFER, 0);
                    link.read(&mut self.buffer).map(Done::Read)
                }
                Ready::Write => match link.write(output) {
                    Ok(count) if count == output.len() => link.flush().map(|()| Done::Wrote(count)),
                    Ok(count) => Ok(Done::Wrote(count)),
                    // It may have said why, so reading goes on.
                    Err(error) if !is_passing(&error) => Ok(Done::Deaf(error)),
                    Err(error) => Err(error),
                },
                _ => Ok(Done::Nothing),
            });
        let now = self.transport.now();
        self.transport.with_random(|random| match done {
            Ok(Done::Read(0)) => self.line.handle_end(now, None, random),
            Ok(Done::Read(count)) => self.line.handle_input(now, &self.buffer[..count], random),
            Ok(Done::Wrote(count)) => self.line.wrote(count),
            Ok(Done::Deaf(error)) => self.line.write_failed(T::Link::cause(error)),
            Ok(Done::Nothing) => self.line.handle_timeout(now),
            Err(error) if is_passing(&error) => self.line.handle_timeout(now),
            Err(error) => self
                .line
                .handle_end(now, Some(T::Link::cause(error)), random),
        });
    }

    /// Writes what can be written without a wait: CANCEL, before the connection is closed.
    fn try_to_write(&mut self) {
        let (client, now) = (self.client, self.transport.now());
        let line = &mut self.line;
        let want = self
            .transport
            .with_random(|random| line.poll(client, now, random));
        let (Ok(Want::Transfer), Some(link)) = (want, &mut self.link) else {
            return;
        };
        if let Ok(Ready::Write) = link.wait(Interest::Write, Duration::ZERO) {
            let _ = link.write(line.output());
            // Under TLS it leaves only now.
            let _ = link.wait(Interest::Write, Duration::ZERO);
        }
    }

    fn put_back(&mut self, fit: bool) {
        if let Some(link) = self.link.take() {
            self.transport.put_back(link, fit);
        }
    }
}

enum Done<E> {
    Read(usize),
    Wrote(usize),
    Deaf(E),
    Nothing,
}

/// Whether the stream is still there after this error.
pub(super) fn is_passing(error: &impl embedded_io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl<T: Transport> Drop for Driver<'_, T> {
    fn drop(&mut self) {
        if self.link.is_some() && self.line.cancel() {
            // CANCEL goes out, and what still comes is thrown away; how that ends is of no interest.
            if self.transport.is_irreplaceable() {
                while let Ok(Some(_)) = self.next() {}
            } else {
                self.try_to_write();
            }
        }
        self.put_back(false);
    }
}
