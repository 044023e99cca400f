//! Linux and Android.

use core::ptr::NonNull;
use rustix::{
    mm::{self, madvise},
    process::{DumpableBehavior, set_dumpable_behavior},
    thread::{CapabilitySet, capabilities},
};
use std::io;

use super::{Advice, Os, posix};

/// Every kernel refuses it.
const NO_SUCH_ADVICE: libc::c_int = -1;

pub(in crate::store) struct Linux;

impl Os for Linux {
    const NAME: &'static str = "linux";
    const FORKS: bool = true;

    fn page_size() -> usize {
        rustix::param::page_size()
    }

    fn lock_limit() -> (Option<u64>, bool) {
        let privileged =
            capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
        (posix::lock_limit(), privileged)
    }

    fn reserve(len: usize) -> Result<NonNull<u8>, i32> {
        posix::reserve(len).map_err(posix::code)
    }

    unsafe fn advise(at: NonNull<u8>, len: usize) -> Advice {
        // SAFETY: none of these touches the contents; the range is the caller's.
        let granted = |advice| unsafe { madvise(at.as_ptr().cast(), len, advice) }.is_ok();
        // A huge page is locked, and counted, whole. A kernel without them has nothing to refuse.
        granted(mm::Advice::LinuxNoHugepage);
        // Emulators such as qemu-user say yes to advice that they ignore. To take their word would
        // be to run a child on its parent's pool.
        // SAFETY: advice that does not exist changes nothing.
        let believable = unsafe { libc::madvise(at.as_ptr().cast(), len, NO_SUCH_ADVICE) } != 0;
        Advice {
            not_dumped: granted(mm::Advice::LinuxDontDump) && believable,
            wiped_on_fork: granted(mm::Advice::LinuxWipeOnFork) && believable,
        }
    }

    unsafe fn commit(at: NonNull<u8>, len: usize) -> Result<(), i32> {
        // SAFETY: as the caller promises.
        unsafe { posix::commit(at, len) }.map_err(posix::code)
    }

    unsafe fn decommit(at: NonNull<u8>, len: usize) {
        // SAFETY: the caller has nothing in the range; mapping afresh would lose the advice.
        unsafe {
            let _ = madvise(at.as_ptr().cast(), len, mm::Advice::LinuxDontNeed);
            posix::close(at, len);
        }
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
        posix::forbid_core_dumps()?;
        // A limit of 0 does not stop a core dump into a pipe; not being dumpable does.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        Ok(())
    }
}
