//! Writes the seed corpora, `fuzz/seeds/TARGET/NAME`: from the vectors of `tests/vectors`, sealed again with the null cipher, and from
//! what is written down beside this file.
//!
//!     cargo run --manifest-path fuzz/Cargo.toml --example seeds

mod scripts;
mod texts;
mod vectors;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Larger seeds slow every mutation down, and reach nothing that smaller ones do not; but a HEAD has one field alone that may be as long, and
/// libFuzzer makes no input longer than the longest seed.
const LARGEST: usize = 8 * 1024;
const LARGEST_HEAD: usize = 16 * 1024;

/// The corpora of all targets.
struct Seeds {
    folder: PathBuf,
    written: BTreeSet<(String, Vec<u8>)>,
}

impl Seeds {
    /// Adds a seed, unless the target has the same bytes already.
    fn add(&mut self, target: &str, name: &str, bytes: &[u8]) {
        let is_new = self.written.insert((target.into(), bytes.into()));
        let largest = if target == "head" {
            LARGEST_HEAD
        } else {
            LARGEST
        };
        if is_new && bytes.len() <= largest {
            let folder = self.folder.join(target);
            fs::create_dir_all(&folder).expect("a writable repository");
            fs::write(folder.join(name), bytes).expect("a writable repository");
        }
    }
}

fn main() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seeds = Seeds {
        folder: fuzz.join("seeds"),
        written: BTreeSet::new(),
    };
    let _ = fs::remove_dir_all(&seeds.folder);
    vectors::write(&mut seeds, &fuzz.join("../tests/vectors"));
    texts::write(&mut seeds);
    scripts::write(&mut seeds);
}
