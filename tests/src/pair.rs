//! Both ends of an exchange in memory, with virtual time.

use sealwire_core::exchange::{
    ClientEvent, ClientExchange, ClientOptions, ReceivedRequest, Request, ServerContext,
    ServerEvent, ServerExchange, ServerOptions,
};
use sealwire_core::head::ResponseHead;
use sealwire_core::keys::{GatewayKey, Identity, KeyRing, RecordLimits};
use sealwire_core::padding::Padding;
use sealwire_core::replay::MemoryReplayStore;
use sealwire_core::{Error, ErrorCode, RecordAead, RejectCode, Suite, UnixTime};
use sealwire_memlock::{Policy, SecureMemory};

use crate::random::SeededRng;

/// The wall clock of every test, unless it says otherwise.
pub const NOW: UnixTime = UnixTime::from_millis(1_800_000_000_000);

/// A gateway's keys and memory, and randomness for both ends.
#[derive(Debug)]
pub struct World {
    /// Secure memory for both ends.
    pub memory: SecureMemory,
    /// Seeded randomness for both ends.
    pub rng: SeededRng,
    /// The gateway's keys.
    pub keys: KeyRing,
    /// What the gateway has seen.
    pub replay: MemoryReplayStore,
    /// The wall clock.
    pub now: UnixTime,
}

/// What a client saw of a response.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The status in the head.
    pub status: Option<u16>,
    /// The body so far.
    pub body: Vec<u8>,
    /// Whether the response was whole.
    pub complete: bool,
    /// A sealed error.
    pub error: Option<ErrorCode>,
    /// A clear refusal.
    pub rejected: Option<RejectCode>,
}

impl World {
    /// A gateway with all suites, seeded.
    pub fn new(seed: u64) -> Self {
        let memory = SecureMemory::new(Policy::BestEffort);
        let mut rng = SeededRng::new(seed);
        let identity = Identity::generate(&memory, &mut rng).expect("seeded");
        let mut keys = KeyRing::new(
            identity,
            Suite::ALL,
            RecordLimits::default(),
            memory.clone(),
        );
        keys.rotate(NOW, &mut rng).expect("seeded");
        Self {
            memory,
            rng,
            keys,
            replay: MemoryReplayStore::new(1000),
            now: NOW,
        }
    }

    /// The key that clients seal to.
    pub fn gateway_key(&self, suite: Suite) -> GatewayKey {
        self.keys
            .key_set()
            .select(suite, self.now)
            .expect("the ring holds every suite")
    }

    /// A chat request with this body.
    pub fn request(&self, body: &[u8]) -> Request {
        let mut request = Request::new(
            "POST",
            "/v1/chat/completions",
            self.memory.copy_from(body).expect("memory"),
        );
        request.authorization = Some(self.memory.copy_from(b"Bearer sk-secret").expect("memory"));
        request
    }

    /// A client that seals `request`.
    pub fn client(
        &mut self,
        suite: Suite,
        request: Request,
        options: ClientOptions,
    ) -> ClientExchange {
        let key = self.gateway_key(suite);
        ClientExchange::new(
            &self.memory,
            &key,
            request,
            self.now,
            options,
            &mut self.rng,
        )
        .expect("a request that can be sealed")
    }

    /// A gateway that waits for a request.
    pub fn server(&mut self, options: ServerOptions) -> ServerExchange {
        ServerExchange::new(&self.memory, options, &mut self.rng).expect("memory")
    }

    /// Feeds bytes to a gateway, collecting its events.
    pub fn feed_server(&mut self, server: &mut ServerExchange, bytes: &[u8]) -> Vec<ServerEvent> {
        let mut events = Vec::new();
        let mut rest = bytes;
        loop {
            let mut context = ServerContext {
                now: self.now,
                keys: &self.keys,
                replay: &mut self.replay,
            };
            let consumed = server.handle_input(rest, &mut context);
            rest = &rest[consumed..];
            match server.poll_event() {
                Some(event) => events.push(event),
                None if consumed == 0 => return events,
                None => {}
            }
        }
    }

    /// Carries `request` to a gateway over HTTP's rules and returns it whole.
    ///
    /// # Panics
    /// If the gateway does not accept it.
    pub fn deliver(&mut self, wire: &[u8]) -> (ServerExchange, ReceivedRequest) {
        let mut server = self.server(ServerOptions::default());
        assert_eq!(self.feed_server(&mut server, wire), []);
        server.handle_eof(self.now);
        assert_eq!(server.poll_event(), Some(ServerEvent::Request));
        let request = server.take_request().expect("a whole request");
        (server, request)
    }

    /// Answers with these pieces.
    ///
    /// # Panics
    /// If the gateway's exchange refuses.
    pub fn answer(
        &self,
        server: &mut ServerExchange,
        id: [u8; 16],
        pieces: &[&[u8]],
        padding: Padding,
    ) -> Vec<u8> {
        let mut head = ResponseHead::new(200, id);
        head.content_type = Some("application/json");
        server.respond(&head, padding).expect("a request waits");
        let mut wire = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let sent = server.send_data(rest).expect("under way");
                rest = &rest[sent..];
                wire.extend(drain_server(server));
            }
        }
        server.finish().expect("under way");
        wire.extend(drain_server(server));
        wire
    }
}

/// Everything a client has to send.
pub fn drain_client<A: RecordAead>(client: &mut ClientExchange<A>) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match client.poll_transmit(&mut buffer).expect("memory") {
            0 => return wire,
            count => wire.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Everything a gateway has to send now.
pub fn drain_server<A: RecordAead>(server: &mut ServerExchange<A>) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match server.poll_transmit(&mut buffer) {
            0 => return wire,
            count => wire.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Feeds bytes to a client, adding to what it has seen.
///
/// # Errors
/// What the client found wrong.
pub fn feed_client(
    client: &mut ClientExchange,
    bytes: &[u8],
    seen: &mut Seen,
) -> Result<(), Error> {
    let mut rest = bytes;
    loop {
        let consumed = client.handle_input(rest)?;
        rest = &rest[consumed..];
        match client.poll_event() {
            Some(ClientEvent::Head(head)) => seen.status = Some(head.status),
            Some(ClientEvent::Data(data)) => seen.body.extend_from_slice(data),
            Some(ClientEvent::Complete(_)) => seen.complete = true,
            Some(ClientEvent::Error { code, .. }) => seen.error = Some(code),
            Some(ClientEvent::Rejected(code)) => seen.rejected = Some(code),
            Some(_) => {}
            None if consumed == 0 => return Ok(()),
            None => {}
        }
    }
}
