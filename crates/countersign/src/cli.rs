//! Temporary command line.
use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
/// x
#[derive(Parser)]
enum Cli {
    Dev(DevArgs),
    Serve {
        #[arg(long)]
        config: PathBuf,
    },
}
/// x
#[derive(clap::Args)]
pub struct DevArgs {
    /// x
    #[arg(long)]
    pub upstream: Option<String>,
    /// x
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// x
    #[arg(long, default_value = "127.0.0.1:8081")]
    pub admin_listen: SocketAddr,
    /// x
    #[arg(long, default_value = "countersign-data")]
    pub data: PathBuf,
}
/// x
pub fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let done = match Cli::parse() {
        Cli::Dev(a) => crate::dev::run(a).map_err(|e| e.to_string()),
        Cli::Serve { config } => crate::config_check::read(&config)
            .map_err(|e| e.to_string())
            .and_then(|c| crate::startup::serve(c.config).map_err(|e| e.to_string())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
