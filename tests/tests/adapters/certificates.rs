//! Gateways that let in only who shows the right certificate, in TLS 1.3, where a client hears of it after it has shaken hands,
//! and in TLS 1.2, where it hears of it before.

use rustls::ALL_VERSIONS;
use sealwire::core::session::{Failure, SessionError};
use sealwire::{Error, ErrorKind};
use sealwire_tests::adapters::{
    CHAT, Certificate, Combination, Stand, chat, json, model, printed, text,
};

pub(crate) fn client_certificate(on: Combination) {
    let (gateway, own) = (Certificate::new(), Certificate::new());
    let stand = Stand::with(on, model(|_| Ok(json(200, CHAT))), |settings| {
        settings.tls = Some(gateway.server_for(&own, on.wire.protocols()));
    });
    for &version in ALL_VERSIONS {
        let client = stand.client_with(|settings| {
            settings.tls = Some(gateway.client_as(Some(&own), &[version]));
        });
        for _ in 0..2 {
            let answer = client.create(&chat()).expect("let in");
            assert_eq!(text(&answer), "sealed answer");
        }
    }
}

pub(crate) fn no_client_certificate(on: Combination) {
    for (connections, error) in turned_away(on, None) {
        assert!(connections <= TRIES, "{connections} connections");
        is_told_or_closed(&error);
    }
}

pub(crate) fn another_client_certificate(on: Combination) {
    for (connections, error) in turned_away(on, Some(&Certificate::new())) {
        assert!(connections <= TRIES, "{connections} connections");
        is_told_or_closed(&error);
    }
}

/// hyper's pool does not pass on why a connection ended that was to carry its first request: then it broke, as any other.
fn is_told_or_closed(error: &Error) {
    let words = printed(error);
    match error.session() {
        Some(SessionError::Connection(Failure::Reset)) => {
            let is_closed = words.contains("Canceled") || words.contains("ChannelClosed");
            let is_of_pool = words.contains("hyper_util::client::legacy::Error");
            assert!(is_of_pool && is_closed, "{words}");
        }
        _ => is_told(error),
    }
}

fn is_told(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Security, "{}", printed(error));
    let refused = SessionError::Connection(Failure::TlsRefused);
    assert_eq!(error.session(), Some(&refused), "{}", printed(error));
    assert!(error.to_string().contains("client certificate"), "{error}");
}

/// Whoever makes connections itself is told why, and does not try again what would not help.
pub(crate) fn told_why_at_once(on: Combination) {
    for own in [None, Some(&Certificate::new())] {
        for (connections, error) in turned_away(on, own) {
            is_told(&error);
            assert_eq!(connections, 1);
        }
    }
}

/// The first, and the retries of every client in the suite; and all of them again where hyper has forgotten one.
const TRIES: usize = 2 * 3;

/// What becomes of a client that shows its `own` certificate, or none, to a gateway that wants another: in each version of
/// TLS, how many connections it made, and its error.
fn turned_away(on: Combination, own: Option<&Certificate>) -> Vec<(usize, Error)> {
    let (gateway, wanted) = (Certificate::new(), Certificate::new());
    let answer = model(|_| panic!("reached by somebody who was not let in"));
    let stand = Stand::with(on, answer, |settings| {
        settings.tls = Some(gateway.server_for(&wanted, on.wire.protocols()));
    });
    let in_version = |&version| {
        let before = stand.gateway().connections();
        let client = stand.client_with(|settings| {
            settings.tls = Some(gateway.client_as(own, &[version]));
        });
        let error = client.create(&chat()).expect_err("not let in");
        (stand.gateway().connections() - before, error)
    };
    ALL_VERSIONS.iter().map(in_version).collect()
}
