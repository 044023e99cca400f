//! What every platform promises, whatever it can lock.
#![cfg(feature = "alloc")]

use core::fmt::Write as _;
use sealwire_memlock::{
    Backend, MemoryError, Policy, Protection, ProtectionLevel, SecureArray, SecureBox, SecureBytes,
    SecureMemory, SecureString, memory_protection_info, scrub_stack, secure_bytes,
};

const MARKER: &str = "MARKER-5f1c";

fn memory() -> SecureMemory {
    SecureMemory::default()
}

fn bytes(text: &str) -> SecureBytes {
    memory()
        .copy_from(text.as_bytes())
        .expect("there is memory")
}

#[test]
fn bytes_grow_shrink_and_stay_zero_beyond_their_end() {
    let mut buffer = bytes("0123456789");
    assert_eq!((buffer.len(), buffer.is_empty()), (10, false));
    buffer.drain_front(3);
    assert_eq!(buffer.expose(), b"3456789");
    buffer.truncate(4);
    buffer.try_resize(10).expect("there is memory");
    assert_eq!(buffer.expose(), b"3456\0\0\0\0\0\0");
    buffer.try_reserve(100_000).expect("there is memory");
    assert!(buffer.capacity() >= 100_010);
    assert_eq!(buffer.expose(), b"3456\0\0\0\0\0\0");
    let capacity = buffer.capacity();
    buffer.clear();
    assert!(buffer.is_empty());
    assert_eq!(buffer.capacity(), capacity);
    buffer.try_resize(100_000).expect("there is memory");
    assert!(buffer.expose().iter().all(|b| *b == 0));
}

#[test]
fn every_length_up_to_two_pages_is_held_apart() {
    let live: Vec<_> = (0..=8200_usize)
        .step_by(7)
        .map(|len| {
            memory()
                .init_with(len, |b| b.fill(len as u8))
                .expect("there is memory")
        })
        .collect();
    for buffer in &live {
        assert!(buffer.capacity() >= buffer.len());
        assert!(buffer.expose().iter().all(|b| *b == buffer.len() as u8));
    }
}

#[test]
fn empty_buffers_allocate_nothing() {
    let mut empty = memory().alloc(0).expect("nothing is asked for");
    assert_eq!((empty.len(), empty.capacity()), (0, 0));
    assert_eq!(empty.expose(), b"");
    empty.clear();
    empty.drain_front(0);
    assert_eq!(memory().string().expose(), "");
    assert_eq!(
        memory()
            .array::<0>()
            .expect("nothing is asked for")
            .expose(),
        b""
    );
}

#[test]
fn absurd_sizes_are_errors() {
    for len in [usize::MAX, usize::MAX / 2, isize::MAX as usize] {
        assert!(memory().alloc(len).is_err());
        assert!(bytes("x").try_reserve(len).is_err());
    }
}

#[test]
#[should_panic(expected = "cannot drain 4 bytes of 3")]
fn draining_too_much_panics() {
    bytes("abc").drain_front(4);
}

#[test]
fn strings_are_text() {
    let mut text = memory().string();
    write!(text, "ä-{}", 7).expect("there is memory");
    assert_eq!((text.expose(), text.len()), ("ä-7", 4));
    assert!(SecureString::from_utf8(bytes("ok")).is_ok_and(|s| s.expose() == "ok"));
    let invalid = memory().copy_from(&[0xff]).expect("there is memory");
    let back = SecureString::from_utf8(invalid).expect_err("not UTF-8");
    assert_eq!(back.expose(), [0xff]);
    assert_eq!(text.into_bytes().expose(), "ä-7".as_bytes());
}

#[test]
fn arrays_and_boxes_are_filled_in_place() {
    let array =
        SecureArray::<32>::init_with(&memory(), |key| key[31] = 1).expect("there is memory");
    assert_eq!(array.expose()[31], 1);
    let failed = SecureArray::<32>::try_init_with(&memory(), |_| Err(MemoryError::OutOfMemory));
    assert_eq!(
        failed.expect_err("the source failed"),
        MemoryError::OutOfMemory
    );

    #[repr(align(256))]
    struct Aligned([u8; 300]);
    for _ in 0..20 {
        let value = SecureBox::new(&memory(), || Aligned([7; 300])).expect("there is memory");
        assert_eq!(core::ptr::from_ref(value.expose()).addr() % 256, 0);
        assert_eq!(value.expose().0, [7; 300]);
    }
    let mut list = SecureBox::new(&memory(), Vec::new).expect("there is memory");
    list.expose_mut().push(String::from("dropped"));
    SecureBox::new(&memory(), || ())
        .expect("there is memory")
        .expose();
}

#[test]
fn equality_is_by_content() {
    assert_eq!(bytes("abc"), bytes("abc"));
    assert_ne!(bytes("abc"), bytes("abd"));
    assert_ne!(bytes("abc"), bytes("ab"));
    assert_eq!(memory().array::<4>(), memory().array::<4>());
}

#[test]
fn secure_bytes_wipes_its_source_on_every_way_out() {
    let mut source = *b"secret";
    let length = secure_bytes(&mut source, |s| s.expose().len()).expect("there is memory");
    assert_eq!((length, source), (6, [0; 6]));

    let mut source = *b"secret";
    let failed: Result<Result<(), &str>, _> = secure_bytes(&mut source, |_| Err("no"));
    assert_eq!((failed, source), (Ok(Err("no")), [0; 6]));
}

