//! A device at one end of a serial line and a gateway at the other. Frames travel in packets of COBS.
//!
//! The line is a TCP connection: it stands as long as its device, is never opened anew, and carries one exchange at a time.

use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use getrandom::SysRng;
use sealwire::blocking::{Clock, Cobs, Connection, SecureChatCompletion, Wired, serve};
use sealwire::chat::ChatRequest;
use sealwire::core::Now;
use sealwire::core::exchange::Request;
use sealwire::core::keys::{KeySet, Pin};
use sealwire::memlock::SecureBytes;
use sealwire::{Error, Metadata};

use super::{
    Answer, Chunks, Client, Completion, Gateway, GatewaySettings, Pieces, Settings, blocking, now,
};

/// The largest frame, type and length included.
const FRAME: usize = 16_404;

type Line = Cobs<Connection, Vec<u8>>;
type Device = SecureChatCompletion<Wired<Line, SinceStart, SysRng>>;

/// The client.
///
/// # Errors
/// If it cannot be set up.
///
/// # Panics
/// Without a gateway at the other end.
pub fn client(settings: &Settings) -> Result<Box<dyn Client>, Error> {
    let address = settings.url.strip_prefix("tcp://").expect("a line");
    let line = TcpStream::connect(address).and_then(Connection::tcp);
    let line = Cobs::client(line.expect("a gateway"), vec![0; FRAME]);
    let clock = SinceStart(Instant::now());
    let device = settings.apply(SecureChatCompletion::over(line, clock, SysRng));
    Ok(Box::new(Shared(Arc::new(Mutex::new(device.build()?)))))
}

/// Starts the gateway.
///
/// # Panics
/// Without a port, randomness or memory.
pub fn gateway(settings: GatewaySettings) -> Box<dyn Gateway> {
    blocking::start(settings, |gateway, stream, _| {
        let line = Connection::tcp(stream)?;
        serve(gateway, Cobs::gateway(line, vec![0; FRAME]))
    })
}

/// The clocks of a device.
struct SinceStart(Instant);

impl Clock for SinceStart {
    fn now(&mut self) -> Now {
        Now {
            monotonic: self.0.elapsed(),
            unix: now(),
        }
    }

    fn sleep_until(&mut self, monotonic: Duration) {
        thread::sleep(monotonic.saturating_sub(self.0.elapsed()));
    }
}

/// A device is one thread's at a time.
struct Shared(Arc<Mutex<Device>>);

type Items<'a, T> = Box<dyn Iterator<Item = Result<T, Error>> + 'a>;

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Device> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer borrows the device, so a thread of its own has both: it takes the next item when it is asked for, and lets go
    /// of them when nobody can ask any more.
    fn begin<T: Send + 'static>(
        &self,
        begin: impl FnOnce(&Device) -> Result<(Metadata, Items<'_, T>), Error> + Send + 'static,
    ) -> Result<(Metadata, Items<'_, T>), Error> {
        let device = self.0.clone();
        let (begun, has_begun) = channel();
        let (ask, asked) = channel();
        let (answer, answered) = channel();
        thread::spawn(move || {
            let device = device.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever waits for any of it is on the other side of these channels, or has gone.
            let _ = match begin(&device) {
                Err(error) => begun.send(Err(error)),
                Ok((metadata, mut items)) => {
                    let _ = begun.send(Ok(metadata));
                    asked
                        .iter()
                        .try_for_each(|()| answer.send(items.next()))
                        .ok();
                    Ok(())
                }
            };
        });
        let metadata = has_begun.recv().expect("no panic")?;
        let items = std::iter::from_fn(move || {
            ask.send(()).expect("no panic");
            answered.recv().expect("no panic")
        });
        Ok((metadata, Box::new(items)))
    }
}

impl Client for Shared {
    fn create(&self, request: &ChatRequest<'_>) -> Result<Completion, Error> {
        self.lock().create(request).map(Into::into)
    }

    /// One after another.
    fn create_many(
        &self,
        request: &ChatRequest<'static>,
        count: usize,
    ) -> Vec<Result<Completion, Error>> {
        (0..count).map(|_| self.create(request)).collect()
    }

    fn stream(&self, request: &ChatRequest<'static>) -> Result<Chunks<'_>, Error> {
        let request = request.clone();
        let (metadata, items) = self.begin(move |device| {
            let stream = device.stream(&request)?;
            let metadata = stream.metadata().clone();
            let items = stream.map(|chunk| chunk.map(Into::into));
            Ok((metadata, Box::new(items) as Items<'_, _>))
        })?;
        Ok(Chunks { metadata, items })
    }

    fn request(&self, method: &str, path: &str, body: SecureBytes) -> Result<Answer, Error> {
        self.lock().request(method, path, body).map(Into::into)
    }

    fn send(&self, request: Request) -> Result<Pieces<'_>, Error> {
        let (metadata, items) = self.begin(move |device| {
            let stream = device.send(request)?;
            Ok((stream.metadata().clone(), Box::new(stream) as Items<'_, _>))
        })?;
        Ok(Pieces { metadata, items })
    }

    fn fetch_keys(&self) -> Result<KeySet, Error> {
        self.lock().fetch_keys()
    }

    fn gateway_pin(&self) -> Option<Pin> {
        self.lock().gateway_pin()
    }
}
