//! Level 1 with nothing but arrays: what a phase allows, and what is left when it is over.

use hpke::{Kem, Serializable};
use sealwire_core::frame::{CONTENT_OFFSET, FrameHeader, FrameType, Peek};
use sealwire_core::record::{
    OpenHeader, RequestOpener, RequestSealer, ResponseOpener, ResponseSealer, ResponseStart,
};
use sealwire_core::{Error, KEY_BLOCK_LEN, Malformed, Misuse, PeerError, Suite};

type Block<'a> = &'a mut [u8; KEY_BLOCK_LEN];

const HEADER: OpenHeader = OpenHeader::new(Suite::P256, [7; 8]);

fn sealed(seal: impl FnOnce(&mut [u8]) -> Result<(), Misuse>, content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 64];
    frame[CONTENT_OFFSET..CONTENT_OFFSET + content.len()].copy_from_slice(content);
    seal(&mut frame).expect("allowed");
    frame
}

/// A request's two ends, agreed on keys.
fn pair<'a>(
    client: Block<'a>,
    gateway: Block<'a>,
) -> (RequestSealer<Block<'a>>, RequestOpener<Block<'a>>) {
    let (private, public) = hpke::kem::DhP256HkdfSha256::derive_keypair(&[1; 32]);
    let (mut seed, mut enc) = ([2; 320], [0; 65]);
    let sealer = RequestSealer::new(&HEADER, &public.to_bytes(), &mut seed, &mut enc, client)
        .expect("a good key");
    assert_eq!(seed, [0; 320], "the seed is wiped");
    let opener = RequestOpener::new(&HEADER, &enc, &private.to_bytes(), gateway).expect("its own");
    (sealer, opener)
}

/// Carries a request over, and returns both ends of its response.
fn response<'a>(
    client: Block<'a>,
    gateway: Block<'a>,
) -> (ResponseOpener<Block<'a>>, ResponseSealer<Block<'a>>) {
    let (mut sealer, mut opener) = pair(client, gateway);
    let mut head = sealed(|frame| sealer.seal_head(frame, 1, 64), b"h");
    assert_eq!(opener.open(&mut head).expect("opens").content, b"h");
    let mut end = [0; 22];
    let start = sealer.seal_end(&mut end, 22).map_err(|(_, error)| error);
    assert!(opener.open(&mut end).is_ok());
    let sealer = opener.respond(&[3; 32]).ok().expect("HEAD has opened");
    (start.expect("HEAD came first").accept(&[3; 32]), sealer)
}

/// KEY-3: the caller's own block holds nothing of an exchange that is over, in whichever phase it ended.
#[test]
fn keys_are_wiped_when_their_object_goes() {
    let zeros = [0; KEY_BLOCK_LEN];
    let (mut client, mut gateway) = ([9; KEY_BLOCK_LEN], [9; KEY_BLOCK_LEN]);
    drop(pair(&mut client, &mut gateway));
    assert_eq!((client, gateway), (zeros, zeros));
    let (mut client, mut gateway) = ([9; KEY_BLOCK_LEN], [9; KEY_BLOCK_LEN]);
    drop(response(&mut client, &mut gateway));
    assert_eq!((client, gateway), (zeros, zeros));
    // After a failure as well.
    let (mut client, mut gateway) = ([9; KEY_BLOCK_LEN], [9; KEY_BLOCK_LEN]);
    let (_, mut opener) = pair(&mut client, &mut gateway);
    assert!(
        opener
            .open(&mut [
                0x10, 0, 0, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
            ])
            .is_err()
    );
    drop(opener);
    assert_eq!(gateway, zeros);
    // And when there never was one.
    let (mut seed, mut enc, mut block) = ([2; 320], [0; 65], [9; KEY_BLOCK_LEN]);
    let result = RequestSealer::new(&HEADER, &[4; 65], &mut seed, &mut enc, &mut block);
    assert!(matches!(
        result.err(),
        Some(Error::Peer(PeerError::Malformed(Malformed::PublicKey)))
    ));
    assert_eq!((seed, block), ([0; 320], zeros));
}

/// One buffer does for every suite; one that is too small is refused, and nothing has changed.
#[test]
fn the_buffer_of_an_encapsulated_key() {
    let (_, public) = hpke::kem::DhP256HkdfSha256::derive_keypair(&[1; 32]);
    let encapsulate = |enc: &mut [u8]| {
        let (mut seed, mut block) = ([2; 320], [0; KEY_BLOCK_LEN]);
        let made = RequestSealer::new(&HEADER, &public.to_bytes(), &mut seed, enc, &mut block);
        (made.map(drop), seed)
    };
    let (mut exact, mut large) = ([0; 65], [0; Suite::MAX_ENC_LEN]);
    assert_eq!(encapsulate(&mut exact).0, Ok(()));
    assert_eq!(encapsulate(&mut large).0, Ok(()));
    assert_eq!(large[..65], exact);
    assert_eq!(large[65..], [0; Suite::MAX_ENC_LEN - 65]);
    let refused = Misuse::OutputTooSmall { needed: 65 };
    assert_eq!(encapsulate(&mut [0; 64]), (Err(refused.into()), [2; 320]));
}

