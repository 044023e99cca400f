//! What is left of secrets in the memory of the program: `serve` and `chat`, scanned from outside. See `docs/secure-memory.md`.
#![cfg(target_os = "linux")]

mod support;

use std::future::Future;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex};

use futures_util::StreamExt;
use futures_util::stream::unfold;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use sealwire::chat::{ChatRequest, Message};
use sealwire::hyper::{Gateway, SecureChatCompletion};
use sealwire::server::{GatewayConfig, PieceStream, Reply, ReplyBody};
use sealwire_core::exchange::ReceivedRequest;
use sealwire_core::keys::{Identity, KeyRing, RecordLimits};
use sealwire_core::{ErrorCode, Suite, UnixTime};
use sealwire_memlock::{Policy, SecureMemory};
use sealwire_scanner::{Paused, Scanner, Wanted, may_read_every_process, not_checked};
use sealwire_tests::draws::Draws;
use sealwire_tests::marker::{Form, Marker};
use sealwire_tests::random::SeededRng;
use sealwire_tests::relay::{Fault, Relay};
use sealwire_tests::spy::{self, ANSWER, API_KEY, PRIVATE_KEY, PROMPT, REQUEST_KEY, Spy, texts};
use sealwire_tests::table::{Row, Table, settle};
use support::upstream::{FINISHED, Received, STREAM_HEAD, Upstream, chunk, event, send};
use support::{Folder, PATIENCE, run, sealwire};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const MEMORY: SecureMemory = SecureMemory::new(Policy::BestEffort);

static TOKIO: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads"));

/// Where somebody stops until the test has looked: says that it is there, and waits for the answer.
#[derive(Clone)]
struct Gate(Arc<Mutex<Sender<Sender<()>>>>);

/// Comes to gates.
struct Gates(Receiver<Sender<()>>);

fn gates() -> (Gate, Gates) {
    let (gate, gates) = channel();
    (Gate(Arc::new(Mutex::new(gate))), Gates(gates))
}

impl Gate {
    fn wait(&self) {
        let (open, is_open) = channel::<()>();
        if self.0.lock().expect("no panic").send(open).is_ok() {
            // Open once the other end is dropped.
            let _ = is_open.recv();
        }
    }
}

impl Gates {
    fn next(&self) -> Sender<()> {
        self.0.recv_timeout(PATIENCE).expect("somebody comes")
    }
}

/// How the model server behind `serve` answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Whole,
    /// Whole, twenty times, one after another.
    Twenty,
    /// Whole, and the connection stays open.
    KeptAlive,
    Streamed,
    Unauthorized,
    Malformed,
    HalfAnAnswer,
    HalfAStream,
    /// The client goes before the answer comes.
    Dropped,
}

const WAYS: [(&str, Way); 9] = [
    ("plain", Way::Whole),
    ("20 in a row", Way::Twenty),
    ("plain, upstream keeps alive", Way::KeptAlive),
    ("streamed", Way::Streamed),
    ("401", Way::Unauthorized),
    ("malformed", Way::Malformed),
    ("half an answer", Way::HalfAnAnswer),
    ("half a stream", Way::HalfAStream),
    ("dropped", Way::Dropped),
];

impl Way {
    const fn exchanges(self) -> usize {
        match self {
            Self::Twenty => 20,
            _ => 1,
        }
    }

    const fn is_streamed(self) -> bool {
        matches!(self, Self::Streamed | Self::HalfAStream)
    }
}

