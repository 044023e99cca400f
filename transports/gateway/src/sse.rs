//! Server-sent events as pieces: what arrived from the upstream, cut where an event ends.

use sealwire_memlock::{MemoryError, SecureBytes, SecureMemory};

/// An event longer than this goes on in parts, so that no upstream fills the memory with one.
const LONGEST_PIECE: usize = 64 * 1024;
/// What an OpenAI-compatible server sends last, as data.
const DONE: &[u8] = b"[DONE]";

/// Cuts a stream of bytes where its events end, in secure memory.
#[derive(Debug)]
pub(crate) struct EventSplitter {
    buffer: SecureBytes,
    memory: SecureMemory,
    /// The last piece was `[DONE]`.
    done: bool,
}

impl EventSplitter {
    pub(crate) fn new(memory: &SecureMemory) -> Result<Self, MemoryError> {
        Ok(Self {
            buffer: memory.with_capacity(0)?,
            memory: memory.clone(),
            done: false,
        })
    }

    /// Adds what arrived.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), MemoryError> {
        self.buffer.try_extend_from_slice(bytes)
    }

    /// The next whole event, with the empty line that ends it.
    pub(crate) fn piece(&mut self) -> Result<Option<SecureBytes>, MemoryError> {
        let buffer = self.buffer.expose();
        let whole = event_end(buffer);
        let long = (buffer.len() > LONGEST_PIECE).then_some(LONGEST_PIECE);
        match whole.or(long) {
            Some(end) => self.take(end).map(Some),
            None => Ok(None),
        }
    }

    /// What is left when the stream has ended: nothing, or a `[DONE]` that lacks its empty line. An event that was cut off is an error.
    pub(crate) fn end(&mut self) -> Result<Option<SecureBytes>, CutOff> {
        let rest = self.buffer.expose().trim_ascii();
        match rest {
            b"" => Ok(None),
            rest if is_done(rest) => {
                let end = self.buffer.len();
                let mut piece = self.take(end).map_err(|_| CutOff)?;
                piece.try_extend_from_slice(b"\n\n").map_err(|_| CutOff)?;
                Ok(Some(piece))
            }
            _ => Err(CutOff),
        }
    }

    /// Whether the stream said that it is done.
    pub(crate) const fn is_done(&self) -> bool {
        self.done
    }

    fn take(&mut self, end: usize) -> Result<SecureBytes, MemoryError> {
        let piece = self.memory.copy_from(&self.buffer.expose()[..end])?;
        self.done = is_done(piece.expose());
        self.buffer.drain_front(end);
        Ok(piece)
    }
}

/// Whether a piece says that it is the last; the blank behind the colon may be missing, and others may be there.
fn is_done(piece: &[u8]) -> bool {
    let data = piece.trim_ascii().strip_prefix(b"data:");
    data.is_some_and(|data| data.trim_ascii() == DONE)
}

/// The stream ended in the middle of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutOff;

/// Where the first event ends: after its first empty line. Lines end in LF, CR LF or CR.
fn event_end(bytes: &[u8]) -> Option<usize> {
    let (mut line, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        let after = match byte {
            b'\n' => at + 1,
            // What follows decides whether this is a line end of one byte or two.
            b'\r' => match bytes.get(at + 1)? {
                b'\n' => at + 2,
                _ => at + 1,
            },
            _ => {
                at += 1;
                continue;
            }
        };
        if at == line {
            return Some(after);
        }
        (line, at) = (after, after);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    type End = Result<Option<Vec<u8>>, CutOff>;

    fn pieces(stream: &[u8], step: usize) -> (Vec<Vec<u8>>, End) {
        let mut splitter = EventSplitter::new(&SecureMemory::default()).expect("memory");
        let mut pieces = Vec::new();
        for part in stream.chunks(step) {
            splitter.push(part).expect("memory");
            while let Some(piece) = splitter.piece().expect("memory") {
                pieces.push(piece.expose().to_vec());
            }
        }
        let end = splitter.end();
        (
            pieces,
            end.map(|rest| rest.map(|rest| rest.expose().to_vec())),
        )
    }

    #[test]
    fn pieces_are_events_however_the_bytes_arrive() {
        let stream = b"data: a\n\ndata: b\r\n\r\n: note\ndata: c\ndata: d\n\ndata: [DONE]\n\n";
        let expected: [&[u8]; 4] = [
            b"data: a\n\n",
            b"data: b\r\n\r\n",
            b": note\ndata: c\ndata: d\n\n",
            b"data: [DONE]\n\n",
        ];
        for step in 1..=stream.len() {
            let (pieces, end) = pieces(stream, step);
            assert_eq!(pieces, expected, "step {step}");
            assert_eq!(end, Ok(None));
        }
    }

    #[test]
    fn an_event_that_was_cut_off_is_noticed() {
        assert_eq!(pieces(b"data: a\n\ndata: b", 5).1, Err(CutOff));
        assert_eq!(pieces(b"data: a\n\ndata: b\n", 5).1, Err(CutOff));
        assert_eq!(
            pieces(b"data: [DONE]\n", 5).1,
            Ok(Some(b"data: [DONE]\n\n\n".to_vec()))
        );
    }

    #[test]
    fn what_is_last_is_known_with_any_blanks() {
        for (piece, done) in [
            ("data: [DONE]\n\n", true),
            ("data: [DONE] \r\n\r\n", true),
            ("data:[DONE]\n\n", true),
            ("data: [DONE]!\n\n", false),
            ("[DONE]\n\n", false),
        ] {
            let mut splitter = EventSplitter::new(&SecureMemory::default()).expect("memory");
            splitter.push(piece.as_bytes()).expect("memory");
            assert!(splitter.piece().expect("memory").is_some());
            assert_eq!(splitter.is_done(), done, "{piece:?}");
        }
    }

    #[test]
    fn a_long_event_goes_on_in_parts() {
        let (pieces, end) = pieces(&vec![b'x'; LONGEST_PIECE + 10], 1000);
        assert_eq!(pieces.len(), 1);
        assert_eq!(end, Err(CutOff));
    }
}
