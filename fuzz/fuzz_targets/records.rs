//! Level 1 behind a null cipher: whatever single frames arrive, in whatever order, openers accept only the grammar of section 7, one
//! failure poisons them, and `Complete` comes of END alone. What a sealer seals, the opener of the other end opens to the same; a buffer
//! that is too small changes nothing.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sealwire_core::agreement::SEED_LEN;
use sealwire_core::frame::{CONTENT_OFFSET, FrameType, SEALED_OVERHEAD};
use sealwire_core::record::{OpenHeader, RequestOpener, RequestSealer};
use sealwire_core::{KEY_BLOCK_LEN, Misuse, PeerError, Suite};
use sealwire_fuzz::{AnyKey, NOW, NullAead, NullAgreement, null_frame};

#[derive(Arbitrary, Debug)]
struct Seal<'a> {
    kind: u8,
    content: &'a [u8],
    size: u16,
    room: u16,
}

#[derive(Arbitrary, Debug)]
struct Plan<'a> {
    hybrid: bool,
    seals: Vec<Seal<'a>>,
    cancels: bool,
    arriving: Vec<(u8, &'a [u8], u8)>,
    raw: Vec<&'a [u8]>,
}

fn kind_of(number: u8) -> FrameType {
    FrameType::ALL[5 + usize::from(number) % 5]
}

/// A buffer with `content` in its place, and room as asked for.
fn buffer(content: &[u8], room: u16) -> Vec<u8> {
    let mut buffer = vec![0xee; (CONTENT_OFFSET + content.len()).max(room.into())];
    buffer[CONTENT_OFFSET..][..content.len()].copy_from_slice(content);
    buffer
}

fn check_sealed(result: &Result<(), Misuse>, seal: &Seal<'_>, buffer: &[u8]) -> Option<usize> {
    let needed = usize::from(seal.size).max(SEALED_OVERHEAD + seal.content.len());
    match result {
        Ok(()) => Some(needed),
        Err(Misuse::OutputTooSmall { needed: told }) => {
            assert!(*told == needed && needed > buffer.len());
            assert_eq!(
                &buffer[CONTENT_OFFSET..][..seal.content.len()],
                seal.content
            );
            None
        }
        Err(_) => None,
    }
}

fuzz_target!(|plan: Plan<'_>| {
    let suite = match plan.hybrid {
        true => Suite::MlKem768P256,
        false => Suite::P256,
    };
    let header = OpenHeader::new(suite, [1; 8]);
    let (mut to_store, mut from_store) = ([0; KEY_BLOCK_LEN], [0; KEY_BLOCK_LEN]);
    let (mut seed, mut enc) = ([3; SEED_LEN], vec![0; suite.enc_len()]);
    let sealer = RequestSealer::<_, NullAead>::with_agreement(
        &NullAgreement,
        &header,
        &[],
        &mut seed,
        &mut enc,
        &mut to_store,
    );
    let mut sealer = sealer.expect("it always agrees");
    let opener =
        RequestOpener::<_, NullAead>::with_keys(&AnyKey, &header, &enc, NOW, &mut from_store);
    let mut opener = opener.expect("it always agrees");

    let mut heads = 0;
    for seal in plan.seals.iter().take(16) {
        let content = &seal.content[..seal.content.len().min(4096)];
        let seal = &Seal { content, ..*seal };
        let mut frame = buffer(content, seal.room);
        let (size, len) = (seal.size.into(), content.len());
        let (kind, result) = match seal.kind % 2 {
            0 => (FrameType::Head, sealer.seal_head(&mut frame, len, size)),
            _ => (FrameType::Data, sealer.seal_data(&mut frame, len, size)),
        };
        let Some(needed) = check_sealed(&result, seal, &frame) else {
            continue;
        };
        heads += usize::from(kind == FrameType::Head);
        assert!(heads == 1, "a second head, or data before it");
        let opened = opener.open(&mut frame[..needed]);
        let opened = opened.expect("what was sealed opens");
        assert_eq!((opened.kind, opened.content), (kind, content));
    }
    let mut frame = buffer(&[], 64);
    let start = match sealer.seal_end(&mut frame, 22) {
        Ok(start) => start,
        Err((_, Misuse::State(_))) => {
            assert_eq!(heads, 0);
            assert!(opener.respond(&[5; 32]).is_err(), "an answer to nothing");
            return;
        }
        Err((_, other)) => panic!("{other:?}"),
    };
    assert!(opener.open(&mut frame[..22]).is_ok());
    let mut start = start;
    start.seal_cancel(&mut frame, 22).expect("it fits");
    if plan.cancels {
        assert!(opener.open(&mut frame[..22]).is_ok());
        let mut second = null_frame(FrameType::Cancel, &[], 0);
        let again = opener.open(&mut second);
        assert!(again.is_err(), "two CANCELs");
    }
    assert!(opener.respond(&[5; 32]).is_ok());

    let mut response = start.accept(&[5; 32]);
    let (mut state, mut failed) = (0, false);
    let frames = plan
        .arriving
        .iter()
        .map(|(kind, content, padding)| null_frame(kind_of(*kind), content, (*padding).into()));
    let raw = plan.raw.iter().map(|raw| raw.to_vec());
    for mut frame in frames.chain(raw) {
        match response.open(&mut frame) {
            Ok(opened) => {
                assert!(!failed, "opened after a failure");
                state = match (state, opened.kind) {
                    (0, FrameType::Head) => 1,
                    (1, FrameType::Data) => 1,
                    (1, FrameType::End) => 2,
                    (0 | 1, FrameType::Error) => 3,
                    (state, kind) => panic!("{kind:?} opened in state {state}"),
                };
            }
            Err(error) => {
                assert_eq!(failed, error == PeerError::Poisoned);
                // After the end bytes are refused, and the end stays what it was.
                failed |= state < 2;
            }
        }
    }
    assert_eq!(response.finish().is_ok(), state == 2);
});
