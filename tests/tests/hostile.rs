//! A recorded exchange, changed in every small way there is, over HTTP and on a raw stream: nothing is accepted but a true prefix,
//! nothing panics, and after a failure nothing more comes out. Protocol: SEAL-2, SEAL-3, SEAL-5, ORDER-1, ORDER-2, ORDER-5, FRAME-6.

use sealwire_core::exchange::{
    ClientExchange, ClientOptions, ServerContext, ServerEvent, ServerExchange, ServerOptions,
};
use sealwire_core::frame::{FrameHeader, FrameType, HEADER_LEN, RESPONSE_NONCE_LEN};
use sealwire_core::head::ResponseHead;
use sealwire_core::keys::GatewayKey;
use sealwire_core::padding::Padding;
use sealwire_core::record::OpenHeader;
use sealwire_core::replay::MemoryReplayStore;
use sealwire_core::{ClientState, Error, PeerError, ServerState, Suite};
use sealwire_tests::pair::{NOW, Seen, World, drain_client, drain_server, feed_client};
use sealwire_tests::random::SeededRng;

const SEED: u64 = 7;
const QUESTION: &[u8] = br#"{"model":"m","messages":[{"role":"user","content":"hush"}]}"#;
const PIECES: &[&[u8]] = &[b"data: one\n\n", b"data: two\n\n", b"data: three\n\n"];

/// What an exchange is carried by, and so what may follow its last frame (ORDER-5): nothing, or the next exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    Http,
    Stream,
}

const CARRIERS: [Carrier; 2] = [Carrier::Http, Carrier::Stream];

impl Carrier {
    /// Whether `wire` brings what `truth` does: nothing else, or nothing else before it.
    fn is_whole(self, wire: &[u8], truth: &[u8]) -> bool {
        match self {
            Self::Http => wire == truth,
            Self::Stream => wire.starts_with(truth),
        }
    }
}

/// A recorded exchange: both wires, and what it takes to build either end again.
struct Recording {
    carrier: Carrier,
    request: Vec<u8>,
    response: Vec<u8>,
    world: World,
    /// As it was when the client was made.
    rng: SeededRng,
    key: GatewayKey,
}

fn options(carrier: Carrier) -> ClientOptions {
    ClientOptions {
        padding: Padding::None,
        one_exchange: carrier == Carrier::Http,
        ..ClientOptions::default()
    }
}

fn record(seed: u64, padding: Padding) -> Recording {
    record_in(Suite::P256, seed, padding)
}

fn record_in(suite: Suite, seed: u64, padding: Padding) -> Recording {
    let mut world = World::new(seed);
    let (rng, key) = (world.rng.clone(), world.gateway_key(suite));
    let request = world.request(QUESTION);
    let carrier = Carrier::Http;
    let mut client = world.client(suite, request, options(carrier));
    let request = drain_client(&mut client);
    let (mut server, _) = world.deliver(&request);
    let response = world.answer(&mut server, *client.exchange_id(), PIECES, padding);
    Recording {
        carrier,
        request,
        response,
        world,
        rng,
        key,
    }
}

impl Recording {
    /// The same bytes, carried by each.
    fn on_each_carrier(mut self, mut check: impl FnMut(&mut Self)) {
        for carrier in CARRIERS {
            self.carrier = carrier;
            check(&mut self);
        }
    }

    /// A gateway that waits for the request, and has seen nothing.
    fn server(&mut self) -> ServerExchange {
        self.world.replay = MemoryReplayStore::new(8);
        self.world.server(ServerOptions {
            one_exchange: self.carrier == Carrier::Http,
            ..ServerOptions::default()
        })
    }

    /// A client in the state in which the response reaches it: made from the same randomness.
    fn client_awaiting(&self) -> ClientExchange {
        let (world, mut rng) = (&self.world, self.rng.clone());
        let request = world.request(QUESTION);
        let options = options(self.carrier);
        let made = ClientExchange::new(&world.memory, &self.key, request, NOW, options, &mut rng);
        let mut client = made.map_err(|(_, error)| error).expect("as before");
        drain_client(&mut client);
        client
    }
}

/// What either end may hold of what somebody else sends: a frame within its limit, in a buffer that may just have doubled. Nothing
/// in the recordings is longer than this, so what an announced length takes would show.
const HELD: usize = 16 * 1024;

fn frames(wire: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    let mut rest = wire;
    while let Some(header) = rest.first_chunk() {
        let size = FrameHeader::parse(*header).expect("recorded").size();
        let (frame, after) = rest.split_at(size);
        frames.push(frame);
        rest = after;
    }
    frames
}

