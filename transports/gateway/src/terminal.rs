//! What the user sees: colours where there is a terminal, and text from elsewhere that cannot drive one.

use std::fs::File;
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};

/// Headings.
pub(crate) const HEAD: Style = Style::new().bold();
/// What went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// What went wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What needs attention.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();

/// The longest text from elsewhere that is shown in an error.
const LONGEST_QUOTE: usize = 600;

/// Standard output for answers: without a buffer, which would keep what went through it.
///
/// On a terminal, control characters are shown as escapes, for a model must not move the cursor, set titles or answer for the user. In a
/// pipe or file the text is as it came.
pub(crate) struct AnswerOutput {
    out: File,
    escape: bool,
}

impl AnswerOutput {
    /// Standard output.
    pub(crate) fn stdout() -> io::Result<Self> {
        Ok(Self {
            escape: io::stdout().is_terminal(),
            out: duplicate_stdout()?,
        })
    }

    /// Writes a piece of an answer.
    pub(crate) fn write(&mut self, text: &str) -> io::Result<()> {
        match self.escape {
            true => write_escaped(&mut self.out, text),
            false => self.out.write_all(text.as_bytes()),
        }
    }
}

/// Text from elsewhere, one paragraph of it, on standard error. Always escaped: errors go to logs that are read on terminals.
pub(crate) fn quote_on_stderr(before: &str, text: &str) {
    let mut end = text.len().min(LONGEST_QUOTE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut err = io::stderr().lock();
    let rest = if end < text.len() { " ..." } else { "" };
    // If standard error is gone, there is nobody to tell.
    let _ = write!(err, "  {before}")
        .and_then(|()| write_escaped(&mut err, &text[..end]))
        .and_then(|()| writeln!(err, "{rest}"));
}

/// Writes text with every character that could act on a terminal replaced by its escape, copying nothing.
pub(crate) fn write_escaped(out: &mut impl Write, text: &str) -> io::Result<()> {
    let mut rest = text;
    while let Some(at) = rest.find(acts_on_a_terminal) {
        out.write_all(&rest.as_bytes()[..at])?;
        let mut chars = rest[at..].chars();
        if let Some(c) = chars.next() {
            write!(out, "{}", c.escape_default())?;
        }
        rest = chars.as_str();
    }
    out.write_all(rest.as_bytes())
}

/// Control characters but line feed and tab, and those that reorder what stands beside them.
fn acts_on_a_terminal(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{200e}' | '\u{200f}' | '\u{061c}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    }
}

#[cfg(unix)]
fn duplicate_stdout() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

#[cfg(windows)]
fn duplicate_stdout() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(File::from(io::stdout().as_handle().try_clone_to_owned()?))
}

/// A length for people.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..10_240 => format!("{count} bytes"),
        10_240..10_485_760 => format!("{} KiB", count >> 10),
        _ => format!("{} MiB", count >> 20),
    }
}

#[cfg(test)]
mod tests {
    fn escaped(text: &str) -> String {
        let mut out = Vec::new();
        super::write_escaped(&mut out, text).expect("a vector takes everything");
        String::from_utf8(out).expect("text in, text out")
    }

    #[test]
    fn a_model_cannot_drive_the_terminal() {
        assert_eq!(escaped("a\n\tb — ü 日本 🙂"), "a\n\tb — ü 日本 🙂");
        assert_eq!(escaped("\x1b]0;title\x07"), "\\u{1b}]0;title\\u{7}");
        assert_eq!(escaped("over\rwritten"), "over\\rwritten");
        assert_eq!(escaped("\u{9b}2J\x7f"), "\\u{9b}2J\\u{7f}");
        assert_eq!(escaped("\u{202e}txt.exe"), "\\u{202e}txt.exe");
        for c in (0..=0x9f).filter_map(char::from_u32) {
            let out = escaped(&c.to_string());
            assert!(out.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control()));
        }
    }
}
