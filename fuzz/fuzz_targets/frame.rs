//! Frame headers: what parses is written back the same, and sizes agree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire_core::frame::FrameHeader;

fuzz_target!(|bytes: [u8; 4]| {
    if let Ok(header) = FrameHeader::parse(bytes) {
        assert_eq!(header.to_bytes(), bytes);
        assert_eq!(header.size(), header.body_len() + 4);
        assert_eq!(
            FrameHeader::new(header.kind(), header.body_len()),
            Ok(header)
        );
    }
});
