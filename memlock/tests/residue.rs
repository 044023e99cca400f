//! What a scan of the whole process from outside finds: nothing once a secret is dropped, and
//! before that only what lies in locked pages. Each has a control that must find something.
#![cfg(all(target_os = "linux", feature = "std"))]

mod support;

use sealwire_memlock::{Policy, SecureBytes, SecureMemory, SecureString, scrub_stack};
use std::{fmt::Write as _, hint::black_box, io::Write as _};
use support::{PERIOD, Paused, byte, count, fill, is_child, linux::scan, pause};

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
        let mut buffers = [secret(64), secret(640), secret(16_000)];
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

/// What is in the vector registers.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
fn vector_registers() -> [u8; 16 * 16] {
    let mut all = [0; 16 * 16];
    // SAFETY: stores 16 registers to an array that is as large.
    unsafe {
        std::arch::asm!(
            "movdqu [{0}], xmm0", "movdqu [{0} + 16], xmm1", "movdqu [{0} + 32], xmm2",
            "movdqu [{0} + 48], xmm3", "movdqu [{0} + 64], xmm4", "movdqu [{0} + 80], xmm5",
            "movdqu [{0} + 96], xmm6", "movdqu [{0} + 112], xmm7", "movdqu [{0} + 128], xmm8",
            "movdqu [{0} + 144], xmm9", "movdqu [{0} + 160], xmm10", "movdqu [{0} + 176], xmm11",
            "movdqu [{0} + 192], xmm12", "movdqu [{0} + 208], xmm13", "movdqu [{0} + 224], xmm14",
            "movdqu [{0} + 240], xmm15",
            in(reg) all.as_mut_ptr(),
            options(nostack, preserves_flags),
        );
    }
    all
}

/// Leaves a secret in some of them, as a cipher does with its round keys.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
fn load(secret: &[u8; PERIOD]) {
    // SAFETY: loads two registers from an array that is as large; both are declared.
    unsafe {
        std::arch::asm!(
            "movdqu xmm9, [{0}]", "movdqu xmm10, [{0} + 16]",
            in(reg) secret.as_ptr(),
            out("xmm9") _, out("xmm10") _,
            options(nostack, preserves_flags, readonly),
        );
    }
}

/// The same, of AArch64.
#[cfg(target_arch = "aarch64")]
#[inline(never)]
fn vector_registers() -> [u8; 32 * 16] {
    let mut all = [0; 32 * 16];
    // SAFETY: stores 32 registers to an array that is as large.
    unsafe {
        std::arch::asm!(
            "stp q0, q1, [{0}]", "stp q2, q3, [{0}, #32]", "stp q4, q5, [{0}, #64]",
            "stp q6, q7, [{0}, #96]", "stp q8, q9, [{0}, #128]", "stp q10, q11, [{0}, #160]",
            "stp q12, q13, [{0}, #192]", "stp q14, q15, [{0}, #224]", "stp q16, q17, [{0}, #256]",
            "stp q18, q19, [{0}, #288]", "stp q20, q21, [{0}, #320]", "stp q22, q23, [{0}, #352]",
            "stp q24, q25, [{0}, #384]", "stp q26, q27, [{0}, #416]", "stp q28, q29, [{0}, #448]",
            "stp q30, q31, [{0}, #480]",
            in(reg) all.as_mut_ptr(),
            options(nostack, preserves_flags),
        );
    }
    all
}

/// The same, of AArch64.
#[cfg(target_arch = "aarch64")]
#[inline(never)]
fn load(secret: &[u8; PERIOD]) {
    // SAFETY: loads two registers from an array that is as large; both are declared.
    unsafe {
        std::arch::asm!(
            "ldp q20, q21, [{0}]",
            in(reg) secret.as_ptr(),
            out("v20") _, out("v21") _,
            options(nostack, preserves_flags, readonly),
        );
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn vector_registers_are_cleared() {
    let mut secret = [0; PERIOD];
    fill(&mut secret, 17);
    load(black_box(&secret));
    let kept = vector_registers();
    assert_eq!(
        count(&kept, 17),
        1,
        "the control: nothing clears them by chance"
    );
    scrub_stack(|| load(black_box(&secret)));
    let cleared = vector_registers();
    assert_eq!(count(&cleared, 17), 0);
}
