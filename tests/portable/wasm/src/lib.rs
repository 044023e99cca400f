//! One end of an exchange in a WebAssembly module: a client's session, or a gateway with a model that repeats the prompt.
//!
//! The host has four imports to give (randomness, two clocks, a place for panics) and one buffer of the module's memory to write
//! into and read from. A module is single-threaded, so each end is a thread-local; a call that fails traps.

use std::cell::RefCell;
use std::time::Duration;

use rand_core::utils::next_word_via_fill;
use rand_core::{TryCryptoRng, TryRng};
use sealwire_core::exchange::{Request, ServerContext, ServerEvent, ServerExchange, ServerOptions};
use sealwire_core::head::ResponseHead;
use sealwire_core::keys::{Identity, KeyRing, Pin, RecordLimits};
use sealwire_core::padding::Padding;
use sealwire_core::replay::MemoryReplayStore;
use sealwire_core::session::{
    ClientSession, GatewayState, SessionConfig, SessionEvent, Step, Trust,
};
use sealwire_core::{Now, Suite, UnixTime};
use sealwire_memlock::{Policy, SecureBytes, SecureMemory};

mod host {
    #[link(wasm_import_module = "host")]
    unsafe extern "C" {
        /// Milliseconds since 1970.
        pub safe fn unix_millis() -> f64;
        /// Milliseconds since any fixed moment.
        pub safe fn monotonic_millis() -> f64;
        /// Fills memory with random bytes; not 0 if that failed.
        pub fn random(at: *mut u8, len: usize) -> u32;
        /// A panic's message, in UTF-8.
        pub fn panicked(at: *const u8, len: usize);
    }
}

const BUFFER: usize = 64 * 1024;

thread_local! {
    static SHARED: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into());
    static CLIENT: RefCell<Option<Client>> = const { RefCell::new(None) };
    static GATEWAY: RefCell<Option<Gateway>> = const { RefCell::new(None) };
}

/// The host's generator.
struct HostRandom;

#[derive(Debug)]
struct NoRandomness;

impl std::fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the host has no randomness")
    }
}

impl std::error::Error for NoRandomness {}

impl TryRng for HostRandom {
    type Error = NoRandomness;

    fn try_next_u32(&mut self) -> Result<u32, NoRandomness> {
        next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, NoRandomness> {
        next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), NoRandomness> {
        // SAFETY: the host writes `len` bytes at `at`, which are ours and borrowed for the call.
        match unsafe { host::random(out.as_mut_ptr(), out.len()) } {
            0 => Ok(()),
            _ => Err(NoRandomness),
        }
    }
}

impl TryCryptoRng for HostRandom {}

fn now() -> Now {
    Now {
        monotonic: Duration::from_millis(host::monotonic_millis() as u64),
        unix: UnixTime::from_millis(host::unix_millis() as u64),
    }
}

/// Where the host writes input and reads output.
#[unsafe(no_mangle)]
pub extern "C" fn buffer() -> *mut u8 {
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        // SAFETY: the host reads `len` bytes at `at`, alive for the call.
        unsafe { host::panicked(text.as_ptr(), text.len()) };
    }));
    SHARED.with_borrow_mut(|shared| shared.as_mut_ptr())
}

/// Calls `work` with the shared buffer.
fn shared<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    SHARED.with_borrow_mut(|shared| work(shared))
}

// ---- the client -------------------------------------------------------------------------------------------------------------

struct Client {
    session: ClientSession,
    memory: SecureMemory,
    answer: SecureBytes,
    complete: bool,
}

/// Begins a chat. The shared buffer holds the pin, 32 bytes, and the body, `len` bytes; both are wiped.
#[unsafe(no_mangle)]
pub extern "C" fn client_start(len: usize, post_quantum: bool) {
    let memory = SecureMemory::new(Policy::BestEffort);
    let (pin, body) = shared(|shared| {
        let pin = Pin::from_bytes(*shared.first_chunk().expect("larger than a pin"));
        let body = memory.copy_from(&shared[32..32 + len]).expect("memory");
        memory.zero_memory(shared);
        (pin, body)
    });
    let mut config = SessionConfig::new(Trust::Pin(pin));
    config.suite = Suite::ALL[usize::from(post_quantum)];
    config.options.one_exchange = false;
    let request = Request::new("POST", "/v1/chat/completions", body);
    let session = ClientSession::new(&memory, config, GatewayState::default(), request, now());
    CLIENT.set(Some(Client {
        session,
        answer: memory.with_capacity(0).expect("memory"),
        memory,
        complete: false,
    }));
}

/// Puts the next bytes for the gateway into the shared buffer and says how many; 0 when it waits for some, or is done.
#[unsafe(no_mangle)]
pub extern "C" fn client_output() -> usize {
    CLIENT.with_borrow_mut(|client| {
        let client = client.as_mut().expect("started");
        match client.session.step(now(), &mut HostRandom) {
            // On a raw stream both are the same.
            Ok(Step::FetchKeys | Step::Send) => {
                shared(|shared| client.session.poll_transmit(shared)).expect("memory")
            }
            Ok(_) => 0,
            Err(error) => panic!("the session failed: {error}"),
        }
    })
}

