//! A block of the global allocator, wiped when it is dropped: the floor under every backend.

use alloc::alloc::{alloc_zeroed, dealloc};
use core::{alloc::Layout, ptr::NonNull, slice};
use zeroize::Zeroize;

use crate::MemoryError;

/// What every block is aligned to at least, so that a `SecureBox` can live in it.
pub(crate) const ALIGN: usize = 16;

/// `len` zero bytes.
pub(crate) fn allocate(len: usize) -> Result<NonNull<u8>, MemoryError> {
    debug_assert!(len > 0);
    let layout = Layout::from_size_align(len, ALIGN).map_err(|_| MemoryError::OutOfMemory)?;
    // SAFETY: the layout is not empty; every caller turns a length of 0 into an empty block.
    NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(MemoryError::OutOfMemory)
}

/// Wipes and frees.
///
/// # Safety
/// `ptr` came from [`allocate`] with this `len`, and nothing refers to it any more.
pub(crate) unsafe fn free(ptr: NonNull<u8>, len: usize) {
    // SAFETY: the caller owns these bytes, which were initialised when they were allocated, and
    // the layout is the one they were allocated with.
    unsafe {
        wipe(ptr, len);
        dealloc(ptr.as_ptr(), Layout::from_size_align_unchecked(len, ALIGN));
    }
}

/// Overwrites with zeros, in a way the compiler keeps.
///
/// # Safety
/// `len` initialised bytes at `ptr` belong to the caller alone.
#[inline]
pub(crate) unsafe fn wipe(ptr: NonNull<u8>, len: usize) {
    // SAFETY: as the caller promises.
    unsafe { slice::from_raw_parts_mut(ptr.as_ptr(), len) }.zeroize();
}
