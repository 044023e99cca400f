//! A session behind a null cipher, over HTTP and on raw streams: key sets, replies, frames, failures, timeouts, clocks and CANCEL in any
//! order. It must neither panic nor loop, and keeps what its pages promise: nothing is sealed before the identity was judged, no try
//! follows once an answer has begun to be shown, tries are bounded, each is sealed afresh under one idempotency key, waits are bounded,
//! and only a whole answer is `Done`. A raw stream carries on only between two whole frames, with nothing half sent or half heard. At
//! last a true gateway takes over: then every session ends, and a request that it hears from its start is answered.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sealwire_core::frame::FrameType;
use sealwire_core::head::{RequestHead, ResponseHead};
use sealwire_core::keys::{KeySet, Pin};
use sealwire_core::session::{
    ClientSession, Failure, GatewayState, SessionConfig, SessionError, SessionEvent, Step, Trust,
};
use sealwire_core::{ErrorCode, Malformed, Now, UnixTime};
use sealwire_fuzz::{
    CountingRng, NOW, NullAead, NullAgreement, Wire, World, null_frame, quotes_nothing,
};

/// KEYS_REQUEST, as it is on the wire.
const KEYS_REQUEST: [u8; 5] = [FrameType::KeysRequest as u8, 0, 0, 1, 1];
/// The longest KEYS frame (FRAME-5).
const LONGEST_KEYS: usize = 4 + 65_535;

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
    Cancel,
    Stale,
}

#[derive(Arbitrary, Debug)]
struct Plan<'a> {
    trust: u8,
    /// An earlier session has left its key.
    knows_key: bool,
    http: bool,
    has_clock: bool,
    actions: Vec<Action<'a>>,
}

/// What a bystander knows of the session.
struct Watch {
    raw: bool,
    trust: Trust,
    /// What the try under way has sent, what it has read, and what waits to be read. Of a fetch on a raw stream likewise.
    sent: Vec<u8>,
    heard: Vec<u8>,
    input: Vec<u8>,
    /// The encapsulations and the idempotency key of all tries.
    encs: Vec<Vec<u8>>,
    idempotency_key: Option<String>,
    /// Connections that were found closed: each allows for another try.
    stale: usize,
    /// Whom the caller vouched for.
    judged: Option<Pin>,
    may_send: bool,
    head_shown: bool,
    cancelled: bool,
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
    fn new(world: &World, plan: &Plan<'_>, trust: Trust) -> Self {
        Self {
            raw: !plan.http,
            trust,
            sent: Vec::new(),
            heard: Vec::new(),
            input: Vec::new(),
            encs: Vec::new(),
            idempotency_key: None,
            stale: 0,
            judged: None,
            may_send: plan.knows_key
                && (trust == Trust::Pin(world.set.pin()) || trust == Trust::DangerousAny),
            head_shown: false,
            cancelled: false,
            complete: false,
            failed: false,
            forged: false,
            truth: Vec::new(),
            ended: false,
            shown: Vec::new(),
        }
    }

    fn step(&mut self, step: &Result<Step, SessionError>, now: Now, config: &SessionConfig) {
        match step {
            Ok(Step::Wait(until)) => {
                assert!(*until <= now.monotonic + config.retry.max && !self.head_shown);
            }
            Ok(Step::FetchKeys | Step::Judge) => assert!(!self.head_shown),
            Ok(Step::Done) => assert!(self.complete, "done without a whole answer"),
            Ok(_) => {}
            Err(error) => {
                quotes_nothing(error);
                self.failed = true;
                let cancelled = matches!(
                    error,
                    SessionError::Refused {
                        code: ErrorCode::Cancelled,
                        ..
                    } | SessionError::Timeout { .. }
                );
                assert!(!self.cancelled || cancelled, "{error:?} after CANCEL");
            }
        }
        assert_eq!(step.is_err(), self.failed, "a session that failed went on");
    }

