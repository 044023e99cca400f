use alloc::vec::Vec;
use core::fmt;
use zeroize::Zeroize;

/// What to do when pages cannot be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// Refuse: allocation returns an error.
    Required,
    /// Go on with memory that is wiped, but not locked.
    #[default]
    BestEffort,
    /// Ordinary memory.
    Off,
}

/// Why secure memory could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryError {
    /// Out of memory.
    OutOfMemory,
}
impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of memory")
    }
}
impl core::error::Error for MemoryError {}

/// A handle on secure memory with a policy: cheap to clone, one per client.
#[derive(Clone, Debug, Default)]
pub struct SecureMemory {
    policy: Policy,
}
impl SecureMemory {
    /// A handle with `policy`.
    pub const fn new(policy: Policy) -> Self {
        Self { policy }
    }
    /// The policy.
    pub const fn policy(&self) -> Policy {
        self.policy
    }
    /// `len` zero bytes.
    pub fn alloc(&self, len: usize) -> Result<SecureBytes, MemoryError> {
        let mut b = self.with_capacity(len)?;
        b.try_resize(len)?;
        Ok(b)
    }
    /// An empty buffer with room for `capacity` bytes.
    pub fn with_capacity(&self, capacity: usize) -> Result<SecureBytes, MemoryError> {
        Ok(SecureBytes {
            inner: Vec::with_capacity(capacity),
            memory: self.clone(),
        })
    }
    /// A copy of `bytes`.
    pub fn copy_from(&self, bytes: &[u8]) -> Result<SecureBytes, MemoryError> {
        let mut b = self.with_capacity(bytes.len())?;
        b.try_extend_from_slice(bytes)?;
        Ok(b)
    }
    /// An empty string.
    pub fn string(&self) -> SecureString {
        SecureString {
            bytes: SecureBytes {
                inner: Vec::new(),
                memory: self.clone(),
            },
        }
    }
    /// `N` zero bytes of fixed size.
    pub fn array<const N: usize>(&self) -> Result<SecureArray<N>, MemoryError> {
        Ok(SecureArray {
            bytes: self.alloc(N)?,
        })
    }
    /// Wipes `bytes`.
    pub fn zero_memory(&self, bytes: &mut [u8]) {
        bytes.zeroize();
    }
}

/// Growable secure bytes.
pub struct SecureBytes {
    inner: Vec<u8>,
    memory: SecureMemory,
}
impl SecureBytes {
    /// The length in bytes.
    pub fn len(&self) -> usize {
        self.inner.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }
    /// Bytes it can hold without growing.
    pub fn capacity(&self) -> usize {
        self.inner.capacity()
    }
    /// Reads the secret.
    pub fn expose(&self) -> &[u8] {
        &self.inner
    }
    /// Changes the secret in place.
    pub fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.inner
    }
    /// The handle it came from.
    pub fn memory(&self) -> &SecureMemory {
        &self.memory
    }
    /// Room for `additional` more bytes; growth leaves nothing behind.
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), MemoryError> {
        if self.inner.capacity() - self.inner.len() < additional {
            let want = (self.inner.len() + additional).max(self.inner.capacity() * 2);
            let mut new = Vec::with_capacity(want);
            new.extend_from_slice(&self.inner);
            self.inner.zeroize();
            self.inner = new;
        }
        Ok(())
    }
    /// Appends.
    pub fn try_extend_from_slice(&mut self, bytes: &[u8]) -> Result<(), MemoryError> {
        self.try_reserve(bytes.len())?;
        self.inner.extend_from_slice(bytes);
        Ok(())
    }
    /// Changes the length; new bytes are zero, dropped bytes are wiped.
    pub fn try_resize(&mut self, len: usize) -> Result<(), MemoryError> {
        if len <= self.inner.len() {
            self.truncate(len);
        } else {
            self.try_reserve(len - self.inner.len())?;
            self.inner.resize(len, 0);
        }
        Ok(())
    }
    /// Shortens to `len`, wiping what is cut off. No effect when already shorter.
    pub fn truncate(&mut self, len: usize) {
        if len < self.inner.len() {
            self.inner[len..].zeroize();
            self.inner.truncate(len);
        }
    }
    /// Wipes and empties; keeps the capacity.
    pub fn clear(&mut self) {
        self.truncate(0);
    }
    /// Removes the first `n` bytes, moving the rest down and wiping the gap.
    ///
    /// # Panics
    /// If `n` is greater than the length.
    pub fn drain_front(&mut self, n: usize) {
        let len = self.inner.len();
        assert!(n <= len);
        self.inner.copy_within(n.., 0);
        self.truncate(len - n);
    }
}
impl Drop for SecureBytes {
    fn drop(&mut self) {
        self.inner.zeroize();
    }
}
impl fmt::Debug for SecureBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecureBytes([REDACTED])")
    }
}
impl PartialEq for SecureBytes {
    fn eq(&self, o: &Self) -> bool {
        use subtle::ConstantTimeEq;
        self.inner.ct_eq(&o.inner).into()
    }
}
impl Eq for SecureBytes {}

/// Growable secure UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub struct SecureString {
    bytes: SecureBytes,
}
impl SecureString {
    /// Reads the secret.
    pub fn expose(&self) -> &str {
        core::str::from_utf8(self.bytes.expose()).unwrap_or("")
    }
    /// The length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
    /// Appends.
    pub fn try_push_str(&mut self, s: &str) -> Result<(), MemoryError> {
        self.bytes.try_extend_from_slice(s.as_bytes())
    }
    /// Takes bytes that are valid UTF-8; gives them back otherwise.
    pub fn from_utf8(bytes: SecureBytes) -> Result<Self, SecureBytes> {
        if core::str::from_utf8(bytes.expose()).is_ok() {
            Ok(Self { bytes })
        } else {
            Err(bytes)
        }
    }
    /// The bytes.
    pub fn into_bytes(self) -> SecureBytes {
        self.bytes
    }
}

/// Secure bytes of fixed size.
#[derive(Debug, PartialEq, Eq)]
pub struct SecureArray<const N: usize> {
    bytes: SecureBytes,
}
impl<const N: usize> SecureArray<N> {
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
}
