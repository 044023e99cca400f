//! The client that is looked at: a process of its own, which uses an adapter as a caller would.
//!
//! **To add an adapter**: one line of [`async_client!`], or an `impl Client` for one that blocks, and one line in [`adapters!`].
//! Everything else - the paths, the scans, the table - follows.

use std::env;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::LazyLock;
use std::thread;

use futures_util::StreamExt;
use futures_util::future::select;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use sealwire::blocking::Connection;
use sealwire::chat::{ChatRequest, Message};
use sealwire::core::Suite;
use sealwire::core::keys::Pin;
use sealwire::hyper::Gateway;
use sealwire::memlock::{Policy, SecureMemory, SecureString};
use sealwire::server::{Handler, RawGateway};
use sealwire::{Chunk, ClientBuilder, Completion, Error};
use sealwire_scanner::{pause, say};
use sealwire_tests::marker::{Form, Marker};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::path::Path;

/// Whether an adapter is spoken to over HTTP or over a raw stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Http,
    Raw,
}

/// The adapters with a client: name in the table, wire, type.
macro_rules! adapters {
    ($($name:literal, $wire:ident, $client:ty;)*) => {
        pub(crate) const ADAPTERS: &[(&str, Wire)] = &[$(($name, Wire::$wire)),*];

        /// Walks a path with the client of this name.
        pub(crate) fn walk_with(adapter: &str, target: &Target, path: Path) {
            match adapter {
                $($name => walk::<$client>(target, path),)*
                other => panic!("no adapter is called {other}"),
            }
        }
    };
}

adapters! {
    "hyper", Http, Hyper;
    "async-std", Http, AsyncStd;
    "async-std, raw", Raw, AsyncStd;
    "blocking", Http, Blocking;
    "blocking, raw", Raw, Blocking;
}

/// Where the gateway is, and who.
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) pin: Pin,
    pub(crate) suite: Suite,
}

/// An adapter's client, with a face that blocks.
pub(crate) trait Client: Sized {
    fn new(target: &Target, api_key: &str, memory: SecureMemory) -> Self;
    fn whole(&self, request: &ChatRequest<'_>) -> Result<Completion, Error>;
    /// Hands out chunks until `each` wants no more.
    fn streamed(
        &self,
        request: &ChatRequest<'_>,
        each: impl FnMut(&Chunk) -> bool,
    ) -> Result<(), Error>;
    /// Asks, and drops the future once `until` has returned.
    fn dropped(&self, request: &ChatRequest<'_>, until: impl FnOnce() + Send + 'static);
}

/// What every client of a scan is told.
fn told<T>(
    builder: ClientBuilder<T>,
    target: &Target,
    api_key: &str,
    memory: SecureMemory,
) -> ClientBuilder<T> {
    builder
        .memory(memory)
        .allow_http(true)
        .api_key(api_key)
        .pin(target.pin)
        .suite(target.suite)
        .max_retries(0)
}

/// A client whose calls are futures.
macro_rules! async_client {
    ($name:ident, $client:ty, $block_on:path) => {
        pub(crate) struct $name($client);

        impl Client for $name {
            fn new(target: &Target, api_key: &str, memory: SecureMemory) -> Self {
                let builder = <$client>::builder(&target.url);
                let client = told(builder, target, api_key, memory).build();
                Self(client.expect("configured"))
            }

            fn whole(&self, request: &ChatRequest<'_>) -> Result<Completion, Error> {
                $block_on(self.0.create(request))
            }

            fn streamed(
                &self,
                request: &ChatRequest<'_>,
                mut each: impl FnMut(&Chunk) -> bool,
            ) -> Result<(), Error> {
                $block_on(async {
                    let mut chunks = self.0.stream(request).await?;
                    while let Some(chunk) = chunks.next().await {
                        if !each(&chunk?) {
                            break;
                        }
                    }
                    Ok(())
                })
            }

            fn dropped(&self, request: &ChatRequest<'_>, until: impl FnOnce() + Send + 'static) {
                let (enough, is_enough) = oneshot::channel();
                thread::spawn(move || {
                    until();
                    enough.send(())
                });
                $block_on(async {
                    let answer = pin!(self.0.create(request));
                    select(answer, is_enough).await;
                });
            }
        }
    };
}

async_client!(Hyper, sealwire::hyper::SecureChatCompletion, on_tokio);
async_client!(
    AsyncStd,
    sealwire::async_std::SecureChatCompletion,
    async_std::task::block_on
);

pub(crate) struct Blocking(sealwire::blocking::SecureChatCompletion);

impl Client for Blocking {
    fn new(target: &Target, api_key: &str, memory: SecureMemory) -> Self {
        let builder = sealwire::blocking::SecureChatCompletion::builder(&target.url);
        let client = told(builder, target, api_key, memory).build();
        Self(client.expect("configured"))
    }

    fn whole(&self, request: &ChatRequest<'_>) -> Result<Completion, Error> {
        self.0.create(request)
    }

    fn streamed(
        &self,
        request: &ChatRequest<'_>,
        mut each: impl FnMut(&Chunk) -> bool,
    ) -> Result<(), Error> {
        for chunk in self.0.stream(request)? {
            if !each(&chunk?) {
                break;
            }
        }
        Ok(())
    }

    /// A call that blocks cannot be dropped: it is waited for.
    fn dropped(&self, request: &ChatRequest<'_>, until: impl FnOnce() + Send + 'static) {
        until();
        let _ = self.0.create(request);
    }
}

pub(crate) fn short(suite: Suite) -> &'static str {
    match suite {
        Suite::P256 => "p256",
        _ => "pq",
    }
}

