//! What goes wrong ends with its exit code, a message that says what to do, and no part of an answer taken for a whole one.

mod support;

use std::net::TcpListener;

use sealwire_tests::adapters::Reserved;
use support::upstream::{FINISHED, STREAM_HEAD, Upstream, answering, chunk, event, send};
use support::{Ended, Folder, Serve, chat, run, run_with_input};

/// Asks through a gateway in front of `upstream`, streamed and whole.
fn ask(upstream: &str) -> [Ended; 2] {
    [&[][..], &["--no-stream"]].map(|more: &[&str]| {
        let serve = Serve::start(upstream);
        let mut args = chat(&serve.url, &serve.pin);
        args.extend(more);
        args.push("a question");
        run(args)
    })
}

/// A URL where nobody listens, as long as the port is reserved.
fn nobody() -> (Reserved, String) {
    let reserved = Reserved::port();
    let url = format!("http://{}", reserved.address());
    (reserved, url)
}

#[test]
fn the_gateway_is_down() {
    let pin = format!("sha256:{}", "0".repeat(64));
    let (_reserved, url) = nobody();
    let mut args = chat(&url, &pin);
    args.push("a question");
    let ended = run(args);
    ended.expect(
        4,
        &["no connection to the gateway", "3 tries", "sealwire serve"],
    );
    // Nobody wonders what it waits for.
    let waits = ended
        .err
        .matches("no connection to the gateway; next try in ");
    assert_eq!(waits.count(), 2, "{}", ended.err);
    run(["keys", "--allow-http", "--gateway", &url]).expect(4, &["no connection to the gateway"]);
}

#[test]
fn something_else_answers_in_place_of_the_gateway() {
    let other = Upstream::status("404 Not Found", "", "{}");
    let pin = format!("sha256:{}", "0".repeat(64));
    let mut args = chat(&other.url, &pin);
    args.push("a question");
    let ended = run(args);
    ended.expect(4, &["no sealwire gateway", "404", "--gateway"]);
}

#[test]
fn the_upstream_is_down() {
    let (_reserved, url) = nobody();
    for ended in ask(&url) {
        ended.expect(5, &["status 502", "cannot be reached", "operator"]);
        assert_eq!(ended.out, "");
    }
}

#[test]
fn the_upstream_refuses() {
    let words = r#"{"error":{"message":"the \u001b[31mreason\u0007","type":"t","code":null}}"#;
    for (status, fields, code, said) in [
        ("401 Unauthorized", "", 7, "--api-key-file"),
        ("403 Forbidden", "", 7, "another model"),
        ("404 Not Found", "", 5, "model's name"),
        ("400 Bad Request", "", 5, "refused the request"),
        ("429 Too Many Requests", "retry-after: 1\r\n", 8, "wait 1 s"),
        ("500 Internal Server Error", "", 5, "operator"),
        ("503 Service Unavailable", "", 5, "operator"),
    ] {
        let upstream = Upstream::status(status, fields, words);
        for ended in ask(&upstream.url) {
            // The server's words are shown, and cannot drive the terminal.
            ended.expect(
                code,
                &[
                    said,
                    &status[..3],
                    "the server says: the \\u{1b}[31mreason\\u{7}",
                ],
            );
            assert!(!ended.err.contains(['\x1b', '\x07']));
            assert_eq!(ended.out, "");
        }
    }
}

