//! A client on a line that does not close, and what stands on the line beside its answer (spec section 13.3). Protocol: RAW-4.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::slice;

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use sealwire::blocking::{Cobs, Link};
use sealwire::core::cobs::Encoder;
use sealwire::core::frame::FrameType;

/// Room for the largest frame.
const ROOM: usize = 200;

/// Gives what was put on the line, so many bytes at once, and then has nothing in time.
struct Script {
    input: Rc<RefCell<VecDeque<u8>>>,
    at_once: usize,
}

impl ErrorType for Script {
    type Error = ErrorKind;
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let mut input = self.input.borrow_mut();
        let count = input.len().min(buffer.len()).min(self.at_once);
        for (to, from) in buffer.iter_mut().zip(input.drain(..count)) {
            *to = from;
        }
        match count {
            0 => Err(ErrorKind::TimedOut),
            _ => Ok(count),
        }
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl Link for Script {}

/// What the client's end of a line gave.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    /// These frames, and more is waited for.
    Frames(Vec<u8>),
    /// These, and then the exchange is over.
    Over(Vec<u8>),
}

/// The client's end of a line, and what is on its way to it.
struct Client {
    input: Rc<RefCell<VecDeque<u8>>>,
    end: Cobs<Script, [u8; ROOM]>,
}

impl Client {
    fn new(at_once: usize) -> Self {
        let input = Rc::<RefCell<_>>::default();
        let script = Script {
            input: input.clone(),
            at_once,
        };
        let end = Cobs::client(script, [0; ROOM]);
        Self { input, end }
    }

    /// Sends `frame`, and then this arrives: what comes out of it?
    fn ask(&mut self, frame: &[u8], line: &[u8]) -> Got {
        self.end.write_all(frame).expect("it takes everything");
        self.end.flush().expect("it takes everything");
        self.input.borrow_mut().extend(line);
        let (mut got, mut buffer) = (Vec::new(), [0; 33]);
        loop {
            match self.end.read(&mut buffer) {
                Ok(0) => return Got::Over(got),
                Ok(count) => got.extend_from_slice(&buffer[..count]),
                Err(error) => {
                    assert_eq!(error, ErrorKind::TimedOut);
                    return Got::Frames(got);
                }
            }
        }
    }
}

fn frame(kind: FrameType, len: u8) -> Vec<u8> {
    let mut frame = vec![kind as u8, 0, 0, len];
    frame.extend((0..len).map(|at| at % 3));
    frame
}

fn packets(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut line = vec![0; 1000];
    let (taken, written) = Encoder::new().encode(&frames.concat(), &mut line);
    assert_eq!(taken, frames.concat().len());
    line.truncate(written);
    line
}

/// What a client sends, and what may answer it. Of an answer that goes on, the next frame.
fn asked() -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
    let (ask, open) = (frame(FrameType::KeysRequest, 1), frame(FrameType::Open, 80));
    let reject = vec![frame(FrameType::Reject, 1)];
    let accept = vec![frame(FrameType::Accept, 32), frame(FrameType::Head, 40)];
    vec![
        (ask.clone(), vec![frame(FrameType::Keys, 150)]),
        (ask, reject.clone()),
        (open.clone(), accept),
        (open, reject),
    ]
}

/// Every kind that begins no answer; those that only a client sends come back on a line that echoes.
fn strays() -> Vec<Vec<u8>> {
    vec![
        frame(FrameType::KeysRequest, 1),
        frame(FrameType::Open, 80),
        frame(FrameType::Head, 40),
        frame(FrameType::Data, 100),
        frame(FrameType::End, 18),
        frame(FrameType::Error, 19),
        frame(FrameType::Cancel, 18),
    ]
}

/// Packets that do not hold exactly one frame.
fn no_frames() -> Vec<Vec<u8>> {
    let one = packets(&[frame(FrameType::Data, 30)]);
    let cut = [&one[..20], &[0]].concat();
    let cut_in_a_run = one[1..].to_vec();
    let two = [&one[..one.len() - 1], &one].concat();
    let unknown = vec![6, 0x77, 1, 1, 2, 9, 0];
    let too_large = packets(&[frame(FrameType::Data, 250)]);
    vec![cut, cut_in_a_run, two, unknown, too_large]
}

#[test]
fn frames_of_no_answer_are_passed_over() {
    let strays = strays();
    for (question, answer) in asked() {
        for stray in strays.iter().map(slice::from_ref).chain([&strays[..]]) {
            let line = [&[0, 0], &packets(stray)[..], &[0], &packets(&answer)].concat();
            for at_once in [1, 7, 64] {
                let got = Client::new(at_once).ask(&question, &line);
                assert_eq!(got, Got::Frames(answer.concat()), "{stray:02x?}");
            }
        }
    }
}

/// An exchange that has ended leaves a client where it was before: what comes late is passed over, up to the next answer.
#[test]
fn frames_behind_an_answer_are_passed_over() {
    for last in [FrameType::End, FrameType::Error] {
        let answer = [frame(FrameType::Accept, 32), frame(last, 20)];
        let line = packets(&[&answer[..], &strays()].concat());
        let mut client = Client::new(64);
        for _ in 0..2 {
            let got = client.ask(&frame(FrameType::Open, 80), &line);
            assert_eq!(got, Got::Frames(answer.concat()));
        }
    }
}

/// Nothing is under way between exchanges, so nothing can end.
#[test]
fn packets_without_a_frame_between_exchanges_are_passed_over() {
    for noise in no_frames() {
        let answer = [frame(FrameType::Accept, 32), frame(FrameType::End, 18)];
        let line = [&packets(&answer)[..], &noise, &noise].concat();
        let mut client = Client::new(64);
        for _ in 0..2 {
            let got = client.ask(&frame(FrameType::Open, 80), &line);
            assert_eq!(got, Got::Frames(answer.concat()), "{noise:02x?}");
        }
    }
}

/// Where an exchange is under way, from OPEN on, such a packet ends it, and the line goes on: what is left of the answer is passed
/// over, and the next question is answered. A wait for KEYS, which is no exchange, ends too: what was hit may have been they.
#[test]
fn a_packet_without_a_frame_ends_the_exchange() {
    for noise in no_frames() {
        for (question, answer) in asked() {
            for begun in 0..answer.len() {
                let (before, after) = answer.split_at(begun);
                let mut client = Client::new(64);
                let line = [&packets(before)[..], &noise].concat();
                let got = client.ask(&question, &line);
                assert_eq!(got, Got::Over(before.concat()), "{noise:02x?}");
                // Whoever asks anew takes a late ACCEPT for its own, and finds out by the first tag; the rest is not shown.
                let late = match begun {
                    0 => strays(),
                    _ => [after, &strays()].concat(),
                };
                let line = [packets(&late), packets(&answer)].concat();
                let got = client.ask(&question, &line);
                assert_eq!(got, Got::Frames(answer.concat()), "{noise:02x?}");
            }
        }
    }
}
