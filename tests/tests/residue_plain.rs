//! The scans of `residue`, in a program with an ordinary allocator: what a library's user has who changes nothing; and a client that takes
//! no care, in which everything must be found.
#![cfg(target_os = "linux")]

#[path = "residue/answers.rs"]
mod answers;
#[path = "residue/careless.rs"]
mod careless;
#[path = "residue/clients.rs"]
mod clients;
#[path = "residue/gateways.rs"]
mod gateways;
#[path = "residue/path.rs"]
mod path;
#[path = "residue/watch.rs"]
mod watch;

use sealwire::core::Suite;
use sealwire_scanner::is_child;
use sealwire_tests::table::Table;

#[test]
fn careless_clients_are_found() {
    if is_child() {
        return careless::client();
    }
    let mut table = Table::new("Those who take no care");
    watch::careless_client("careless_clients_are_found", &mut table);
}

#[test]
fn careless_gateways_are_found() {
    if is_child() {
        return careless::gateway();
    }
    let mut table = Table::new("Those who take no care");
    watch::careless_gateway("careless_gateways_are_found", &mut table);
}

#[test]
fn clients_leave_nothing() {
    if is_child() {
        return clients::run();
    }
    let mut table = Table::new("Clients, ordinary allocator");
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
    let mut table = Table::new("Gateways, ordinary allocator");
    for adapter in gateways::ADAPTERS {
        for &suite in Suite::ALL {
            watch::gateways("gateways_leave_nothing", *adapter, suite, &mut table);
        }
    }
    table.is_clean();
}
