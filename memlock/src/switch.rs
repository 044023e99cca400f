//! The process-wide switch.

#[cfg(feature = "std")]
use core::sync::atomic::{AtomicBool, Ordering};

#[cfg(feature = "std")]
static ENABLED: AtomicBool = AtomicBool::new(true);

/// Turns secure memory on for buffers made from now on. It is on when the process starts.
#[cfg(feature = "std")]
pub fn enable_secure_memory() {
    ENABLED.store(true, Ordering::Relaxed);
}

/// Turns secure memory off for buffers made from now on, in the whole process.
///
/// Live buffers keep their protection and are wiped as ever. New ones are ordinary allocations;
/// they are wiped all the same. With [`Policy::Required`](crate::Policy::Required) there are none:
/// that is an error while the switch is off.
#[cfg(feature = "std")]
pub fn disable_secure_memory() {
    ENABLED.store(false, Ordering::Relaxed);
}

#[cfg(feature = "std")]
pub(crate) fn enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// Without `std` there may be no atomics to keep a switch in.
#[cfg(not(feature = "std"))]
pub(crate) const fn enabled() -> bool {
    true
}
