//! The watcher: a gateway for the subject to talk to, an onlooker between the two, and scans of the subject at set points.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use futures_util::stream::unfold;
use sealwire::chat::{ChatRequest, Message};
use sealwire::core::exchange::ReceivedRequest;
use sealwire::core::keys::{Identity, KeyRing, Pin, RecordLimits};
use sealwire::core::{ErrorCode, Suite, UnixTime};
use sealwire::hyper::Gateway;
use sealwire::memlock::{Policy, SecureMemory};
use sealwire::server::{GatewayConfig, Handler, RawGateway, Reply};
use sealwire_scanner::{Paused, Scanner, Wanted, child};
use sealwire_tests::adapters::GUARD;
use sealwire_tests::draws::Draws;
use sealwire_tests::marker::{Form, Marker};
use sealwire_tests::random::SeededRng;
use sealwire_tests::relay::{Fault, Relay};
use sealwire_tests::spy::{self, ANSWER, API_KEY, PRIVATE_KEY, PROMPT, Spy, texts};
use sealwire_tests::table::{Row, Table, settle};
use tokio::sync::oneshot;

use super::answers::{event, streamed, whole};
use super::clients::{AsyncStd, Client, Hyper, Target, Wire, serve, serve_raw, short};
use super::gateways;
use super::path::Path;

const MEMORY: SecureMemory = SecureMemory::new(Policy::BestEffort);
/// A gateway in this process, whose handler does nothing without being told.
pub(crate) struct Lab {
    pub(crate) address: SocketAddr,
    pin: Pin,
    spy: Spy,
    gates: Receiver<oneshot::Sender<()>>,
}

impl Lab {
    pub(crate) fn start(path: Path, wire: Wire) -> Self {
        let mut rng = SeededRng::new(path as u64);
        let identity = Identity::generate(&MEMORY, &mut rng).expect("seeded");
        let pin = identity.pin();
        let mut ring = KeyRing::new(identity, Suite::ALL, RecordLimits::default(), MEMORY);
        ring.rotate(now(), &mut rng).expect("seeded");
        let spy = Spy::of_ring(&ring, SeededRng::new(path as u64));
        let (gate, gates) = channel();
        let answering = Answering {
            path,
            number: Arc::default(),
            gate: Arc::new(Mutex::new(gate)),
        };
        let config = GatewayConfig::new(MEMORY);
        let address = match wire {
            Wire::Http => serve(Gateway::new(config, ring, answering).expect("memory")),
            Wire::Raw => serve_raw(RawGateway::new(config, ring, answering).expect("memory")),
        };
        Self {
            address,
            pin,
            spy,
            gates,
        }
    }

    /// Waits until the handler has come to its next gate, which opens when what is returned is dropped.
    pub(crate) fn gate(&self) -> oneshot::Sender<()> {
        let gate = self.gates.recv_timeout(GUARD);
        gate.expect("the gateway lives, and is asked")
    }
}

/// Answers as a path wants it.
struct Answering {
    path: Path,
    number: Arc<AtomicU64>,
    gate: Arc<Mutex<Sender<oneshot::Sender<()>>>>,
}

impl Handler for Answering {
    async fn handle(&self, _: ReceivedRequest) -> Result<Reply, ErrorCode> {
        let number = self.number.fetch_add(1, Ordering::SeqCst);
        pass(&self.gate).await;
        let gate = self.gate.clone();
        let path = self.path;
        if !path.is_streamed() {
            return Ok(whole(path, Marker::answer(number)));
        }
        let pieces = unfold(0, move |part| {
            let gate = gate.clone();
            async move {
                if part == 1 {
                    pass(&gate).await;
                }
                (part <= Marker::PARTS).then(|| (Ok(event(Marker::answer(number), part)), part + 1))
            }
        });
        Ok(streamed(pieces))
    }
}

async fn pass(gate: &Mutex<Sender<oneshot::Sender<()>>>) {
    let (open, is_open) = oneshot::channel();
    let sent = gate.lock().expect("no panic").send(open);
    if sent.is_ok() {
        let _ = is_open.await;
    }
}

/// What is looked for in a client.
pub(crate) fn wanted(path: Path, lab: &Lab, relay: &Relay, drew: &Draws) -> Scanner {
    let mut wanted: Wanted = lab.spy.exchanges(&relay.recorded(), Some(drew));
    for number in 0..path.exchanges() {
        wanted.extend(&texts(number));
    }
    Scanner::new(&wanted)
}

