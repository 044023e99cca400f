//! What is left of secrets in the memory of those who had them: scans of whole processes from outside, in a program whose global
//! allocator wipes what is freed, as `sealwire` itself does. See `docs/secure-memory.md`.
//!
//! `cargo test -p sealwire-tests --test residue --test residue_plain -- --nocapture --test-threads=1` prints the tables.
#![cfg(target_os = "linux")]

mod answers;
mod clients;
mod gateways;
mod path;
#[allow(dead_code, reason = "those who take no care are in `residue_plain`")]
mod watch;

use std::alloc::System;

use sealwire::core::Suite;
use sealwire::memlock::ZeroOnFree;
use sealwire_scanner::is_child;
use sealwire_tests::table::Table;

#[global_allocator]
static ALLOCATOR: ZeroOnFree<System> = ZeroOnFree::new(System);

#[test]
fn clients_leave_nothing() {
    if is_child() {
        return clients::run();
    }
    let mut table = Table::new("Clients, allocator that wipes");
    for adapter in clients::ADAPTERS {
        for &suite in Suite::ALL {
            watch::clients("clients_leave_nothing", *adapter, suite, &mut table);
        }
    }
    table.is_clean();
}

#[test]
fn gateways_leave_nothing() {
    if is_child() {
        return gateways::run();
    }
    let mut table = Table::new("Gateways, allocator that wipes");
    for adapter in gateways::ADAPTERS {
        for &suite in Suite::ALL {
            watch::gateways("gateways_leave_nothing", *adapter, suite, &mut table);
        }
    }
    table.is_clean();
}
