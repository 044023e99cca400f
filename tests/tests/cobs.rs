//! Frames on lines that neither open nor close (spec section 13.3), and a gateway that hears whoever begins anew; what a client
//! passes over is tested where it does, in `transports/tests/lines/stray.rs`. Protocol: RAW-1, RAW-4.

use std::path::Path;

use sealwire_core::cobs::{Decoder, Encoder, max_packet_len};
use sealwire_core::exchange::{
    ClientOptions, ServerContext, ServerEvent, ServerExchange, ServerOptions,
};
use sealwire_core::frame::{FrameHeader, FrameType};
use sealwire_core::head::ResponseHead;
use sealwire_core::padding::Padding;
use sealwire_core::{Malformed, PeerError, ServerState, Suite};
use sealwire_tests::pair::{Seen, World, drain_client, drain_server, feed_client};
use serde_json::Value;

/// Encodes with the input and the output cut into pieces of these lengths.
fn encode(input: &[u8], taken_at_once: usize, room: usize) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let mut line = Vec::new();
    let mut out = vec![0; room];
    for chunk in input.chunks(taken_at_once) {
        let mut rest = chunk;
        loop {
            let (taken, written) = encoder.encode(rest, &mut out);
            rest = &rest[taken..];
            line.extend_from_slice(&out[..written]);
            if taken == 0 && written == 0 {
                break;
            }
        }
        assert!(rest.is_empty());
    }
    line
}

/// Every frame and error that comes out of a line, fed in pieces of this length.
fn decode(line: &[u8], limit: usize, step: usize) -> Vec<Result<Vec<u8>, PeerError>> {
    let mut decoder = Decoder::new(vec![0; limit]);
    let mut found = Vec::new();
    for chunk in line.chunks(step) {
        let mut rest = chunk;
        loop {
            let taken = decoder.handle_input(rest);
            rest = &rest[taken..];
            match decoder.poll_frame() {
                Some(frame) => found.push(frame.map(<[u8]>::to_vec)),
                None if taken == 0 => break,
                None => {}
            }
        }
        assert!(rest.is_empty());
    }
    found
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).expect("hex"), 16).expect("hex"))
        .collect()
}

/// The vectors of the Python peer: whole, byte by byte, and with another packet before and behind.
#[test]
fn vectors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/python");
    let ask = vec![0x01, 0, 0, 1, 1];
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("in the repository") {
        let text = std::fs::read_to_string(entry.expect("readable").path()).expect("readable");
        let vector: Value = serde_json::from_str(&text).expect("JSON");
        if vector["kind"] != "cobs" {
            continue;
        }
        count += 1;
        let name = vector["name"].as_str().expect("a name");
        let packet = hex(vector["packet"].as_str().expect("hex"));
        let expect = vector["expect"].as_str().expect("an outcome");
        let expected: Vec<Result<Vec<u8>, ()>> = match expect {
            "malformed" => vec![Err(())],
            "ignored" => vec![],
            frame => vec![Ok(hex(frame))],
        };
        let line = [&packet[..], &[0]].concat();
        let around = [&encode(&ask, 9, 9)[..], &line, &encode(&ask, 9, 9)].concat();
        for step in [1, 2, 7, around.len()] {
            let found = |line: &[u8]| -> Vec<Result<Vec<u8>, ()>> {
                let found = decode(line, 16_404, step);
                found
                    .into_iter()
                    .map(|frame| frame.map_err(|_| ()))
                    .collect()
            };
            assert_eq!(found(&line), expected, "{name} in steps of {step}");
            let all = [
                vec![Ok(ask.clone())],
                expected.clone(),
                vec![Ok(ask.clone())],
            ]
            .concat();
            assert_eq!(
                found(&around),
                all,
                "{name} among others, in steps of {step}"
            );
        }
        if let [Ok(frame)] = &expected[..]
            && !name.ends_with("bare")
        {
            assert_eq!(encode(frame, frame.len(), 9), line, "{name}");
        }
    }
    assert!(count >= 6, "{count} vectors");
}

