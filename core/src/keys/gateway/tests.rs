//! Rotation, and what is left of a key after it.
extern crate std;

use core::convert::Infallible;
use std::vec;

use rand_core::TryRng;
use sealwire_memlock::Policy;

use super::*;
use crate::record::OpenHeader;

const HOUR: u64 = 60 * 60 * 1000;

/// Counts: the keys are different ones, and the same in each run.
struct Counter(u8);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(7)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(7)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0 += 1;
        out.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Counter {}

fn at(millis: u64) -> UnixTime {
    UnixTime::from_millis(1_800_000_000_000 + millis)
}

fn ring(rng: &mut Counter) -> KeyRing {
    let memory = SecureMemory::new(Policy::BestEffort);
    let identity = Identity::generate(&memory, rng).expect("counted");
    let mut ring = KeyRing::new(identity, &[Suite::P256], RecordLimits::default(), memory);
    ring.rotate(at(0), rng).expect("counted");
    ring
}

/// A request to this key, as far as the ring is concerned: its `enc` is any point.
fn agree(ring: &KeyRing, key_id: [u8; KEY_ID_LEN], now: UnixTime) -> Result<(), RejectCode> {
    let header = OpenHeader::new(Suite::P256, key_id);
    let mut secrets = [0; KEY_BLOCK_LEN];
    ring.agree(&header, ring.identity.public(), now, &mut secrets)
}

/// Two keys are valid at any time, and clients choose the newer one (TRUST-3).
#[test]
fn epochs_overlap() {
    let mut rng = Counter(0);
    let mut ring = ring(&mut rng);
    assert_eq!(ring.rotate(at(1), &mut rng), Ok(at(12 * HOUR)));
    assert_eq!(ring.keys.len(), 1, "not before it is due");
    assert_eq!(ring.rotate(at(12 * HOUR), &mut rng), Ok(at(24 * HOUR)));
    let ids: Vec<_> = ring.keys.iter().map(|key| key.key_id).collect();
    assert_eq!(ids.len(), 2);
    let set = ring.key_set();
    let chosen = |now| set.select(Suite::P256, now).map(|key| key.key_id());
    assert_eq!(chosen(at(12 * HOUR)), Ok(ids[1]));
    // A client whose clock is behind still finds a key that is valid for it.
    assert_eq!(chosen(at(12 * HOUR - 300_001)), Ok(ids[0]));
    assert_eq!(chosen(at(36 * HOUR)), Err(Malformed::KeyTime));
    for id in ids {
        assert_eq!(agree(&ring, id, at(13 * HOUR)), Ok(()));
    }
}

/// TIME-2, TIME-3: a host that calls when it is told to has no key for longer than that, and publishes every one that is valid.
#[test]
fn keys_come_and_go_when_they_are_due() {
    let mut rng = Counter(0);
    let mut ring = ring(&mut rng);
    let mut now = at(0);
    for _ in 0..20 {
        let before: Vec<_> = ring.keys.iter().map(|key| key.key_id).collect();
        let next = ring.rotate(now, &mut rng).expect("counted");
        assert!(next > now);
        let mut new = ring.keys.iter().filter(|key| !before.contains(&key.key_id));
        assert!(
            new.all(|key| key.not_before == now),
            "the moment of its making"
        );
        assert!(
            ring.keys
                .iter()
                .all(|key| key.end() > now && next <= key.end())
        );
        let set = ring.key_set();
        let published = set.records().iter().map(|signed| key_id(&signed.record));
        let held = ring.keys.iter().rev().map(|key| key.key_id);
        assert!(published.eq(held));
        let made = set.select(Suite::P256, now).expect("valid").not_before;
        assert!(made <= now && made.saturating_add(ring.lifetime / 2) > now);
        now = next;
    }
    assert!(now >= at(100 * HOUR));
}

