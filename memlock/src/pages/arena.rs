//! Small blocks: chunks of 64 KiB, cut into slabs of 4 KiB, each cut into slots of one size.
//!
//! ```text
//!   chunk   | slab | slab | slab | not opened yet ...        16 slabs, opened one after another
//!   slab    | slot | slot | slot | ...                       all of one class
//!   slot    | what the caller has: class size | canary |     the canary is 16 bytes
//! ```
//!
//! Which slots are taken is kept here, in ordinary memory: an overrun of a secret cannot reach it,
//! and it survives in a forked child, where the chunks turn to zeros. Slabs with a free slot are
//! chained through their indices, so that nothing is allocated when a slot is freed.

use core::ptr::NonNull;
use std::vec::Vec;

use super::{Failure, Kind, die, os::Advice, region::Region};

/// Bytes after the caller's that hold the canary.
pub(super) const CANARY: usize = 16;

const SLAB: usize = 4096;
const CHUNK: usize = 64 * 1024;
const SLABS: usize = CHUNK / SLAB;

/// Bytes a slot takes: as many to a slab as fit, in multiples of 16.
const STRIDES: [u16; 13] = [
    48, 80, 112, 144, 208, 272, 400, 528, 800, 1024, 1360, 2048, 4096,
];
const CLASSES: usize = STRIDES.len();

/// The chain of slabs that are open and belong to no class.
const SPARE: usize = CLASSES;
/// The mark of a slab that is not open.
const CLOSED: usize = CLASSES + 1;
/// The end of a chain.
const NONE: u32 = u32::MAX;

/// What a slot's number has room for: 128 GiB of secrets.
const MOST_SLABS: usize = 1 << 25;

/// The largest request that a slot can hold.
pub(super) const LARGEST: usize = STRIDES[CLASSES - 1] as usize - CANARY;

/// The class of a request, by its length in steps of 16.
const CLASS_OF: [u8; LARGEST / 16 + 1] = {
    let mut table = [0; LARGEST / 16 + 1];
    let (mut step, mut class) = (0, 0);
    while step < table.len() {
        while STRIDES[class] as usize - CANARY < step * 16 {
            class += 1;
        }
        table[step] = class as u8;
        step += 1;
    }
    table
};

/// A slot that has been handed out: the number of its slab, and below that its own.
///
/// One word, because it travels with every handle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot(u32);

impl Slot {
    const fn new(slab: u32, index: u32) -> Self {
        Self(slab << 7 | index)
    }

    const fn slab(self) -> u32 {
        self.0 >> 7
    }

    const fn index(self) -> u32 {
        self.0 & 0x7f
    }
}

/// All small blocks of one kind.
pub(super) struct Arena {
    kind: Kind,
    chunks: Vec<Option<Chunk>>,
    /// [`SLABS`] for each chunk, present or not.
    slabs: Vec<Slab>,
    /// The first slab of each chain: one for each class, and the spare ones.
    chains: [u32; CLASSES + 1],
    /// Chunks without a slot in use. One is kept, so that a lone buffer does not map and unmap.
    idle: usize,
}

struct Chunk {
    region: Region,
    /// Slabs that belong to a class.
    busy: usize,
}

#[derive(Clone)]
struct Slab {
    /// A bit for each slot; those that do not exist count as taken.
    taken: u128,
    /// A class, or `SPARE`, or `CLOSED`.
    class: u8,
    previous: u32,
    next: u32,
}