/// KEY-3: the request's secrets do not outlive the request, on either side.
#[test]
fn the_response_keys_take_the_place_of_the_requests() {
    let (mut client, mut gateway) = ([0; KEY_BLOCK_LEN], [0; KEY_BLOCK_LEN]);
    let request = {
        let (sealer, opener) = pair(&mut client, &mut gateway);
        // Neither object is dropped, so the blocks keep what they hold.
        std::mem::forget((sealer, opener));
        assert_eq!(client, gateway);
        client
    };
    std::mem::forget(response(&mut client, &mut gateway));
    assert_eq!(client, gateway);
    for (before, after) in request.chunks(4).zip(client.chunks(4)) {
        assert_ne!(before, after);
    }
    assert_eq!(client[44..], [0; 32], "the response secret was used up");
}

/// ORDER-1, ORDER-5: `Complete` comes from END alone, and nothing comes after END or ERROR.
#[test]
fn only_end_completes() {
    let (mut client, mut gateway) = ([0; KEY_BLOCK_LEN], [0; KEY_BLOCK_LEN]);
    let (mut opener, mut sealer) = response(&mut client, &mut gateway);
    let mut head = sealed(|frame| sealer.seal(FrameType::Head, frame, 1, 64), b"h");
    assert!(opener.open(&mut head).is_ok());
    let mut error = sealed(|frame| sealer.seal(FrameType::Error, frame, 1, 64), b"\x07");
    assert_eq!(opener.open(&mut error).expect("sealed").content, b"\x07");
    let mut more = [0; 64];
    assert!(sealer.seal(FrameType::End, &mut more, 0, 64).is_err());
    assert_eq!(
        opener.open(&mut more),
        Err(PeerError::Malformed(Malformed::TrailingBytes))
    );
    assert_eq!(opener.finish(), Err(PeerError::Truncated));

    let (mut client, mut gateway) = ([0; KEY_BLOCK_LEN], [0; KEY_BLOCK_LEN]);
    let (mut opener, mut sealer) = response(&mut client, &mut gateway);
    let mut head = sealed(|frame| sealer.seal(FrameType::Head, frame, 1, 64), b"h");
    assert!(opener.open(&mut head).is_ok());
    let mut end = sealed(|frame| sealer.seal(FrameType::End, frame, 0, 64), b"");
    assert!(opener.open(&mut end).is_ok());
    assert!(opener.finish().is_ok());
}

/// ORDER-6: one CANCEL can be sealed, and one is opened.
#[test]
fn one_cancel() {
    let (mut client, mut gateway) = ([0; KEY_BLOCK_LEN], [0; KEY_BLOCK_LEN]);
    let (mut sealer, mut opener) = pair(&mut client, &mut gateway);
    let mut head = sealed(|frame| sealer.seal_head(frame, 1, 64), b"h");
    assert!(opener.open(&mut head).is_ok());
    let mut end = [0; 22];
    let start: Result<ResponseStart<_>, _> = sealer.seal_end(&mut end, 22);
    let mut start = start.ok().expect("HEAD came first");
    assert!(opener.open(&mut end).is_ok());
    let mut cancel = [0; 22];
    start.seal_cancel(&mut cancel, 22).expect("the first");
    assert_eq!(
        start.seal_cancel(&mut [0; 22], 22),
        Err(Misuse::State("cancelled already"))
    );
    assert_eq!(
        opener.open(&mut cancel).expect("the first").kind,
        FrameType::Cancel
    );
    assert!(opener.open(&mut cancel).is_err());
}

/// A frame is found in what arrived without taking anything from it, and refused from its header alone (FRAME-3).
#[test]
fn peeking_takes_nothing() {
    let frame = [
        0x11, 0, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
    ];
    for len in 0..frame.len() {
        let at_least = if len < 4 { 4 } else { 24 };
        assert_eq!(
            FrameHeader::peek(&frame[..len], 24),
            Ok(Peek::NeedMore { at_least })
        );
    }
    assert!(
        matches!(FrameHeader::peek(&frame, 24), Ok(Peek::Frame(header)) if header.size() == 24)
    );
    assert_eq!(
        FrameHeader::peek(&frame[..4], 23),
        Err(PeerError::TooLarge {
            what: "frame",
            limit: 23
        })
    );
}

