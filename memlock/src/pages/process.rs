//! The pool of this process, and how it notices that it is in a forked child.
//!
//! A child has the parent's pool in whatever state another thread left it, with a mutex that nobody
//! will unlock, over pages that read as zeros and are not locked. It must not use it. No
//! `pthread_atfork` is needed for that: a byte in a page that is wiped on fork says whose the pool
//! is. A child that finds it zero leaves the old pool alone, with every buffer in it, and starts
//! one of its own. Where pages are not wiped on fork, the process number says the same, for the
//! price of a system call.

use core::{
    mem::ManuallyDrop,
    ptr::{self, NonNull},
    slice,
    sync::atomic::{AtomicBool, AtomicPtr, Ordering},
};
use std::{
    boxed::Box,
    collections::hash_map::RandomState,
    hash::BuildHasher,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    Block, Failure, Home, Kind,
    arena::{CANARY, LARGEST, Slot, capacity_for},
    die,
    os::{Os, System},
    region::Region,
    state::State,
};
use crate::{
    MemoryError, MemoryProtectionInfo, heap,
    report::{ProtectionLevel, platform},
    switch,
};

static CURRENT: AtomicPtr<Process> = AtomicPtr::new(ptr::null_mut());
static WARNED: AtomicBool = AtomicBool::new(false);

/// The pool of one process. It is never freed: blocks refer to it.
pub(super) struct Process {
    owner: Owner,
    canary: u128,
    state: Mutex<State>,
}

/// How to tell whether this is still the process that made the pool.
enum Owner {
    /// A byte that is 1, and 0 in a forked child.
    Mark(Region),
    /// The process number.
    Id(u32),
    /// There is no fork.
    Only,
}

