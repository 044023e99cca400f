//! Growable secure bytes.

use core::{cmp, fmt, ptr, slice};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::{MemoryError, Protection, SecureMemory, memory::sealed, store::Block};

/// Growable secure bytes.
///
/// Growth moves to a larger block and wipes the old one; what is cut off is wiped at once; the rest
/// is wiped when the buffer is dropped. Not `Clone`: [`SecureMemory::copy_from`] makes a copy that
/// can be seen in the source. Equality takes the same time wherever two buffers of one length differ.
pub struct SecureBytes {
    /// Bytes from `len` on are zero: every way to shorten wipes.
    block: Block,
    len: usize,
    memory: SecureMemory,
}

impl SecureBytes {
    pub(crate) const fn empty(memory: &SecureMemory) -> Self {
        Self {
            block: Block::empty(),
            len: 0,
            memory: SecureMemory::new(memory.policy()).with_backend(memory.backend()),
        }
    }

    pub(crate) fn with_capacity(
        capacity: usize,
        memory: &SecureMemory,
    ) -> Result<Self, MemoryError> {
        Ok(Self {
            block: Block::new(capacity, memory)?,
            len: 0,
            memory: memory.clone(),
        })
    }

    pub(crate) fn zeroed(len: usize, memory: &SecureMemory) -> Result<Self, MemoryError> {
        Ok(Self {
            // New blocks are zero throughout.
            block: Block::new(len, memory)?,
            len,
            memory: memory.clone(),
        })
    }

    /// The length in bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes it can hold without growing.
    pub const fn capacity(&self) -> usize {
        self.block.capacity()
    }

    /// Reads the secret.
    #[inline]
    pub fn expose(&self) -> &[u8] {
        // SAFETY: `len` never exceeds the capacity, all of which is initialised; the block is
        // borrowed for as long as the slice.
        unsafe { slice::from_raw_parts(self.block.ptr().as_ptr(), self.len) }
    }

    /// Changes the secret in place.
    #[inline]
    pub fn expose_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `expose`; the block is borrowed mutably, and has one owner.
        unsafe { slice::from_raw_parts_mut(self.block.ptr().as_ptr(), self.len) }
    }

    /// The handle it came from.
    pub const fn memory(&self) -> &SecureMemory {
        &self.memory
    }

    /// How this buffer is really protected. One that holds nothing yet has no memory to protect.
    pub fn protection(&self) -> Protection {
        self.block.protection()
    }

    /// Whether its pages are locked in memory.
    pub fn is_locked(&self) -> bool {
        matches!(self.protection(), Protection::Locked | Protection::Secret)
    }

    /// Room for `additional` more bytes; growth leaves nothing behind.
    ///
    /// # Errors
    /// When memory is out, or cannot be locked and the policy is [`Policy::Required`]. The buffer is
    /// as it was then.
    ///
    /// [`Policy::Required`]: crate::Policy::Required
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), MemoryError> {
        if self.capacity() - self.len >= additional {
            return Ok(());
        }
        let needed = self
            .len
            .checked_add(additional)
            .ok_or(MemoryError::OutOfMemory)?;
        // Twice as much, so that pushing byte by byte is not quadratic.
        let wanted = cmp::max(needed, self.capacity().saturating_mul(2));
        self.move_to(Block::new(wanted, &self.memory)?);
        Ok(())
    }

    /// Appends.
    ///
    /// # Errors
    /// As for [`try_reserve`](Self::try_reserve).
    pub fn try_extend_from_slice(&mut self, bytes: &[u8]) -> Result<(), MemoryError> {
        self.try_reserve(bytes.len())?;
        // SAFETY: there is room for `bytes` after `len`, and `bytes` cannot lie there, because
        // nothing hands out a reference to what is beyond `len`.
        unsafe {
            let end = self.block.ptr().as_ptr().add(self.len);
            ptr::copy_nonoverlapping(bytes.as_ptr(), end, bytes.len());
        }
        self.len += bytes.len();
        Ok(())
    }

    /// Changes the length; new bytes are zero, dropped bytes are wiped.
    ///
    /// # Errors
    /// As for [`try_reserve`](Self::try_reserve).
    pub fn try_resize(&mut self, len: usize) -> Result<(), MemoryError> {
        if len <= self.len {
            self.truncate(len);
        } else {
            self.try_reserve(len - self.len)?;
            self.len = len;
        }
        Ok(())
    }

    /// Shortens to `len`, wiping what is cut off. No effect when already shorter.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.expose_mut()[len..].zeroize();
            self.len = len;
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
        let len = self.len;
        assert!(n <= len, "cannot drain {n} bytes of {len}");
        self.expose_mut().copy_within(n.., 0);
        self.truncate(len - n);
    }

    /// Moves into locked pages, or out of them.
    pub(crate) fn relocate(
        &mut self,
        lock: bool,
        memory: &SecureMemory,
    ) -> Result<(), MemoryError> {
        if self.capacity() == 0 || self.is_locked() == lock {
            return Ok(());
        }
        let capacity = self.capacity();
        self.move_to(if lock {
            Block::locked(capacity, memory)?
        } else {
            Block::unlocked(capacity)?
        });
        Ok(())
    }

    /// Copies into `block`, which is large enough, and drops the old one, which wipes it.
    fn move_to(&mut self, block: Block) {
        debug_assert!(block.capacity() >= self.len);
        // SAFETY: both blocks hold at least `len` bytes, and are two allocations.
        unsafe {
            ptr::copy_nonoverlapping(self.block.ptr().as_ptr(), block.ptr().as_ptr(), self.len);
        }
        self.block = block;
    }
}

impl sealed::Sealed for SecureBytes {
    fn bytes_mut(&mut self) -> &mut SecureBytes {
        self
    }
}

impl fmt::Debug for SecureBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecureBytes([REDACTED])")
    }
}

impl PartialEq for SecureBytes {
    fn eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl Eq for SecureBytes {}

#[cfg(feature = "std")]
impl std::io::Write for SecureBytes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.try_extend_from_slice(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
