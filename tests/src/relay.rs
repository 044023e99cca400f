//! An onlooker: passes connections on, keeps every byte, and harms some.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use sealwire_core::frame::FrameType;

/// What happens to the bytes that follow the beginning of a request: a POST, or OPEN on a raw stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The connection ends after so many bytes of the request.
    CutRequest(usize),
    /// This byte of the request is changed.
    DamageRequest(usize),
    /// The connection ends after so many bytes of the reply.
    CutReply(usize),
    /// This byte of the reply is changed.
    DamageReply(usize),
}

/// Both directions of one connection.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// From the client.
    pub up: Vec<u8>,
    /// From the gateway.
    pub down: Vec<u8>,
    begun: bool,
}

/// A proxy on a loopback port, until the process ends.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    connections: Arc<Mutex<Vec<Arc<Mutex<Recorded>>>>>,
}

impl Relay {
    /// Passes connections on to `target`.
    ///
    /// # Panics
    /// If there is no port.
    pub fn start(target: SocketAddr, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::<Mutex<Vec<_>>>::default();
        let kept = connections.clone();
        // A damaged request may come again on another connection, and is let through then.
        let armed = Arc::new(AtomicBool::new(true));
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                let Ok(gateway) = TcpStream::connect(target) else {
                    continue;
                };
                for stream in [&client, &gateway] {
                    stream.set_nodelay(true).expect("TCP");
                }
                let recorded = Arc::<Mutex<Recorded>>::default();
                lock(&kept).push(recorded.clone());
                let (up, down) = match fault {
                    Fault::None => (None, None),
                    Fault::CutRequest(at) => (Some((at, true)), None),
                    Fault::DamageRequest(at) => (Some((at, false)), None),
                    Fault::CutReply(at) => (None, Some((at, true))),
                    Fault::DamageReply(at) => (None, Some((at, false))),
                };
                let (kept, armed) = (recorded.clone(), armed.clone());
                pass(&client, &gateway, kept, up, armed.clone(), |recorded| {
                    &mut recorded.up
                });
                pass(&gateway, &client, recorded, down, armed, |recorded| {
                    &mut recorded.down
                });
            }
        });
        Self {
            address,
            connections,
        }
    }

    /// Everything so far.
    pub fn recorded(&self) -> Vec<Recorded> {
        let connections = lock(&self.connections);
        connections.iter().map(|one| lock(one).clone()).collect()
    }
}

fn pass(
    from: &TcpStream,
    to: &TcpStream,
    recorded: Arc<Mutex<Recorded>>,
    mut fault: Option<(usize, bool)>,
    armed: Arc<AtomicBool>,
    direction: fn(&mut Recorded) -> &mut Vec<u8>,
) {
    let (mut from, mut to) = (from.try_clone().expect("TCP"), to.try_clone().expect("TCP"));
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let bytes = &mut buffer[..count];
            let mut end = count;
            {
                let mut recorded = lock(&recorded);
                direction(&mut recorded).extend_from_slice(bytes);
                // A client sends nothing before the last reply has ended, so a request begins where a read does.
                recorded.begun |= bytes.starts_with(b"POST") || bytes[0] == FrameType::Open as u8;
                if let Some((at, cut)) = fault.filter(|_| recorded.begun) {
                    if at >= count {
                        fault = Some((at - count, cut));
                    } else if cut {
                        end = at;
                    } else {
                        bytes[at] ^= u8::from(armed.swap(false, Ordering::SeqCst));
                        fault = None;
                    }
                }
            }
            if to.write_all(&bytes[..end]).is_err() || end < count {
                break;
            }
        }
        // After a cut both directions are over.
        let how = match fault {
            Some((_, true)) => Shutdown::Both,
            _ => Shutdown::Write,
        };
        let _ = to.shutdown(how);
        if how == Shutdown::Both {
            let _ = from.shutdown(how);
        }
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
