//! The sealwire program.
fn main() {}
