//! What a scan of the whole process from outside finds: nothing once a secret is dropped, and
//! before that only what lies in locked pages. Each has a control that must find something.
#![cfg(all(target_os = "linux", feature = "std"))]

mod support;

use sealwire_memlock::{Policy, SecureBytes, SecureMemory, SecureString, scrub_stack};
use std::{fmt::Write as _, hint::black_box, io::Write as _};
use support::{PERIOD, Paused, byte, fill, is_child, linux::scan, pause};

const SECRETS: usize = 1000;

/// Writes the secret byte by byte, so that there is no other copy.
fn write(buffer: &mut SecureBytes, seed: u64) {
    for i in 0..SECRETS * PERIOD {
        buffer.write_all(&[byte(seed, i)]).expect("there is memory");
    }
}

#[test]
fn growth_leaves_nothing_behind() {
    if is_child() {
        let memory = SecureMemory::new(Policy::Required);
        let mut buffer = memory.with_capacity(0).expect("nothing is asked for");
        write(&mut buffer, 11);
        let mut control = Vec::new();
        for i in 0..SECRETS * PERIOD {
            control.push(byte(12, i));
        }
        black_box(&control);
        control.fill(0);
        black_box(&control);
        pause("alive");
        drop(buffer);
        pause("dropped");
        drop(control);
        return;
    }
    let mut child = Paused::start("growth_leaves_nothing_behind");
    child.wait_for("alive");
    // 31 more places where the repeated secret begins are not whole.
    assert_eq!(scan(child.id(), 11), (SECRETS, 0), "alive");
    let (_, control) = scan(child.id(), 12);
    assert!(control > 0, "a vector that grew leaves something behind");
    println!("an ordinary vector left {control} copies behind as it grew");
    child.go_on();
    child.wait_for("dropped");
    assert_eq!(scan(child.id(), 11), (0, 0), "dropped");
    child.finish();
}

#[test]
fn shrinking_and_moving_leave_nothing_behind() {
    if is_child() {
        let memory = SecureMemory::new(Policy::Required);
        let secret = |len| {
            memory
                .init_with(len, |bytes| fill(bytes, 13))
                .expect("there is room")
        };
        let mut buffers = [secret(64), secret(640), secret(64_000)];
        for buffer in &mut buffers {
            memory.unlock_memory(buffer).expect("there is memory");
            memory.lock_memory(buffer).expect("there is room");
            buffer.drain_front(1);
            buffer.truncate(PERIOD - 1);
        }
        let mut text =
            SecureString::from_utf8(memory.with_capacity(0).expect("nothing")).expect("text");
        for i in 0..1000 {
            write!(text, "{i}").expect("there is room");
        }
        pause("shrunk");
        return;
    }
    let mut child = Paused::start("shrinking_and_moving_leave_nothing_behind");
    child.wait_for("shrunk");
    assert_eq!(scan(child.id(), 13), (0, 0));
    child.finish();
}

/// Leaves a secret on the stack, as a cipher does with its round keys.
#[inline(never)]
fn spill(seed: u64) -> u8 {
    let mut schedule = [0; 384 * PERIOD];
    fill(black_box(&mut schedule), seed);
    black_box(&schedule)[7]
}

/// Runs `f` in a thread that then waits for ever, so that nothing else writes over its stack.
fn on_a_stack_of_its_own(f: impl FnOnce() + Send + 'static) {
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        f();
        done.send(()).expect("the test is waiting");
        loop {
            std::thread::park();
        }
    });
    is_done.recv().expect("the thread is done");
}

#[test]
fn the_stack_is_scrubbed() {
    if is_child() {
        on_a_stack_of_its_own(|| {
            black_box(scrub_stack(|| spill(14)));
        });
        on_a_stack_of_its_own(|| {
            let panicked = std::panic::catch_unwind(|| {
                scrub_stack(|| {
                    black_box(spill(15));
                    // Without the hook, which would itself write over the stack.
                    std::panic::resume_unwind(Box::new(()));
                });
            });
            assert!(panicked.is_err());
        });
        on_a_stack_of_its_own(|| {
            black_box(spill(16));
        });
        pause("scrubbed");
        return;
    }
    let mut child = Paused::start("the_stack_is_scrubbed");
    child.wait_for("scrubbed");
    let (_, control) = scan(child.id(), 16);
    assert!(control > 0, "the control left nothing to find");
    assert_eq!(scan(child.id(), 14), (0, 0), "after a return");
    assert_eq!(scan(child.id(), 15), (0, 0), "after a panic");
    child.finish();
}
