//! Why secure memory could not be had, and what to do about it.

use core::fmt;

/// Why secure memory could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryError {
    /// The system has no memory, address space or mapping left.
    OutOfMemory,
    /// The system refused to lock pages, and the policy is [`Policy::Required`].
    ///
    /// [`Policy::Required`]: crate::Policy::Required
    #[non_exhaustive]
    LockRefused {
        /// The operating system's error number.
        code: i32,
        /// How many bytes this process may lock, if there is a limit.
        limit: Option<u64>,
        /// How many bytes were to be locked.
        requested: usize,
    },
    /// The system has no `memfd_secret`, and the buffer fell back to ordinary locked pages. Only
    /// ever seen in the report.
    #[non_exhaustive]
    SecretUnavailable {
        /// The operating system's error number; 0 where there is no such call.
        code: i32,
    },
    /// This platform, or this build, cannot lock pages at all.
    Unsupported,
    /// [`disable_secure_memory`] is in force, and the policy is [`Policy::Required`].
    ///
    /// [`disable_secure_memory`]: crate::disable_secure_memory
    /// [`Policy::Required`]: crate::Policy::Required
    Disabled,
}

impl MemoryError {
    /// What an operator can do about it, in words.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::OutOfMemory => {
                "free memory, or raise the limits on address space and mappings (vm.max_map_count)"
            }
            Self::LockRefused { .. } => LOCK_REMEDY,
            Self::SecretUnavailable { .. } => {
                "use Linux 6.5 or later with CONFIG_SECRETMEM, or boot with secretmem.enable=1; in a container, allow the system call"
            }
            Self::Unsupported => {
                "use a platform with page locking and the `std` feature, or Policy::BestEffort"
            }
            Self::Disabled => "call enable_secure_memory, or use Policy::BestEffort",
        }
    }
}

const LOCK_REMEDY: &str = if cfg!(windows) {
    "raise the process's minimum working set (SetProcessWorkingSetSize, or the job object's limit)"
} else if cfg!(target_os = "linux") {
    "raise `ulimit -l`, set LimitMEMLOCK= in the systemd unit or `docker run --ulimit memlock=`, or grant CAP_IPC_LOCK"
} else {
    "raise `ulimit -l` (RLIMIT_MEMLOCK)"
};

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::LockRefused {
                code,
                limit,
                requested,
            } => {
                write!(f, "could not lock {requested} bytes of memory: ")?;
                describe(*code, f)?;
                match limit {
                    Some(limit) => write!(f, "; the limit is {limit} bytes"),
                    None => Ok(()),
                }
            }
            Self::SecretUnavailable { code: 0 } => f.write_str("this platform has no memfd_secret"),
            Self::SecretUnavailable { code } => {
                f.write_str("memfd_secret is not available: ")?;
                describe(*code, f)
            }
            Self::Unsupported => f.write_str("this platform cannot lock memory"),
            Self::Disabled => f.write_str("secure memory is disabled in this process"),
        }
    }
}

#[cfg(feature = "std")]
fn describe(code: i32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}", std::io::Error::from_raw_os_error(code))
}

#[cfg(not(feature = "std"))]
fn describe(code: i32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "error {code}")
}

impl core::error::Error for MemoryError {}

#[cfg(feature = "std")]
impl From<MemoryError> for std::io::Error {
    fn from(error: MemoryError) -> Self {
        Self::new(std::io::ErrorKind::OutOfMemory, error)
    }
}
