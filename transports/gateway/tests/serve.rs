//! The gateway as a process, and the memory report.

mod support;

use support::run;

#[cfg(unix)]
#[test]
fn a_signal_lets_answers_under_way_end() {
    use std::process::Command;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use support::upstream::{FINISHED, STREAM_HEAD, Upstream, chunk, event, send};
    use support::{PATIENCE, Serve, chat, sealwire};

    let (begun, is_begun) = channel::<()>();
    let (go, wait) = channel::<()>();
    let (begun, wait) = (Mutex::new(begun), Mutex::new(wait));
    let upstream = Upstream::start(move |_, stream| {
        send(stream, STREAM_HEAD);
        send(stream, &chunk(&event("begun, ")));
        begun
            .lock()
            .expect("no panic")
            .send(())
            .expect("the test waits");
        wait.lock()
            .expect("no panic")
            .recv_timeout(PATIENCE)
            .expect("the test goes on");
        send(stream, &chunk(&event("ended")));
        send(stream, &chunk(FINISHED));
        send(stream, b"0\r\n\r\n");
    });
    let mut serve = Serve::start(&upstream.url);
    let mut args = chat(&serve.url, &serve.pin);
    args.push("slowly");
    let chat = sealwire(args).spawn().expect("the program runs");
    is_begun
        .recv_timeout(PATIENCE)
        .expect("the upstream was asked");
    let kill = Command::new("kill")
        .arg(serve.child.id().to_string())
        .status();
    assert!(kill.expect("there is a kill").success());
    go.send(()).expect("the upstream waits");
    let ended = chat.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "begun, ended\n");
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(serve.child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn the_memory_report() {
    let text = run(["info"]);
    text.expect(0, &[]);
    assert!(text.out.contains("level") && text.out.contains("locked"));
    let json = run(["info", "--json"]);
    json.expect(0, &[]);
    assert!(json.out.starts_with("{\"enabled\":true,"));
    assert!(json.out.contains("\"protection_level\":"));
}
