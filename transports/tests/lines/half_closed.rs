//! A client that has said everything and closes its half of the stream is answered, and its gateway waits for the handler alone.
#![cfg(unix)]

use std::error::Error;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use embedded_io::{ErrorType, Read, Write};
use getrandom::SysRng;
use sealwire::blocking::{
    Connection, Interest, Link, NoDeadline, Ready, SecureChatCompletion, serve,
};
use tokio::sync::oneshot;
use tokio_rustls::rustls::{ClientConnection, StreamOwned};

use crate::handler::{TestHandler, at_once};
use crate::serial::SinceStart;
use crate::server::{CERTIFICATE, raw_gateway};
use crate::support::{CHAT, PATIENCE, chat, json, text};

/// A connection that counts how often it was read from at its end.
struct Counting {
    inner: Connection,
    ends: Arc<AtomicUsize>,
    can_be_woken: bool,
}

impl ErrorType for Counting {
    type Error = io::Error;
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 {
            self.ends.fetch_add(1, Ordering::SeqCst);
        }
        Ok(count)
    }
}

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Link for Counting {
    fn wait(&mut self, wanted: Interest, timeout: Duration) -> io::Result<Ready> {
        self.inner.wait(wanted, timeout)
    }

    fn keeps_time(&self) -> bool {
        true
    }

    fn waker(&mut self) -> io::Result<Option<Waker>> {
        match self.can_be_woken {
            true => self.inner.waker(),
            false => Ok(None),
        }
    }

    fn cause(error: io::Error) -> Box<dyn Error + Send + Sync> {
        error.into()
    }
}

fn answered_by_a_gateway_that_does_not_spin(can_be_woken: bool) {
    let (begun, has_begun) = channel();
    let (go, wait) = oneshot::channel::<()>();
    let wait = Mutex::new(Some(wait));
    let handler = TestHandler::new(move |_| {
        let wait = wait.lock().expect("no panic").take().expect("one request");
        begun.send(()).expect("the test waits");
        Box::pin(async move {
            wait.await.expect("the test goes on");
            Ok(json(200, CHAT))
        })
    });
    let (gateway, pin) = raw_gateway(handler);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let stream = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    let half = stream.try_clone().expect("another handle");
    let (accepted, _) = listener.accept().expect("a client");
    let ends = Arc::new(AtomicUsize::new(0));
    let link = Counting {
        inner: Connection::tcp(accepted).expect("a socket"),
        ends: ends.clone(),
        can_be_woken,
    };
    let served = thread::spawn(move || serve(&gateway, link));
    let client = thread::spawn(move || {
        let link = Connection::tcp(stream).expect("a socket");
        let client = SecureChatCompletion::over(link, SinceStart(Instant::now()), SysRng)
            .pin(pin)
            .build()
            .expect("configured");
        text(&client.create(&chat()).expect("answered"))
    });
    has_begun.recv_timeout(PATIENCE).expect("handled");
    half.shutdown(Shutdown::Write).expect("connected");
    while ends.load(Ordering::SeqCst) == 0 {
        thread::yield_now();
    }
    // Time enough for a loop that spins to be caught.
    for _ in 0..1000 {
        thread::yield_now();
    }
    assert_eq!(ends.load(Ordering::SeqCst), 1);
    go.send(()).expect("the handler waits");
    assert_eq!(client.join().expect("no panic"), "sealed answer");
    served.join().expect("no panic").expect("served to its end");
}

#[test]
fn where_the_stream_can_be_woken() {
    answered_by_a_gateway_that_does_not_spin(true);
}

#[test]
fn where_it_only_keeps_time() {
    answered_by_a_gateway_that_does_not_spin(false);
}

/// A client's TLS that says after its third question that nothing more will come: the first was for the keys, and the answer to the
/// second tells a client without a calendar what the time is.
struct Closing {
    stream: StreamOwned<ClientConnection, TcpStream>,
    has_written: bool,
    questions: u32,
}

impl ErrorType for Closing {
    type Error = io::Error;
}

impl Read for Closing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.has_written) {
            self.questions += 1;
            if self.questions == 3 {
                self.stream.conn.send_close_notify();
                io::Write::flush(&mut self.stream)?;
            }
        }
        io::Read::read(&mut self.stream, buffer)
    }
}

impl Write for Closing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.has_written = true;
        io::Write::write(&mut self.stream, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::Write::flush(&mut self.stream)
    }
}

/// Under TLS what was written last is still with TLS when the connection is closed.
#[test]
fn all_of_the_answer_leaves_under_tls() {
    let (gateway, pin) = raw_gateway(at_once(|_| Ok(json(200, CHAT))));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let served = thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        serve(
            &gateway,
            Connection::accept_tls(stream, CERTIFICATE.server(&[]), PATIENCE)?,
        )
    });
    let name = "localhost".try_into().expect("a name");
    let tls = ClientConnection::new(Arc::new(CERTIFICATE.client()), name).expect("configured");
    let stream = TcpStream::connect(address).expect("it listens");
    let link = NoDeadline(Closing {
        stream: StreamOwned::new(tls, stream),
        has_written: false,
        questions: 0,
    });
    let client = SecureChatCompletion::over(link, SinceStart(Instant::now()), SysRng)
        .pin(pin)
        .max_retries(0)
        .build()
        .expect("configured");
    let answer = client.create(&chat()).expect("answered");
    assert_eq!(text(&answer), "sealed answer");
    served.join().expect("no panic").expect("served to its end");
}