/// The type of each frame that is one.
fn kinds(mut wire: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let Some(&[kind, a, b, c]) = wire.first_chunk() {
        kinds.push(kind);
        let size = 4 + u32::from_be_bytes([0, a, b, c]) as usize;
        wire = wire.get(size..).unwrap_or_default();
    }
    kinds
}

/// Where each frame begins.
fn frame_starts(wire: &[u8]) -> Vec<usize> {
    frames(wire)
        .iter()
        .scan(0, |at, frame| {
            Some(std::mem::replace(at, *at + frame.len()))
        })
        .collect()
}

/// How much of a frame is read as it stands, before a tag can speak for it: its header, the open header, the nonce of ACCEPT. The
/// rest of OPEN's body is a point or a ciphertext, and all else is behind a tag.
fn clear_len(frame: &[u8]) -> usize {
    match FrameType::from_u8(frame[0]) {
        Ok(FrameType::Open) => HEADER_LEN + OpenHeader::LEN,
        Ok(FrameType::Accept) => HEADER_LEN + RESPONSE_NONCE_LEN,
        _ => HEADER_LEN,
    }
}

/// Every single-byte change: all 255 other values on what is clear, every bit on the rest.
fn for_each_change(wire: &[u8], mut check: impl FnMut(&[u8], usize)) -> usize {
    let starts = frame_starts(wire);
    let mut changed = wire.to_vec();
    let mut count = 0;
    for at in 0..wire.len() {
        let start = *starts
            .iter()
            .rfind(|start| **start <= at)
            .expect("the first frame begins at 0");
        let flips: Vec<u8> = if at - start < clear_len(&wire[start..]) {
            (1..=255).collect()
        } else {
            (0..8).map(|bit| 1 << bit).collect()
        };
        for flip in flips {
            changed[at] ^= flip;
            check(&changed, at);
            changed[at] ^= flip;
            count += 1;
        }
    }
    count
}

/// Feeds a gateway and says whether a request came out; checks that it was the truth, and comes out where that is there.
fn is_accepted(recording: &mut Recording, wire: &[u8]) -> bool {
    let mut server = recording.server();
    let whole = recording.carrier.is_whole(wire, &recording.request);
    let world = &mut recording.world;
    let mut events = world.feed_server(&mut server, wire);
    assert!(
        server.buffered() <= HELD,
        "{} bytes held",
        server.buffered()
    );
    server.handle_eof(NOW);
    events.extend(server.poll_event());
    let accepted = events.contains(&ServerEvent::Request);
    assert_eq!(accepted, whole, "{:02x?}", kinds(wire));
    if accepted {
        let request = server.take_request().expect("announced");
        assert_eq!(request.body().expose(), QUESTION);
    } else {
        assert!(
            server.take_request().is_none(),
            "a refused request can be taken"
        );
        assert_answers_refusal(&mut server);
        // It is over: what comes now is of no exchange, and nothing comes out.
        assert!(
            server
                .respond(&ResponseHead::new(200, [0; 16]), Padding::None)
                .is_err()
        );
        assert!(server.send_data(b"x").is_err() && server.finish().is_err());
        assert_eq!(world.feed_server(&mut server, wire), []);
        assert_eq!(
            (server.poll_event(), drain_server(&mut server)),
            (None, vec![])
        );
    }
    accepted
}

/// A refused client hears REJECT, or ACCEPT and ERROR, and nothing else.
fn assert_answers_refusal(server: &mut ServerExchange) {
    let kinds = kinds(&drain_server(server));
    assert!(kinds == [0x05] || kinds == [0x04, 0x13], "{kinds:?}");
    assert!(server.is_finished());
}

/// Feeds a client; checks that it shows a prefix of the truth and is complete only for the truth itself.
fn check_response(recording: &Recording, wire: &[u8], step: usize) -> Result<(), Error> {
    let truth = &recording.response[..];
    let whole = recording.carrier.is_whole(wire, truth);
    let mut client = recording.client_awaiting();
    let mut seen = Seen::default();
    let result = wire.chunks(step).try_for_each(|chunk| {
        let result = feed_client(&mut client, chunk, &mut seen);
        assert!(
            client.buffered() <= HELD,
            "{} bytes held",
            client.buffered()
        );
        result
    });
    let result = result.and_then(|()| client.handle_eof().map_err(Error::from));
    assert!(
        PIECES.concat().starts_with(&seen.body),
        "something else than the answer was shown"
    );
    assert!(!seen.complete || seen.body == PIECES.concat());
    assert!(seen.error.is_none());
    if whole {
        assert!(seen.complete && seen.status == Some(200) && result.is_ok());
    } else {
        assert!(result.is_err() || seen.rejected.is_some());
    }
    if result.is_err() {
        assert_eq!(client.state(), ClientState::Failed);
        assert!(client.poll_event().is_none(), "an event after a failure");
        assert_eq!(
            client.handle_input(truth),
            Err(Error::Peer(PeerError::Poisoned))
        );
        assert!(client.poll_event().is_none(), "an event after a failure");
    }
    result
}

