//! What was found, as a table, and what should not have been.

use std::fmt::Write;

use sealwire_scanner::Found;
use sealwire_tests::spy::KINDS;

/// Rows of copies outside locked pages while an exchange ran, and of copies anywhere afterwards.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<String>,
    wrong: String,
}

/// What the scans of one exchange found of each kind.
#[derive(Debug, Default)]
pub(crate) struct Row {
    locked: [usize; KINDS.len()],
    during: [usize; KINDS.len()],
    after: [usize; KINDS.len()],
    wrong: String,
}

impl Row {
    /// A scan while the exchange ran.
    pub(crate) fn during(&mut self, point: &str, found: Found) {
        for (at, kind) in KINDS.iter().enumerate() {
            let (locked, elsewhere) = found.of(kind);
            self.locked[at] = self.locked[at].max(locked);
            self.during[at] = self.during[at].max(elsewhere);
        }
        self.fault(point, &found.elsewhere());
    }

    /// A scan after it: what nobody alive owns any more.
    pub(crate) fn after(&mut self, point: &str, left: &Found) {
        for (at, kind) in KINDS.iter().enumerate() {
            let (locked, elsewhere) = left.of(kind);
            self.after[at] = self.after[at].max(locked + elsewhere);
        }
        self.fault(point, left);
    }

    fn fault(&mut self, point: &str, found: &Found) {
        if !found.is_empty() {
            let _ = write!(self.wrong, "{point}:\n{found}");
        }
    }

    /// Copies in locked pages of a kind while the exchange ran.
    pub(crate) fn locked(&self, kind: &str) -> usize {
        let at = KINDS.iter().position(|name| *name == kind);
        self.locked[at.expect("a kind")]
    }

    /// Copies of a kind afterwards.
    pub(crate) fn left(&self, kind: &str) -> usize {
        let at = KINDS.iter().position(|name| *name == kind);
        self.after[at.expect("a kind")]
    }
}

impl Table {
    /// Prints the head.
    pub(crate) fn new(title: &str) -> Self {
        let this = Self::default();
        println!(
            "\n{title}: copies outside locked pages while it ran / copies anywhere afterwards (in locked pages while it ran)\n"
        );
        println!("| | {} |", KINDS.join(" | "));
        println!("|---|{}", "---|".repeat(KINDS.len()));
        this
    }

    /// Adds a row, and prints it.
    pub(crate) fn add(&mut self, name: &str, row: &Row) {
        let mut line = format!("| {name} |");
        for at in 0..KINDS.len() {
            let (during, after, locked) = (row.during[at], row.after[at], row.locked[at]);
            let _ = write!(line, " {during} / {after} ({locked}) |");
        }
        println!("{line}");
        if !row.wrong.is_empty() {
            let _ = writeln!(self.wrong, "{name}, {}", row.wrong);
        }
        self.rows.push(line);
    }

    /// Checks that there was nothing.
    ///
    /// # Panics
    /// If there was.
    pub(crate) fn is_clean(&self) {
        assert!(!self.rows.is_empty(), "nothing was looked at");
        assert!(self.wrong.is_empty(), "copies were found:\n{}", self.wrong);
    }
}
