//! Trust, keys, TLS and versions of HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use sealwire::core::keys::Pin;
use sealwire::core::session::SessionError;
use sealwire::{ErrorKind, hyper};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};

use crate::answers::chat;
use crate::support::{CHAT, Server, at_once, json, printed};

async fn server() -> Server {
    Server::start(at_once(|_| Ok(json(200, CHAT)))).await
}

#[tokio::test]
async fn another_identity_than_the_pinned_one() {
    let server = server().await;
    let other = Pin::from_bytes([7; 32]);
    let client = server.builder().pin(other).build().expect("configured");
    let error = client.create(&chat()).await.expect_err("another");
    assert_eq!(error.kind(), ErrorKind::Security);
    let expected = SessionError::Identity {
        expected: other,
        found: server.pin,
    };
    assert_eq!(error.session(), Some(&expected));
    assert_eq!(client.gateway_pin(), None);
}

#[tokio::test]
async fn the_verifier_is_asked_once_for_an_identity() {
    let server = server().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, pin) = (asked.clone(), server.pin);
    let builder = server.builder().verifier(move |set| {
        count.fetch_add(1, Ordering::SeqCst);
        set.pin() == pin
    });
    let client = builder.build().expect("configured");
    for _ in 0..3 {
        client.create(&chat()).await.expect("trusted");
        server.restart();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(client.gateway_pin(), Some(server.pin));

    let client = server
        .builder()
        .verifier(|_| false)
        .build()
        .expect("configured");
    let error = client.create(&chat()).await.expect_err("not trusted");
    assert_eq!(
        error.session(),
        Some(&SessionError::Untrusted { found: server.pin })
    );
}

/// TRUST-4: the gateway's records have no evidence, and its next one is another record.
#[tokio::test]
async fn each_key_is_judged_by_its_evidence() {
    let server = server().await;
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let records = seen.clone();
    let builder = server.builder().evidence_verifier(move |set, record| {
        assert!(set.records().contains(record));
        records.lock().expect("no panic").push(record.hash());
        record.evidence.is_none()
    });
    let client = builder.build().expect("configured");
    for _ in 0..2 {
        client.create(&chat()).await.expect("trusted");
        client.create(&chat()).await.expect("a key that is known");
        server.restart();
    }
    let seen = seen.lock().expect("no panic").clone();
    assert!(seen.len() == 2 && seen[0] != seen[1], "{seen:?}");

    let strict = server
        .builder()
        .evidence_verifier(|_, record| record.evidence.is_some());
    let error = strict
        .build()
        .expect("configured")
        .create(&chat())
        .await
        .expect_err("no evidence");
    assert_eq!(error.kind(), ErrorKind::Security);
}

#[tokio::test]
async fn keys_that_changed_are_fetched_again() {
    let server = server().await;
    let client = server.client();
    for _ in 0..3 {
        client.create(&chat()).await.expect("answered");
        server.restart();
    }
}

#[tokio::test]
async fn keys_are_shown_without_being_trusted() {
    let server = server().await;
    let client = server
        .builder()
        .verifier(|_| false)
        .build()
        .expect("configured");
    assert_eq!(client.fetch_keys().await.expect("keys").pin(), server.pin);
}

#[tokio::test]
async fn many_at_once_on_one_client() {
    let server = server().await;
    let client = server.client();
    let answers = join_all((0..100).map(|_| {
        let client = client.clone();
        async move { client.create(&chat()).await }
    }));
    for answer in answers.await {
        answer.expect("answered");
    }
}

/// A gateway under TLS that speaks these protocols, and the configuration of a client that trusts its certificate.
async fn tls(protocols: &[&[u8]]) -> (Server, ClientConfig) {
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a key");
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a certificate");
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let handler = at_once(|_| Ok(json(200, CHAT)));
    (
        Server::start_with(handler, Some(Arc::new(config).into())).await,
        client,
    )
}

#[tokio::test]
async fn tls_with_either_version_of_http() {
    for protocols in [&[b"h2" as &[u8]][..], &[b"http/1.1"], &[]] {
        let (server, config) = tls(protocols).await;
        let client = server.builder().tls(config).build().expect("configured");
        let answers = (0..20).map(|_| async { client.create(&chat()).await });
        for answer in join_all(answers).await {
            answer.expect("answered");
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted() {
    let (server, _) = tls(&[b"h2"]).await;
    let error = server
        .client()
        .create(&chat())
        .await
        .expect_err("not trusted");
    assert_eq!(error.kind(), ErrorKind::Security, "{}", printed(&error));
}

#[test]
fn what_is_shared_between_threads_can_be() {
    fn check<T: Send + Sync>() {}
    check::<hyper::SecureChatCompletion>();
    check::<sealwire::Error>();
    check::<sealwire::Answer>();
    check::<sealwire::Completion>();
    fn send<T: Send>() {}
    send::<hyper::ChatStream>();
    send::<hyper::AnswerStream>();
    send::<hyper::SealedBody>();
}
