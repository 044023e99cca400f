//! An onlooker who also holds the gateway's private keys, and knows what the client drew from the system's random source: from the
//! bytes on the wire it derives every secret of an exchange, to look for them in the memory of those who made it. Nothing in the
//! product tells a key to anyone.

mod agreement;
mod hash;

use std::collections::HashSet;

use aes_gcm::{Aes256Gcm, KeyInit};
use hpke::{Deserializable, Kem};
use rand_core::TryRng;
use sealwire_core::agreement::{KeyAgreement, RustCrypto, SEED_LEN};
use sealwire_core::frame::{FrameHeader, FrameType, RESPONSE_NONCE_LEN};
use sealwire_core::keys::{KeyRecord, KeyRing, KeySet, key_id};
use sealwire_core::record::OpenHeader;
use sealwire_core::{KEY_BLOCK_LEN, Suite};
use sealwire_scanner::{PIECE, Wanted, own_bytes};

use crate::draws::Draws;
use crate::marker::{Form, Marker};
use crate::random::SeededRng;
use crate::relay::Recorded;
use hash::{Key, expand, extract};

/// What is looked for, as the columns of a table.
pub const KINDS: [&str; 12] = [
    PROMPT,
    ANSWER,
    API_KEY,
    REQUEST_KEY,
    RESPONSE_KEY,
    SCHEDULE,
    EPHEMERAL,
    HALVES,
    AGREEMENT,
    HASH_STATE,
    NONCE,
    PRIVATE_KEY,
];
/// The prompt, as it is and with JSON's escapes.
pub const PROMPT: &str = "prompt";
/// The answer, as it is and with JSON's escapes.
pub const ANSWER: &str = "answer";
/// The API key, with or without what stands before it.
pub const API_KEY: &str = "API key";
/// The AES key of the request.
pub const REQUEST_KEY: &str = "request key";
/// The AES key of the response.
pub const RESPONSE_KEY: &str = "response key";
/// What AES-GCM makes of a key: round keys to encrypt and to decrypt, as laid out on this machine, and the GHASH key.
pub const SCHEDULE: &str = "schedule";
/// A client's ephemeral private key; the random bytes that this or an epoch key is made of, and what comes between.
pub const EPHEMERAL: &str = "ephemeral";
/// The two halves of the hybrid's secret: ML-KEM's and Diffie-Hellman's.
pub const HALVES: &str = "halves";
/// Diffie-Hellman and KEM shared secrets, every PRK, the key schedule's secrets, the response secret.
pub const AGREEMENT: &str = "agreement";
/// The states of SHA-256 while HMAC and HKDF work with one of these, and the keys as HMAC pads them.
pub const HASH_STATE: &str = "hash state";
/// The base nonces.
pub const NONCE: &str = "base nonce";
/// Private keys of a gateway, serialised and as the libraries hold them.
pub const PRIVATE_KEY: &str = "private key";

/// A gateway's epoch key.
#[derive(Clone, Debug)]
pub struct EpochSecret {
    /// What OPEN says to name it.
    pub header: OpenHeader,
    /// What it is derived from.
    pub ikm: [u8; 32],
    /// The private key, serialised.
    pub private: [u8; 32],
}

impl EpochSecret {
    /// The key that one of these made, if any did.
    fn of(signed: &[u8], drawn: &[[u8; 32]]) -> Option<Self> {
        let record = KeyRecord::parse(signed).ok()?;
        let suite = record.suite?;
        drawn.iter().find_map(|ikm| {
            let (private, public) = agreement::derive(suite, ikm);
            (public == record.public_key).then(|| Self {
                header: OpenHeader::new(suite, key_id(signed)),
                ikm: *ikm,
                private,
            })
        })
    }
}

/// Derives secrets.
#[derive(Debug)]
pub struct Spy {
    keys: Vec<EpochSecret>,
}

impl Spy {
    /// One who knows what a gateway with these keys drew.
    ///
    /// # Panics
    /// If they were made of something else.
    pub fn new(set: &KeySet, drawn: &[[u8; 32]]) -> Self {
        let keys = set
            .records()
            .iter()
            .map(|signed| EpochSecret::of(&signed.record, drawn).expect("made of something else"));
        Self {
            keys: keys.collect(),
        }
    }

    /// One who knows the seed that a ring with all suites was made of: its identity, and then one key for each.
    ///
    /// # Panics
    /// If the ring was made of something else.
    pub fn of_ring(ring: &KeyRing, mut rng: SeededRng) -> Self {
        let mut draw = || {
            let mut bytes = [0; 32];
            let Ok(()) = rng.try_fill_bytes(&mut bytes);
            bytes
        };
        assert_eq!(draw(), *ring.identity().expose_scalar(), "another seed");
        let drawn: Vec<_> = Suite::ALL.iter().map(|_| draw()).collect();
        Self::new(&ring.key_set(), &drawn)
    }

    /// The keys themselves.
    pub fn into_keys(self) -> Vec<EpochSecret> {
        self.keys
    }

    /// The epoch keys, to be looked for.
    pub fn private_keys(&self) -> Wanted {
        let mut wanted = Wanted::default();
        for key in &self.keys {
            agreement::epoch(&mut wanted, key);
        }
        wanted
    }

