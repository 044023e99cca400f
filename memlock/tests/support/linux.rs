//! Limits, `/proc` and forks.

use super::needle;
use sealwire_scanner::{Mapping, Scanner, Wanted};
use std::fs;

pub(crate) use sealwire_scanner::{limit_locks, mappings as smaps};

/// Bytes of this process that are locked, as the kernel counts them.
pub(crate) fn locked_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kilobytes.expect("the kernel tells VmLck") * 1024
}

/// How many mappings this process has.
pub(crate) fn mappings() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
    maps.lines().count()
}

/// The mapping that `pointer` points into, in this process.
pub(crate) fn mapping_of(pointer: *const u8) -> Mapping {
    let address = pointer.addr() as u64;
    smaps(std::process::id())
        .into_iter()
        .find(|m| (m.start..m.end).contains(&address))
        .expect("the pointer points somewhere")
}

/// Copies of secret `seed` in another process: in locked mappings, and anywhere else.
pub(crate) fn scan(pid: u32, seed: u64) -> (usize, usize) {
    let mut wanted = Wanted::default();
    wanted.whole("secret", &needle(seed));
    Scanner::new(&wanted).scan(pid).of("secret")
}

/// Forks; the child runs `body` and says whether all was well. Returns the child's raw status.
pub(crate) fn fork(body: impl FnOnce() -> bool) -> i32 {
    // SAFETY: the child runs `body` and leaves without returning.
    match unsafe { libc::fork() } {
        0 => {
            let code = i32::from(!body());
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(code) }
        }
        child => {
            let mut status = -1;
            // SAFETY: `status` outlives the call.
            unsafe { libc::waitpid(child, &mut status, 0) };
            status
        }
    }
}
