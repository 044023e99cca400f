//! A session behind a null cipher: key sets, replies, frames, failures, timeouts and clocks in any order. It must neither panic nor
//! loop, and keeps what its pages promise: nothing is sealed before the identity was judged, no try follows once an answer has begun to
//! be shown, tries are bounded, each is sealed afresh under one idempotency key, waits are bounded, and only a whole answer is `Done`.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sealwire_core::frame::FrameType;
use sealwire_core::head::{RequestHead, ResponseHead};
use sealwire_core::keys::KeySet;
use sealwire_core::session::{
    ClientSession, Failure, GatewayState, SessionConfig, SessionEvent, Step, Trust,
};
use sealwire_core::{Malformed, Now, UnixTime};
use sealwire_fuzz::{
    CountingRng, NOW, NullAead, NullAgreement, Wire, World, null_frame, quotes_nothing,
};

#[derive(Arbitrary, Debug)]
enum Action<'a> {
    Keys,
    StrangersKeys,
    KeysFrom(&'a [u8]),
    KeyError,
    Judge(bool),
    Connected,
    Transmit(u16),
    Reply {
        status: u16,
        expected: bool,
        retry_after: Option<u32>,
    },
    Reject(u8),
    Accept,
    Head {
        status: u16,
        retry_after: Option<u32>,
    },
    Data(&'a [u8], u8),
    End,
    Error(u8, Option<u64>),
    Input(&'a [u8]),
    Event,
    Eof,
    Failure(u8),
    Timeout,
    Pass(u16),
}

#[derive(Arbitrary, Debug)]
struct Plan<'a> {
    trust: u8,
    /// An earlier session has left its key.
    knows_key: bool,
    /// Kept for raw streams, which are not followed yet; the seeds count on its place.
    #[allow(dead_code)]
    http: bool,
    has_clock: bool,
    actions: Vec<Action<'a>>,
}

/// What a bystander knows of the session.
#[derive(Default)]
struct Watch {
    /// What the try under way has sent, and what waits to be read by it.
    sent: Vec<u8>,
    input: Vec<u8>,
    /// The encapsulations and the idempotency key of all tries.
    encs: Vec<Vec<u8>>,
    idempotency_key: Option<String>,
    may_send: bool,
    head_shown: bool,
    complete: bool,
    failed: bool,
    /// Bytes were read that no true gateway sent.
    forged: bool,
    /// What the true gateway answered in this try, up to its end.
    truth: Vec<u8>,
    ended: bool,
    shown: Vec<u8>,
}

impl Watch {
    fn sent(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        assert!(self.may_send, "sealed for an identity that nobody judged");
        assert!(!self.head_shown, "sent after the answer had begun");
        let was_known = self.exchange_id().is_some();
        self.sent.extend_from_slice(bytes);
        if was_known || self.exchange_id().is_none() {
            return;
        }
        let head = self.head().expect("just seen");
        let key = head
            .idempotency_key
            .expect("another try may follow")
            .to_owned();
        let first = self.idempotency_key.get_or_insert(key.clone());
        assert_eq!(*first, key);
        let enc = self.sent[4 + 15..4 + 15 + 65].to_vec();
        assert!(!self.encs.contains(&enc), "sealed twice under one key");
        self.encs.push(enc);
        // The first, two retries, one refetch, one reseal.
        assert!(self.encs.len() <= 5, "tries without end");
    }

    fn head(&self) -> Option<RequestHead<'_>> {
        let (_, frame) = Wire(&self.sent).nth(1)?;
        RequestHead::decode(Wire::content(frame)?).ok()
    }

    fn exchange_id(&self) -> Option<[u8; 16]> {
        Some(self.head()?.exchange_id)
    }

    /// The session has left the try.
    fn forget_try(&mut self) {
        self.sent.clear();
        self.input.clear();
        self.truth.clear();
        self.ended = false;
    }
}

fn trust_of(world: &World, number: u8) -> Trust {
    match number % 4 {
        0 => Trust::Pin(world.set.pin()),
        1 => Trust::Pin(world.stranger.pin()),
        2 => Trust::Ask,
        _ => Trust::DangerousAny,
    }
}

fn feed(
    session: &mut ClientSession<NullAead>,
    watch: &mut Watch,
    bytes: &[u8],
    now: Now,
    rng: &mut CountingRng,
) {
    watch.input.extend_from_slice(bytes);
    let consumed = session.handle_input(now, &watch.input, rng);
    watch.input.drain(..consumed);
}

fn take_event(
    session: &mut ClientSession<NullAead>,
    watch: &mut Watch,
    now: Now,
    rng: &mut CountingRng,
) {
    match session.poll_event(now, rng) {
        Some(SessionEvent::Head(head)) => {
            assert!(!watch.head_shown && !watch.complete);
            assert_eq!(Some(head.exchange_id), watch.exchange_id());
            watch.head_shown = true;
        }
        Some(SessionEvent::Data(data)) => {
            assert!(watch.head_shown && !watch.complete);
            watch.shown.extend_from_slice(data);
            assert!(watch.forged || watch.truth.starts_with(&watch.shown));
        }
        Some(SessionEvent::Complete(_)) => {
            assert!(watch.head_shown && !watch.complete);
            assert!(watch.forged || watch.truth == watch.shown);
            watch.complete = true;
        }
        Some(other) => panic!("{other:?}"),
        None => {}
    }
}