    /// Every secret of every exchange that was recorded, and those of its client alone if it is known what that `drew`.
    ///
    /// # Panics
    /// If the client did not draw its seeds from the system.
    pub fn exchanges(&self, recorded: &[Recorded], drew: Option<&Draws>) -> Wanted {
        let mut wanted = Wanted::default();
        let seeds = drew.map(Draws::of_length::<SEED_LEN>);
        for seed in seeds.iter().flatten() {
            wanted.pieces(EPHEMERAL, seed);
        }
        for connection in recorded {
            let accept = FrameHeader::new(FrameType::Accept, RESPONSE_NONCE_LEN)
                .expect("ACCEPT has this length")
                .to_bytes();
            let mut nonces = after(&connection.down, &accept, RESPONSE_NONCE_LEN).into_iter();
            let mut opens: Vec<_> = self
                .keys
                .iter()
                .flat_map(|key| {
                    let header = key.header.to_bytes();
                    let found = after(&connection.up, &header, key.header.suite().enc_len());
                    found.into_iter().map(move |enc| (enc.as_ptr(), key, enc))
                })
                .collect();
            opens.sort_by_key(|(at, ..)| *at);
            for (_, key, enc) in opens {
                want_exchange(&mut wanted, key, enc, nonces.next());
                if let Some(seeds) = &seeds {
                    let is_made =
                        |seed: &[u8; SEED_LEN]| agreement::ephemeral(&mut wanted, key, seed, enc);
                    assert!(seeds.iter().any(is_made), "drawn from the system");
                }
            }
        }
        wanted
    }
}

/// The scalar of an identity, serialised and as the library holds it to sign.
///
/// # Panics
/// If it is none.
pub fn identity(scalar: &[u8; 32]) -> Wanted {
    let key = |scalar: &[u8]| p256::ecdsa::SigningKey::from_slice(scalar).expect("a scalar");
    let mut wanted = Wanted::default();
    wanted.pieces(PRIVATE_KEY, scalar);
    let public = own_bytes(key(scalar).verifying_key());
    let others = [public, own_bytes(&key(&[1; 32]))];
    want_object(&mut wanted, PRIVATE_KEY, &own_bytes(&key(scalar)), &others);
    wanted
}

/// Prompt, answer and API key of the exchange with this number.
pub fn texts(number: u64) -> Wanted {
    let mut wanted = Wanted::default();
    for (kind, marker) in [
        (PROMPT, Marker::prompt(number)),
        (ANSWER, Marker::answer(number)),
    ] {
        let forms = [Form::Plain, Form::Json].map(|form| marker.to_vec(form));
        wanted.forms(kind, &[&forms[0], &forms[1]]);
    }
    wanted.pieces(API_KEY, &Marker::api_key(number).word());
    wanted
}

/// Where `pattern` is found, the `len` bytes behind it.
fn after<'a>(bytes: &'a [u8], pattern: &[u8], len: usize) -> Vec<&'a [u8]> {
    let places = bytes.windows(pattern.len()).enumerate();
    places
        .filter(|(_, window)| *window == pattern)
        .filter_map(|(at, _)| bytes.get(at + pattern.len()..at + pattern.len() + len))
        .collect()
}

/// Looks for what `object` is made of and none of `others` is: not for what is public, constant or empty in it.
fn want_object(wanted: &mut Wanted, kind: &'static str, object: &[u8], others: &[Vec<u8>]) {
    let known: HashSet<&[u8]> = others
        .iter()
        .flat_map(|other| other.windows(PIECE))
        .collect();
    wanted.pieces_at(kind, &[object], 8, |piece| !known.contains(piece));
}

/// The private key as the library of the KEM holds it.
fn want_private<K: Kem>(wanted: &mut Wanted, kind: &'static str, private: &[u8; 32]) {
    let key = |bytes: &[u8]| K::PrivateKey::from_bytes(bytes).expect("a private key");
    let own = key(private);
    let others = [own_bytes(&K::sk_to_pk(&own)), own_bytes(&key(&[1; 32]))];
    want_object(wanted, kind, &own_bytes(&own), &others);
}

fn want_exchange(wanted: &mut Wanted, key: &EpochSecret, enc: &[u8], nonce: Option<&[u8]>) {
    let mut block = [0; KEY_BLOCK_LEN];
    // A client may have sent anything.
    if RustCrypto
        .decapsulate(&key.header, &key.private, enc, &mut block)
        .is_err()
    {
        return;
    }
    let shared = agreement::shared_secret(wanted, key, enc);
    let exports = agreement::schedule(wanted, &key.header, &shared);
    let made = [
        &exports.request_key[..],
        &exports.request_nonce,
        &exports.response_secret,
    ];
    assert_eq!(
        made.concat(),
        block,
        "the onlooker derives what the product does"
    );
    want_key(wanted, REQUEST_KEY, &exports.request_key);
    wanted.pieces(NONCE, &exports.request_nonce);
    wanted.pieces(AGREEMENT, &exports.response_secret);
    if let Some(nonce) = nonce {
        let salt = [enc, nonce].concat();
        let prk = extract(wanted, Key::Public(&salt), &exports.response_secret);
        let response_key = expand(wanted, &prk, b"sealwire/1 response key");
        let response_nonce = expand(wanted, &prk, b"sealwire/1 response nonce");
        wanted.pieces(AGREEMENT, &prk);
        want_key(wanted, RESPONSE_KEY, &response_key);
        wanted.pieces(NONCE, &response_nonce[..12]);
    }
}

fn want_key(wanted: &mut Wanted, kind: &'static str, key: &[u8; 32]) {
    wanted.pieces(kind, key);
    let cipher = |key: &[u8; 32]| own_bytes(&Aes256Gcm::new(key.into()));
    let others = [key.to_vec(), cipher(&[1; 32])];
    want_object(wanted, SCHEDULE, &cipher(key), &others);
}
