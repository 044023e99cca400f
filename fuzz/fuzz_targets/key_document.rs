//! The key set as JSON over HTTP: what is accepted says the same to a plain reading of the document, whichever of two equal members that
//! reading prefers, is written back to a document that
//! reads the same, and agrees with the KEYS frame of the same records.
#![no_main]

use base64ct::{Base64, Encoding};
use libfuzzer_sys::fuzz_target;
use sealwire_core::Suite;
use sealwire_core::keys::KeySet;
use sealwire_fuzz::NOW;
use serde_json::Value;

fn bytes_of(value: &Value) -> Vec<u8> {
    Base64::decode_vec(value.as_str().expect("a string")).expect("base64 with padding")
}

fuzz_target!(|input: (bool, &[u8])| {
    let (verifies, json) = input;
    let Ok(set) = KeySet::from_json(json) else {
        return;
    };
    if let Ok(document) = serde_json::from_slice::<Value>(json) {
        assert_eq!(document["version"], 1);
        assert_eq!(bytes_of(&document["identity"]), set.identity());
        let keys = document["keys"].as_array().expect("an array");
        assert_eq!(keys.len(), set.records().len());
        for (key, signed) in keys.iter().zip(set.records()) {
            assert_eq!(bytes_of(&key["record"]), signed.record);
            assert_eq!(bytes_of(&key["signature"]), signed.signature);
            let evidence = key.get("evidence").map(bytes_of);
            assert_eq!(evidence, signed.evidence);
        }
    }
    assert_eq!(KeySet::from_json(set.to_json().as_bytes()), Ok(set.clone()));
    // Whatever KEYS may hold: a frame may be too small for all of it, but no length or count is cut.
    let framed = KeySet::parse(&set.to_bytes()).expect("our own bytes");
    assert_eq!(framed.pin(), set.pin());
    assert_eq!(framed.records().len(), set.records().len());
    for (a, b) in framed.records().iter().zip(set.records()) {
        assert_eq!((&a.record, a.signature), (&b.record, b.signature));
    }
    // Milliseconds each, so not in every run.
    if verifies {
        let _ = set.select(Suite::P256, NOW);
    }
});
