//! A runtime of one's own: one thread, one non-blocking socket, `poll(2)`, and a `ClientSession` in the middle.
//!
//! The socket carries the raw stream (spec section 13). The gateway at its other end is in `gateway.rs`.

mod gateway;

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use getrandom::SysRng;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sealwire_core::exchange::Request;
use sealwire_core::session::{
    ClientSession, Failure, GatewayState, SessionConfig, SessionEvent, Step, Trust,
};
use sealwire_core::{Now, UnixTime};
use sealwire_memlock::{Policy, SecureMemory};

fn main() -> Result<(), Box<dyn Error>> {
    let (address, pin) = gateway::start()?;

    // What the protocol is handed: memory for secrets, a request, trust, limits; time and randomness come with each call.
    let memory = SecureMemory::new(Policy::BestEffort);
    let body = br#"{"model":"echo","messages":[{"role":"user","content":"how is bed 4?"}]}"#;
    let mut request = Request::new("POST", "/v1/chat/completions", memory.copy_from(body)?);
    request.authorization = Some(memory.copy_from(b"Bearer sk-example")?);
    let mut config = SessionConfig::new(Trust::Pin(pin));
    config.options.one_exchange = false; // the stream outlives the exchange
    config.options.response.content = 1 << 20; // no answer here is larger than a MiB
    let runtime = Runtime {
        address,
        started: Instant::now(),
    };
    let session = ClientSession::new(
        &memory,
        config,
        GatewayState::default(),
        request,
        runtime.now(),
    );

    let mut answer = memory.with_capacity(0)?;
    let gateway = runtime.run(session, |piece| Ok(answer.try_extend_from_slice(piece)?))?;
    assert_eq!(
        answer.expose(),
        body,
        "this gateway repeats what it is sent"
    );
    println!("{} bytes from the gateway {pin}", answer.len());
    assert_eq!(gateway.pin(), Some(pin)); // hand it to the next session, which then need not fetch keys
    Ok(())
}

/// What ends a try.
enum Stop {
    /// The connection, of which the session is told: it may try again.
    Line(io::Error),
    /// Something on this side of it. That is nobody's to try again.
    Here(Box<dyn Error>),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Line(error)
    }
}

struct Runtime {
    address: SocketAddr,
    started: Instant,
}

impl Runtime {
    /// Does what the session asks for, until the answer is whole, or there will be none.
    fn run(
        &self,
        mut session: ClientSession,
        mut show: impl FnMut(&[u8]) -> Result<(), Box<dyn Error>>,
    ) -> Result<GatewayState, Box<dyn Error>> {
        let mut line = None;
        loop {
            let step = session.step(self.now(), &mut SysRng)?;
            let (talked, heard) = match step {
                Step::Done => return Ok(session.gateway().clone()),
                Step::Wait(until) => {
                    // Another loop would do other work until then.
                    std::thread::sleep(until.saturating_sub(self.now().monotonic));
                    continue;
                }
                Step::Judge => {
                    session.judge(false); // not with a pin: show what is to be judged, and ask
                    continue;
                }
                // On a raw stream both are the same: what the session has to say goes out, what comes back goes in.
                Step::FetchKeys | Step::Send => {
                    // A connection that was kept has yet to show that it lives.
                    let mut heard = line.is_none();
                    let talked = match self.connected(&mut line) {
                        Ok(line) => self.talk(&mut session, line, &mut heard, &mut show),
                        Err(error) => Err(error.into()),
                    };
                    (talked, heard)
                }
                other => {
                    return Err(format!("a step that this loop does not know: {other:?}").into());
                }
            };
            // A stream that stands in the middle of something, or brought what nobody asked for, is of no more use.
            let is_quiet = *talked.as_ref().unwrap_or(&false);
            match talked {
                Err(Stop::Here(error)) => return Err(error),
                Err(Stop::Line(error)) if heard || !session.handle_stale_connection() => {
                    let failure = match error.kind() {
                        ErrorKind::ConnectionRefused | ErrorKind::AddrNotAvailable => {
                            Failure::Connect
                        }
                        _ => Failure::Reset,
                    };
                    session.handle_failure(self.now(), failure, &mut SysRng);
                }
                _ => {}
            }
            if !(is_quiet && session.can_carry_on()) {
                line = None;
            }
        }
    }

