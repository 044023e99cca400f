//! An allocator that has nothing. A dependency of the post-quantum suite names `alloc`, so the linker wants one; that the
//! program runs on this one shows that the record level never asks it.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr;

struct Nothing;

#[global_allocator]
static NOTHING: Nothing = Nothing;

// SAFETY: null is what an allocator without memory returns, and so there is nothing to give back.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
