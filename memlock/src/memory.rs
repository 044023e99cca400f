//! The handle that buffers come from, and the policy it carries.

use core::fmt;
use zeroize::Zeroize;

use crate::{MemoryError, MemoryProtectionInfo, SecureArray, SecureBytes, SecureString, report};

/// What to do when pages cannot be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// Refuse: allocation returns an error.
    Required,
    /// Go on with memory that is guarded and wiped but not locked, and say so in the report.
    #[default]
    BestEffort,
    /// Ordinary allocations, as if there were no such crate. They are wiped all the same.
    Off,
}

/// Where locked pages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Backend {
    /// Anonymous pages, locked.
    #[default]
    Pages,
    /// Linux `memfd_secret`: pages the kernel itself no longer maps, so that neither
    /// `/proc/PID/mem`, nor a debugger, nor a core dump can read them.
    ///
    /// For keys that live long: such pages are slower to get, and a forked child does not have
    /// them at all, so a child that uses an inherited buffer is aborted. Where the kernel has no
    /// `memfd_secret` the buffer falls back to [`Backend::Pages`]: see [`SecureBytes::protection`].
    MemfdSecret,
}

/// How one buffer is really protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protection {
    /// An ordinary allocation, wiped when it is dropped.
    Wiped,
    /// Pages of our own between guards, wiped when dropped, but not locked.
    Guarded,
    /// Guarded and locked.
    Locked,
    /// Guarded, locked, and unreadable through the kernel.
    Secret,
}

/// A handle on secure memory with a policy: cheap to clone, one per client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecureMemory {
    policy: Policy,
    backend: Backend,
}

impl SecureMemory {
    /// A handle with `policy`.
    pub const fn new(policy: Policy) -> Self {
        Self {
            policy,
            backend: Backend::Pages,
        }
    }

    /// The same handle on another backend.
    #[must_use]
    pub const fn with_backend(self, backend: Backend) -> Self {
        Self { backend, ..self }
    }

    /// The policy.
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// The backend that is asked first.
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// `len` zero bytes.
    ///
    /// # Errors
    /// When memory is out, or cannot be locked and the policy is [`Policy::Required`].
    pub fn alloc(&self, len: usize) -> Result<SecureBytes, MemoryError> {
        SecureBytes::zeroed(len, self)
    }

    /// An empty buffer with room for `capacity` bytes.
    ///
    /// # Errors
    /// As for [`alloc`](Self::alloc).
    pub fn with_capacity(&self, capacity: usize) -> Result<SecureBytes, MemoryError> {
        SecureBytes::with_capacity(capacity, self)
    }

    /// A copy of `bytes`. The original is the caller's to wipe: see [`secure_bytes`].
    ///
    /// # Errors
    /// As for [`alloc`](Self::alloc).
    pub fn copy_from(&self, bytes: &[u8]) -> Result<SecureBytes, MemoryError> {
        let mut copy = self.with_capacity(bytes.len())?;
        copy.try_extend_from_slice(bytes)?;
        Ok(copy)
    }

    /// `len` bytes that `init` fills in place, so that the secret is never anywhere else.
    ///
    /// # Errors
    /// As for [`alloc`](Self::alloc).
    pub fn init_with(
        &self,
        len: usize,
        init: impl FnOnce(&mut [u8]),
    ) -> Result<SecureBytes, MemoryError> {
        let mut bytes = self.alloc(len)?;
        init(bytes.expose_mut());
        Ok(bytes)
    }

    /// [`init_with`](Self::init_with) for a source that can fail, such as the system's randomness.
    ///
    /// # Errors
    /// As for [`alloc`](Self::alloc), and whatever `init` returns; the bytes are wiped then.
    pub fn try_init_with<E: From<MemoryError>>(
        &self,
        len: usize,
        init: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<SecureBytes, E> {
        let mut bytes = self.alloc(len)?;
        init(bytes.expose_mut())?;
        Ok(bytes)
    }

    /// An empty string. It allocates when something is pushed.
    pub fn string(&self) -> SecureString {
        SecureString::new(self)
    }

    /// `N` zero bytes of fixed size.
    ///
    /// # Errors
    /// As for [`alloc`](Self::alloc).
    pub fn array<const N: usize>(&self) -> Result<SecureArray<N>, MemoryError> {
        SecureArray::zeroed(self)
    }

    /// Copies `source` into secure memory, wipes it, and lends the copy to `f`.
    ///
    /// The copy is wiped when `f` returns, by whatever way: a value, `?`, or a panic.
    ///
    /// # Errors
    /// As for [`alloc`](Self::alloc); `source` is left as it was then, for the caller to decide.
    pub fn secure_bytes<R>(
        &self,
        source: &mut [u8],
        f: impl FnOnce(&mut SecureBytes) -> R,
    ) -> Result<R, MemoryError> {
        let mut copy = self.copy_from(source)?;
        source.zeroize();
        Ok(f(&mut copy))
    }

    /// Moves a buffer that is not locked into locked pages, and wipes the place it came from.
    /// No effect on a buffer that is locked already.
    ///
    /// Locks are a property of whole pages and do not nest, so a buffer is never locked where it
    /// lies: it moves. Slices borrowed before the call are gone with the borrow.
    ///
    /// # Errors
    /// When no more pages can be locked, whatever the policy. The buffer is as it was then.
    pub fn lock_memory(&self, buffer: &mut impl SecureBuffer) -> Result<(), MemoryError> {
        buffer.bytes_mut().relocate(true, self)
    }

    /// Moves a locked buffer out of the locked pages, to leave their room to others. It stays
    /// guarded and wiped, and counts as unlocked in the report.
    ///
    /// # Errors
    /// When memory is out. The buffer is as it was then.
    pub fn unlock_memory(&self, buffer: &mut impl SecureBuffer) -> Result<(), MemoryError> {
        buffer.bytes_mut().relocate(false, self)
    }

    /// Wipes `bytes`, in a way the compiler keeps.
    pub fn zero_memory(&self, bytes: &mut [u8]) {
        bytes.zeroize();
    }

    /// What protection this handle's buffers have on this machine, now.
    pub fn protection_info(&self) -> MemoryProtectionInfo {
        report::memory_protection_info().under(self.policy)
    }
}

/// Copies `source` into secure memory, wipes it, and lends the copy to `f`, under
/// [`Policy::BestEffort`]: see [`SecureMemory::secure_bytes`].
///
/// ```
/// let mut password = *b"correct horse battery staple";
/// let length = sealwire_memlock::secure_bytes(&mut password, |secret| secret.expose().len())?;
/// assert_eq!(length, 28);
/// assert_eq!(password, [0; 28]);
/// # Ok::<(), sealwire_memlock::MemoryError>(())
/// ```
///
/// # Errors
/// When memory is out; `source` is left as it was then.
pub fn secure_bytes<R>(
    source: &mut [u8],
    f: impl FnOnce(&mut SecureBytes) -> R,
) -> Result<R, MemoryError> {
    SecureMemory::default().secure_bytes(source, f)
}

/// The buffers of this crate that [`SecureMemory::lock_memory`] acts on.
pub trait SecureBuffer: sealed::Sealed + fmt::Debug {}

impl<T: sealed::Sealed + fmt::Debug> SecureBuffer for T {}

pub(crate) mod sealed {
    /// Reaches the bytes under a buffer.
    pub trait Sealed {
        fn bytes_mut(&mut self) -> &mut crate::SecureBytes;
    }
}
