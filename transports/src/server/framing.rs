//! The frames of requests on a raw stream, followed by their headers alone.

use sealwire_core::frame::{FrameHeader, FrameType, HEADER_LEN};

/// Knows where one request ends, and so whether another may begin.
#[derive(Debug, Default)]
pub(super) struct Framing {
    header: [u8; HEADER_LEN],
    have: usize,
    /// Bytes left of the frame whose header was there.
    left: usize,
    last: Option<FrameType>,
    /// The request's END was there.
    has_end: bool,
    is_broken: bool,
    /// The answer is over, and a CANCEL may still arrive that was sent before it was (ORDER-6).
    is_late: bool,
}

impl Framing {
    /// Follows bytes that the exchange has taken.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_broken {
            let count = self.step(bytes);
            bytes = &bytes[count..];
        }
    }

    /// Follows bytes up to the end of a header or of a frame at most, and says how many.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.left > 0 {
            let count = self.left.min(bytes.len());
            self.left -= count;
            return count;
        }
        let count = (HEADER_LEN - self.have).min(bytes.len());
        self.header[self.have..self.have + count].copy_from_slice(&bytes[..count]);
        self.have += count;
        if self.have == HEADER_LEN {
            self.have = 0;
            match FrameHeader::parse(self.header) {
                Ok(header) => {
                    self.left = header.body_len();
                    self.last = Some(header.kind());
                    self.has_end |= header.kind() == FrameType::End;
                }
                Err(_) => self.is_broken = true,
            }
        }
        count
    }

    fn is_between_frames(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// Whether no request has begun.
    pub(super) fn is_idle(&self) -> bool {
        let is_before = matches!(self.last, None | Some(FrameType::KeysRequest));
        self.is_late || self.is_between_frames() && is_before && !self.is_broken
    }

    /// Whether the request has ended, so that another may begin (ORDER-7). Only a CANCEL may have begun after END.
    pub(super) fn may_carry_on(&self) -> bool {
        let has_cancel = self.is_between_frames() && self.last == Some(FrameType::Cancel);
        (self.has_end || has_cancel) && !self.is_broken
    }

    /// The answer is over.
    pub(super) fn carry_on(&mut self) {
        let may_cancel =
            self.has_end && self.last == Some(FrameType::End) || !self.is_between_frames();
        *self = Self {
            is_late: may_cancel,
            header: self.header,
            have: self.have,
            left: self.left,
            ..Self::default()
        };
    }

    /// How many of `bytes`, which no exchange has taken, belong to a CANCEL of the exchange before.
    pub(super) fn late_cancel(&mut self, bytes: &[u8]) -> usize {
        let mut skipped = 0;
        while self.is_late && skipped < bytes.len() {
            let rest = &bytes[skipped..];
            let is_cancel = rest[0] == FrameType::Cancel as u8;
            if self.is_between_frames() && !is_cancel {
                self.is_late = false;
                break;
            }
            skipped += self.step(rest);
            if self.is_between_frames() || self.is_broken {
                *self = Self {
                    is_broken: self.is_broken,
                    ..Self::default()
                };
            }
        }
        skipped
    }
}

#[cfg(test)]
mod tests {
    use super::Framing;

    const END: [u8; 22] = frame(0x12);
    const CANCEL: [u8; 22] = frame(0x14);
    const KEYS_REQUEST: [u8; 5] = [0x01, 0, 0, 1, 1];

    const fn frame(kind: u8) -> [u8; 22] {
        let mut frame = [0; 22];
        (frame[0], frame[3]) = (kind, 18);
        frame
    }

    #[test]
    fn a_request_ends_by_end_or_cancel() {
        let mut framing = Framing::default();
        assert!(framing.is_idle() && !framing.may_carry_on());
        framing.follow(&KEYS_REQUEST);
        assert!(framing.is_idle() && !framing.may_carry_on());
        for last in [END, CANCEL] {
            let mut framing = Framing::default();
            for byte in &last[..21] {
                framing.follow(&[*byte]);
                assert!(!framing.is_idle());
            }
            framing.follow(&last[21..]);
            assert!(framing.may_carry_on());
        }
        framing.follow(&[0xff; 4]);
        assert!(!framing.may_carry_on() && !framing.is_idle());
    }

    /// ORDER-6: the gateway had not seen the CANCEL when it sent END, whether none of it or some had arrived.
    #[test]
    fn a_late_cancel_is_skipped_wherever_it_was_cut() {
        for before in 0..=CANCEL.len() {
            let mut framing = Framing::default();
            framing.follow(&END);
            framing.follow(&CANCEL[..before]);
            assert!(framing.may_carry_on());
            framing.carry_on();
            assert!(framing.is_idle());
            let mut rest = CANCEL[before..].to_vec();
            rest.extend(END);
            for byte in &CANCEL[before..] {
                assert_eq!(framing.late_cancel(&[*byte]), 1, "{before}");
            }
            // Only one, and nothing else.
            assert_eq!(framing.late_cancel(&END), 0, "{before}");
            assert_eq!(framing.late_cancel(&CANCEL), 0, "{before}");
            assert!(framing.is_idle());
        }
    }
}
