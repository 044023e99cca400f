//! The session level on a heap: fetches keys, judges the pin, seals, learns the gateway's clock, seals again, reads the answer.
#![no_std]
#![no_main]

extern crate alloc;

use core::time::Duration;

use cortex_m_rt::entry;
use cortex_m_semihosting::hprintln;
use sealwire_bare_metal::{
    BODY, BUFFER, Entropy, Line, LineError, MAX_FRAME, SUITE, clock, expected_pin, finish,
    repeats_prompt, start_heap,
};
use sealwire_core::exchange::{Limits, Request};
use sealwire_core::session::{
    ClientSession, GatewayState, SessionConfig, SessionEvent, Step, Trust,
};
use sealwire_core::{Now, UnixTime};
use sealwire_memlock::{Policy, SecureMemory};

#[entry]
fn main() -> ! {
    start_heap();
    let attempts = exchange();
    hprintln!(
        "session, {}: complete, sealed {} times",
        SUITE.name(),
        attempts
    );
    finish()
}

/// One chat; returns how often it was sealed.
fn exchange() -> u32 {
    let mut line = Line::open();
    let mut entropy = Entropy::new();
    let mut buffer = [0; BUFFER];

    let memory = SecureMemory::new(Policy::BestEffort); // wiped; there is nothing to lock against
    let mut config = SessionConfig::new(Trust::Pin(expected_pin()));
    config.suite = SUITE;
    config.options.one_exchange = false; // a raw stream: the line outlives the exchange
    config.options.response = Limits {
        frame: MAX_FRAME,
        content: 16 * 1024,
        wire: 32 * 1024,
    };
    config.options.request_frame = MAX_FRAME;
    config.timeouts.first_byte = Duration::from_secs(60);
    config.timeouts.idle = Duration::from_secs(60);
    let body = memory.copy_from(BODY.as_bytes()).expect("memory");
    let request = Request::new("POST", "/v1/chat/completions", body);
    let mut session = ClientSession::new(&memory, config, GatewayState::default(), request, now());

    let mut attempts = 0;
    let mut repeated = false;
    loop {
        match session.step(now(), &mut entropy).expect("an answer") {
            // On a raw stream both are the same: what the session has to say goes out, what comes back goes in.
            step @ (Step::FetchKeys | Step::Send) => {
                attempts += u32::from(step == Step::Send);
                line.forget();
                session.handle_connected(now());
                send(&mut line, &mut session);
                while let Some(due) = session.poll_timeout() {
                    let size = match line.receive(&mut buffer, due) {
                        Ok(size) => size,
                        Err(LineError::Timeout) => {
                            session.handle_timeout(now());
                            continue;
                        }
                        // RAW-4: this exchange is over, though the line is not.
                        Err(LineError::Lost) => {
                            session.handle_eof(now(), &mut entropy);
                            continue;
                        }
                    };
                    session.handle_input(now(), &buffer[..size], &mut entropy);
                    match session.poll_event(now(), &mut entropy) {
                        Some(SessionEvent::Head(head)) => assert_eq!(head.status, 200),
                        Some(SessionEvent::Data(data)) => repeated |= repeats_prompt(data),
                        Some(SessionEvent::Complete(_)) => {
                            session.handle_eof(now(), &mut entropy);
                        }
                        _ => {}
                    }
                }
            }
            Step::Wait(until) => while clock() < until {},
            Step::Done => break,
            Step::Judge => unreachable!("there is a pin"),
            _ => unreachable!("no other step in this version"),
        }
    }
    assert!(repeated, "the answer is another one");
    attempts
}

/// Sends what the session has to say.
fn send(line: &mut Line, session: &mut ClientSession) {
    let mut bytes = [0; 256];
    while let count @ 1.. = session.poll_transmit(&mut bytes).expect("memory") {
        line.send(&bytes[..count]);
    }
}

/// A device that has a timer, and no calendar: the session learns the gateway's (REPLAY-5).
fn now() -> Now {
    Now {
        monotonic: clock(),
        unix: UnixTime::UNKNOWN,
    }
}