#[test]
fn the_recording_itself_is_accepted_whole_and_byte_by_byte() {
    for &suite in Suite::ALL {
        record_in(suite, SEED, Padding::None).on_each_carrier(|recording| {
            let request = recording.request.clone();
            assert!(is_accepted(recording, &request));
            for step in [1, 2, 3, 7, 64, recording.response.len()] {
                check_response(recording, &recording.response, step).expect("untouched");
            }
            let mut server = recording.server();
            let mut events = Vec::new();
            for byte in request.chunks(1) {
                assert_eq!(events, []);
                events = recording.world.feed_server(&mut server, byte);
            }
            server.handle_eof(NOW);
            events.extend(server.poll_event());
            assert_eq!(events, [ServerEvent::Request]);
        });
    }
}

#[test]
fn every_cut_of_a_request_is_refused() {
    let mut count = 0;
    for &suite in Suite::ALL {
        record_in(suite, SEED, Padding::None).on_each_carrier(|recording| {
            // A stream may end between exchanges.
            let least = usize::from(recording.carrier == Carrier::Stream);
            for cut in least..recording.request.len() {
                let wire = recording.request[..cut].to_vec();
                assert!(!is_accepted(recording, &wire), "cut at {cut}");
                count += 1;
            }
        });
    }
    println!("{count} cut requests refused");
}

#[test]
fn every_cut_of_a_response_is_truncated() {
    let mut count = 0;
    let paddings = [
        Padding::None,
        Padding::Padme,
        Padding::Uniform { frame: 128 },
    ];
    let of_each = |suite| paddings.map(|padding| record_in(suite, SEED, padding));
    for recording in Suite::ALL.iter().copied().flat_map(of_each) {
        recording.on_each_carrier(|recording| {
            let response = &recording.response;
            for cut in 0..response.len() {
                let result = check_response(recording, &response[..cut], response.len());
                let truncated = Err(Error::Peer(PeerError::Truncated));
                assert_eq!(result, truncated, "cut at {cut}");
                count += 1;
            }
        });
    }
    println!("{count} cut responses truncated");
}

#[test]
fn every_changed_byte_of_a_request_is_refused() {
    let mut count = 0;
    record(SEED, Padding::None).on_each_carrier(|recording| {
        let request = recording.request.clone();
        count += for_each_change(&request, |wire, at| {
            assert!(!is_accepted(recording, wire), "changed at {at}");
        });
    });
    println!("{count} changed requests refused");
}

/// The hybrid's OPEN, whose parts are a ciphertext of ML-KEM and a point: a bit of each byte of both counts.
#[test]
fn every_changed_byte_of_a_hybrid_open_is_refused() {
    let mut recording = record_in(Suite::MlKem768P256, SEED, Padding::None);
    let mut wire = recording.request.clone();
    let open = 4 + 15 + 1153;
    for at in 0..open {
        wire[at] ^= 1 << (at % 8);
        assert!(!is_accepted(&mut recording, &wire), "changed at {at}");
        wire[at] ^= 1 << (at % 8);
    }
    println!("{open} changed hybrid requests refused");
}

#[test]
fn every_changed_byte_of_a_response_is_refused() {
    let mut count = 0;
    record(SEED, Padding::None).on_each_carrier(|recording| {
        count += for_each_change(&recording.response, |wire, at| {
            let result = check_response(recording, wire, wire.len());
            assert!(result.is_err(), "changed at {at}");
        });
    });
    println!("{count} changed responses refused");
}

/// The hybrid's response keys come from other secrets: every bit counts there too.
#[test]
fn every_changed_bit_of_a_hybrid_response_is_refused() {
    let mut count = 0;
    record_in(Suite::MlKem768P256, SEED, Padding::None).on_each_carrier(|recording| {
        let mut wire = recording.response.clone();
        for bit in 0..wire.len() * 8 {
            let (at, flip) = (bit / 8, 1 << (bit % 8));
            wire[at] ^= flip;
            let result = check_response(recording, &wire, wire.len());
            assert!(result.is_err(), "changed at {at}");
            wire[at] ^= flip;
            count += 1;
        }
    });
    println!("{count} changed hybrid responses refused");
}

