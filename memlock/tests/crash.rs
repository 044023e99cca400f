//! What happens when things go wrong: overruns, double frees, core dumps, forks.
#![cfg(all(target_os = "linux", feature = "std"))]

mod support;

use std::{fs, os::unix::process::ExitStatusExt, ptr};

use rustix::process::{Resource, Rlimit, setrlimit};
use sealwire_memlock::{
    Backend, Policy, Protection, SecureArray, SecureBox, SecureMemory, harden_process,
    memory_protection_info,
};
use support::{
    Paused, byte, child, count, fill, is_child, isolated, linux::fork, not_checked, outcome, pause,
};

fn memory() -> SecureMemory {
    SecureMemory::new(Policy::Required)
}

/// Runs `body` in a process of its own, which must die of exactly this signal.
fn dies_of(test: &str, signal: i32, words: &str, body: impl FnOnce()) {
    if let Some((status, said)) = outcome(test, body) {
        assert_eq!(status.signal(), Some(signal), "{status}: {said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn writing_past_a_large_buffer_hits_the_guard() {
    let name = "writing_past_a_large_buffer_hits_the_guard";
    dies_of(name, libc::SIGSEGV, "", || {
        let mut bytes = memory().alloc(8192).expect("there is room");
        let end = bytes.expose_mut().as_mut_ptr_range().end;
        // SAFETY: not sound, and the point of the test: a page that must not be writable.
        unsafe { end.write_volatile(1) };
    });
}

#[test]
fn writing_before_a_large_buffer_hits_the_guard() {
    let name = "writing_before_a_large_buffer_hits_the_guard";
    dies_of(name, libc::SIGSEGV, "", || {
        let mut bytes = memory().alloc(8192).expect("there is room");
        let start = bytes.expose_mut().as_mut_ptr();
        // SAFETY: as above.
        unsafe { start.wrapping_sub(1).write_volatile(1) };
    });
}

#[test]
fn writing_behind_the_pool_hits_the_guard() {
    let name = "writing_behind_the_pool_hits_the_guard";
    dies_of(name, libc::SIGSEGV, "", || {
        let mut bytes = memory().alloc(32).expect("there is room");
        let start = bytes.expose_mut().as_mut_ptr();
        // The first page of the pool is open; what follows it is not.
        // SAFETY: as above.
        unsafe { start.wrapping_add(4096).write_volatile(1) };
    });
}

#[test]
fn writing_past_a_small_buffer_breaks_the_canary() {
    let name = "writing_past_a_small_buffer_breaks_the_canary";
    dies_of(name, libc::SIGABRT, "a buffer was overrun", || {
        let mut bytes = memory().alloc(32).expect("there is room");
        let end = bytes.expose_mut().as_mut_ptr_range().end;
        // SAFETY: not sound, and the point of the test: the canary's first byte.
        unsafe { end.write_volatile(end.read_volatile() ^ 1) };
    });
}

#[test]
fn freeing_twice_aborts() {
    dies_of("freeing_twice_aborts", libc::SIGABRT, "freed twice", || {
        let key = memory().array::<32>().expect("there is room");
        // SAFETY: not sound, and the point of the test: two owners of one buffer.
        let twin = unsafe { ptr::read(&key) };
        drop(key);
        drop(twin);
    });
}

#[test]
fn freeing_twice_aborts_even_with_a_forged_canary() {
    let name = "freeing_twice_aborts_even_with_a_forged_canary";
    dies_of(name, libc::SIGABRT, "freed twice", || {
        let keep = memory().array::<32>().expect("there is room");
        let mut key = memory().array::<32>().expect("there is room");
        let canary = key
            .expose_mut()
            .as_mut_ptr()
            .wrapping_add(32)
            .cast::<[u8; 16]>();
        // SAFETY: not sound: the pool's own bytes, and two owners of one buffer.
        unsafe {
            let forged = canary.read();
            let twin = ptr::read(&key);
            drop(key);
            canary.write(forged);
            drop(twin);
        }
        drop(keep);
    });
}

#[test]
fn writing_to_a_freed_buffer_is_found_when_it_is_used_again() {
    let name = "writing_to_a_freed_buffer_is_found_when_it_is_used_again";
    dies_of(name, libc::SIGABRT, "written to", || {
        let mut key = memory().array::<32>().expect("there is room");
        let stale = key.expose_mut().as_mut_ptr();
        drop(key);
        // SAFETY: not sound, and the point of the test; the page is still open.
        unsafe { stale.add(7).write_volatile(1) };
        let _ = memory().array::<32>();
    });
}

#[test]
fn a_forked_child_reads_zeros_and_harms_nobody() {
    isolated("a_forked_child_reads_zeros_and_harms_nobody", || {
        let secret = |len| memory().init_with(len, |bytes| fill(bytes, 1));
        let small = secret(32).expect("there is room");
        let large = secret(16_000).expect("there is room");
        let to_drop = secret(32).expect("there is room");
        let large_to_drop = secret(16_000).expect("there is room");
        let status = fork(|| {
            let zero = [&small, &large]
                .iter()
                .all(|b| b.expose().iter().all(|x| *x == 0));
            let unlocked = !small.is_locked() && !large.is_locked();
            // Dropping the parent's buffers and making our own must not touch the parent's pool.
            drop((to_drop, large_to_drop));
            let mine = secret(32).expect("a child has a pool of its own");
            let full = memory_protection_info();
            zero && unlocked
                && mine.is_locked()
                && mine.expose()[31] == byte(1, 31)
                && full.locked_bytes == support::linux::locked_bytes()
                && full.unlocked_allocations == 0
        });
        assert_eq!(status, 0, "the child failed");
        for bytes in [&small, &large] {
            assert!(bytes.is_locked());
            assert!(
                bytes
                    .expose()
                    .iter()
                    .enumerate()
                    .all(|(i, b)| *b == byte(1, i))
            );
        }
        // The child's drops were the child's: these slots are still taken here.
        let more: Vec<_> = (0..200).map(|_| secret(32)).collect();
        assert!(
            more.iter()
                .flatten()
                .all(|b| b.expose().as_ptr() != small.expose().as_ptr())
        );
    });
}

#[test]
fn a_child_forked_while_others_allocate_does_not_hang() {
    isolated("a_child_forked_while_others_allocate_does_not_hang", || {
        use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Relaxed) {
                        drop(memory().alloc(32));
                    }
                });
            }
            // A child that hangs is ended by its own alarm, and seen by its status.
            let child = || {
                // SAFETY: sets a timer.
                unsafe { libc::alarm(300) };
                memory().alloc(32).is_ok_and(|bytes| bytes.is_locked())
            };
            let all_well = (0..200).all(|_| fork(child) == 0);
            stop.store(true, Relaxed);
            assert!(all_well, "a child hung or failed");
        });
    });
}

