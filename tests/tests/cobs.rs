//! Frames on lines that neither open nor close (spec section 13.3): what is a packet, and which of them either end hears. The ends of the
//! adapters are tested in `anew.rs` and in `transports/tests/lines`. Protocol: RAW-1, RAW-4.

use std::path::Path;

use sealwire_core::cobs::{Decoder, Encoder, Packet, Receiver, max_packet_len};
use sealwire_core::frame::{FrameHeader, FrameType};
use sealwire_core::{Malformed, PeerError};
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

/// What a receiver hears, as letters: a frame (f), one that begins anew (a), nothing more (l).
fn heard(receiver: &mut Receiver<Vec<u8>>, line: &[u8], step: usize) -> String {
    let mut letters = String::new();
    for chunk in line.chunks(step) {
        let mut rest = chunk;
        loop {
            let taken = receiver.handle_input(rest);
            rest = &rest[taken..];
            letters.push(match receiver.poll_packet() {
                Some(Packet::Frame(frame)) => {
                    assert!(FrameHeader::parse(*frame.first_chunk().expect("a header")).is_ok());
                    'f'
                }
                Some(Packet::Anew(frame)) => {
                    assert!([0x01, 0x03].contains(&frame[0]));
                    'a'
                }
                Some(Packet::Lost) => 'l',
                None if taken == 0 => break,
                None => continue,
            });
        }
        assert!(rest.is_empty());
    }
    letters
}

/// Packets by their letters: K and k KEYS_REQUEST and KEYS, O OPEN, A ACCEPT, R REJECT, D DATA, E END, x no frame.
fn line(letters: &str) -> Vec<u8> {
    let frame =
        |kind: FrameType, len: u8| [&[kind as u8, 0, 0, len][..], &vec![7; len.into()]].concat();
    let packets = letters.chars().map(|letter| {
        let frame = match letter {
            'K' => frame(FrameType::KeysRequest, 1),
            'k' => frame(FrameType::Keys, 70),
            'O' => frame(FrameType::Open, 80),
            'A' => frame(FrameType::Accept, 32),
            'R' => frame(FrameType::Reject, 1),
            'D' => frame(FrameType::Data, 40),
            'E' => frame(FrameType::End, 18),
            _ => return vec![9, 9, 0],
        };
        encode(&frame, 99, 99)
    });
    packets.collect::<Vec<_>>().concat()
}

/// What a receiver that has sent a frame of this type hears of each line, however it is cut.
fn check(receiver: fn(Vec<u8>) -> Receiver<Vec<u8>>, sent: FrameType, cases: &[(&str, &str)]) {
    for (letters, expected) in cases {
        for step in [1, 3, 7, 1000] {
            let mut receiver = receiver(vec![0; 200]);
            receiver.handle_sent(sent);
            let heard = heard(&mut receiver, &line(letters), step);
            assert_eq!(heard, *expected, "{letters} in steps of {step}");
        }
    }
}

/// RAW-4: a gateway hears whoever begins anew, and what belongs to it, up to a packet that holds no frame.
#[test]
fn a_gateway_hears_whoever_begins_anew() {
    let cases = [
        ("DExDRA", ""),
        ("ODDE", "afff"),
        // Begun anew in the middle; keys are asked for, and nothing belongs to that.
        ("ODOE", "afaf"),
        ("ODKDE", "afa"),
        ("KKO", "aaa"),
        // Once it is lost, it is lost once, and the rest of it is passed over.
        ("ODxDxEO", "afla"),
        ("KxD", "a"),
    ];
    check(Receiver::gateway, FrameType::End, &cases);
    let mut receiver = Receiver::gateway(vec![0; 200]);
    assert_eq!(heard(&mut receiver, &line("OD"), 1000), "af");
    receiver.forget();
    assert_eq!(heard(&mut receiver, &line("DxEO"), 1000), "a");
    // What is given up is not what begins.
    receiver.handle_input(&line("O"));
    receiver.forget();
    assert!(matches!(receiver.poll_packet(), Some(Packet::Anew(_))));
    assert_eq!(heard(&mut receiver, &line("DE"), 1000), "ff");
}

/// RAW-4: a client hears the answer that it waits for, and nothing of what came before or comes behind.
#[test]
fn a_client_hears_the_answer_that_it_waits_for() {
    let cases = [
        ("DEKOADDEDE", "ffff"),
        ("DRDx", "f"),
        ("xAD", "l"),
        // Truncated, once; of the rest nothing is heard, nor what nobody has asked for since.
        ("ADxDxER", "ffl"),
        ("RkADE", "f"),
        // KEYS answers another question; within an answer it is heard, and refused.
        ("kADkE", "fff"),
        ("kkx", "l"),
        // Nothing is waited for any more, so nothing can be lost.
        ("AExx", "ff"),
    ];
    check(Receiver::client, FrameType::Head, &cases);
    let cases = [
        ("DEkDE", "f"),
        ("ADEkx", "f"),
        ("Ax", "l"),
        ("DRk", "f"),
        ("xk", "l"),
    ];
    check(Receiver::client, FrameType::KeysRequest, &cases);
    let mut receiver = Receiver::client(vec![0; 200]);
    assert_eq!(
        heard(&mut receiver, &line("xD"), 1000),
        "",
        "nothing was sent"
    );
    receiver.handle_sent(FrameType::Open);
    assert_eq!(heard(&mut receiver, &line("A"), 1000), "f");
    // CANCEL, within an answer: it is under way as before. Behind its end nothing answers one.
    receiver.handle_sent(FrameType::Cancel);
    assert_eq!(heard(&mut receiver, &line("DE"), 1000), "ff");
    receiver.handle_sent(FrameType::Cancel);
    assert_eq!(heard(&mut receiver, &line("xARk"), 1000), "");
    // In the place of END, it is of the request.
    receiver.handle_sent(FrameType::Head);
    receiver.handle_sent(FrameType::Cancel);
    assert_eq!(heard(&mut receiver, &line("AE"), 1000), "ff");
    receiver.handle_sent(FrameType::Open);
    receiver.forget();
    let late = line("xADERk");
    assert_eq!(heard(&mut receiver, &late, 1000), "", "given up");
    receiver.handle_sent(FrameType::End);
    receiver.handle_input(&line("A"));
    receiver.forget();
    assert_eq!(receiver.poll_packet(), None, "heard, and given up since");
    receiver.handle_sent(FrameType::Open);
    assert_eq!(heard(&mut receiver, &line("DAD"), 1000), "ff", "asked anew");
    receiver.forget();
    receiver.handle_sent(FrameType::Head);
    let rest_and_next = line("DEAE");
    assert_eq!(heard(&mut receiver, &rest_and_next, 1000), "ff");
}