    /// The connection, made if there is none. (A loop that must not wait here connects without blocking, too.)
    fn connected<'a>(&self, line: &'a mut Option<TcpStream>) -> io::Result<&'a mut TcpStream> {
        if line.is_none() {
            let stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(10))?;
            stream.set_nonblocking(true)?;
            *line = Some(stream);
        }
        line.as_mut().ok_or(ErrorKind::NotConnected.into())
    }

    /// Carries bytes both ways until the step is done, or will not be: the session then waits for nothing. Whether all that came was for
    /// it, and all of what it said has left.
    fn talk(
        &self,
        session: &mut ClientSession,
        line: &mut TcpStream,
        heard: &mut bool,
        show: &mut impl FnMut(&[u8]) -> Result<(), Box<dyn Error>>,
    ) -> Result<bool, Stop> {
        session.handle_connected(self.now());
        let mut out = [0; 4096];
        let (mut start, mut end) = (0, 0); // what of `out` is still to be written
        let mut is_quiet = true;
        while session.poll_timeout().is_some() {
            if start == end {
                let written = session.poll_transmit(&mut out);
                (start, end) = (0, written.map_err(|error| Stop::Here(error.into()))?);
            }
            self.wait(session, line, start < end)?;
            if let Some(count) = tried(line.write(&out[start..end]))? {
                start += count;
            }
            let mut bytes = [0; 4096];
            let mut rest = match tried(line.read(&mut bytes))? {
                None => continue,
                Some(0) if !*heard => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                Some(0) => {
                    session.handle_eof(self.now(), &mut SysRng);
                    return Ok(false);
                }
                Some(count) => &bytes[..count],
            };
            *heard = true;
            while !rest.is_empty() && session.poll_timeout().is_some() {
                let taken = session.handle_input(self.now(), rest, &mut SysRng);
                rest = &rest[taken..];
                match session.poll_event(self.now(), &mut SysRng) {
                    // An upstream's own refusal is an answer, too: its status is here, its body follows.
                    Some(SessionEvent::Head(head)) => println!("status {}", head.status),
                    // Plaintext, verified, borrowed from secure memory: gone with the next call.
                    Some(SessionEvent::Data(piece)) => show(piece).map_err(Stop::Here)?,
                    // Only now is what was shown an answer. The stream goes on; the session need not.
                    Some(SessionEvent::Complete(_)) => session.handle_eof(self.now(), &mut SysRng),
                    _ => {}
                }
            }
            is_quiet = rest.is_empty();
        }
        Ok(is_quiet && start == end)
    }

    /// Sleeps until the socket has something, or room if we are `writing`, or the session's time is over.
    fn wait(&self, session: &mut ClientSession, line: &TcpStream, writing: bool) -> io::Result<()> {
        let left = session
            .poll_timeout()
            .map(|due| due.saturating_sub(self.now().monotonic))
            .and_then(|left| Timespec::try_from(left).ok());
        let room = if writing {
            PollFlags::OUT
        } else {
            PollFlags::empty()
        };
        let mut wanted = [PollFd::new(line, PollFlags::IN | room)];
        tried(poll(&mut wanted, left.as_ref()).map_err(io::Error::from))?;
        session.handle_timeout(self.now());
        Ok(())
    }

    /// The two clocks. A device without a calendar says `UnixTime::UNKNOWN`, and the session learns the gateway's.
    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        Now {
            monotonic: self.started.elapsed(),
            unix: unix.map_or(UnixTime::UNKNOWN, |since| {
                UnixTime::from_millis(since.as_millis() as u64)
            }),
        }
    }
}

/// None if the socket was not ready after all, or a signal came first.
fn tried(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