#[test]
fn memfd_secret_cannot_be_read_from_outside() {
    let name = "memfd_secret_cannot_be_read_from_outside";
    let memory = memory().with_backend(Backend::MemfdSecret);
    if is_child() {
        let key = SecureArray::<32>::init_with(&memory, |key| fill(key, 2)).expect("there is room");
        let large = memory
            .init_with(20_000, |b| fill(b, 2))
            .expect("there is room");
        let info = memory_protection_info();
        println!("{}", info.to_json());
        if key.protection() == Protection::Secret {
            assert_eq!(large.protection(), Protection::Secret);
            assert_eq!(info.secret_bytes, 4096 + large.capacity());
            for secret in [key.expose().as_slice(), large.expose()] {
                let mapping = support::linux::mapping_of(secret.as_ptr());
                assert!(
                    mapping.has("dc"),
                    "a child would share it: {}",
                    mapping.flags
                );
            }
        } else {
            not_checked(name, &format!("{:?}", info.last_error));
            assert_eq!(key.protection(), Protection::Locked);
            assert!(info.last_error.is_some());
        }
        pause("secret");
        assert_eq!(key.expose()[5], byte(2, 5));
    } else {
        let mut child = Paused::start(name);
        child.wait_for("secret");
        let (locked, elsewhere) = support::linux::scan(child.id(), 2);
        let has_secret = support::linux::smaps(child.id())
            .iter()
            .any(|m| m.name.contains("secretmem"));
        assert_eq!(elsewhere, 0);
        if has_secret {
            assert_eq!(locked, 0, "secret pages are readable");
        }
        child.finish();
    }
}

