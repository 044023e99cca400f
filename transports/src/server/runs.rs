//! Requests that run once (REPLAY-6).

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use sealwire_core::head::RequestHead;
use sealwire_core::replay::WINDOW;
use sealwire_core::{ErrorCode, UnixTime};
use sealwire_memlock::scrub_stack;
use sha2::{Digest, Sha256};

use super::lock;
use crate::clock::unix_now;

type Hash = [u8; 32];

/// Which requests run, or ran within the window, by idempotency key and authorization.
pub(super) struct Runs(Arc<Mutex<Table>>);

struct Table {
    capacity: usize,
    known: HashSet<Hash>,
    /// Those that have ended, and when they are forgotten; the first one first.
    ended: VecDeque<(UnixTime, Hash)>,
}

impl Runs {
    /// Remembers up to `capacity` requests.
    pub(super) fn new(capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(Table {
            capacity,
            known: HashSet::new(),
            ended: VecDeque::new(),
        })))
    }

    /// Whether the request may run, and the proof that it does. One without an idempotency key always may.
    pub(super) fn begin(&self, head: &RequestHead<'_>) -> Result<Run, ErrorCode> {
        let hash = head.idempotency_key.map(|key| {
            // The key is at most 64 bytes, so one byte tells where it ends.
            let parts = [
                &[key.len() as u8],
                key.as_bytes(),
                head.authorization.unwrap_or_default().as_bytes(),
            ];
            // The hash holds the API key until it has a block of it.
            scrub_stack(|| {
                let hash = parts.iter().fold(Sha256::new(), Digest::chain_update);
                hash.finalize().into()
            })
        });
        if let Some(hash) = hash {
            lock(&self.0).begin(hash, unix_now())?;
        }
        Ok(Run {
            table: self.0.clone(),
            hash,
            counts: true,
        })
    }
}

impl Table {
    fn begin(&mut self, hash: Hash, now: UnixTime) -> Result<(), ErrorCode> {
        while let Some((_, hash)) = self.ended.pop_front_if(|ended| ended.0 < now) {
            self.known.remove(&hash);
        }
        if self.known.contains(&hash) {
            return Err(ErrorCode::Duplicate);
        }
        if self.known.len() >= self.capacity {
            return Err(ErrorCode::Busy);
        }
        self.known.insert(hash);
        Ok(())
    }

    fn end(&mut self, hash: Hash, counts: bool, now: UnixTime) {
        if counts {
            self.ended.push_back((now.saturating_add(WINDOW), hash));
        } else {
            self.known.remove(&hash);
        }
    }
}

/// A request that runs, until this is dropped.
pub(crate) struct Run {
    table: Arc<Mutex<Table>>,
    hash: Option<Hash>,
    counts: bool,
}

impl Run {
    /// The request came to nothing, and its client is told to try again: that try is no duplicate.
    pub(crate) fn failed(&mut self) {
        self.counts = false;
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(hash) = self.hash {
            lock(&self.table).end(hash, self.counts, unix_now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_runs_once_within_the_window() {
        let runs = Runs::new(2);
        let mut table = lock(&runs.0);
        let at = UnixTime::from_millis;
        let window = WINDOW.as_millis() as u64;
        assert_eq!(table.begin([1; 32], at(0)), Ok(()));
        assert_eq!(
            table.begin([1; 32], at(window * 9)),
            Err(ErrorCode::Duplicate)
        );
        table.end([1; 32], true, at(100));
        assert_eq!(
            table.begin([1; 32], at(100 + window)),
            Err(ErrorCode::Duplicate)
        );
        assert_eq!(table.begin([1; 32], at(101 + window)), Ok(()));
        assert_eq!(table.begin([2; 32], at(101 + window)), Ok(()));
        assert_eq!(table.begin([3; 32], at(101 + window)), Err(ErrorCode::Busy));
        // REPLAY-7: what runs already is a duplicate, however full the table is.
        let again = table.begin([2; 32], at(101 + window));
        assert_eq!(again, Err(ErrorCode::Duplicate));
        table.end([2; 32], false, at(101 + window));
        assert_eq!(table.begin([2; 32], at(101 + window)), Ok(()));
    }
}
