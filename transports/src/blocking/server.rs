//! The gateway's side of a raw stream.

use std::sync::Arc;
use std::task::{Context, Wake};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::link::{Interest, Link, Ready, is_passing};
use crate::line::BUFFER;
use crate::server::{CLOSING, Doing, Handler, RawConnection, RawGateway};

/// Serves one raw stream on this thread: key sets and exchanges, one after another, until the client closes it or breaks the
/// protocol.
///
/// The handler's futures are polled on this thread too. While one waits, the stream is read from as well, so that a client that
/// cancels stops its handler: one that can be woken ([`Link::waker`]; [`Connection`](super::Connection) is one, on Unix) whatever
/// comes first, one that only keeps time in turns of 20 ms. Over a stream that does neither, CANCEL is heard when the handler
/// has the next piece.
///
/// ```no_run
/// # use sealwire::server::{Handler, RawGateway};
/// # fn example(gateway: RawGateway<impl Handler>, listener: std::net::TcpListener) -> std::io::Result<()> {
/// use sealwire::blocking::{Connection, serve};
///
/// for stream in listener.incoming() {
///     let (gateway, stream) = (gateway.clone(), Connection::tcp(stream?)?);
///     std::thread::spawn(move || serve(&gateway, stream));
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The stream's own. What a client does wrong is answered, and logged.
pub fn serve<H: Handler, L: Link>(gateway: &RawGateway<H>, mut link: L) -> Result<(), L::Error> {
    let start = Instant::now();
    let mut connection = RawConnection::new(gateway, start.elapsed());
    let mut buffer = vec![0; BUFFER];
    let link_waker = link.waker()?;
    let can_be_woken = link_waker.is_some();
    let waker = link_waker.unwrap_or_else(|| Arc::new(Parked(thread::current())).into());
    let mut cx = Context::from_waker(&waker);
    loop {
        if connection.poll(&mut cx, start.elapsed()) == Doing::Close {
            if connection.has_ended() || !link.forget() {
                // Under TLS what was written last leaves only now.
                let until = start.elapsed() + CLOSING;
                while let Ok(Ready::Woken) =
                    link.wait(Interest::Write, until.saturating_sub(start.elapsed()))
                {
                }
                return Ok(());
            }
            connection = RawConnection::new(gateway, start.elapsed());
            continue;
        }
        let (due, may_write) = (connection.deadline(), !connection.output().is_empty());
        let mut timeout = due.map_or(FOREVER, |due| due.saturating_sub(start.elapsed()));
        let wanted = Interest::new(connection.wants_input(), may_write);
        // Nothing is waited for but the handler, and what the client may say to it.
        if due.is_none() && !may_write && !can_be_woken {
            if wanted == Interest::Waker || !link.keeps_time() {
                thread::park();
                continue;
            }
            timeout = TURN;
        }
        let done = link.wait(wanted, timeout).and_then(|ready| {
            match ready {
                Ready::Read => match link.read(&mut buffer)? {
                    0 => connection.handle_end(),
                    count => connection.handle_input(&buffer[..count], start.elapsed()),
                },
                Ready::Write => {
                    let count = link.write(connection.output())?;
                    connection.wrote(count, start.elapsed());
                    if connection.output().is_empty() {
                        link.flush()?;
                    }
                }
                Ready::Anew => connection.begin_anew(gateway, start.elapsed()),
                Ready::TimedOut | Ready::Woken => {}
            }
            Ok(())
        });
        match done {
            Err(error) if is_passing(&error) => {}
            done => done?,
        }
        connection.handle_timeout(start.elapsed());
    }
}

/// How long a handler's next piece may wait for a stream that cannot be woken.
const TURN: Duration = Duration::from_millis(20);
/// Longer than anything is waited for.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// A thread that has nothing to do but wait for a handler.
struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
