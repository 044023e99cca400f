//! Every cryptographic object that the product makes is gone from memory when it is dropped: each is dropped where it lies, and the bytes
//! there are looked at. Which features that takes is `.ci/wiping`'s to watch.
#![cfg(target_os = "linux")]

use std::collections::HashSet;
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use hpke::aead::ExportOnlyAead;
use hpke::kdf::HkdfSha256;
use hpke::kem::{DhP256HkdfSha256, MlKem768P256};
use hpke::{Kem, OpModeR, setup_receiver, setup_sender_with_rng};
use p256::ecdh::EphemeralSecret;
use p256::elliptic_curve::Generate;
use sealwire_scanner::own_bytes;
use sealwire_tests::random::SeededRng;
use sha2::{Digest, Sha256};
use sha3::Sha3_256;
use shake::{ExtendableOutput, Shake256, Update, XofReader};

/// Words of this many bytes are compared.
const WORD: usize = 8;

/// All but the last: that may be padding, with whatever was on the stack.
fn words(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes[..bytes.len() - WORD].chunks_exact(WORD)
}

/// Drops what `make` made of one seed where it lies, and checks that no word is left that another seed makes otherwise. `public` is what of it
/// may stay.
fn check<T>(name: &str, make: impl Fn(u8) -> T, public: &[Vec<u8>]) {
    let other = own_bytes(&make(2));
    // A vector drops its element in place, and keeps the place.
    let mut place = vec![make(1)];
    let before = own_bytes(black_box(&place[0]));
    let same: HashSet<&[u8]> = words(&other)
        .chain(public.iter().flat_map(|public| public.windows(WORD)))
        .collect();
    let secret = |word: &&[u8]| !same.contains(word) && word.iter().any(|byte| *byte != 0);
    let secrets: HashSet<&[u8]> = words(&before).filter(secret).collect();
    assert!(
        secrets.len() >= 3,
        "{name}: {} words depend on the key",
        secrets.len()
    );

    place.clear();
    let address = black_box(&place).as_ptr().addr() as u64;
    let mut after = vec![0; before.len()];
    let memory = File::open("/proc/self/mem").expect("a process may read itself");
    memory
        .read_exact_at(&mut after, address)
        .expect("the vector lives");
    let left = words(&after).filter(|word| secrets.contains(word)).count();
    println!(
        "{name}: {} secret words of {} before, {left} after",
        secrets.len(),
        before.len() / WORD
    );
    assert_eq!(left, 0, "{name} is not wiped");
}

/// What a caller would have to wipe alone: the check must see it.
#[test]
#[should_panic(expected = "an array is not wiped")]
fn the_check_finds_what_is_left() {
    check("an array", |seed| [Sha256::digest([seed]); 2], &[]);
}

#[test]
fn ciphers_and_hashes() {
    let key = |seed: u8| -> [u8; 32] { Sha256::digest([seed]).into() };
    check("AES-256-GCM", |seed| Aes256Gcm::new(&key(seed).into()), &[]);
    check(
        "AES-256-GCM, used",
        |seed| {
            let cipher = Aes256Gcm::new(&key(seed).into());
            let mut text = [seed; 100];
            let sealed =
                cipher.encrypt_inout_detached(&[0; 12].into(), &[], text.as_mut_slice().into());
            sealed.expect("short");
            cipher
        },
        &[],
    );
    check(
        "SHA-256",
        |seed| {
            Sha256::new()
                .chain_update([key(seed), key(seed)].concat())
                .chain_update(key(seed))
        },
        &[],
    );
    check(
        "HMAC",
        |seed| Hmac::<Sha256>::new_from_slice(&key(seed)).expect("any length"),
        &[],
    );
    check(
        "HMAC, begun",
        |seed| {
            Hmac::<Sha256>::new_from_slice(&key(seed))
                .expect("any length")
                .chain_update(key(seed))
        },
        &[],
    );
    check(
        "HKDF",
        |seed| Hkdf::<Sha256>::new(Some(&[1; 32]), &key(seed)),
        &[],
    );
    // What the hybrid puts its secrets through.
    check(
        "SHA3-256",
        |seed| Sha3_256::new().chain_update([key(seed), key(seed)].concat()),
        &[],
    );
    check(
        "SHAKE256, read from",
        |seed| {
            let mut hash = Shake256::default();
            hash.update(&key(seed));
            let mut reader = hash.finalize_xof();
            reader.read(&mut [0; 32]);
            reader
        },
        &[],
    );
}

#[test]
fn private_keys() {
    let scalar = |seed| p256::SecretKey::from_slice(&Sha256::digest([seed])).expect("a scalar");
    check("P-256 secret key", scalar, &[]);
    let signer =
        |seed| p256::ecdsa::SigningKey::from_slice(&Sha256::digest([seed])).expect("a scalar");
    let public = own_bytes(signer(1).verifying_key());
    check("P-256 signing key", signer, &[public]);
    check(
        "P-256 ephemeral secret",
        |seed| EphemeralSecret::generate_from_rng(&mut SeededRng::new(u64::from(seed))),
        &[],
    );
    check(
        "P-256 shared secret",
        |seed| {
            let peer = scalar(9).public_key();
            p256::ecdh::diffie_hellman(scalar(seed).to_nonzero_scalar(), peer.as_affine())
        },
        &[],
    );
}

#[test]
fn key_agreement() {
    fn kem<K: Kem>(name: &str) {
        let pair = |seed: u8| K::derive_keypair(&Sha256::digest([seed]));
        let public = own_bytes(&pair(1).1);
        check(
            &format!("{name} private key"),
            |seed| pair(seed).0,
            &[public],
        );
        let (private, public) = pair(7);
        let encapsulate = |seed| {
            let mut rng = SeededRng::new(u64::from(seed));
            setup_sender_with_rng::<ExportOnlyAead, HkdfSha256, K>(
                &hpke::OpModeS::Base,
                &public,
                b"info",
                &mut rng,
            )
            .expect("a valid key")
        };
        check(&format!("{name} sender"), |seed| encapsulate(seed).1, &[]);
        check(
            &format!("{name} receiver"),
            |seed| {
                let enc = encapsulate(seed).0;
                let mode = OpModeR::Base;
                setup_receiver::<ExportOnlyAead, HkdfSha256, K>(&mode, &private, &enc, b"info")
                    .expect("encapsulated above")
            },
            &[],
        );
        check(
            &format!("{name} shared secret"),
            |seed| K::decap(&private, None, &encapsulate(seed).0).expect("encapsulated above"),
            &[],
        );
    }
    kem::<DhP256HkdfSha256>("P-256");
    kem::<MlKem768P256>("MLKEM768-P256");
}
