//! A global allocator that wipes what is freed.

use core::{
    alloc::{GlobalAlloc, Layout},
    mem::MaybeUninit,
    ptr, slice,
};
use zeroize::Zeroize;

/// A global allocator that wipes every block when it is freed or moved.
///
/// For programs, not for libraries: it is the only way to reach the copies that other libraries
/// make of a secret in their own buffers. Growing always moves, so that the old block is wiped;
/// that costs the in-place growth of the allocator underneath.
///
/// ```
/// use sealwire_memlock::ZeroOnFree;
///
/// #[global_allocator]
/// static ALLOCATOR: ZeroOnFree<std::alloc::System> = ZeroOnFree::new(std::alloc::System);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ZeroOnFree<A> {
    inner: A,
}

impl<A> ZeroOnFree<A> {
    /// Wraps `inner`, which does the allocating.
    pub const fn new(inner: A) -> Self {
        Self { inner }
    }
}

// SAFETY: every block comes from `inner` and goes back to it with the layout it was made with; the
// wipe writes only to a block that is about to be freed, and so has no other user.
unsafe impl<A: GlobalAlloc> GlobalAlloc for ZeroOnFree<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the one `inner` asks for.
        unsafe { self.inner.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the one `inner` asks for.
        unsafe { self.inner.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block has `layout.size()` bytes, perhaps never written, and no user but the
        // caller, who gives it up.
        unsafe { slice::from_raw_parts_mut(block.cast::<MaybeUninit<u8>>(), layout.size()) }
            .zeroize();
        // SAFETY: the caller's promise is the one `inner` asks for.
        unsafe { self.inner.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `new_size`, rounded up to the alignment, is a valid size.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: `new_size` is not zero, as the caller promises. The old block is freed only when
        // there is a new one, and both hold the bytes that are copied.
        unsafe {
            let new_block = self.alloc(new_layout);
            if !new_block.is_null() {
                ptr::copy_nonoverlapping(block, new_block, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            new_block
        }
    }
}