/// Takes `len` bytes from the gateway out of the shared buffer.
#[unsafe(no_mangle)]
pub extern "C" fn client_input(len: usize) {
    CLIENT.with_borrow_mut(|client| {
        let client = client.as_mut().expect("started");
        shared(|shared| client.input(&shared[..len]));
    });
}

impl Client {
    fn input(&mut self, mut bytes: &[u8]) {
        self.session.handle_connected(now());
        while !bytes.is_empty() && self.session.poll_timeout().is_some() {
            let taken = self.session.handle_input(now(), bytes, &mut HostRandom);
            bytes = &bytes[taken..];
            match self.session.poll_event(now(), &mut HostRandom) {
                Some(SessionEvent::Head(head)) => assert_eq!(head.status, 200),
                Some(SessionEvent::Data(data)) => {
                    self.answer.try_extend_from_slice(data).expect("memory");
                }
                Some(SessionEvent::Complete(_)) => {
                    self.complete = true;
                    self.session.handle_eof(now(), &mut HostRandom);
                }
                _ => {}
            }
        }
    }
}

/// Puts the whole answer into the shared buffer and says how long it is; 0 while it is not whole.
#[unsafe(no_mangle)]
pub extern "C" fn client_answer() -> usize {
    CLIENT.with_borrow(|client| {
        let client = client.as_ref().expect("started");
        if !client.complete {
            return 0;
        }
        shared(|shared| shared[..client.answer.len()].copy_from_slice(client.answer.expose()));
        client.answer.len()
    })
}

/// Ends the client: nothing of it is left in memory afterwards.
#[unsafe(no_mangle)]
pub extern "C" fn client_end() {
    if let Some(client) = CLIENT.take() {
        shared(|shared| client.memory.zero_memory(shared));
    }
}

// ---- the gateway ------------------------------------------------------------------------------------------------------------

struct Gateway {
    memory: SecureMemory,
    keys: KeyRing,
    replay: MemoryReplayStore,
    exchange: ServerExchange,
}

/// Makes a gateway with fresh keys, and puts its pin into the shared buffer.
#[unsafe(no_mangle)]
pub extern "C" fn gateway_start() {
    let memory = SecureMemory::new(Policy::BestEffort);
    let identity = Identity::generate(&memory, &mut HostRandom).expect("randomness");
    shared(|shared| shared[..32].copy_from_slice(identity.pin().as_bytes()));
    let mut keys = KeyRing::new(
        identity,
        Suite::ALL,
        RecordLimits::default(),
        memory.clone(),
    );
    keys.rotate(now().unix, &mut HostRandom)
        .expect("randomness");
    let options = ServerOptions {
        one_exchange: false,
        ..ServerOptions::default()
    };
    let exchange = ServerExchange::new(&memory, options, &mut HostRandom).expect("randomness");
    GATEWAY.set(Some(Gateway {
        memory,
        keys,
        replay: MemoryReplayStore::new(100),
        exchange,
    }));
}

/// Takes `len` bytes from the client out of the shared buffer.
#[unsafe(no_mangle)]
pub extern "C" fn gateway_input(len: usize) {
    GATEWAY.with_borrow_mut(|gateway| {
        let gateway = gateway.as_mut().expect("started");
        shared(|shared| gateway.input(&shared[..len]));
    });
}

impl Gateway {
    fn input(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let mut context = ServerContext {
                now: now().unix,
                keys: &self.keys,
                replay: &mut self.replay,
            };
            let taken = self.exchange.handle_input(bytes, &mut context);
            bytes = &bytes[taken..];
            match self.exchange.poll_event() {
                Some(ServerEvent::KeysRequested) => self
                    .exchange
                    .send_keys(&self.keys.key_set())
                    .expect("it fits"),
                Some(ServerEvent::Request) => self.answer(),
                Some(other) => panic!("{other:?}"),
                None => assert!(taken > 0, "bytes that nobody takes"),
            }
        }
    }

    fn answer(&mut self) {
        let request = self.exchange.take_request().expect("it is whole");
        let head = ResponseHead::new(200, request.head().exchange_id);
        let uniform = Padding::Uniform { frame: 1024 };
        self.exchange.respond(&head, uniform).expect("a valid head");
        let mut body = request.body().expose();
        while !body.is_empty() {
            let taken = self.exchange.send_data(body).expect("memory");
            body = &body[taken..];
        }
        self.exchange.finish().expect("memory");
    }
}

/// Puts the next bytes for the client into the shared buffer and says how many.
#[unsafe(no_mangle)]
pub extern "C" fn gateway_output() -> usize {
    GATEWAY.with_borrow_mut(|gateway| {
        let gateway = gateway.as_mut().expect("started");
        shared(|shared| gateway.exchange.poll_transmit(shared))
    })
}

/// Whether this platform claims no more than it does: wiping, no locks.
#[unsafe(no_mangle)]
pub extern "C" fn reports_zeroing_only() -> bool {
    let info = GATEWAY.with_borrow(|gateway| {
        let gateway = gateway.as_ref().expect("started");
        gateway.memory.protection_info()
    });
    info.protection_level == sealwire_memlock::ProtectionLevel::ZeroingOnly
        && info.locked_bytes == 0
}
