//! Chats through `serve` and `chat`: they work, and an onlooker learns nothing.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::sync::Mutex;
use std::sync::mpsc::channel;

use support::recorder::Recorder;
use support::upstream::{FINISHED, STREAM_HEAD, Upstream, answering, chunk, event, send};
use support::{Folder, PATIENCE, Serve, chat, run, run_with_input, sealwire};

const PROMPT: &str = "What does the heron \"see\" — at dawn?";
const ANSWER: [&str; 4] = ["A silver ", "fish, ", "\"then\" ", "nothing.\n"];
const KEY: &str = "sk-test-0123456789abcdefGHIJ";

#[test]
fn an_onlooker_sees_neither_prompt_nor_answer_nor_key() {
    let folder = Folder::new();
    let key = folder.file("key");
    std::fs::write(&key, format!("{KEY}\n")).expect("room");
    for more in [
        &[][..],
        &["--no-stream"],
        &["--post-quantum"],
        &["--post-quantum", "--no-stream"],
    ] {
        let upstream = answering(&ANSWER);
        let serve = Serve::start(&upstream.url);
        let onlooker = Recorder::start(&serve.address);
        let mut args = chat(&onlooker.url, &serve.pin);
        args.extend(["--api-key-file", key.to_str().expect("text")]);
        args.extend(more);
        args.push(PROMPT);
        let ended = run(args);
        ended.expect(0, &[]);
        assert_eq!(ended.out, ANSWER.concat());
        let received = upstream.received();
        assert_eq!(received.len(), 1);
        assert!(
            received[0]
                .head
                .starts_with("POST /v1/chat/completions HTTP/1.1\r\n")
        );
        assert!(
            received[0]
                .head
                .contains(&format!("authorization: Bearer {KEY}\r\n"))
        );
        assert!(received[0].body.contains("What does the heron"));
        assert!(onlooker.recorded().len() > 1000);
        for secret in [
            PROMPT,
            &ANSWER.concat(),
            KEY,
            "chat/completions",
            "\"content\":",
        ] {
            onlooker.never_saw(secret);
        }
    }
}

#[test]
fn an_answer_arrives_token_by_token() {
    // The upstream sends a word only after the test has read the one before from the terminal's side.
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::start(move |_, stream| {
        send(stream, STREAM_HEAD);
        for word in ["one\n", "two\n", "three\n"] {
            send(stream, &chunk(&event(word)));
            let wait = wait.lock().expect("no panic");
            wait.recv_timeout(PATIENCE)
                .expect("the word did not arrive before the next was sent");
        }
        send(stream, &chunk(FINISHED));
        send(stream, b"0\r\n\r\n");
    });
    let serve = Serve::start(&upstream.url);
    let mut args = chat(&serve.url, &serve.pin);
    args.push("count");
    let mut child = sealwire(args).spawn().expect("the program runs");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    for expected in ["one\n", "two\n", "three\n"] {
        let mut line = String::new();
        out.read_line(&mut line).expect("text");
        assert_eq!(line, expected);
        go.send(()).expect("the upstream waits");
    }
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_conversation_keeps_its_history() {
    let upstream = answering(&["Yes."]);
    let serve = Serve::start(&upstream.url);
    let mut args = chat(&serve.url, &serve.pin);
    args.extend(["--api-key-file", "-"]);
    let input = format!("{KEY}\nIs it day?\n\nAnd now?\r\n");
    let ended = run_with_input(args, input.as_bytes());
    ended.expect(0, &[]);
    assert_eq!(ended.out, "Yes.\nYes.\n");
    let received = upstream.received();
    let messages = |index: usize| received[index].body.split("\"messages\":").nth(1);
    let first = r#"{"role":"user","content":"Is it day?"}"#;
    assert!(messages(0).is_some_and(|messages| messages.starts_with(&format!("[{first}]"))));
    let second = format!(
        r#"[{first},{{"role":"assistant","content":"Yes."}},{{"role":"user","content":"And now?"}}]"#
    );
    assert!(messages(1).is_some_and(|messages| messages.starts_with(&second)));
    assert!(received.iter().all(|received| received.head.contains(KEY)));
}

#[test]
fn standard_input_can_be_one_prompt() {
    let upstream = answering(&["Read."]);
    let serve = Serve::start(&upstream.url);
    let mut args = chat(&serve.url, &serve.pin);
    args.push("-");
    run_with_input(args, b"line 1\nline 2\n").expect(0, &[]);
    assert!(
        upstream.received()[0]
            .body
            .contains(r#""content":"line 1\nline 2""#)
    );
}

#[test]
fn a_v1_in_the_upstreams_url_is_not_doubled() {
    let upstream = answering(&["Here."]);
    let serve = Serve::start(&format!("{}/base/v1/", upstream.url));
    let mut args = chat(&serve.url, &serve.pin);
    args.push("where?");
    run(args).expect(0, &[]);
    assert!(
        upstream.received()[0]
            .head
            .starts_with("POST /base/v1/chat/completions ")
    );
}

#[test]
fn the_upstream_gets_no_more_than_it_should() {
    let upstream = answering(&["Fine."]);
    let serve = Serve::start(&upstream.url);
    let mut args = chat(&serve.url, &serve.pin);
    args.push("headers?");
    run(args).expect(0, &[]);
    let received = upstream.received();
    let names = received[0]
        .head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'));
    for (name, _) in names {
        let known = [
            "accept",
            "content-length",
            "content-type",
            "host",
            "idempotency-key",
        ];
        assert!(known.contains(&name), "{name}");
    }
}

#[test]
fn the_demo_shows_both_sides() {
    for more in [&[][..], &["--post-quantum"]] {
        let args = ["demo", "Is there a heron in this demo?"];
        let ended = run(args.into_iter().chain(more.iter().copied()));
        ended.expect(0, &[]);
        for words in [
            "7 words",
            "-> OPEN",
            "<- ACCEPT",
            "<- END",
            "What the onlooker saw",
            "Memory protection",
        ] {
            assert!(ended.out.contains(words), "{words}: {}", ended.out);
        }
        assert_eq!(ended.out.matches("not there").count(), 3);
        assert!(!ended.out.contains('\x1b'), "colours without a terminal");
    }
    run(["demo", "hi"]).expect(0, &[]);
    run(["demo", "identity"]).expect(0, &[]);
}
