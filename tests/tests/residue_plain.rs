//! The scans of `residue`, in a program with an ordinary allocator: what a library's user has who changes nothing; and a client and a
//! gateway that take no care, in which everything must be found.
#![cfg(target_os = "linux")]

#[path = "scans/careless.rs"]
mod careless;
mod scans;

const ALLOCATOR: &str = "ordinary allocator";