#[test]
fn the_upstream_answers_garbage() {
    let not_http = Upstream::saying("\x16\x03\x01 this is not HTTP\r\n\r\n");
    for ended in ask(&not_http.url) {
        ended.expect(5, &["status 502", "did not answer in HTTP"]);
    }
    let page = "<html>It works!</html>";
    let html = Upstream::saying(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{page}",
        page.len()
    ));
    let not_json = Upstream::status("200 OK", "", "{\"choices\":");
    let other_json = Upstream::status("200 OK", "", "[1, 2, 3]");
    for upstream in [html, not_json, other_json] {
        for ended in ask(&upstream.url) {
            ended.expect(5, &["OpenAI-compatible"]);
            assert_eq!(ended.out, "");
        }
    }
    // A failure with the status of a success, whether or not a stream was asked for.
    let failed = Upstream::status("200 OK", "", "{\"error\":{\"message\":\"no such model\"}}");
    for ended in ask(&failed.url) {
        let said = [
            "ended its answer with an error",
            "the server says: no such model",
        ];
        ended.expect(5, &said);
    }
    let whole = Upstream::status("200 OK", "", "{\"choices\":[]}");
    let [streamed, _] = ask(&whole.url);
    streamed.expect(5, &["did not stream its answer"]);
    let broken_event = Upstream::start(|_, stream| {
        send(stream, STREAM_HEAD);
        send(stream, &chunk(&event("a word")));
        send(stream, &chunk("data: {not json}\n\n"));
        send(stream, b"0\r\n\r\n");
    });
    let [streamed, _] = ask(&broken_event.url);
    streamed.expect(6, &["not whole"]);
    // The model server gives up in the middle, and says so.
    let error_event = Upstream::start(|_, stream| {
        send(stream, STREAM_HEAD);
        send(stream, &chunk(&event("a word")));
        send(
            stream,
            &chunk("data: {\"error\":{\"message\":\"overloaded\"}}\n\n"),
        );
        send(stream, b"0\r\n\r\n");
    });
    let [streamed, _] = ask(&error_event.url);
    let said = [
        "not whole: the model server ended its answer with an error",
        "the server says: overloaded",
        "operator",
    ];
    streamed.expect(6, &said);
}

#[test]
fn the_upstream_answers_half() {
    // Cut off between events, inside one, and in a stream that ends with its connection.
    let between = Upstream::start(|_, stream| {
        send(stream, STREAM_HEAD);
        send(stream, &chunk(&event("half ")));
        send(stream, &chunk(&event("an answer")));
    });
    let inside = Upstream::start(|_, stream| {
        send(stream, STREAM_HEAD);
        send(stream, &chunk(&event("half an answer")));
        send(stream, &chunk("data: {\"choices\":[{\"delta\""));
        send(stream, b"0\r\n\r\n");
    });
    let open_ended = Upstream::start(|_, stream| {
        send(
            stream,
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
        );
        send(stream, event("half an answer").as_bytes());
    });
    for upstream in [between, inside, open_ended] {
        let [streamed, _] = ask(&upstream.url);
        streamed.expect(6, &["not whole", "server behind the gateway failed"]);
        assert_eq!(streamed.out, "half an answer\n");
    }
    // A stream in order that does not say that the model has finished.
    let unfinished = Upstream::start(|_, stream| {
        send(stream, STREAM_HEAD);
        send(stream, &chunk(&event("half an answer")));
        send(stream, &chunk("data: [DONE]\n\n"));
        send(stream, b"0\r\n\r\n");
    });
    let [streamed, _] = ask(&unfinished.url);
    streamed.expect(6, &["may not be whole"]);
    // Half of a whole answer is never shown.
    let whole = Upstream::saying(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"choices\":[{\"message\":",
    );
    // Nor if it ends with its connection, and its end does not show.
    let open_ended = Upstream::saying(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"choices\":[{\"message\":",
    );
    for upstream in [whole, open_ended] {
        for ended in ask(&upstream.url) {
            ended.expect(5, &["server behind the gateway failed"]);
            assert_eq!(ended.out, "");
        }
    }
}

#[test]
fn a_stream_without_chunks_that_says_it_is_done_is_whole() {
    let upstream = Upstream::start(|_, stream| {
        send(
            stream,
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
        );
        for event in [&event("all of it"), FINISHED, "data: [DONE]\n"] {
            send(stream, event.as_bytes());
        }
    });
    let [streamed, _] = ask(&upstream.url);
    streamed.expect(0, &[]);
    assert_eq!(streamed.out, "all of it\n");
}

#[test]
fn a_prompt_of_20_mib() {
    let upstream = answering(&["never"]);
    let serve = Serve::start(&upstream.url);
    let mut args = chat(&serve.url, &serve.pin);
    args.push("-");
    let prompt = vec![b'x'; 20 << 20];
    run_with_input(args, &prompt).expect(5, &["larger than the gateway accepts", "shorten"]);
    assert_eq!(upstream.received().len(), 0);
    // The same as a line of a conversation.
    let args = chat(&serve.url, &serve.pin);
    run_with_input(args, &prompt).expect(5, &["larger than the gateway accepts"]);
    // What is below the limit goes through.
    let mut args = chat(&serve.url, &serve.pin);
    args.push("-");
    run_with_input(args, &prompt[..9 << 20]).expect(0, &[]);
}

