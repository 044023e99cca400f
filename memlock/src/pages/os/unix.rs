//! macOS, the BSDs, illumos and Solaris: locks and guards as on Linux, advice where it exists.

use core::ptr::NonNull;
use std::io;

use super::{Advice, Os, posix};

pub(in crate::store) struct Unix;

impl Os for Unix {
    const NAME: &'static str = "unix";
    const FORKS: bool = true;

    fn page_size() -> usize {
        rustix::param::page_size()
    }

    fn lock_limit() -> (Option<u64>, bool) {
        (posix::lock_limit(), false)
    }

    fn reserve(len: usize) -> Result<NonNull<u8>, i32> {
        posix::reserve(len).map_err(posix::code)
    }

    unsafe fn advise(at: NonNull<u8>, len: usize) -> Advice {
        // SAFETY: as the caller promises.
        unsafe {
            Advice {
                not_dumped: not_dumped(at, len),
                wiped_on_fork: wiped_on_fork(at, len),
            }
        }
    }

    unsafe fn commit(at: NonNull<u8>, len: usize) -> Result<(), i32> {
        // SAFETY: as the caller promises.
        unsafe { posix::commit(at, len) }.map_err(posix::code)
    }

    unsafe fn decommit(at: NonNull<u8>, len: usize) {
        // There is no portable way to drop the contents: they are zeros already, and may be
        // opened again as such.
        // SAFETY: as the caller promises.
        unsafe { posix::close(at, len) }
    }

    unsafe fn lock(at: NonNull<u8>, len: usize) -> Result<(), i32> {
        // SAFETY: as the caller promises.
        unsafe { posix::lock(at, len) }.map_err(posix::code)
    }

    unsafe fn unlock(at: NonNull<u8>, len: usize) {
        // SAFETY: as the caller promises.
        unsafe { posix::unlock(at, len) }
    }

    unsafe fn release(at: NonNull<u8>, len: usize) {
        // SAFETY: as the caller promises.
        unsafe { posix::release(at, len) }
    }

    fn harden() -> io::Result<()> {
        posix::forbid_core_dumps()
    }
}

#[cfg(any(target_os = "dragonfly", target_os = "freebsd"))]
unsafe fn not_dumped(at: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the advice touches no contents; the range is the caller's.
    unsafe { libc::madvise(at.as_ptr().cast(), len, libc::MADV_NOCORE) == 0 }
}

#[cfg(not(any(target_os = "dragonfly", target_os = "freebsd")))]
unsafe fn not_dumped(_at: NonNull<u8>, _len: usize) -> bool {
    false
}

#[cfg(any(target_os = "freebsd", target_os = "netbsd", target_os = "openbsd"))]
unsafe fn wiped_on_fork(at: NonNull<u8>, len: usize) -> bool {
    #[cfg(target_os = "freebsd")]
    const ZERO: libc::c_int = libc::INHERIT_ZERO;
    #[cfg(not(target_os = "freebsd"))]
    const ZERO: libc::c_int = libc::MAP_INHERIT_ZERO;
    // SAFETY: only a child's copy of the range changes; the range is the caller's.
    unsafe { libc::minherit(at.as_ptr().cast(), len, ZERO) == 0 }
}

#[cfg(not(any(target_os = "freebsd", target_os = "netbsd", target_os = "openbsd")))]
unsafe fn wiped_on_fork(_at: NonNull<u8>, _len: usize) -> bool {
    false
}
