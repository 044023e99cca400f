//! What a test cannot check where it runs.

use std::fs::OpenOptions;
use std::io::{Write, stderr};

const MARK: &str = "NOT CHECKED: ";

/// Says that `test` could not check something, and why, where whoever runs it sees it: libtest hides what a test that passes prints, but
/// not this; and in the file that `SEALWIRE_NOT_CHECKED` names, where CI reads it.
pub fn not_checked(test: &str, why: &str) {
    let line = format!("{test}: {why}\n");
    // Nothing rests on either: the test passes, with what it could check.
    let _ = stderr().write_all(format!("{MARK}{line}").as_bytes());
    if let Some(path) = std::env::var_os("SEALWIRE_NOT_CHECKED") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

/// What a child has said in this way goes on to whoever runs its parent.
pub(crate) fn pass_on(said: &[u8]) {
    for line in String::from_utf8_lossy(said).lines() {
        if line.starts_with(MARK) {
            let _ = stderr().write_all(format!("{line}\n").as_bytes());
        }
    }
}

/// Whether this process may read the memory of those that do not let themselves be read, as the program does not.
#[cfg(target_os = "linux")]
pub fn may_read_every_process() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    let sets = capabilities(None).expect("capabilities can be read");
    sets.effective.contains(CapabilitySet::SYS_PTRACE)
}
