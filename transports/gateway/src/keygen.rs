//! `sealwire keygen`: a new identity.

use getrandom::SysRng;
use sealwire_core::keys::Identity;
use sealwire_memlock::SecureMemory;

use crate::cli::KeygenArgs;
use crate::exit::{Exit, Failure};
use crate::keyfile;

pub(crate) fn run(args: &KeygenArgs, memory: &SecureMemory) -> Result<(), Failure> {
    if args.out.as_os_str() == "-" {
        let message = "a private key is not written to standard output";
        return Err(Failure::new(Exit::Usage, message).advise("name a file by --out"));
    }
    let identity = Identity::generate(memory, &mut SysRng)?;
    keyfile::write(&args.out, &identity, memory)?;
    // The pin alone goes to standard output, for scripts.
    anstream::println!("{}", identity.pin());
    anstream::eprintln!(
        "{} holds the identity: keep it secret, and a copy safe. Clients pin it by the line above.",
        args.out.display()
    );
    Ok(())
}