/// Frames of every length around the lengths of runs, with and without zeros, cut in every way.
#[test]
fn what_is_encoded_is_decoded() {
    let mut frames = Vec::new();
    for len in (18..30).chain(240..270).chain(500..520).chain([1000]) {
        for pattern in [0u8, 1, 2, 3] {
            let header = FrameHeader::new(FrameType::Data, len).expect("possible");
            let mut frame = header.to_bytes().to_vec();
            frame.extend((0..len).map(|i| match pattern {
                0 => 0,
                1 => 0xff,
                2 => (i % 256) as u8,
                _ => u8::from(i + 1 != len),
            }));
            frames.push(frame);
        }
    }
    let wire = frames.concat();
    let line = encode(&wire, wire.len(), wire.len() * 2);
    for (taken, room) in [(1, 1), (3, 300), (300, 3), (7, 256), (1000, 257)] {
        assert_eq!(encode(&wire, taken, room), line);
    }
    let packets: Vec<&[u8]> = line.split_inclusive(|byte| *byte == 0).collect();
    assert_eq!(packets.len(), frames.len());
    for (packet, frame) in packets.iter().zip(&frames) {
        assert!(packet.len() <= max_packet_len(frame.len()));
    }
    let expected: Vec<_> = frames.into_iter().map(Ok).collect();
    for step in [1, 3, 255, line.len()] {
        assert_eq!(decode(&line, 1024, step), expected);
    }
}

/// RAW-1: after anything that is wrong, one error, and the next packet is read.
#[test]
fn a_decoder_finds_its_place_again() {
    let ask = vec![0x01, 0, 0, 1, 1];
    let good = encode(&ask, 9, 9);
    let malformed = |fault: Malformed| Err(PeerError::Malformed(fault));
    let large = encode(&[&[0x11, 0, 1, 0][..], &[7; 256]].concat(), 500, 500);
    for (bad, error) in [
        (&[0x09, 1, 1, 0][..], malformed(Malformed::FrameLength)),
        (&[0x02, 1, 0], malformed(Malformed::FrameLength)),
        (
            &[0x05, 0x77, 1, 1, 1, 1, 9, 9, 0],
            malformed(Malformed::FrameType(0x77)),
        ),
        (
            &[&good[..good.len() - 1], &[0x02, 7, 0]].concat(),
            malformed(Malformed::FrameLength),
        ),
        (
            &large,
            Err(PeerError::TooLarge {
                what: "frame",
                limit: 64,
            }),
        ),
    ] {
        for step in [1, 2, 400] {
            let line = [&good[..], bad, &[0, 0], &good, &[0]].concat();
            let expected = [Ok(ask.clone()), error.clone(), Ok(ask.clone())];
            assert_eq!(
                decode(&line, 64, step),
                expected,
                "{bad:02x?} in steps of {step}"
            );
        }
    }
    // Every cut of a packet is malformed, and so is every line that begins in the middle of one.
    let frame = [&[0x11, 0, 0, 40][..], &[0; 20], &[7; 20]].concat();
    let packet = encode(&frame, 50, 99);
    for cut in 1..packet.len() - 1 {
        for part in [&[&packet[..cut], &[0]].concat()[..], &packet[cut..]] {
            let found = decode(&[part, &good].concat(), 64, 3);
            assert_eq!(found.last(), Some(&Ok(ask.clone())), "{cut}");
            assert!(
                found[..found.len() - 1].iter().all(Result::is_err),
                "{cut}: {found:?}"
            );
        }
    }
}

/// A gateway's host on a line: packets in, packets out (RAW-4).
struct Line {
    decoder: Decoder<Vec<u8>>,
    server: Option<ServerExchange>,
    out: Vec<u8>,
}

