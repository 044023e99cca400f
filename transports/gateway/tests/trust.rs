//! Identities: made, kept, pinned, remembered, and changed.

mod support;

use std::path::Path;

use support::upstream::answering;
use support::{Folder, Serve, chat, run};

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// The arguments of a chat that trusts by first use.
fn first_use<'a>(url: &'a str, known: &'a Path) -> Vec<&'a str> {
    let args = [
        "chat",
        "--allow-http",
        "--model",
        "m",
        "--gateway",
        url,
        "--known-gateways",
    ];
    args.into_iter().chain([text(known)]).collect()
}

#[test]
fn an_identity_is_made_kept_and_served() {
    let folder = Folder::new();
    let key = folder.file("gateway.pem");
    let made = run(["keygen", "--out", text(&key)]);
    made.expect(0, &["keep it secret"]);
    let pem = std::fs::read_to_string(&key).expect("made");
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    run(["keygen", "--out", "-"]).expect(2, &["standard output", "--out"]);
    let again = run(["keygen", "--out", text(&key)]);
    again.expect(1, &["exists already", "--out"]);
    assert_eq!(
        std::fs::read_to_string(&key).expect("there"),
        pem,
        "overwritten"
    );

    let upstream = answering(&["Hello."]);
    let serve = Serve::with(&upstream.url, &["--key", text(&key)]);
    assert_eq!(serve.pin, made.out.trim());
    let mut args = chat(&serve.url, &serve.pin);
    args.push("hello?");
    run(args).expect(0, &[]);
    let keys = run(["keys", "--allow-http", "--gateway", &serve.url]);
    keys.expect(0, &[]);
    assert!(keys.out.starts_with(&serve.pin));
    for words in ["DHKEM(P-256", "MLKEM768-P256", "valid", "10 MiB at most"] {
        assert!(keys.out.contains(words), "{words}: {}", keys.out);
    }
}

#[test]
fn which_suites_are_offered_can_be_chosen() {
    let upstream = answering(&["Hello."]);
    let serve = Serve::with(&upstream.url, &["--suite", "p256"]);
    let mut args = chat(&serve.url, &serve.pin);
    args.extend(["--post-quantum", "hello?"]);
    // Nothing falls back.
    run(args).expect(3, &["no key of the suite"]);
    let serve = Serve::with(&upstream.url, &["--suite", "post-quantum"]);
    let mut args = chat(&serve.url, &serve.pin);
    args.extend(["--post-quantum", "hello?"]);
    run(args).expect(0, &[]);
}

#[cfg(unix)]
#[test]
fn a_key_file_is_the_owners_alone() {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let key = folder.file("gateway.pem");
    run(["keygen", "--out", text(&key)]).expect(0, &[]);
    let mode = std::fs::metadata(&key).expect("made").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    for mode in [0o640, 0o604, 0o660, 0o601] {
        std::fs::set_permissions(&key, Permissions::from_mode(mode)).expect("mine");
        let args = [
            "serve",
            "--upstream",
            "http://127.0.0.1:9",
            "--key",
            text(&key),
        ];
        let advice = format!("chmod 600 {}", key.display());
        run(args).expect(3, &["can be read by others", &advice]);
    }
}

#[test]
fn a_key_file_that_holds_no_key() {
    let folder = Folder::new();
    let key = folder.file("gateway.pem");
    let args = [
        "serve",
        "--upstream",
        "http://127.0.0.1:9",
        "--key",
        text(&key),
    ];
    run(args).expect(1, &["cannot be opened", "sealwire keygen"]);
    run(["keygen", "--out", text(&key)]).expect(0, &[]);
    std::fs::write(
        &key,
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    )
    .expect("room");
    run(args).expect(3, &["no P-256 private key", "sealwire keygen"]);
}

#[test]
fn a_wrong_pin_stops_before_anything_is_sent() {
    let upstream = answering(&["never"]);
    let serve = Serve::start(&upstream.url);
    let wrong = format!("sha256:{}", "0".repeat(64));
    let mut args = chat(&serve.url, &wrong);
    args.push("a secret");
    run(args).expect(3, &[&wrong, &serve.pin, "--pin"]);
    assert_eq!(upstream.received().len(), 0);
}

#[test]
fn first_use_is_refused_where_nobody_can_be_asked() {
    let folder = Folder::new();
    let known = folder.file("known");
    let upstream = answering(&["never"]);
    let serve = Serve::start(&upstream.url);
    let mut args = first_use(&serve.url, &known);
    args.push("a secret");
    run(args).expect(3, &["not known", &format!("--pin {}", serve.pin)]);
    assert!(!known.exists());
    assert_eq!(upstream.received().len(), 0);
}

