//! What lengths say to an onlooker (spec section 9). Protocol: PAD-1, PAD-2.

use std::collections::BTreeSet;

use sealwire_core::exchange::ClientOptions;
use sealwire_core::frame::FrameHeader;
use sealwire_core::head::ResponseHead;
use sealwire_core::padding::{Padding, padme};
use sealwire_core::{ErrorCode, Suite};
use sealwire_tests::pair::{NOW, Seen, World, drain_client, drain_server, feed_client};

fn sizes(wire: &[u8]) -> Vec<usize> {
    let mut sizes = Vec::new();
    let mut rest = wire;
    while let Some(header) = rest.first_chunk() {
        let size = FrameHeader::parse(*header).expect("our own").size();
        sizes.push(size);
        rest = &rest[size..];
    }
    sizes
}

#[test]
fn padme_adds_at_most_12_percent_and_leaves_few_values() {
    let mut values = BTreeSet::new();
    for len in 1..200_000u64 {
        let padded = padme(len);
        assert!(
            padded >= len && padded * 100 <= len * 112,
            "{len}: {padded}"
        );
        assert_eq!(padme(padded), padded);
        values.insert(padded);
    }
    println!("{} values for 200,000 lengths", values.len());
    assert!(values.len() < 350);
}

/// The sizes of DATA and END for a whole body of this length, by the rule of spec section 9.2.
fn padded(body: usize, frame: usize) -> Vec<usize> {
    let frames = body.div_ceil(frame - 22);
    let total = padme((body + 22 * frames) as u64) as usize;
    let (full, last) = (total / frame, total % frame);
    let mut sizes = vec![frame; full];
    if last > 0 {
        sizes.push(last.max(22));
    }
    sizes.push(22);
    sizes
}

/// The default frame, and two for which a rest is sometimes too small for a frame of its own.
const FRAMES: [usize; 3] = [16_404, 1200, 4090];

/// 413 lengths of bodies, and as many sequences of sizes as there are Padmé values of their totals.
const LENGTHS: std::ops::Range<usize> = 0..413;
const CLASSES: usize = 89;

#[test]
fn request_frame_sizes_follow_from_one_padme_value() {
    for frame in FRAMES {
        let mut world = World::new(3);
        let options = ClientOptions {
            request_frame: frame,
            ..ClientOptions::default()
        };
        let mut classes = BTreeSet::new();
        for len in LENGTHS.map(|step| step * 97) {
            let request = world.request(&vec![b'x'; len]);
            let mut client = world.client(Suite::P256, request, options);
            let wire = drain_client(&mut client);
            let sizes = sizes(&wire);
            assert_eq!(sizes[..2], [4 + 15 + 65, 256], "OPEN, HEAD");
            assert_eq!(sizes[2..], padded(len, frame), "{len} in {frame}");
            classes.insert(sizes);
            let (_, received) = world.deliver(&wire);
            assert_eq!(received.body().len(), len);
        }
        assert!(frame != FRAMES[0] || classes.len() == CLASSES);
    }
}

#[test]
fn answer_frame_sizes_follow_from_one_padme_value() {
    for frame in FRAMES {
        let mut world = World::new(6);
        let mut options = ClientOptions::default();
        options.response.frame = frame;
        let mut classes = BTreeSet::new();
        for len in LENGTHS.map(|step| step * 97) {
            let request = world.request(b"{}");
            let mut client = world.client(Suite::P256, request, options);
            let wire = drain_client(&mut client);
            let (mut server, _) = world.deliver(&wire);
            let (id, body) = (*client.exchange_id(), vec![b'x'; len]);
            let wire = world.answer(&mut server, id, &[&body], Padding::Padme);
            let sizes = sizes(&wire);
            assert_eq!(sizes[..2], [4 + 32, 256], "ACCEPT, HEAD");
            assert_eq!(sizes[2..], padded(len, frame), "{len} in {frame}");
            classes.insert(sizes);
            let mut seen = Seen::default();
            feed_client(&mut client, &wire, &mut seen).expect("accepted");
            assert_eq!((seen.body, seen.complete), (body, true));
        }
        assert!(frame != FRAMES[0] || classes.len() == CLASSES);
    }
}

#[test]
fn whole_answers_do_not_show_their_pieces() {
    let shape = |pieces: &[&[u8]]| {
        let mut world = World::new(4);
        let request = world.request(b"{}");
        let mut client = world.client(Suite::P256, request, ClientOptions::default());
        let wire = drain_client(&mut client);
        let (mut server, _) = world.deliver(&wire);
        let wire = world.answer(&mut server, *client.exchange_id(), pieces, Padding::Padme);
        let mut seen = Seen::default();
        feed_client(&mut client, &wire, &mut seen).expect("accepted");
        assert_eq!((seen.body, seen.complete), (pieces.concat(), true));
        sizes(&wire)
    };
    let body = [7; 30_000];
    let whole = shape(&[&body]);
    for cut in [1, 100, 16_381, 16_382, 16_383, 29_999] {
        assert_eq!(shape(&[&body[..cut], &body[cut..]]), whole, "cut at {cut}");
    }
    let pieces: Vec<&[u8]> = body.chunks(17).collect();
    assert_eq!(shape(&pieces), whole);
}

/// A thousand different streams of as many tokens, every tenth ended by an error: one sequence of sizes.
#[test]
fn streams_of_equal_count_look_the_same() {
    let mut world = World::new(5);
    let (mut streams, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for stream in 0..1000usize {
        // 7919 is prime to 1001: no two streams begin with a token of the same length. One of 1001 bytes fits the frame.
        let tokens = |token: usize| 1 + (stream * 7919 + token * 104_729) % 1001;
        let tokens: Vec<usize> = (0..21).map(tokens).collect();
        let request = world.request(b"{}");
        let mut client = world.client(Suite::P256, request, ClientOptions::default());
        let wire = drain_client(&mut client);
        let (mut server, _) = world.deliver(&wire);
        let head = ResponseHead::new(200, *client.exchange_id());
        server
            .respond(&head, Padding::Uniform { frame: 1024 })
            .expect("a request waits");
        for &len in &tokens {
            assert_eq!(server.send_data(&vec![b't'; len]).expect("under way"), len);
        }
        if stream % 10 == 0 {
            server.fail(ErrorCode::Upstream, NOW).expect("under way");
        } else {
            server.finish().expect("under way");
        }
        streams.insert(tokens);
        seen.insert(sizes(&drain_server(&mut server)));
    }
    assert_eq!(streams.len(), 1000);
    // ACCEPT; HEAD, 21 tokens and END or ERROR, which are 23 and become 24 by a cover frame.
    let expected = [vec![36], vec![1024; 24]].concat();
    assert_eq!(seen, BTreeSet::from([expected]));
}
