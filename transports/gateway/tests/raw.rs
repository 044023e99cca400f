//! `serve --listen-raw`: the same gateway on streams without HTTP.
#![cfg(unix)]

mod support;

use std::process::Command;

use sealwire::ErrorKind;
use sealwire::blocking::SecureChatCompletion;
use sealwire::chat::{ChatRequest, Message};
use support::upstream::answering;
use support::{Serve, chat, run};

fn client(serve: &Serve) -> SecureChatCompletion {
    SecureChatCompletion::builder(serve.raw.as_deref().expect("it listens for raw streams"))
        .allow_http(true)
        .pin(serve.pin.parse().expect("a pin"))
        .build()
        .expect("configured")
}

fn request() -> ChatRequest<'static> {
    ChatRequest::new("m").message(Message::user("What does the heron see?"))
}

#[test]
fn one_gateway_on_both() {
    let upstream = answering(&["A silver ", "fish."]);
    let serve = Serve::with(&upstream.url, &["--listen-raw", "127.0.0.1:0"]);
    let client = client(&serve);
    let answer = client.create(&request()).expect("an answer");
    let choice = answer.choices().next().expect("a choice");
    let content = choice.message().content().expect("content");
    let content = content.to_secure(client.memory()).expect("memory");
    assert_eq!(content.expose(), "A silver fish.");
    let mut streamed = String::new();
    for chunk in client.stream(&request()).expect("a stream") {
        let text = chunk.expect("a chunk").text(client.memory());
        streamed += text.expect("memory").expose();
    }
    assert_eq!(streamed, "A silver fish.");
    let mut args = chat(&serve.url, &serve.pin);
    args.push("What does the heron see?");
    run(args).expect(0, &[]);
    assert_eq!(upstream.received().len(), 3);
}

/// Section 6.1 allows paths that HTTP's types do not take: nothing is malformed, but no upstream can serve them.
#[test]
fn a_path_that_no_upstream_takes_is_not_served() {
    let upstream = answering(&["never"]);
    let serve = Serve::with(&upstream.url, &["--listen-raw", "127.0.0.1:0"]);
    let client = client(&serve);
    let body = client.memory().with_capacity(0).expect("memory");
    let error = client.request("GET", "/v1/a<b", body);
    assert_eq!(error.expect_err("not served").kind(), ErrorKind::Forbidden);
    assert_eq!(upstream.received().len(), 0);
}

/// A stream between two exchanges is closed at once, and nothing is cut off.
#[test]
fn a_signal_ends_streams_on_which_nothing_happens() {
    let upstream = answering(&["fish"]);
    let mut serve = Serve::piped(&upstream.url, &["--listen-raw", "127.0.0.1:0"]);
    let client = client(&serve);
    client.create(&request()).expect("an answer");
    let id = serve.child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("kill runs").success());
    let status = serve.child.wait().expect("it ends");
    assert!(status.success());
    let said = serve.errors();
    assert!(said.contains("stopped"), "{said}");
    assert!(!said.contains("was cut off"), "{said}");
}

#[test]
fn a_port_in_use_names_the_option() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let args = [
        "serve",
        "--upstream",
        "http://127.0.0.1:1",
        "--listen",
        "127.0.0.1:0",
    ];
    let args = args.into_iter().chain(["--listen-raw", &address]);
    run(args).expect(4, &["something listens there already", "--listen-raw"]);
}
