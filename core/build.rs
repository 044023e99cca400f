//! Says whether the crate is compiled with little optimisation or none (`opt-level` 0 or 1): frames on the stack are larger then, and it
//! is wiped deeper. Debug assertions do not tell: firmware is often built with them, optimised for size.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(unoptimised)");
    if std::env::var_os("OPT_LEVEL").is_some_and(|level| level == "0" || level == "1") {
        println!("cargo::rustc-cfg=unoptimised");
    }
}
