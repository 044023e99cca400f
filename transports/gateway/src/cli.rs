//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};
use sealwire_core::keys::Pin;

use crate::exit::exit_codes;
use crate::url::BaseUrl;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Chat with language models, sealed end to end.
///
/// Prompts, answers and API keys are readable at the two ends only: in locked memory here, and in the gateway that holds the private
/// key. Everything in between sees sealed frames, whose sizes say little.
#[derive(Debug, Parser)]
#[command(version, styles = STYLES, after_help = exit_codes!(), after_long_help = LONG_AFTER, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const LONG_AFTER: &str = concat!(
    "Try it:\n",
    "  sealwire demo \"How do you keep a secret?\"\n\n",
    "Run it:\n",
    "  sealwire keygen --out gateway.pem\n",
    "  sealwire serve --upstream http://127.0.0.1:11434 --key gateway.pem\n",
    "  sealwire chat --gateway https://gateway.example --model llama3\n\n",
    "Environment:\n",
    "  NO_COLOR         no colours, even on a terminal\n",
    "  RUST_LOG         what to log to standard error: error, warn, info, debug; by default warn, and\n",
    "                   why there is another try; never prompts, answers or keys\n",
    "  XDG_CONFIG_HOME  where sealwire/known_gateways is kept (default: ~/.config)\n\n",
    exit_codes!(),
);

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(DemoArgs),
    Serve(ServeArgs),
    Chat(ChatArgs),
    Keygen(KeygenArgs),
    Keys(KeysArgs),
    Info(InfoArgs),
}

/// Chat with a built-in model through a gateway, and see what an onlooker sees.
///
/// Starts a gateway on a loopback port, sends it one sealed chat over HTTP through a recording proxy, streams the answer, and then sets
/// what crossed the wire beside what the two ends saw. Nothing leaves this machine, and the model is a few lines of this program.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sealwire demo \"How do you keep a secret?\"")]
pub(crate) struct DemoArgs {
    /// What to ask the built-in model.
    #[arg(default_value = "How do you keep a secret?")]
    pub(crate) prompt: String,
    /// Seal with MLKEM768-P256, which a quantum computer cannot open later.
    #[arg(long)]
    pub(crate) post_quantum: bool,
}

/// Run the gateway in front of an OpenAI-compatible server.
///
/// Opens sealed requests, forwards those under /v1/ to the upstream with their own API key, and seals the answers, streamed ones piece
/// by piece. It speaks HTTP/1.1 and HTTP/2 without TLS: put your TLS terminator in front, which then sees sealed frames only.
/// With --listen-raw it takes the same frames on streams without HTTP too.
/// Stops on Ctrl-C or SIGTERM, after the answers that are under way (10 s at most).
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    sealwire serve --upstream http://127.0.0.1:11434 --key gateway.pem\n  \
    sealwire serve --upstream https://api.openai.com --listen 0.0.0.0:8443 --key gateway.pem")]
pub(crate) struct ServeArgs {
    /// The server that answers: scheme, host and perhaps a path. The path of each request is appended; a /v1 at the end is not doubled.
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: BaseUrl,
    /// Address and port to listen on; port 0 lets the system choose.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    pub(crate) listen: SocketAddr,
    /// Another address and port, for raw streams: frames with no HTTP around them, base URLs of tcp:// or tls:// in the library.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen_raw: Option<SocketAddr>,
    /// The gateway's identity, as `sealwire keygen` makes it (PEM). Without it, one that ends with the process.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Which key agreements to offer.
    #[arg(long, value_enum, value_name = "SUITE", default_value = "all")]
    pub(crate) suite: SuiteChoice,
}

/// Which suites a gateway offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SuiteChoice {
    /// P-256 and MLKEM768-P256; each client chooses.
    All,
    /// P-256 alone: every client has it.
    P256,
    /// MLKEM768-P256 alone: what is recorded today stays closed to a quantum computer.
    PostQuantum,
}

/// Make a gateway's identity and print its pin.
///
/// The file is PEM (PKCS#8), readable by its owner only from the first byte on. An existing file is never overwritten. Clients pin the
/// identity: whoever has this file is the gateway.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sealwire keygen --out gateway.pem")]
pub(crate) struct KeygenArgs {
    /// The file to make.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Show a gateway's pin and its current keys.
///
/// The pin is what arrived over this connection: compare it with the one that the gateway's operator gives you.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sealwire keys --gateway https://gateway.example")]
pub(crate) struct KeysArgs {
    /// The gateway.
    #[arg(long, value_name = "URL")]
    pub(crate) gateway: BaseUrl,
    /// Allow http://, without TLS.
    #[arg(long)]
    pub(crate) allow_http: bool,
}

/// Chat through a gateway.
///
/// Without PROMPT a conversation: each line of standard input is sent together with what was said before, until the end of input
/// (Ctrl-D).
///
/// A PROMPT on the command line can be seen by other users of this machine (ps) and stays in the shell's history. To keep it to
/// yourself, leave it out and type or pipe it: it is then read straight into secure memory. API keys are never taken from the command
/// line.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    sealwire chat --gateway https://gateway.example --model llama3\n  \
    sealwire chat --gateway https://gateway.example --model gpt-4o \\\n    \
      --api-key-file key.txt - < prompt.txt\n  \
    pass openai | sealwire chat --gateway https://gateway.example \\\n    \
      --model gpt-4o --api-key-file - \"Hello\"")]
pub(crate) struct ChatArgs {
    /// The gateway.
    #[arg(long, value_name = "URL")]
    pub(crate) gateway: BaseUrl,
    /// The model to ask, as the server behind the gateway names it.
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// The gateway's pin: `sha256:` and 64 hexadecimal digits. Without it, the identity is remembered from first use.
    #[arg(long, value_name = "PIN")]
    pub(crate) pin: Option<Pin>,
    /// The file with the API key on its first line; `-` is the first line of standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// Where identities are remembered, lines of `URL PIN`. Default: sealwire/known_gateways in $XDG_CONFIG_HOME or ~/.config.
    #[arg(long, value_name = "FILE")]
    pub(crate) known_gateways: Option<PathBuf>,
    /// Allow http://, without TLS. The chat is sealed all the same; addresses and times are what TLS would hide.
    #[arg(long)]
    pub(crate) allow_http: bool,
    /// Ask for the whole answer at once, not piece by piece.
    #[arg(long)]
    pub(crate) no_stream: bool,
    /// Seal with MLKEM768-P256, which a quantum computer cannot open later; never falls back.
    #[arg(long)]
    pub(crate) post_quantum: bool,
    /// What to ask; `-` is all of standard input. Other users can see it: see above.
    pub(crate) prompt: Option<String>,
}

/// Report how well secrets are protected in this machine's memory.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sealwire info\n  sealwire info --json | jq .protection_level")]
pub(crate) struct InfoArgs {
    /// One JSON object; sizes are in bytes.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
