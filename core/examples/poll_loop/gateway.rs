//! A gateway in a thread, for one client at a time, whose model repeats what it is sent.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use getrandom::SysRng;
use sealwire_core::exchange::{ServerContext, ServerEvent, ServerExchange, ServerOptions};
use sealwire_core::head::ResponseHead;
use sealwire_core::keys::{Identity, KeyRing, Pin, RecordLimits};
use sealwire_core::padding::Padding;
use sealwire_core::replay::MemoryReplayStore;
use sealwire_core::{ErrorCode, Suite, UnixTime};
use sealwire_memlock::{Policy, SecureMemory};

/// Starts it; returns where it listens, and the pin of its new identity.
pub(crate) fn start() -> Result<(SocketAddr, Pin), Box<dyn Error>> {
    let memory = SecureMemory::new(Policy::BestEffort);
    let identity = Identity::generate(&memory, &mut SysRng)?;
    let pin = identity.pin();
    let limits = RecordLimits::default();
    let mut gateway = Gateway {
        keys: KeyRing::new(identity, Suite::ALL, limits, memory.clone()),
        due: UnixTime::from_millis(0), // it has no keys yet
        replay: MemoryReplayStore::new(1000),
        memory,
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Err(error) = gateway.serve(stream) {
                eprintln!("gateway: {error}");
            }
        }
    });
    Ok((address, pin))
}

/// What outlives an exchange.
struct Gateway {
    memory: SecureMemory,
    keys: KeyRing,
    /// When the next key is to be made, or one to be wiped.
    due: UnixTime,
    replay: MemoryReplayStore,
}

impl Gateway {
    /// Exchange after exchange, until the client closes.
    fn serve(&mut self, mut stream: TcpStream) -> Result<(), Box<dyn Error>> {
        let options = ServerOptions {
            one_exchange: false,
            ..ServerOptions::default()
        };
        let mut exchange: ServerExchange = ServerExchange::new(&self.memory, options, &mut SysRng)?;
        let mut buffer = [0; 4096];
        loop {
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            if now()? >= self.due {
                self.due = self.keys.rotate(now()?, &mut SysRng)?;
            }
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let mut context = ServerContext {
                    now: now()?,
                    keys: &self.keys,
                    replay: &mut self.replay,
                };
                let taken = exchange.handle_input(rest, &mut context);
                rest = &rest[taken..];
                match exchange.poll_event() {
                    Some(ServerEvent::KeysRequested) => exchange.send_keys(&self.keys.key_set())?,
                    Some(ServerEvent::Request) => answer(&mut exchange, &mut stream)?,
                    Some(ServerEvent::Cancelled) => exchange.fail(ErrorCode::Cancelled, now()?)?,
                    Some(ServerEvent::Refused(error)) => eprintln!("gateway: refused: {error}"),
                    Some(other) => {
                        return Err(
                            format!("an event that this gateway does not know: {other:?}").into(),
                        );
                    }
                    None if taken == 0 => return Err("bytes that nobody takes".into()),
                    None => {}
                }
                transmit(&mut exchange, &mut stream)?;
                if exchange.can_continue() {
                    exchange = ServerExchange::new(&self.memory, options, &mut SysRng)?;
                } else if exchange.is_finished() && !exchange.awaits_cancel() {
                    // Nobody can tell what follows. It is read all the same, for a while: to close on it could take the answer back.
                    stream.shutdown(Shutdown::Write)?;
                    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
                    let _ = io::copy(&mut stream.take(1 << 20), &mut io::sink());
                    return Ok(());
                }
            }
        }
    }
}

fn transmit(exchange: &mut ServerExchange, stream: &mut TcpStream) -> Result<(), Box<dyn Error>> {
    let mut out = [0; 4096];
    while let count @ 1.. = exchange.poll_transmit(&mut out) {
        stream.write_all(&out[..count])?;
    }
    Ok(())
}

fn answer(exchange: &mut ServerExchange, stream: &mut TcpStream) -> Result<(), Box<dyn Error>> {
    let request = exchange.take_request().ok_or("announced")?;
    let head = ResponseHead::new(200, request.head().exchange_id);
    exchange.respond(&head, Padding::Uniform { frame: 1024 })?;
    let mut body = request.body().expose();
    while !body.is_empty() {
        let taken = exchange.send_data(body)?;
        body = &body[taken..];
        transmit(exchange, stream)?; // it takes more once this has left
    }
    Ok(exchange.finish()?)
}

fn now() -> Result<UnixTime, Box<dyn Error>> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(UnixTime::from_millis(since.as_millis() as u64))
}
