//! How deep the stack is wiped: what the product leaves there must end where its own frames do, however much its libraries use.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::thread;

use sealwire_core::keys::{Identity, KeyRing, Keys, RecordLimits, key_id};
use sealwire_core::record::{OpenHeader, RequestOpener, RequestSealer};
use sealwire_core::{KEY_BLOCK_LEN, Suite};
use sealwire_memlock::{Policy, SecureMemory, scrub_stack_deep};
use sealwire_tests::pair::NOW;
use sealwire_tests::random::SeededRng;

const MEMORY: SecureMemory = SecureMemory::new(Policy::BestEffort);
/// Stack that is looked at.
const DEPTH: usize = 512 * 1024;

/// The lowest byte of the stack that `f` leaves other than zero, as a distance from the caller's frame.
#[inline(never)]
fn depth_left_by(f: impl FnOnce()) -> usize {
    let mut left = vec![0; DEPTH];
    let memory = File::open("/proc/self/mem").expect("a process may read itself");
    let here = [0u8; 16];
    let bottom = black_box(&here).as_ptr().addr() - DEPTH;
    scrub_stack_deep::<{ DEPTH + 64 * 1024 }, _>(|| ());
    f();
    memory
        .read_exact_at(&mut left, bottom as u64)
        .expect("the thread's stack is larger");
    DEPTH - left.iter().position(|byte| *byte != 0).unwrap_or(DEPTH)
}

fn on_a_large_stack(f: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(8 << 20).spawn(f);
    thread.expect("a thread").join().expect("it ends well");
}

#[test]
fn depths() {
    on_a_large_stack(|| {
        for &suite in Suite::ALL {
            let mut rng = SeededRng::new(1);
            let identity = Identity::generate(&MEMORY, &mut rng).expect("seeded");
            let mut ring = KeyRing::new(identity, &[suite], RecordLimits::default(), MEMORY);
            let rotate = depth_left_by(|| drop(ring.rotate(NOW, &mut rng)));
            let set = ring.key_set();
            let record = &set.records()[0].record;
            let header = OpenHeader::new(suite, key_id(record));
            let public = &record[record.len() - suite.public_key_len()..];
            let _ = public;
            let fields = sealwire_core::keys::KeyRecord::parse(record).expect("made above");
            let mut enc = vec![0; suite.enc_len()];
            let mut seed = [7; RequestSealer::<&mut [u8; KEY_BLOCK_LEN]>::SEED_LEN];
            let mut block = [0; KEY_BLOCK_LEN];
            let seal = depth_left_by(|| {
                let sealer =
                    RequestSealer::new(&header, fields.public_key, &mut seed, &mut enc, &mut block);
                drop(black_box(sealer));
            });
            let mut open = 0;
            ring.with_private_key(&header, NOW, &mut |private| {
                let mut block = [0; KEY_BLOCK_LEN];
                open = depth_left_by(|| {
                    drop(black_box(RequestOpener::new(
                        &header, &enc, private, &mut block,
                    )));
                });
            })
            .expect("made above");
            println!(
                "{}: rotate {rotate}, encapsulate {seal}, decapsulate {open}",
                suite.name()
            );
        }
        let noise = depth_left_by(|| ());
        println!("nothing: {noise}");
    });
}
