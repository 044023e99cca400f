//! The wiping allocator, in a program that uses it.
#![cfg(all(target_os = "linux", feature = "std"))]

mod support;

use sealwire_memlock::ZeroOnFree;
use std::{
    alloc::{GlobalAlloc, Layout, System, alloc, dealloc, realloc},
    hint::black_box,
};
use support::{PERIOD, Paused, byte, fill, is_child, linux::scan, pause};

#[global_allocator]
static ALLOCATOR: ZeroOnFree<System> = ZeroOnFree::new(System);

fn push_all(seed: u64) -> Vec<u8> {
    let mut buffer = Vec::new();
    for i in 0..1000 * PERIOD {
        buffer.push(byte(seed, i));
    }
    black_box(buffer)
}

#[test]
fn freed_and_moved_blocks_are_wiped() {
    if is_child() {
        let kept = push_all(21);
        drop(push_all(22));
        let mut shrunk = push_all(23);
        shrunk.truncate(PERIOD / 2);
        shrunk.shrink_to_fit();
        black_box(&shrunk);
        // The control goes around the wrapper.
        let layout = Layout::new::<[u8; 2048]>();
        // SAFETY: a block is filled and freed as it was made.
        unsafe {
            let block = System.alloc(layout);
            fill(std::slice::from_raw_parts_mut(block, 2048), 24);
            System.dealloc(black_box(block), layout);
        }
        pause("freed");
        drop((kept, shrunk));
        return;
    }
    let mut child = Paused::start("freed_and_moved_blocks_are_wiped");
    child.wait_for("freed");
    assert_eq!(scan(child.id(), 21), (0, 1000), "only the live one");
    assert_eq!(scan(child.id(), 22), (0, 0), "freed");
    assert_eq!(scan(child.id(), 23), (0, 0), "shrunk");
    assert!(
        scan(child.id(), 24).1 > 0,
        "the control left nothing to find"
    );
    child.finish();
}

#[test]
fn moved_blocks_keep_their_contents_and_alignment() {
    let layout = Layout::from_size_align(100, 256).expect("a valid layout");
    // SAFETY: blocks are used within their sizes, moved with the layout they have, and freed once.
    unsafe {
        let mut block = alloc(layout);
        fill(std::slice::from_raw_parts_mut(block, 100), 25);
        block = realloc(block, layout, 5000);
        let larger = Layout::from_size_align(5000, 256).expect("a valid layout");
        block = realloc(block, larger, 50);
        let smaller = Layout::from_size_align(50, 256).expect("a valid layout");
        assert_eq!(block.addr() % 256, 0);
        let bytes = std::slice::from_raw_parts(block, 50);
        assert!(bytes.iter().enumerate().all(|(i, b)| *b == byte(25, i)));
        dealloc(block, smaller);
    }
}
