//! Tests in processes of their own: limits, crashes and forks cannot be tried in this one.
//!
//! A test runs itself again, alone, in a child. Secrets are made by a formula, never stored, so
//! that a scan of the child from outside finds only what the library left there.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
};

#[cfg(target_os = "linux")]
pub(crate) mod linux;

const CHILD: &str = "MEMLOCK_TEST_CHILD";

/// Whether this process is the child of a test.
pub(crate) fn is_child() -> bool {
    env::var_os(CHILD).is_some()
}

fn command(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("a test knows its own path"));
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .env("RUST_BACKTRACE", "0");
    command
}

/// Runs `body` in a process of its own, which must succeed.
pub(crate) fn isolated(test: &str, body: impl FnOnce()) {
    if is_child() {
        return body();
    }
    let output = command(test).output().expect("the child starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs `body` in a process of its own, and tells how it ended and what it said.
pub(crate) fn outcome(test: &str, body: impl FnOnce()) -> Option<(ExitStatus, String)> {
    if is_child() {
        body();
        return None;
    }
    let output = command(test).output().expect("the child starts");
    let said = [output.stdout, output.stderr].concat();
    Some((output.status, String::from_utf8_lossy(&said).into_owned()))
}

/// A child that stops at [`pause`] until it is told to go on.
pub(crate) struct Paused {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<std::process::ChildStdout>,
}

/// What the child prints when it waits.
const WAITING: &str = "waiting at";

impl Paused {
    pub(crate) fn start(test: &str) -> Self {
        let mut child = command(test)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let stdin = child.stdin.take().expect("stdin is a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        Self {
            child,
            stdin,
            stdout,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the child has come to `point`.
    pub(crate) fn wait_for(&mut self, point: &str) {
        let wanted = format!("{WAITING} {point}");
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.stdout.read_line(&mut line);
            assert!(
                matches!(read, Ok(1..)),
                "the child ended before it came to {point}"
            );
            if line.contains(&wanted) {
                return;
            }
        }
    }

    pub(crate) fn go_on(&mut self) {
        self.stdin.write_all(b"\n").expect("the child is waiting");
    }

    pub(crate) fn finish(mut self) {
        self.go_on();
        // Until the end, or the child is killed by a closed pipe.
        let _ = io::copy(&mut self.stdout, &mut io::sink());
        assert!(self.child.wait().expect("the child ends").success());
    }
}

/// In the child: waits until the parent has looked.
pub(crate) fn pause(point: &str) {
    println!("{WAITING} {point}");
    let mut line = [0];
    let _ = io::Read::read(&mut io::stdin(), &mut line);
}

/// A byte of secret number `seed`. Never 0, and no text.
pub(crate) fn byte(seed: u64, index: usize) -> u8 {
    let mut x = (seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(2 * (index as u64 % 32) + 0x1_0001);
    x ^= x >> 29;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x >> 56) as u8 | 0x80
}

/// Fills `bytes` with secret number `seed`, again and again.
pub(crate) fn fill(bytes: &mut [u8], seed: u64) {
    for (index, b) in bytes.iter_mut().enumerate() {
        *b = byte(seed, index);
    }
}

/// How long a secret is before it repeats.
pub(crate) const PERIOD: usize = 32;

/// How many whole secrets number `seed` lie in `haystack`.
pub(crate) fn count(haystack: &[u8], seed: u64) -> usize {
    let needle: Vec<u8> = (0..PERIOD).map(|index| byte(seed, index)).collect();
    // Most windows fail at their first byte: looking at that alone keeps scans of whole processes quick.
    let starts = haystack
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == needle[0]);
    starts
        .filter(|(start, _)| haystack[*start..].starts_with(&needle))
        .count()
}
