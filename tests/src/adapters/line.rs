//! What stands between a client and a gateway and misbehaves: a proxy of bytes, which knows nothing of what they mean.
//!
//! A [`Line`] is made first, so that a model can hold it: what a trap counts begins when the model, or the test, sets it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// How bytes leave the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// As they come.
    #[default]
    Whole,
    /// One by one.
    Dribble,
    /// In pieces of 1, 2, 3, 5, 8, ... 233 bytes, and again from 1.
    Stutter,
}

/// What happens after a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// A pause, so that what comes before is read without what comes after.
    Split,
    /// The connection closes.
    Close,
    /// The connection is reset.
    Reset,
}

/// The pause of [`Trap::Split`]: a reader that is awake reads within it. One that is not sees both parts at once, which
/// proves less, and is no mistake.
const PAUSE: Duration = Duration::from_micros(200);

/// One direction of a line.
#[derive(Default)]
pub struct Direction(Mutex<State>);

#[derive(Default)]
struct State {
    pace: Pace,
    trap: Option<(usize, Trap)>,
    is_lasting: bool,
    passed: usize,
    record: Option<Vec<u8>>,
}

impl Direction {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on bytes leave like this.
    pub fn set_pace(&self, pace: Pace) {
        self.state().pace = pace;
    }

    /// After this many bytes more, whichever connection they are on, `trap` happens once; before any is let through if it
    /// is none. Bytes are counted anew.
    pub fn set_trap(&self, after: usize, trap: Trap) {
        let mut state = self.state();
        state.passed = 0;
        state.trap = Some((after, trap));
        state.is_lasting = false;
    }

    /// The same again and again: after as many bytes on the next connection too, until [`disarm`](Self::disarm).
    pub fn set_lasting_trap(&self, after: usize, trap: Trap) {
        self.set_trap(after, trap);
        self.state().is_lasting = true;
    }

    /// Takes the trap away. Bytes are counted anew.
    pub fn disarm(&self) {
        let mut state = self.state();
        state.passed = 0;
        state.trap = None;
    }

    /// Bytes let through since they were last counted anew.
    pub fn passed(&self) -> usize {
        self.state().passed
    }

    /// From now on what passes is written down.
    pub fn record(&self) {
        self.state().record = Some(Vec::new());
    }

    /// What was written down.
    pub fn recorded(&self) -> Vec<u8> {
        self.state().record.clone().unwrap_or_default()
    }

    /// Lets bytes through; returns how to end the connection, if that is due.
    fn pass(&self, bytes: &[u8], to: &TcpStream) -> io::Result<Option<Trap>> {
        let (pace, trap) = {
            let mut state = self.state();
            if let Some(record) = &mut state.record {
                record.extend_from_slice(bytes);
            }
            let passed = state.passed;
            let trap = state
                .trap
                .take_if(|(after, _)| *after <= passed + bytes.len())
                .map(|(after, trap)| (after - passed, trap));
            match trap {
                Some((after, trap)) if state.is_lasting => {
                    state.trap = Some((state.passed + after, trap));
                    state.passed = 0;
                }
                Some((after, Trap::Close | Trap::Reset)) => state.passed += after,
                _ => state.passed += bytes.len(),
            }
            (state.pace, trap)
        };
        let Some((after, trap)) = trap else {
            write(to, bytes, pace)?;
            return Ok(None);
        };
        write(to, &bytes[..after], pace)?;
        if trap != Trap::Split {
            return Ok(Some(trap));
        }
        thread::sleep(PAUSE);
        write(to, &bytes[after..], pace)?;
        Ok(None)
    }
}

fn write(mut to: &TcpStream, bytes: &[u8], pace: Pace) -> io::Result<()> {
    let mut rest = bytes;
    let (mut size, mut next) = (1, 2);
    while !rest.is_empty() {
        let count = match pace {
            Pace::Whole => rest.len(),
            Pace::Dribble => 1,
            Pace::Stutter => size.min(rest.len()),
        };
        to.write_all(&rest[..count])?;
        rest = &rest[count..];
        (size, next) = if next > 233 {
            (1, 2)
        } else {
            (next, size + next)
        };
        if pace != Pace::Whole {
            // The reader's turn.
            thread::yield_now();
        }
    }
    Ok(())
}

