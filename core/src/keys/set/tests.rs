extern crate std;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use std::format;

use base64ct::{Base64, Encoding};

use super::{IDENTITY_LEN, KeySet, MAX_RECORD, MAX_RECORDS, SIGNATURE_LEN, SignedRecord};
use crate::error::{Error, Malformed};

const IDENTITY: [u8; IDENTITY_LEN] = [4; IDENTITY_LEN];

fn record(len: usize) -> SignedRecord {
    SignedRecord {
        record: vec![1; len],
        signature: [2; SIGNATURE_LEN],
        evidence: None,
    }
}

fn json(keys: &str) -> String {
    let identity = Base64::encode_string(&IDENTITY);
    format!(r#"{{"version":1,"identity":"{identity}","keys":[{keys}]}}"#)
}

fn json_key(len: usize) -> String {
    let record = Base64::encode_string(&vec![1; len]);
    let signature = Base64::encode_string(&[2; SIGNATURE_LEN]);
    format!(r#"{{"record":"{record}","signature":"{signature}"}}"#)
}

/// REC-5: an array of the members, in their order, is no object.
#[test]
fn an_array_in_place_of_an_object_is_refused() {
    assert!(KeySet::from_json(json(&json_key(100)).as_bytes()).is_ok());

    let identity = Base64::encode_string(&IDENTITY);
    let document = format!(r#"[1,"{identity}",[{}]]"#, json_key(100));
    let refused = Err(Malformed::Keys("json"));
    assert_eq!(KeySet::from_json(document.as_bytes()), refused);

    let signature = Base64::encode_string(&[2; SIGNATURE_LEN]);
    for evidence in ["", ",null", r#","AAEC""#] {
        let key = format!(r#"["AAEC","{signature}"{evidence}]"#);
        assert_eq!(KeySet::from_json(json(&key).as_bytes()), refused, "{key}");
    }
}

/// REC-5: what JSON brings, KEYS can carry.
#[test]
fn a_record_is_as_long_as_its_length_can_say() {
    let longest = KeySet::from_json(json(&json_key(MAX_RECORD)).as_bytes()).expect("a key set");
    assert_eq!(longest.records()[0].record.len(), 65_535);
    assert_eq!(KeySet::parse(&longest.to_bytes()), Ok(longest));

    let refused = Err(Malformed::Keys("length"));
    let document = json(&json_key(MAX_RECORD + 1));
    assert_eq!(KeySet::from_json(document.as_bytes()), refused);
    assert_eq!(KeySet::new(IDENTITY, vec![record(MAX_RECORD + 1)]), refused);
}

#[test]
fn no_form_has_more_records_than_another() {
    let records = |count| (0..count).map(|_| record(3)).collect::<Vec<_>>();
    let most = KeySet::new(IDENTITY, records(MAX_RECORDS)).expect("64 records");
    assert_eq!(KeySet::parse(&most.to_bytes()).as_ref(), Ok(&most));
    assert_eq!(KeySet::from_json(most.to_json().as_bytes()), Ok(most));

    let refused = Err(Malformed::Keys("count"));
    assert_eq!(KeySet::new(IDENTITY, records(MAX_RECORDS + 1)), refused);
    let document = json(&vec![json_key(3); MAX_RECORDS + 1].join(","));
    assert_eq!(KeySet::from_json(document.as_bytes()), refused);
    let mut body = IDENTITY.to_vec();
    body.push(MAX_RECORDS as u8 + 1);
    for _ in 0..=MAX_RECORDS {
        body.extend_from_slice(&[0, 1, 1]);
        body.extend_from_slice(&[2; SIGNATURE_LEN]);
    }
    assert_eq!(KeySet::parse(&body), refused.map_err(Error::from));
}
