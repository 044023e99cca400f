//! Linux `memfd_secret`: pages that the kernel takes out of its own map.

use core::ptr::NonNull;

/// A file of such pages. They are locked by nature and count against the lock limit.
pub(super) struct SecretFile(imp::File);

impl SecretFile {
    /// A file of `len` bytes, or the error number. Needs Linux 5.14 with `CONFIG_SECRETMEM`, which
    /// before 6.5 had to be switched on at boot.
    pub(super) fn create(len: usize) -> Result<Self, i32> {
        imp::create(len).map(Self)
    }

    /// Maps `len` bytes from `offset` over what is at `at`.
    ///
    /// # Safety
    /// The range belongs to the caller, who has nothing in it.
    pub(super) unsafe fn map(&self, at: NonNull<u8>, len: usize, offset: usize) -> Result<(), i32> {
        // SAFETY: as the caller promises.
        unsafe { imp::map(&self.0, at, len, offset) }
    }
}

#[cfg(all(
    target_os = "linux",
    any(
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "s390x",
        target_arch = "x86",
        all(target_arch = "x86_64", target_pointer_width = "64"),
    ),
))]
mod imp {
    use super::NonNull;
    use rustix::{
        io::Errno,
        mm::{Advice, MapFlags, ProtFlags, madvise, mmap},
    };
    use std::{
        fs::File as StdFile,
        io::Error,
        os::fd::{FromRawFd, OwnedFd},
    };

    pub(super) type File = OwnedFd;

    pub(super) fn create(len: usize) -> Result<File, i32> {
        let last_error = |error: Error| error.raw_os_error().unwrap_or(libc::ENOSYS);
        // The flag is O_CLOEXEC: FD_CLOEXEC has another value, which the call refuses.
        // SAFETY: the call takes one integer and touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
        let fd = i32::try_from(fd)
            .ok()
            .filter(|fd| *fd >= 0)
            .ok_or_else(|| last_error(Error::last_os_error()))?;
        // SAFETY: the call succeeded, so this is a new descriptor that nobody else owns.
        let file = StdFile::from(unsafe { OwnedFd::from_raw_fd(fd) });
        file.set_len(len as u64).map_err(last_error)?;
        Ok(file.into())
    }

    pub(super) unsafe fn map(
        file: &File,
        at: NonNull<u8>,
        len: usize,
        offset: usize,
    ) -> Result<(), i32> {
        let at = at.as_ptr().cast();
        // SAFETY: the caller owns the range, which is mapped over as a whole.
        unsafe {
            mmap(
                at,
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::FIXED,
                file,
                offset as u64,
            )
            .map_err(Errno::raw_os_error)?;
            // The mapping is shared, so a child would share the secret; and WIPEONFORK is for
            // private memory only. A child that would see the secret is worse than no secret.
            if let Err(error) = madvise(at, len, Advice::LinuxDontFork) {
                let _ = super::super::os::cover(at.cast(), len);
                return Err(error.raw_os_error());
            }
        }
        Ok(())
    }
}

#[cfg(not(all(
    target_os = "linux",
    any(
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "s390x",
        target_arch = "x86",
        all(target_arch = "x86_64", target_pointer_width = "64"),
    ),
)))]
mod imp {
    use super::NonNull;

    /// There are none on this system.
    pub(super) enum File {}

    pub(super) fn create(_len: usize) -> Result<File, i32> {
        Err(0)
    }

    pub(super) unsafe fn map(
        file: &File,
        _at: NonNull<u8>,
        _len: usize,
        _offset: usize,
    ) -> Result<(), i32> {
        match *file {}
    }
}
