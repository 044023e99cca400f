//! The replay window (spec section 11).

use core::time::Duration;

use crate::time::UnixTime;

/// How far a request's time may be from the gateway's clock, in either direction (REPLAY-1).
pub const WINDOW: Duration = Duration::from_millis(300_000);

/// What a store says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Seen for the first time, and remembered.
    Admitted,
    /// Seen before.
    Replayed,
    /// No room: refuse rather than forget (REPLAY-3).
    Full,
    /// From a time of which the store cannot tell (REPLAY-4).
    TooOld,
}

/// Remembers which requests were seen. Gateways that share keys share a store.
pub trait ReplayStore {
    /// Admits the hash of an OPEN body, once, and remembers it until `expires`, that moment included. `sent` is the time in the
    /// request. A store that cannot be asked says [`Full`](Admission::Full): it refuses rather than guesses.
    fn admit(
        &mut self,
        hash: &[u8; 32],
        sent: UnixTime,
        expires: UnixTime,
        now: UnixTime,
    ) -> Admission;
}

#[cfg(feature = "alloc")]
pub use memory::MemoryReplayStore;

#[cfg(feature = "alloc")]
mod memory {
    use super::{Admission, ReplayStore};
    use crate::time::UnixTime;
    use alloc::collections::{BTreeMap, BTreeSet};

    /// A store in this process, bounded: 80 bytes and the overhead of two trees for each request.
    #[derive(Debug)]
    pub struct MemoryReplayStore {
        not_before: UnixTime,
        /// The latest time seen: what expired before it may have been forgotten, also if the clock is set back afterwards.
        latest: UnixTime,
        capacity: usize,
        seen: BTreeMap<[u8; 32], UnixTime>,
        by_expiry: BTreeSet<(UnixTime, [u8; 32])>,
    }

    impl MemoryReplayStore {
        /// A store that remembers up to `capacity` requests, of a gateway whose epoch keys are as young as the store.
        pub const fn new(capacity: usize) -> Self {
            Self {
                not_before: UnixTime::UNKNOWN,
                latest: UnixTime::UNKNOWN,
                capacity,
                seen: BTreeMap::new(),
                by_expiry: BTreeSet::new(),
            }
        }

        /// A store of a gateway that started again at `started` with epoch keys from before: what was admitted then is not known.
        pub const fn after_restart(capacity: usize, started: UnixTime) -> Self {
            Self {
                not_before: started.saturating_add(super::WINDOW),
                latest: UnixTime::UNKNOWN,
                capacity,
                seen: BTreeMap::new(),
                by_expiry: BTreeSet::new(),
            }
        }

        /// Requests remembered now.
        pub fn len(&self) -> usize {
            self.seen.len()
        }

        /// Whether nothing is remembered.
        pub fn is_empty(&self) -> bool {
            self.seen.is_empty()
        }

        fn forget_expired(&mut self, now: UnixTime) {
            while let Some(first) = self
                .by_expiry
                .first()
                .filter(|first| first.0 < now)
                .copied()
            {
                self.by_expiry.remove(&first);
                self.seen.remove(&first.1);
            }
        }
    }

    impl ReplayStore for MemoryReplayStore {
        fn admit(
            &mut self,
            hash: &[u8; 32],
            sent: UnixTime,
            expires: UnixTime,
            now: UnixTime,
        ) -> Admission {
            self.latest = self.latest.max(now);
            self.forget_expired(self.latest);
            if sent < self.not_before || expires < self.latest {
                return Admission::TooOld;
            }
            if self.seen.contains_key(hash) {
                return Admission::Replayed;
            }
            if self.seen.len() >= self.capacity {
                return Admission::Full;
            }
            self.seen.insert(*hash, expires);
            self.by_expiry.insert((expires, *hash));
            Admission::Admitted
        }
    }
}
