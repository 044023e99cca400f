//! Every path with every client and gateway, whatever the allocator of the program is.

mod answers;
pub(crate) mod clients;
pub(crate) mod gateways;
pub(crate) mod path;
pub(crate) mod watch;

use sealwire::core::Suite;
use sealwire_scanner::is_child;
use sealwire_tests::table::Table;

use crate::ALLOCATOR;

#[test]
fn clients_leave_nothing() {
    if is_child() {
        return clients::run();
    }
    let mut table = Table::new(&format!("Clients, {ALLOCATOR}"));
    for adapter in clients::ADAPTERS {
        for &suite in Suite::ALL {
            watch::clients("scans::clients_leave_nothing", *adapter, suite, &mut table);
        }
    }
    table.is_clean();
}

#[test]
fn gateways_leave_nothing() {
    if is_child() {
        return gateways::run();
    }
    let mut table = Table::new(&format!("Gateways, {ALLOCATOR}"));
    for adapter in gateways::ADAPTERS {
        for &suite in Suite::ALL {
            watch::gateways("scans::gateways_leave_nothing", *adapter, suite, &mut table);
        }
    }
    table.is_clean();
}