fuzz_target!(|plan: Plan<'_>| {
    World::with(|world| {
        let mut rng = CountingRng::default();
        let mut now = Now {
            monotonic: Duration::from_secs(1),
            unix: NOW,
        };
        if !plan.has_clock {
            now.unix = UnixTime::UNKNOWN;
        }
        let trust = trust_of(world, plan.trust);
        let mut config = SessionConfig::new(trust);
        // On a raw stream the session asks for the keys itself, which the bystander does not follow yet.
        config.options.one_exchange = true;
        let gateway = match plan.knows_key {
            true => world.learned.clone(),
            false => GatewayState::default(),
        };
        let stranger = trust == Trust::Pin(world.stranger.pin());
        let mut watch = Watch {
            may_send: plan.knows_key && !stranger,
            ..Watch::default()
        };
        let request = world.request(b"{}");
        let mut session =
            ClientSession::<NullAead>::with_aead(&world.memory, config, gateway, request, now)
                .with_agreement(&NullAgreement);
        for action in plan.actions.iter().take(256) {
            let step = session.step(now, &mut rng);
            match &step {
                Ok(Step::Wait(until)) => {
                    assert!(*until <= now.monotonic + config.retry.max && !watch.head_shown);
                }
                Ok(Step::FetchKeys | Step::Judge) => assert!(!watch.head_shown),
                Ok(Step::Done) => assert!(watch.complete, "done without a whole answer"),
                Ok(_) => {}
                Err(error) => {
                    quotes_nothing(error);
                    watch.failed = true;
                }
            }
            assert_eq!(step.is_err(), watch.failed, "a session that failed went on");
            let mut hands_over = |set: &KeySet| {
                let known = match trust {
                    Trust::Pin(pin) => set.pin() == pin,
                    Trust::Ask => session.gateway().pin() == Some(set.pin()),
                    _ => true,
                };
                if step == Ok(Step::FetchKeys) {
                    watch.may_send = known;
                }
                session.handle_key_set(now, set.clone());
            };
            match *action {
                Action::Keys => hands_over(&world.set),
                Action::StrangersKeys => hands_over(&world.stranger),
                Action::KeysFrom(bytes) => {
                    if let Ok(set) = KeySet::parse(bytes) {
                        hands_over(&set);
                    }
                }
                Action::KeyError => session.handle_key_error(Malformed::Keys("json")),
                Action::Judge(trusted) => {
                    assert_eq!(session.key_set().is_some(), step == Ok(Step::Judge));
                    watch.may_send |= trusted && step == Ok(Step::Judge);
                    session.judge(now, trusted);
                }
                Action::Connected => session.handle_connected(now),
                Action::Transmit(room) => {
                    let mut out = vec![0; room.into()];
                    let count = session.poll_transmit(&mut out).expect("ordinary memory");
                    watch.sent(&out[..count]);
                }
                Action::Reply {
                    status,
                    expected,
                    retry_after,
                } => {
                    let reads = session.handle_reply(now, status, expected, retry_after, &mut rng);
                    assert_eq!(reads, expected);
                }
                Action::Input(bytes) => {
                    watch.forged |= !bytes.is_empty();
                    feed(&mut session, &mut watch, bytes, now, &mut rng);
                }
                Action::Event => take_event(&mut session, &mut watch, now, &mut rng),
                Action::Eof => session.handle_eof(now, &mut rng),
                Action::Failure(kind) => {
                    let kinds = [Failure::Connect, Failure::Reset, Failure::Tls];
                    session.handle_failure(now, kinds[usize::from(kind % 3)], &mut rng);
                }
                Action::Timeout => {
                    let due = session
                        .poll_timeout()
                        .is_some_and(|due| now.monotonic >= due);
                    session.handle_timeout(now);
                    assert!(!due || session.step(now, &mut rng).is_err(), "out of time");
                }
                Action::Pass(seconds) => {
                    now.monotonic += Duration::from_secs(seconds.into());
                    if plan.has_clock {
                        now.unix = NOW.saturating_add(now.monotonic);
                    }
                }
                ref answer => {
                    let frame = answer.frame(&mut watch);
                    feed(&mut session, &mut watch, &frame, now, &mut rng);
                }
            }
            if !session.is_sending() {
                watch.forget_try();
            }
        }
    });
});

impl Action<'_> {
    /// The frame of a true gateway, as the null cipher seals it.
    fn frame(&self, watch: &mut Watch) -> Vec<u8> {
        watch.ended |= matches!(self, Action::End | Action::Error(..) | Action::Reject(_));
        match *self {
            Action::Reject(code) => vec![FrameType::Reject as u8, 0, 0, 1, code],
            Action::Accept => {
                let mut frame = vec![FrameType::Accept as u8, 0, 0, 32];
                frame.resize(36, 9);
                frame
            }
            Action::Head {
                status,
                retry_after,
            } => {
                let id = watch.exchange_id().unwrap_or_default();
                let mut head = ResponseHead::new(status, id);
                head.retry_after = retry_after;
                let mut content = [0; 256];
                let len = head.encode(&mut content).unwrap_or(0);
                null_frame(FrameType::Head, &content[..len], 0)
            }
            Action::Data(content, padding) => {
                if !watch.ended {
                    watch
                        .truth
                        .extend_from_slice(&content[..content.len().min(16_000)]);
                }
                null_frame(FrameType::Data, content, padding.into())
            }
            Action::End => null_frame(FrameType::End, &[], 0),
            Action::Error(code, time) => {
                let mut content = vec![code];
                content.extend(time.map(u64::to_be_bytes).into_iter().flatten());
                null_frame(FrameType::Error, &content, 0)
            }
            _ => Vec::new(),
        }
    }
}
