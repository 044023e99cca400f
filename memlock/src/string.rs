//! Growable secure text.

use core::{fmt, str};

use crate::{MemoryError, Protection, SecureBytes, SecureMemory, memory::sealed};

/// Growable secure UTF-8, on the same memory as [`SecureBytes`].
#[derive(PartialEq, Eq)]
pub struct SecureString {
    /// Always UTF-8: nothing lends these bytes mutably.
    bytes: SecureBytes,
}

impl SecureString {
    pub(crate) const fn new(memory: &SecureMemory) -> Self {
        Self {
            bytes: SecureBytes::empty(memory),
        }
    }

    /// Takes bytes that are valid UTF-8; gives them back otherwise.
    ///
    /// # Errors
    /// The bytes, when they are not UTF-8.
    pub fn from_utf8(bytes: SecureBytes) -> Result<Self, SecureBytes> {
        match str::from_utf8(bytes.expose()) {
            Ok(_) => Ok(Self { bytes }),
            Err(_) => Err(bytes),
        }
    }

    /// Reads the secret.
    pub fn expose(&self) -> &str {
        // SAFETY: only whole strings are ever appended, and `from_utf8` checked what it took. In a
        // forked child the bytes may have turned to zeros, which are UTF-8 too.
        unsafe { str::from_utf8_unchecked(self.bytes.expose()) }
    }

    /// The length in bytes.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it is empty.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends; growth leaves nothing behind.
    ///
    /// # Errors
    /// As for [`SecureBytes::try_reserve`].
    pub fn try_push_str(&mut self, text: &str) -> Result<(), MemoryError> {
        self.bytes.try_extend_from_slice(text.as_bytes())
    }

    /// Wipes and empties; keeps the capacity.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The bytes.
    pub fn into_bytes(self) -> SecureBytes {
        self.bytes
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

impl sealed::Sealed for SecureString {
    fn bytes_mut(&mut self) -> &mut SecureBytes {
        &mut self.bytes
    }
}

impl fmt::Debug for SecureString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecureString([REDACTED])")
    }
}

/// `write!` into secure memory. The error of [`fmt`] has no room for a reason.
impl fmt::Write for SecureString {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.try_push_str(text).map_err(|_| fmt::Error)
    }
}
