//! Prompts and answers just under their limits, and just over them (LIMIT-1).

use futures_util::stream::iter;
use sealwire::ErrorKind;
use sealwire::chat::{ChatRequest, Message};
use sealwire::core::session::SessionError;
use sealwire::core::{Error, PeerError};
use sealwire::server::{Reply, ReplyBody};
use sealwire_tests::adapters::{
    Combination, GatewaySettings, Model, Stand, bytes, chat, event_stream, model, whole,
};

/// A limit that takes no time.
const LIMIT: usize = 100_000;

fn echo() -> Model {
    model(|asked| {
        let body = ReplyBody::Whole(bytes(&asked.body));
        Ok(Reply::new(200, "application/octet-stream", body))
    })
}

fn limited(settings: &mut GatewaySettings) {
    settings.options.request.content = LIMIT as u64;
    settings.record.max_request = LIMIT as u32;
}

pub(crate) fn just_under_the_limits(on: Combination) {
    let stand = Stand::with(on, echo(), limited);
    let client = stand.client_with(|settings| settings.options.response.content = LIMIT as u64);
    // Around the sizes of frames too.
    for len in [0, 1, 16_383, 16_384, 16_385, LIMIT - 1, LIMIT] {
        let body = vec![b'x'; len];
        let answer = client
            .request("POST", "/echo", bytes(&body))
            .expect("echoed");
        assert!(answer.body().expose() == body, "{len}");
    }
}

pub(crate) fn request_over_the_limit(on: Combination) {
    // The key record tells, so the client refuses before it seals. (A gateway that promised more warns its operator.)
    let stand = Stand::with(on, echo(), limited);
    let client = stand.client();
    let error = client.request("POST", "/echo", bytes(&[b'x'; LIMIT + 1]));
    let error = error.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(
        error.to_string(),
        "request body is larger than the limit of 100000 bytes"
    );
    client
        .request("POST", "/echo", bytes(b"x"))
        .expect("echoed");
}

pub(crate) fn request_over_the_default(on: Combination) {
    let stand = Stand::new(on, whole());
    let long = "x".repeat(20 << 20);
    let request = ChatRequest::new("m").message(Message::user(long.as_str()));
    let error = stand.client().create(&request).expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(
        error.to_string(),
        "request body is larger than the limit of 10485760 bytes"
    );
}

pub(crate) fn the_default_limit(on: Combination) {
    let stand = Stand::new(on, echo());
    let body = vec![b'x'; 10 << 20];
    let answer = stand
        .client()
        .request("POST", "/echo", bytes(&body))
        .expect("echoed");
    assert!(answer.body().expose() == body);
}

fn is_over(error: &sealwire::Error) {
    assert_eq!(error.kind(), ErrorKind::Security, "{error}");
    let Some(SessionError::Exchange(Error::Peer(PeerError::TooLarge { limit, .. }))) =
        error.session()
    else {
        panic!("{error}");
    };
    assert_eq!(*limit, LIMIT as u64);
}

pub(crate) fn answer_over_the_limit(on: Combination) {
    let stand = Stand::new(
        on,
        model(|_| {
            let body = ReplyBody::Whole(bytes(&[b'x'; LIMIT + 1]));
            Ok(Reply::new(200, "text/plain", body))
        }),
    );
    let client = stand.client_with(|settings| settings.options.response.content = LIMIT as u64);
    let error = client
        .request("GET", "/", bytes(b""))
        .expect_err("too large");
    is_over(&error);
    let client = stand.client();
    client
        .request("GET", "/", bytes(b""))
        .expect("no more than allowed");
}

pub(crate) fn streamed_answer_over_the_limit(on: Combination) {
    let stand = Stand::new(
        on,
        model(|_| Ok(event_stream(iter((0..101).map(|_| Ok(vec![b'\n'; 1000])))))),
    );
    let client = stand.client_with(|settings| settings.options.response.content = LIMIT as u64);
    let mut stream = client.stream(&chat()).expect("begun");
    is_over(&stream.next_text().expect_err("too large"));
    assert_eq!(stream.next_text().expect("its end"), None);
}
