//! What gateways answer, written into secure memory.

use futures_util::Stream;
use sealwire::core::ErrorCode;
use sealwire::memlock::{Policy, SecureBytes, SecureMemory};
use sealwire::server::{Reply, ReplyBody};
use sealwire_tests::marker::{Form, Marker};

use super::path::Path;

const MEMORY: SecureMemory = SecureMemory::new(Policy::BestEffort);

/// A whole answer.
pub(crate) fn whole(path: Path, answer: Marker) -> Reply {
    let (status, body) = body(path, answer);
    Reply::new(status, "application/json", ReplyBody::Whole(body))
}

/// An answer that is streamed: these events.
pub(crate) fn streamed(
    events: impl Stream<Item = Result<SecureBytes, ErrorCode>> + Send + 'static,
) -> Reply {
    let events = ReplyBody::Stream(Box::pin(events));
    Reply::new(200, "text/event-stream", events)
}

fn body(path: Path, answer: Marker) -> (u16, SecureBytes) {
    let mut body = MEMORY.with_capacity(512).expect("memory");
    let (status, before, after): (_, &[u8], &[u8]) = match path {
        Path::Unauthorized => (
            401,
            br#"{"error":{"message":""#,
            br#"","type":"authentication_error","param":null,"code":"invalid_api_key"}}"#,
        ),
        Path::Malformed => (
            200,
            br#"{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":""#,
            b"",
        ),
        _ => (
            200,
            br#"{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":""#,
            br#""}}]}"#,
        ),
    };
    let mut put = |bytes: &[u8]| body.try_extend_from_slice(bytes).expect("memory");
    put(before);
    answer.write(Form::Json, &mut put);
    put(after);
    (status, body)
}

/// A part of a streamed answer; what comes after the last is the end.
pub(crate) fn event(answer: Marker, part: usize) -> SecureBytes {
    let mut body = MEMORY.with_capacity(256).expect("memory");
    let mut put = |bytes: &[u8]| body.try_extend_from_slice(bytes).expect("memory");
    if part == Marker::PARTS {
        put(b"data: [DONE]\n\n");
    } else {
        put(br#"data: {"choices":[{"index":0,"delta":{"content":""#);
        answer.write_part(part, Form::Json, &mut put);
        put(b"\"}}]}\n\n");
    }
    body
}
