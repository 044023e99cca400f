//! Lines from standard input, straight into secure memory: the library's own reader would keep a copy in its buffer.

use std::fs::File;
use std::io::{self, Read};

use sealwire_memlock::{SecureBytes, SecureMemory, SecureString};

/// Bytes asked for at once.
const CHUNK: usize = 64 * 1024;

/// Reads text from a file, a pipe or a terminal.
pub(crate) struct SecureInput {
    file: File,
    memory: SecureMemory,
    /// What was read and not yet handed out.
    buffer: SecureBytes,
    /// How much of the buffer holds no line feed.
    searched: usize,
    ended: bool,
}

impl SecureInput {
    /// Standard input.
    pub(crate) fn stdin(memory: &SecureMemory) -> io::Result<Self> {
        Self::new(duplicate_stdin()?, memory)
    }

    /// An open file.
    pub(crate) fn new(file: File, memory: &SecureMemory) -> io::Result<Self> {
        Ok(Self {
            file,
            memory: memory.clone(),
            buffer: memory.with_capacity(0)?,
            searched: 0,
            ended: false,
        })
    }

    /// The next line without its end; none at the end of input. Blocks.
    pub(crate) fn line(&mut self) -> io::Result<Option<SecureString>> {
        loop {
            let unsearched = &self.buffer.expose()[self.searched..];
            if let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') {
                let end = self.searched + at;
                return self.take(end, end + 1).map(Some);
            }
            self.searched = self.buffer.len();
            if self.ended {
                return match self.buffer.len() {
                    0 => Ok(None),
                    len => self.take(len, len).map(Some),
                };
            }
            self.fill()?;
        }
    }

    /// All that is left, without a line end at its end. Blocks.
    pub(crate) fn rest(&mut self) -> io::Result<SecureString> {
        while !self.ended {
            self.fill()?;
        }
        let len = self.buffer.len();
        let text = self.buffer.expose();
        let end = text.strip_suffix(b"\n").map_or(len, <[u8]>::len);
        self.take(end, len)
    }

    fn fill(&mut self) -> io::Result<()> {
        let len = self.buffer.len();
        self.buffer.try_resize(len + CHUNK)?;
        let count = loop {
            match self.file.read(&mut self.buffer.expose_mut()[len..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(len + *count.as_ref().unwrap_or(&0));
        self.ended = count? == 0;
        Ok(())
    }

    /// Hands out `..end` and forgets `..next`.
    fn take(&mut self, end: usize, next: usize) -> io::Result<SecureString> {
        let line = &self.buffer.expose()[..end];
        let line = self.memory.copy_from(line.strip_suffix(b"\r").unwrap_or(line))?;
        self.buffer.drain_front(next);
        self.searched = 0;
        SecureString::from_utf8(line)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
    }
}

#[cfg(unix)]
fn duplicate_stdin() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

#[cfg(windows)]
fn duplicate_stdin() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(File::from(io::stdin().as_handle().try_clone_to_owned()?))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    fn input(name: &str, text: &[u8]) -> SecureInput {
        let path = std::env::temp_dir().join(format!("sealwire-{name}-{}", std::process::id()));
        let options = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let mut file = options.expect("a temporary file");
        std::fs::remove_file(path).expect("just made");
        file.write_all(text).and_then(|()| file.rewind()).expect("room");
        SecureInput::new(file, &SecureMemory::default()).expect("memory")
    }

    #[test]
    fn lines_and_the_rest() {
        let long = "x".repeat(3 * CHUNK);
        let mut input = input("lines", format!("key\r\n\n{long}\nline 4\nline 5\n").as_bytes());
        let mut next = || input.line().expect("text").map(|line| line.expose().to_owned());
        assert_eq!(next().as_deref(), Some("key"));
        assert_eq!(next().as_deref(), Some(""));
        assert_eq!(next().as_deref(), Some(&*long));
        assert_eq!(input.rest().expect("text").expose(), "line 4\nline 5");
        assert!(input.line().expect("text").is_none());
    }

    #[test]
    fn a_last_line_without_an_end_counts() {
        let mut input = input("last", b"one\ntwo");
        assert_eq!(input.line().expect("text").expect("a line").expose(), "one");
        assert_eq!(input.line().expect("text").expect("a line").expose(), "two");
        assert!(input.line().expect("text").is_none());
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert!(input("bytes", b"\xff\xfe\n").line().is_err());
    }
}
