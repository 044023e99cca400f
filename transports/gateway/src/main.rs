//! The `sealwire` program: a gateway in front of any OpenAI-compatible server, and a client for the terminal.
//!
//! ```text
//!   sealwire chat ──sealed frames──▶ sealwire serve ──HTTP──▶ a model server
//!        └── sealwire demo: both ends, a built-in model, and an onlooker in between
//! ```
//!
//! Plaintext lives in secure memory and in what the HTTP library holds on its way to the model server; a global allocator that wipes
//! what is freed takes care of the latter.
#![forbid(unsafe_code)]

mod chat;
mod cli;
mod connect;
mod demo;
mod exit;
mod gateway;
mod info;
mod input;
mod keyfile;
mod keygen;
mod keys;
mod known_gateways;
mod model;
mod onlooker;
mod recorder;
mod serve;
mod sse;
mod terminal;
mod tls;
mod upstream;
mod url;

use std::alloc::System;
use std::future::Future;
use std::process::ExitCode;

use clap::Parser;
use sealwire_memlock::{Policy, SecureMemory, ZeroOnFree, harden_process};

use crate::cli::{Cli, Command};
use crate::exit::{Exit, Failure};

#[global_allocator]
static ALLOCATOR: ZeroOnFree<System> = ZeroOnFree::new(System);

/// What is logged where `RUST_LOG` does not say: what is wrong, and why a client waits before it tries again.
const LOGGED: &str = "warn,sealwire::client::task=info";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = env_logger::Env::default().default_filter_or(LOGGED);
    env_logger::Builder::from_env(filter)
        .format_timestamp(None)
        .init();
    if let Err(error) = harden_process() {
        log::warn!("core dumps of this process could not be switched off: {error}");
    }
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.show();
            failure.exit().into()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let memory = SecureMemory::new(Policy::BestEffort);
    match command {
        Command::Demo(args) => wait(demo::run(args, memory)),
        Command::Serve(args) => wait(serve::run(args, memory)),
        Command::Chat(args) => wait(chat::run(args, memory)),
        Command::Keygen(args) => keygen::run(&args, &memory),
        Command::Keys(args) => wait(keys::run(args, memory)),
        Command::Info(args) => info::run(&args),
    }
}

/// Runs a command that talks to the network.
fn wait(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(Exit::Failure, format!("no threads to work with: {error}"))
        })?;
    let result = runtime.block_on(work);
    // A thread that still waits for a line of input must not keep the program from ending.
    runtime.shutdown_background();
    result
}
