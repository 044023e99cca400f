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

#[test]
fn request_frame_sizes_follow_from_one_padme_value() {
    let mut world = World::new(3);
    let mut classes = BTreeSet::new();
    for len in (0..40_000).step_by(97) {
        let request = world.request(&vec![b'x'; len]);
        let mut client = world.client(Suite::P256, request, ClientOptions::default());
        let wire = drain_client(&mut client);
        let sizes = sizes(&wire);
        assert_eq!(sizes[1] % 256, 0, "HEAD");
        assert_eq!(sizes.last(), Some(&22), "END");
        classes.insert(sizes);
        let (_, received) = world.deliver(&wire);
        assert_eq!(received.body().len(), len);
    }
    println!(
        "{} sequences of sizes for 413 lengths of body",
        classes.len()
    );
    // By data volume alone: as many sequences as there are totals.
    let totals: BTreeSet<usize> = classes.iter().map(|sizes| sizes.iter().sum()).collect();
    assert_eq!(classes.len(), totals.len());
    assert!(classes.len() < 150);
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

/// A thousand streams of as many tokens of quite different lengths, every tenth ended by an error: one sequence of sizes.
#[test]
fn streams_of_equal_count_look_the_same() {
    let mut world = World::new(5);
    let mut seen = BTreeSet::new();
    for stream in 0..1000usize {
        let request = world.request(b"{}");
        let mut client = world.client(Suite::P256, request, ClientOptions::default());
        let wire = drain_client(&mut client);
        let (mut server, _) = world.deliver(&wire);
        let head = ResponseHead::new(200, *client.exchange_id());
        server
            .respond(&head, Padding::Uniform { frame: 1024 })
            .expect("a request waits");
        for token in 0..20usize {
            let len = 1 + (stream * 7919 + token * 104_729) % 900;
            assert_eq!(server.send_data(&vec![b't'; len]).expect("under way"), len);
        }
        if stream % 10 == 0 {
            server.fail(ErrorCode::Upstream, NOW).expect("under way");
        } else {
            server.finish().expect("under way");
        }
        seen.insert(sizes(&drain_server(&mut server)));
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}
