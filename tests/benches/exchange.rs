//! What sealing costs: frames by size, and the public-key work of an exchange by suite; ours and aws-lc-rs's in the same run.
//!
//! ```sh
//! cargo bench -p sealwire-tests --bench exchange
//! ```
#![allow(missing_docs, reason = "criterion's macros make functions without any")]

#[path = "../tests/support/aws.rs"]
mod aws;

use aes_gcm::Aes256Gcm;
use aws::{Aws, AwsGcm};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hpke::{Kem, Serializable};
use sealwire_core::agreement::{KeyAgreement, RustCrypto, SEED_LEN};
use sealwire_core::exchange::{ClientExchange, ClientOptions, ServerEvent, ServerOptions};
use sealwire_core::frame::{FrameType, SEALED_OVERHEAD};
use sealwire_core::padding::Padding;
use sealwire_core::record::{OpenHeader, RequestOpener, RequestSealer};
use sealwire_core::replay::MemoryReplayStore;
use sealwire_core::{KEY_BLOCK_LEN, RecordAead, Suite};
use sealwire_tests::pair::{Seen, World, drain_client, feed_client};

const SIZES: [usize; 3] = [1024, 16_404, 65_557];

/// A frame sealed, and one opened, where it stands.
fn frames(c: &mut Criterion) {
    for size in SIZES {
        frame::<Aes256Gcm>(c, "RustCrypto", size);
        frame::<AwsGcm>(c, "aws-lc-rs", size);
    }
}

fn frame<A: RecordAead>(c: &mut Criterion, name: &str, size: usize) {
    let (private, public) = hpke::kem::DhP256HkdfSha256::derive_keypair(&[1; 32]);
    let (private, public) = (private.to_bytes(), public.to_bytes());
    let header = OpenHeader::new(Suite::P256, [7; 8]);
    let content = size - SEALED_OVERHEAD;
    let (mut seed, mut enc, mut block) = ([5; SEED_LEN], [0; 65], [0; KEY_BLOCK_LEN]);
    let sealer =
        RequestSealer::<_, A>::with_aead(&header, &public, &mut seed, &mut enc, &mut block);
    let mut sealer = sealer.expect("a good key");
    let mut sealed = vec![0; size];
    sealer.seal_head(&mut sealed, content, size).expect("fits");

    let mut group = c.benchmark_group(format!("frame of {size}"));
    group.throughput(Throughput::Bytes(size as u64));
    let mut buffer = vec![0; size];
    group.bench_function(format!("{name}, seal"), |b| {
        b.iter(|| sealer.seal_data(&mut buffer, content, size).expect("fits"));
    });
    // A frame opens once, under its own number: each is the first of an opener whose making is not counted.
    group.bench_function(format!("{name}, open"), |b| {
        b.iter_batched(
            || {
                let block: &'static mut _ = Box::leak(Box::new([0; KEY_BLOCK_LEN]));
                let opener = RequestOpener::<_, A>::with_aead(&header, &enc, &private, block);
                (opener.expect("its own"), sealed.clone())
            },
            |(mut opener, mut frame)| {
                let kind = opener.open(&mut frame).map(|opened| opened.kind);
                assert_eq!(kind, Ok(FrameType::Head));
                (opener, frame)
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// SetupBase and the three exports, at either end.
fn agreement(c: &mut Criterion) {
    for &suite in Suite::ALL {
        let header = OpenHeader::new(suite, [7; 8]);
        let (private, public) = match suite {
            Suite::P256 => {
                let (private, public) = hpke::kem::DhP256HkdfSha256::derive_keypair(&[1; 32]);
                (private.to_bytes().to_vec(), public.to_bytes().to_vec())
            }
            _ => {
                let (private, public) = hpke::kem::MlKem768P256::derive_keypair(&[1; 32]);
                (private.to_bytes().to_vec(), public.to_bytes().to_vec())
            }
        };
        let providers: &[(&str, &dyn KeyAgreement)] = match suite {
            Suite::P256 => &[("RustCrypto", &RustCrypto), ("aws-lc-rs", &Aws)],
            _ => &[("RustCrypto", &RustCrypto)],
        };
        let mut group = c.benchmark_group(suite.name());
        for (name, provider) in providers {
            let (mut enc, mut secrets) = (vec![0; suite.enc_len()], [0; KEY_BLOCK_LEN]);
            group.bench_function(format!("{name}, client"), |b| {
                b.iter(|| {
                    provider
                        .encapsulate(&header, &public, &mut [5; SEED_LEN], &mut enc, &mut secrets)
                        .expect("a good key");
                });
            });
            group.bench_function(format!("{name}, gateway"), |b| {
                b.iter(|| {
                    provider
                        .decapsulate(&header, &private, &enc, &mut secrets)
                        .expect("its own");
                });
            });
        }
        group.finish();
    }
}

/// A chat of 1 KiB each way: what client and gateway do for it together, secure memory included, beside the network.
fn exchange(c: &mut Criterion) {
    let mut group = c.benchmark_group("whole exchange, both ends");
    for &suite in Suite::ALL {
        let mut world = World::new(4);
        let key = world.gateway_key(suite);
        group.bench_function(suite.name(), |b| {
            b.iter(|| {
                world.replay = MemoryReplayStore::new(1);
                let request = world.request(&[b'x'; 1024]);
                let (memory, now, options) = (&world.memory, world.now, ClientOptions::default());
                let made = ClientExchange::new(memory, &key, request, now, options, &mut world.rng);
                let mut client = made.map_err(|(_, error)| error).expect("sealed");
                let wire = drain_client(&mut client);
                let mut server = world.server(ServerOptions::default());
                world.feed_server(&mut server, &wire);
                server.handle_eof(world.now);
                assert_eq!(server.poll_event(), Some(ServerEvent::Request));
                let body = server.take_request().expect("announced").into_body();
                let id = *client.exchange_id();
                let wire = world.answer(&mut server, id, &[body.expose()], Padding::Padme);
                let mut seen = Seen::default();
                feed_client(&mut client, &wire, &mut seen).expect("accepted");
                assert!(seen.complete);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, frames, agreement, exchange);
criterion_main!(benches);
