//! A TCP connection with deadlines.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::{fd::AsFd, unix::net::UnixStream};
#[cfg(unix)]
use std::sync::Arc;
#[cfg(unix)]
use std::task::Wake;
use std::task::Waker;
use std::time::{Duration, Instant};

#[cfg(unix)]
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::link::Ready;

/// A TCP connection that never blocks but in [`wait`](Self::wait), where the platform lets it.
pub(super) struct Socket {
    stream: TcpStream,
    /// Where the waker's bytes arrive, once there is one.
    #[cfg(unix)]
    alarm: Option<UnixStream>,
}

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
        Ok(Self {
            stream,
            #[cfg(unix)]
            alarm: None,
        })
    }

    /// What ends [`wait`](Self::wait) from another thread.
    #[cfg(unix)]
    pub(super) fn waker(&mut self) -> io::Result<Option<Waker>> {
        struct Bell(UnixStream);
        impl Wake for Bell {
            fn wake(self: Arc<Self>) {
                // If it is full, there is enough in it to be woken by.
                let _ = (&self.0).write(&[1]);
            }
        }
        let (alarm, bell) = UnixStream::pair()?;
        alarm.set_nonblocking(true)?;
        bell.set_nonblocking(true)?;
        self.alarm = Some(alarm);
        Ok(Some(Arc::new(Bell(bell)).into()))
    }

    #[cfg(not(unix))]
    pub(super) fn waker(&mut self) -> io::Result<Option<Waker>> {
        Ok(None)
    }

    /// Woken by whoever has the waker.
    #[cfg(unix)]
    fn is_woken(&self) -> bool {
        let mut alarm = self.alarm.as_ref();
        let mut is_woken = false;
        while let Some(Ok(1..)) = alarm.as_mut().map(|alarm| alarm.read(&mut [0; 64])) {
            is_woken = true;
        }
        is_woken
    }

    /// Waits until one of these can be done; reading comes first.
    #[cfg(unix)]
    pub(super) fn wait(&self, read: bool, write: bool, timeout: Duration) -> io::Result<Ready> {
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, read);
        wanted.set(PollFlags::OUT, write);
        let deadline = Instant::now().checked_add(timeout);
        let alarm = self
            .alarm
            .as_ref()
            .map_or(self.stream.as_fd(), |alarm| alarm.as_fd());
        // That a connection hung up is told whether it was asked or not: one of which nothing is wanted is not looked at.
        let from = usize::from(wanted.is_empty());
        let to = 1 + usize::from(self.alarm.is_some());
        loop {
            let mut watched = [
                PollFd::from_borrowed_fd(self.stream.as_fd(), wanted),
                PollFd::from_borrowed_fd(alarm, PollFlags::IN),
            ];
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // Without a limit where it is too long to be told.
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(&mut watched[from..to], left.as_ref()) {
                Ok(0) => return Ok(Ready::TimedOut),
                Ok(_) if watched[0].revents().is_empty() => {
                    if self.is_woken() {
                        return Ok(Ready::Woken);
                    }
                    continue;
                }
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            // What is neither is an error of the connection: either call tells which.
            let only_write = watched[0].revents() == PollFlags::OUT;
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
        self.stream.set_read_timeout(timeout)?;
        self.stream.set_write_timeout(timeout)?;
        Ok(match write || !read {
            true => Ready::Write,
            false => Ready::Read,
        })
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer).map_err(timed_out)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes).map_err(timed_out)
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