/// FRAME-4, FRAME-7: the limit is one on sealed frames, and a type that cannot follow is told from one that is too large.
#[test]
fn order_comes_before_the_limit() {
    let long = [0x11, 0xff, 0xff, 0xff];
    assert!(matches!(
        FrameHeader::peek(&long, 1024),
        Err(PeerError::TooLarge { .. })
    ));
    let keys = [0x02, 0, 0xff, 0xff];
    let at_least = 65_539;
    assert_eq!(
        FrameHeader::peek(&keys, 1024),
        Ok(Peek::NeedMore { at_least })
    );
    let (mut client, mut gateway) = ([0; KEY_BLOCK_LEN], [0; KEY_BLOCK_LEN]);
    let (mut sealer, mut opener) = pair(&mut client, &mut gateway);
    let expected = |opener: &RequestOpener<Block<'_>>| {
        let all = FrameType::ALL.into_iter();
        all.filter(|kind| opener.expects(*kind)).collect::<Vec<_>>()
    };
    assert_eq!(expected(&opener), [FrameType::Head]);
    let mut head = sealed(|frame| sealer.seal_head(frame, 1, 64), b"h");
    opener.open(&mut head).expect("sealed for it");
    let follows = [FrameType::Data, FrameType::End, FrameType::Cancel];
    assert_eq!(expected(&opener), follows);
}

/// SEAL-7: what no receiver takes is not sealed.
#[test]
fn content_that_a_frame_cannot_have() {
    let (mut client, mut gateway) = ([0; KEY_BLOCK_LEN], [0; KEY_BLOCK_LEN]);
    let (mut sealer, _) = pair(&mut client, &mut gateway);
    let mut frame = [0; 64];
    let misuse = Err(Misuse::State(
        "END and CANCEL have no content, HEAD and ERROR some",
    ));
    assert_eq!(sealer.seal_head(&mut frame, 0, 64), misuse);
    sealer
        .seal_head(&mut frame, 1, 64)
        .expect("nothing has changed");
    let (mut client, mut gateway) = ([0; KEY_BLOCK_LEN], [0; KEY_BLOCK_LEN]);
    let (_, mut sealer) = response(&mut client, &mut gateway);
    assert_eq!(sealer.seal(FrameType::Error, &mut frame, 0, 64), misuse);
    sealer
        .seal(FrameType::Head, &mut frame, 1, 64)
        .expect("nothing has changed");
    assert_eq!(sealer.seal(FrameType::End, &mut frame, 1, 64), misuse);
}

/// FRAME-7, ORDER-4: a frame that cannot follow is malformed whatever its tag is, and before HEAD there is no sealed answer to it.
#[test]
fn order_is_found_before_the_tag() {
    for after_head in [true, false] {
        let (mut client, mut gateway) = ([0; KEY_BLOCK_LEN], [0; KEY_BLOCK_LEN]);
        let (mut sealer, mut opener) = pair(&mut client, &mut gateway);
        let mut frame = sealed(|frame| sealer.seal_head(frame, 1, 64), b"h");
        if after_head {
            assert!(opener.open(&mut frame).is_ok());
            frame = sealed(|frame| sealer.seal_data(frame, 1, 64), b"d");
            frame[0] = FrameType::Head as u8;
        } else {
            frame[0] = FrameType::Data as u8;
        }
        assert_eq!(opener.open(&mut frame), Err(Malformed::Order.into()));
        assert_eq!(opener.open(&mut frame), Err(PeerError::Poisoned));
        assert_eq!(opener.can_respond(), after_head);
    }
}

/// ORDER-2, ORDER-4: a request that failed, that was cancelled or that has not ended gets ERROR, and nothing else.
#[test]
fn only_a_whole_request_is_answered() {
    for what in ["broken", "cancelled", "open"] {
        let (mut client, mut gateway) = ([0; KEY_BLOCK_LEN], [0; KEY_BLOCK_LEN]);
        let (mut sealer, mut opener) = pair(&mut client, &mut gateway);
        let mut head = sealed(|frame| sealer.seal_head(frame, 1, 64), b"h");
        assert!(opener.open(&mut head).is_ok());
        let mut data = sealed(|frame| sealer.seal_data(frame, 1, 64), b"d");
        match what {
            "broken" => {
                data[20] ^= 1;
                assert_eq!(opener.open(&mut data), Err(PeerError::Undecryptable));
            }
            "cancelled" => {
                let mut cancel = [0; 22];
                let mut end = [0; 22];
                let mut start = sealer.seal_end(&mut end, 22).ok().expect("HEAD came first");
                assert!(start.seal_cancel(&mut cancel, 22).is_ok());
                for frame in [&mut data[..], &mut end, &mut cancel] {
                    assert!(opener.open(frame).is_ok());
                }
            }
            _ => assert!(opener.open(&mut data).is_ok()),
        }
        let mut sealer = opener.respond(&[3; 32]).ok().expect("HEAD has opened");
        let mut frame = [0; 64];
        for kind in [FrameType::Head, FrameType::Data, FrameType::End] {
            let refused = sealer.seal(kind, &mut frame, usize::from(kind != FrameType::End), 64);
            assert!(matches!(refused, Err(Misuse::State(_))), "{what}");
        }
        assert_eq!(sealer.seal(FrameType::Error, &mut frame, 1, 64), Ok(()));
    }
}