/// Every way to drop, double or swap frames, and to put in or put behind a frame of another recording.
fn rearranged(wire: &[u8], foreign: &[&[u8]]) -> Vec<Vec<u8>> {
    let own = frames(wire);
    let mut all = Vec::new();
    for i in 0..own.len() {
        let mut dropped = own.clone();
        dropped.remove(i);
        all.push(dropped);
        let mut doubled = own.clone();
        doubled.insert(i, own[i]);
        all.push(doubled);
        for j in i + 1..own.len() {
            let mut swapped = own.clone();
            swapped.swap(i, j);
            all.push(swapped);
        }
        for frame in foreign {
            let mut replaced = own.clone();
            replaced[i] = frame;
            all.push(replaced);
            let mut inserted = own.clone();
            inserted.insert(i, frame);
            all.push(inserted);
        }
    }
    for frame in foreign {
        let mut appended = own.clone();
        appended.push(frame);
        all.push(appended);
    }
    all.into_iter()
        .map(|frames| frames.concat())
        .filter(|changed| changed != wire)
        .collect()
}

#[test]
fn rearranged_spliced_and_reflected_requests_are_refused() {
    let (mut refused, mut followed) = (0, 0);
    record(SEED, Padding::None).on_each_carrier(|recording| {
        let other = record(SEED + 1, Padding::None);
        // Another exchange with the same gateway, so that its OPEN is acceptable there.
        let request = recording.world.request(b"another question");
        let options = options(recording.carrier);
        let mut client = recording.world.client(Suite::P256, request, options);
        let sibling = drain_client(&mut client);
        let mut foreign = frames(&sibling);
        foreign.extend(frames(&other.request));
        foreign.extend(frames(&recording.response));
        let request = recording.request.clone();
        for wire in rearranged(&request, &foreign) {
            match is_accepted(recording, &wire) {
                false => refused += 1,
                true => followed += 1,
            }
        }
    });
    println!("{refused} rearranged requests refused, {followed} on streams had come to their end");
}

#[test]
fn rearranged_spliced_and_reflected_responses_are_refused() {
    let (mut refused, mut followed) = (0, 0);
    record(SEED, Padding::None).on_each_carrier(|recording| {
        let other = record(SEED + 1, Padding::None);
        let mut foreign = frames(&other.response);
        foreign.extend(frames(&recording.request));
        for wire in rearranged(&recording.response, &foreign) {
            match check_response(recording, &wire, wire.len()) {
                Err(_) => refused += 1,
                Ok(()) => followed += 1,
            }
        }
    });
    println!("{refused} rearranged responses refused, {followed} on streams had come to their end");
}

#[test]
fn a_refused_request_is_drained_before_it_is_answered() {
    let mut recording = record(SEED, Padding::None);
    let mut wire = recording.request.clone();
    let starts = frame_starts(&wire);
    // The tag of HEAD: the first sealed frame fails, REJECT(undecryptable) is due (ORDER-3, ORDER-4).
    wire[starts[2] - 1] ^= 1;
    let mut server = recording.server();
    let end = wire.len() - 1;
    let events = recording.world.feed_server(&mut server, &wire[..end]);
    assert!(matches!(
        events[..],
        [ServerEvent::Refused(Error::Peer(PeerError::Undecryptable))]
    ));
    assert_eq!(server.state(), ServerState::Draining);
    assert_eq!(
        server.pending_transmit(),
        0,
        "answered before the request ended"
    );
    recording.world.feed_server(&mut server, &wire[end..]);
    assert_eq!(drain_server(&mut server), [0x05, 0, 0, 1, 7]);
}

#[test]
fn a_replayed_request_is_refused() {
    // REPLAY-2
    let mut recording = record(SEED, Padding::None);
    let mut replay = MemoryReplayStore::new(8);
    for round in 0..2 {
        let mut server = recording.world.server(ServerOptions::default());
        let mut rest = &recording.request[..];
        let mut refused = false;
        while !rest.is_empty() {
            let mut context = ServerContext {
                now: NOW,
                keys: &recording.world.keys,
                replay: &mut replay,
            };
            let consumed = server.handle_input(rest, &mut context);
            rest = &rest[consumed..];
            refused |= matches!(server.poll_event(), Some(ServerEvent::Refused(_)));
        }
        server.handle_eof(NOW);
        assert_eq!(refused, round == 1);
    }
}
