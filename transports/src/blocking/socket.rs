//! A TCP connection with deadlines.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::link::Ready;

/// A TCP connection that never blocks but in [`wait`](Self::wait), where the platform lets it.
pub(super) struct Socket(TcpStream);

impl Socket {
    /// Tries each address of the host. Looking it up is the platform's, and takes as long as it takes.
    pub(super) fn connect(host: &str, port: u16, deadline: Instant) -> io::Result<Self> {
        let mut last = io::ErrorKind::NotFound.into();
        for address in (host, port).to_socket_addrs()? {
            // A timeout of zero is an error of another kind.
            let left = deadline.saturating_duration_since(Instant::now());
            match TcpStream::connect_timeout(&address, left.max(Duration::from_millis(1))) {
                Ok(stream) => return Self::new(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(cfg!(unix))?;
        Ok(Self(stream))
    }

    /// Waits until one of these can be done; reading comes first.
    #[cfg(unix)]
    pub(super) fn wait(&self, read: bool, write: bool, timeout: Duration) -> io::Result<Ready> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};

        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, read);
        wanted.set(PollFlags::OUT, write);
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let mut sockets = [PollFd::new(&self.0, wanted)];
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // Without a limit where it is too long to be told.
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(&mut sockets, left.as_ref()) {
                Ok(0) => return Ok(Ready::TimedOut),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            // What is neither is an error of the connection: either call tells which.
            let only_write = sockets[0].revents() == PollFlags::OUT;
            return Ok(match read && !only_write {
                true => Ready::Read,
                false => Ready::Write,
            });
        }
    }

    /// Sets the time that the next call may take. A reply that comes while a write blocks is seen when that is over.
    #[cfg(not(unix))]
    pub(super) fn wait(&self, read: bool, write: bool, timeout: Duration) -> io::Result<Ready> {
        let timeout = Some(timeout.max(Duration::from_millis(1)));
        self.0.set_read_timeout(timeout)?;
        self.0.set_write_timeout(timeout)?;
        Ok(match write || !read {
            true => Ready::Write,
            false => Ready::Read,
        })
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(timed_out)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What some platforms call a timeout.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}
