//! Key records and the body of KEYS: what is accepted keeps the rules of the spec, and is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire_core::Suite;
use sealwire_core::keys::{KeyRecord, KeySet};
use sealwire_fuzz::{NOW, quotes_nothing};

fuzz_target!(|input: (bool, &[u8])| {
    let (verifies, bytes) = input;
    if let Err(error) = KeyRecord::parse(bytes) {
        quotes_nothing(&error);
    }
    if let Ok(record) = KeyRecord::parse(bytes) {
        assert!(record.not_before < record.not_after && record.max_frame >= 1024);
        if record.suite.is_some() {
            let mut again = vec![0; 2048];
            let len = record
                .encode(&mut again)
                .expect("what was parsed can be written");
            // Other (kdf, aead) pairs beside ours are not written back.
            assert_eq!(KeyRecord::parse(&again[..len]), Ok(record));
        }
    }
    if let Ok(set) = KeySet::parse(bytes) {
        assert_eq!(set.to_bytes(), bytes);
        assert_eq!(KeySet::from_json(set.to_json().as_bytes()), Ok(set.clone()));
        // Milliseconds each, so not in every run.
        if verifies && let Ok(key) = set.select(Suite::P256, NOW) {
            assert!(NOW < key.not_after());
        }
    }
});
