//! Secure memory against plain vectors: allocate, grow, shrink, drop, lock and unlock in any order. No two buffers overlap, no byte is
//! lost, new bytes are zero, and a slot that comes back comes back as zeros (the pool aborts if not). The same model as in
//! `memlock/tests/model.rs`, where it runs from several threads and under a tight limit.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sealwire_memlock::{Backend, Policy, SecureBytes, SecureMemory};

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Op {
    Alloc(Size, u8),
    WithCapacity(Size),
    Copy(Size, u8),
    Drop(u8),
    DropAll,
    Extend(u8, Size, u8),
    Reserve(u8, Size),
    Resize(u8, Size),
    Truncate(u8, Size),
    DrainFront(u8, Size),
    Clear(u8),
    Lock(u8),
    Unlock(u8),
}

/// Mostly small, at times a mapping of its own.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Size {
    Tiny(u8),
    Class(u16),
    Large(u16),
}

impl Size {
    fn get(self) -> usize {
        match self {
            Self::Tiny(len) => len.into(),
            Self::Class(len) => usize::from(len) % 4200,
            Self::Large(len) => usize::from(len),
        }
    }
}

#[derive(Arbitrary, Debug)]
struct Plan {
    policy: u8,
    secret_pages: bool,
    ops: Vec<Op>,
}

/// A buffer and what should be in it.
type Pair = (SecureBytes, Vec<u8>);

struct Model {
    memory: SecureMemory,
    live: Vec<Pair>,
}

impl Model {
    fn push(&mut self, buffer: SecureBytes, model: Vec<u8>) {
        self.live.push((buffer, model));
        check(self.live.last().expect("just pushed"));
    }

    fn change(&mut self, index: u8, change: impl FnOnce(&SecureMemory, &mut Pair)) {
        let count = self.live.len();
        if let Some(pair) = self.live.get_mut(usize::from(index) % count.max(1)) {
            change(&self.memory, pair);
            check(pair);
        }
    }

    fn apply(&mut self, op: Op) {
        let memory = self.memory.clone();
        match op {
            Op::Alloc(size, stamp) => {
                let mut buffer = memory.alloc(size.get()).expect("there is memory");
                assert!(buffer.expose().iter().all(|b| *b == 0), "not zero");
                buffer.expose_mut().fill(stamp);
                self.push(buffer, vec![stamp; size.get()]);
            }
            Op::WithCapacity(size) => {
                let buffer = memory.with_capacity(size.get()).expect("there is memory");
                assert!(buffer.capacity() >= size.get());
                self.push(buffer, Vec::new());
            }
            Op::Copy(size, stamp) => {
                let model = vec![stamp; size.get()];
                let buffer = memory.copy_from(&model).expect("there is memory");
                self.push(buffer, model);
            }
            Op::Drop(index) if !self.live.is_empty() => {
                let index = usize::from(index) % self.live.len();
                drop(self.live.swap_remove(index));
            }
            Op::Drop(_) => {}
            Op::DropAll => self.live.clear(),
            Op::Extend(index, size, stamp) => self.change(index, |_, (buffer, model)| {
                let more = vec![stamp; size.get() / 4];
                let extended = buffer.try_extend_from_slice(&more);
                extended.expect("there is memory");
                model.extend_from_slice(&more);
            }),
            Op::Reserve(index, size) => self.change(index, |_, (buffer, model)| {
                buffer.try_reserve(size.get()).expect("there is memory");
                assert!(buffer.capacity() - buffer.len() >= size.get());
                assert_eq!(buffer.len(), model.len());
            }),
            Op::Resize(index, size) => self.change(index, |_, (buffer, model)| {
                buffer.try_resize(size.get()).expect("there is memory");
                model.resize(size.get(), 0);
            }),
            Op::Truncate(index, size) => self.change(index, |_, (buffer, model)| {
                buffer.truncate(size.get());
                model.truncate(size.get());
            }),
            Op::DrainFront(index, size) => self.change(index, |_, (buffer, model)| {
                let count = size.get().min(model.len());
                buffer.drain_front(count);
                model.drain(..count);
            }),
            Op::Clear(index) => self.change(index, |_, (buffer, model)| {
                buffer.clear();
                model.clear();
            }),
            // Both may be refused, which changes nothing.
            Op::Lock(index) => self.change(index, |memory, (buffer, _)| {
                let _ = memory.lock_memory(buffer);
            }),
            Op::Unlock(index) => self.change(index, |memory, (buffer, _)| {
                let _ = memory.unlock_memory(buffer);
            }),
        }
    }
}

fn check((buffer, model): &Pair) {
    assert!(buffer.expose() == model, "{} bytes differ", model.len());
    assert!(buffer.capacity() >= buffer.len());
}

/// No two buffers share a byte of their capacity.
fn apart(live: &[Pair]) {
    let used = live.iter().filter(|(buffer, _)| buffer.capacity() > 0);
    let mut ranges: Vec<_> = used
        .map(|(buffer, _)| {
            let start = buffer.expose().as_ptr().addr();
            (start, start + buffer.capacity())
        })
        .collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "buffers overlap");
    }
}

fuzz_target!(|plan: Plan| {
    let policy = match plan.policy % 8 {
        0 => Policy::Off,
        // Required is refused where nothing can be locked, which is not what is looked for here.
        _ => Policy::BestEffort,
    };
    let backend = match plan.secret_pages {
        true => Backend::MemfdSecret,
        false => Backend::Pages,
    };
    let mut model = Model {
        memory: SecureMemory::new(policy).with_backend(backend),
        live: Vec::new(),
    };
    for op in plan.ops.iter().take(256) {
        model.apply(*op);
    }
    model.live.iter().for_each(check);
    apart(&model.live);
});
