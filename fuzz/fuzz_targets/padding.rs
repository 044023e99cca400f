//! Lengths (spec section 9): every size that either end sends follows from the totals alone, by the formulas of the page worked out here
//! again, and what is padded opens to what was sent (PAD-1, PAD-2).
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sealwire_core::exchange::{
    ClientEvent, ClientOptions, Limits, ServerContext, ServerEvent, ServerExchange, ServerOptions,
};
use sealwire_core::frame::FrameType;
use sealwire_core::head::ResponseHead;
use sealwire_core::padding::{Padding, padme};
use sealwire_core::replay::MemoryReplayStore;
use sealwire_core::{ErrorCode, Suite, UnixTime};
use sealwire_fuzz::{AnyKey, CountingRng, NOW, NullAead, World, sizes};

#[derive(Arbitrary, Debug)]
struct Plan {
    numbers: (u64, u64),
    body: u16,
    client_frame: u16,
    answer: Option<u16>,
    pieces: Vec<u16>,
    fails: bool,
}

/// Section 9.1, with the floating-point logarithm of nobody.
fn padme_again(len: u64) -> u128 {
    let Some(e) = len.checked_ilog2().filter(|e| *e > 0) else {
        return len.into();
    };
    let s = (0..).find(|s| 1u32 << s > e).expect("e is below 64");
    let unit = 1u128 << e.saturating_sub(s);
    u128::from(len).div_ceil(unit) * unit
}

/// The sizes of DATA for a whole body of `total` bytes, in frames of at most `max`.
fn whole(total: usize, max: usize) -> Vec<usize> {
    if total == 0 {
        return Vec::new();
    }
    let room = max - 22;
    let frames = total.div_ceil(room);
    let unpadded = (frames - 1) * max + 22 + (total - (frames - 1) * room);
    let mut padded = padme_again(unpadded as u64) as usize;
    if !padded.is_multiple_of(max) && padded % max < 22 {
        padded += 22 - padded % max;
    }
    let mut sizes = vec![max; padded / max];
    if !padded.is_multiple_of(max) {
        sizes.push(padded % max);
    }
    sizes
}

/// HEAD, DATA and the last frame of a whole body. HEAD's own size follows from what stands in it.
fn check_whole(sent: &[(FrameType, usize)], total: usize, max: usize, last: (FrameType, usize)) {
    let (head, rest) = sent.split_first().expect("a head");
    assert_eq!(head.0, FrameType::Head);
    assert!(head.1.is_multiple_of(256) || head.1 == max, "{}", head.1);
    let mut expected: Vec<_> = whole(total, max)
        .into_iter()
        .map(|size| (FrameType::Data, size))
        .collect();
    expected.push(last);
    assert_eq!(rest, expected);
}

fn check_uniform(sent: &[(FrameType, usize)], pieces: &[usize], frame: usize, last: FrameType) {
    let room = frame - 22;
    let needed = 2 + pieces.iter().map(|len| len.div_ceil(room)).sum::<usize>();
    assert_eq!(sent.len() as u128, padme_again(needed as u64));
    assert!(sent.iter().all(|(_, size)| *size == frame));
    assert_eq!(sent.first().map(|first| first.0), Some(FrameType::Head));
    assert_eq!(sent.last().map(|end| end.0), Some(last));
}

fn check_numbers((a, b): (u64, u64)) {
    for len in [a, b] {
        let again = padme_again(len);
        if again <= u64::MAX.into() {
            assert_eq!(u128::from(padme(len)), again);
            assert_eq!(padme(padme(len)), padme(len), "not a fixed point");
            assert!(u128::from(padme(len) - len) * 100 <= u128::from(len) * 12);
        }
        assert!(padme(len) >= len);
    }
    if padme_again(a.max(b)) <= u64::MAX.into() {
        assert_eq!(padme(a) <= padme(b), a <= b || padme(a) == padme(b));
    }
}

fuzz_target!(|plan: Plan| {
    check_numbers(plan.numbers);
    World::with(|world| {
        let mut rng = CountingRng::default();
        let frame = usize::from(plan.client_frame).max(1024);
        let options = ClientOptions {
            response: Limits {
                frame,
                ..Limits::RESPONSE
            },
            ..ClientOptions::default()
        };
        let body = vec![7; plan.body.into()];
        let made = world.client::<NullAead>(Suite::P256, &body, options, &mut rng);
        let mut client = made.expect("a request that can be sent");
        let mut wire = vec![0; 1 << 18];
        let count = client.poll_transmit(&mut wire).expect("ordinary memory");
        let sent = sizes(&wire[..count]);
        check_whole(&sent, body.len(), 16_404, (FrameType::End, 22));

        let made = ServerExchange::<NullAead>::with_aead(
            &world.memory,
            ServerOptions::default(),
            &mut rng,
        );
        let mut server = made.expect("ordinary memory");
        let mut replay = MemoryReplayStore::new(1);
        let mut context = ServerContext {
            now: NOW,
            keys: &AnyKey,
            replay: &mut replay,
        };
        assert_eq!(server.handle_input(&wire[..count], &mut context), count);
        server.handle_eof(NOW);
        assert_eq!(server.poll_event(), Some(ServerEvent::Request));
        let received = server.take_request().expect("announced");
        assert_eq!(received.body().expose(), body);

        let padding = match plan.answer {
            None => Padding::Padme,
            Some(frame) => Padding::Uniform {
                frame: frame.into(),
            },
        };
        let head = ResponseHead::new(200, received.head().exchange_id);
        server.respond(&head, padding).expect("a request waits");
        let count = server.poll_transmit(&mut wire);
        let (mut out, mut pieces, mut total) = (wire[..count].to_vec(), Vec::new(), 0);
        for len in plan.pieces.iter().take(16) {
            let piece = vec![9; usize::from(*len) % 8192];
            let taken = server.send_data(&piece).expect("under way");
            assert_eq!(taken, piece.len(), "the queue was emptied before");
            let count = server.poll_transmit(&mut wire);
            out.extend_from_slice(&wire[..count]);
            pieces.push(taken);
            total += taken;
        }
        let last = match plan.fails {
            true => {
                let failed = server.fail(ErrorCode::Upstream, UnixTime::UNKNOWN);
                failed.expect("under way");
                FrameType::Error
            }
            false => {
                server.finish().expect("under way");
                FrameType::End
            }
        };
        let count = server.poll_transmit(&mut wire);
        out.extend_from_slice(&wire[..count]);
        assert!(server.is_finished());
        let sent = sizes(&out);
        match padding {
            Padding::Uniform { frame: size } => {
                check_uniform(&sent, &pieces, size.clamp(64, frame), last);
            }
            _ => {
                let size = if plan.fails { 1024 } else { 22 };
                check_whole(&sent, total, frame, (last, size));
            }
        }

        let (mut rest, mut shown, mut complete) = (&out[..], 0, false);
        while !rest.is_empty() {
            let consumed = client.handle_input(rest).expect("a true answer");
            rest = &rest[consumed..];
            match client.poll_event() {
                Some(ClientEvent::Data(data)) => {
                    assert!(data.iter().all(|byte| *byte == 9));
                    shown += data.len();
                }
                Some(ClientEvent::Complete(_)) => complete = true,
                _ => {}
            }
        }
        assert_eq!(shown, total);
        assert_eq!(complete, !plan.fails);
    });
});
