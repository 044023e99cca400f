//! HKDF-SHA256, step by step: the states that a hash goes through with a secret in it, from which every later one follows.

use sealwire_scanner::Wanted;
use sha2::block_api::compress256;

use super::HASH_STATE;

const BLOCK: usize = 64;
/// FIPS 180-4, section 5.3.3.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The key of an HMAC, or the salt of an extraction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key<'a> {
    /// Its states are secret from the first.
    Secret(&'a [u8]),
    /// Its states are secret once the message is in them.
    Public(&'a [u8]),
}

/// HKDF-Extract (RFC 5869 section 2.2).
pub(super) fn extract(wanted: &mut Wanted, salt: Key<'_>, ikm: &[u8]) -> [u8; 32] {
    hmac(wanted, salt, ikm)
}

/// HKDF-Expand to no more than one hash (RFC 5869 section 2.3); all of it, to be cut.
pub(super) fn expand(wanted: &mut Wanted, prk: &[u8; 32], info: &[u8]) -> [u8; 32] {
    hmac(wanted, Key::Secret(prk), &[info, &[1]].concat())
}

fn hmac(wanted: &mut Wanted, key: Key<'_>, message: &[u8]) -> [u8; 32] {
    let (bytes, is_secret) = match key {
        Key::Secret(bytes) => (bytes, true),
        Key::Public(bytes) => (bytes, false),
    };
    let key = if bytes.len() > BLOCK {
        digest(&states(bytes)).to_vec()
    } else {
        bytes.to_vec()
    };
    let padded = |pad: u8| {
        let mut block = [pad; BLOCK];
        block
            .iter_mut()
            .zip(&key)
            .for_each(|(byte, key)| *byte ^= key);
        block
    };
    let (inner_key, outer_key) = (padded(0x36), padded(0x5c));
    let inner = states(&[&inner_key, message].concat());
    let outer = states(&[&outer_key[..], &digest(&inner)].concat());
    if is_secret {
        wanted.pieces(HASH_STATE, &inner_key[..key.len()]);
        wanted.pieces(HASH_STATE, &outer_key[..key.len()]);
    }
    wanted.pieces(HASH_STATE, &digest(&inner));
    // The first state of each is that of the key.
    let first = usize::from(!is_secret);
    for state in inner[first..].iter().chain(&outer[first..]) {
        want_state(wanted, state);
    }
    digest(&outer)
}

/// A state as an array of words, and as the halves that the SHA instructions of x86 work on.
fn want_state(wanted: &mut Wanted, state: &[u32; 8]) {
    let bytes = |order: &[usize]| -> Vec<u8> {
        let words = order.iter().map(|at| state[*at].to_ne_bytes());
        words.flatten().collect()
    };
    let forms = [
        bytes(&[0, 1, 2, 3, 4, 5, 6, 7]),
        bytes(&[5, 4, 1, 0]),
        bytes(&[7, 6, 3, 2]),
    ];
    let forms = forms.each_ref().map(Vec::as_slice);
    wanted.forms(HASH_STATE, &forms);
}

/// The states after each block of a message; the last is its hash.
fn states(message: &[u8]) -> Vec<[u32; 8]> {
    let mut padded = [message, &[0x80]].concat();
    while padded.len() % BLOCK != BLOCK - 8 {
        padded.push(0);
    }
    padded.extend_from_slice(&(8 * message.len() as u64).to_be_bytes());
    let mut state = INITIAL;
    let (blocks, _) = padded.as_chunks::<BLOCK>();
    let after = blocks.iter().map(|block| {
        compress256(&mut state, &[*block]);
        state
    });
    after.collect()
}

fn digest(states: &[[u32; 8]]) -> [u8; 32] {
    let words = states.last().expect("padding is a block at least");
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    bytes.try_into().expect("eight words")
}

#[cfg(test)]
mod tests {
    use hkdf::Hkdf;
    use sha2::Sha256;

    use super::*;

    #[test]
    fn it_is_hkdf() {
        let mut wanted = Wanted::default();
        for (salt, ikm) in [(&b""[..], &[1; 32][..]), (&[2; 100], &[3; 80])] {
            let (prk, hkdf) = Hkdf::<Sha256>::extract(Some(salt), ikm);
            assert_eq!(extract(&mut wanted, Key::Public(salt), ikm)[..], prk[..]);
            let mut out = [0; 32];
            hkdf.expand(&[4; 70], &mut out).expect("short");
            assert_eq!(expand(&mut wanted, &prk.into(), &[4; 70]), out);
        }
    }
}
