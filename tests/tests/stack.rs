//! The stack is wiped as deep as the cryptography goes, in this build: what is left there is the frames of the wiping itself.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::thread;

use sealwire_core::frame::{CONTENT_OFFSET, SEALED_OVERHEAD};
use sealwire_core::keys::{Identity, KeyRecord, KeyRing, RecordLimits, key_id};
use sealwire_core::record::{OpenHeader, RequestOpener, RequestSealer};
use sealwire_core::{KEY_BLOCK_LEN, Suite};
use sealwire_memlock::{Policy, SecureMemory, scrub_stack_deep};
use sealwire_tests::pair::NOW;
use sealwire_tests::random::SeededRng;

const MEMORY: SecureMemory = SecureMemory::new(Policy::BestEffort);
/// Stack that is looked at.
const DEPTH: usize = 512 * 1024;
/// The frames of the functions around the wiping, with public keys and records in them.
const OWN: usize = 12 * 1024;
/// Bytes of addresses that the wiping of one call leaves at its deepest point.
const ADDRESSES: usize = 128;

/// How many bytes of the stack `f` leaves other than zero.
#[inline(never)]
fn left_by(f: impl FnOnce()) -> usize {
    let mut left = vec![0; DEPTH - OWN];
    let memory = File::open("/proc/self/mem").expect("a process may read itself");
    let here = [0_u8; 16];
    let bottom = black_box(&here).as_ptr().addr() - DEPTH;
    scrub_stack_deep::<{ DEPTH + 64 * 1024 }, _>(|| ());
    f();
    memory
        .read_exact_at(&mut left, bottom as u64)
        .expect("the thread's stack is larger");
    left.iter().filter(|byte| **byte != 0).count()
}

fn check(what: &str, suite: Suite, left: usize) {
    println!("{what}, {}: {left} bytes", suite.name());
    assert!(left <= ADDRESSES, "{what} left {left} bytes on the stack");
}

fn on_a_large_stack(f: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(8 << 20).spawn(f);
    thread.expect("a thread").join().expect("it ends well");
}

#[test]
fn nothing_is_left_on_the_stack() {
    on_a_large_stack(|| Suite::ALL.iter().for_each(|suite| exchange(*suite)));
}

fn exchange(suite: Suite) {
    let mut rng = SeededRng::new(1);
    let identity = Identity::generate(&MEMORY, &mut rng).expect("seeded");
    let mut ring = KeyRing::new(identity, &[suite], RecordLimits::default(), MEMORY);
    check(
        "making keys",
        suite,
        left_by(|| drop(ring.rotate(NOW, &mut rng))),
    );
    let set = ring.key_set();
    let record = &set.records()[0].record;
    let header = OpenHeader::new(suite, key_id(record));
    let public_key = KeyRecord::parse(record).expect("made above").public_key;

    let mut enc = vec![0; suite.enc_len()];
    let mut seed = [7; RequestSealer::<&mut [u8; KEY_BLOCK_LEN]>::SEED_LEN];
    let mut block = [0; KEY_BLOCK_LEN];
    let mut sealer = None;
    let left = left_by(|| {
        let made = RequestSealer::new(&header, public_key, &mut seed, &mut enc, &mut block);
        sealer = made.ok();
    });
    check("encapsulation", suite, left);
    let mut sealer = sealer.expect("a valid key");
    let mut frame = vec![0xaa; 16 * 1024];
    let len = frame.len() - SEALED_OVERHEAD;
    assert!(CONTENT_OFFSET + len < frame.len());
    let left = left_by(|| sealer.seal_head(&mut frame, len, 0).expect("room"));
    check("sealing", suite, left);

    let mut block = [0; KEY_BLOCK_LEN];
    let mut opener = None;
    let left = left_by(|| {
        opener = RequestOpener::with_keys(&ring, &header, &enc, NOW, &mut block).ok();
    });
    check("decapsulation", suite, left);
    let mut opener: RequestOpener<_> = opener.expect("sealed above");
    let left = left_by(|| {
        black_box(opener.open(&mut frame).expect("sealed above").kind);
    });
    check("opening", suite, left);
}
