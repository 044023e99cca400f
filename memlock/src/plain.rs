//! The store for everything without page locking: ordinary allocations, wiped when dropped.

use core::ptr::NonNull;

use crate::{
    MemoryError, MemoryProtectionInfo, Policy, Protection, SecureMemory, heap,
    report::ProtectionLevel, switch,
};

/// Bytes that belong to one owner, zero when new, wiped when dropped.
pub(crate) struct Block {
    ptr: NonNull<u8>,
    capacity: usize,
}

// SAFETY: a block is owned memory like a `Box<[u8]>`; nothing about it belongs to a thread.
unsafe impl Send for Block {}
// SAFETY: a shared block is only ever read.
unsafe impl Sync for Block {}

impl Block {
    /// A block of no bytes, which allocates nothing.
    pub(crate) const fn empty() -> Self {
        Self {
            ptr: NonNull::dangling(),
            capacity: 0,
        }
    }

    /// At least `len` zero bytes.
    pub(crate) fn new(len: usize, memory: &SecureMemory) -> Result<Self, MemoryError> {
        if len == 0 {
            return Ok(Self::empty());
        }
        if memory.policy() == Policy::Required {
            return Err(MemoryError::Unsupported);
        }
        Ok(Self {
            ptr: heap::allocate(len)?,
            capacity: len,
        })
    }

    /// Locked pages cannot be had here.
    pub(crate) fn locked(_len: usize, _memory: &SecureMemory) -> Result<Self, MemoryError> {
        Err(MemoryError::Unsupported)
    }

    /// Every block of this store is an unlocked one.
    pub(crate) fn unlocked(len: usize) -> Result<Self, MemoryError> {
        Self::new(len, &SecureMemory::new(Policy::BestEffort))
    }

    pub(crate) const fn ptr(&self) -> NonNull<u8> {
        self.ptr
    }

    /// Ordinary memory is copied to a forked child like any other.
    pub(crate) const fn is_kept(&self) -> bool {
        true
    }

    pub(crate) const fn assert_kept(&self) {}

    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) const fn protection(&self) -> Protection {
        Protection::Wiped
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.capacity > 0 {
            // SAFETY: the block came from `heap::allocate` with this length and is dropped once.
            unsafe { heap::free(self.ptr, self.capacity) }
        }
    }
}

/// The facts about this store: wiping, and nothing else.
pub(crate) fn report() -> MemoryProtectionInfo {
    let enabled = switch::enabled();
    MemoryProtectionInfo {
        enabled,
        platform: crate::report::platform(),
        protection_level: if enabled {
            ProtectionLevel::ZeroingOnly
        } else {
            ProtectionLevel::None
        },
        has_memory_locking: false,
        has_secure_zeroing: true,
        supports_full_protection: false,
        backend: "plain",
        locked_bytes: 0,
        secret_bytes: 0,
        lock_limit: None,
        may_exceed_lock_limit: false,
        unlocked_allocations: 0,
        unlocked_bytes: 0,
        lock_failures: 0,
        excluded_from_core_dumps: false,
        wiped_in_forked_child: false,
        last_error: Some(MemoryError::Unsupported),
    }
}

/// Keeps this process out of core dumps and away from debuggers: not possible on this platform.
///
/// # Errors
/// Always, with [`ErrorKind::Unsupported`](std::io::ErrorKind::Unsupported).
#[cfg(feature = "std")]
pub fn harden_process() -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
