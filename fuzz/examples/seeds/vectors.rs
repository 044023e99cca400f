//! Seeds from the vectors: frames as the null cipher seals them, heads, records, key sets.

use std::fs;
use std::path::Path;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use sealwire_core::exchange::ClientOptions;
use sealwire_fuzz::{Wire, World, null_frame};
use serde_json::Value;

use crate::Seeds;

pub(crate) fn write(seeds: &mut Seeds, folder: &Path) {
    let mut paths = Vec::new();
    find(folder, &mut paths);
    paths.sort();
    for path in paths {
        let text = fs::read_to_string(&path).expect("readable");
        let vector: Value = serde_json::from_str(&text).expect("JSON");
        let name = vector["name"].as_str().expect("a name");
        match vector["kind"].as_str() {
            Some("key-set") => key_set(seeds, name, &vector),
            Some("exchange") => exchange(seeds, name, &vector),
            Some("refusal") => refusal(seeds, name, &vector),
            Some("cobs") => cobs(seeds, name, &hex(&vector["packet"])),
            _ => {}
        }
    }
}

fn find(folder: &Path, paths: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("in the repository") {
        let path = entry.expect("readable").path();
        match path.extension() {
            _ if path.is_dir() => find(&path, paths),
            Some(extension) if extension == "json" => paths.push(path),
            _ => {}
        }
    }
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or("");
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hexadecimal"))
        .collect()
}

fn key_set(seeds: &mut Seeds, name: &str, vector: &Value) {
    if let Some(json) = vector["json"].as_str() {
        seeds.add("key_document", name, &[b"\x01", json.as_bytes()].concat());
        return;
    }
    let set = hex(&vector["key_set"]);
    seeds.add("keys", name, &[b"\x01", &set[..]].concat());
    seeds.add("peer", name, &[b"\x07", &set[..]].concat());
    // The first record alone: identity, count and length stand before it.
    if let Some(record) = set.get(68..).and_then(|rest| {
        let len = usize::from(u16::from_be_bytes([set[66], set[67]]));
        rest.get(..len)
    }) {
        seeds.add(
            "keys",
            &format!("{name}-record"),
            &[b"\x00", record].concat(),
        );
        seeds.add(
            "peer",
            &format!("{name}-record"),
            &[b"\x06", record].concat(),
        );
    }
}

fn cobs(seeds: &mut Seeds, name: &str, packet: &[u8]) {
    // Byte by byte, little room, no frames; a length is not needed for what stands last.
    seeds.add("cobs", name, &[&[0, 3, 0], packet, &[0]].concat());
    seeds.add("peer", name, &[&[8], packet].concat());
}

fn exchange(seeds: &mut Seeds, name: &str, vector: &Value) {
    let frames = |direction: &Value| -> Vec<u8> {
        let frames = direction["frames"].as_array().expect("frames").iter();
        frames
            .flat_map(|frame| {
                let kind = frame["type"].as_u64().expect("a type") as u8;
                let kind = sealwire_core::frame::FrameType::from_u8(kind).expect("a type");
                let padding = frame["padding"].as_u64().expect("a number") as usize;
                null_frame(kind, &hex(&frame["content"]), padding)
            })
            .collect()
    };
    let is_stream = u8::from(vector["transport"] == "stream");
    request(
        seeds,
        name,
        is_stream,
        &hex(&vector["open"]),
        &frames(&vector["request"]),
    );
    let head = hex(&vector["request"]["frames"][0]["content"]);
    seeds.add("head", &format!("{name}-request"), &head);
    seeds.add(
        "peer",
        &format!("{name}-request-head"),
        &[b"\x04", &head[..]].concat(),
    );
    let accept = [&[4, 0, 0, 32], &hex(&vector["response_nonce"])[..]].concat();
    let wire = [accept, frames(&vector["response"])].concat();
    response(seeds, name, is_stream, wire, &exchange_id(&head));
}

/// That of a HEAD of either direction; by its tag, 6 in a request.
fn exchange_id(head: &[u8]) -> Vec<u8> {
    let at = head.windows(3).position(|tag| tag == [6, 0, 16]);
    at.map_or_else(Vec::new, |at| head[at + 3..at + 19].to_vec())
}

