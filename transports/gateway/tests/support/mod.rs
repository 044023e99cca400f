//! What the tests of the program stand on: the built binary, an upstream that does as it is told, and an onlooker.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

pub mod recorder;
pub mod upstream;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// No test waits longer than this for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A folder that is gone after the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "sealwire-test-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a temporary folder");
        Self(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program, with nothing of the user's around it.
pub fn sealwire<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealwire"));
    command
        .args(args)
        .env_remove("RUST_LOG")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("APPDATA")
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// How a run of the program ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl Ended {
    /// Checks the exit code, that nothing panicked, and that the error says these things.
    #[track_caller]
    pub fn expect(&self, code: i32, said: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(!self.err.contains("panicked"), "{self:#?}");
        for words in said {
            assert!(self.err.contains(words), "no {words:?} in {self:#?}");
        }
        self
    }
}

/// Runs the program to its end.
pub fn run<'a>(args: impl IntoIterator<Item = &'a str>) -> Ended {
    sealwire(args).output().expect("the program runs").into()
}

/// Runs the program with this on its standard input.
pub fn run_with_input<'a>(args: impl IntoIterator<Item = &'a str>, input: &[u8]) -> Ended {
    let mut command = sealwire(args);
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A program that refuses early does not read it all.
        let _ = stdin.write_all(&input);
    });
    let ended = child.wait_with_output().expect("the program ends").into();
    writer.join().expect("the writer ends");
    ended
}

/// A gateway: `sealwire serve`.
pub struct Serve {
    pub child: Child,
    pub url: String,
    pub address: String,
    /// Where it takes raw streams, if it was told to.
    pub raw: Option<String>,
    pub pin: String,
    out: BufReader<ChildStdout>,
}

impl Serve {
    /// In front of `upstream`, with an identity of its own.
    pub fn start(upstream: &str) -> Self {
        Self::with(upstream, &[])
    }

    pub fn with(upstream: &str, more: &[&str]) -> Self {
        Self::spawn(upstream, more, Stdio::inherit())
    }

    /// What it says on standard error is kept for [`errors`](Self::errors).
    pub fn piped(upstream: &str, more: &[&str]) -> Self {
        Self::spawn(upstream, more, Stdio::piped())
    }

    fn spawn(upstream: &str, more: &[&str], errors: Stdio) -> Self {
        let args = ["serve", "--upstream", upstream, "--listen", "127.0.0.1:0"];
        let mut command = sealwire(args.into_iter().chain(more.iter().copied()));
        let mut child = command.stderr(errors).spawn().expect("the program runs");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let mut said = String::new();
        while !said.contains("\npin") {
            let count = out.read_line(&mut said).expect("text");
            assert_ne!(count, 0, "the gateway did not start");
        }
        let value = |name: &str| {
            let after = said.split(name).nth(1)?;
            Some(after.lines().next()?.trim().to_owned())
        };
        let url = value("listening  ").expect("an address");
        let pin = value("\npin").expect("a pin");
        let raw = value("tcp://").map(|address| format!("tcp://{address}"));
        let address = url.trim_start_matches("http://").to_owned();
        Self {
            child,
            url,
            address,
            raw,
            pin,
            out,
        }
    }

    /// What it said on standard error, to its end.
    pub fn errors(&mut self) -> String {
        let mut errors = String::new();
        let mut pipe = self.child.stderr.take().expect("piped");
        pipe.read_to_string(&mut errors).expect("text");
        errors
    }

    /// What it says after the start, to its end.
    pub fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("text");
        rest
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The arguments of a chat by pin.
pub fn chat<'a>(url: &'a str, pin: &'a str) -> Vec<&'a str> {
    vec![
        "chat",
        "--allow-http",
        "--model",
        "m",
        "--gateway",
        url,
        "--pin",
        pin,
    ]
}
