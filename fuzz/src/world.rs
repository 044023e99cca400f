//! What every run would otherwise make anew.

use std::cell::RefCell;
use std::time::Duration;

use sealwire_core::exchange::{ClientExchange, ClientOptions, Request};
use sealwire_core::frame::{FrameHeader, FrameType};
use sealwire_core::keys::{GatewayKey, Identity, KeyRing, KeySet, RecordLimits};
use sealwire_core::record::OpenHeader;
use sealwire_core::session::{ClientSession, GatewayState, SessionConfig, Step, Trust};
use sealwire_core::{Error, Now, RecordAead, Suite, UnixTime};
use sealwire_memlock::{Policy, SecureMemory};

use crate::{CountingRng, NullAead, NullAgreement};

/// The wall clock of every run.
pub const NOW: UnixTime = UnixTime::from_millis(1_800_000_000_000);

/// A gateway's keys, made once: signing them would eat the fuzzer's time.
pub struct World {
    /// Ordinary memory: locking is fuzzed by `memlock`.
    pub memory: SecureMemory,
    /// The gateway's keys.
    pub keys: KeyRing,
    /// What clients fetch of them.
    pub set: KeySet,
    /// The same of another gateway.
    pub stranger: KeySet,
    /// The key that clients seal to.
    pub key: GatewayKey,
    /// That of the hybrid suite.
    hybrid: GatewayKey,
    /// What a session learned from the key set.
    pub learned: GatewayState,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

impl World {
    fn new() -> Self {
        let memory = SecureMemory::new(Policy::Off);
        let mut rng = CountingRng::default();
        let mut ring = || {
            let identity = Identity::generate(&memory, &mut rng).expect("counting does not fail");
            let mut keys = KeyRing::new(
                identity,
                &[Suite::P256, Suite::MlKem768P256],
                RecordLimits::default(),
                memory.clone(),
            )
            .with_agreement(&NullAgreement);
            keys.rotate(NOW, &mut rng).expect("counting does not fail");
            keys
        };
        let (keys, stranger) = (ring(), ring().key_set());
        let set = keys.key_set();
        let key = set.select(Suite::P256, NOW).expect("just made");
        let hybrid = set.select(Suite::MlKem768P256, NOW).expect("just made");
        let learned = learned(&memory, &set);
        Self {
            memory,
            keys,
            set,
            stranger,
            key,
            hybrid,
            learned,
        }
    }

    /// The key that clients of `suite` seal to.
    pub fn key_of(&self, suite: Suite) -> &GatewayKey {
        match suite {
            Suite::P256 => &self.key,
            _ => &self.hybrid,
        }
    }

    /// Runs `f` in the world of this thread.
    pub fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
        WORLD.with_borrow_mut(f)
    }

    /// A chat request with this body.
    pub fn request(&self, body: &[u8]) -> Request {
        let body = self.memory.copy_from(body).expect("ordinary memory");
        Request::new("POST", "/v1/chat/completions", body)
    }

    /// A client that agrees on nothing secret, made the same way in every run if `rng` is.
    ///
    /// # Errors
    /// A request that cannot be sent.
    #[allow(clippy::result_large_err)] // as there
    pub fn client<A: RecordAead>(
        &self,
        suite: Suite,
        body: &[u8],
        options: ClientOptions,
        rng: &mut CountingRng,
    ) -> Result<ClientExchange<A>, (Request, Error)> {
        ClientExchange::with_agreement(
            &self.memory,
            &NullAgreement,
            self.key_of(suite),
            self.request(body),
            NOW,
            options,
            rng,
        )
    }

    /// A client that has sent its request, the same in every run, and waits for the answer.
    pub fn sent_request(&self, options: ClientOptions) -> ClientExchange<NullAead> {
        let made = self.client(Suite::P256, b"{}", options, &mut CountingRng::default());
        let mut client = made.expect("a request that can be sent");
        let mut out = [0; 1024];
        while client.poll_transmit(&mut out).expect("ordinary memory") > 0 {}
        client
    }

    /// A valid OPEN frame.
    pub fn open_frame(&self) -> Vec<u8> {
        let header = OpenHeader::new(Suite::P256, self.key.key_id());
        let frame = FrameHeader::new(FrameType::Open, OpenHeader::LEN + 65).expect("possible");
        let mut bytes = frame.to_bytes().to_vec();
        bytes.extend_from_slice(&header.to_bytes());
        bytes.extend_from_slice(self.keys.identity().public());
        bytes
    }
}

/// What a session keeps of a key set that it was told to trust.
fn learned(memory: &SecureMemory, set: &KeySet) -> GatewayState {
    let mut rng = CountingRng::default();
    let now = Now {
        monotonic: Duration::ZERO,
        unix: NOW,
    };
    let config = SessionConfig::new(Trust::DangerousAny);
    let request = Request::new("GET", "/", memory.copy_from(b"").expect("ordinary memory"));
    let nothing = GatewayState::default();
    let mut session = ClientSession::new(memory, config, nothing, request, now);
    assert_eq!(session.step(now, &mut rng), Ok(Step::FetchKeys));
    session.handle_key_set(now, set.clone());
    session.gateway().clone()
}
