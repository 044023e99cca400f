//! What the pool keeps under its mutex, and what it does when the system refuses.

use super::{
    Failure, Kind,
    arena::Arena,
    os::{Advice, Os, System},
    region::Region,
};
use crate::{MemoryError, MemoryProtectionInfo};

/// After the system has refused to lock, this many chances to ask again are passed over.
const PATIENCE: u32 = 32;

/// The books of one pool.
pub(super) struct State {
    pub(super) arenas: [Arena; 3],
    /// Bytes of large blocks, by kind.
    pub(super) large: [usize; 3],
    unlocked_allocations: usize,
    unlocked_bytes: usize,
    lock_failures: u64,
    pub(super) last_error: Option<MemoryError>,
    /// How many more requests of `refused` bytes of pages, or more, are not worth trying.
    patience: u32,
    refused: usize,
    /// What was granted for the first pages, and for all since.
    pub(super) advice: Advice,
}

impl State {
    pub(super) fn new(advice: Advice) -> Self {
        Self {
            arenas: [Kind::Locked, Kind::Unlocked, Kind::Secret].map(Arena::new),
            large: [0; 3],
            unlocked_allocations: 0,
            unlocked_bytes: 0,
            lock_failures: 0,
            last_error: None,
            patience: 0,
            refused: 0,
            advice,
        }
    }

    /// Tries to take `len` bytes of one kind, with leave to open pages unless the system has just
    /// refused; and again after giving back idle pages, if that is what it takes.
    pub(super) fn with_patience<T>(
        &mut self,
        len: usize,
        kind: Kind,
        insist: bool,
        mut take: impl FnMut(&mut Self, bool) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let hopeless = self.patience > 0
            && kind != Kind::Unlocked
            && len.div_ceil(System::page_size()) >= self.refused.div_ceil(System::page_size());
        if hopeless && !insist {
            self.patience -= 1;
            return take(self, false);
        }
        match take(self, true) {
            Err(Failure::Lock { .. }) if self.trim() > 0 => take(self, true),
            result => result,
        }
    }

    /// Gives back locked pages that hold nothing.
    fn trim(&mut self) -> usize {
        let [locked, _, secret] = &mut self.arenas;
        locked.trim() + secret.trim()
    }

    /// Remembers a failure; tells whether it was a refusal to lock.
    pub(super) fn note(&mut self, failure: Failure, kind: Kind) -> bool {
        if let Failure::NotNow = failure {
            return true;
        }
        self.last_error = Some(failure.into_error());
        let Failure::Lock { requested, .. } = failure else {
            return false;
        };
        self.lock_failures += 1;
        if kind == Kind::Locked {
            // What is too much for a large buffer may be no matter for a small one.
            self.refused = match self.patience {
                0 => requested,
                _ => self.refused.min(requested),
            };
            self.patience = PATIENCE;
        }
        true
    }

    /// Pages have been given back: there is reason to try again.
    pub(super) fn encourage(&mut self) {
        self.patience = 0;
    }

    pub(super) fn count(&mut self, bytes: usize) {
        self.unlocked_allocations += 1;
        self.unlocked_bytes += bytes;
    }

    pub(super) fn uncount(&mut self, bytes: usize) {
        self.unlocked_allocations -= 1;
        self.unlocked_bytes -= bytes;
    }

    fn held(&self, kind: Kind) -> usize {
        self.arenas[kind as usize].committed() + self.large[kind as usize]
    }

    pub(super) fn describe(&mut self, info: &mut MemoryProtectionInfo) {
        let secret = self.held(Kind::Secret);
        let locked = self.held(Kind::Locked) + secret;
        info.has_memory_locking = locked > 0
            || match Region::open(1, Kind::Locked) {
                Ok(_) => true,
                Err(failure) => {
                    self.note(failure, Kind::Locked);
                    false
                }
            };
        let advice = self.arenas.iter().filter_map(Arena::advice);
        let advice = advice.fold(self.advice, Advice::and);
        info.locked_bytes = locked;
        info.secret_bytes = secret;
        info.unlocked_allocations = self.unlocked_allocations;
        info.unlocked_bytes = self.unlocked_bytes;
        info.lock_failures = self.lock_failures;
        info.excluded_from_core_dumps = advice.not_dumped;
        info.wiped_in_forked_child = advice.wiped_on_fork;
        info.last_error = self.last_error;
    }
}

impl Failure {
    pub(super) fn into_error(self) -> MemoryError {
        match self {
            Self::Map | Self::NotNow => MemoryError::OutOfMemory,
            Self::NoSecret { code } => MemoryError::SecretUnavailable { code },
            Self::Lock { code, requested } => MemoryError::LockRefused {
                code,
                limit: System::lock_limit().0,
                requested,
            },
        }
    }
}