/// TIME-3: keys of a lifetime this short are more than a set carries; those that it leaves out are older than those in it.
#[cfg(feature = "post-quantum")]
#[test]
fn a_key_set_is_never_larger_than_every_client_reads() {
    let mut rng = Counter(0);
    let memory = SecureMemory::new(Policy::BestEffort);
    for (suite, published) in [(Suite::P256, MAX_RECORDS), (Suite::MlKem768P256, 35)] {
        let identity = Identity::generate(&memory, &mut rng).expect("counted");
        let mut ring = KeyRing::new(identity, &[suite], RecordLimits::default(), memory.clone())
            .with_lifetime(Duration::from_secs(8));
        let mut now = at(0);
        while now < at(300_000) {
            now = ring.rotate(now, &mut rng).expect("counted");
        }
        assert!(ring.keys.len() > published, "{}", ring.keys.len());
        let set = ring.key_set();
        assert_eq!(set.records().len(), published);
        let newest = ring
            .keys
            .iter()
            .rev()
            .take(published)
            .map(|key| &key.signed);
        assert!(newest.eq(set.records()));
        assert!(set.to_json().len() <= 64 * 1024, "{}", set.to_json().len());
        assert!(set.to_bytes().len() <= 65_535);
        // The room is what the document takes, to the byte: but that the last record has no comma.
        let shares: usize = set.records().iter().map(SignedRecord::share).sum();
        assert_eq!(set.to_json().len(), 64 * 1024 - KeySet::room() + shares - 1);
        assert_eq!(KeySet::parse(&set.to_bytes()), Ok(set));
    }
}

/// TIME-2
#[test]
fn a_key_ends_five_minutes_after_its_record() {
    let mut rng = Counter(0);
    let mut ring = ring(&mut rng);
    let id = ring.keys[0].key_id;
    let end = 24 * HOUR + 300_000;
    assert_eq!(agree(&ring, id, at(end - 1)), Ok(()));
    assert_eq!(agree(&ring, id, at(end)), Err(RejectCode::Key));
    ring.rotate(at(end - 1), &mut rng).expect("counted");
    assert!(ring.keys.iter().any(|key| key.key_id == id));
    ring.rotate(at(end), &mut rng).expect("counted");
    assert!(ring.keys.iter().all(|key| key.key_id != id));
}

/// A clock that was ahead when a key was made must not leave the gateway without one.
#[test]
fn a_key_from_the_future_does_not_count() {
    let mut rng = Counter(0);
    let mut ring = ring(&mut rng);
    let year = 365 * 24 * HOUR;
    let earlier = UnixTime::from_millis(at(0).as_millis() - year);
    let made_ahead = ring.keys[0].key_id;
    ring.rotate(earlier, &mut rng).expect("counted");
    assert_eq!(ring.keys.len(), 1);
    assert_eq!(agree(&ring, made_ahead, earlier), Err(RejectCode::Key));
    for clock in [earlier, UnixTime::UNKNOWN] {
        let key = ring.key_set().select(Suite::P256, clock).expect("new");
        assert_eq!(key.key_id(), ring.keys[0].key_id);
    }
    let next = ring.rotate(earlier.saturating_add(SKEW), &mut rng);
    assert_eq!(
        next,
        Ok(earlier.saturating_add(Duration::from_secs(12 * 60 * 60)))
    );
    assert_eq!(ring.keys.len(), 1);
}

#[test]
fn evidence_is_asked_for_once_a_record() {
    let mut rng = Counter(0);
    let mut ring = ring(&mut rng);
    ring.attest(|_, _| None);
    ring.attest(|record, hash| {
        assert_eq!(hash[..8], key_id(record));
        Some(hash.to_vec())
    });
    ring.rotate(at(12 * HOUR), &mut rng).expect("counted");
    let mut asked = 0;
    ring.attest(|_, _| {
        asked += 1;
        Some(vec![1])
    });
    assert_eq!(asked, 1);
    let set = ring.key_set();
    let signed = &set.records()[1];
    assert_eq!(signed.evidence.as_deref(), Some(&signed.hash()[..]));
    let read = KeySet::from_json(set.to_json().as_bytes()).expect("its own");
    assert_eq!(read, set);
    // Raw streams carry none.
    let read = KeySet::parse(&set.to_bytes()).expect("its own");
    assert!(
        read.records()
            .iter()
            .all(|signed| signed.evidence.is_none())
    );
}

