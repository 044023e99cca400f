//! What the pool asks of an operating system: one trait, one file for each system.

use core::ptr::NonNull;
use std::io;

#[cfg(any(target_os = "android", target_os = "linux"))]
mod linux;
#[cfg(any(target_os = "android", target_os = "linux"))]
pub(super) use linux::Linux as System;

#[cfg(all(unix, not(any(target_os = "android", target_os = "linux"))))]
mod unix;
#[cfg(all(unix, not(any(target_os = "android", target_os = "linux"))))]
pub(super) use unix::Unix as System;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(super) use windows::Windows as System;

#[cfg(unix)]
mod posix;

/// What the system has agreed to do with a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Advice {
    /// Leave it out of core dumps.
    pub(super) not_dumped: bool,
    /// Give a forked child zeros.
    pub(super) wiped_on_fork: bool,
}

impl Advice {
    /// What holds for both ranges.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            not_dumped: self.not_dumped && other.not_dumped,
            wiped_on_fork: self.wiped_on_fork && other.wiped_on_fork,
        }
    }
}

/// The system calls under a region. Ranges are whole pages; errors are the system's numbers.
pub(super) trait Os {
    /// The name in the report.
    const NAME: &'static str;

    /// Whether a process can be duplicated behind our back.
    const FORKS: bool;

    /// Bytes in a page.
    fn page_size() -> usize;

    /// How many bytes this process may lock, and whether a privilege lifts that limit.
    fn lock_limit() -> (Option<u64>, bool);

    /// `len` bytes of address space, inaccessible.
    fn reserve(len: usize) -> Result<NonNull<u8>, i32>;

    /// Asks for the range to be left out of dumps and forks; tells what was granted.
    ///
    /// # Safety
    /// The range was reserved by the caller.
    unsafe fn advise(at: NonNull<u8>, len: usize) -> Advice;

    /// Makes the range readable and writable; it reads as zeros.
    ///
    /// # Safety
    /// The range was reserved by the caller and is not in use.
    unsafe fn commit(at: NonNull<u8>, len: usize) -> Result<(), i32>;

    /// Makes the range inaccessible and lets go of its contents.
    ///
    /// # Safety
    /// The range was committed by the caller and is not in use.
    unsafe fn decommit(at: NonNull<u8>, len: usize);

    /// Locks the range in memory.
    ///
    /// # Safety
    /// The range was committed by the caller.
    unsafe fn lock(at: NonNull<u8>, len: usize) -> Result<(), i32>;

    /// Undoes `lock`, for all of it.
    ///
    /// # Safety
    /// The range was locked by the caller.
    unsafe fn unlock(at: NonNull<u8>, len: usize);

    /// Gives the range back.
    ///
    /// # Safety
    /// The range is what one call of `reserve` returned, whole, and not in use.
    unsafe fn release(at: NonNull<u8>, len: usize);

    /// Keeps the process out of core dumps and away from debuggers.
    fn harden() -> io::Result<()>;
}

/// Closes a range that something else was mapped over.
#[cfg(target_os = "linux")]
pub(super) use posix::cover;
