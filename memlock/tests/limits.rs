//! Locks under every limit: what is locked stays locked, and the report says what is true.
//! Each test is a process of its own.
#![cfg(all(target_os = "linux", feature = "std"))]

mod support;

use sealwire_memlock::{
    MemoryError, Policy, Protection, ProtectionLevel, SecureArray, SecureBytes, SecureMemory,
    memory_protection_info,
};
use support::{
    isolated,
    linux::{limit_locks, locked_bytes, mapping_of, mappings},
    not_checked,
};

const KIB: usize = 1024;

fn required() -> SecureMemory {
    SecureMemory::new(Policy::Required)
}

fn best_effort() -> SecureMemory {
    SecureMemory::new(Policy::BestEffort)
}

fn keys(memory: &SecureMemory, count: usize) -> Vec<SecureArray<32>> {
    (0..count)
        .map(|i| SecureArray::init_with(memory, |key| key.fill(i as u8)).expect("there is room"))
        .collect()
}

#[test]
fn freeing_any_of_64_secrets_leaves_its_neighbours_locked() {
    isolated(
        "freeing_any_of_64_secrets_leaves_its_neighbours_locked",
        || {
            let mut live = keys(&required(), 64);
            let before = locked_bytes();
            assert!(before > 0);
            // From the middle outwards, so that every slot has had live neighbours.
            while !live.is_empty() {
                drop(live.remove(live.len() / 2));
                for key in &live {
                    assert!(mapping_of(key.expose().as_ptr()).has("lo"));
                }
                assert_eq!(locked_bytes(), before, "{} left", live.len());
            }
        },
    );
}

#[test]
fn nine_hundred_secrets_fit_a_limit_of_64_kib() {
    isolated("nine_hundred_secrets_fit_a_limit_of_64_kib", || {
        limit_locks(64 * 1024);
        let room = Vec::<SecureArray<32>>::with_capacity(900);
        let before = mappings();
        let mut live = room;
        live.extend(keys(&required(), 900));
        let added = mappings() - before;
        println!(
            "900 secrets: {added} mappings added, {} bytes locked",
            locked_bytes()
        );
        assert!(added <= 10, "{added} mappings");
        assert!(locked_bytes() <= 64 * KIB);
        for (i, key) in live.iter().enumerate() {
            assert!(key.is_locked());
            assert_eq!(key.expose(), &[i as u8; 32]);
        }
        let first = mapping_of(live[0].expose().as_ptr());
        for flag in ["lo", "dd", "wf", "nh"] {
            assert!(first.has(flag), "{flag} is not among {}", first.flags);
        }
        let info = memory_protection_info();
        assert_eq!(info.protection_level, ProtectionLevel::Full);
        assert_eq!(info.lock_limit, Some(64 * 1024));
        assert_eq!(info.locked_bytes, locked_bytes());
        assert_eq!(info.unlocked_allocations, 0);
    });
}

#[test]
fn without_locks_best_effort_works_and_says_so() {
    isolated("without_locks_best_effort_works_and_says_so", || {
        limit_locks(0);
        let info = memory_protection_info();
        assert_eq!(info.protection_level, ProtectionLevel::ZeroingOnly);
        assert!(info.enabled && !info.has_memory_locking && !info.supports_full_protection);
        assert_eq!(
            (info.lock_limit, info.may_exceed_lock_limit),
            (Some(0), false)
        );
        assert!(info.last_error.is_some());

        let live = keys(&best_effort(), 100);
        let large = best_effort().alloc(100_000).expect("there is memory");
        for pointer in [live[0].expose().as_ptr(), large.expose().as_ptr()] {
            let mapping = mapping_of(pointer);
            for flag in ["dd", "wf"] {
                assert!(mapping.has(flag), "{flag} is not among {}", mapping.flags);
            }
            assert!(!mapping.has("lo"));
        }
        assert_eq!(large.protection(), Protection::Guarded);
        let info = memory_protection_info();
        assert_eq!(info.unlocked_allocations, 101);
        assert_eq!(info.unlocked_bytes, 100 * 32 + large.capacity());
        assert_eq!(info.locked_bytes, 0);

        let error = required().alloc(32).expect_err("nothing can be locked");
        assert!(
            matches!(
                error,
                MemoryError::LockRefused {
                    code: libc::EPERM,
                    limit: Some(0),
                    ..
                }
            ),
            "{error:?}"
        );
        for word in [
            "ulimit -l",
            "LimitMEMLOCK=",
            "--ulimit memlock=",
            "CAP_IPC_LOCK",
        ] {
            assert!(error.remedy().contains(word));
        }
        assert!(required().string().try_push_str("x").is_err());

        drop((live, large));
        let info = memory_protection_info();
        assert_eq!((info.unlocked_allocations, info.unlocked_bytes), (0, 0));
        assert_eq!(info.protection_level, ProtectionLevel::ZeroingOnly);
    });
}

