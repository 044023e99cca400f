//! `sealwire info` tells what is true: under a limit of nothing, of 64 KiB, and where nothing limits.
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use sealwire_scanner::not_checked;
use support::Ended;

/// What `info` says under a limit on locked memory, without the privilege to exceed it.
fn info(limit: &str, privileged: bool, more: &[&str]) -> Ended {
    let mut command = Command::new("prlimit");
    command.arg(format!("--memlock={limit}"));
    let is_root = fs::metadata("/proc/self").expect("/proc").uid() == 0;
    if is_root && !privileged {
        command.args([
            "setpriv",
            "--bounding-set=-ipc_lock",
            "--inh-caps=-ipc_lock",
        ]);
    }
    let command = command
        .arg(env!("CARGO_BIN_EXE_sealwire"))
        .arg("info")
        .args(more);
    command.output().expect("util-linux").into()
}

#[track_caller]
fn says(ended: &Ended, all: &[&str]) {
    ended.expect(0, &[]);
    for one in all {
        assert!(ended.out.contains(one), "no {one:?} in {ended:#?}");
    }
    println!("{}", ended.out);
}

#[test]
fn with_a_limit_of_nothing() {
    let json = [
        r#""enabled":true"#,
        r#""platform":"Linux""#,
        r#""protection_level":"zeroing_only""#,
        r#""has_memory_locking":false"#,
        r#""has_secure_zeroing":true"#,
        r#""supports_full_protection":false"#,
        r#""backend":"linux""#,
        r#""locked_bytes":0"#,
        r#""lock_limit":0"#,
        r#""may_exceed_lock_limit":false"#,
        r#""lock_failures":1"#,
        r#""excluded_from_core_dumps":true"#,
        r#""wiped_in_forked_child":true"#,
        r#""last_error":"could not lock"#,
        "CAP_IPC_LOCK",
        "ulimit -l",
        "LimitMEMLOCK=",
        "docker run --ulimit memlock=",
    ];
    says(&info("0", false, &["--json"]), &json);
    let text = [
        "zeroing_only",
        "does not work",
        "the limit is 0 bytes",
        "locks refused so far: 1",
        "remedy",
        "LimitMEMLOCK=",
    ];
    says(&info("0", false, &[]), &text);
}

#[test]
fn with_a_limit_of_64_kib() {
    let json = [
        r#""protection_level":"full""#,
        r#""has_memory_locking":true"#,
        r#""supports_full_protection":true"#,
        r#""lock_limit":65536"#,
        r#""may_exceed_lock_limit":false"#,
        r#""unlocked_allocations":0"#,
        r#""unlocked_bytes":0"#,
        r#""lock_failures":0"#,
        r#""last_error":null,"remedy":null"#,
    ];
    says(&info("65536", false, &["--json"]), &json);
    let text = ["full", "works: a page was locked", "the limit is 64 KiB"];
    says(&info("65536", false, &[]), &text);
}

/// Nothing limits whoever has the privilege, and whoever has no limit.
#[test]
fn without_a_limit() {
    let unlimited = info("unlimited", false, &["--json"]);
    if unlimited.code == Some(0) {
        says(
            &unlimited,
            &[r#""protection_level":"full""#, r#""lock_limit":null"#],
        );
        says(&info("unlimited", false, &[]), &["full", "no limit"]);
        return;
    }
    // A container may not raise its limit. The privilege lifts one that it has; ordinary users have neither.
    let lifted = info("0", true, &["--json"]);
    if lifted.out.contains(r#""may_exceed_lock_limit":false"#) {
        not_checked(
            "without_a_limit",
            "this user may neither raise the limit nor exceed it",
        );
        return;
    }
    let json = [
        r#""protection_level":"full""#,
        r#""lock_limit":0"#,
        r#""may_exceed_lock_limit":true"#,
    ];
    says(&lifted, &json);
    says(&info("0", true, &[]), &["full", "lifted by CAP_IPC_LOCK"]);
}
