//! A session behind a null cipher: replies, failures, timeouts and clocks in any order. It must neither panic nor loop.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sealwire_core::Now;
use sealwire_core::session::{
    ClientSession, Failure, GatewayState, SessionConfig, SessionEvent, Step, Trust,
};
use sealwire_fuzz::{CountingRng, NOW, NullAead, World};

#[derive(Arbitrary, Debug)]
enum Action {
    Keys,
    KeysFrom(Vec<u8>),
    Judge(bool),
    Connected,
    Transmit(u8),
    Reply {
        status: u16,
        expected: bool,
        retry_after: Option<u32>,
    },
    Input(Vec<u8>),
    Event,
    Eof,
    Failure(u8),
    Timeout,
    Pass(u16),
}

fuzz_target!(|input: (u8, Vec<Action>)| {
    let (trust, actions) = input;
    World::with(|world| {
        let mut rng = CountingRng::default();
        let mut now = Now {
            monotonic: Duration::from_secs(1),
            unix: NOW,
        };
        let set = world.keys.key_set();
        let trust = match trust % 3 {
            0 => Trust::Pin(set.pin()),
            1 => Trust::Ask,
            _ => Trust::DangerousAny,
        };
        let config = SessionConfig::new(trust);
        let request = world.request(b"{}");
        let gateway = GatewayState::default();
        let mut session =
            ClientSession::<NullAead>::with_aead(&world.memory, config, gateway, request, now);
        let (mut complete, mut failed) = (false, false);
        for action in actions {
            let step = session.step(now, &mut rng);
            if failed {
                assert!(step.is_err(), "a session that failed went on");
            }
            failed = step.is_err();
            if step == Ok(Step::Done) {
                assert!(complete, "done without a whole answer");
            }
            match action {
                Action::Keys => session.handle_key_set(now, set.clone()),
                Action::KeysFrom(bytes) => {
                    if let Ok(set) = sealwire_core::keys::KeySet::parse(&bytes) {
                        session.handle_key_set(now, set);
                    }
                }
                Action::Judge(trusted) => session.judge(now, trusted),
                Action::Connected => session.handle_connected(now),
                Action::Transmit(room) => {
                    let mut out = vec![0; usize::from(room) * 64];
                    session.poll_transmit(&mut out).expect("ordinary memory");
                }
                Action::Reply {
                    status,
                    expected,
                    retry_after,
                } => {
                    session.handle_reply(now, status, expected, retry_after, &mut rng);
                }
                Action::Input(bytes) => {
                    session.handle_input(now, &bytes, &mut rng);
                }
                Action::Event => {
                    if let Some(SessionEvent::Complete(_)) = session.poll_event(now, &mut rng) {
                        complete = true;
                    }
                }
                Action::Eof => session.handle_eof(now, &mut rng),
                Action::Failure(kind) => {
                    let kind =
                        [Failure::Connect, Failure::Reset, Failure::Tls][usize::from(kind % 3)];
                    session.handle_failure(now, kind, &mut rng);
                }
                Action::Timeout => session.handle_timeout(now),
                Action::Pass(seconds) => now.monotonic += Duration::from_secs(seconds.into()),
            }
        }
    });
});
