//! An onlooker who also holds the gateway's private keys: from the bytes on the wire it derives every secret of an exchange,
//! to look for them in the memory of those who made it. Nothing in the product tells a key to anyone.

use std::collections::HashSet;

use aes_gcm::{Aes256Gcm, KeyInit};
use hkdf::Hkdf;
use hpke::kem::{DhP256HkdfSha256, MlKem768P256};
use hpke::{Deserializable, Kem, Serializable};
use rand_core::TryRng;
use sealwire_core::agreement::{KeyAgreement, RustCrypto};
use sealwire_core::frame::{FrameHeader, FrameType, RESPONSE_NONCE_LEN};
use sealwire_core::keys::{KeyRecord, KeyRing, key_id};
use sealwire_core::record::OpenHeader;
use sealwire_core::{KEY_BLOCK_LEN, Suite};
use sealwire_scanner::{PIECE, Wanted, own_bytes};
use sha2::Sha256;

use crate::marker::{Form, Marker};
use crate::random::SeededRng;
use crate::relay::Recorded;

/// What is looked for, as the columns of a table.
pub const KINDS: [&str; 9] = [
    PROMPT,
    ANSWER,
    API_KEY,
    REQUEST_KEY,
    RESPONSE_KEY,
    SCHEDULE,
    AGREEMENT,
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
/// Diffie-Hellman and KEM shared secrets, the key schedule's secrets, the response secret, the response's PRK.
pub const AGREEMENT: &str = "agreement";
/// The base nonces.
pub const NONCE: &str = "base nonce";
/// Private keys, serialised and as the libraries hold them.
pub const PRIVATE_KEY: &str = "private key";

/// A gateway's epoch key.
#[derive(Clone, Debug)]
pub struct EpochSecret {
    /// What OPEN says to name it.
    pub header: OpenHeader,
    /// The private key, serialised.
    pub private: [u8; 32],
}

/// Derives secrets.
#[derive(Debug)]
pub struct Spy {
    keys: Vec<EpochSecret>,
}

impl Spy {
    /// One who holds these keys.
    pub const fn new(keys: Vec<EpochSecret>) -> Self {
        Self { keys }
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
        let set = ring.key_set();
        let keys = Suite::ALL.iter().map(|&suite| {
            let (private, public) = match suite {
                Suite::P256 => derive::<DhP256HkdfSha256>(&draw()),
                _ => derive::<MlKem768P256>(&draw()),
            };
            let mut records = set.records().iter();
            let found = records.find(|signed| {
                KeyRecord::parse(&signed.record).is_ok_and(|record| record.public_key == public)
            });
            EpochSecret {
                header: OpenHeader::new(suite, key_id(&found.expect("another seed").record)),
                private,
            }
        });
        Self {
            keys: keys.collect(),
        }
    }

    /// The keys themselves.
    pub fn into_keys(self) -> Vec<EpochSecret> {
        self.keys
    }

    /// The epoch keys, to be looked for.
    pub fn private_keys(&self) -> Wanted {
        let mut wanted = Wanted::default();
        for key in &self.keys {
            wanted.pieces(PRIVATE_KEY, &key.private);
            match key.header.suite() {
                Suite::P256 => want_private::<DhP256HkdfSha256>(&mut wanted, &key.private),
                _ => want_private::<MlKem768P256>(&mut wanted, &key.private),
            }
        }
        wanted
    }

    /// Every secret of every exchange that was recorded.
    pub fn exchanges(&self, recorded: &[Recorded]) -> Wanted {
        let mut wanted = Wanted::default();
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

fn want_private<K: Kem>(wanted: &mut Wanted, private: &[u8; 32]) {
    let key = |bytes: &[u8]| K::PrivateKey::from_bytes(bytes).expect("a private key");
    let own = key(private);
    let others = [own_bytes(&K::sk_to_pk(&own)), own_bytes(&key(&[1; 32]))];
    want_object(wanted, PRIVATE_KEY, &own_bytes(&own), &others);
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
    let (request_key, rest) = block.split_at(32);
    let (request_nonce, response_secret) = rest.split_at(12);
    want_key(wanted, REQUEST_KEY, request_key);
    wanted.pieces(NONCE, request_nonce);
    wanted.pieces(AGREEMENT, response_secret);
    let shared = match key.header.suite() {
        Suite::P256 => shared_secret::<DhP256HkdfSha256>(&key.private, enc),
        _ => shared_secret::<MlKem768P256>(&key.private, enc),
    };
    wanted.pieces(AGREEMENT, &shared);
    if key.header.suite() == Suite::P256 {
        let scalar = p256::SecretKey::from_slice(&key.private).expect("a scalar");
        let peer = p256::PublicKey::from_sec1_bytes(enc).expect("it was decapsulated");
        let secret = p256::ecdh::diffie_hellman(scalar.to_nonzero_scalar(), peer.as_affine());
        wanted.pieces(AGREEMENT, secret.raw_secret_bytes());
    }
    let (secret, exporter) = schedule_secrets(&key.header, &shared);
    wanted.pieces(AGREEMENT, &secret);
    wanted.pieces(AGREEMENT, &exporter);
    assert_eq!(
        expand(
            &suite_id(&key.header),
            &exporter,
            b"sec",
            b"sealwire/1 request key"
        ),
        request_key,
        "the onlooker derives what the product does"
    );
    if let Some(nonce) = nonce {
        let salt = [enc, nonce].concat();
        let (prk, hkdf) = Hkdf::<Sha256>::extract(Some(&salt), response_secret);
        let (mut response_key, mut response_nonce) = ([0; 32], [0; 12]);
        hkdf.expand(b"sealwire/1 response key", &mut response_key)
            .and_then(|()| hkdf.expand(b"sealwire/1 response nonce", &mut response_nonce))
            .expect("short");
        wanted.pieces(AGREEMENT, &prk);
        want_key(wanted, RESPONSE_KEY, &response_key);
        wanted.pieces(NONCE, &response_nonce);
    }
}

fn want_key(wanted: &mut Wanted, kind: &'static str, key: &[u8]) {
    wanted.pieces(kind, key);
    let cipher = |key: &[u8]| {
        let key: &[u8; 32] = key.try_into().expect("32 bytes");
        own_bytes(&Aes256Gcm::new(key.into()))
    };
    let others = [key.to_vec(), cipher(&[1; 32])];
    want_object(wanted, SCHEDULE, &cipher(key), &others);
}

/// Private and public half of an epoch key.
fn derive<K: Kem>(ikm: &[u8; 32]) -> ([u8; 32], Vec<u8>) {
    let (private, public) = K::derive_keypair(ikm);
    let private = private.to_bytes()[..].try_into().expect("32 bytes");
    (private, public.to_bytes().to_vec())
}

fn shared_secret<K: Kem>(private: &[u8; 32], enc: &[u8]) -> Vec<u8> {
    let private = K::PrivateKey::from_bytes(private).expect("a private key");
    let enc = K::EncappedKey::from_bytes(enc).expect("it was decapsulated");
    K::decap(&private, None, &enc)
        .expect("it was decapsulated")
        .0
        .to_vec()
}

/// `secret` and `exporter_secret` of RFC 9180 section 5.1.
fn schedule_secrets(header: &OpenHeader, shared: &[u8]) -> ([u8; 32], [u8; 32]) {
    let suite = suite_id(header);
    let info = [b"sealwire/1 request", &header.to_bytes()[..]].concat();
    let extract = |salt: &[u8], label: &[u8], ikm: &[u8]| -> [u8; 32] {
        let ikm = [b"HPKE-v1", &suite[..], label, ikm].concat();
        Hkdf::<Sha256>::extract(Some(salt), &ikm).0.into()
    };
    let context = [
        &[0][..],
        &extract(b"", b"psk_id_hash", b""),
        &extract(b"", b"info_hash", &info),
    ]
    .concat();
    let secret = extract(shared, b"secret", b"");
    (secret, expand(&suite, &secret, b"exp", &context))
}

/// `LabeledExpand` to 32 bytes.
fn expand(suite: &[u8], prk: &[u8; 32], label: &[u8], info: &[u8]) -> [u8; 32] {
    let info = [&32_u16.to_be_bytes()[..], b"HPKE-v1", suite, label, info].concat();
    let mut out = [0; 32];
    Hkdf::<Sha256>::from_prk(prk)
        .expect("as long as the hash")
        .expand(&info, &mut out)
        .expect("short");
    out
}

/// "HPKE", KEM, KDF and the AEAD of exports alone.
fn suite_id(header: &OpenHeader) -> Vec<u8> {
    let kem = header.suite().kem_id().to_be_bytes();
    let kdf = Suite::KDF_ID.to_be_bytes();
    [b"HPKE", &kem[..], &kdf, &[0xff, 0xff]].concat()
}

/// Finds the private half of an epoch key among these bytes, by its public half: for a gateway that tells nobody.
pub fn find_private(
    record: &[u8],
    public: &[u8],
    suite: Suite,
    memory: &[u8],
) -> Option<EpochSecret> {
    let candidates = memory.windows(32).step_by(16);
    let found = candidates
        .filter(|bytes| bytes.iter().filter(|byte| **byte == 0).count() < 8)
        .find(|bytes| match suite {
            Suite::P256 => is_private::<DhP256HkdfSha256>(bytes, public),
            _ => is_private::<MlKem768P256>(bytes, public),
        })?;
    Some(EpochSecret {
        header: OpenHeader::new(suite, key_id(record)),
        private: found.try_into().expect("a window of 32"),
    })
}

fn is_private<K: Kem>(bytes: &[u8], public: &[u8]) -> bool {
    K::PrivateKey::from_bytes(bytes)
        .is_ok_and(|private| K::sk_to_pk(&private).to_bytes()[..] == *public)
}
