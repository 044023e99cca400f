//! Limits for the tests that need them; in a process of their own.

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// Takes the privilege to lock at will from this thread, and limits it to `bytes`.
///
/// # Panics
/// If the kernel refuses.
pub fn limit_locks(bytes: u64) {
    let mut sets = capabilities(None).expect("capabilities can be read");
    sets.effective.remove(CapabilitySet::IPC_LOCK);
    sets.permitted.remove(CapabilitySet::IPC_LOCK);
    set_capabilities(None, sets).expect("a capability can be dropped");
    let limit = Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    setrlimit(Resource::Memlock, limit).expect("a limit can be lowered");
}