pub(crate) fn suite_named(name: &str) -> Suite {
    let mut suites = Suite::ALL.iter().copied();
    suites.find(|suite| short(*suite) == name).expect("a suite")
}

/// Has whatever the product logs, and every panic, said aloud: the watcher listens.
pub(crate) fn say_everything() {
    struct Aloud;
    impl log::Log for Aloud {
        fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
            metadata.target().starts_with("sealwire")
        }
        fn log(&self, record: &log::Record<'_>) {
            if self.enabled(record.metadata()) {
                say(&format!("{} {}", record.level(), record.args()));
            }
        }
        fn flush(&self) {}
    }
    log::set_logger(&Aloud).expect("the only one");
    log::set_max_level(log::LevelFilter::Trace);
    std::panic::set_hook(Box::new(|panic| say(&panic.to_string())));
}

/// The subject's part of a test: what `watch` started it for.
pub(crate) fn run() {
    say_everything();
    let told = |name| env::var(name).expect("the watcher says it");
    let target = Target {
        url: told("RESIDUE_URL"),
        pin: told("RESIDUE_PIN").parse().expect("a pin"),
        suite: suite_named(&told("RESIDUE_SUITE")),
    };
    let path = told("RESIDUE_PATH").parse().expect("a path");
    walk_with(&told("RESIDUE_ADAPTER"), &target, path);
}

fn walk<C: Client>(target: &Target, path: Path) {
    let memory = SecureMemory::new(Policy::Required);
    let mut api_key = memory.string();
    Marker::api_key(0).write_word(|bytes| push(&mut api_key, bytes));
    let client = C::new(target, api_key.expose(), memory.clone());
    drop(api_key);
    for number in 0..path.exchanges() {
        let mut prompt = memory.string();
        Marker::prompt(number).write(Form::Plain, |bytes| push(&mut prompt, bytes));
        let request = ChatRequest::new("m").message(Message::user(&prompt));
        act(&client, path, &request, &memory);
    }
    pause("over");
    drop(client);
    pause("gone");
}

fn act<C: Client>(client: &C, path: Path, request: &ChatRequest<'_>, memory: &SecureMemory) {
    say(&format!("{request:?} {request:#?}"));
    let looked_at = |chunk: &Chunk, again| {
        say(&format!("{chunk:?} {chunk:#?}"));
        let text = chunk.text(memory).expect("memory");
        pause("answer");
        drop(text);
        again
    };
    match path {
        Path::Plain | Path::Twenty => {
            let answer = client.whole(request).expect("answered");
            say(&format!("{answer:?} {answer:#?}"));
            let choice = answer.choices().next().expect("a choice");
            let content = choice.message().content().expect("a text");
            let text = content.to_secure(memory).expect("memory");
            assert!(text.len() >= 32 * Marker::PARTS);
            if path == Path::Plain {
                pause("answer");
            }
        }
        Path::Streamed => {
            let mut count = 0;
            let whole = client.streamed(request, |chunk| {
                count += 1;
                count > 1 || looked_at(chunk, true)
            });
            whole.expect("answered");
            assert_eq!(count, Marker::PARTS);
        }
        Path::Truncated => {
            let mut count = 0;
            let error = client.streamed(request, |chunk| {
                count += 1;
                count > 1 || looked_at(chunk, true)
            });
            let error = error.expect_err("cut off");
            say(&format!("{error} {error:?} {error:#?}"));
            pause("answer");
            drop(error);
        }
        Path::Unauthorized | Path::Malformed | Path::Damaged => {
            let error = client.whole(request).expect_err("no answer");
            // What is printed is part of the process too.
            say(&format!("{error} {error:?} {error:#?}"));
            pause("answer");
        }
        Path::Panic => {
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                client.streamed(request, |chunk| {
                    looked_at(chunk, true);
                    panic!("in the caller's handler, as it should");
                })
            }));
            assert!(panicked.is_err());
        }
        Path::Dropped => client.dropped(request, || pause("asked")),
        Path::DroppedStream => {
            let begun = client.streamed(request, |chunk| looked_at(chunk, false));
            begun.expect("begun");
        }
    }
}

/// Adds to a text in secure memory.
fn push(text: &mut SecureString, bytes: &[u8]) {
    let bytes = str::from_utf8(bytes).expect("ASCII");
    text.try_push_str(bytes).expect("memory");
}

static TOKIO: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    runtime.expect("threads")
});

pub(crate) fn on_tokio<T>(work: impl Future<Output = T>) -> T {
    TOKIO.block_on(work)
}

/// Serves on a port of its own, until the process ends.
pub(crate) fn serve<H: Handler>(gateway: Gateway<H>) -> SocketAddr {
    let listener = on_tokio(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("bound");
    on_tokio(async {
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let gateway = gateway.clone();
                tokio::spawn(async move {
                    let _ = Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), gateway)
                        .await;
                });
            }
        });
    });
    address
}

/// The same on raw streams.
pub(crate) fn serve_raw<H: Handler>(gateway: RawGateway<H>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let gateway = gateway.clone();
            let stream = stream.expect("a connection");
            async_std::task::spawn(async move {
                let _ = sealwire::async_std::serve(&gateway, stream.into()).await;
            });
        }
    });
    address
}

/// The same, with a thread for each connection.
pub(crate) fn serve_blocking<H: Handler>(gateway: RawGateway<H>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let gateway = gateway.clone();
            let stream = stream.expect("a connection");
            thread::spawn(move || {
                let link = Connection::tcp(stream).expect("TCP");
                let _ = sealwire::blocking::serve(&gateway, link);
            });
        }
    });
    address
}
