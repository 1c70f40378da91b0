//! The command line: what can be asked for, and how it ends.
//!
//! - `check`: reads a configuration and prints what it means.
//! - `sign`: signs a request, and prints or sends it. `verify`: judges one offline. `profiles`: in which schemes.
//! - `users`, `clients`, `keys`, `admin_keys`, `allow`, `sessions`, `audit`: ask a running gateway, over its local socket.
//! - `socket`: that conversation. `show`: tables for people, JSON for programs. `when`: moments as people write them.
//! - `password`: passwords that are typed, piped or made, and never an argument.

mod admin_keys;
mod allow;
mod audit;
mod check;
mod clients;
mod explain;
mod keys;
mod password;
mod profiles;
mod secret_file;
mod sessions;
mod show;
mod sign;
mod socket;
mod users;
mod verify;
mod when;

use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use http::uri::Authority;

use crate::config::LogFormat;
use crate::config_error::BadConfig;
use crate::{config_check, log};

/// An authentication gateway: lets a request through only when it proves who sent it, comes from where that sender may come,
/// and has not been sent before.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(
    after_help = "Start here:  countersign dev\n\nExit status: 0 done, 1 failed, 2 wrong usage, 3 wrong configuration, 4 the gateway did not answer."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one command, with a demo user and partner and lines to paste; for this machine only
    Dev(DevArgs),
    /// Run the gateway
    Serve(ServeArgs),
    /// Write a configuration file that explains itself
    Init(InitArgs),
    /// Check a configuration file and print what it means
    Check(check::CheckArgs),
    /// Sign a request: print a curl line, or send it
    Sign(sign::SignArgs),
    /// Judge a signed request offline, and show what its signature covers
    Verify(verify::VerifyArgs),
    /// Signature profiles that are built in
    Profiles(profiles::ProfilesArgs),
    /// People who log in
    #[command(subcommand)]
    User(users::UserCommand),
    /// Programs and partners
    #[command(subcommand)]
    Client(clients::ClientCommand),
    /// Keys of clients: signing keys (ck_...) and API keys (ak_...)
    #[command(subcommand)]
    Key(keys::KeyCommand),
    /// Allow-lists and their entries
    #[command(subcommand)]
    Allow(allow::AllowCommand),
    /// Logins that have not ended
    #[command(subcommand)]
    Session(sessions::SessionCommand),
    /// Keys for the admin API
    #[command(subcommand)]
    AdminKey(admin_keys::AdminKeyCommand),
    /// Say why the gateway refused a signature
    Explain(explain::ExplainArgs),
    /// Who changed what
    Audit(audit::AuditArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `countersign dev`
#[derive(Debug, Args)]
pub struct DevArgs {
    /// The API to put the gateway in front of [default: an echo that answers what it received]. It gets /api/v3.0/* when signed and
    /// /api/* with a token or an API key
    #[arg(long, value_name = "URL")]
    pub upstream: Option<UpstreamUrl>,
    /// Where requests come in
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where the admin API is
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub admin_listen: SocketAddr,
    /// Where the demo's database and secrets are kept
    #[arg(long, value_name = "DIR", default_value = "countersign-data")]
    pub data: PathBuf,
}

/// `countersign serve`
#[derive(Debug, Args)]
struct ServeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "COUNTERSIGN_CONFIG", default_value = "countersign.toml")]
    config: PathBuf,
}

/// `countersign init`
#[derive(Debug, Args)]
struct InitArgs {
    /// The file to write
    #[arg(default_value = "countersign.toml")]
    path: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

/// `http://host:port`, on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl(Authority);

impl FromStr for UpstreamUrl {
    type Err = config_check::BadUpstream;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        config_check::read_upstream(text).map(Self)
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

/// How a command fails. Says what to do next.
#[derive(Debug)]
enum Failure {
    /// It was asked and said no, or something went wrong. Exit status 1.
    Failed(String),
    /// What was sent was refused, and this is the answer. Exit status 1.
    Answered(String),
    /// It was asked for in a way that has no meaning. Exit status 2.
    Usage(String),
    /// The configuration cannot be used. Exit status 3.
    Config(BadConfig),
    /// The configuration cannot be used, and this says so for a program. Exit status 3.
    ConfigReport(String),
    /// The gateway did not answer, or did not let us in. Exit status 4.
    Unreachable(String),
}

impl Failure {
    /// A failure to do `what`.
    fn of(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::Failed(format!("{what}: {error}"))
    }

    const fn status(&self) -> u8 {
        match self {
            Self::Failed(_) | Self::Answered(_) => 1,
            Self::Usage(_) => 2,
            Self::Config(_) | Self::ConfigReport(_) => 3,
            Self::Unreachable(_) => 4,
        }
    }
}

impl From<BadConfig> for Failure {
    fn from(bad: BadConfig) -> Self {
        Self::Config(bad)
    }
}

/// The whole program: reads the arguments and does what they ask for.
pub fn main() -> ExitCode {
    let outcome = run(Cli::parse().command);
    match outcome {
        Ok(text) => write_out(&text),
        Err(failure) => {
            let status = failure.status();
            match failure {
                Failure::ConfigReport(text) | Failure::Answered(text) => _ = write_out(&text),
                Failure::Config(bad) => eprint!("{bad}"),
                Failure::Failed(text) | Failure::Usage(text) | Failure::Unreachable(text) => eprintln!("error: {text}"),
            }
            status.into()
        }
    }
}

/// Does what is asked for; what is returned belongs on standard output.
fn run(command: Command) -> Result<String, Failure> {
    match command {
        Command::Dev(arguments) => {
            log::start(LogFormat::Text, "warn");
            crate::dev::run(arguments).map(|()| String::new()).map_err(|error| Failure::Failed(error.to_string()))
        }
        Command::Serve(ServeArgs { config }) => {
            let checked = config_check::read(&config)?;
            log::start(checked.config.log, "info");
            for finding in &checked.warnings.findings {
                tracing::warn!(file = checked.warnings.name, help = finding.help, "{}", finding.message);
            }
            crate::startup::serve(checked.config).map(|()| String::new()).map_err(|error| Failure::Failed(error.to_string()))
        }
        Command::Init(arguments) => init(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Sign(arguments) => sign::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Profiles(arguments) => profiles::run(&arguments),
        Command::User(command) => users::run(command),
        Command::Client(command) => clients::run(command),
        Command::Key(command) => keys::run(command),
        Command::Allow(command) => allow::run(command),
        Command::Session(command) => sessions::run(command),
        Command::AdminKey(command) => admin_keys::run(command),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "countersign", &mut script);
            Ok(String::from_utf8_lossy(&script).into_owned())
        }
    }
}

fn init(arguments: &InitArgs) -> Result<String, Failure> {
    let path = arguments.path.display();
    let word = crate::shell::word(&path.to_string());
    match crate::init::write(&arguments.path, arguments.force) {
        Ok(()) => Ok(format!(
            "Wrote {path}. Now:\n  edit it, then   countersign check --config {word}\n  and run it      countersign serve --config {word}\n"
        )),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Failure::Failed(format!("{path} is there already: --force replaces it")))
        }
        Err(error) => Err(Failure::of(format_args!("{path} cannot be written"), error)),
    }
}

/// Writes to standard output. A reader that has seen enough, as `head` has, is no failure.
fn write_out(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("error: standard output cannot be written: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests;