    /// The session has this key set, which it asked for.
    fn has_keys(&mut self, set: &KeySet) {
        self.may_send = match self.trust {
            Trust::Pin(pin) => set.pin() == pin,
            Trust::Ask => self.judged == Some(set.pin()),
            Trust::AskEachKey => false,
            _ => true,
        };
    }

    fn sent(&mut self, step: &Result<Step, SessionError>, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let was_known = self.exchange_id().is_some();
        self.sent.extend_from_slice(bytes);
        if self.raw && *step == Ok(Step::FetchKeys) {
            assert!(KEYS_REQUEST.starts_with(&self.sent));
            return;
        }
        assert_eq!(*step, Ok(Step::Send));
        assert!(self.may_send, "sealed for an identity that nobody judged");
        assert!(
            !self.head_shown || self.cancelled,
            "sent after the answer had begun"
        );
        if was_known || self.exchange_id().is_none() {
            return;
        }
        assert!(!self.cancelled, "another try after CANCEL");
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
        assert!(self.encs.len() <= 5 + self.stale, "tries without end");
    }

    fn head(&self) -> Option<RequestHead<'_>> {
        let (_, frame) = Wire(&self.sent).nth(1)?;
        RequestHead::decode(Wire::content(frame)?).ok()
    }

    fn exchange_id(&self) -> Option<[u8; 16]> {
        Some(self.head()?.exchange_id)
    }

    /// On a raw stream that may carry on, nothing is half sent and nothing half heard (ORDER-7).
    fn is_in_step(&self) {
        let Some(heard) = last_frame(&self.heard) else {
            return assert!(self.heard.is_empty(), "in the middle of a frame");
        };
        if heard == FrameType::Keys || self.sent == KEYS_REQUEST {
            assert!(matches!(heard, FrameType::Keys | FrameType::Reject));
            return assert_eq!(self.sent, KEYS_REQUEST);
        }
        let ends = [FrameType::End, FrameType::Error, FrameType::Reject];
        assert!(ends.contains(&heard), "{heard:?} ends nothing");
        let sent = last_frame(&self.sent);
        assert!(matches!(sent, Some(FrameType::End | FrameType::Cancel)));
    }

    /// The session has left the try, or the fetch. What is left on a stream that carries on belongs to the next.
    fn forget_try(&mut self, carries_on: bool) {
        self.sent.clear();
        self.heard.clear();
        if !carries_on {
            self.input.clear();
        }
        self.forged = !self.input.is_empty();
        self.truth.clear();
        self.ended = false;
    }
}

/// The type of the last frame of a wire that holds whole frames only.
fn last_frame(wire: &[u8]) -> Option<FrameType> {
    let mut frames = Wire(wire);
    let last = frames.by_ref().last()?.0.kind();
    frames.0.is_empty().then_some(last)
}

fn trust_of(world: &World, number: u8) -> Trust {
    match number % 5 {
        0 => Trust::Pin(world.set.pin()),
        1 => Trust::Pin(world.stranger.pin()),
        2 => Trust::Ask,
        3 => Trust::DangerousAny,
        _ => Trust::AskEachKey,
    }
}

/// A KEYS frame; what does not fit one is left out.
fn keys_frame(body: &[u8]) -> Vec<u8> {
    let body = &body[..body.len().min(65_535)];
    let len = (body.len() as u32).to_be_bytes();
    [&[FrameType::Keys as u8], &len[1..], body].concat()
}

/// A session and its bystander.
struct Run<'a> {
    world: &'a World,
    session: ClientSession<NullAead>,
    watch: Watch,
    now: Now,
    rng: CountingRng,
    /// What the session wants.
    step: Result<Step, SessionError>,
}

