//! What a buffer costs. A plain program: `cargo bench -p sealwire-memlock`.
//!
//! Each figure is the median of 31 runs, so that a busy machine does not blur it.

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use sealwire_memlock::{Backend, Policy, SecureMemory};

fn main() {
    let memory = SecureMemory::new(Policy::BestEffort);
    println!("{}", memory.protection_info().to_json());

    for len in [32, 256, 4064] {
        report(&format!("{len} bytes, alloc + free"), 10_000, || {
            drop(black_box(memory.alloc(len)));
        });
    }
    for len in [4096, 64 * 1024, 1024 * 1024] {
        report(&format!("{len} bytes, alloc + free"), 200, || {
            drop(black_box(memory.alloc(len)));
        });
    }

    let neighbours: Vec<_> = (0..900).map(|_| memory.alloc(32)).collect();
    report("32 bytes beside 900 others", 10_000, || {
        drop(black_box(memory.alloc(32)));
    });
    drop(neighbours);

    let secret = memory.clone().with_backend(Backend::MemfdSecret);
    let keep = secret.alloc(32);
    report("32 bytes, memfd_secret", 10_000, || {
        drop(black_box(secret.alloc(32)));
    });
    drop(keep);

    report("65536 bytes, pushed 100 at a time", 20, || {
        let mut text = memory.string();
        for _ in 0..655 {
            let _ = text.try_push_str(black_box(
                "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
            ));
        }
        drop(black_box(text));
    });
    for threads in [2, 4] {
        contended(&memory, threads);
    }
}

/// Prints the median time of one call of `f`.
fn report(name: &str, calls: u32, mut f: impl FnMut()) {
    let mut runs: Vec<Duration> = (0..31)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..calls {
                f();
            }
            start.elapsed() / calls
        })
        .collect();
    runs.sort_unstable();
    println!("{name:40} {:>10.1?}", runs[runs.len() / 2]);
}

/// All threads at the one mutex at once.
fn contended(memory: &SecureMemory, threads: usize) {
    const CALLS: u32 = 200_000;
    let gate = Barrier::new(threads);
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let run = || {
            gate.wait();
            let start = Instant::now();
            for _ in 0..CALLS {
                drop(black_box(memory.alloc(32)));
            }
            start.elapsed() / CALLS
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        handles
            .into_iter()
            .filter_map(|handle| handle.join().ok())
            .collect()
    });
    times.sort_unstable();
    println!(
        "{:40} {:>10.1?}",
        format!("32 bytes, {threads} threads at once"),
        times[times.len() / 2]
    );
}
