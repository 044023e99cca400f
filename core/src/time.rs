//! Points in time, always handed in by the caller.

use core::time::Duration;

/// A wall-clock time in milliseconds since the Unix epoch.
///
/// Zero means "no clock": a client that has none says so, and learns the gateway's (spec section 11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The value of a device without a clock.
    pub const UNKNOWN: Self = Self(0);

    /// A time from milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whether there is a clock behind this value.
    pub const fn is_known(self) -> bool {
        self.0 != 0
    }

    /// This time plus `duration`, or the last representable time.
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(saturating_millis(duration)))
    }

    /// This time minus `duration`, or the epoch.
    #[must_use]
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_millis(duration)))
    }

    /// The distance between two times, whichever is first.
    pub const fn abs_diff(self, other: Self) -> Duration {
        Duration::from_millis(self.0.abs_diff(other.0))
    }
}

/// Milliseconds of `duration`, capped at `u64::MAX`.
const fn saturating_millis(duration: Duration) -> u64 {
    let millis = duration.as_millis();
    if millis > u64::MAX as u128 {
        u64::MAX
    } else {
        millis as u64
    }
}

/// The two clocks a session reads: one for timeouts, one that is written into requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Time since any fixed moment, the same for all sessions that share a `session::GatewayState`; never goes
    /// back.
    pub monotonic: Duration,
    /// The wall clock, or [`UnixTime::UNKNOWN`].
    pub unix: UnixTime,
}
