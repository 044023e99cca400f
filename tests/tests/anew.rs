//! The adapter's gateway on a line that neither opens nor closes (spec section 13.3): it hears whoever begins anew, and passes over
//! what it has forgotten. What a client passes over is tested where it does, in `transports/tests/lines/stray.rs`. Protocol: RAW-4.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use getrandom::SysRng;
use sealwire::blocking::{Cobs, Connection, serve};
use sealwire::server::RawGateway;
use sealwire_core::Suite;
use sealwire_core::cobs::{Decoder, Encoder};
use sealwire_core::exchange::{ClientExchange, ClientOptions, Request};
use sealwire_core::frame::FrameType;
use sealwire_core::keys::KeySet;
use sealwire_tests::adapters::{GUARD, GatewaySettings, MEMORY, Model, bytes, json, model, now};
use sealwire_tests::pair::{Seen, drain_client, feed_client};

const FRAME: usize = 16_404;
const KEYS_REQUEST: &[u8] = &[0x01, 0, 0, 1, 1];
/// A packet that holds no frame, wherever it begins.
const NOISE: &[u8] = &[0x55, 0xaa, 0];

fn packets(frames: &[u8]) -> Vec<u8> {
    let mut line = vec![0; frames.len() * 2 + 9];
    let (taken, written) = Encoder::new().encode(frames, &mut line);
    assert_eq!(taken, frames.len());
    line.truncate(written);
    line
}

/// A frame of the least length that is no error, in its packet.
fn of_zeros(kind: FrameType) -> Vec<u8> {
    let len = match kind {
        FrameType::Accept => 32,
        FrameType::Keys | FrameType::Reject => 1,
        _ => 18,
    };
    packets(&[&[kind as u8, 0, 0, len][..], &vec![0; len.into()]].concat())
}

/// A gateway, and the bodies of the requests that reached its model.
struct Host {
    gateway: RawGateway<Model>,
    requests: Receiver<Vec<u8>>,
}

impl Host {
    fn new() -> Self {
        let (reached, requests) = channel();
        let settings = GatewaySettings::new(model(move |asked| {
            // Whoever listens does so as long as the test.
            let _ = reached.send(asked.body);
            Ok(json(200, b"answer"))
        }));
        let gateway = RawGateway::new(settings.config(), settings.keys(), settings.model.clone());
        Self {
            gateway: gateway.expect("keys"),
            requests,
        }
    }

    /// Lays a line to the gateway.
    fn line(&self) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let stream = TcpStream::connect(address).expect("listening");
        stream.set_read_timeout(Some(GUARD)).expect("possible");
        let (accepted, _) = listener.accept().expect("connected");
        let (gateway, far) = (self.gateway.clone(), Connection::tcp(accepted));
        let far = Cobs::gateway(far.expect("open"), vec![0; FRAME]);
        thread::spawn(move || serve(&gateway, far));
        let decoder = Decoder::new(vec![0; FRAME]);
        Line { stream, decoder }
    }

    /// A client and the packets of its request.
    fn asked(&self, body: &[u8]) -> (ClientExchange, Vec<u8>) {
        let key = self.gateway.key_set().select(Suite::P256, now());
        let request = Request::new("POST", "/v1/chat/completions", bytes(body));
        let options = ClientOptions {
            one_exchange: false,
            ..ClientOptions::default()
        };
        let key = key.expect("published");
        let made = ClientExchange::new(&MEMORY, &key, request, now(), options, &mut SysRng);
        let mut client = made.map_err(|(_, error)| error).expect("can be sent");
        let wire = packets(&drain_client(&mut client));
        (client, wire)
    }
}

/// The client's end of a line.
struct Line {
    stream: TcpStream,
    decoder: Decoder<Vec<u8>>,
}

impl Line {
    fn put(&mut self, parts: &[&[u8]]) {
        self.stream.write_all(&parts.concat()).expect("open");
    }

