//! Identities remembered from first use, as ssh remembers hosts (TRUST-1).
//!
//! One line for each gateway, `URL PIN`; empty lines and those that begin with `#` are for people.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sealwire_core::keys::Pin;

use crate::exit::{Exit, Failure};
use crate::url::BaseUrl;

/// The file of known gateways.
#[derive(Debug)]
pub(crate) struct KnownGateways {
    path: PathBuf,
}

/// What the file says of one gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) pin: Pin,
    /// Where: the line, counted from 1.
    pub(crate) line: usize,
}

impl KnownGateways {
    /// The file at `path`, or where it is by default.
    pub(crate) fn at(path: Option<PathBuf>) -> Result<Self, Failure> {
        let absolute = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        // The XDG base directory specification wants relative paths ignored.
        let path = path.or_else(|| {
            let config = absolute("XDG_CONFIG_HOME")
                .or_else(|| Some(absolute("HOME")?.join(".config")))
                .or_else(|| absolute("APPDATA"))?;
            Some(config.join("sealwire").join("known_gateways"))
        });
        let path = path.ok_or_else(|| {
            Failure::new(
                Exit::Trust,
                "there is no place to remember gateways: neither XDG_CONFIG_HOME nor HOME is set",
            )
            .advise("name a file by --known-gateways, or give the gateway's pin by --pin")
        })?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is known of the gateway at `url`. A file that does not exist knows nothing; one that cannot be understood is an error,
    /// because a line that does not count is an identity that would not be checked.
    pub(crate) fn find(&self, url: &BaseUrl) -> Result<Option<Known>, Failure> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.cannot("read", &error)),
        };
        let mut found = None;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (at, pin) = parse(line).ok_or_else(|| {
                Failure::new(
                    Exit::Trust,
                    format!("line {number} of {} is not `URL PIN`", self.path.display()),
                )
                .advise("mend or delete the line; what it says cannot be checked")
            })?;
            if at == *url && found.is_none() {
                found = Some(Known { pin, line: number });
            }
        }
        Ok(found)
    }

    /// Remembers a gateway.
    pub(crate) fn add(&self, url: &BaseUrl, pin: &Pin) -> Result<(), Failure> {
        self.append(&format!("{url} {pin}\n"))
            .map_err(|error| self.cannot("written", &error))
    }

    /// One write at the end of the file, so that two programs at once do not mix their lines.
    fn append(&self, line: &str) -> io::Result<()> {
        if let Some(folder) = self.path.parent().filter(|path| !path.as_os_str().is_empty()) {
            private_folders().create(folder)?;
        }
        let ends_well = std::fs::read(&self.path)
            .map_or(true, |bytes| bytes.last().is_none_or(|last| *last == b'\n'));
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let separator = if ends_well { "" } else { "\n" };
        options
            .open(&self.path)?
            .write_all(format!("{separator}{line}").as_bytes())
    }

    fn cannot(&self, what: &str, error: &io::Error) -> Failure {
        let path = self.path.display();
        Failure::new(Exit::Trust, format!("{path} cannot be {what}: {error}"))
            .advise("mend that, name another file by --known-gateways, or give the pin by --pin")
    }
}

fn parse(line: &str) -> Option<(BaseUrl, Pin)> {
    let (url, pin) = line.split_once(char::is_whitespace)?;
    Some((url.parse().ok()?, pin.trim().parse().ok()?))
}

fn private_folders() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(digit: char) -> Pin {
        digit.to_string().repeat(64).parse().expect("64 digits")
    }

    #[test]
    fn what_is_added_is_found_on_its_line() {
        let folder = std::env::temp_dir().join(format!("sealwire-known-{}", std::process::id()));
        let file = KnownGateways::at(Some(folder.join("a/known"))).expect("a path");
        let url: BaseUrl = "https://g.example".parse().expect("a URL");
        assert_eq!(file.find(&url).expect("no file"), None);
        file.add(&"https://other.example".parse().expect("a URL"), &pin('1')).expect("room");
        // An editor that leaves out the last line feed.
        std::fs::write(file.path(), "# mine\n\nhttps://h.example sha256:").expect("room");
        assert_eq!(file.find(&url).map_err(|e| e.exit()), Err(Exit::Trust));
        std::fs::write(file.path(), "# mine").expect("room");
        file.add(&url, &pin('2')).expect("room");
        file.add(&url, &pin('3')).expect("room");
        let known = file.find(&"HTTPS://G.example:443/".parse().expect("a URL"));
        assert_eq!(known.expect("in order"), Some(Known { pin: pin('2'), line: 2 }));
        std::fs::remove_dir_all(folder).expect("made above");
    }
}