/// Walks every path with a client of this adapter in a process of its own, and adds what was found to the table.
pub(crate) fn clients(test: &str, (adapter, wire): (&str, Wire), suite: Suite, table: &mut Table) {
    for path in paths(adapter, suite) {
        if path == Path::Dropped && adapter.starts_with("blocking") {
            continue; // a call that blocks cannot be dropped
        }
        let row = client(test, adapter, wire, suite, path);
        table.add(&format!("{adapter}, {}, {path}", short(suite)), &row);
    }
}

/// Every path with the suite that every peer has. The other differs from it in key agreement alone, which is the core's and not an
/// adapter's: one adapter walks every path with it, the others some.
fn paths(adapter: &str, suite: Suite) -> impl Iterator<Item = Path> {
    let all = suite == Suite::P256 || adapter == "hyper";
    let some = [Path::Plain, Path::Streamed, Path::Panic];
    Path::ALL
        .into_iter()
        .filter(move |path| all || some.contains(path))
}

fn client(test: &str, adapter: &str, wire: Wire, suite: Suite, path: Path) -> Row {
    let lab = Lab::start(path, wire);
    let fault = match path {
        Path::Damaged => Fault::DamageReply(500),
        Path::Truncated => Fault::CutReply(3000),
        _ => Fault::None,
    };
    let relay = Relay::start(lab.address, fault);
    let mut command = child(test);
    let drew = Draws::of(&mut command);
    let mut subject = Paused::spawn(
        command
            .env("RESIDUE_URL", url(&relay, wire))
            .env("RESIDUE_PIN", lab.pin.to_string())
            .env("RESIDUE_SUITE", short(suite))
            .env("RESIDUE_ADAPTER", adapter)
            .env("RESIDUE_PATH", path.name()),
    );
    let pid = subject.id();
    let mut row = Row::default();
    let during = |row: &mut Row, point: &str| {
        row.during(point, wanted(path, &lab, &relay, &drew).scan(pid));
    };

    let gate = lab.gate();
    during(&mut row, "asked");
    if path != Path::Twenty {
        assert!(row.locked(PROMPT) > 0, "the prompt is in locked pages");
    }
    assert!(row.locked(API_KEY) > 0, "the API key is in locked pages");
    drop(gate);
    match path {
        Path::Twenty => (1..path.exchanges()).for_each(|_| drop(lab.gate())),
        Path::Dropped => {
            subject.wait_for("asked");
            subject.go_on();
        }
        _ => {
            let rest = path.is_streamed().then(|| lab.gate());
            subject.wait_for("answer");
            during(&mut row, "answer");
            if path != Path::Damaged && path != Path::Malformed {
                assert!(row.locked(ANSWER) > 0, "the answer is in locked pages");
            }
            drop(rest);
            subject.go_on();
        }
    }
    if path == Path::Truncated {
        subject.wait_for("answer");
        during(&mut row, "cut off");
        subject.go_on();
    }
    subject.wait_for("over");
    // The client lives, and so does its key.
    let scanner = wanted(path, &lab, &relay, &drew);
    row.after("over", &settle(&scanner, pid, &[API_KEY]));
    assert_eq!(
        scanner.scan(pid).of(API_KEY).0,
        1,
        "the living client's own"
    );
    subject.go_on();
    subject.wait_for("gone");
    row.after("gone", &settle(&scanner, pid, &[]));
    assert!(!scanner.is_shown_by(subject.said()), "{}", subject.said());
    subject.finish();
    row
}

/// Walks every path with a gateway of this adapter in a process of its own, and adds what was found to the table.
pub(crate) fn gateways(test: &str, (adapter, wire): (&str, Wire), suite: Suite, table: &mut Table) {
    for path in paths(adapter, suite) {
        let row = gateway(test, adapter, wire, suite, path);
        table.add(&format!("{adapter}, {}, {path}", short(suite)), &row);
    }
}

