//! Idle connections, kept for the next exchange.

use std::time::{Duration, Instant};

use crate::cell::Cell;

/// How many are kept.
const CAPACITY: usize = 32;
/// How long one is kept: less than what servers and proxies commonly wait before they close it.
const LIFETIME: Duration = Duration::from_secs(30);

/// Idle connections to one gateway, the one used last on top.
pub(crate) struct Pool<C>(Cell<Vec<(Instant, C)>>);

impl<C> Pool<C> {
    pub(crate) fn new() -> Self {
        Self(Cell::default())
    }

    /// The connection that was used last and `is_alive`.
    pub(crate) fn take(&self, mut is_alive: impl FnMut(&mut C) -> bool) -> Option<C> {
        loop {
            let (since, mut connection) = self.0.with(Vec::pop)?;
            if since.elapsed() < LIFETIME && is_alive(&mut connection) {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection, and drops what has been there for too long.
    pub(crate) fn put(&self, connection: C) {
        let dropped = self.0.with(|idle| {
            let expired = idle.partition_point(|(since, _)| since.elapsed() >= LIFETIME);
            let excess = (idle.len() + 1 - expired).saturating_sub(CAPACITY);
            let dropped: Vec<_> = idle.drain(..expired + excess).collect();
            idle.push((Instant::now(), connection));
            dropped
        });
        // Closing is no work for a lock.
        drop(dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::{CAPACITY, Pool};

    #[test]
    fn the_last_one_first_and_no_more_than_fit() {
        let pool = Pool::new();
        for n in 0..CAPACITY + 5 {
            pool.put(n);
        }
        assert_eq!(pool.take(|_| true), Some(CAPACITY + 4));
        let mut left = 0;
        while pool.take(|n| *n % 2 == 0).is_some() {
            left += 1;
        }
        assert_eq!(left, (5..CAPACITY + 4).filter(|n| n % 2 == 0).count());
    }
}
