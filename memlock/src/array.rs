//! Secure bytes of fixed size.

use core::fmt;

use crate::{MemoryError, Protection, SecureBytes, SecureMemory, memory::sealed};

/// Secure bytes of fixed size: keys.
///
/// The array itself is a handle; moving it moves no secret.
#[derive(PartialEq, Eq)]
pub struct SecureArray<const N: usize> {
    /// Exactly `N` long: nothing that changes its length is ever called.
    bytes: SecureBytes,
}

impl<const N: usize> SecureArray<N> {
    pub(crate) fn zeroed(memory: &SecureMemory) -> Result<Self, MemoryError> {
        Ok(Self {
            bytes: memory.alloc(N)?,
        })
    }

    /// An array that `init` fills in place, so that the secret is never anywhere else.
    ///
    /// # Errors
    /// As for [`SecureMemory::alloc`].
    pub fn init_with(
        memory: &SecureMemory,
        init: impl FnOnce(&mut [u8; N]),
    ) -> Result<Self, MemoryError> {
        let mut array = Self::zeroed(memory)?;
        init(array.expose_mut());
        Ok(array)
    }

    /// [`init_with`](Self::init_with) for a source that can fail, such as the system's randomness.
    ///
    /// # Errors
    /// As for [`SecureMemory::alloc`], and whatever `init` returns; the bytes are wiped then.
    pub fn try_init_with<E: From<MemoryError>>(
        memory: &SecureMemory,
        init: impl FnOnce(&mut [u8; N]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut array = Self::zeroed(memory)?;
        init(array.expose_mut())?;
        Ok(array)
    }

    /// Reads the secret.
    pub fn expose(&self) -> &[u8; N] {
        self.bytes
            .expose()
            .try_into()
            .expect("N bytes were allocated")
    }

    /// Changes the secret in place.
    pub fn expose_mut(&mut self) -> &mut [u8; N] {
        self.bytes
            .expose_mut()
            .try_into()
            .expect("N bytes were allocated")
    }

    /// How this buffer is really protected.
    pub fn protection(&self) -> Protection {
        self.bytes.protection()
    }

    /// Whether its pages are locked in memory.
    pub fn is_locked(&self) -> bool {
        self.bytes.is_locked()
    }
}

impl<const N: usize> sealed::Sealed for SecureArray<N> {
    fn bytes_mut(&mut self) -> &mut SecureBytes {
        &mut self.bytes
    }
}

impl<const N: usize> fmt::Debug for SecureArray<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecureArray<{N}>([REDACTED])")
    }
}
