//! Looks for secrets in the memory of another process, and runs processes that wait to be looked at.
//!
//! The scanner and what it scans must be two processes: one that looks for a secret holds it.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod memory;
mod process;
#[cfg(target_os = "linux")]
mod scan;
mod unchecked;

#[cfg(target_os = "linux")]
pub use limits::limit_locks;
#[cfg(target_os = "linux")]
pub use memory::{Mapping, mappings, own_bytes};
pub use process::{Paused, child, is_child, isolated, outcome, pause, say};
#[cfg(target_os = "linux")]
pub use scan::{Copy, Found, PIECE, Scanner, Wanted};
#[cfg(target_os = "linux")]
pub use unchecked::may_read_every_process;
pub use unchecked::not_checked;
