//! Which packets of a line are for whoever listens (RAW-4).

use super::Decoder;
use crate::frame::FrameType;
use crate::head::Direction;

/// One end's ear on a line that neither opens nor closes: a [`Decoder`], and which of its frames are for the exchange that is under
/// way (spec section 13.3, RAW-4).
///
/// Such a line holds what an exchange left that nobody ended: one end was reset, gave up, or lost its place in noise. A client hears the
/// KEYS, ACCEPT or REJECT that it waits for, and what belongs to it; a gateway whoever begins anew. The rest is passed over. Frames are
/// otherwise not looked into: what an exchange makes of them is its own affair.
///
/// ```
/// use sealwire_core::cobs::{Packet, Receiver};
/// use sealwire_core::frame::FrameType;
///
/// let mut receiver = Receiver::client([0; 1024]);
/// // The client has sent KEYS_REQUEST. What stands on the line: END of a forgotten answer, then REJECT(busy).
/// receiver.handle_sent(FrameType::KeysRequest);
/// let end = [&[2, 0x12, 1, 20, 0x12][..], &[9; 18], &[0]].concat();
/// let line = [&end[..], &[2, 0x05, 1, 3, 1, 5, 0]].concat();
/// assert_eq!(receiver.handle_input(&line), line.len());
/// assert_eq!(receiver.poll_packet(), Some(Packet::Frame(&[0x05, 0, 0, 1, 5])));
/// ```
#[derive(Debug)]
pub struct Receiver<B> {
    decoder: Decoder<B>,
    direction: Direction,
    /// Frames of an answer, or of a request, are wanted.
    is_under_way: bool,
    /// The type of the frame that a client waits for: KEYS or ACCEPT. REJECT may come in the place of both.
    awaited: Option<FrameType>,
    found: Option<Found>,
}

/// What a [`Receiver`] heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A frame of what is under way, or the one that begins a client's answer.
    Frame(&'a [u8]),
    /// To a gateway, OPEN or KEYS_REQUEST: if anything was under way, the client has forgotten it. It ends without an answer, and
    /// this is the first frame of what comes instead.
    Anew(&'a [u8]),
    /// A packet that holds no frame, where one of what is under way may have been lost. That is over: to a client its answer is
    /// truncated, a gateway forgets the request. The line goes on.
    Lost,
}

#[derive(Clone, Copy, Debug)]
enum Found {
    Frame,
    Anew,
    Lost,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Receiver<B> {
    /// The client's. The buffer is where packets are put together, as large as the largest frame that the gateway may send; what is
    /// larger holds no frame (RAW-1).
    pub const fn client(buffer: B) -> Self {
        Self::new(buffer, Direction::Response)
    }

    /// The gateway's. The buffer is as that of a client.
    pub const fn gateway(buffer: B) -> Self {
        Self::new(buffer, Direction::Request)
    }

    const fn new(buffer: B, direction: Direction) -> Self {
        Self {
            decoder: Decoder::new(buffer),
            direction,
            is_under_way: false,
            awaited: None,
            found: None,
        }
    }

    /// The direction of the frames that it hears: a client's hears responses.
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    /// Takes bytes from the line, and returns how many: up to the end of the first packet that matters. While
    /// [`poll_packet`](Self::poll_packet) has something to give, it takes none.
    pub fn handle_input(&mut self, input: &[u8]) -> usize {
        let mut taken = 0;
        while self.found.is_none() {
            let count = self.decoder.handle_input(&input[taken..]);
            taken += count;
            self.found = match self.decoder.poll_frame() {
                Some(frame) => {
                    let kind = frame.map(|frame| FrameType::from_u8(frame[0]));
                    self.judge(kind.ok().and_then(Result::ok))
                }
                None if count == 0 => break,
                None => None,
            };
        }
        taken
    }

    /// What was heard, once.
    pub fn poll_packet(&mut self) -> Option<Packet<'_>> {
        Some(match self.found.take()? {
            Found::Frame => Packet::Frame(self.decoder.frame()),
            Found::Anew => Packet::Anew(self.decoder.frame()),
            Found::Lost => Packet::Lost,
        })
    }

    /// The frame that [`poll_packet`](Self::poll_packet) gave out last, until the next call of
    /// [`handle_input`](Self::handle_input); empty if there is none.
    pub fn frame(&self) -> &[u8] {
        self.decoder.frame()
    }

    /// A client has sent bytes of a frame of this type ([`Encoder::frame_type`](super::Encoder::frame_type)), and waits for what answers
    /// it: KEYS_REQUEST, or the request that the frame is of, whichever came last. To CANCEL there is no answer of its own. What the client
    /// has given up before it asks anew, it gives up by [`forget`](Self::forget), or the rest of that answer is heard as well.
    pub const fn handle_sent(&mut self, kind: FrameType) {
        self.awaited = match (self.direction, kind) {
            (Direction::Request, _) => None,
            (Direction::Response, FrameType::KeysRequest) => Some(FrameType::Keys),
            (Direction::Response, FrameType::Cancel) => self.awaited,
            (Direction::Response, _) => Some(FrameType::Accept),
        };
    }

    /// What was under way is given up here: what still comes of it is passed over, as is what [`poll_packet`](Self::poll_packet) has not
    /// given out yet, unless somebody begins anew with that.
    pub fn forget(&mut self) {
        if !matches!(self.found, Some(Found::Anew)) {
            (self.is_under_way, self.awaited) = (false, None);
            self.found = None;
        }
    }

    /// What becomes of a frame of this type, or of a packet that holds none.
    fn judge(&mut self, kind: Option<FrameType>) -> Option<Found> {
        match self.direction {
            Direction::Request => self.judge_request(kind),
            Direction::Response => self.judge_response(kind),
        }
    }

    fn judge_request(&mut self, kind: Option<FrameType>) -> Option<Found> {
        match kind {
            None => core::mem::take(&mut self.is_under_way).then_some(Found::Lost),
            Some(FrameType::Open | FrameType::KeysRequest) => {
                self.is_under_way = kind == Some(FrameType::Open);
                Some(Found::Anew)
            }
            Some(_) => self.is_under_way.then_some(Found::Frame),
        }
    }

    fn judge_response(&mut self, kind: Option<FrameType>) -> Option<Found> {
        // A packet that holds no frame may have been the one that is waited for, or of what is under way.
        let may_answer = matches!(kind, None | Some(FrameType::Reject)) || kind == self.awaited;
        let is_heard = self.is_under_way || self.awaited.is_some() && may_answer;
        if !is_heard {
            return None;
        }
        match kind {
            Some(FrameType::Accept) => (self.is_under_way, self.awaited) = (true, None),
            None
            | Some(FrameType::Keys | FrameType::Reject | FrameType::End | FrameType::Error) => {
                (self.is_under_way, self.awaited) = (false, None);
            }
            Some(_) => {}
        }
        Some(kind.map_or(Found::Lost, |_| Found::Frame))
    }
}
