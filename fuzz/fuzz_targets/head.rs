//! Heads of both directions: what decodes encodes to the same fields, and no value holds a control character.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire_core::head::{RequestHead, ResponseHead};

fuzz_target!(|content: &[u8]| {
    let mut again = vec![0; content.len() + 64];
    if let Ok(head) = RequestHead::decode(content) {
        let values = [
            Some(head.method),
            Some(head.path),
            head.content_type,
            head.authorization,
        ];
        assert!(
            values
                .iter()
                .flatten()
                .all(|v| v.bytes().all(|b| (0x20..0x7f).contains(&b)))
        );
        let len = head
            .encode(&mut again)
            .expect("what was decoded can be sent");
        assert_eq!(RequestHead::decode(&again[..len]), Ok(head));
    }
    if let Ok(head) = ResponseHead::decode(content) {
        assert!((200..600).contains(&head.status));
        let len = head
            .encode(&mut again)
            .expect("what was decoded can be sent");
        assert_eq!(ResponseHead::decode(&again[..len]), Ok(head));
    }
});