impl Process {
    /// The pool of this process; a new one in a process that has none, or only its parent's.
    pub(super) fn current() -> Result<&'static Self, MemoryError> {
        let current = CURRENT.load(Ordering::Acquire);
        // SAFETY: the pointer is null or came from `Box::leak`.
        match unsafe { current.as_ref() } {
            Some(process) if process.is_this_process() => Ok(process),
            _ => Self::start(current),
        }
    }

    #[cold]
    fn start(before: *mut Self) -> Result<&'static Self, MemoryError> {
        let mine = Box::into_raw(Box::new(Self::new()?));
        let change = CURRENT.compare_exchange(before, mine, Ordering::AcqRel, Ordering::Acquire);
        let current = match change {
            Ok(_) => mine,
            Err(theirs) => {
                // SAFETY: nobody else has seen this one.
                drop(unsafe { Box::from_raw(mine) });
                theirs
            }
        };
        // SAFETY: what `CURRENT` holds is never freed.
        Ok(unsafe { &*current })
    }

    fn new() -> Result<Self, MemoryError> {
        let page = Region::open(1, Kind::Unlocked).map_err(|_| MemoryError::OutOfMemory)?;
        let advice = page.advice();
        let owner = if !System::FORKS {
            Owner::Only
        } else if advice.wiped_on_fork {
            // SAFETY: the region is open and ours.
            unsafe { page.data().write_volatile(1) };
            Owner::Mark(page)
        } else {
            Owner::Id(std::process::id())
        };
        // Keyed by the operating system's randomness, without a dependency for 16 bytes.
        let random = || u128::from(RandomState::new().hash_one(0));
        Ok(Self {
            owner,
            canary: random() << 64 | random(),
            state: Mutex::new(State::new(advice)),
        })
    }

    /// False in a forked child of the process that made this pool.
    #[inline]
    pub(super) fn is_this_process(&self) -> bool {
        match &self.owner {
            // SAFETY: the page stays open for as long as the pool, which is for ever.
            Owner::Mark(page) => unsafe { page.data().read_volatile() != 0 },
            Owner::Id(id) => *id == std::process::id(),
            Owner::Only => true,
        }
    }

    /// At least `len` zero bytes of the first of `kinds` that can be had.
    #[inline]
    pub(super) fn take(&'static self, len: usize, kinds: &[Kind]) -> Result<Block, MemoryError> {
        // By far most requests end here: a small block, in a page that is open already.
        if len <= LARGEST
            && let Some(&first) = kinds.first()
        {
            let mut state = self.state();
            if let Some(slot) = state.arenas[first as usize].reuse(len) {
                return Ok(self.slot_block(state, len, first, slot));
            }
        }
        self.take_more(len, kinds)
    }

    /// What [`take`](Self::take) does when pages have to be opened.
    #[cold]
    fn take_more(&'static self, len: usize, kinds: &[Kind]) -> Result<Block, MemoryError> {
        // With something to fall back to, there is no need to ask at every turn.
        let insist = !kinds.contains(&Kind::Unlocked);
        let mut refused = false;
        let mut last = Failure::Map;
        for &kind in kinds {
            let mut state = self.state();
            let result = if len <= LARGEST {
                let slot = state.with_patience(len, kind, insist, |state, may_grow| {
                    let arena = &mut state.arenas[kind as usize];
                    match arena.reuse(len) {
                        Some(slot) => Ok(slot),
                        None if may_grow => arena.take(len),
                        None => Err(Failure::NotNow),
                    }
                });
                slot.map_err(|failure| (failure, state.note(failure, kind)))
                    .map(|slot| self.slot_block(state, len, kind, slot))
            } else {
                let region = state.with_patience(len, kind, insist, |_, may_grow| {
                    if may_grow {
                        Region::open(len, kind)
                    } else {
                        Err(Failure::NotNow)
                    }
                });
                region
                    .map_err(|failure| (failure, state.note(failure, kind)))
                    .map(|region| self.large_block(state, region))
            };
            match result {
                Ok(block) => {
                    if refused && kind == Kind::Unlocked {
                        self.warn();
                    }
                    return Ok(block);
                }
                Err((failure, is_refusal)) => {
                    refused |= is_refusal;
                    last = failure;
                }
            }
        }
        Err(last.into_error())
    }

    /// Makes a block of a slot that has just been taken.
    #[inline]
    fn slot_block(
        &'static self,
        mut state: MutexGuard<'_, State>,
        len: usize,
        kind: Kind,
        slot: Slot,
    ) -> Block {
        let ptr = state.arenas[kind as usize].address(slot);
        let capacity = capacity_for(len);
        if kind == Kind::Unlocked {
            state.count(capacity);
        }
        // The slot is ours from here on; nobody needs to wait for us to look at it.
        drop(state);
        // SAFETY: the slot is open, ours, and ends with room for a canary.
        unsafe { self.arm(ptr, capacity) };
        Block {
            ptr,
            capacity,
            home: Home::Slot(kind, slot, self),
        }
    }

    fn large_block(&'static self, mut state: MutexGuard<'_, State>, region: Region) -> Block {
        let (ptr, capacity, kind) = (region.data(), region.len(), region.kind());
        state.advice = state.advice.and(region.advice());
        state.large[kind as usize] += capacity;
        if kind == Kind::Unlocked {
            state.count(capacity);
        }
        drop(state);
        Block {
            ptr,
            capacity,
            home: Home::Large(self, ManuallyDrop::new(Box::new(region))),
        }
    }

    /// Wipes a slot and takes it back.
    ///
    /// # Safety
    /// `ptr`, `capacity`, `kind` and `slot` are those of a block that [`take`](Self::take) made, and
    /// nothing refers to it any more.
    #[inline]
    pub(super) unsafe fn give_back(
        &self,
        ptr: NonNull<u8>,
        capacity: usize,
        kind: Kind,
        slot: Slot,
    ) {
        if !self.is_this_process() {
            // SAFETY: as the caller promises.
            return unsafe { abandon(ptr, capacity, kind) };
        }
        // SAFETY: as the caller promises; a slot ends with its canary.
        unsafe { self.disarm(ptr, capacity) };
        let mut state = self.state();
        state.arenas[kind as usize].give_back(slot);
        if kind == Kind::Unlocked {
            state.uncount(capacity);
        }
    }

    /// Wipes a region and gives it back to the system.
    pub(super) fn give_back_large(&self, region: Box<Region>) {
        let (ptr, capacity, kind) = (region.data(), region.len(), region.kind());
        if !self.is_this_process() {
            // What is mapped there now may be someone else's: the region must not be released.
            let _ = Box::leak(region);
            // SAFETY: the block that had this region is gone.
            return unsafe { abandon(ptr, capacity, kind) };
        }
        // SAFETY: all of the region is open, and the block that had it is gone.
        unsafe { heap::wipe(ptr, capacity) };
        let mut state = self.state();
        // Closed with the state locked, as it was opened: whoever gets these addresses next, the wiping comes before.
        drop(region);
        state.large[kind as usize] -= capacity;
        state.encourage();
        if kind == Kind::Unlocked {
            state.uncount(capacity);
        }
    }

    pub(super) fn count_unlocked(&self, bytes: usize) {
        self.state().count(bytes);
    }

    pub(super) fn uncount_unlocked(&self, bytes: usize) {
        if self.is_this_process() {
            self.state().uncount(bytes);
        }
    }

    /// Checks that a new slot is zero, and puts the canary behind it.
    ///
    /// # Safety
    /// `capacity` bytes and a canary at `ptr` are the caller's, and initialised.
    unsafe fn arm(&self, ptr: NonNull<u8>, capacity: usize) {
        // SAFETY: as the caller promises; slots are aligned to 16 bytes and are multiples of them.
        unsafe {
            let words = slice::from_raw_parts(ptr.as_ptr().cast::<u128>(), capacity / 16 + 1);
            if words.iter().fold(0, |all, word| all | word) != 0 {
                die("a freed buffer was written to");
            }
            ptr.add(capacity).cast().write(self.canary_at(ptr));
        }
    }

    /// Checks the canary behind a slot, and wipes both.
    ///
    /// # Safety
    /// As for [`arm`](Self::arm).
    unsafe fn disarm(&self, ptr: NonNull<u8>, capacity: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            if ptr.add(capacity).cast::<u128>().read() != self.canary_at(ptr) {
                die("a buffer was overrun, or freed twice");
            }
            heap::wipe(ptr, capacity + CANARY);
        }
    }

    /// Says once that secrets are not locked. Not with the state locked: a logger may well use
    /// secure memory itself.
    fn warn(&self) {
        let last_error = self.state().last_error;
        if let Some(error) = last_error
            && !WARNED.swap(true, Ordering::Relaxed)
        {
            log::warn!(
                "secrets are wiped but not locked in memory: {error}; {}",
                error.remedy()
            );
        }
    }

    /// Differs from slot to slot, so that a copied neighbour does not look sound.
    fn canary_at(&self, ptr: NonNull<u8>) -> u128 {
        self.canary ^ ptr.as_ptr().addr() as u128
    }

    /// Nothing in here can be left half done by a panic, so poison is of no interest.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops the parent's block in a forked child: it cannot go back to the parent's pool.
