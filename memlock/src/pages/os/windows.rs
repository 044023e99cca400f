//! Windows.
//!
//! A process may lock as many pages as its *minimum* working set holds, less a few. The minimum is
//! small but may be raised by the process itself, so a refused lock raises it and tries again.

use core::{mem::MaybeUninit, ptr, ptr::NonNull};
use std::{io, sync::OnceLock};
use windows_sys::Win32::{
    Foundation::{ERROR_WORKING_SET_QUOTA, GetLastError},
    System::{
        Diagnostics::Debug::{
            GetErrorMode, SEM_FAILCRITICALERRORS, SEM_NOGPFAULTERRORBOX, SetErrorMode,
        },
        ErrorReporting::{WER_FAULT_REPORTING_FLAG_NOHEAP, WerSetFlags},
        Memory::{
            MEM_COMMIT, MEM_DECOMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_NOACCESS, PAGE_READWRITE,
            VirtualAlloc, VirtualFree, VirtualLock, VirtualUnlock,
        },
        SystemInformation::GetSystemInfo,
        Threading::{GetCurrentProcess, GetProcessWorkingSetSize, SetProcessWorkingSetSize},
    },
};

use super::{Advice, Os};

pub(in crate::store) struct Windows;

impl Os for Windows {
    const NAME: &'static str = "windows";
    const FORKS: bool = false;

    fn page_size() -> usize {
        static PAGE: OnceLock<usize> = OnceLock::new();
        *PAGE.get_or_init(|| {
            let mut info = MaybeUninit::zeroed();
            // SAFETY: the call fills the structure it is given, all of whose fields may be zero.
            let info = unsafe {
                GetSystemInfo(info.as_mut_ptr());
                info.assume_init()
            };
            info.dwPageSize as usize
        })
    }

    /// The minimum working set is no limit: it grows when it is in the way.
    fn lock_limit() -> (Option<u64>, bool) {
        (None, false)
    }

    fn reserve(len: usize) -> Result<NonNull<u8>, i32> {
        // SAFETY: a new reservation at an address of the system's choice touches nothing else.
        let base = unsafe { VirtualAlloc(ptr::null(), len, MEM_RESERVE, PAGE_NOACCESS) };
        NonNull::new(base.cast()).ok_or_else(last_error)
    }

    /// Nothing excludes a range from a dump here, and there is no fork.
    unsafe fn advise(_at: NonNull<u8>, _len: usize) -> Advice {
        Advice::default()
    }

    unsafe fn commit(at: NonNull<u8>, len: usize) -> Result<(), i32> {
        // SAFETY: the range is reserved, the caller's, and not in use.
        let base = unsafe { VirtualAlloc(at.as_ptr().cast(), len, MEM_COMMIT, PAGE_READWRITE) };
        if base.is_null() {
            Err(last_error())
        } else {
            Ok(())
        }
    }

    unsafe fn decommit(at: NonNull<u8>, len: usize) {
        // SAFETY: the range is committed, the caller's, and not in use.
        unsafe { VirtualFree(at.as_ptr().cast(), len, MEM_DECOMMIT) };
    }

    unsafe fn lock(at: NonNull<u8>, len: usize) -> Result<(), i32> {
        let at = at.as_ptr().cast();
        // SAFETY: the range is committed; locking changes no contents.
        unsafe {
            if VirtualLock(at, len) != 0 {
                return Ok(());
            }
            let error = last_error();
            if error == ERROR_WORKING_SET_QUOTA.cast_signed()
                && grow_working_set(len)
                && VirtualLock(at, len) != 0
            {
                return Ok(());
            }
            Err(error)
        }
    }

    unsafe fn unlock(at: NonNull<u8>, len: usize) {
        // SAFETY: the range is committed; unlocking changes no contents.
        unsafe { VirtualUnlock(at.as_ptr().cast(), len) };
    }

    unsafe fn release(at: NonNull<u8>, _len: usize) {
        // SAFETY: the range was reserved as a whole, and is not in use.
        unsafe { VirtualFree(at.as_ptr().cast(), 0, MEM_RELEASE) };
    }

    fn harden() -> io::Result<()> {
        // SAFETY: both calls take and return plain numbers.
        unsafe {
            // No crash dialogue, and with it no crash report; what is reported holds no heap.
            SetErrorMode(GetErrorMode() | SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
            let result = WerSetFlags(WER_FAULT_REPORTING_FLAG_NOHEAP);
            if result < 0 {
                return Err(io::Error::from_raw_os_error(result));
            }
        }
        Ok(())
    }
}

/// Raises the minimum and the maximum working set by `len` and some room for the next time.
fn grow_working_set(len: usize) -> bool {
    const ROOM: usize = 256 * 1024;
    let (mut minimum, mut maximum) = (0, 0);
    // SAFETY: the pseudo-handle is always valid, and both numbers outlive the call.
    unsafe {
        let process = GetCurrentProcess();
        GetProcessWorkingSetSize(process, &mut minimum, &mut maximum) != 0
            && SetProcessWorkingSetSize(
                process,
                minimum.saturating_add(len).saturating_add(ROOM),
                maximum.saturating_add(len).saturating_add(ROOM),
            ) != 0
    }
}

fn last_error() -> i32 {
    // SAFETY: the call reads a number of this thread.
    unsafe { GetLastError() }.cast_signed()
}
