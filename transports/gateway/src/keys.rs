//! `sealwire keys`: what a gateway shows of itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sealwire_core::UnixTime;
use sealwire_core::keys::{KeyRecord, key_id, verify};
use sealwire_memlock::SecureMemory;

use crate::cli::KeysArgs;
use crate::connect::fetch_keys;
use crate::exit::{Exit, Failure};
use crate::terminal::{BAD, DIM, GOOD, WARN, bytes};

pub(crate) async fn run(args: KeysArgs, memory: SecureMemory) -> Result<(), Failure> {
    let set = fetch_keys(&args.gateway, args.allow_http, &memory).await?;
    anstream::println!("{}", set.pin());
    let now = now();
    let mut usable = 0;
    for signed in set.records() {
        let record = KeyRecord::parse(&signed.record).and_then(|record| {
            verify(set.identity(), &signed.record, &signed.signature)?;
            Ok(record)
        });
        let id = hex(&key_id(&signed.record));
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                anstream::println!("\n{BAD}key {id}: not usable: {error}{BAD:#}");
                continue;
            }
        };
        let state = match record.is_valid_at(now) {
            true => format!("{GOOD}valid{GOOD:#}"),
            false => format!("{WARN}not valid now{WARN:#}"),
        };
        usable += usize::from(record.suite.is_some() && record.is_valid_at(now));
        anstream::println!("\nkey {id}  {state}");
        let suite = record
            .suite
            .map_or("unknown to this version of sealwire", |suite| suite.name());
        row("suite", suite);
        let (from, until) = (record.not_before, record.not_after);
        row("valid", &format!("{} to {}", utc(from), utc(until)));
        row("request", &format!("{} at most", bytes(record.max_request.into())));
        row("frame", &format!("{} at most", bytes(record.max_frame.into())));
    }
    if usable == 0 {
        return Err(Failure::new(Exit::Trust, "the gateway has no key that can be used now")
            .advise("check this machine's clock, then tell the gateway's operator"));
    }
    Ok(())
}

fn row(name: &str, value: &str) {
    anstream::println!("  {DIM}{name:<9}{DIM:#}{value}");
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime::from_millis(since.map_or(0, |since| since.as_millis() as u64))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Date and time in UTC, to the second.
fn utc(time: UnixTime) -> String {
    let seconds = Duration::from_millis(time.as_millis()).as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (mut year, mut day) = (1970, days);
    // At most a few dozen steps for any time a gateway means; a hostile one is stopped at the year 9999.
    while day >= days_of_year(year) && year < 9999 {
        day -= days_of_year(year);
        year += 1;
    }
    let mut month = 1;
    while month < 12 && day >= days_of_month(year, month) {
        day -= days_of_month(year, month);
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02} UTC", day + 1)
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

const fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + is_leap(year) as u64,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates() {
        let utc = |seconds: u64| super::utc(sealwire_core::UnixTime::from_millis(seconds * 1000));
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(4_102_444_800), "2100-01-01 00:00:00 UTC");
        assert_eq!(utc(1_798_761_599), "2026-12-31 23:59:59 UTC");
        assert!(!utc(u64::MAX / 1000).is_empty());
    }
}
