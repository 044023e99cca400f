//! Limits, `/proc` and forks.

use super::count;
use rustix::{
    process::{Resource, Rlimit, setrlimit},
    thread::{CapabilitySet, capabilities, set_capabilities},
};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
};

/// Takes the privilege to lock at will from this thread, and limits it to `bytes`.
pub(crate) fn limit_locks(bytes: u64) {
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

/// A mapping and its flags, as `/proc/PID/smaps` tells them.
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) name: String,
    pub(crate) flags: String,
    /// Kilobytes that hold anything, in memory or in swap.
    pub(crate) present: usize,
}

impl Mapping {
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.split_whitespace().any(|f| f == flag)
    }
}

pub(crate) fn smaps(pid: u32) -> Vec<Mapping> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps")).expect("/proc is mounted");
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in text.lines() {
        let head = line.split_whitespace().next().unwrap_or_default();
        if let Some((start, end)) = head.split_once('-') {
            mappings.push(Mapping {
                start: u64::from_str_radix(start, 16).expect("an address"),
                end: u64::from_str_radix(end, 16).expect("an address"),
                name: line.split_whitespace().nth(5).unwrap_or_default().into(),
                flags: String::new(),
                present: 0,
            });
        } else if let Some(flags) = line.strip_prefix("VmFlags:")
            && let Some(last) = mappings.last_mut()
        {
            last.flags = flags.into();
        } else if (line.starts_with("Rss:") || line.starts_with("Swap:"))
            && let Some(last) = mappings.last_mut()
        {
            let kilobytes = line.split_whitespace().nth(1).unwrap_or_default();
            last.present += kilobytes.parse::<usize>().expect("a number");
        }
    }
    mappings
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
    let memory = File::open(format!("/proc/{pid}/mem")).expect("a parent may read its child");
    let (mut locked, mut elsewhere) = (0, 0);
    for mapping in smaps(pid) {
        if mapping.name.starts_with("[v") {
            continue; // the kernel's own
        }
        if mapping.present == 0 && !mapping.name.contains("secretmem") {
            continue; // never touched: the heaps of threads reserve much that is
        }
        let mut contents = vec![0; (mapping.end - mapping.start) as usize];
        // What cannot be read, such as an untouched guard, reads as nothing.
        let read = memory.read_at(&mut contents, mapping.start).unwrap_or(0);
        let found = count(&contents[..read], seed);
        if mapping.has("lo") {
            locked += found;
        } else {
            elsewhere += found;
        }
    }
    (locked, elsewhere)
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
