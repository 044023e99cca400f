//! What can be made of recorded bytes without a key: HTTP heads, and the clear headers of frames.

use sealwire_core::frame::{FrameHeader, FrameType, HEADER_LEN};

/// Bytes of a frame that the table shows.
pub(crate) const FIRST: usize = 8;
/// A secret this short occurs in random bytes by chance; it is searched for together with what stands around it.
const SHORTEST: usize = 8;

/// An HTTP message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The request line or the status line.
    pub(crate) first_line: String,
    /// The body, its chunks joined.
    pub(crate) body: Vec<u8>,
}

/// A frame, as far as it can be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: FrameType,
    /// Bytes after the header.
    pub(crate) len: usize,
    /// The first of them.
    pub(crate) first: Vec<u8>,
}

/// The messages of one direction of a connection; what is cut off at its end is left out.
pub(crate) fn messages(mut bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some((message, rest)) = message(bytes) {
        messages.push(message);
        bytes = rest;
    }
    messages
}

fn message(bytes: &[u8]) -> Option<(Message, &[u8])> {
    let end = find(bytes, b"\r\n\r\n")?;
    let head = str::from_utf8(&bytes[..end]).ok()?;
    let rest = &bytes[end + 4..];
    let mut lines = head.split("\r\n");
    let first_line = lines.next()?.to_owned();
    let field = |name: &str| {
        let mut fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
        fields
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    };
    let (body, rest) = if field("transfer-encoding").is_some_and(|value| value == "chunked") {
        chunks(rest)?
    } else {
        let len = field("content-length").map_or(Ok(0), str::parse).ok()?;
        let (body, rest) = rest.split_at_checked(len)?;
        (body.to_vec(), rest)
    };
    Some((Message { first_line, body }, rest))
}

fn chunks(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let end = find(rest, b"\r\n")?;
        let size = str::from_utf8(&rest[..end]).ok()?;
        let len = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        let (chunk, after) = rest[end + 2..].split_at_checked(len)?;
        body.extend_from_slice(chunk);
        rest = after.strip_prefix(b"\r\n")?;
        if len == 0 {
            return Some((body, rest));
        }
    }
}

/// The frames in a body.
pub(crate) fn frames(mut body: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some((header, rest)) = body.split_first_chunk::<HEADER_LEN>() {
        let Ok(header) = FrameHeader::parse(*header) else {
            break;
        };
        let Some((content, rest)) = rest.split_at_checked(header.body_len()) else {
            break;
        };
        frames.push(Frame {
            kind: header.kind(),
            len: header.body_len(),
            first: content[..content.len().min(FIRST)].to_vec(),
        });
        body = rest;
    }
    frames
}

/// Whether `secret` occurs in what was recorded: as it is, in hexadecimal, or in base64 at any of its three alignments.
pub(crate) fn occurs(secret: &[u8], recorded: &[u8]) -> bool {
    let mut forms = vec![secret.to_vec(), hex(secret).into_bytes()];
    forms.extend((0..3).map(|skip| base64(&secret[skip.min(secret.len())..])));
    forms
        .iter()
        .filter(|form| form.len() >= SHORTEST)
        .any(|form| find(recorded, form).is_some())
}

/// Hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Base64 of whole groups of three bytes: what is left over depends on what follows.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.as_chunks::<3>().0.iter();
    groups
        .flat_map(|&[a, b, c]| {
            let bits = u32::from_be_bytes([0, a, b, c]);
            [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift & 63) as usize])
        })
        .collect()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_with_and_without_chunks() {
        let wire = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\nPOST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
            3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\nPOST /c HTTP/1.1\r\ncontent-length: 2\r\n\r\nfgPOST /cut";
        let seen = messages(wire);
        let seen: Vec<_> = seen
            .iter()
            .map(|message| (message.first_line.as_str(), message.body.as_slice()))
            .collect();
        assert_eq!(
            seen,
            [
                ("GET /a HTTP/1.1", &b""[..]),
                ("POST /b HTTP/1.1", b"abcde"),
                ("POST /c HTTP/1.1", b"fg"),
            ]
        );
    }

    #[test]
    fn frames_up_to_what_is_none() {
        let mut body = vec![0x05, 0, 0, 1, 7];
        body.extend([0x12, 0, 0, 18]);
        body.extend([9; 18]);
        body.extend([0xff, 0, 0, 1, 1]);
        let seen: Vec<_> = frames(&body).iter().map(|frame| (frame.kind, frame.len)).collect();
        assert_eq!(seen, [(FrameType::Reject, 1), (FrameType::End, 18)]);
    }

    #[test]
    fn secrets_are_found_in_any_form() {
        let secret = b"the secret itself";
        assert!(occurs(secret, b"here is the secret itself, plain"));
        assert!(occurs(secret, format!("x{}", hex(secret)).as_bytes()));
        for before in ["", "a", "ab"] {
            let whole = [before.as_bytes(), secret, b"xx"].concat();
            assert!(occurs(secret, &base64(&whole)), "{before}");
        }
        assert!(!occurs(secret, b"nothing of the kind"));
    }
}
