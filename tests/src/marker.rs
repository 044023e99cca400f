//! Texts that are looked for in memory. Made by a formula, character by character, so that a process which writes one into
//! secure memory has no other copy of it.

/// A text that is looked for: letters and digits as good as random, and two characters that JSON escapes.
#[derive(Clone, Copy, Debug)]
pub struct Marker {
    seed: u64,
}

/// How a marker is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Plain,
    /// As it stands in a JSON string.
    Json,
}

/// Random characters in one part of a marker.
const PART: usize = 32;
/// What stands between the parts, and in JSON.
const BETWEEN: [(&[u8], &[u8]); 2] = [(b"\"", br#"\""#), (b"\n", br"\n")];

impl Marker {
    /// The prompt of the exchange with this number.
    pub const fn prompt(number: u64) -> Self {
        Self { seed: 3 * number }
    }

    /// Its answer.
    pub const fn answer(number: u64) -> Self {
        Self {
            seed: 3 * number + 1,
        }
    }

    /// An API key: one word. [`write_word`](Self::write_word) writes it.
    pub const fn api_key(number: u64) -> Self {
        Self {
            seed: 3 * number + 2,
        }
    }

    /// Writes the whole of it.
    pub fn write(self, form: Form, mut put: impl FnMut(&[u8])) {
        for part in 0..=BETWEEN.len() {
            self.write_part(part, form, &mut put);
        }
    }

    /// How many parts it has.
    pub const PARTS: usize = BETWEEN.len() + 1;

    /// Writes one part, and what stands behind it.
    pub fn write_part(self, part: usize, form: Form, mut put: impl FnMut(&[u8])) {
        for at in part * PART..(part + 1) * PART {
            put(&[self.letter(at)]);
        }
        if let Some((plain, json)) = BETWEEN.get(part) {
            put(if form == Form::Plain { plain } else { json });
        }
    }

    /// Writes it as one word.
    pub fn write_word(self, mut put: impl FnMut(&[u8])) {
        put(b"sk-");
        for at in 0..PART + PART / 2 {
            put(&[self.letter(at)]);
        }
    }

    /// All of it, for the process that looks.
    pub fn to_vec(self, form: Form) -> Vec<u8> {
        let mut text = Vec::new();
        self.write(form, |bytes| text.extend_from_slice(bytes));
        text
    }

    /// The word, for the process that looks.
    pub fn word(self) -> Vec<u8> {
        let mut word = Vec::new();
        self.write_word(|bytes| word.extend_from_slice(bytes));
        word
    }

    fn letter(self, at: usize) -> u8 {
        let mut x = (self.seed << 16 | at as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
        for factor in [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
            x = (x ^ x >> 30).wrapping_mul(factor);
        }
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(x >> 59) as usize]
    }
}
