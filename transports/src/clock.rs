//! The machine's clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sealwire_core::{Now, UnixTime};

/// Counts from when it was made.
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            monotonic: self.start.elapsed(),
            unix: unix_now(),
        }
    }

    /// The instant of a monotonic time.
    #[cfg(any(feature = "hyper", feature = "std"))]
    pub(crate) fn instant(&self, monotonic: std::time::Duration) -> Instant {
        // A time too far away to be told is as good as never.
        let never = || self.start + std::time::Duration::from_secs(u32::MAX.into());
        self.start.checked_add(monotonic).unwrap_or_else(never)
    }
}

/// The wall clock; unknown before 1970.
pub(crate) fn unix_now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(UnixTime::UNKNOWN, |since| {
        UnixTime::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    })
}