#[test]
fn http_must_be_allowed() {
    let pin = format!("sha256:{}", "0".repeat(64));
    let (_reserved, url) = nobody();
    let ended = run([
        "chat",
        "--model",
        "m",
        "--gateway",
        &url,
        "--pin",
        &pin,
        "hello",
    ]);
    ended.expect(2, &["http://", "--allow-http", "https://"]);
    run(["keys", "--gateway", &url]).expect(2, &["--allow-http"]);
}

#[test]
fn a_port_in_use() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let ended = run([
        "serve",
        "--upstream",
        "http://127.0.0.1:9",
        "--listen",
        &address,
    ]);
    ended.expect(
        4,
        &[&address, "something listens there already", "--listen"],
    );
}

#[test]
fn a_wrong_command_line() {
    for args in [
        &["chat"][..],
        &["chat", "--gateway", "nonsense", "--model", "m"],
        &[
            "chat",
            "--gateway",
            "https://g",
            "--model",
            "m",
            "--pin",
            "sha256:12",
        ],
        &[
            "chat",
            "--gateway",
            "https://g",
            "--model",
            "m",
            "--api-key",
            "sk-secret",
        ],
        &["serve"],
        &[
            "serve",
            "--upstream",
            "http://127.0.0.1:1",
            "--listen",
            "nowhere",
        ],
        &["unknown"],
    ] {
        run(args.iter().copied()).expect(2, &["error"]);
    }
    run(["--help"]).expect(0, &[]);
}

/// An address that is given twice is no other program's.
#[test]
fn one_address_for_both_wires() {
    let args = ["serve", "--upstream", "http://127.0.0.1:9"];
    let twice = ["--listen", "127.0.0.1:9", "--listen-raw", "127.0.0.1:9"];
    run(args.into_iter().chain(twice)).expect(2, &["--listen and --listen-raw", "127.0.0.1:9"]);
    let default = ["--listen-raw", "127.0.0.1:8443"];
    run(args.into_iter().chain(default)).expect(2, &["--listen and --listen-raw"]);
}

#[test]
fn an_empty_prompt() {
    let pin = format!("sha256:{}", "0".repeat(64));
    let (_reserved, url) = nobody();
    let said = ["no prompt", "last argument", "`-`"];
    for prompt in ["", " \n"] {
        let mut args = chat(&url, &pin);
        args.push(prompt);
        run(args).expect(2, &said);
        let mut args = chat(&url, &pin);
        args.push("-");
        run_with_input(args, prompt.as_bytes()).expect(2, &said);
        run_with_input(chat(&url, &pin), prompt.as_bytes()).expect(2, &said);
    }
    // What was piped was the API key alone.
    let mut args = chat(&url, &pin);
    args.extend(["--api-key-file", "-"]);
    run_with_input(args, b"sk-1\n").expect(2, &said);
}

#[test]
fn an_api_key_that_is_none() {
    let folder = Folder::new();
    let pin = format!("sha256:{}", "0".repeat(64));
    let path = folder.file("key");
    let path = path.to_str().expect("text");
    for (text, code, said) in [
        ("", 2, "first line"),
        ("two words\n", 2, "one word"),
        ("ü\n", 2, "ASCII"),
    ] {
        std::fs::write(path, text).expect("room");
        let mut args = chat("http://127.0.0.1:9", &pin);
        args.extend(["--api-key-file", path, "hello"]);
        run(args).expect(code, &[said, path]);
    }
    let mut args = chat("http://127.0.0.1:9", &pin);
    args.extend(["--api-key-file", "-", "hello"]);
    run_with_input(args, b"").expect(2, &["no API key on standard input", "pipe it"]);
    let mut args = chat("http://127.0.0.1:9", &pin);
    args.extend(["--api-key-file", "/nonexistent/key", "hello"]);
    run(args).expect(1, &["/nonexistent/key cannot be read"]);
}

/// `serve` has no TLS: whoever asks for it there is not told of a bad certificate.
#[test]
fn https_where_there_is_none() {
    let upstream = answering(&["never"]);
    let serve = Serve::start(&upstream.url);
    let url = serve.url.replace("http://", "https://");
    let mut args = chat(&url, &serve.pin);
    args.push("x");
    run(args).expect(4, &["no connection to the gateway", "TLS terminator"]);
}
