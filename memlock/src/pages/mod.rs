//! The store on systems that can lock pages: a pool for small blocks, mappings for large ones.
//!
//! ```text
//!   Block ──▶ Process ──▶ Arena (locked, unlocked, secret) ──▶ Region ──▶ Os
//!     one       one         slots of chunks                    guarded    system
//!   buffer    pool          up to 4 KiB                        pages      calls
//! ```

mod arena;
mod os;
mod process;
mod region;
mod secret;

pub use self::process::harden_process;
pub(crate) use self::process::report;

use core::ptr::NonNull;

use self::process::{Place, Process};
use crate::{Backend, MemoryError, Policy, Protection, SecureMemory, heap, switch};

/// Bytes that belong to one owner, zero when new, wiped when dropped.
pub(crate) struct Block {
    ptr: NonNull<u8>,
    capacity: usize,
    home: Home,
}

/// Where a block goes back to. Kept in ordinary memory with the handle, not beside the secret.
enum Home {
    /// Nothing was allocated.
    Nowhere,
    /// The global allocator, because that was asked for.
    Heap,
    /// The global allocator, because there was nothing better.
    LastResort(&'static Process),
    /// Pages of ours.
    Pages(&'static Process, Place),
}

// SAFETY: a block is owned memory like a `Box<[u8]>`; nothing about it belongs to a thread, and the
// pool it goes back to is behind a mutex.
unsafe impl Send for Block {}
// SAFETY: a shared block is only ever read.
unsafe impl Sync for Block {}

impl Block {
    /// A block of no bytes, which allocates nothing.
    pub(crate) const fn empty() -> Self {
        Self {
            ptr: NonNull::dangling(),
            capacity: 0,
            home: Home::Nowhere,
        }
    }

    /// At least `len` zero bytes.
    pub(crate) fn new(len: usize, memory: &SecureMemory) -> Result<Self, MemoryError> {
        use Kind::{Locked, Secret, Unlocked};

        if len == 0 {
            return Ok(Self::empty());
        }
        if memory.policy() == Policy::Off || !switch::enabled() {
            if memory.policy() == Policy::Required {
                return Err(MemoryError::Disabled);
            }
            return Self::on_heap(len, Home::Heap);
        }
        let required = memory.policy() == Policy::Required;
        let kinds: &[Kind] = match (memory.backend(), required) {
            (Backend::Pages, true) => &[Locked],
            (Backend::Pages, false) => &[Locked, Unlocked],
            (Backend::MemfdSecret, true) => &[Secret, Locked],
            (Backend::MemfdSecret, false) => &[Secret, Locked, Unlocked],
        };
        let process = Process::current()?;
        match process.take(len, kinds) {
            Ok(piece) => Ok(Self::in_pages(process, piece)),
            Err(error) if required => Err(error),
            Err(_) => {
                process.count_unlocked(len);
                Self::on_heap(len, Home::LastResort(process))
                    .inspect_err(|_| process.uncount_unlocked(len))
            }
        }
    }

    /// At least `len` zero bytes that are locked, whatever the policy.
    pub(crate) fn locked(len: usize, memory: &SecureMemory) -> Result<Self, MemoryError> {
        let required = SecureMemory::new(Policy::Required).with_backend(memory.backend());
        Self::new(len, &required)
    }

    /// At least `len` zero bytes in pages that are guarded but not locked.
    pub(crate) fn unlocked(len: usize) -> Result<Self, MemoryError> {
        let process = Process::current()?;
        let piece = process.take(len, &[Kind::Unlocked])?;
        Ok(Self::in_pages(process, piece))
    }

    fn on_heap(len: usize, home: Home) -> Result<Self, MemoryError> {
        Ok(Self {
            ptr: heap::allocate(len)?,
            capacity: len,
            home,
        })
    }

    fn in_pages(process: &'static Process, piece: process::Piece) -> Self {
        Self {
            ptr: piece.ptr,
            capacity: piece.capacity,
            home: Home::Pages(process, piece.place),
        }
    }

    /// Where the bytes are.
    ///
    /// Pages of the secret kind do not exist in a forked child, and something else may have been
    /// mapped in their place: using them there aborts.
    #[inline]
    pub(crate) fn ptr(&self) -> NonNull<u8> {
        if let Home::Pages(process, place) = &self.home
            && place.kind() == Kind::Secret
            && !process.is_this_process()
        {
            die("a forked child used a memfd_secret buffer of its parent");
        }
        self.ptr
    }

    /// Whether the contents are what was written: not so in a forked child.
    pub(crate) fn is_kept(&self) -> bool {
        match &self.home {
            Home::Nowhere | Home::Heap | Home::LastResort(_) => true,
            Home::Pages(process, _) => process.is_this_process(),
        }
    }

    /// Aborts unless the contents are what was written.
    pub(crate) fn assert_kept(&self) {
        if !self.is_kept() {
            die("a forked child used a value of its parent that it has no copy of");
        }
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn protection(&self) -> Protection {
        match &self.home {
            Home::Nowhere | Home::Heap | Home::LastResort(_) => Protection::Wiped,
            // Locks are not inherited by a forked child.
            Home::Pages(process, _) if !process.is_this_process() => Protection::Guarded,
            Home::Pages(_, place) => match place.kind() {
                Kind::Unlocked => Protection::Guarded,
                Kind::Locked => Protection::Locked,
                Kind::Secret => Protection::Secret,
            },
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let free = |block: &mut Self| {
            // SAFETY: the block came from `heap::allocate` with this length and is dropped once.
            unsafe { heap::free(block.ptr, block.capacity) }
        };
        match core::mem::replace(&mut self.home, Home::Nowhere) {
            Home::Nowhere => {}
            Home::Heap => free(self),
            Home::LastResort(process) => {
                free(self);
                process.uncount_unlocked(self.capacity);
            }
            // SAFETY: the piece was handed out by `process`, and this is its only owner.
            Home::Pages(process, place) => unsafe {
                process.give_back(self.ptr, self.capacity, place);
            },
        }
    }
}

/// What is done to pages beyond guarding and wiping them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Locked,
    Unlocked,
    Secret,
}

/// Why pages could not be had.
#[derive(Clone, Copy, Debug)]
enum Failure {
    /// No memory, address space or mapping left.
    Map,
    /// The system would not lock so many bytes.
    Lock { code: i32, requested: usize },
    /// The system has no secret pages.
    NoSecret { code: i32 },
    /// Not tried, because it has just failed.
    NotNow,
}

/// Memory has been corrupted: whatever runs next may be an attacker's. Says why and aborts.
#[cold]
fn die(why: &str) -> ! {
    use std::io::Write;

    // No formatting and no panic: both would run code on a corrupted process.
    let mut stderr = std::io::stderr();
    let _ = stderr.write_all(b"sealwire-memlock: ");
    let _ = stderr.write_all(why.as_bytes());
    let _ = stderr.write_all(b"\n");
    std::process::abort()
}