#[test]
fn nothing_shows_a_secret() {
    let memory = memory();
    let text = SecureString::from_utf8(bytes(MARKER)).expect("UTF-8");
    let array = SecureArray::<11>::init_with(&memory, |a| a.copy_from_slice(MARKER.as_bytes()))
        .expect("there is memory");
    let boxed = SecureBox::new(&memory, || MARKER).expect("there is memory");
    let secret = bytes(MARKER);
    let shown = [
        format!("{secret:?} {secret:#?}"),
        format!("{text:?} {text:#?} {:?}", Some(&text)),
        format!("{array:?} {array:#?}"),
        format!("{boxed:?} {memory:?}"),
        format!("{:?}", SecureString::from_utf8(bytes("\u{0}")).map(|_| ())),
        format!("{:?}", memory_protection_info()),
        memory_protection_info().to_json(),
    ];
    for shown in &shown {
        assert!(
            !shown.contains(MARKER) && !shown.contains("77, 65"),
            "{shown}"
        );
    }
    assert!(shown[0].contains("[REDACTED]") && shown[1].contains("[REDACTED]"));
}

#[test]
fn off_is_ordinary_memory_and_required_is_not() {
    let off = SecureMemory::new(Policy::Off);
    let buffer = off.alloc(10).expect("there is memory");
    assert_eq!(buffer.protection(), Protection::Wiped);
    assert_eq!(
        off.protection_info().protection_level,
        ProtectionLevel::None
    );
    match SecureMemory::new(Policy::Required).alloc(10) {
        Ok(buffer) => assert!(buffer.is_locked()),
        Err(error) => assert!(!error.remedy().is_empty() && !error.to_string().is_empty()),
    }
    let secret = SecureMemory::default().with_backend(Backend::MemfdSecret);
    assert_eq!(
        secret.copy_from(b"key").expect("falls back").expose(),
        b"key"
    );
}

#[test]
fn the_report_agrees_with_itself() {
    let info = memory_protection_info();
    let json = info.to_json();
    assert!(json.starts_with('{') && json.ends_with('}'));
    for name in [
        "enabled",
        "platform",
        "protection_level",
        "has_memory_locking",
    ] {
        assert!(json.contains(&format!("\"{name}\":")), "{json}");
    }
    assert_eq!(
        info.supports_full_protection,
        info.has_memory_locking && info.has_secure_zeroing
    );
    if info.protection_level == ProtectionLevel::Full {
        assert!(info.enabled && info.supports_full_protection);
    }
}

#[test]
fn scrub_stack_returns_what_was_computed() {
    assert_eq!(scrub_stack(|| [1, 2, 3]), [1, 2, 3]);
}

#[cfg(feature = "std")]
mod with_std {
    use super::*;
    use sealwire_memlock::{disable_secure_memory, enable_secure_memory};
    use std::io::Write as _;

    #[test]
    fn bytes_are_a_writer() {
        let mut buffer = bytes("a");
        write!(buffer, "{}", 42).expect("there is memory");
        buffer.write_all(b"!").expect("there is memory");
        buffer.flush().expect("nothing to flush");
        assert_eq!(buffer.expose(), b"a42!");
    }

    #[test]
    #[cfg(panic = "unwind")]
    fn a_panic_wipes_and_shows_nothing() {
        use std::panic::{AssertUnwindSafe, catch_unwind};

        let mut source = MARKER.as_bytes().to_vec();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _ = secure_bytes(&mut source, |secret| {
                let _moved = memory().copy_from(secret.expose());
                panic!("in the middle: {secret:?}")
            });
        }));
        let payload = panicked.expect_err("it panicked");
        let message = payload
            .downcast_ref::<String>()
            .expect("a formatted message");
        assert!(message.contains("[REDACTED]") && !message.contains(MARKER));
        assert!(source.iter().all(|b| *b == 0));
        // The pool is as good as before.
        assert_eq!(bytes("after").expose(), b"after");
    }

    /// The switch is the process's, so all of this is one test, with buffers of its own.
    #[test]
    fn the_switch_is_for_new_buffers() {
        let before = bytes(MARKER);
        let protection = before.protection();
        disable_secure_memory();
        let during = bytes(MARKER);
        let info = memory_protection_info();
        let refused = SecureMemory::new(Policy::Required).alloc(1);
        enable_secure_memory();
        assert_eq!(during.protection(), Protection::Wiped);
        assert_eq!(
            (info.enabled, info.protection_level),
            (false, ProtectionLevel::None)
        );
        let error = refused.expect_err("the switch is off");
        assert!(matches!(
            error,
            MemoryError::Disabled | MemoryError::Unsupported
        ));
        assert_eq!(
            (before.protection(), before.expose()),
            (protection, MARKER.as_bytes())
        );
        assert_eq!(bytes("x").protection(), protection);
    }
}

/// Where there are no pages to lock, the report does not claim any, and `Required` is an error.
#[cfg(any(target_family = "wasm", not(feature = "std")))]
#[test]
fn without_locks_the_report_says_zeroing_only() {
    use sealwire_memlock::{MemoryError, ProtectionLevel, memory_protection_info};

    let live = memory().alloc(100).expect("there is memory");
    let info = memory_protection_info();
    assert_eq!(info.protection_level, ProtectionLevel::ZeroingOnly);
    assert!(!info.has_memory_locking && !info.supports_full_protection);
    assert!(info.has_secure_zeroing);
    assert_eq!((info.backend, info.locked_bytes), ("plain", 0));
    assert_eq!(info.last_error, Some(MemoryError::Unsupported));
    let refused = SecureMemory::new(Policy::Required).alloc(1);
    assert_eq!(refused.err(), Some(MemoryError::Unsupported));
    drop(live);
}