fn refusal(seeds: &mut Seeds, name: &str, vector: &Value) {
    let is_stream = u8::from(vector["transport"] == "stream");
    let wire = hex(&vector["wire"]);
    if vector["direction"] == "request" {
        let wire = seal_again(&wire, &vector["request_key"], &vector["request_nonce"]);
        for earlier in vector["earlier"].as_array().into_iter().flatten() {
            let earlier = seal_again(
                &hex(earlier),
                &vector["request_key"],
                &vector["request_nonce"],
            );
            let both = [earlier, wire.clone()].concat();
            seeds.add(
                "server",
                &format!("{name}-after"),
                &[&[0, 9][..], &both].concat(),
            );
        }
        heads(seeds, name, &wire);
        match Wire(&wire).next() {
            Some((open, _)) if wire[0] == 3 => {
                let (open, rest) = wire.split_at(open.size());
                request(seeds, name, is_stream, &open[4..], rest);
            }
            _ => seeds.add("server", name, &[&[0, 8 | is_stream][..], &wire].concat()),
        }
    } else {
        let wire = seal_again(&wire, &vector["response_key"], &vector["response_base"]);
        heads(seeds, name, &wire);
        response(seeds, name, is_stream, wire, &hex(&vector["exchange_id"]));
    }
}

fn heads(seeds: &mut Seeds, name: &str, wire: &[u8]) {
    for (header, frame) in Wire(wire) {
        if header.body_len() > 18 && frame[0] == 0x10 {
            let content = Wire::content(frame).unwrap_or_default();
            seeds.add("head", name, content);
            let kind = if name.starts_with("request") { 4 } else { 5 };
            seeds.add(
                "peer",
                &format!("{name}-head"),
                &[&[kind], content].concat(),
            );
        }
    }
}

/// `open` is the body of OPEN, `frames` what follows.
fn request(seeds: &mut Seeds, name: &str, is_stream: u8, open: &[u8], frames: &[u8]) {
    // What is wrong with a head is a seed of `head`.
    if name.starts_with("request-head") && name != "request-head-changed" {
        return;
    }
    let header = [&[3, 0], &(open.len() as u16).to_be_bytes()[..]].concat();
    let wire = [&header, open, frames].concat();
    seeds.add("server", name, &[&[0, 8 | is_stream][..], &wire].concat());
    // Answered late: a CANCEL then comes in time.
    if !name.starts_with("request") || name.starts_with("request-cancel") {
        let late = [&[0, 4 | is_stream][..], frames].concat();
        seeds.add("server", &format!("{name}-late"), &late);
    }
    seeds.add("peer", name, &[&[is_stream << 4], frames].concat());
    if name.starts_with("request-open") {
        let whole = [&[2 | is_stream << 4], &wire[..]].concat();
        seeds.add("peer", &format!("{name}-whole"), &whole);
    }
}

/// The exchange's id is replaced by the one that every run of the target has.
fn response(seeds: &mut Seeds, name: &str, is_stream: u8, mut wire: Vec<u8>, id: &[u8]) {
    let ours = World::with(|world| {
        let client = world.sent_request(ClientOptions::default());
        *client.exchange_id()
    });
    if !id.is_empty() {
        let places: Vec<usize> = (0..wire.len().saturating_sub(15))
            .filter(|at| wire[*at..*at + 16] == *id)
            .collect();
        places
            .iter()
            .for_each(|at| wire[*at..*at + 16].copy_from_slice(&ours));
    }
    seeds.add("client", name, &[&[0, is_stream][..], &wire].concat());
    seeds.add("peer", name, &[&[3 | is_stream << 4], &wire[..]].concat());
}

/// Opens the sealed frames of a wire and seals what they hold with the null cipher. A frame that does not open, or is cut, stays as it
/// is: its tag is not zero, so it does not open there either.
fn seal_again(wire: &[u8], key: &Value, base: &Value) -> Vec<u8> {
    let cipher = Aes256Gcm::new_from_slice(&hex(key)).expect("32 bytes");
    let base: [u8; 12] = hex(base).try_into().expect("12 bytes");
    let (mut out, mut sequence) = (Vec::new(), 0_u8);
    let mut frames = Wire(wire);
    for (header, frame) in frames.by_ref() {
        let mut nonce = base;
        nonce[11] ^= sequence;
        let nonce = Nonce::try_from(&nonce[..]).expect("12 bytes");
        let payload = Payload {
            msg: &frame[4..],
            aad: &frame[..4],
        };
        match cipher.decrypt(&nonce, payload) {
            Ok(text) if header.kind().is_sealed() => {
                out.extend_from_slice(&frame[..4]);
                out.extend_from_slice(&text);
                out.extend_from_slice(&[0; 16]);
                sequence += 1;
            }
            _ => out.extend_from_slice(frame),
        }
    }
    out.extend_from_slice(frames.0);
    out
}