#[test]
fn beyond_the_limit_the_report_is_no_longer_full() {
    isolated("beyond_the_limit_the_report_is_no_longer_full", || {
        limit_locks(64 * 1024);
        assert_eq!(
            memory_protection_info().protection_level,
            ProtectionLevel::Full
        );
        let mut live = keys(&best_effort(), 3000);
        let locked = live.iter().filter(|key| key.is_locked()).count();
        // 16 pages of 85 slots: every page that the limit allows is used.
        assert_eq!(locked, 16 * 85);
        let info = memory_protection_info();
        assert_eq!(info.protection_level, ProtectionLevel::ZeroingOnly);
        assert_eq!(info.unlocked_allocations, 3000 - locked);
        assert_eq!(info.locked_bytes, 64 * KIB);
        assert!(info.has_memory_locking && info.lock_failures > 0);
        let refused = required().alloc(100).expect_err("the limit is used up");
        assert!(
            matches!(
                refused,
                MemoryError::LockRefused {
                    code: libc::ENOMEM,
                    limit: Some(65536),
                    ..
                }
            ),
            "{refused:?}"
        );
        // Locked slots come free again, and pages with them for another class.
        live.truncate(locked / 2);
        assert_eq!(
            memory_protection_info().protection_level,
            ProtectionLevel::Full
        );
        assert!(required().alloc(100).is_ok_and(|bytes| bytes.is_locked()));
        // Idle pages make room for a large buffer: 8 were in use.
        live.clear();
        assert!(
            required()
                .alloc(60 * KIB)
                .is_ok_and(|bytes| bytes.is_locked())
        );
        assert!(required().alloc(65 * KIB).is_err());
        assert!(keys(&required(), 10).iter().all(SecureArray::is_locked));
    });
}

#[test]
fn with_the_privilege_there_is_no_limit() {
    let name = "with_the_privilege_there_is_no_limit";
    isolated(name, || {
        let info = memory_protection_info();
        if !info.may_exceed_lock_limit {
            not_checked(name, "this user may not exceed the limit");
            return;
        }
        let large = required().alloc(32 << 20).expect("there is no limit");
        assert!(mapping_of(large.expose().as_ptr()).has("lo"));
        let info = memory_protection_info();
        assert_eq!(info.protection_level, ProtectionLevel::Full);
        assert_eq!(info.locked_bytes, locked_bytes());
    });
}

#[test]
fn buffers_move_in_and_out_of_locked_pages() {
    isolated("buffers_move_in_and_out_of_locked_pages", || {
        let memory = best_effort();
        let neighbour = memory.copy_from(b"neighbour").expect("there is memory");
        for len in [20, 10_000] {
            let mut bytes = memory
                .init_with(len, |bytes| support::fill(bytes, 1))
                .expect("there is memory");
            let is_locked = |bytes: &SecureBytes| mapping_of(bytes.expose().as_ptr()).has("lo");
            assert!(bytes.is_locked() && is_locked(&bytes));
            memory.unlock_memory(&mut bytes).expect("there is memory");
            assert!(!bytes.is_locked() && !is_locked(&bytes) && is_locked(&neighbour));
            assert_eq!(memory_protection_info().unlocked_allocations, 1);
            memory.lock_memory(&mut bytes).expect("there is room");
            assert!(bytes.is_locked() && is_locked(&bytes));
            assert_eq!(memory_protection_info().unlocked_allocations, 0);
            assert!(
                bytes
                    .expose()
                    .iter()
                    .enumerate()
                    .all(|(i, b)| *b == support::byte(1, i))
            );
        }
    });
}

#[test]
fn a_dropped_limit_does_not_disturb_what_is_locked() {
    isolated("a_dropped_limit_does_not_disturb_what_is_locked", || {
        let early = keys(&required(), 200);
        limit_locks(0);
        // Slots of pages that are locked already can still be had.
        assert!(required().array::<32>().is_ok_and(|key| key.is_locked()));
        let failed = required()
            .alloc(100_000)
            .expect_err("no more can be locked");
        assert!(
            failed.to_string().contains("the limit is 0 bytes"),
            "{failed}"
        );
        let mut grown = best_effort().string();
        for _ in 0..1000 {
            grown.try_push_str("0123456789").expect("there is memory");
        }
        assert!(!grown.is_locked());
        assert!(
            early
                .iter()
                .all(|key| mapping_of(key.expose().as_ptr()).has("lo"))
        );
        assert_eq!(
            memory_protection_info().protection_level,
            ProtectionLevel::ZeroingOnly
        );
    });
}

#[test]
fn a_refused_large_buffer_does_not_cost_small_ones_their_locks() {
    isolated(
        "a_refused_large_buffer_does_not_cost_small_ones_their_locks",
        || {
            limit_locks(64 * 1024);
            let large = best_effort().alloc(100 * KIB).expect("there is memory");
            assert!(!large.is_locked());
            assert!(keys(&best_effort(), 200).iter().all(SecureArray::is_locked));
            assert!(
                best_effort()
                    .alloc(8 * KIB)
                    .is_ok_and(|bytes| bytes.is_locked())
            );
        },
    );
}
