//! Tests in processes of their own: a test runs itself again, alone, in a child.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use crate::unchecked::pass_on;

const CHILD: &str = "SEALWIRE_TEST_CHILD";
/// What a child prints when it waits.
const WAITING: &str = "waiting at";

/// Whether this process is the child of a test.
pub fn is_child() -> bool {
    env::var_os(CHILD).is_some()
}

/// A command that runs `test` of this program again, alone, in a child.
///
/// # Panics
/// In a child: it would never end.
pub fn child(test: &str) -> Command {
    assert!(!is_child(), "a child runs itself again");
    let mut command = Command::new(env::current_exe().expect("a test knows its own path"));
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .env("RUST_BACKTRACE", "0");
    command
}

/// Runs `body` in a process of its own, which must succeed.
///
/// # Panics
/// If it does not.
pub fn isolated(test: &str, body: impl FnOnce()) {
    if is_child() {
        return body();
    }
    let output = child(test).output().expect("the child starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    pass_on(&output.stderr);
}

/// Runs `body` in a process of its own, and tells how it ended and what it said.
///
/// # Panics
/// If the child cannot be started.
pub fn outcome(test: &str, body: impl FnOnce()) -> Option<(ExitStatus, String)> {
    if is_child() {
        body();
        return None;
    }
    let output = child(test).output().expect("the child starts");
    let said = [output.stdout, output.stderr].concat();
    Some((output.status, String::from_utf8_lossy(&said).into_owned()))
}

/// A child that stops at [`pause`] until it is told to go on. It is killed when this is dropped.
#[derive(Debug)]
pub struct Paused {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    said: String,
}

impl Paused {
    /// Runs `test` again in a child.
    pub fn start(test: &str) -> Self {
        Self::spawn(&mut child(test))
    }

    /// Runs a program.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        Self {
            child,
            stdin,
            stdout,
            said: String::new(),
        }
    }

    /// The child's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the child has come to `point`.
    ///
    /// # Panics
    /// If it ends before.
    pub fn wait_for(&mut self, point: &str) {
        let wanted = format!("{WAITING} {point}");
        while !self.line().contains(&wanted) {}
    }

    /// What the child says after `name`, once it does.
    ///
    /// # Panics
    /// If it ends before.
    pub fn value(&mut self, name: &str) -> String {
        loop {
            if let Some((_, value)) = self.line().split_once(name) {
                return value.trim().to_owned();
            }
        }
    }

    /// The next line of the child's.
    ///
    /// # Panics
    /// If there is none.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line);
        assert!(matches!(read, Ok(1..)), "the child has ended");
        self.said += &line;
        line
    }

    /// All that the child's lines have said so far.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// Lets the child go on.
    pub fn go_on(&mut self) {
        self.write(b"\n");
    }

    /// Writes to the child's standard input.
    ///
    /// # Panics
    /// If the child does not read.
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("not closed");
        stdin.write_all(bytes).expect("the child is waiting");
    }

    /// Lets the child go on to its end, which must be a good one.
    ///
    /// # Panics
    /// If it is not.
    pub fn finish(mut self) {
        self.go_on();
        self.stdin = None;
        // Until the end, or the child is killed by a closed pipe.
        let _ = io::copy(&mut self.stdout, &mut io::sink());
        assert!(self.child.wait().expect("the child ends").success());
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // It may have ended; nothing is left to be done then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the child: waits until the parent has looked.
pub fn pause(point: &str) {
    say(&format!("{WAITING} {point}"));
    let _ = io::stdin().read(&mut [0]);
}

/// In the child: says something, with the line on its own.
pub fn say(line: &str) {
    // The test harness has written a line without an end.
    println!("\n{line}");
}
