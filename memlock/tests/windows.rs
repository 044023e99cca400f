//! Locks on Windows, granted and refused; run under Wine by `.ci/targets`, once with a limit that refuses.
#![cfg(all(windows, feature = "std"))]

use sealwire_memlock::{
    MemoryError, Policy, Protection, ProtectionLevel, SecureBytes, SecureMemory,
    memory_protection_info,
};

const KIB: usize = 1024;

/// Set where no more than 64 KiB can be locked.
fn locks_are_refused() -> bool {
    std::env::var_os("SEALWIRE_TEST_LOCKS_REFUSED").is_some()
}

#[test]
fn what_is_locked_and_what_is_reported_agree() {
    let memory = SecureMemory::new(Policy::BestEffort);
    let live: Vec<SecureBytes> = (0..16)
        .map(|i| {
            memory
                .init_with(32 * KIB, |bytes| bytes.fill(i))
                .expect("best effort goes on without locks")
        })
        .collect();
    for (i, bytes) in (0..).zip(&live) {
        assert!(bytes.expose().iter().all(|byte| *byte == i));
    }
    let unlocked = live
        .iter()
        .filter(|bytes| bytes.protection() != Protection::Locked)
        .count();
    let info = memory_protection_info();
    assert_eq!(info.unlocked_allocations as usize, unlocked);
    assert_eq!(info.unlocked_bytes as usize, unlocked * 32 * KIB);
    if locks_are_refused() {
        assert!(unlocked >= 14, "only {unlocked} of 16 were refused");
        assert_ne!(info.protection_level, ProtectionLevel::Full);
        assert!(info.lock_failures > 0);
        assert!(
            matches!(info.last_error, Some(MemoryError::LockRefused { .. })),
            "{:?}",
            info.last_error
        );
    } else {
        assert_eq!(unlocked, 0);
        assert_eq!(info.protection_level, ProtectionLevel::Full);
        assert!(info.locked_bytes as usize >= 16 * 32 * KIB);
    }
    drop(live);
    let info = memory_protection_info();
    assert_eq!((info.unlocked_allocations, info.unlocked_bytes), (0, 0));
}

#[test]
fn required_is_an_error_where_locks_are_refused() {
    let memory = SecureMemory::new(Policy::Required);
    let locked = memory.alloc(512 * KIB);
    if locks_are_refused() {
        let error = locked.expect_err("more than the limit");
        assert!(
            matches!(error, MemoryError::LockRefused { .. }),
            "{error:?}"
        );
    } else {
        assert_eq!(locked.expect("no limit").protection(), Protection::Locked);
    }
}
