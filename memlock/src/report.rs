//! What protection there really is.

use alloc::{format, string::String};
use core::fmt;

use crate::{MemoryError, Policy, store};

/// What protection this process has, now: facts that were tried, not what the platform promises.
pub fn memory_protection_info() -> MemoryProtectionInfo {
    store::report()
}

/// What protection there really is.
///
/// The first six fields answer to those of the Python client's `get_memory_protection_info()`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryProtectionInfo {
    /// Whether new buffers are protected: false after `disable_secure_memory()`.
    pub enabled: bool,
    /// The operating system, as Python's `platform.system()` names it: `Linux`, `Windows`, `Darwin`.
    pub platform: &'static str,
    /// What the buffers that are alive now can count on, and the next one can expect.
    pub protection_level: ProtectionLevel,
    /// Whether a page has really been locked, by a live buffer or by a trial just now.
    pub has_memory_locking: bool,
    /// Whether memory is wiped in a way the compiler keeps: always true.
    pub has_secure_zeroing: bool,
    /// Whether both of the above hold.
    pub supports_full_protection: bool,

    /// Which code provides the pages: `linux`, `unix`, `windows` or `plain`.
    pub backend: &'static str,
    /// Bytes of pages that this crate holds locked, `secret_bytes` among them.
    pub locked_bytes: usize,
    /// Bytes of pages that come from `memfd_secret`.
    pub secret_bytes: usize,
    /// How many bytes the process may lock (`RLIMIT_MEMLOCK`); `None` when there is no such limit.
    pub lock_limit: Option<u64>,
    /// Whether a privilege lifts that limit (`CAP_IPC_LOCK`; it has no such effect from within a
    /// user namespace).
    pub may_exceed_lock_limit: bool,
    /// Live buffers that were to be protected and are not locked. Those of [`Policy::Off`] are not
    /// counted.
    pub unlocked_allocations: usize,
    /// The bytes that those buffers take.
    pub unlocked_bytes: usize,
    /// How often the system has refused to lock since the process started.
    pub lock_failures: u64,
    /// Whether the buffers are left out of core dumps.
    pub excluded_from_core_dumps: bool,
    /// Whether a forked child finds zeros in place of the buffers.
    pub wiped_in_forked_child: bool,
    /// The last failure; [`MemoryError::remedy`] says what to do about it.
    pub last_error: Option<MemoryError>,
}

/// How well secrets are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ProtectionLevel {
    /// Not at all: secure memory is off.
    None,
    /// Wiped after use; not, or not all, locked.
    ZeroingOnly,
    /// Locked and wiped.
    Full,
}

impl ProtectionLevel {
    /// The name that the Python client uses: `full`, `zeroing_only` or `none`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ZeroingOnly => "zeroing_only",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for ProtectionLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl MemoryProtectionInfo {
    /// The same, as a buffer with `policy` sees it.
    pub(crate) fn under(mut self, policy: Policy) -> Self {
        if policy == Policy::Off {
            self.enabled = false;
            self.protection_level = ProtectionLevel::None;
        }
        self
    }

    /// The report as one JSON object. It holds no secret and no address.
    pub fn to_json(&self) -> String {
        let optional = |value: Option<String>| value.unwrap_or_else(|| "null".into());
        format!(
            concat!(
                r#"{{"enabled":{},"platform":"{}","protection_level":"{}","#,
                r#""has_memory_locking":{},"has_secure_zeroing":{},"supports_full_protection":{},"#,
                r#""backend":"{}","locked_bytes":{},"secret_bytes":{},"lock_limit":{},"#,
                r#""may_exceed_lock_limit":{},"unlocked_allocations":{},"unlocked_bytes":{},"#,
                r#""lock_failures":{},"excluded_from_core_dumps":{},"wiped_in_forked_child":{},"#,
                r#""last_error":{},"remedy":{}}}"#,
            ),
            self.enabled,
            self.platform,
            self.protection_level,
            self.has_memory_locking,
            self.has_secure_zeroing,
            self.supports_full_protection,
            self.backend,
            self.locked_bytes,
            self.secret_bytes,
            optional(self.lock_limit.map(|limit| format!("{limit}"))),
            self.may_exceed_lock_limit,
            self.unlocked_allocations,
            self.unlocked_bytes,
            self.lock_failures,
            self.excluded_from_core_dumps,
            self.wiped_in_forked_child,
            optional(self.last_error.map(|error| quote(&format!("{error}")))),
            optional(self.last_error.map(|error| quote(error.remedy()))),
        )
    }
}

/// A JSON string. The operating system's words are in it, so it is escaped in full.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The operating system's name as Python gives it.
pub(crate) const fn platform() -> &'static str {
    if cfg!(target_os = "linux") {
        "Linux"
    } else if cfg!(windows) {
        "Windows"
    } else if cfg!(target_os = "macos") {
        "Darwin"
    } else if cfg!(target_os = "freebsd") {
        "FreeBSD"
    } else {
        other_platform()
    }
}

#[cfg(feature = "std")]
const fn other_platform() -> &'static str {
    std::env::consts::OS
}

#[cfg(not(feature = "std"))]
const fn other_platform() -> &'static str {
    "unknown"
}