impl Arena {
    pub(super) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            chunks: Vec::new(),
            slabs: Vec::new(),
            chains: [NONE; CLASSES + 1],
            idle: 0,
        }
    }

    /// A slot for `len` bytes, opening another page if need be.
    pub(super) fn take(&mut self, len: usize) -> Result<Slot, Failure> {
        loop {
            if let Some(slot) = self.reuse(len) {
                return Ok(slot);
            }
            self.grow()?;
        }
    }

    /// A slot for `len` bytes in the pages that are open.
    #[inline]
    pub(super) fn reuse(&mut self, len: usize) -> Option<Slot> {
        let class = class_of(len);
        let slab = match self.chains[class] {
            NONE => self.assign(class)?,
            slab => slab,
        };
        let entry = &mut self.slabs[slab as usize];
        let index = (!entry.taken).trailing_zeros();
        entry.taken |= 1 << index;
        if entry.taken == u128::MAX {
            self.unchain(slab);
        }
        Some(Slot::new(slab, index))
    }

    /// Where a slot that has been taken begins.
    #[inline]
    pub(super) fn address(&self, slot: Slot) -> NonNull<u8> {
        let slab = slot.slab() as usize;
        let class = usize::from(self.slabs[slab].class);
        let offset = slab % SLABS * SLAB + slot.index() as usize * usize::from(STRIDES[class]);
        match &self.chunks[slab / SLABS] {
            // SAFETY: a slot that has been taken lies in an open slab of its chunk.
            Some(chunk) => unsafe { chunk.region.data().add(offset) },
            None => die("the pool lost a chunk that is in use"),
        }
    }

    /// Takes back a slot, which has been wiped.
    #[inline]
    pub(super) fn give_back(&mut self, slot: Slot) {
        let slab = slot.slab();
        let entry = &mut self.slabs[slab as usize];
        let class = usize::from(entry.class);
        let bit = 1 << slot.index();
        if class >= CLASSES || entry.taken & bit == 0 {
            die("a buffer was freed twice");
        }
        let was_full = entry.taken == u128::MAX;
        entry.taken &= !bit;
        let is_empty = entry.taken == unavailable(class);
        if was_full {
            self.chain(class, slab);
        }
        if is_empty {
            self.unchain(slab);
            self.chain(SPARE, slab);
            let chunk = slab as usize / SLABS;
            self.set_busy(chunk, |busy| busy - 1);
            if self.idle > 1 {
                self.release(chunk);
            }
        }
    }

    /// Bytes of pages that are open.
    pub(super) fn committed(&self) -> usize {
        let chunks = self.chunks.iter().flatten();
        chunks.map(|chunk| chunk.region.committed()).sum()
    }

    /// Gives back the pages that hold no slot, as far as they lie at the end of a chunk; tells how
    /// many bytes that were.
    pub(super) fn trim(&mut self) -> usize {
        let before = self.committed();
        for index in 0..self.chunks.len() {
            let Some(chunk) = &self.chunks[index] else {
                continue;
            };
            if chunk.busy == 0 {
                self.release(index);
            } else {
                self.trim_chunk(index);
            }
        }
        before - self.committed()
    }

    /// What the system granted for the whole arena, if it has any chunk.
    pub(super) fn advice(&self) -> Option<Advice> {
        let chunks = self.chunks.iter().flatten();
        chunks
            .map(|chunk| chunk.region.advice())
            .reduce(Advice::and)
    }

    /// Gives a spare slab to `class`.
    fn assign(&mut self, class: usize) -> Option<u32> {
        let slab = self.chains[SPARE];
        if slab == NONE {
            return None;
        }
        self.unchain(slab);
        self.chain(class, slab);
        self.slabs[slab as usize].taken = unavailable(class);
        self.set_busy(slab as usize / SLABS, |busy| busy + 1);
        Some(slab)
    }

    /// Opens another page, in a chunk that has one left or in a new one.
    fn grow(&mut self) -> Result<(), Failure> {
        let has_room =
            |chunk: &Option<Chunk>| matches!(chunk, Some(c) if c.region.committed() < CHUNK);
        if let Some(index) = self.chunks.iter().position(has_room)
            && let Some(chunk) = &mut self.chunks[index]
        {
            let before = chunk.region.committed();
            chunk.region.commit_to(before + SLAB)?;
            let after = chunk.region.committed();
            self.open_slabs(index, before, after);
            return Ok(());
        }
        let index = match self.chunks.iter().position(Option::is_none) {
            Some(index) => index,
            None => self.new_index()?,
        };
        let mut region = Region::reserve(CHUNK, self.kind)?;
        region.commit_to(SLAB)?;
        let committed = region.committed();
        self.chunks[index] = Some(Chunk { region, busy: 0 });
        self.idle += 1;
        self.open_slabs(index, 0, committed);
        Ok(())
    }

    /// Room in the tables for one more chunk.
    fn new_index(&mut self) -> Result<usize, Failure> {
        let index = self.chunks.len();
        if self.slabs.len() + SLABS > MOST_SLABS {
            return Err(Failure::Map);
        }
        self.chunks.try_reserve(1).map_err(|_| Failure::Map)?;
        self.slabs.try_reserve(SLABS).map_err(|_| Failure::Map)?;
        self.chunks.push(None);
        let closed = Slab {
            taken: u128::MAX,
            class: CLOSED as u8,
            previous: NONE,
            next: NONE,
        };
        self.slabs.resize(self.slabs.len() + SLABS, closed);
        Ok(index)
    }

    /// Puts the slabs of a range that has just been opened among the spare ones, the lowest first.
    fn open_slabs(&mut self, chunk: usize, from: usize, to: usize) {
        for slab in (from / SLAB..to.min(CHUNK) / SLAB).rev() {
            self.chain(SPARE, (chunk * SLABS + slab) as u32);
        }
    }

    /// Closes the end of a chunk behind its last slab in use.
    fn trim_chunk(&mut self, index: usize) {
        let slabs = index * SLABS..(index + 1) * SLABS;
        let in_use = |slab: &Slab| usize::from(slab.class) < CLASSES;
        let used = self.slabs[slabs.clone()].iter().rposition(in_use);
        let end = used.map_or(0, |last| (last + 1) * SLAB);
        let Some(chunk) = &mut self.chunks[index] else {
            return;
        };
        // SAFETY: no slab behind `end` is in use, and slots are wiped before they are given back.
        unsafe { chunk.region.shrink_to(end) };
        let open = chunk.region.committed() / SLAB;
        for slab in slabs.skip(open) {
            self.close_slab(slab);
        }
    }

    /// Gives a chunk without a slot in use back to the system.
    fn release(&mut self, index: usize) {
        for slab in index * SLABS..(index + 1) * SLABS {
            self.close_slab(slab);
        }
        self.chunks[index] = None;
        self.idle -= 1;
    }

    fn close_slab(&mut self, slab: usize) {
        if usize::from(self.slabs[slab].class) == SPARE {
            self.unchain(slab as u32);
            self.slabs[slab].class = CLOSED as u8;
        }
    }

    fn set_busy(&mut self, index: usize, change: impl FnOnce(usize) -> usize) {
        if let Some(chunk) = &mut self.chunks[index] {
            let before = chunk.busy;
            chunk.busy = change(before);
            match (before, chunk.busy) {
                (0, 1..) => self.idle -= 1,
                (1.., 0) => self.idle += 1,
                _ => {}
            }
        }
    }

    /// Puts a slab at the head of a chain.
    fn chain(&mut self, class: usize, slab: u32) {
        let next = self.chains[class];
        if let Some(next) = self.slabs.get_mut(next as usize) {
            next.previous = slab;
        }
        let entry = &mut self.slabs[slab as usize];
        entry.class = class as u8;
        entry.previous = NONE;
        entry.next = next;
        self.chains[class] = slab;
    }

    /// Takes a slab out of the chain it is in. It keeps its class.
    fn unchain(&mut self, slab: u32) {
        let Slab {
            class,
            previous,
            next,
            ..
        } = self.slabs[slab as usize];
        match self.slabs.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => self.chains[usize::from(class)] = next,
        }
        if let Some(next) = self.slabs.get_mut(next as usize) {
            next.previous = previous;
        }
    }
}

/// The class of a request that a slot can hold.
#[inline]
fn class_of(len: usize) -> usize {
    usize::from(CLASS_OF[len.div_ceil(16)])
}

/// How many bytes a request gets.
#[inline]
pub(super) fn capacity_for(len: usize) -> usize {
    capacity(class_of(len))
}

/// Bytes of a slot before its canary.
const fn capacity(class: usize) -> usize {
    STRIDES[class] as usize - CANARY
}

/// The bits of slots that a slab of this class does not have.
const fn unavailable(class: usize) -> u128 {
    u128::MAX << (SLAB / STRIDES[class] as usize)
}

const _: () = {
    let mut class = 0;
    while class < CLASSES {
        // Slots start aligned for anything, and a slab's bits fit the bitmap with one to spare.
        assert!(STRIDES[class].is_multiple_of(16) && SLAB / (STRIDES[class] as usize) < 128);
        class += 1;
    }
};
