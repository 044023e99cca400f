//! What sealing costs in instructions, which a busy machine does not change: each piece of work once, counted by callgrind.
//!
//! ```sh
//! cargo bench -p sealwire-tests --bench instructions        wants valgrind (apt install valgrind)
//! ```
//!
//! This program runs itself under valgrind, once for each. Valgrind shows a processor with AES and AVX2, without AVX-512.

mod work;

use std::process::{Command, ExitCode};
use std::{env, hint};

use aes_gcm::Aes256Gcm;
use ohttp::hpke::Kem;
use sealwire_core::agreement::{KeyAgreement, RustCrypto};
use sealwire_core::{RecordAead, Suite};
use work::aws::{Aws, AwsGcm};
use work::{Frames, chunk, decapsulation, encapsulation, exchange, oblivious};

/// Calls before the one that counts: tables are made, memory is there.
const WARM: usize = 2;

type Work = Box<dyn FnMut()>;
/// A name, and how the work is made ready.
type Named = (&'static str, fn() -> Work);

const WORK: &[Named] = &[
    ("frame of 1,024, RustCrypto, seal", || {
        seal::<Aes256Gcm>(1024)
    }),
    ("frame of 1,024, RustCrypto, open", || {
        open::<Aes256Gcm>(1024)
    }),
    ("frame of 16,404, RustCrypto, seal", || {
        seal::<Aes256Gcm>(16_404)
    }),
    ("frame of 16,404, RustCrypto, open", || {
        open::<Aes256Gcm>(16_404)
    }),
    ("frame of 16,404, aws-lc-rs, seal", || {
        seal::<AwsGcm>(16_404)
    }),
    ("frame of 16,404, aws-lc-rs, open", || {
        open::<AwsGcm>(16_404)
    }),
    ("P-256, RustCrypto, client", || {
        client(&RustCrypto, Suite::P256)
    }),
    ("P-256, RustCrypto, gateway", || {
        gateway(&RustCrypto, Suite::P256)
    }),
    ("P-256, aws-lc-rs, client", || client(&Aws, Suite::P256)),
    ("P-256, aws-lc-rs, gateway", || gateway(&Aws, Suite::P256)),
    ("MLKEM768-P256, RustCrypto, client", || {
        client(&RustCrypto, Suite::MlKem768P256)
    }),
    ("MLKEM768-P256, RustCrypto, gateway", || {
        gateway(&RustCrypto, Suite::MlKem768P256)
    }),
    ("whole exchange, P-256", || Box::new(exchange(Suite::P256))),
    ("whole exchange, MLKEM768-P256", || {
        Box::new(exchange(Suite::MlKem768P256))
    }),
    ("whole exchange, Oblivious HTTP, P-256", || {
        Box::new(oblivious(Kem::P256Sha256))
    }),
    ("whole exchange, Oblivious HTTP, X25519", || {
        Box::new(oblivious(Kem::X25519Sha256))
    }),
    ("whole exchange, Oblivious HTTP, X-Wing", || {
        Box::new(oblivious(Kem::XWing))
    }),
    ("a word more of a streamed answer", || Box::new(chunk())),
];

fn seal<A: RecordAead + 'static>(size: usize) -> Work {
    let mut frames = Frames::<A>::new(size);
    Box::new(move || frames.seal())
}

fn open<A: RecordAead + 'static>(size: usize) -> Work {
    let frames = Frames::<A>::new(size);
    let mut waiting: Vec<_> = (0..=WARM).map(|_| frames.opening()).collect();
    Box::new(move || waiting.pop().expect("one for each call").open())
}

fn client(provider: &'static dyn KeyAgreement, suite: Suite) -> Work {
    Box::new(encapsulation(provider, suite))
}

fn gateway(provider: &'static dyn KeyAgreement, suite: Suite) -> Work {
    Box::new(decapsulation(provider, suite))
}

/// Callgrind counts between this function's call and its return.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    hint::black_box(());
}

/// Runs one piece of work under valgrind and returns its count.
fn count(name: &str) -> Result<u64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no", "--toggle-collect=*counted*"])
        .arg(program)
        .args(["--only", name]);
    let output = valgrind.output();
    let output = output.map_err(|error| format!("valgrind does not start: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    collected
        .filter(|_| output.status.success())
        .and_then(|(_, count)| count.trim().parse().ok())
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("no count for {name}:\n{said}"))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let only = arguments.iter().skip_while(|word| *word != "--only").nth(1);
    if let Some((_, make)) = WORK
        .iter()
        .find(|(name, _)| only.is_some_and(|only| only == name))
    {
        let mut work = make();
        (0..WARM).for_each(|_| work());
        counted(&mut *work);
        return ExitCode::SUCCESS;
    }
    for (name, _) in WORK {
        match count(name) {
            Ok(count) => println!("{name:<40} {count:>12}"),
            Err(why) => {
                eprintln!("{why}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
