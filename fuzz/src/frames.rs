//! Frames as the null cipher seals them, made and read.

use sealwire_core::frame::{CONTENT_OFFSET, FrameHeader, FrameType, HEADER_LEN, TAG_LEN};

/// A null-sealed frame. What does not fit the default frame is left out.
pub fn null_frame(kind: FrameType, content: &[u8], padding: usize) -> Vec<u8> {
    let content = &content[..content.len().min(16_000)];
    let padding = padding.min(16_000 - content.len());
    let Ok(header) = FrameHeader::new(kind, 2 + content.len() + padding + TAG_LEN) else {
        return Vec::new();
    };
    let mut frame = header.to_bytes().to_vec();
    frame.extend_from_slice(&(content.len() as u16).to_be_bytes());
    frame.extend_from_slice(content);
    frame.resize(frame.len() + padding + TAG_LEN, 0);
    frame
}

/// Whole frames at the start of a wire.
#[derive(Clone, Debug)]
pub struct Wire<'a>(pub &'a [u8]);

impl<'a> Iterator for Wire<'a> {
    type Item = (FrameHeader, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = FrameHeader::parse(*self.0.first_chunk::<HEADER_LEN>()?).ok()?;
        let (frame, rest) = self.0.split_at_checked(header.size())?;
        self.0 = rest;
        Some((header, frame))
    }
}

impl<'a> Wire<'a> {
    /// The content of a null-sealed frame.
    pub fn content(frame: &'a [u8]) -> Option<&'a [u8]> {
        let len = u16::from_be_bytes([*frame.get(4)?, *frame.get(5)?]);
        frame.get(CONTENT_OFFSET..CONTENT_OFFSET + usize::from(len))
    }
}

/// Types and sizes of the sealed frames of a wire that our own end wrote: it holds nothing but whole frames.
pub fn sizes(wire: &[u8]) -> Vec<(FrameType, usize)> {
    let mut frames = Wire(wire);
    let sizes = frames
        .by_ref()
        .filter(|(header, _)| header.kind().is_sealed())
        .map(|(header, _)| (header.kind(), header.size()))
        .collect();
    assert!(frames.0.is_empty(), "half a frame was sent");
    sizes
}