#[test]
fn a_remembered_identity_is_trusted_and_a_changed_one_is_not() {
    let folder = Folder::new();
    let known = folder.file("known");
    let upstream = answering(&["Hello."]);
    let serve = Serve::start(&upstream.url);
    std::fs::write(&known, format!("# mine\n{} {}\n", serve.url, serve.pin)).expect("room");
    let mut args = first_use(&serve.url, &known);
    args.push("hello?");
    run(args.iter().copied()).expect(0, &[]);

    let old = format!("sha256:{}", "0".repeat(64));
    std::fs::write(&known, format!("# mine\n{} {old}\n", serve.url)).expect("room");
    let place = format!("line 2 of {}", known.display());
    let ended = run(args.iter().copied());
    ended.expect(3, &["HAS CHANGED", &old, &serve.pin, &place]);
    assert_eq!(upstream.received().len(), 1);

    // A line that cannot be checked is not passed over.
    std::fs::write(&known, "nonsense\n").expect("room");
    run(args).expect(3, &["line 1", text(&known)]);
}

#[cfg(unix)]
mod on_a_terminal {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::process::Child;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;
    use crate::support::sealwire;

    /// A program on a terminal, and what it has shown so far.
    struct Terminal {
        child: Child,
        keyboard: File,
        shown: String,
    }

    impl Terminal {
        fn start(args: Vec<&str>) -> Self {
            let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
            grantpt(&controller)
                .and_then(|()| unlockpt(&controller))
                .expect("ours");
            let name = ptsname(&controller, Vec::new()).expect("a name");
            let path = name.into_string().expect("text");
            let open = || {
                File::options()
                    .read(true)
                    .write(true)
                    .open(&path)
                    .expect("a terminal")
            };
            let child = sealwire(args)
                .env("NO_COLOR", "1")
                .stdin(open())
                .stdout(open())
                .stderr(open())
                .spawn()
                .expect("the program runs");
            Self {
                child,
                keyboard: File::from(controller),
                shown: String::new(),
            }
        }

        /// Reads until this is shown.
        fn wait_for(&mut self, words: &str) {
            let mut buffer = [0; 1024];
            while !self.shown.contains(words) {
                // An error is how Linux tells of the other end's close.
                let count = self.keyboard.read(&mut buffer).unwrap_or(0);
                assert_ne!(count, 0, "no {words:?} in {:?}", self.shown);
                self.shown
                    .push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        }

        fn type_in(&mut self, text: &str) {
            self.keyboard.write_all(text.as_bytes()).expect("room");
        }

        fn code(mut self) -> Option<i32> {
            self.child.wait().expect("it ends").code()
        }
    }

    #[test]
    fn first_use_is_asked_about_and_remembered() {
        let folder = Folder::new();
        let known = folder.file("new/known");
        let upstream = answering(&["\x1b]0;owned\x07", "Hello."]);
        let serve = Serve::start(&upstream.url);
        let mut args = first_use(&serve.url, &known);
        args.push("hello?");

        let mut no = Terminal::start(args.clone());
        no.wait_for("[y/N]");
        assert!(no.shown.contains(&serve.pin));
        no.type_in("\n");
        assert_eq!(no.code(), Some(3));
        assert!(!known.exists());

        let mut yes = Terminal::start(args.clone());
        yes.wait_for("[y/N]");
        yes.type_in("yes\n");
        yes.wait_for("Hello.");
        // A model does not drive the terminal.
        assert!(
            yes.shown.contains("\\u{1b}]0;owned\\u{7}"),
            "{:?}",
            yes.shown
        );
        assert_eq!(yes.code(), Some(0));
        let line = format!("{} {}\n", serve.url, serve.pin);
        assert_eq!(std::fs::read_to_string(&known).expect("remembered"), line);

        // Known now: nobody is asked.
        run(args).expect(0, &[]);
    }

    #[test]
    fn a_conversation_goes_on_after_an_error() {
        let upstream = answering(&["Hello."]);
        let serve = Serve::start(&upstream.url);
        let mut terminal = Terminal::start(chat(&serve.url, &serve.pin));
        terminal.wait_for("> ");
        terminal.type_in("hello?\n");
        terminal.wait_for("Hello.");
        drop(serve);
        terminal.type_in("again?\n");
        terminal.wait_for("no connection to the gateway");
        terminal.type_in("\x04");
        assert_eq!(terminal.code(), Some(0));
    }
}
