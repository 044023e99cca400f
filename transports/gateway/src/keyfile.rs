//! The gateway's identity in a file: PEM, readable by its owner only, read and written without copies outside secure memory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use pem_rfc7468::LineEnding;
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::oid::ObjectIdentifier;
use sealwire_core::keys::Identity;
use sealwire_memlock::{SecureBytes, SecureMemory, scrub_stack};
use sec1::EcPrivateKey;

use crate::exit::{Exit, Failure};

/// PKCS#8 (RFC 5958), as this program and `openssl genpkey` write it.
const PKCS8_LABEL: &str = "PRIVATE KEY";
/// The EC key alone (RFC 5915), as `openssl ecparam -genkey -noout` writes it.
const SEC1_LABEL: &str = "EC PRIVATE KEY";
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// PKCS#8 of a P-256 key has one DER form: these bytes, the scalar, `BEFORE_POINT`, the point.
const BEFORE_SCALAR: [u8; 36] = [
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
    0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02,
    0x01, 0x01, 0x04, 0x20,
];
const BEFORE_POINT: [u8; 5] = [0xa1, 0x44, 0x03, 0x42, 0x00];
const DER_LEN: usize = BEFORE_SCALAR.len() + 32 + BEFORE_POINT.len() + 65;

/// Larger than any key file of one P-256 key.
const LARGEST_FILE: u64 = 16 * 1024;

/// Writes `identity` into a new file at `path`.
pub(crate) fn write(
    path: &Path,
    identity: &Identity,
    memory: &SecureMemory,
) -> Result<(), Failure> {
    let pem = encode(identity, memory)?;
    let mut file = create_private(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(
            Exit::Failure,
            format!("{} exists already, and is left as it is", path.display()),
        )
        .advise("choose another name by --out, or move the old file away: clients have pinned it"),
        _ => cannot("made", path, &error),
    })?;
    let written = file.write_all(pem.expose()).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half a key is of no use, and this process has just made the file.
        let _ = std::fs::remove_file(path);
        cannot("written", path, &error)
    })
}

/// Reads the identity at `path`, if nobody but the owner of the file can.
pub(crate) fn read(path: &Path, memory: &SecureMemory) -> Result<Identity, Failure> {
    let mut file = File::open(path).map_err(|error| {
        let failure = cannot("opened", path, &error);
        match error.kind() {
            io::ErrorKind::NotFound => failure.advise(format!(
                "make one: sealwire keygen --out {}",
                path.display()
            )),
            _ => failure,
        }
    })?;
    check_private(&file, path)?;
    let pem = read_all(&mut file, memory).map_err(|error| cannot("read", path, &error))?;
    decode(pem.expose(), memory)?.ok_or_else(|| {
        Failure::new(
            Exit::Trust,
            format!("{} holds no P-256 private key in PEM (PKCS#8 or SEC 1, not encrypted)", path.display()),
        )
        .advise("make one by `sealwire keygen`, or by `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`")
    })
}

fn encode(identity: &Identity, memory: &SecureMemory) -> Result<SecureBytes, Failure> {
    let mut der = memory.with_capacity(DER_LEN)?;
    der.try_extend_from_slice(&BEFORE_SCALAR)?;
    der.try_extend_from_slice(identity.expose_scalar())?;
    der.try_extend_from_slice(&BEFORE_POINT)?;
    der.try_extend_from_slice(identity.public())?;
    // Base64 takes 4/3, and the two lines around it less than 80 bytes.
    let mut pem = memory.alloc(2 * DER_LEN + 80)?;
    let len = scrub_stack(|| {
        pem_rfc7468::encode(PKCS8_LABEL, LineEnding::LF, der.expose(), pem.expose_mut())
            .map(str::len)
    });
    pem.truncate(len.expect("the buffer is larger than the text, and the label is in order"));
    Ok(pem)
}

/// The identity in a PEM text; none if it is not a P-256 key.
fn decode(pem: &[u8], memory: &SecureMemory) -> Result<Option<Identity>, Failure> {
    let mut der = memory.alloc(pem.len())?;
    let mut scalar = memory.array::<32>()?;
    let found = scrub_stack(|| {
        let (label, der) = pem_rfc7468::decode(pem, der.expose_mut()).ok()?;
        let found = match label {
            PKCS8_LABEL => scalar_of_pkcs8(der)?,
            SEC1_LABEL => scalar_of_sec1(der)?,
            _ => return None,
        };
        *scalar.expose_mut() = *found.first_chunk().filter(|_| found.len() == 32)?;
        Some(())
    });
    Ok(found.and_then(|()| Identity::from_scalar(scalar).ok()))
}

fn scalar_of_pkcs8(der: &[u8]) -> Option<&[u8]> {
    let info = PrivateKeyInfoRef::try_from(der).ok()?;
    info.algorithm.assert_oids(EC_PUBLIC_KEY, P256).ok()?;
    // The curve is named outside; inside it may be named again.
    Some(EcPrivateKey::try_from(info.private_key.as_bytes()).ok()?.private_key)
}

fn scalar_of_sec1(der: &[u8]) -> Option<&[u8]> {
    let key = EcPrivateKey::try_from(der).ok()?;
    (key.parameters?.named_curve() == Some(P256)).then_some(key.private_key)
}

/// Reads a file straight into secure memory.
fn read_all(file: &mut File, memory: &SecureMemory) -> io::Result<SecureBytes> {
    let len = file.metadata()?.len();
    if len > LARGEST_FILE {
        return Err(io::Error::other("it is too large for a key file"));
    }
    // The cast is of at most 16 KiB. A file that grows meanwhile is read as far as it was.
    let mut bytes = memory.alloc(len as usize)?;
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes.expose_mut()[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Failure,
        format!("{} cannot be {what}: {error}", path.display()),
    )
    .advise("check the path, its folder's permissions and the room on the disk")
}

/// A new file that only its owner can read, from the first byte on.
#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// A new file; who can read it, its folder decides.
#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// The permissions of the file that is open: its path may meanwhile lead elsewhere.
#[cfg(unix)]
fn check_private(file: &File, path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file
        .metadata()
        .map_err(|error| cannot("examined", path, &error))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(Failure::new(
        Exit::Trust,
        format!("{path} can be read by others (mode {mode:04o}), who could then be this gateway"),
    )
    .advise(format!(
        "run `chmod 600 {path}`; if others had access to it, make a new identity instead"
    )))
}

#[cfg(not(unix))]
fn check_private(_: &File, _: &Path) -> Result<(), Failure> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use getrandom::SysRng;

    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let memory = SecureMemory::default();
        let identity = Identity::generate(&memory, &mut SysRng).expect("randomness");
        let pem = encode(&identity, &memory).expect("memory");
        let text = str::from_utf8(pem.expose()).expect("PEM is ASCII");
        assert!(text.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(text.ends_with("-----END PRIVATE KEY-----\n"));
        let read = decode(pem.expose(), &memory).expect("memory");
        assert_eq!(read.map(|read| read.pin()), Some(identity.pin()));
    }

    #[test]
    fn what_is_no_p256_key_is_refused() {
        let memory = SecureMemory::default();
        for text in [
            "",
            "not PEM",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            // Ed25519.
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n",
        ] {
            assert!(decode(text.as_bytes(), &memory).expect("memory").is_none());
        }
    }
}
