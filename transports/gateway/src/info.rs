//! `sealwire info`: how secrets are protected, as tried on this machine.

use sealwire_memlock::{MemoryProtectionInfo, ProtectionLevel, memory_protection_info};

use crate::cli::InfoArgs;
use crate::exit::Failure;
use crate::terminal::{DIM, GOOD, HEAD, WARN, bytes};

pub(crate) fn run(args: &InfoArgs) -> Result<(), Failure> {
    let info = memory_protection_info();
    if args.json {
        anstream::println!("{}", info.to_json());
    } else {
        show(&info);
    }
    Ok(())
}

/// The report for people, also at the end of a demo.
pub(crate) fn show(info: &MemoryProtectionInfo) {
    let (style, meaning) = match info.protection_level {
        ProtectionLevel::Full => (GOOD, "secrets are locked in memory, and wiped after use"),
        ProtectionLevel::ZeroingOnly => (
            WARN,
            "secrets are wiped after use, but may reach the swap file",
        ),
        _ => (WARN, "secure memory is switched off"),
    };
    anstream::println!("{HEAD}Memory protection{HEAD:#}");
    row(
        "level",
        &format!("{style}{}{style:#}: {meaning}", info.protection_level),
    );
    row(
        "system",
        &format!("{}, pages by {}", info.platform, info.backend),
    );
    let limit = match (info.lock_limit, info.may_exceed_lock_limit) {
        (None, _) => "no limit".into(),
        (Some(limit), false) => format!("the limit is {}", bytes(limit)),
        (Some(limit), true) => format!("the limit is {}, lifted by CAP_IPC_LOCK", bytes(limit)),
    };
    row(
        "locking",
        match (info.enabled, info.has_memory_locking) {
            (false, _) => "switched off",
            (true, true) => "works: a page was locked",
            (true, false) => "does not work",
        },
    );
    let locked = bytes(info.locked_bytes as u64);
    row("locked", &format!("{locked}; {limit}"));
    let unlocked = bytes(info.unlocked_bytes as u64);
    let (count, refused) = (info.unlocked_allocations, info.lock_failures);
    row(
        "not locked",
        &format!("{unlocked} in {count} buffers; locks refused so far: {refused}"),
    );
    row("wiping", yes(info.has_secure_zeroing));
    row(
        "core dumps",
        match info.excluded_from_core_dumps {
            true => "secrets are left out, and this process makes none",
            false => "secrets are not left out on this system",
        },
    );
    row(
        "forked child",
        match info.wiped_in_forked_child {
            true => "finds zeros",
            false => "would find a copy on this system; this program forks none",
        },
    );
    if let Some(error) = &info.last_error {
        row("reason", &error.to_string());
        row("remedy", error.remedy());
    }
}

fn row(name: &str, value: &str) {
    anstream::println!("  {DIM}{name:<13}{DIM:#}{value}");
}

const fn yes(is: bool) -> &'static str {
    if is {
        "yes, in a way the compiler keeps"
    } else {
        "no"
    }
}
