//! A session with what its driver remembers beside it.

use core::fmt;
use core::time::Duration;

use rand_core::TryCryptoRng;
use sealwire_core::keys::KeySet;
use sealwire_core::session::{ClientSession, GatewayState, SessionError, SessionEvent, Step};
use sealwire_core::{Error as CoreError, Malformed, Now};

use super::answer::Metadata;
use super::{Client, Event};
use crate::error::{Cause, Error};

/// A wait that whoever waits should know of.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// One request on its way to its answer.
pub struct Task {
    pub(crate) session: ClientSession,
    /// What went wrong on the way, in a library's words.
    pub(crate) cause: Option<Cause>,
    known: GatewayState,
    /// Whether the gateway's keys are all that is wanted.
    keys_only: bool,
    /// The wait that was logged.
    wait: Option<Duration>,
    /// How many tries there were.
    tries: u32,
}

/// What a driver does next.
pub(crate) enum Next {
    /// Fetch the keys.
    FetchKeys,
    /// Send the request, and feed what comes back.
    Send,
    /// Sleep until the monotonic clock shows this.
    Wait(Duration),
    /// Nothing: the answer was whole.
    Done,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}

impl Task {
    pub(super) fn new(session: ClientSession, keys_only: bool) -> Self {
        Self {
            known: session.gateway().clone(),
            session,
            keys_only,
            wait: None,
            tries: 1,
            cause: None,
        }
    }

    /// # Errors
    /// Why there is no answer.
    pub(crate) fn step<R: TryCryptoRng + ?Sized>(
        &mut self,
        client: &Client,
        now: Now,
        rng: &mut R,
    ) -> Result<Next, Error> {
        loop {
            let step = self.session.step(now, rng);
            client.learn(&mut self.known, &self.session);
            let step = step.map_err(|error| {
                let error = Error::from(error).after(self.tries);
                error.because(self.cause.take())
            })?;
            return Ok(match step {
                Step::FetchKeys => Next::FetchKeys,
                Step::Send => Next::Send,
                Step::Judge if !self.keys_only => {
                    client.judge(&mut self.session);
                    continue;
                }
                Step::Wait(until) => {
                    if self.wait.replace(until) != Some(until)
                        && let Some(reason) = self.session.retry_reason()
                    {
                        self.tries += 1;
                        log_wait(reason, until.saturating_sub(now.monotonic));
                    }
                    Next::Wait(until)
                }
                _ => Next::Done,
            });
        }
    }

    /// Feeds the session from `input` up to the next event, and says how much of it was taken.
    pub(crate) fn take<R: TryCryptoRng + ?Sized>(
        &mut self,
        client: &Client,
        now: Now,
        input: &[u8],
        rng: &mut R,
    ) -> Result<(usize, Option<Event>), Error> {
        let mut taken = 0;
        loop {
            let consumed = self.session.handle_input(now, &input[taken..], rng);
            taken += consumed;
            let event = match self.session.poll_event(now, rng) {
                None if consumed == 0 => return Ok((taken, None)),
                None => continue,
                Some(SessionEvent::Head(head)) => Event::Head(Metadata::new(
                    &head,
                    client.config.session.suite,
                    self.tries,
                )),
                Some(SessionEvent::Data(data)) => Event::Data(client.memory().copy_from(data)?),
                Some(_) => Event::Complete,
            };
            return Ok((taken, Some(event)));
        }
    }

    /// The gateway's keys, once a task that wanted no more is done.
    pub(crate) fn key_set(&self) -> Result<KeySet, Error> {
        let set = self.session.key_set().cloned();
        set.ok_or_else(|| CoreError::from(Malformed::Order).into())
    }
}

/// Says why there is to be another try: a gateway may ask for a long wait.
fn log_wait(reason: &SessionError, wait: Duration) {
    let level = match wait < LONG_WAIT {
        true => log::Level::Info,
        false => log::Level::Warn,
    };
    log::log!(level, "{reason}; next try in {:.1} s", wait.as_secs_f64());
}

/// Seconds of a `retry-after` field. The form with a date is not understood: it would need a calendar.
#[cfg(feature = "_host")]
pub(crate) fn retry_after(value: &str) -> Option<u32> {
    value.trim().parse().ok()
}
