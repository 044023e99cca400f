//! What a vector says.

use std::fs;
use std::path::Path;

use sealwire_core::agreement::SEED_LEN;
use sealwire_core::{Suite, UnixTime};
use sealwire_memlock::{Policy, SecureBytes, SecureMemory};
use serde_json::Value;

/// All vectors of a kind.
pub(crate) fn vectors(kind: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/python");
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("in the repository")
        .map(|e| e.expect("readable").path())
        .collect();
    names.sort();
    let all = names.iter().map(|path| {
        let text = fs::read_to_string(path).expect("readable");
        serde_json::from_str::<Value>(&text).expect("JSON")
    });
    let found: Vec<Value> = all.filter(|vector| vector["kind"] == kind).collect();
    assert!(!found.is_empty());
    found
}

pub(crate) fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("hexadecimal");
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hexadecimal"))
        .collect()
}

pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
    hex(value).try_into().expect("of the right length")
}

pub(crate) fn memory() -> SecureMemory {
    SecureMemory::new(Policy::BestEffort)
}

pub(crate) fn secure(bytes: &[u8]) -> SecureBytes {
    memory().copy_from(bytes).expect("memory")
}

pub(crate) fn suite(vector: &Value) -> Suite {
    let kem = vector["suite"]["kem"].as_u64().expect("a number");
    Suite::from_kem_id(kem as u16).expect("a suite of this build")
}

pub(crate) fn clock(vector: &Value) -> UnixTime {
    UnixTime::from_millis(vector["clock"].as_u64().unwrap_or(0))
}

/// What our client draws to encapsulate as the vector does.
pub(crate) fn encapsulation_seed(vector: &Value) -> [u8; SEED_LEN] {
    let random = match suite(vector) {
        Suite::P256 => hex(&vector["ikm_ephemeral"]),
        _ => hex(&vector["encap_randomness"]),
    };
    let mut seed = [0; SEED_LEN];
    seed[..random.len()].copy_from_slice(&random);
    seed
}
