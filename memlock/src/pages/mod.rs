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
mod state;

pub use self::process::harden_process;
pub(crate) use self::process::report;

use core::{mem::ManuallyDrop, ptr::NonNull};
use std::boxed::Box;

use self::{arena::Slot, process::Process, region::Region};
use crate::{Backend, MemoryError, Policy, Protection, SecureMemory, heap, switch};

/// Bytes that belong to one owner, zero when new, wiped when dropped.
pub(crate) struct Block {
    ptr: NonNull<u8>,
    capacity: usize,
    home: Home,
}

/// Where a block goes back to. Kept in ordinary memory with the handle, not beside the secret.
///
/// Tag, kind and slot are whole words: written as bytes and copied as words, as a moved handle is,
/// they cost a third of the time of an allocation.
#[repr(usize)]
enum Home {
    /// Nothing was allocated.
    Nowhere,
    /// The global allocator, because that was asked for.
    Heap,
    /// The global allocator, because there was nothing better.
    LastResort(&'static Process),
    /// A slot of the pool.
    Slot(Kind, Slot, &'static Process),
    /// A mapping of its own; in a box, so that handles on small blocks stay small.
    Large(&'static Process, ManuallyDrop<Box<Region>>),
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
    #[inline]
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
            Err(_) if !required => {
                let block = Self::on_heap(len, Home::LastResort(process))?;
                process.count_unlocked(len);
                Ok(block)
            }
            result => result,
        }
    }

    /// At least `len` zero bytes that are locked, whatever the policy.
    pub(crate) fn locked(len: usize, memory: &SecureMemory) -> Result<Self, MemoryError> {
        let required = SecureMemory::new(Policy::Required).with_backend(memory.backend());
        Self::new(len, &required)
    }

    /// At least `len` zero bytes in pages that are guarded but not locked.
    pub(crate) fn unlocked(len: usize) -> Result<Self, MemoryError> {
        Process::current()?.take(len, &[Kind::Unlocked])
    }

    fn on_heap(len: usize, home: Home) -> Result<Self, MemoryError> {
        Ok(Self {
            ptr: heap::allocate(len)?,
            capacity: len,
            home,
        })
    }

    /// The pool and the kind of pages this block is in, if it is in any.
    #[inline]
    fn pages(&self) -> Option<(&'static Process, Kind)> {
        match &self.home {
            Home::Nowhere | Home::Heap | Home::LastResort(_) => None,
            Home::Slot(kind, _, process) => Some((process, *kind)),
            Home::Large(process, region) => Some((process, region.kind())),
        }
    }

    /// Where the bytes are.
    ///
    /// Pages of the secret kind do not exist in a forked child, and something else may have been
    /// mapped in their place: using them there aborts.
    #[inline]
    pub(crate) fn ptr(&self) -> NonNull<u8> {
        if let Some((process, Kind::Secret)) = self.pages()
            && !process.is_this_process()
        {
            die("a forked child used a memfd_secret buffer of its parent");
        }
        self.ptr
    }

    /// Whether the contents are what was written: not so in a forked child.
    pub(crate) fn is_kept(&self) -> bool {
        self.pages()
            .is_none_or(|(process, _)| process.is_this_process())
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
        match self.pages() {
            None => Protection::Wiped,
            // Locks are not inherited by a forked child.
            Some((process, _)) if !process.is_this_process() => Protection::Guarded,
            Some((_, Kind::Unlocked)) => Protection::Guarded,
            Some((_, Kind::Locked)) => Protection::Locked,
            Some((_, Kind::Secret)) => Protection::Secret,
        }
    }
}

impl Drop for Block {
    #[inline]
    fn drop(&mut self) {
        match &mut self.home {
            Home::Nowhere => {}
            Home::Slot(kind, slot, process) => {
                // SAFETY: the slot is this block's, and nothing refers to it any more.
                unsafe { process.give_back(self.ptr, self.capacity, *kind, *slot) }
            }
            Home::Large(process, region) => {
                // SAFETY: the region is taken once, here.
                process.give_back_large(unsafe { ManuallyDrop::take(region) });
            }
            Home::Heap => {
                // SAFETY: these bytes came from `heap::allocate`, and nothing refers to them.
                unsafe { heap::free(self.ptr, self.capacity) }
            }
            Home::LastResort(process) => {
                // SAFETY: as above.
                unsafe { heap::free(self.ptr, self.capacity) }
                process.uncount_unlocked(self.capacity);
            }
        }
    }
}

/// What is done to pages beyond guarding and wiping them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
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