impl Run<'_> {
    fn step(&mut self, config: &SessionConfig) {
        self.step = self.session.step(self.now, &mut self.rng);
        self.watch.step(&self.step, self.now, config);
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.watch.input.extend_from_slice(bytes);
        let consumed = self
            .session
            .handle_input(self.now, &self.watch.input, &mut self.rng);
        self.watch.heard.extend(self.watch.input.drain(..consumed));
        let fetching = self.watch.raw && self.step == Ok(Step::FetchKeys);
        assert!(fetching || consumed == 0 || self.step == Ok(Step::Send));
        if fetching {
            assert!(self.watch.heard.len() <= LONGEST_KEYS);
            let frame = Wire(&self.watch.heard).next();
            let set = frame.and_then(|(_, frame)| KeySet::parse(&frame[4..]).ok());
            if let Some(set) = set {
                self.watch.has_keys(&set);
            }
        }
    }

    /// What a gateway's keys are asked for brings this body: of KEYS, which JSON agrees with.
    fn hear_keys(&mut self, body: &[u8]) {
        if self.watch.raw {
            self.watch.forged |= self.step == Ok(Step::Send);
            self.hear(&keys_frame(body));
        } else if let Ok(set) = KeySet::parse(body) {
            if self.step == Ok(Step::FetchKeys) {
                self.watch.has_keys(&set);
            }
            self.session.handle_key_set(self.now, set);
        }
    }

    fn judge(&mut self, trusted: bool) {
        let set = self.session.key_set();
        assert_eq!(set.is_some(), self.step == Ok(Step::Judge));
        if let Some(set) = set.filter(|_| trusted) {
            self.watch.judged = Some(set.pin());
            self.watch.may_send = true;
        }
        self.session.judge(trusted);
    }

    fn transmit(&mut self, room: usize) {
        let mut out = vec![0; room];
        let count = self.session.poll_transmit(&mut out);
        self.watch
            .sent(&self.step, &out[..count.expect("ordinary memory")]);
    }

    fn take_event(&mut self) {
        let watch = &mut self.watch;
        let event = self.session.poll_event(self.now, &mut self.rng);
        assert!(!watch.complete && !watch.cancelled || event.is_none());
        match event {
            Some(SessionEvent::Head(head)) => {
                assert!(!watch.head_shown);
                assert_eq!(Some(head.exchange_id), watch.exchange_id());
                watch.head_shown = true;
            }
            Some(SessionEvent::Data(data)) => {
                assert!(watch.head_shown);
                watch.shown.extend_from_slice(data);
                assert!(watch.forged || watch.truth.starts_with(&watch.shown));
            }
            Some(SessionEvent::Complete(_)) => {
                assert!(watch.head_shown);
                assert!(watch.forged || watch.truth == watch.shown);
                watch.complete = true;
            }
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.monotonic += time;
        if self.now.unix.is_known() {
            self.now.unix = NOW.saturating_add(self.now.monotonic);
        }
    }

    fn apply(&mut self, action: &Action<'_>) {
        let (world, now) = (self.world, self.now);
        match *action {
            Action::Keys => self.hear_keys(&world.set.to_bytes()),
            Action::StrangersKeys => self.hear_keys(&world.stranger.to_bytes()),
            Action::KeysFrom(bytes) => self.hear_keys(bytes),
            Action::KeyError => self.session.handle_key_error(Malformed::Keys("json")),
            Action::Judge(trusted) => self.judge(trusted),
            Action::Connected => self.session.handle_connected(now),
            Action::Transmit(room) => self.transmit(room.into()),
            // HTTP only.
            Action::Reply { .. } if self.watch.raw => {}
            Action::Reply {
                status,
                expected,
                retry_after,
            } => {
                let reads =
                    self.session
                        .handle_reply(now, status, expected, retry_after, &mut self.rng);
                assert_eq!(reads, expected);
            }
            Action::Input(bytes) => {
                self.watch.forged |= !bytes.is_empty();
                self.hear(bytes);
            }
            Action::Event => self.take_event(),
            Action::Eof => self.session.handle_eof(now, &mut self.rng),
            Action::Failure(kind) => {
                let kinds = [
                    Failure::Connect,
                    Failure::Reset,
                    Failure::Tls,
                    Failure::TlsRefused,
                    Failure::Gone,
                ];
                let kind = kinds[usize::from(kind) % kinds.len()];
                self.session.handle_failure(now, kind, &mut self.rng);
            }
            Action::Timeout => {
                let due = self.session.poll_timeout();
                let due = due.is_some_and(|due| now.monotonic >= due);
                self.session.handle_timeout(now);
                let step = self.session.step(now, &mut self.rng);
                if due && step.is_ok() {
                    // Only what END has made whole, and a refusal, have all the time there is: to be taken next.
                    let was_sending = self.session.is_sending();
                    self.take_event();
                    let was_refused = was_sending && !self.session.is_sending();
                    let step = self.session.step(now, &mut self.rng);
                    match self.watch.complete {
                        true => assert_eq!(step, Ok(Step::Done)),
                        false => assert!(was_refused, "out of time: {step:?}"),
                    }
                }
            }
            Action::Pass(seconds) => self.pass(Duration::from_secs(seconds.into())),
            Action::Cancel => {
                let cancelled = self.session.cancel();
                let may = self.watch.raw && !self.watch.cancelled && !self.watch.complete;
                assert!(!cancelled || may && self.step == Ok(Step::Send));
                self.watch.cancelled |= cancelled;
            }
            Action::Stale => {
                let is_stale = self.session.handle_stale_connection();
                assert!(!is_stale || !self.watch.cancelled && !self.watch.head_shown);
                self.watch.stale += usize::from(is_stale);
            }
            ref answer => {
                let frame = answer.frame(&mut self.watch);
                self.hear(&frame);
            }
        }
        assert!(self.session.buffered() <= 2 * LONGEST_KEYS);
        let in_step = self.watch.raw && self.session.can_carry_on();
        if in_step {
            self.watch.is_in_step();
        }
        // While it sends, or on a raw stream asks for the keys, something has its time.
        let is_on = self.watch.raw && self.session.poll_timeout().is_some();
        if !self.session.is_sending() && !is_on {
            self.watch.forget_try(in_step);
        }
    }

    /// From here on the gateway is a true one and the connection good: all that was sealed is answered, or ends in an error.
    fn settle(&mut self, config: &SessionConfig) {
        for _ in 0..64 {
            self.step(config);
            match self.step {
                Ok(Step::FetchKeys) => {
                    self.transmit(KEYS_REQUEST.len());
                    self.apply(&Action::Keys);
                }
                Ok(Step::Judge) => self.judge(true),
                Ok(Step::Wait(until)) => self.pass(until.saturating_sub(self.now.monotonic)),
                Ok(Step::Send) => {
                    let fresh = self.watch.heard.is_empty() && self.watch.input.is_empty();
                    self.transmit(1 << 14);
                    if fresh {
                        self.answer();
                    }
                    self.apply(&Action::Eof);
                    self.apply(&Action::Event);
                    if fresh && !self.watch.cancelled {
                        self.step(config);
                        assert_eq!(self.step, Ok(Step::Done), "a whole answer");
                    }
                }
                _ => return,
            }
        }
        panic!("a session without end");
    }

    fn answer(&mut self) {
        let head = Action::Head {
            status: 200,
            retry_after: None,
        };
        for part in [Action::Accept, head, Action::Data(b"true", 0), Action::End] {
            self.apply(&part);
            self.apply(&Action::Event);
        }
    }
}

fuzz_target!(|plan: Plan<'_>| {
    World::with(|world| {
        let trust = trust_of(world, plan.trust);
        let mut config = SessionConfig::new(trust);
        config.options.one_exchange = plan.http;
        let now = Now {
            monotonic: Duration::from_secs(1),
            unix: match plan.has_clock {
                true => NOW,
                false => UnixTime::UNKNOWN,
            },
        };
        let gateway = match plan.knows_key {
            true => world.learned.clone(),
            false => GatewayState::default(),
        };
        let (memory, request) = (&world.memory, world.request(b"{}"));
        let mut run = Run {
            world,
            session: ClientSession::with_aead(memory, config, gateway, request, now)
                .with_agreement(&NullAgreement),
            watch: Watch::new(world, &plan, trust),
            now,
            rng: CountingRng::default(),
            step: Ok(Step::Done),
        };
        for action in plan.actions.iter().take(256) {
            run.step(&config);
            run.apply(action);
        }
        run.settle(&config);
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
