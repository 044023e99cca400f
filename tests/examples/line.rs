//! One end of a raw stream on standard input and output, for a peer that nobody here wrote in Rust (`tests/interop/both_ways`).
//!
//! ```text
//! line gateway [--cobs]      echoes what is asked; what is asked of /wait waits to be cancelled
//! line client  [--cobs]      asks three things, one after another, and says on standard error what it heard
//! ```
//!
//! Keys are seeded and the clock stands still: a test program.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};

use sealwire_core::cobs::{Decoder, Encoder};
use sealwire_core::exchange::{
    ClientEvent, ClientExchange, ClientOptions, Request, ServerContext, ServerEvent,
    ServerExchange, ServerOptions,
};
use sealwire_core::frame::{FrameType, LARGEST_FRAME};
use sealwire_core::head::ResponseHead;
use sealwire_core::keys::KeySet;
use sealwire_core::padding::Padding;
use sealwire_core::{ErrorCode, Suite};
use sealwire_tests::pair::World;

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let cobs = args.iter().any(|arg| arg == "--cobs");
    let mut line = Line::new(cobs);
    match args.first().map(String::as_str) {
        Some("gateway") => gateway(&mut line),
        Some("client") => client(&mut line),
        _ => Err(io::Error::other("line gateway|client [--cobs]")),
    }
}

/// Bytes in and out, in packets or bare.
struct Line {
    cobs: Option<(Encoder, Decoder<Vec<u8>>)>,
    /// What was read and not taken yet; with packets, whole frames.
    waiting: Vec<u8>,
}

impl Line {
    fn new(cobs: bool) -> Self {
        let packets = || (Encoder::new(), Decoder::new(vec![0; LARGEST_FRAME]));
        Self {
            cobs: cobs.then(packets),
            waiting: Vec::new(),
        }
    }

    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let Some((encoder, _)) = &mut self.cobs else {
            out.write_all(bytes)?;
            return out.flush();
        };
        let mut packet = [0; 512];
        loop {
            let (taken, written) = encoder.encode(bytes, &mut packet);
            bytes = &bytes[taken..];
            out.write_all(&packet[..written])?;
            if taken == 0 && written == 0 {
                return out.flush();
            }
        }
    }

    /// Reads more; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        let count = io::stdin().lock().read(&mut buffer)?;
        let mut rest = &buffer[..count];
        match &mut self.cobs {
            None => self.waiting.extend_from_slice(rest),
            Some((_, decoder)) => {
                while !rest.is_empty() {
                    rest = &rest[decoder.handle_input(rest)..];
                    match decoder.poll_frame() {
                        Some(Ok(frame)) => self.waiting.extend_from_slice(frame),
                        Some(Err(error)) => return Err(io::Error::other(error)),
                        None => {}
                    }
                }
            }
        }
        Ok(count > 0)
    }
}

fn gateway(line: &mut Line) -> io::Result<()> {
    let mut world = World::new(61);
    eprintln!("{}", world.keys.key_set().pin());
    let options = ServerOptions {
        one_exchange: false,
        ..ServerOptions::default()
    };
    let mut server = world.server(options);
    loop {
        let mut context = ServerContext {
            now: world.now,
            keys: &world.keys,
            replay: &mut world.replay,
        };
        let taken = server.handle_input(&line.waiting, &mut context);
        line.waiting.drain(..taken);
        let event = server.poll_event();
        let idle = event.is_none() && taken == 0;
        match event {
            Some(ServerEvent::KeysRequested) => {
                server
                    .send_keys(&world.keys.key_set())
                    .map_err(io::Error::other)?;
            }
            Some(ServerEvent::Request) => answer(&mut server)?,
            Some(ServerEvent::Cancelled) => server
                .fail(ErrorCode::Cancelled, world.now)
                .map_err(io::Error::other)?,
            _ => {}
        }
        transmit(&mut server, line)?;
        if server.can_continue() {
            server = world.server(options);
        } else if server.is_finished() || idle && !line.fill()? {
            return Ok(());
        }
    }
}

fn answer(server: &mut ServerExchange) -> io::Result<()> {
    let request = server.take_request().expect("announced");
    if request.head().path == "/wait" {
        return Ok(());
    }
    let head = ResponseHead::new(200, request.head().exchange_id);
    let padding = Padding::Uniform { frame: 1024 };
    server.respond(&head, padding).map_err(io::Error::other)?;
    let mut rest = request.body().expose();
    while !rest.is_empty() {
        let sent = server.send_data(rest).map_err(io::Error::other)?;
        assert!(sent > 0, "what is echoed here is small");
        rest = &rest[sent..];
    }
    server.finish().map_err(io::Error::other)
}

fn transmit(server: &mut ServerExchange, line: &mut Line) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while let count @ 1.. = server.poll_transmit(&mut buffer) {
        line.send(&buffer[..count])?;
    }
    Ok(())
}

fn client(line: &mut Line) -> io::Result<()> {
    let mut world = World::new(62);
    line.send(&[FrameType::KeysRequest as u8, 0, 0, 1, 1])?;
    let size = |waiting: &[u8]| match waiting {
        [0x02, 0, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        _ => 4,
    };
    while line.waiting.len() < 4 || line.waiting.len() < size(&line.waiting) {
        if !line.fill()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let keys: Vec<u8> = line.waiting.drain(..size(&line.waiting)).collect();
    let set = KeySet::parse(&keys[4..]).map_err(io::Error::other)?;
    eprintln!("{}", set.pin());
    for (suite, words) in [
        (Suite::P256, "first words"),
        (Suite::MlKem768P256, "second words"),
        (Suite::P256, "last words"),
    ] {
        let key = set.select(suite, world.now).map_err(io::Error::other)?;
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"{words}"}}],"stream":true}}"#
        );
        let body = world
            .memory
            .copy_from(body.as_bytes())
            .map_err(io::Error::other)?;
        let request = Request::new("POST", "/v1/chat/completions", body);
        let options = ClientOptions {
            one_exchange: false,
            ..ClientOptions::default()
        };
        let made = ClientExchange::new(
            &world.memory,
            &key,
            request,
            world.now,
            options,
            &mut world.rng,
        );
        let mut exchange = made.map_err(|(_, error)| io::Error::other(error))?;
        let mut buffer = [0; 4096];
        while let count @ 1.. = exchange
            .poll_transmit(&mut buffer)
            .map_err(io::Error::other)?
        {
            line.send(&buffer[..count])?;
        }
        let heard = hear(&mut exchange, line)?;
        assert!(exchange.can_continue(), "the stream goes on");
        eprintln!("{heard}");
    }
    Ok(())
}

/// The answer's body with its line feeds removed, and how it ended.
fn hear(exchange: &mut ClientExchange, line: &mut Line) -> io::Result<String> {
    let mut body = Vec::new();
    loop {
        let taken = exchange
            .handle_input(&line.waiting)
            .map_err(io::Error::other)?;
        line.waiting.drain(..taken);
        match exchange.poll_event() {
            Some(ClientEvent::Data(data)) => body.extend_from_slice(data),
            Some(ClientEvent::Complete(_)) => {
                let text = String::from_utf8_lossy(&body).replace('\n', "");
                return Ok(format!("complete {text}"));
            }
            Some(ClientEvent::Head(_)) => {}
            Some(other) => return Ok(format!("{other:?}")),
            None if taken == 0 && !line.fill()? => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            None => {}
        }
    }
}
