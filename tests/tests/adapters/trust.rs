//! Whom a client trusts, keys that change, and what an onlooker sees.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sealwire::ErrorKind;
use sealwire::core::keys::Pin;
use sealwire::core::session::SessionError;
use sealwire_tests::adapters::{Combination, Line, Stand, Wire, chat, fed, printed, text, whole};

/// TRUST-1, TRUST-2
pub(crate) fn wrong_pin(on: Combination) {
    let line = Line::new();
    let stand = Stand::new(on, whole()).behind(&line);
    let other = Pin::from_bytes([7; 32]);
    line.up().record();
    let client = stand.client_with(|settings| settings.pin = other);
    let error = client.create(&chat()).expect_err("another");
    assert_eq!(error.kind(), ErrorKind::Security);
    let expected = SessionError::Identity {
        expected: other,
        found: stand.pin(),
    };
    assert_eq!(error.session(), Some(&expected));
    assert_eq!(client.gateway_pin(), None);
    // TRUST-1: the keys were asked for, and nothing was sealed. Under TLS nobody sees it.
    let sent = line.up().recorded();
    match on.wire {
        Wire::H1 => assert!(sent.starts_with(b"GET ") && !sent.windows(5).any(|w| w == b"POST ")),
        Wire::Raw => assert_eq!(sent, [0x01, 0, 0, 1, 1]),
        Wire::H1Tls | Wire::H2 | Wire::RawTls | Wire::Cobs => {}
    }
}

pub(crate) fn verifier(on: Combination) {
    let stand = Stand::new(on, whole());
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, pin) = (asked.clone(), stand.pin());
    let client = stand.client_with(|settings| {
        settings.verifier = Some(Arc::new(move |set| {
            count.fetch_add(1, Ordering::SeqCst);
            set.pin() == pin
        }));
    });
    for _ in 0..3 {
        client.create(&chat()).expect("trusted");
        stand.gateway().restart();
    }
    // Once for an identity, whatever keys it signs.
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(client.gateway_pin(), Some(pin));

    let client = stand.client_with(|settings| settings.verifier = Some(Arc::new(|_| false)));
    let error = client.create(&chat()).expect_err("not trusted");
    let found = SessionError::Untrusted { found: pin };
    assert_eq!(error.session(), Some(&found));
}

/// TRUST-4: the gateway's records have no evidence, and its next one is another record.
pub(crate) fn evidence_of_each_key(on: Combination) {
    let line = Line::new();
    let stand = Stand::new(on, whole()).behind(&line);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let records = seen.clone();
    let client = stand.client_with(|settings| {
        settings.evidence_verifier = Some(Arc::new(move |set, record| {
            assert!(set.records().contains(record));
            records.lock().expect("no panic").push(record.hash());
            record.evidence.is_none()
        }));
    });
    for _ in 0..2 {
        client.create(&chat()).expect("trusted");
        client.create(&chat()).expect("a key that is known");
        stand.gateway().restart();
        line.hang_up();
    }
    let seen = seen.lock().expect("no panic").clone();
    assert!(seen.len() == 2 && seen[0] != seen[1], "{seen:?}");

    let client = stand.client_with(|settings| {
        settings.evidence_verifier = Some(Arc::new(|_, record| record.evidence.is_some()));
    });
    let error = client.create(&chat()).expect_err("no evidence");
    assert_eq!(error.kind(), ErrorKind::Security);
}

pub(crate) fn keys_shown(on: Combination) {
    let stand = Stand::new(on, whole());
    let client = stand.client_with(|settings| settings.verifier = Some(Arc::new(|_| false)));
    assert_eq!(client.fetch_keys().expect("keys").pin(), stand.pin());
}

/// A key that the gateway no longer has: fetched again, and sealed afresh. A gateway that was really started again has
/// lost its connections too.
pub(crate) fn rotated_between(on: Combination) {
    let line = Line::new();
    let stand = Stand::new(on, whole()).behind(&line);
    let client = stand.client();
    for loses_connections in [false, true, true, false] {
        if loses_connections {
            line.hang_up();
        }
        assert_eq!(
            text(&client.create(&chat()).expect("answered")),
            "sealed answer"
        );
        stand.gateway().restart();
    }
}

/// An answer under way goes on to its end under the keys it began with.
pub(crate) fn rotated_during(on: Combination) {
    let (model, mut feed) = fed();
    let stand = Stand::new(on, model);
    let client = stand.client();
    let mut stream = client.stream(&chat()).expect("begun");
    feed.say("one");
    assert_eq!(stream.next_text().expect("a chunk").as_deref(), Some("one"));
    stand.gateway().restart();
    feed.say("two");
    feed.finish();
    let (said, error) = stream.rest();
    assert_eq!((said.as_str(), error.is_none()), ("two", true));
}

/// HTTP-4, and all that sealing is for: neither key, prompt, answer nor path is in what passes.
pub(crate) fn nothing_in_the_clear(on: Combination) {
    let line = Line::new();
    let stand = Stand::new(on, whole()).behind(&line);
    line.up().record();
    line.down().record();
    let client = stand.client();
    let answer = client.create(&chat()).expect("answered");
    assert_eq!(text(&answer), "sealed answer");
    for passed in [line.up().recorded(), line.down().recorded()] {
        assert!(passed.len() > 300, "{} recorded", passed.len());
        for word in [
            "sk-marker",
            "prompt-marker",
            "sealed answer",
            "completions",
            "Bearer",
        ] {
            let found = passed
                .windows(word.len())
                .any(|window| window == word.as_bytes());
            assert!(!found, "{word} was seen");
        }
    }
}

/// The client of another gateway's certificate stops, whatever the pin.
pub(crate) fn untrusted_certificate(on: Combination) {
    let stand = Stand::new(on, whole());
    let other = sealwire_tests::adapters::Certificate::new();
    let client = stand.client_with(|settings| settings.tls = Some(other.client()));
    let error = client.create(&chat()).expect_err("not trusted");
    assert_eq!(error.kind(), ErrorKind::Security, "{}", printed(&error));
    assert!(error.to_string().contains("certificate"), "{error}");
    // Nor is a certificate that the platform does not know.
    let client = stand.client_with(|settings| settings.tls = None);
    let error = client.create(&chat()).expect_err("not trusted");
    assert_eq!(error.kind(), ErrorKind::Security, "{}", printed(&error));
}

/// A server of TLS that says nothing of HTTP is spoken to in HTTP/1.1.
pub(crate) fn no_protocol_named(on: Combination) {
    let stand = Stand::with(on, whole(), |settings| {
        let tls = settings.tls.as_mut().expect("a wire with TLS");
        Arc::make_mut(tls).alpn_protocols.clear();
    });
    stand.client().create(&chat()).expect("answered");
}
