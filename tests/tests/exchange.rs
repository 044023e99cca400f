//! One exchange, both ends in memory.

use sealwire_core::exchange::ClientOptions;
use sealwire_core::padding::Padding;
use sealwire_core::{Suite, frame::FrameHeader};
use sealwire_tests::pair::{Seen, World, drain_client, feed_client};

fn sizes(wire: &[u8]) -> Vec<(u8, usize)> {
    let mut sizes = Vec::new();
    let mut rest = wire;
    while let Some(header) = rest.first_chunk::<4>() {
        let header = FrameHeader::parse(*header).expect("well-formed");
        sizes.push((header.kind() as u8, header.size()));
        rest = &rest[header.size()..];
    }
    sizes
}

#[test]
fn a_chat_in_every_suite_and_padding() {
    for &suite in Suite::ALL {
        for padding in [
            Padding::None,
            Padding::Padme,
            Padding::Uniform { frame: 1024 },
        ] {
            let mut world = World::new(1);
            let body = vec![b'x'; 40_000];
            let options = ClientOptions {
                padding: Padding::Padme,
                ..ClientOptions::default()
            };
            let request = world.request(&body);
            let mut client = world.client(suite, request, options);
            let wire = drain_client(&mut client);
            let (mut server, received) = world.deliver(&wire);
            assert_eq!(received.head().path, "/v1/chat/completions");
            assert_eq!(received.head().authorization, Some("Bearer sk-secret"));
            assert_eq!(received.body().expose(), body);
            let id = received.head().exchange_id;
            let wire = world.answer(&mut server, id, &[b"hello ", b"world"], padding);
            if let Padding::Uniform { frame } = padding {
                assert!(
                    sizes(&wire)[1..].iter().all(|(_, size)| *size == frame),
                    "{:?}",
                    sizes(&wire)
                );
            }
            let mut seen = Seen::default();
            feed_client(&mut client, &wire, &mut seen).expect("accepted");
            client.handle_eof().expect("whole");
            assert_eq!(
                seen,
                Seen {
                    status: Some(200),
                    body: b"hello world".to_vec(),
                    complete: true,
                    ..Seen::default()
                }
            );
        }
    }
}

/// FRAME-4: a client that has little memory sends frames of the smallest size that every gateway takes.
#[test]
fn a_client_of_small_frames_sends_no_larger_ones() {
    let mut world = World::new(2);
    let body = vec![b'x'; 10_000];
    let request = world.request(&body);
    let options = ClientOptions {
        request_frame: 1024,
        ..ClientOptions::default()
    };
    let mut client = world.client(Suite::P256, request, options);
    let wire = drain_client(&mut client);
    let sealed = &sizes(&wire)[1..];
    assert!(sealed.iter().all(|(_, size)| *size <= 1024), "{sealed:?}");
    let (_, received) = world.deliver(&wire);
    assert_eq!(received.body().expose(), body);
}
