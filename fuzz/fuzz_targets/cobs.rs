//! COBS for lines that neither open nor close: a line in pieces gives what a plain reading of it gives, packet by packet; frames that were
//! encoded, through buffers of any size, come out the same, and a broken packet costs no other. What a receiver hears of a line is a part
//! of its packets in their order, however it is cut: a client's answer has one beginning, a gateway's request as well.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sealwire_core::PeerError;
use sealwire_core::cobs::{Decoder, Encoder, Packet, Receiver, max_packet_len};
use sealwire_core::frame::{FrameHeader, FrameType};
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

/// What a receiver that waits for an answer, or for a request, hears of the line: frames, and `None` where it is lost.
fn hear(
    mut receiver: Receiver<[u8; ROOM]>,
    sent: FrameType,
    line: &[u8],
    how: u8,
) -> Vec<Option<Vec<u8>>> {
    receiver.handle_sent(sent);
    let mut heard = Vec::new();
    for mut rest in pieces(line, how) {
        loop {
            let taken = receiver.handle_input(rest);
            rest = &rest[taken..];
            match receiver.poll_packet() {
                Some(Packet::Frame(frame) | Packet::Anew(frame)) => {
                    heard.push(Some(frame.to_vec()))
                }
                Some(Packet::Lost) => heard.push(None),
                None if taken == 0 => break,
                None => {}
            }
        }
        assert!(rest.is_empty(), "input that nobody wants");
    }
    heard
}

/// All that a client hears is one run of packets: from what it waits for to what ends that. To a gateway, which of a line's packets
/// matter follows from the last one before it that begins or ends something.
fn check_ends(line: &[u8], how: u8) {
    use FrameType::{Accept, End, Error, Keys, KeysRequest, Open, Reject};
    let packets = read(line, how);
    let kind =
        |packet: &Option<Vec<u8>>| Some(FrameType::from_u8(packet.as_ref()?[0]).expect("parsed"));
    let kinds: Vec<Option<FrameType>> = packets.iter().map(kind).collect();
    let is_end =
        |kind: &Option<FrameType>| matches!(kind, None | Some(Keys | Reject | End | Error));
    for (sent, awaited) in [(KeysRequest, Keys), (Open, Accept)] {
        let answers =
            |kind: &Option<FrameType>| kind.is_none_or(|kind| kind == Reject || kind == awaited);
        let begin = kinds.iter().position(answers).unwrap_or(kinds.len());
        let rest = &kinds[begin..];
        let len = rest.iter().position(is_end).map_or(rest.len(), |at| at + 1);
        let client = &packets[begin..begin + len];
        assert_eq!(hear(Receiver::client([0; ROOM]), sent, line, how), client);
    }
    let for_gateway = |at: &usize| {
        let mut before = kinds[..*at].iter().rev();
        let last = before.find(|kind| matches!(kind, None | Some(Open | KeysRequest)));
        matches!(kinds[*at], Some(Open | KeysRequest)) || last == Some(&Some(Open))
    };
    let at = (0..packets.len()).filter(for_gateway);
    let gateway: Vec<_> = at.map(|at| packets[at].clone()).collect();
    assert_eq!(hear(Receiver::gateway([0; ROOM]), Open, line, how), gateway);
}

fuzz_target!(|plan: Plan<'_>| {
    check_line(plan.line, plan.how);
    check_ends(plan.line, plan.how);
    check_frames(&plan.frames, plan.room, plan.how, plan.line);
});
