//! The gateway that is looked at: a process of its own, with a handler as a host would write one.
//!
//! **To add an adapter's gateway**: serve [`Hosted`] with it in [`run`], and name it in [`ADAPTERS`].

use std::convert::Infallible;
use std::env;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::unfold;
use sealwire::core::exchange::ReceivedRequest;
use sealwire::core::keys::{Identity, KeyRing, RecordLimits};
use sealwire::core::{ErrorCode, Suite, UnixTime};
use sealwire::hyper::Gateway;
use sealwire::memlock::{Policy, SecureMemory, scrub_stack};
use sealwire::server::{GatewayConfig, Handler, RawGateway, Reply};
use sealwire_scanner::{pause, say};
use sealwire_tests::marker::Marker;
use sealwire_tests::rand_core::{TryCryptoRng, TryRng};
use sealwire_tests::random::SeededRng;

use super::answers::{event, streamed, whole};
use super::clients::{Wire, say_everything, serve, serve_blocking, serve_raw};
use super::path::Path;

/// The adapters with a gateway.
pub(crate) const ADAPTERS: &[(&str, Wire)] = &[
    ("hyper", Wire::Http),
    ("async-std, raw", Wire::Raw),
    ("blocking, raw", Wire::Raw),
];

const MEMORY: SecureMemory = SecureMemory::new(Policy::Required);

/// The subject's part of a test: serves until it is killed.
pub(crate) fn run() {
    say_everything();
    let told = |name| env::var(name).expect("the watcher says it");
    let path = told("RESIDUE_PATH").parse().expect("a path");
    let now = told("RESIDUE_NOW").parse().expect("milliseconds");
    let hosted = Hosted {
        path,
        number: AtomicU64::new(0),
    };
    let ring = ring(path, UnixTime::from_millis(now));
    let config = GatewayConfig::new(MEMORY);
    let address = match &*told("RESIDUE_ADAPTER") {
        "hyper" => serve(Gateway::new(config, ring, hosted).expect("memory")),
        "async-std, raw" => serve_raw(RawGateway::new(config, ring, hosted).expect("memory")),
        "blocking, raw" => serve_blocking(RawGateway::new(config, ring, hosted).expect("memory")),
        other => panic!("no adapter is called {other}"),
    };
    say(&format!("listening on {address}"));
    loop {
        std::thread::park();
    }
}

/// The keys of the gateway that walks this path, for itself and for the watcher.
pub(crate) fn ring(path: Path, now: UnixTime) -> KeyRing {
    let mut rng = Scrubbed(seed(path));
    let identity = Identity::generate(&MEMORY, &mut rng).expect("seeded");
    let mut ring = KeyRing::new(identity, Suite::ALL, RecordLimits::default(), MEMORY);
    ring.rotate(now, &mut rng).expect("seeded");
    ring
}

/// What that gateway's keys are made of.
pub(crate) const fn seed(path: Path) -> SeededRng {
    SeededRng::new(1000 + path as u64)
}

/// Seeded randomness that leaves none of it on the stack, as the system's leaves none.
struct Scrubbed(SeededRng);

impl TryRng for Scrubbed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        scrub_stack(|| self.0.try_next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        scrub_stack(|| self.0.try_next_u64())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        scrub_stack(|| self.0.try_fill_bytes(out))
    }
}

impl TryCryptoRng for Scrubbed {}

/// Answers as the path wants it, and waits to be looked at.
struct Hosted {
    path: Path,
    number: AtomicU64,
}

impl Handler for Hosted {
    async fn handle(&self, request: ReceivedRequest) -> Result<Reply, ErrorCode> {
        say(&format!("{request:?} {request:#?}"));
        let number = self.number.fetch_add(1, Ordering::SeqCst);
        let path = self.path;
        if !path.is_unattended() {
            pause("asked");
        }
        match path {
            Path::Panic => panic!("in the gateway's handler, as it should"),
            Path::Dropped => pending().await,
            _ => {}
        }
        drop(request);
        if !path.is_streamed() {
            return Ok(whole(path, Marker::answer(number)));
        }
        let pieces = unfold(0, move |part| async move {
            match (part, path) {
                (1, Path::DroppedStream) => pending().await,
                (1, _) => pause("chunk"),
                _ => {}
            }
            (part <= Marker::PARTS).then(|| (Ok(event(Marker::answer(number), part)), part + 1))
        });
        Ok(streamed(pieces))
    }
}