/// How often these 32 bytes stand in this process's memory. The needle is kept apart from its mask, or it would find itself.
#[cfg(target_os = "linux")]
fn copies(needle: &[u8; 32], mask: u8) -> usize {
    use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

    let maps = std::fs::File::open("/proc/self/maps").expect("Linux");
    let mut memory = std::fs::File::open("/proc/self/mem").expect("our own");
    let mut found = 0;
    let mut window = vec![0u8; 1 << 20];
    for line in BufReader::new(maps).lines() {
        let line = line.expect("text");
        let (range, rest) = line.split_once(' ').expect("range and rights");
        if !rest.starts_with('r') || rest.contains("[v") {
            continue;
        }
        let (start, end) = range.split_once('-').expect("a range");
        let address = |text| u64::from_str_radix(text, 16).expect("an address");
        let (mut at, end) = (address(start), address(end));
        while at + 32 <= end && memory.seek(SeekFrom::Start(at)).is_ok() {
            let len = window.len().min((end - at) as usize);
            let Ok(count) = memory.read(&mut window[..len]) else {
                break;
            };
            // What was read may be this very window, of which the last pass left copies: those are wiped below.
            found += window[..count]
                .windows(32)
                .filter(|bytes| bytes.iter().zip(needle).all(|(a, b)| *a == *b ^ mask))
                .count();
            window[..count].fill(0);
            if count < 32 {
                break;
            }
            at += (count - 31) as u64;
        }
    }
    found
}

/// KEY-3: an epoch's private key is in memory once while the epoch lasts, and not at all once it has ended.
#[test]
#[cfg(target_os = "linux")]
fn a_key_that_has_ended_is_wiped() {
    // Other tests make their keys beside this one, in the same memory, of other bytes.
    let mut rng = Counter(200);
    let mut ring = ring(&mut rng);
    let masked: [u8; 32] = core::array::from_fn(|i| ring.keys[0].private.expose()[i] ^ 0x5a);
    let id = ring.keys[0].key_id;
    // The header's key is used, so that what using it leaves behind would be found too.
    assert_eq!(agree(&ring, id, at(1)), Ok(()));
    assert_eq!(copies(&masked, 0x5a), 1);
    let end = 24 * HOUR + 300_000;
    ring.rotate(at(end), &mut rng).expect("counted");
    assert_eq!(copies(&masked, 0x5a), 0);
}

/// What no record can hold is the caller's mistake, not a peer's.
#[test]
fn limits_that_no_record_holds() {
    let memory = SecureMemory::new(Policy::Off);
    let identity = Identity::generate(&memory, &mut Counter(0)).expect("counted");
    let limits = RecordLimits {
        max_frame: 1023,
        ..RecordLimits::default()
    };
    let mut ring = KeyRing::new(identity, &[Suite::P256], limits, memory);
    let rotated = ring.rotate(at(0), &mut Counter(1));
    assert!(matches!(rotated, Err(Error::Misuse(Misuse::State(_)))));
}

/// A lifetime of which half is no time would have the host call again at once, for ever.
#[test]
fn a_lifetime_too_short() {
    let mut rng = Counter(0);
    let mut ring = ring(&mut rng).with_lifetime(Duration::from_millis(1));
    assert!(matches!(
        ring.rotate(at(1), &mut rng),
        Err(Error::Misuse(_))
    ));
    let mut ring = ring.with_lifetime(Duration::from_millis(2));
    let now = at(24 * HOUR);
    assert_eq!(
        ring.rotate(now, &mut rng),
        Ok(now.saturating_add(Duration::from_millis(1)))
    );
}
