//! One value of any type in secure memory.

use core::{fmt, marker::PhantomData, mem, ptr::NonNull};

use crate::{MemoryError, Protection, SecureMemory, scrub_stack, store::Block};

/// One value in secure memory, such as a cipher with its round keys.
///
/// Only what lies in the value itself is protected, not what it points to: a `Vec` in here would
/// have its elements on the ordinary heap. The value is dropped, then wiped.
///
/// ```
/// use sealwire_memlock::{SecureBox, SecureMemory};
///
/// let round_keys = SecureBox::new(&SecureMemory::default(), || [[7u32; 4]; 15])?;
/// assert_eq!(round_keys.expose()[14], [7; 4]);
/// # Ok::<(), sealwire_memlock::MemoryError>(())
/// ```
pub struct SecureBox<T> {
    /// Holds an initialised `T` at `value`.
    block: Block,
    value: NonNull<T>,
    /// It owns a `T`, and can be sent and shared as a `T` can.
    owns: PhantomData<T>,
}

// SAFETY: it owns its value, which `T: Send` allows to be sent along.
unsafe impl<T: Send> Send for SecureBox<T> {}
// SAFETY: sharing it shares the value and nothing else.
unsafe impl<T: Sync> Sync for SecureBox<T> {}

impl<T> SecureBox<T> {
    /// Puts what `init` returns into secure memory.
    ///
    /// A value that a function returns passes over the stack; the stack is wiped after that.
    ///
    /// # Errors
    /// As for [`SecureMemory::alloc`]; `init` has not run then.
    pub fn new(memory: &SecureMemory, init: impl FnOnce() -> T) -> Result<Self, MemoryError> {
        // Blocks are aligned to 16 bytes; the slack lets the value start at a rounder address.
        let len = size_of::<T>()
            .max(1)
            .checked_add(align_of::<T>())
            .ok_or(MemoryError::OutOfMemory)?;
        let block = Block::new(len, memory)?;
        let start = block.ptr();
        let offset = start.align_offset(align_of::<T>());
        // SAFETY: the offset is less than the alignment, so the value ends within the block.
        let value = unsafe { start.add(offset) }.cast::<T>();
        // SAFETY: the value is aligned and within the block, which is ours.
        scrub_stack(|| unsafe { value.write(init()) });
        Ok(Self {
            block,
            value,
            owns: PhantomData,
        })
    }

    /// Reads the secret.
    pub fn expose(&self) -> &T {
        self.block.assert_kept();
        // SAFETY: the value was initialised in `new`, is still there, and is borrowed as the box is.
        unsafe { self.value.as_ref() }
    }

    /// Changes the secret in place.
    pub fn expose_mut(&mut self) -> &mut T {
        self.block.assert_kept();
        // SAFETY: as in `expose`, and the box is borrowed mutably.
        unsafe { self.value.as_mut() }
    }

    /// How the value is really protected.
    pub fn protection(&self) -> Protection {
        self.block.protection()
    }
}

impl<T> Drop for SecureBox<T> {
    fn drop(&mut self) {
        // In a forked child the value is no more: zeros need not be a `T`.
        if mem::needs_drop::<T>() && self.block.is_kept() {
            // SAFETY: the value was initialised in `new`, and is dropped once. If that panics, the
            // block is wiped all the same.
            unsafe { self.value.drop_in_place() }
        }
    }
}

impl<T> fmt::Debug for SecureBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecureBox([REDACTED])")
    }
}
