//! What sealing costs: frames by size, and the public-key work of an exchange by suite; ours, aws-lc-rs's and Oblivious HTTP's in
//! the same run.
//!
//! ```sh
//! cargo bench -p sealwire-tests --bench exchange
//! ```
#![allow(missing_docs, reason = "criterion's macros make functions without any")]

mod work;

use aes_gcm::Aes256Gcm;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ohttp::hpke::Kem;
use sealwire_core::agreement::{KeyAgreement, RustCrypto};
use sealwire_core::{RecordAead, Suite};
use work::aws::{Aws, AwsGcm};
use work::{Frames, Opening};

/// A frame sealed, and one opened, where it stands.
fn frames(c: &mut Criterion) {
    for size in [1024, 16_404, 65_557] {
        frame::<Aes256Gcm>(c, "RustCrypto", size);
        frame::<AwsGcm>(c, "aws-lc-rs", size);
    }
}

fn frame<A: RecordAead>(c: &mut Criterion, name: &str, size: usize) {
    let mut frames = Frames::<A>::new(size);
    let mut group = c.benchmark_group(format!("frame of {size}"));
    group.throughput(Throughput::Bytes(size as u64));
    group.bench_function(format!("{name}, seal"), |b| b.iter(|| frames.seal()));
    group.bench_function(format!("{name}, open"), |b| {
        let open = |mut opening: Opening<A>| {
            opening.open();
            opening
        };
        b.iter_batched(|| frames.opening(), open, BatchSize::LargeInput);
    });
    group.finish();
}

/// SetupBase and the three exports, at either end.
fn agreement(c: &mut Criterion) {
    for &suite in Suite::ALL {
        let providers: &[(&str, &'static dyn KeyAgreement)] = match suite {
            Suite::P256 => &[("RustCrypto", &RustCrypto), ("aws-lc-rs", &Aws)],
            _ => &[("RustCrypto", &RustCrypto)],
        };
        let mut group = c.benchmark_group(suite.name());
        for &(name, provider) in providers {
            let mut client = work::encapsulation(provider, suite);
            group.bench_function(format!("{name}, client"), |b| b.iter(&mut client));
            let mut gateway = work::decapsulation(provider, suite);
            group.bench_function(format!("{name}, gateway"), |b| b.iter(&mut gateway));
        }
        group.finish();
    }
}

/// A chat of a kilobyte each way.
fn exchange(c: &mut Criterion) {
    let mut group = c.benchmark_group("whole exchange, both ends");
    for &suite in Suite::ALL {
        let mut exchange = work::exchange(suite);
        group.bench_function(suite.name(), |b| b.iter(&mut exchange));
    }
    for kem in [Kem::P256Sha256, Kem::X25519Sha256, Kem::XWing] {
        let mut oblivious = work::oblivious(kem);
        group.bench_function(format!("Oblivious HTTP, {kem:?}"), |b| {
            b.iter(&mut oblivious);
        });
    }
    group.finish();
}

criterion_group!(benches, frames, agreement, exchange);
criterion_main!(benches);