    /// The next frame; none where the line was given up.
    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let mut byte = [0];
            if self.stream.read(&mut byte).expect("in time") == 0 {
                return None;
            }
            assert_eq!(self.decoder.handle_input(&byte), 1);
            if let Some(frame) = self.decoder.poll_frame() {
                return Some(frame.expect("well-formed").to_vec());
            }
        }
    }

    /// What the gateway still says when nothing more comes.
    fn rest(mut self) -> Vec<Vec<u8>> {
        self.stream.shutdown(Shutdown::Write).expect("open");
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// Where a request may stop: inside its packets, never with all of END there, and after each of them but END.
fn cuts(wire: &[u8]) -> Vec<usize> {
    let mut ends: Vec<usize> = (1..wire.len()).filter(|at| wire[at - 1] == 0).collect();
    ends.extend([3, 60, 90, 200, wire.len() - 2]);
    ends
}

/// RAW-4: a client that was reset in the middle of a request begins anew, with OPEN or with KEYS_REQUEST, and is heard.
#[test]
fn whoever_begins_anew_on_a_line_is_heard() {
    let host = Host::new();
    let mut line = host.line();
    let mut count = 0;
    for nth in 0..cuts(&host.asked(b"lost").1).len() {
        for (is_noisy, asks) in [(false, false), (false, true), (true, false), (true, true)] {
            let (_, lost) = host.asked(b"lost");
            let (before, behind) = lost.split_at(cuts(&lost)[nth]);
            line.put(&[before]);
            if is_noisy {
                // It ends the exchange: what comes of it behind that is none.
                line.put(&[NOISE, behind]);
            }
            if asks {
                line.put(&[&[0], &packets(KEYS_REQUEST)]);
                let keys = line.next().expect("answered");
                assert_eq!(keys[0], FrameType::Keys as u8, "cut {nth}");
                let set = KeySet::parse(&keys[4..]).expect("well-formed");
                assert_eq!(set, host.gateway.key_set());
                line.put(&[behind]);
            }
            let (mut client, found) = host.asked(b"found");
            line.put(&[&[0], &found]);
            let mut seen = Seen::default();
            while !seen.complete {
                let frame = line.next().expect("answered");
                feed_client(&mut client, &frame, &mut seen).expect("accepted");
                assert_eq!(seen.rejected, None, "cut {nth}");
            }
            assert_eq!(seen.body, b"answer", "cut {nth}");
            count += 1;
        }
    }
    assert_eq!(line.rest(), Vec::<Vec<u8>>::new());
    let reached: Vec<Vec<u8>> = host.requests.try_iter().collect();
    assert_eq!(reached, vec![b"found"; count]);
}

/// RAW-4: where nothing was begun, or all was forgotten, no frame but OPEN and KEYS_REQUEST is answered, and no packet without one.
#[test]
fn what_a_gateway_has_forgotten_is_passed_over() {
    let host = Host::new();
    let is_keys_alone =
        |frames: &[Vec<u8>]| matches!(frames, [frame] if frame[0] == FrameType::Keys as u8);
    let begins = |kind: &FrameType| matches!(kind, FrameType::Open | FrameType::KeysRequest);
    let strays = FrameType::ALL.into_iter().filter(|kind| !begins(kind));
    let strays: Vec<u8> = strays.flat_map(of_zeros).collect();
    for noise in [&[][..], NOISE] {
        let mut line = host.line();
        line.put(&[noise, &strays, &[0], &packets(KEYS_REQUEST)]);
        assert!(is_keys_alone(&line.rest()), "the line goes on");
    }
    for nth in 0..cuts(&host.asked(b"lost").1).len() {
        let (_, lost) = host.asked(b"lost");
        let (before, behind) = lost.split_at(cuts(&lost)[nth]);
        let mut line = host.line();
        line.put(&[before, NOISE, &strays, NOISE, behind]);
        line.put(&[&[0], &packets(KEYS_REQUEST)]);
        assert!(is_keys_alone(&line.rest()), "cut {nth}");
    }
    assert!(host.requests.try_recv().is_err());
}
