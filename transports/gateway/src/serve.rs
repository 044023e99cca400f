//! `sealwire serve`: the gateway.

use std::net::SocketAddr;

use getrandom::SysRng;
use sealwire_core::Suite;
use sealwire_core::keys::{Identity, Pin};
use sealwire_memlock::{ProtectionLevel, SecureMemory};

use crate::cli::{ServeArgs, SuiteChoice};
use crate::exit::{Exit, Failure};
use crate::terminal::{HEAD, WARN};
use crate::upstream::Upstream;
use crate::{gateway, keyfile};

pub(crate) async fn run(args: ServeArgs, memory: SecureMemory) -> Result<(), Failure> {
    check_addresses(&args)?;
    let identity = match &args.key {
        Some(path) => keyfile::read(path, &memory)?,
        None => Identity::generate(&memory, &mut SysRng)?,
    };
    let pin = identity.pin();
    let suites = match args.suite {
        SuiteChoice::All => Suite::ALL,
        SuiteChoice::P256 => &[Suite::P256],
        SuiteChoice::PostQuantum => &[Suite::MlKem768P256],
    };
    let upstream = Upstream::new(&args.upstream, memory.clone())?;
    let gateway = gateway::new(identity, suites, memory.clone(), upstream)?;
    let listener = gateway::listen(args.listen, "--listen").await?;
    let raw = match args.listen_raw {
        Some(address) => Some(gateway::listen(address, "--listen-raw").await?),
        None => None,
    };
    // Signals count from here on, so that whoever read the lines below can send one.
    let stop = stop_signal()?;
    let address = listener.local_addr().unwrap_or(args.listen);
    let raw_address = raw.as_ref().and_then(|raw| raw.local_addr().ok());
    announce(&args, address, raw_address, &pin, &memory);
    gateway::serve(listener, raw, gateway, stop).await;
    anstream::eprintln!("stopped");
    Ok(())
}

/// One port has one listener; the system would say that another program has it.
fn check_addresses(args: &ServeArgs) -> Result<(), Failure> {
    let address = args.listen;
    if args.listen_raw != Some(address) || address.port() == 0 {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Usage,
        format!("--listen and --listen-raw are both {address}"),
    )
    .advise("choose another port for one of them: HTTP and raw streams do not share one"))
}

fn announce(
    args: &ServeArgs,
    address: SocketAddr,
    raw_address: Option<SocketAddr>,
    pin: &Pin,
    memory: &SecureMemory,
) {
    anstream::println!("{HEAD}listening{HEAD:#}  http://{address}");
    if let Some(address) = raw_address {
        anstream::println!("{HEAD}listening{HEAD:#}  tcp://{address}");
    }
    anstream::println!("{HEAD}upstream{HEAD:#}   {}", args.upstream);
    anstream::println!("{HEAD}pin{HEAD:#}        {pin}");
    let info = memory.protection_info();
    anstream::println!("{HEAD}memory{HEAD:#}     {}", info.protection_level);
    let warn = |text: &str| anstream::eprintln!("{WARN}warning:{WARN:#} {text}");
    if args.key.is_none() {
        warn(
            "this identity ends with the process, and clients that remember it will refuse the next one; \
             keep one by `sealwire keygen --out FILE` and --key FILE",
        );
    }
    if args.upstream.is_open() {
        warn(
            "prompts, answers and API keys go to the upstream without TLS, and can be read on the network there; \
             use https://, or run the gateway on the same machine",
        );
    }
    if info.protection_level != ProtectionLevel::Full {
        warn("not all secrets can be locked in memory; `sealwire info` says why, and what to do");
    }
}

/// Resolves when the process is asked to stop.
#[cfg(unix)]
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| {
        signal(kind).map_err(|error| {
            Failure::new(
                Exit::Failure,
                format!("signals cannot be received: {error}"),
            )
        })
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            log::warn!("Ctrl-C cannot be received: end the process to stop");
            std::future::pending::<()>().await;
        }
    })
}
