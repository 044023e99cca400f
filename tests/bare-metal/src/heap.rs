//! The heap of the session level, which remembers the most that was ever in use.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};

use embedded_alloc::LlffHeap;

/// Bytes of the heap.
const SIZE: usize = 16 * 1024;

struct Counted {
    heap: LlffHeap,
    peak: AtomicUsize,
}

#[global_allocator]
static HEAP: Counted = Counted {
    heap: LlffHeap::empty(),
    peak: AtomicUsize::new(0),
};

// SAFETY: everything is the inner allocator's; counting beside it changes nothing.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let block = unsafe { self.heap.alloc(layout) };
        self.peak.fetch_max(self.heap.used(), Ordering::Relaxed);
        block
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { self.heap.dealloc(ptr, layout) }
    }
}

/// Gives the heap its memory; once, before the first allocation.
pub fn start() {
    let heap = &HEAP.heap;
    // SAFETY: called once, first thing in `main`; the array that the macro declares is the heap's alone.
    unsafe {
        embedded_alloc::init!(heap, SIZE);
    }
}

/// The most bytes that were ever in use.
pub(crate) fn peak() -> usize {
    HEAP.peak.load(Ordering::Relaxed)
}

/// Bytes in use.
pub(crate) fn used() -> usize {
    HEAP.heap.used()
}