fn gateway(test: &str, adapter: &str, wire: Wire, suite: Suite, path: Path) -> Row {
    let now = now();
    let mut subject = Paused::spawn(
        child(test)
            .env("RESIDUE_NOW", now.as_millis().to_string())
            .env("RESIDUE_ADAPTER", adapter)
            .env("RESIDUE_PATH", path.name()),
    );
    let pid = subject.id();
    let address = subject.value("listening on ").parse().expect("an address");
    // In the sealed HEAD, which follows OPEN, and before that HTTP's own.
    let head = suite.enc_len() + if wire == Wire::Http { 350 } else { 150 };
    let fault = match path {
        Path::Damaged => Fault::DamageRequest(head),
        Path::Truncated => Fault::CutRequest(head),
        _ => Fault::None,
    };
    let relay = Relay::start(address, fault);
    let ring = gateways::ring(path, now);
    let spy = Spy::of_ring(&ring, gateways::seed(path));
    let mut private = spy.private_keys();
    private.extend(&spy::identity(ring.identity().expose_scalar()));
    for number in 0..path.exchanges() {
        private.extend(&texts(number));
    }
    let wanted = || {
        let mut wanted = spy.exchanges(&relay.recorded(), None);
        wanted.extend(&private);
        Scanner::new(&wanted)
    };
    let mut row = Row::default();

    let target = Target {
        url: url(&relay, wire),
        pin: ring.identity().pin(),
        suite,
    };
    // The client's side: told to let go of its request, then of itself.
    let (begun, has_begun) = channel();
    let (let_go, is_let_go) = channel();
    let client = thread::spawn(move || match wire {
        Wire::Http => ask::<Hyper>(&target, path, &begun, is_let_go),
        Wire::Raw => ask::<AsyncStd>(&target, path, &begun, is_let_go),
    });
    if !path.is_unattended() {
        subject.wait_for("asked");
        row.during("asked", wanted().scan(pid));
        assert!(row.locked(PROMPT) > 0, "the prompt is in locked pages");
        assert!(row.locked(API_KEY) > 0, "the API key is in locked pages");
        subject.go_on();
    }
    match path {
        Path::Streamed => {
            subject.wait_for("chunk");
            row.during("chunk", wanted().scan(pid));
            subject.go_on();
        }
        Path::DroppedStream => {
            has_begun.recv().expect("a chunk");
            row.during("chunk", wanted().scan(pid));
        }
        _ => {}
    }
    if matches!(path, Path::Dropped | Path::DroppedStream) {
        let_go.send(()).expect("the client waits");
    }
    has_begun.recv().expect("the client has come to an end");
    let scanner = wanted();
    // The gateway lives, and so do its keys.
    row.after("over", &settle(&scanner, pid, &[PRIVATE_KEY]));
    assert!(
        scanner.scan(pid).of(PRIVATE_KEY).0 >= 3,
        "identity and epochs"
    );
    drop(let_go);
    client.join().expect("it ends well");
    row.after("gone", &settle(&scanner, pid, &[PRIVATE_KEY]));
    assert!(!scanner.is_shown_by(subject.said()), "{}", subject.said());
    row
}

fn url(relay: &Relay, wire: Wire) -> String {
    match wire {
        Wire::Http => format!("http://{}", relay.address),
        Wire::Raw => format!("tcp://{}", relay.address),
    }
}

/// A client in this process, which asks as the path wants it.
fn ask<C: Client>(target: &Target, path: Path, begun: &Sender<()>, is_let_go: Receiver<()>) {
    let key = String::from_utf8(Marker::api_key(0).word()).expect("ASCII");
    let client = C::new(target, &key, MEMORY);
    let is_let_go = Arc::new(Mutex::new(is_let_go));
    let wait = {
        let is_let_go = is_let_go.clone();
        move || {
            let _ = is_let_go.lock().expect("no panic").recv();
        }
    };
    for number in 0..path.exchanges() {
        let prompt = Marker::prompt(number).to_vec(Form::Plain);
        let prompt = String::from_utf8(prompt).expect("ASCII");
        let request = ChatRequest::new("m").message(Message::user(&*prompt));
        match path {
            Path::Dropped => client.dropped(&request, wait.clone()),
            _ if path.is_streamed() => {
                let answer = client.streamed(&request, |_| {
                    if path == Path::DroppedStream {
                        begun.send(()).expect("the test waits");
                        wait();
                    }
                    path != Path::DroppedStream
                });
                let expected = !matches!(path, Path::Truncated | Path::Panic);
                assert_eq!(answer.is_ok(), expected, "{:?}", answer.err());
            }
            _ => {
                let answer = client.whole(&request);
                let expected = matches!(path, Path::Plain | Path::Twenty | Path::Damaged);
                assert_eq!(answer.is_ok(), expected, "{:?}", answer.err());
            }
        }
    }
    begun.send(()).expect("the test waits");
    wait();
}

pub(crate) fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime::from_millis(since.expect("after 1970").as_millis() as u64)
}