/// A line that can be set to misbehave.
#[derive(Clone, Default)]
pub struct Line(Arc<Shared>);

#[derive(Default)]
struct Shared {
    up: Direction,
    down: Direction,
    connections: Mutex<Vec<Weak<Connection>>>,
    closed: AtomicBool,
}

/// Both ends of a connection through the line.
struct Connection {
    client: TcpStream,
    gateway: TcpStream,
}

impl Line {
    /// A line that behaves, not yet laid.
    pub fn new() -> Self {
        Self::default()
    }

    /// From the client to the gateway.
    pub fn up(&self) -> &Direction {
        &self.0.up
    }

    /// From the gateway to the client.
    pub fn down(&self) -> &Direction {
        &self.0.down
    }

    /// Closes every connection.
    pub fn hang_up(&self) {
        for connection in self.connections().drain(..) {
            if let Some(connection) = connection.upgrade() {
                connection.end(Trap::Close);
            }
        }
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Weak<Connection>>> {
        let connections = &self.0.connections;
        connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lays it to `gateway`, and says where it begins.
    pub(super) fn lay(&self, gateway: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let line = self.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                if line.0.closed.load(Ordering::SeqCst) {
                    return;
                }
                // Either end may be gone: then there is no connection.
                if let Ok(client) = client {
                    let _ = line.connect(client, gateway);
                }
            }
        });
        address
    }

    /// Ends it.
    pub(super) fn close(&self, address: SocketAddr) {
        self.0.closed.store(true, Ordering::SeqCst);
        self.hang_up();
        // Wakes whoever accepts.
        drop(TcpStream::connect(address));
    }

    fn connect(&self, client: TcpStream, gateway: SocketAddr) -> io::Result<()> {
        let gateway = TcpStream::connect(gateway)?;
        client.set_nodelay(true)?;
        gateway.set_nodelay(true)?;
        let connection = Arc::new(Connection { client, gateway });
        self.connections().push(Arc::downgrade(&connection));
        let (line, both) = (self.clone(), connection.clone());
        thread::spawn(move || both.pump(line.up(), &both.client, &both.gateway));
        let line = self.clone();
        thread::spawn(move || {
            connection.pump(line.down(), &connection.gateway, &connection.client);
        });
        Ok(())
    }
}

impl Connection {
    fn pump(&self, direction: &Direction, mut from: &TcpStream, to: &TcpStream) {
        let mut buffer = [0; 16 * 1024];
        loop {
            let passed = match from.read(&mut buffer) {
                Ok(0) => {
                    // The other direction may go on.
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Ok(count) => direction.pass(&buffer[..count], to),
                Err(error) => Err(error),
            };
            match passed {
                Ok(None) => {}
                Ok(Some(trap)) => return self.end(trap),
                Err(_) => return self.end(Trap::Close),
            }
        }
    }

    fn end(&self, how: Trap) {
        for end in [&self.client, &self.gateway] {
            // What has ended already cannot be ended again, and need not.
            let _ = match how {
                Trap::Reset => {
                    // Reset when the last thread lets go of it, which this makes it do.
                    reset_when_dropped(end);
                    end.shutdown(Shutdown::Read)
                }
                _ => end.shutdown(Shutdown::Both),
            };
        }
    }
}

#[cfg(unix)]
fn reset_when_dropped(stream: &TcpStream) {
    let linger = Some(Duration::ZERO);
    rustix::net::sockopt::set_socket_linger(stream, linger).expect("an open socket");
}

/// Without a way to ask for a reset, closing has to do.
#[cfg(not(unix))]
fn reset_when_dropped(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}
