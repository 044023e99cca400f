//! What a process draws from the system's random source, for those who look for it in its memory. The process knows nothing of it, and
//! runs the code that everybody runs: a library that is loaded before it stands between it and the system (`draws.c`).

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{self, Command};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The draws of one process, as they are written down.
#[derive(Debug)]
pub struct Draws {
    file: PathBuf,
}

impl Draws {
    /// Has the draws of the process that `command` will start written down.
    ///
    /// # Panics
    /// Without a C compiler, which also links Rust's programs, and without room for a file.
    pub fn of(command: &mut Command) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sealwire-draws-{}-{count}", process::id());
        let file = env::temp_dir().join(name);
        File::create_new(&file).expect("a temporary file");
        command
            .env("LD_PRELOAD", &*LIBRARY)
            .env("SEALWIRE_DRAWS", &file);
        Self { file }
    }

    /// Those of this many bytes, so far.
    ///
    /// # Panics
    /// If nothing at all was drawn: the library was not loaded then.
    pub fn of_length<const N: usize>(&self) -> Vec<[u8; N]> {
        let written = fs::read(&self.file).expect("made above");
        assert!(!written.is_empty(), "the process draws past the library");
        let mut found = Vec::new();
        let mut rest = &written[..];
        while let Some((size, after)) = rest.split_first_chunk() {
            let (draw, after) = after.split_at(u64::from_ne_bytes(*size) as usize);
            found.extend(<[u8; N]>::try_from(draw));
            rest = after;
        }
        found
    }
}

impl Drop for Draws {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// The library, built once, beside the test.
static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let program = env::current_exe().expect("a test knows its own path");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/draws.c");
    let library = program.with_extension("draws.so");
    // Two of the same test may run at once.
    let new = program.with_extension(format!("draws.{}", process::id()));
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"])
        .args([new.as_os_str(), source.as_ref()])
        .status();
    assert!(
        built.is_ok_and(|status| status.success()),
        "cc builds {source}"
    );
    fs::rename(&new, &library).expect("the same folder");
    library
});