///
/// # Safety
/// Nothing refers to the block any more.
#[cold]
unsafe fn abandon(ptr: NonNull<u8>, capacity: usize, kind: Kind) {
    // It reads as zeros already, unless the system cannot do that. Secret pages are not there.
    if kind != Kind::Secret {
        // SAFETY: the child's copy is still mapped, and had one owner.
        unsafe { heap::wipe(ptr, capacity) };
    }
}

/// The facts about this process, with a trial if nothing has been locked yet.
pub(crate) fn report() -> MemoryProtectionInfo {
    let (lock_limit, may_exceed_lock_limit) = System::lock_limit();
    let enabled = switch::enabled();
    let mut info = MemoryProtectionInfo {
        enabled,
        platform: platform(),
        protection_level: ProtectionLevel::None,
        has_memory_locking: false,
        has_secure_zeroing: true,
        supports_full_protection: false,
        backend: System::NAME,
        locked_bytes: 0,
        secret_bytes: 0,
        lock_limit,
        may_exceed_lock_limit,
        unlocked_allocations: 0,
        unlocked_bytes: 0,
        lock_failures: 0,
        excluded_from_core_dumps: false,
        wiped_in_forked_child: false,
        last_error: None,
    };
    match Process::current() {
        Ok(process) => process.state().describe(&mut info),
        Err(error) => info.last_error = Some(error),
    }
    info.supports_full_protection = info.has_memory_locking;
    info.protection_level = if !enabled {
        ProtectionLevel::None
    } else if info.has_memory_locking && info.unlocked_allocations == 0 {
        ProtectionLevel::Full
    } else {
        ProtectionLevel::ZeroingOnly
    };
    info
}

/// Keeps this process out of core dumps and away from debuggers of the same user.
///
/// For programs, at their start. On Unix no core file is written any more; on Linux the process is
/// also not dumpable, which closes `/proc/PID/mem` and ptrace to other processes without
/// `CAP_SYS_PTRACE`, and gives `/proc/self` to root. On Windows there is no crash dialogue and no
/// heap in an error report. There is no way back.
///
/// # Errors
/// What the system said.
pub fn harden_process() -> io::Result<()> {
    System::harden()
}
