//! What was found, as a table, and what should not have been.

use std::fmt::Write;

use crate::spy::KINDS;
use sealwire_scanner::{Found, Scanner};

/// Rows of copies outside locked pages while an exchange ran, and of copies anywhere afterwards.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<String>,
    wrong: String,
}

/// What the scans of one exchange found of each kind.
#[derive(Debug, Default)]
pub struct Row {
    locked: [usize; KINDS.len()],
    during: [usize; KINDS.len()],
    after: [usize; KINDS.len()],
    wrong: String,
}

impl Row {
    /// A scan while the exchange ran: nothing may be outside locked pages.
    pub fn during(&mut self, point: &str, found: Found) {
        self.during_with(point, found, &[]);
    }

    /// [`during`](Self::during), where an HTTP library in the clear has these kinds in its buffers: they are counted.
    pub fn during_with(&mut self, point: &str, found: Found, in_the_clear: &[&str]) {
        for (at, kind) in KINDS.iter().enumerate() {
            let (locked, elsewhere) = found.of(kind);
            self.locked[at] = self.locked[at].max(locked);
            self.during[at] = self.during[at].max(elsewhere);
        }
        self.fault(point, &found.elsewhere().but(in_the_clear));
    }

    /// A scan after it: what nobody alive owns any more.
    pub fn after(&mut self, point: &str, left: &Found) {
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
    ///
    /// # Panics
    /// If there is no such kind.
    pub fn locked(&self, kind: &str) -> usize {
        let at = KINDS.iter().position(|name| *name == kind);
        self.locked[at.expect("a kind")]
    }

    /// Copies of a kind afterwards.
    ///
    /// # Panics
    /// If there is no such kind.
    pub fn left(&self, kind: &str) -> usize {
        let at = KINDS.iter().position(|name| *name == kind);
        self.after[at.expect("a kind")]
    }
}

impl Table {
    /// Prints the head.
    pub fn new(title: &str) -> Self {
        let this = Self::default();
        println!(
            "\n{title}: copies outside locked pages while it ran / copies anywhere afterwards (in locked pages while it ran)\n"
        );
        println!("| | {} |", KINDS.join(" | "));
        println!("|---|{}", "---|".repeat(KINDS.len()));
        this
    }

    /// Adds a row, and prints it.
    pub fn add(&mut self, name: &str, row: &Row) {
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
    pub fn is_clean(&self) {
        assert!(!self.rows.is_empty(), "nothing was looked at");
        assert!(self.wrong.is_empty(), "copies were found:\n{}", self.wrong);
    }
}

/// Scans before what is still there counts as left behind: what a connection held goes in its own time.
const SCANS: usize = 10;

/// What is left beside what somebody alive `owned` in locked pages: once it is nothing, or once it is clear that it will stay.
pub fn settle(scanner: &Scanner, pid: u32, owned: &[&str]) -> Found {
    let mut left = scanner.scan(pid).without(owned);
    for _ in 1..SCANS {
        if left.is_empty() {
            break;
        }
        left = scanner.scan(pid).without(owned);
    }
    left
}
