//! One stream that is there already: a serial line, a socket, a pipe.

use alloc::boxed::Box;
use alloc::string::String;
use core::cell::RefCell;
use core::fmt;
use core::time::Duration;

use rand_core::TryCryptoRng;
use sealwire_core::Now;
use sealwire_core::session::Failure;

use super::client::SecureChatCompletion;
use super::link::{Link, OpenError, Transport};
use crate::client::Client;
use crate::client::ClientBuilder;
use crate::error::Error;

/// The clocks of a device.
pub trait Clock {
    /// The time. A device that does not know the date says [`UnixTime::UNKNOWN`](sealwire_core::UnixTime::UNKNOWN), and learns it
    /// from the gateway.
    fn now(&mut self) -> Now;

    /// Waits until the monotonic clock shows this.
    fn sleep_until(&mut self, monotonic: Duration);
}

/// A stream that its caller opened, and that carries one exchange after another (spec section 13).
pub struct Wired<S, C, R> {
    stream: RefCell<Stream<S>>,
    clock: RefCell<C>,
    random: RefCell<R>,
}

enum Stream<S> {
    Idle(S),
    Taken,
    /// An exchange ended in a way that nothing can follow (ORDER-7).
    OutOfStep(S),
}

impl<S, C, R> SecureChatCompletion<Wired<S, C, R>>
where
    S: Link,
    C: Clock,
    R: TryCryptoRng,
{
    /// Sets up a client over a raw stream that is there already.
    ///
    /// It carries one request at a time: another one, while an answer is still being read, fails. Dropping an answer that is
    /// not whole sends CANCEL and waits for the gateway to confirm it.
    ///
    /// ```no_run
    /// use sealwire::blocking::{Clock, NoDeadline, SecureChatCompletion};
    /// use sealwire::chat::{ChatRequest, Message};
    /// # fn example(
    /// #     uart: impl embedded_io::Read + embedded_io::Write,
    /// #     clock: impl Clock,
    /// #     random: impl rand_core::TryCryptoRng,
    /// # ) -> Result<(), sealwire::Error> {
    /// let client = SecureChatCompletion::over(NoDeadline(uart), clock, random)
    ///     .api_key("sk-...")
    ///     .pin("sha256:0c5e...".parse().expect("a pin"))
    ///     .build()?;
    /// let request = ChatRequest::new("some-model").message(Message::user("Say hello"));
    /// for chunk in client.stream(&request)? {
    ///     let text = chunk?.text(client.memory())?;
    ///     // show it
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn over(stream: S, clock: C, random: R) -> ClientBuilder<Wired<S, C, R>> {
        ClientBuilder::new(
            String::new(),
            Wired {
                stream: RefCell::new(Stream::Idle(stream)),
                clock: RefCell::new(clock),
                random: RefCell::new(random),
            },
        )
    }

    /// Whether the stream may carry another request. It may not while an answer is being read, and not after an answer that was
    /// cut off: [`replace_stream`](Self::replace_stream) then.
    pub fn is_in_step(&self) -> bool {
        matches!(&*self.transport.stream.borrow(), Stream::Idle(_))
    }

    /// Goes on over another stream, and returns the old one.
    ///
    /// # Errors
    /// The stream that was given, if an answer is being read from the old one.
    pub fn replace_stream(&self, stream: S) -> Result<S, S> {
        let mut state = self.transport.stream.borrow_mut();
        if matches!(*state, Stream::Taken) {
            return Err(stream);
        }
        match core::mem::replace(&mut *state, Stream::Idle(stream)) {
            Stream::Idle(old) | Stream::OutOfStep(old) => Ok(old),
            Stream::Taken => unreachable!("looked at above"),
        }
    }
}

impl<S, C, R> ClientBuilder<Wired<S, C, R>> {
    /// The client.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), which says what to change.
    pub fn build(self) -> Result<SecureChatCompletion<Wired<S, C, R>>, Error> {
        let (config, transport) = self.check_stream()?;
        Ok(SecureChatCompletion {
            client: Client::new(config),
            transport,
        })
    }
}

impl<S, C, R> Transport for Wired<S, C, R>
where
    S: Link,
    C: Clock,
    R: TryCryptoRng,
{
    type Link = S;
    type Random = R;

    fn open(&self, _: Duration) -> Result<(S, bool), OpenError> {
        let (state, why) = match self.stream.replace(Stream::Taken) {
            Stream::Idle(stream) => return Ok((stream, false)),
            Stream::Taken => (Stream::Taken, "an answer is still being read from it"),
            Stream::OutOfStep(stream) => (
                Stream::OutOfStep(stream),
                "the last exchange on it was cut off; give the client another by `replace_stream`",
            ),
        };
        *self.stream.borrow_mut() = state;
        Err(OpenError {
            // Nothing that time heals: the session must not wait for it.
            failure: Failure::Gone,
            source: Some(Box::new(Busy(why))),
        })
    }

    fn put_back(&self, mut link: S, fit: bool) {
        // Also behind an exchange that came to its end: noise on a line before the next must not spoil that one's first packet.
        let goes_on = link.forget();
        *self.stream.borrow_mut() = match fit || goes_on {
            true => Stream::Idle(link),
            false => Stream::OutOfStep(link),
        };
    }

    fn is_irreplaceable(&self) -> bool {
        true
    }

    fn now(&self) -> Now {
        self.clock.borrow_mut().now()
    }

    fn sleep_until(&self, monotonic: Duration) {
        self.clock.borrow_mut().sleep_until(monotonic);
    }

    fn with_random<T>(&self, f: impl FnOnce(&mut R) -> T) -> T {
        f(&mut self.random.borrow_mut())
    }
}

/// Why the stream cannot be had.
#[derive(Debug)]
struct Busy(&'static str);

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the stream is not free: {}", self.0)
    }
}

impl core::error::Error for Busy {}

impl<S, C, R> fmt::Debug for Wired<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wired").finish_non_exhaustive()
    }
}
