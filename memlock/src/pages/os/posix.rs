//! What is the same on every Unix.

use core::ptr::{self, NonNull};
use rustix::{
    io::Result,
    mm::{MapFlags, MprotectFlags, ProtFlags, mlock, mmap_anonymous, mprotect, munlock, munmap},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use std::io;

pub(super) fn code(error: rustix::io::Errno) -> i32 {
    error.raw_os_error()
}

pub(super) fn lock_limit() -> Option<u64> {
    getrlimit(Resource::Memlock).current
}

pub(super) fn reserve(len: usize) -> Result<NonNull<u8>> {
    // SAFETY: a new private mapping at an address of the system's choice touches nothing else.
    let base =
        unsafe { mmap_anonymous(ptr::null_mut(), len, ProtFlags::empty(), MapFlags::PRIVATE) }?;
    NonNull::new(base.cast()).ok_or(rustix::io::Errno::NOMEM)
}

/// # Safety
/// As for `Os::commit`.
pub(super) unsafe fn commit(at: NonNull<u8>, len: usize) -> Result<()> {
    // SAFETY: the caller owns the range, which nothing else relies on being closed.
    unsafe {
        mprotect(
            at.as_ptr().cast(),
            len,
            MprotectFlags::READ | MprotectFlags::WRITE,
        )
    }
}

/// # Safety
/// As for `Os::decommit`; closes, but keeps the contents.
pub(super) unsafe fn close(at: NonNull<u8>, len: usize) {
    // Failing leaves the pages open but unused, which is harmless.
    // SAFETY: the caller owns the range and has nothing in it.
    let _ = unsafe { mprotect(at.as_ptr().cast(), len, MprotectFlags::empty()) };
}

/// # Safety
/// As for `Os::lock`.
pub(super) unsafe fn lock(at: NonNull<u8>, len: usize) -> Result<()> {
    // SAFETY: the range is mapped; locking changes no contents.
    unsafe { mlock(at.as_ptr().cast(), len) }
}

/// # Safety
/// As for `Os::unlock`.
pub(super) unsafe fn unlock(at: NonNull<u8>, len: usize) {
    // Failing leaves the pages locked for longer, which is harmless.
    // SAFETY: the range is mapped; unlocking changes no contents.
    let _ = unsafe { munlock(at.as_ptr().cast(), len) };
}

/// # Safety
/// As for `Os::release`.
pub(super) unsafe fn release(at: NonNull<u8>, len: usize) {
    // Unmapping a range that was mapped as a whole cannot need a new mapping, so it cannot fail.
    // SAFETY: the range is the caller's, whole and unused.
    let _ = unsafe { munmap(at.as_ptr().cast(), len) };
}

/// Puts fresh inaccessible pages over whatever is mapped in the range.
///
/// # Safety
/// The range is the caller's and not in use.
#[cfg(target_os = "linux")]
pub(in crate::store) unsafe fn cover(at: *mut u8, len: usize) -> Result<()> {
    // SAFETY: the caller owns the range and has nothing in it.
    unsafe {
        mmap_anonymous(
            at.cast(),
            len,
            ProtFlags::empty(),
            MapFlags::PRIVATE | MapFlags::FIXED,
        )
    }?;
    Ok(())
}

pub(super) fn forbid_core_dumps() -> io::Result<()> {
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )
    .map_err(Into::into)
}