fn answer(way: Way, gate: &Gate, stream: &mut TcpStream) {
    gate.wait();
    let marker =
        |number| String::from_utf8(Marker::answer(number).to_vec(Form::Json)).expect("ASCII");
    let text = marker(0);
    let (status, body) = match way {
        Way::Unauthorized => (
            "401 Unauthorized",
            format!(r#"{{"error":{{"message":"{text}"}}}}"#),
        ),
        Way::Malformed => (
            "200 OK",
            format!(r#"{{"choices":[{{"message":{{"content":"{text}"#),
        ),
        _ => (
            "200 OK",
            format!(
                r#"{{"choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":"{text}"}}}}]}}"#
            ),
        ),
    };
    if way.is_streamed() {
        send(stream, STREAM_HEAD);
        let plain = String::from_utf8(Marker::answer(0).to_vec(Form::Plain)).expect("ASCII");
        send(stream, &chunk(&event(&plain)));
        gate.wait();
        if way == Way::Streamed {
            send(stream, &chunk(FINISHED));
            send(stream, &chunk("data: [DONE]\n\n"));
            send(stream, b"0\r\n\r\n");
        }
        return;
    }
    let connection = if way == Way::KeptAlive {
        "keep-alive"
    } else {
        "close"
    };
    let len = body.len();
    send(
        stream,
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: {connection}\r\ncontent-length: {len}\r\n\r\n").as_bytes(),
    );
    let sent = if way == Way::HalfAnAnswer {
        len - 20
    } else {
        len
    };
    send(stream, &body.as_bytes()[..sent]);
    if way == Way::KeptAlive {
        gate.wait();
    }
}

/// A gateway in a process of its own, and all that is known of its keys.
struct Serve {
    subject: Paused,
    /// What it draws is written down as long as it runs.
    _drew: Draws,
    relay: Relay,
    spy: Spy,
    private: Wanted,
    client: SecureChatCompletion,
}

impl Serve {
    fn start(upstream: &Upstream, folder: &Folder, suite: Suite) -> Self {
        let file = folder.file("identity");
        let file = file.to_str().expect("text");
        run(["keygen", "--out", file]).expect(0, &[]);
        let pem = std::fs::read(file).expect("just made");
        let mut der = [0; 256];
        let (_, der) = pem_rfc7468::decode(&pem, &mut der).expect("PEM");
        let scalar = der[36..68].try_into().expect("32 bytes");

        let args = [
            "serve",
            "--upstream",
            &upstream.url,
            "--listen",
            "127.0.0.1:0",
            "--key",
            file,
        ];
        let mut command = sealwire(args);
        let drew = Draws::of(&mut command);
        let mut subject = Paused::spawn(command.stderr(Stdio::inherit()));
        let address = subject.value("listening");
        let address = address
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        let pin = subject.value("pin").parse().expect("a pin");
        let relay = Relay::start(address, Fault::None);
        let key = String::from_utf8(Marker::api_key(0).word()).expect("ASCII");
        let client = SecureChatCompletion::builder(format!("http://{}", relay.address))
            .allow_http(true)
            .api_key(&key)
            .pin(pin)
            .suite(suite)
            .max_retries(0)
            .build()
            .expect("configured");
        let set = wait_for(client.fetch_keys()).expect("keys");
        let spy = Spy::new(&set, &drew.of_length());
        let mut private = spy.private_keys();
        private.extend(&spy::identity(&scalar));
        Self {
            subject,
            _drew: drew,
            relay,
            spy,
            private,
            client,
        }
    }

    fn scanner(&self) -> Scanner {
        let mut wanted = self.spy.exchanges(&self.relay.recorded(), None);
        wanted.extend(&self.private);
        wanted.extend(&texts(0));
        Scanner::new(&wanted)
    }
}

fn wait_for<T>(work: impl Future<Output = T>) -> T {
    TOKIO.block_on(work)
}

/// The program does not let itself be read, so only who may read every process can look.
fn may_scan(test: &str) -> bool {
    let may = may_read_every_process();
    if !may {
        not_checked(
            test,
            "it takes root, or CAP_SYS_PTRACE, to look at the program's memory",
        );
    }
    may
}

#[test]
fn serve_leaves_nothing() {
    if !may_scan("serve_leaves_nothing") {
        return;
    }
    let mut table = Table::new("sealwire serve");
    for (number, suite) in Suite::ALL.iter().enumerate() {
        for (name, way) in WAYS {
            let row = serve(way, *suite, &Folder::new());
            table.add(&format!("serve, {}, {name}", ["p256", "pq"][number]), &row);
        }
    }
    table.is_clean();
}

fn serve(way: Way, suite: Suite, folder: &Folder) -> Row {
    let (gate, gates) = gates();
    let upstream = Upstream::start(move |_: &Received, stream| answer(way, &gate, stream));
    let serve = Serve::start(&upstream, folder, suite);
    let pid = serve.subject.id();
    let mut row = Row::default();

    let client = serve.client.clone();
    let asked = TOKIO.spawn(async move {
        let prompt = String::from_utf8(Marker::prompt(0).to_vec(Form::Plain)).expect("ASCII");
        let request = ChatRequest::new("m").message(Message::user(&*prompt));
        if way.is_streamed() {
            let mut chunks = client.stream(&request).await.expect("begun");
            while let Some(Ok(_)) = chunks.next().await {}
        } else {
            for _ in 0..way.exchanges() {
                client.create(&request).await.expect("answered");
            }
        }
    });
    let open = gates.next();
    row.during_with("asked", serve.scanner().scan(pid), &[PROMPT, API_KEY]);
    assert!(
        row.locked(REQUEST_KEY) + row.locked(PRIVATE_KEY) > 0,
        "keys are in locked pages"
    );
    if way == Way::Dropped {
        asked.abort();
    }
    drop(open);
    (1..way.exchanges()).for_each(|_| drop(gates.next()));
    if way.is_streamed() {
        let open = gates.next();
        row.during_with(
            "a chunk",
            serve.scanner().scan(pid),
            &[PROMPT, API_KEY, ANSWER],
        );
        drop(open);
    }
    let kept = (way == Way::KeptAlive).then(|| gates.next());
    let _ = wait_for(asked);
    let scanner = serve.scanner();
    row.after("over", &settle(&scanner, pid, &[PRIVATE_KEY]));
    assert!(
        scanner.scan(pid).of(PRIVATE_KEY).0 >= 3,
        "identity and epochs"
    );
    drop(kept);
    row
}

#[test]
fn chat_leaves_nothing() {
    if !may_scan("chat_leaves_nothing") {
        return;
    }
    let mut table = Table::new("sealwire chat");
    for more in [
        &[][..],
        &["--no-stream"],
        &["--post-quantum"],
        &["--post-quantum", "--no-stream"],
    ] {
        let row = chat(more);
        table.add(&format!("chat {}", more.join(" ")), &row);
    }
    table.is_clean();
}

/// A conversation of two lines, with a gateway in this process.
fn chat(more: &[&str]) -> Row {
    let (gate, gates) = gates();
    let mut rng = SeededRng::new(5);
    let identity = Identity::generate(&MEMORY, &mut rng).expect("seeded");
    let pin = identity.pin().to_string();
    let mut ring = KeyRing::new(identity, Suite::ALL, RecordLimits::default(), MEMORY);
    ring.rotate(now(), &mut rng).expect("seeded");
    let spy = Spy::of_ring(&ring, SeededRng::new(5));
    let streamed = !more.contains(&"--no-stream");
    let handler = move |_: ReceivedRequest| {
        let gate = gate.clone();
        async move {
            gate.wait();
            Ok::<_, ErrorCode>(reply(streamed))
        }
    };
    let gateway = Gateway::new(GatewayConfig::new(MEMORY), ring, handler).expect("memory");
    let relay = Relay::start(listen(gateway), Fault::None);

    let folder = Folder::new();
    let key = folder.file("key");
    std::fs::write(&key, Marker::api_key(0).word()).expect("room");
    let only_mine = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, only_mine).expect("my own");
    let url = format!("http://{}", relay.address);
    let key = key.to_str().expect("text");
    let args = [
        "chat",
        "--allow-http",
        "--model",
        "m",
        "--gateway",
        &url,
        "--pin",
        &pin,
        "--api-key-file",
        key,
    ];
    let mut command = sealwire(args.into_iter().chain(more.iter().copied()));
    let drew = Draws::of(&mut command);
    let mut subject = Paused::spawn(command.stderr(Stdio::inherit()));
    let pid = subject.id();
    let scanner = || {
        let mut wanted = spy.exchanges(&relay.recorded(), Some(&drew));
        wanted.extend(&texts(0));
        Scanner::new(&wanted)
    };
    let mut row = Row::default();
    for _ in 0..2 {
        // One line of it: what follows is another.
        let mut line = Vec::new();
        Marker::prompt(0).write_part(0, Form::Plain, |bytes| line.extend_from_slice(bytes));
        line.push(b'\n');
        subject.write(&line);
        let open = gates.next();
        row.during("asked", scanner().scan(pid));
        assert!(row.locked(PROMPT) > 0 && row.locked(API_KEY) > 0);
        drop(open);
        // The answer is of two lines.
        let answer = Marker::answer(0).to_vec(Form::Plain);
        let answer = String::from_utf8(answer).expect("ASCII");
        for expected in answer.lines() {
            assert_eq!(subject.line().trim_end(), expected);
        }
        // What was said is kept for the next question, and the key with it.
        row.after(
            "answered",
            &settle(&scanner(), pid, &[PROMPT, ANSWER, API_KEY]),
        );
    }
    row
}

fn reply(streamed: bool) -> Reply {
    let copy = |text: &str| MEMORY.copy_from(text.as_bytes()).expect("memory");
    let form = if streamed { Form::Plain } else { Form::Json };
    let text = String::from_utf8(Marker::answer(0).to_vec(form)).expect("ASCII");
    if !streamed {
        let body = copy(&format!(
            r#"{{"choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":"{text}"}}}}]}}"#
        ));
        return Reply::new(200, "application/json", ReplyBody::Whole(body));
    }
    let pieces = [
        event(&text),
        FINISHED.to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ];
    let pieces = pieces.map(|piece| Ok(copy(&piece)));
    let pieces: PieceStream = Box::pin(unfold(pieces.into_iter(), |mut pieces| async {
        Some((pieces.next()?, pieces))
    }));
    Reply::new(200, "text/event-stream", ReplyBody::Stream(pieces))
}

fn listen<H: sealwire::server::Handler>(gateway: Gateway<H>) -> std::net::SocketAddr {
    let listener = wait_for(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("bound");
    TOKIO.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let gateway = gateway.clone();
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let _ = builder
                    .serve_connection(TokioIo::new(stream), gateway)
                    .await;
            });
        }
    });
    address
}

fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime::from_millis(since.expect("after 1970").as_millis() as u64)
}

/// Whether a process of this user, who is not root, may read the memory of process `pid`, which is of the same user.
fn may_read(pid: u32) -> bool {
    let path = format!("/proc/{pid}/mem");
    let read = unprivileged(Path::new("test")).args(["-r", &path]).status();
    read.expect("coreutils").success()
}

/// A program run by a user who is not root.
fn unprivileged(program: &Path) -> Command {
    if std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").expect("/proc")) != 0 {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program);
    command
}

/// Root may read every process, as these tests do. Others of the same user may not read the program.
#[test]
fn other_processes_of_the_user_cannot_read_the_program() {
    let program = Path::new(env!("CARGO_BIN_EXE_sealwire"));
    let serve = [
        "serve",
        "--upstream",
        "http://127.0.0.1:1",
        "--listen",
        "127.0.0.1:0",
    ];
    let mut serve = Paused::spawn(unprivileged(program).args(serve).stderr(Stdio::null()));
    serve.value("listening");
    assert!(!may_read(serve.id()));
    // The control is a program that does nothing about it.
    let mut cat = Paused::spawn(&mut unprivileged(Path::new("cat")));
    cat.write(b"ready\n");
    assert_eq!(cat.line(), "ready\n");
    assert!(may_read(cat.id()));
}