#[test]
fn a_forked_child_that_uses_secret_pages_aborts() {
    let name = "a_forked_child_that_uses_secret_pages_aborts";
    isolated(name, || {
        let memory = memory().with_backend(Backend::MemfdSecret);
        let key = SecureArray::<32>::init_with(&memory, |key| fill(key, 2)).expect("there is room");
        if key.protection() != Protection::Secret {
            not_checked(name, "this kernel has no memfd_secret");
            return;
        }
        let status = fork(|| key.expose()[0] == 0);
        assert_eq!(status & 0x7f, libc::SIGABRT);
        // Dropping it is allowed.
        let twin = key;
        assert_eq!(
            fork(move || {
                drop(twin);
                true
            }),
            0
        );
    });
}

#[test]
fn a_forked_child_that_uses_a_boxed_value_aborts() {
    isolated("a_forked_child_that_uses_a_boxed_value_aborts", || {
        let value = SecureBox::new(&memory(), || Box::new(7)).expect("there is room");
        assert_eq!(fork(|| **value.expose() == 0) & 0x7f, libc::SIGABRT);
        assert_eq!(**value.expose(), 7);
        assert_eq!(
            fork(move || {
                drop(value);
                true
            }),
            0
        );
    });
}

#[test]
fn a_core_dump_holds_no_secret() {
    let name = "a_core_dump_holds_no_secret";
    if is_child() {
        let limit = Rlimit {
            current: None,
            maximum: None,
        };
        setrlimit(Resource::Core, limit).expect("core dumps can be allowed");
        let secret = |len| memory().init_with(len, |bytes| fill(bytes, 3));
        let small = secret(64).expect("there is room");
        let large = secret(50_000).expect("there is room");
        let mut ordinary = vec![0; 1000];
        fill(&mut ordinary, 4);
        std::hint::black_box((&small, &large, &ordinary));
        std::process::abort();
    }
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.starts_with(['|', '/']) {
        not_checked(name, &format!("core dumps go to {}", pattern.trim()));
        return;
    }
    let place = std::env::temp_dir().join(format!("memlock-core-{}", std::process::id()));
    fs::create_dir_all(&place).expect("a directory can be made");
    let status = child(name)
        .current_dir(&place)
        .status()
        .expect("the child starts");
    assert_eq!(status.signal(), Some(libc::SIGABRT));
    let core = fs::read_dir(&place)
        .expect("the directory is there")
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("core"))
        .map(|entry| fs::read(entry.path()).expect("the core can be read"));
    fs::remove_dir_all(&place).expect("the directory can be removed");
    let Some(core) = core else {
        not_checked(name, "no core dump was written");
        return;
    };
    let (secret, ordinary) = (count(&core, 3), count(&core, 4));
    println!(
        "core dump of {} bytes: {secret} secrets, {ordinary} ordinary markers",
        core.len()
    );
    assert!(ordinary > 0, "the dump does not even hold what it should");
    assert_eq!(secret, 0);
}

#[test]
fn a_hardened_process_leaves_no_core_dump() {
    let name = "a_hardened_process_leaves_no_core_dump";
    if let Some((status, said)) = outcome(name, || {
        let limit = Rlimit {
            current: None,
            maximum: None,
        };
        setrlimit(Resource::Core, limit).expect("core dumps can be allowed");
        harden_process().expect("a process can be hardened");
        let dumpable = rustix::process::dumpable_behavior().expect("the kernel tells");
        assert_eq!(dumpable, rustix::process::DumpableBehavior::NotDumpable);
        std::process::abort();
    }) {
        assert_eq!(status.signal(), Some(libc::SIGABRT), "{said}");
        assert!(!status.core_dumped());
    }
}
