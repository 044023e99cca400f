//! Connections that break: nothing that is not whole is taken for whole, no request runs twice, and the next one is
//! served (ORDER-1, ORDER-2, REPLAY-6).

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealwire::core::ErrorCode;
use sealwire::core::session::SessionError;
use sealwire::{Error, ErrorKind};
use sealwire_tests::adapters::{
    CHAT, Combination, Completion, Line, Stand, Trap, Wire, apart, chat, delta, event_stream, json,
    model, quick, text,
};

use crate::pace::unpadded;

/// What may be missing from the end of what was sent, and the message be whole: the ends of HTTP's body and of TLS's
/// record, which prove nothing that END did not.
const TAIL: usize = 120;

/// How long a request may take here, with the machine as busy as it may be. It is short, for among so many hyper's client may forget one.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// Every byte of a wire where each is one of ours, or of HTTP/1.1; under TLS and HTTP/2, where cuts fall into their
/// frames, every few. `SEALWIRE_FULL=1` asks for every byte everywhere.
fn stride(wire: Wire) -> usize {
    let full = std::env::var_os("SEALWIRE_FULL").is_some_and(|full| full == "1");
    if full || wire == Wire::H1 { 1 } else { 5 }
}

/// How a chat fails whose answer the model lays a trap for. Under TLS a client's pool may shake hands on a spare connection meanwhile, and
/// the trap catch that one: then the next.
fn trapped(on: Combination, ask: impl Fn() -> Result<Completion, Error>) -> Error {
    for _ in 0..if on.wire.is_tls() { 20 } else { 1 } {
        match ask() {
            Ok(answer) => assert_eq!(text(&answer), "sealed answer"),
            Err(error) => return error,
        }
    }
    panic!("never lost");
}

/// The connection broke, or what came is not whole; or, where an adapter cannot know whether a connection from its pool was
/// dead before and tries once more on a new one: this request is running, or has run (REPLAY-6).
fn is_lost(error: &Error) -> bool {
    let ran = matches!(
        error.session(),
        Some(SessionError::Refused {
            code: ErrorCode::Duplicate,
            ..
        })
    );
    ran || matches!(error.kind(), ErrorKind::Connection | ErrorKind::Security)
}

/// The model sets the trap, so that only what the gateway answers to this request is counted.
pub(crate) fn answer_cut_everywhere(on: Combination) {
    const WORDS: [&str; 3] = ["one,", "two,", "three"];
    let line = Line::new();
    let after = Arc::new(AtomicUsize::new(usize::MAX));
    let (down, at) = (line.clone(), after.clone());
    let stand = Stand::new(
        on,
        model(move |_| {
            down.down().set_trap(at.load(Ordering::SeqCst), Trap::Close);
            Ok(event_stream(apart(WORDS.map(delta))))
        }),
    )
    .behind(&line);
    let client = stand.client_with(|settings| {
        unpadded(settings);
        settings.retry = quick(0);
        settings.timeouts.total = FORGOTTEN;
    });
    let ask = || match client.stream(&chat()) {
        Ok(stream) => stream.rest(),
        Err(error) => (String::new(), Some(error)),
    };
    // The shortest of some: under TLS a client's pool may shake hands on a spare connection meanwhile, which is counted too.
    let lens = [(); 4].map(|()| {
        assert_eq!(ask().0, WORDS.concat());
        line.down().passed()
    });
    let len = lens.into_iter().min().expect("some");
    let mut refused = 0;
    for cut in (0..len).step_by(stride(on.wire)) {
        after.store(cut, Ordering::SeqCst);
        let (said, error) = ask();
        // What was shown before is true, and what is said to be whole is.
        assert!(
            WORDS.concat().starts_with(&said),
            "cut at {cut} of {len}: {said}"
        );
        match error {
            Some(error) => {
                assert!(is_lost(&error), "cut at {cut} of {len}: {error}");
                refused = cut;
            }
            None => assert_eq!(said, WORDS.concat(), "cut at {cut} of {len}"),
        }
    }
    assert!(len > 300 && refused + TAIL > len, "{refused} of {lens:?}");
}

