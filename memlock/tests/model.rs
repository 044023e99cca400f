//! The pool against a model: random operations, from several threads, checked against plain
//! vectors. No two buffers overlap, no byte is lost, new bytes are zero, and a slot that comes back
//! comes back as zeros (the pool aborts if not).
//!
//! `run` takes its choices from a byte slice, so a fuzzer can drive it as well as a generator.
#![cfg(feature = "std")]

use sealwire_memlock::{Policy, SecureBytes, SecureMemory};
use std::iter;

/// A buffer and what should be in it.
type Pair = (SecureBytes, Vec<u8>);

/// Runs the operations that `choices` spell, until they run out.
fn run(choices: &mut impl Iterator<Item = u8>, memory: &SecureMemory) -> Option<()> {
    let mut live: Vec<Pair> = Vec::new();
    loop {
        let operation = choices.next()? % 12;
        let stamp = choices.next()?;
        let size = size(choices.next()?, choices.next()?);
        let index = match live.len() {
            0 => 0,
            len => usize::from(choices.next()?) % len,
        };
        match operation {
            0..=3 => {
                let mut buffer = memory.alloc(size).expect("there is memory");
                assert!(buffer.expose().iter().all(|b| *b == 0), "not zero");
                buffer.expose_mut().fill(stamp);
                live.push((buffer, vec![stamp; size]));
            }
            4..=5 if !live.is_empty() => drop(live.swap_remove(index)),
            6 if live.len() > 100 => live.clear(),
            _ => {
                let Some(pair) = live.get_mut(index) else {
                    continue;
                };
                change(operation, stamp, size, pair, memory);
                check(pair);
            }
        }
        if stamp == 0 {
            live.iter().for_each(check);
            apart(&live);
        }
    }
}

fn change(operation: u8, stamp: u8, size: usize, pair: &mut Pair, memory: &SecureMemory) {
    let (buffer, model) = pair;
    match operation {
        6 => {
            let more = vec![stamp; size / 4];
            buffer
                .try_extend_from_slice(&more)
                .expect("there is memory");
            model.extend_from_slice(&more);
        }
        7 => {
            buffer.try_resize(size).expect("there is memory");
            model.resize(size, 0);
        }
        8 => {
            buffer.truncate(size);
            model.truncate(size);
        }
        9 => {
            let n = size.min(model.len());
            buffer.drain_front(n);
            model.drain(..n);
        }
        10 => memory.unlock_memory(buffer).expect("there is memory"),
        // May be refused, which changes nothing.
        _ => drop(memory.lock_memory(buffer)),
    }
}

fn check((buffer, model): &Pair) {
    assert!(buffer.expose() == model, "{} bytes differ", model.len());
    assert!(buffer.capacity() >= buffer.len());
}

/// No two buffers share a byte of their capacity.
fn apart(live: &[Pair]) {
    let range = |(buffer, _): &Pair| {
        let start = buffer.expose().as_ptr().addr();
        (start, start + buffer.capacity())
    };
    let mut ranges: Vec<_> = live
        .iter()
        .filter(|(b, _)| b.capacity() > 0)
        .map(range)
        .collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "buffers overlap");
    }
}

/// Mostly small, at times a mapping of its own.
fn size(a: u8, b: u8) -> usize {
    match a % 8 {
        0..=3 => usize::from(b) % 65,
        4..=5 => usize::from(b) * 4,
        6 => usize::from(b) * 17,
        _ => usize::from(a) * usize::from(b) / 2,
    }
}

/// A generator that needs no dependency and repeats itself with its seed.
fn random(seed: u64) -> impl Iterator<Item = u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    iter::repeat_with(move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 32) as u8
    })
}

#[test]
fn random_operations_agree_with_the_model() {
    for seed in 0..20 {
        let memory = SecureMemory::new(Policy::BestEffort);
        run(&mut random(seed).take(20_000), &memory);
    }
}

#[test]
#[cfg(not(target_family = "wasm"))]
fn random_operations_from_several_threads_agree_with_the_model() {
    use sealwire_memlock::Backend;
    std::thread::scope(|scope| {
        for seed in 0..4 {
            scope.spawn(move || {
                let backend = if seed == 0 {
                    Backend::MemfdSecret
                } else {
                    Backend::Pages
                };
                let memory = SecureMemory::new(Policy::BestEffort).with_backend(backend);
                run(&mut random(100 + seed).take(50_000), &memory);
            });
        }
    });
}

/// Under a tight limit every path is taken: refused locks, fallback, trimming, patience.
#[test]
#[cfg(target_os = "linux")]
fn random_operations_under_a_tight_limit_agree_with_the_model() {
    support::isolated(
        "random_operations_under_a_tight_limit_agree_with_the_model",
        || {
            support::linux::limit_locks(48 * 1024);
            std::thread::scope(|scope| {
                for seed in 0..3 {
                    scope.spawn(move || {
                        let memory = SecureMemory::new(Policy::BestEffort);
                        run(&mut random(200 + seed).take(50_000), &memory);
                    });
                }
            });
            let info = sealwire_memlock::memory_protection_info();
            assert_eq!((info.unlocked_allocations, info.unlocked_bytes), (0, 0));
            assert!(info.lock_failures > 0 && info.locked_bytes <= 48 * 1024);
            assert_eq!(info.locked_bytes, support::linux::locked_bytes());
        },
    );
}

#[cfg(target_os = "linux")]
mod support;
