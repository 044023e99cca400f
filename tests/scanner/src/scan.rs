//! What is looked for, and where it was found.

use std::collections::HashSet;
use std::fmt;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::memory::for_each_mapping;

/// Bytes of the shortest piece of a secret that counts as a find. Chance does not make 128 bits alike.
pub const PIECE: usize = 16;

/// Secrets to look for. Each belongs to a kind, by which finds are counted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    patterns: Vec<Vec<u8>>,
    /// The secret that each pattern is of.
    secret_of: Vec<usize>,
    /// Kind, and whether pieces that lie together are one copy.
    secrets: Vec<(&'static str, bool)>,
}

impl Wanted {
    /// Looks for exactly these bytes; each occurrence counts.
    pub fn whole(&mut self, kind: &'static str, bytes: &[u8]) {
        self.secrets.push((kind, false));
        self.push(bytes);
    }

    /// Looks for every piece of [`PIECE`] bytes, wherever it begins, so that half a copy is found too. Pieces that lie
    /// together are one copy. A shorter secret is looked for as a whole.
    pub fn pieces(&mut self, kind: &'static str, bytes: &[u8]) {
        self.forms(kind, &[bytes]);
    }

    /// [`pieces`](Self::pieces) of a secret that can be written in several ways.
    pub fn forms(&mut self, kind: &'static str, forms: &[&[u8]]) {
        self.pieces_at(kind, forms, 1, |_| true);
    }

    /// [`forms`](Self::forms) whose pieces begin at multiples of `step` and are `secret`: what an object holds of round keys
    /// or limbs, without its padding, tables and public parts.
    pub fn pieces_at(
        &mut self,
        kind: &'static str,
        forms: &[&[u8]],
        step: usize,
        is_secret: impl Fn(&[u8]) -> bool,
    ) {
        self.secrets.push((kind, true));
        let mut known = HashSet::new();
        for form in forms {
            if form.len() < PIECE {
                self.push(form);
            }
            for piece in form.windows(PIECE).step_by(step) {
                if !is_plain(piece) && is_secret(piece) && known.insert(piece) {
                    self.push(piece);
                }
            }
        }
    }

    fn push(&mut self, pattern: &[u8]) {
        self.patterns.push(pattern.into());
        self.secret_of.push(self.secrets.len() - 1);
    }

    /// Everything that `other` looks for, too.
    pub fn extend(&mut self, other: &Self) {
        let before = self.secrets.len();
        self.patterns.extend_from_slice(&other.patterns);
        self.secret_of
            .extend(other.secret_of.iter().map(|secret| secret + before));
        self.secrets.extend_from_slice(&other.secrets);
    }
}

/// Whether so few values are in a piece that it may be anything: zeros, small numbers, a token beside a key.
fn is_plain(piece: &[u8]) -> bool {
    piece.iter().collect::<HashSet<_>>().len() <= PIECE / 2
}

/// Looks for secrets in processes.
#[derive(Debug)]
pub struct Scanner {
    wanted: Wanted,
    automaton: AhoCorasick,
}

impl Scanner {
    /// A scanner for these.
    ///
    /// # Panics
    /// If they are more than an automaton can take.
    pub fn new(wanted: &Wanted) -> Self {
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&wanted.patterns)
            .expect("secrets are few and short");
        Self {
            wanted: wanted.clone(),
            automaton,
        }
    }

    /// Whether a text shows a secret.
    pub fn is_shown_by(&self, text: &str) -> bool {
        self.automaton.is_match(text)
    }

    /// Every copy in every readable mapping of a process.
    ///
    /// # Panics
    /// If the process may not be read.
    pub fn scan(&self, pid: u32) -> Found {
        let mut copies: Vec<Copy> = Vec::new();
        for_each_mapping(pid, |mapping, contents| {
            let first = copies.len();
            for hit in self.automaton.find_overlapping_iter(contents) {
                let secret = self.wanted.secret_of[hit.pattern().as_usize()];
                let (kind, together) = self.wanted.secrets[secret];
                let (start, end) = (hit.start(), hit.end());
                let known = copies[first..]
                    .iter_mut()
                    .rev()
                    .find(|copy| together && copy.secret == secret && start <= copy.end + PIECE);
                match known {
                    Some(copy) => copy.end = copy.end.max(end),
                    None => copies.push(Copy {
                        kind,
                        secret,
                        mapping_start: mapping.start,
                        start,
                        end,
                        locked: mapping.is_locked(),
                        mapping: mapping.name.clone(),
                    }),
                }
            }
        });
        Found { copies }
    }
}

/// One copy of a secret, whole or in part.
#[derive(Clone, Debug)]
pub struct Copy {
    /// What it is a copy of.
    pub kind: &'static str,
    secret: usize,
    mapping_start: u64,
    start: usize,
    end: usize,
    /// Whether its page is locked.
    pub locked: bool,
    mapping: String,
}

/// What a scan found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    copies: Vec<Copy>,
}

impl Found {
    /// All copies.
    pub fn copies(&self) -> &[Copy] {
        &self.copies
    }

    /// Copies of one kind: in locked pages, and elsewhere.
    pub fn of(&self, kind: &str) -> (usize, usize) {
        let of_kind = || self.copies.iter().filter(|copy| copy.kind == kind);
        let locked = of_kind().filter(|copy| copy.locked).count();
        (locked, of_kind().count() - locked)
    }

    /// Those outside locked pages.
    #[must_use]
    pub fn elsewhere(mut self) -> Self {
        self.copies.retain(|copy| !copy.locked);
        self
    }

    /// Those of other kinds.
    #[must_use]
    pub fn but(mut self, kinds: &[&str]) -> Self {
        self.copies.retain(|copy| !kinds.contains(&copy.kind));
        self
    }

    /// Those that are not in locked pages and of a kind that somebody alive owns.
    #[must_use]
    pub fn without(mut self, owned: &[&str]) -> Self {
        self.copies
            .retain(|copy| !copy.locked || !owned.contains(&copy.kind));
        self
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.copies.is_empty()
    }
}

/// Where each copy is; never what it is.
impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for copy in &self.copies {
            let locked = if copy.locked { "locked" } else { "NOT LOCKED" };
            writeln!(
                f,
                "  {} bytes of {} (secret {}) at {:#x}, {locked}, in {} {:#x}",
                copy.end - copy.start,
                copy.kind,
                copy.secret,
                copy.mapping_start + copy.start as u64,
                match copy.mapping.as_str() {
                    "" => "anonymous memory",
                    name => name,
                },
                copy.mapping_start,
            )?;
        }
        Ok(())
    }
}
