//! What `/proc` tells of a process's memory.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// A mapping and its flags, as `/proc/PID/smaps` tells them.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Its first address.
    pub start: u64,
    /// The address after its last.
    pub end: u64,
    /// A file, or a name in brackets, or nothing.
    pub name: String,
    /// Two letters each.
    pub flags: String,
    /// Kilobytes that hold anything, in memory or in swap.
    pub present: usize,
}

impl Mapping {
    /// Whether it has this flag.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.split_whitespace().any(|f| f == flag)
    }

    /// Whether its pages are locked in memory.
    pub fn is_locked(&self) -> bool {
        self.has("lo")
    }
}

/// The mappings of a process.
///
/// # Panics
/// If `/proc` cannot be read.
pub fn mappings(pid: u32) -> Vec<Mapping> {
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

/// Shows every mapping of a process that can be read, with its contents.
///
/// # Panics
/// If the process may not be read.
pub(crate) fn for_each_mapping(pid: u32, mut look: impl FnMut(&Mapping, &[u8])) {
    let memory = File::open(format!("/proc/{pid}/mem")).expect("a parent may read its child");
    let mut contents = Vec::new();
    for mapping in mappings(pid) {
        if mapping.name.starts_with("[v") {
            continue; // the kernel's own
        }
        if mapping.present == 0 && !mapping.name.contains("secretmem") {
            continue; // never touched: the heaps of threads reserve much that is
        }
        contents.resize((mapping.end - mapping.start) as usize, 0);
        let mut read = 0;
        while read < contents.len() {
            // What cannot be read, such as an untouched guard, reads as nothing.
            match memory.read_at(&mut contents[read..], mapping.start + read as u64) {
                Ok(count @ 1..) => read += count,
                _ => break,
            }
        }
        look(&mapping, &contents[..read]);
    }
}

/// The bytes that `value` is made of in this process: how a library really lays out what it makes of a key.
///
/// # Panics
/// If this process may not read its own memory.
pub fn own_bytes<T>(value: &T) -> Vec<u8> {
    let memory = File::open("/proc/self/mem").expect("a process may read itself");
    let mut bytes = vec![0; size_of::<T>()];
    let address = std::ptr::from_ref(value).addr() as u64;
    memory
        .read_exact_at(&mut bytes, address)
        .expect("the value is there");
    bytes
}