/// How many requests ran, none of them twice.
fn each_ran_once(ran: &Mutex<Vec<Option<String>>>) -> usize {
    let mut keys = ran.lock().expect("no panic").clone();
    let runs = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), runs, "a request ran twice");
    runs
}

/// What is cut off does not run, and what runs was whole, and runs once.
pub(crate) fn request_cut_everywhere(on: Combination) {
    let line = Line::new();
    let ran = Arc::new(Mutex::new(Vec::new()));
    let runs = ran.clone();
    let stand = Stand::new(
        on,
        model(move |asked| {
            assert!(asked.body.ends_with(b"}"));
            runs.lock().expect("no panic").push(asked.idempotency_key);
            Ok(json(200, CHAT))
        }),
    )
    .behind(&line);
    let client = stand.client_with(|settings| {
        unpadded(settings);
        settings.retry = quick(0);
        settings.timeouts.total = FORGOTTEN;
    });
    client.create(&chat()).expect("answered");
    line.up().disarm();
    client.create(&chat()).expect("answered");
    let len = line.up().passed();
    assert!(len > 300, "{len}");
    for cut in (0..len).step_by(stride(on.wire)) {
        line.up().set_lasting_trap(cut, Trap::Close);
        if let Err(error) = client.create(&chat()) {
            assert!(is_lost(&error), "cut at {cut} of {len}: {error}");
        }
        let ran = ran.lock().expect("no panic").len();
        // Under TLS a pool may have shaken hands before, so that fewer bytes are a whole request.
        let is_plain = matches!(on.wire, Wire::H1 | Wire::Raw);
        assert!(
            ran == 2 || !is_plain || cut + TAIL > len,
            "ran, cut at {cut} of {len}"
        );
    }
    line.up().disarm();
    client.create(&chat()).expect("answered");
    each_ran_once(&ran);
}

/// A reset before any of the answer: the request may have run, so the client says that the connection broke.
pub(crate) fn reset_before_the_answer(on: Combination) {
    reset_after(on, 0);
}

pub(crate) fn reset_within_the_answer(on: Combination) {
    reset_after(on, 150);
}

fn reset_after(on: Combination, after: usize) {
    let line = Line::new();
    let down = line.clone();
    let stand = Stand::new(
        on,
        model(move |_| {
            down.down().set_trap(after, Trap::Reset);
            Ok(json(200, CHAT))
        }),
    )
    .behind(&line);
    let client = stand.client_with(|settings| settings.retry = quick(0));
    for _ in 0..3 {
        let error = trapped(on, || client.create(&chat()));
        assert!(is_lost(&error), "{error}");
    }
}

/// A connection that was reset between two requests: nobody notices.
pub(crate) fn reset_after_the_answer(on: Combination) {
    let line = Line::new();
    let stand = Stand::new(on, model(|_| Ok(json(200, CHAT)))).behind(&line);
    let client = stand.client();
    for _ in 0..3 {
        assert_eq!(
            text(&client.create(&chat()).expect("answered")),
            "sealed answer"
        );
        line.hang_up();
    }
}

/// REPLAY-6: an answer that was lost is asked for again under the same key, and the gateway says that it ran, instead of
/// running it, and billing it, twice.
pub(crate) fn lost_answer(on: Combination) {
    let line = Line::new();
    let ran = Arc::new(Mutex::new(Vec::new()));
    let (down, runs) = (line.clone(), ran.clone());
    let stand = Stand::new(
        on,
        model(move |asked| {
            runs.lock().expect("no panic").push(asked.idempotency_key);
            down.down().set_trap(0, Trap::Reset);
            Ok(json(200, CHAT))
        }),
    )
    .behind(&line);
    let client = stand.client();
    let asked = Cell::new(0);
    let error = trapped(on, || {
        asked.set(asked.get() + 1);
        client.create(&chat())
    });
    // Each ran; one that hyper's client has let lie is asked for anew, with another key, and may have run before.
    assert!(each_ran_once(&ran) >= asked.get());
    let refused = SessionError::Refused {
        code: ErrorCode::Duplicate,
        answer_begun: false,
    };
    assert_eq!(error.session(), Some(&refused), "{error}");
}