impl Line {
    fn receive(&mut self, world: &mut World, line: &[u8]) -> Vec<Vec<u8>> {
        let (mut rest, mut requests) = (line, Vec::new());
        while !rest.is_empty() {
            let taken = self.decoder.handle_input(rest);
            rest = &rest[taken..];
            let Some(frame) = self.decoder.poll_frame() else {
                continue;
            };
            let Ok(frame) = frame else {
                // What would close a stream ends the exchange.
                self.server = None;
                continue;
            };
            if frame[0] == FrameType::Open as u8 || frame[0] == FrameType::KeysRequest as u8 {
                let options = ServerOptions {
                    one_exchange: false,
                    ..ServerOptions::default()
                };
                self.server = Some(world.server(options));
            }
            let Some(server) = &mut self.server else {
                continue;
            };
            let mut context = ServerContext {
                now: world.now,
                keys: &world.keys,
                replay: &mut world.replay,
            };
            assert_eq!(server.handle_input(frame, &mut context), frame.len());
            match server.poll_event() {
                Some(ServerEvent::Request) => {
                    let request = server.take_request().expect("announced");
                    let head = ResponseHead::new(200, request.head().exchange_id);
                    server.respond(&head, Padding::None).expect("waits");
                    server.send_data(b"answer").expect("under way");
                    server.finish().expect("under way");
                    requests.push(request.into_body().expose().to_vec());
                }
                Some(ServerEvent::KeysRequested) => {
                    server.send_keys(&world.keys.key_set()).expect("fits");
                }
                _ => {}
            }
            self.out.extend(drain_server(server));
            // Where no exchange is under way, what does not begin one is passed over.
            if server.is_finished() || server.state() == ServerState::AwaitOpen {
                self.server = None;
            }
        }
        requests
    }
}

/// RAW-4: a client that was reset in the middle of a request begins anew, with OPEN or with KEYS_REQUEST, and is heard.
#[test]
fn whoever_begins_anew_on_a_line_is_heard() {
    let mut world = World::new(51);
    let mut line = Line {
        decoder: Decoder::new(vec![0; 16_404]),
        server: None,
        out: Vec::new(),
    };
    let options = ClientOptions {
        one_exchange: false,
        ..ClientOptions::default()
    };
    for cut in [3, 60, 90, 200, 500] {
        let request = world.request(b"lost");
        let mut lost = world.client(Suite::P256, request, options);
        let wire = encode(&drain_client(&mut lost), 4096, 20_000);
        assert!(
            line.receive(&mut world, &wire[..cut.min(wire.len() - 1)])
                .is_empty()
        );
        if cut % 2 == 0 {
            // The line is noisy while it restarts, too.
            line.receive(&mut world, &[0x55, 0xaa, 0]);
        }
        if cut > 60 {
            let ask = encode(&[0x01, 0, 0, 1, 1], 50, 99);
            line.receive(&mut world, &[&[0], &ask[..]].concat());
            let keys = std::mem::take(&mut line.out);
            assert_eq!(keys[0], FrameType::Keys as u8);
            assert_eq!(keys[4..], world.keys.key_set().to_bytes());
            // Of what it forgot.
            let end = [&[0x12, 0, 0, 18][..], &[0; 18]].concat();
            line.receive(&mut world, &encode(&end, 50, 99));
            assert!(line.out.is_empty());
        }
        line.receive(&mut world, &[0]);

        let request = world.request(b"found");
        let mut client = world.client(Suite::P256, request, options);
        let wire = encode(&drain_client(&mut client), 4096, 20_000);
        let requests = line.receive(&mut world, &wire);
        assert_eq!(requests, [b"found"]);
        let back = encode(&std::mem::take(&mut line.out), 4096, 20_000);
        let mut seen = Seen::default();
        for frame in decode(&back, 16_404, 11) {
            let frame = frame.expect("well-formed");
            feed_client(&mut client, &frame, &mut seen).expect("accepted");
        }
        assert!(seen.complete && seen.body == b"answer");
    }
}
