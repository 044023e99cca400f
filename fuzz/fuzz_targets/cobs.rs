//! COBS for lines that neither open nor close: a line in pieces gives what a plain reading of it gives, packet by packet; frames that were
//! encoded, through buffers of any size, come out the same, and a broken packet costs no other.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sealwire_core::PeerError;
use sealwire_core::cobs::{Decoder, Encoder, max_packet_len};
use sealwire_core::frame::FrameHeader;
use sealwire_fuzz::pieces;

/// Room of the decoder: the smallest frame limit of any peer.
const ROOM: usize = 1024;

#[derive(Arbitrary, Debug)]
struct Plan<'a> {
    how: u8,
    room: u8,
    frames: Vec<(u8, &'a [u8])>,
    line: &'a [u8],
}

/// A packet without the zero that ends it, as section 13.3 has it; `None` if it is not COBS.
fn decode(packet: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut rest) = (Vec::new(), packet);
    while let Some((&code, after)) = rest.split_first() {
        let (run, after) = after.split_at_checked(usize::from(code) - 1)?;
        out.extend_from_slice(run);
        if code < 0xff && !after.is_empty() {
            out.push(0);
        }
        rest = after;
    }
    Some(out)
}

fn encode(frame: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in frame.split(|byte| *byte == 0) {
        let runs = part.chunks_exact(254);
        let last = runs.remainder();
        for run in runs {
            out.push(0xff);
            out.extend_from_slice(run);
        }
        out.push(last.len() as u8 + 1);
        out.extend_from_slice(last);
    }
    out.push(0);
    out
}

/// A frame that a packet may hold, or `None`.
fn frame_in(packet: &[u8]) -> Option<Vec<u8>> {
    let frame = decode(packet)?;
    let header = FrameHeader::parse(*frame.first_chunk()?).ok()?;
    (header.size() == frame.len() && frame.len() <= ROOM).then_some(frame)
}

/// Frames and failures, in their order.
fn read(line: &[u8], how: u8) -> Vec<Option<Vec<u8>>> {
    let mut decoder = Decoder::new([0; ROOM]);
    let mut found = Vec::new();
    for piece in pieces(line, how) {
        let mut rest = piece;
        loop {
            let taken = decoder.handle_input(rest);
            rest = &rest[taken..];
            match decoder.poll_frame() {
                Some(frame) => {
                    if let Err(PeerError::TooLarge { limit, .. }) = frame {
                        assert_eq!(limit, ROOM as u64);
                    }
                    found.push(frame.ok().map(<[u8]>::to_vec));
                }
                None if taken == 0 => break,
                None => {}
            }
        }
        assert!(rest.is_empty(), "input that nobody wants");
    }
    found
}

fn check_line(line: &[u8], how: u8) {
    let found = read(line, how);
    let mut packets = line.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    let mut found = found.into_iter();
    // What no zero has ended yet may be found wrong early, but gives no frame.
    let open = packets.next_back().unwrap_or_default();
    for packet in packets.filter(|packet| !packet.is_empty()) {
        let expected = frame_in(&packet);
        assert_eq!(found.next(), Some(expected), "{packet:02x?}");
    }
    if let Some(early) = found.next() {
        assert!(early.is_none() && !open.is_empty() && found.next().is_none());
    }
}

fn check_frames(frames: &[(u8, &[u8])], room: u8, how: u8, noise: &[u8]) {
    let mut wire = Vec::new();
    let mut wanted = Vec::new();
    for (kind, body) in frames.iter().take(8) {
        let body = &body[..body.len().min(ROOM - 4)];
        let mut frame = vec![*kind, 0, (body.len() >> 8) as u8, body.len() as u8];
        frame.extend_from_slice(body);
        // A frame is never empty (FRAME-2); what has no body would not end.
        if !body.is_empty() {
            wire.extend_from_slice(&frame);
            wanted.push(frame);
        }
    }
    let (mut encoder, mut line) = (Encoder::new(), Vec::new());
    let mut out = vec![0; usize::from(room) + 1];
    for piece in pieces(&wire, how) {
        let mut rest = piece;
        loop {
            let (taken, written) = encoder.encode(rest, &mut out);
            line.extend_from_slice(&out[..written]);
            rest = &rest[taken..];
            if taken == 0 && written == 0 {
                break;
            }
        }
    }
    let expected: Vec<u8> = wanted.iter().flat_map(|frame| encode(frame)).collect();
    assert_eq!(line, expected);
    for frame in &wanted {
        assert!(encode(frame).len() <= max_packet_len(frame.len()));
    }
    // Noise before, as on a line that was joined in the middle, costs itself only.
    let noisy = [noise, &[0], &line].concat();
    let found = read(&noisy, how);
    let (_, found) = found.split_at(found.len() - wanted.len());
    for (found, frame) in found.iter().zip(&wanted) {
        assert_eq!(*found, frame_in(&encode(frame)[..encode(frame).len() - 1]));
        assert!(found.as_ref().is_none_or(|found| found == frame));
    }
}

fuzz_target!(|plan: Plan<'_>| {
    check_line(plan.line, plan.how);
    check_frames(&plan.frames, plan.room, plan.how, plan.line);
});
