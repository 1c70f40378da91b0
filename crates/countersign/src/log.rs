//! The log: lines for people or JSON for programs, on standard error. `RUST_LOG` says how much.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Starts the log, from `level` up unless `RUST_LOG` says otherwise. Only the first start counts.
pub fn start(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_not_set| EnvFilter::new(level));
    let to_terminal = std::io::stderr().is_terminal();
    let colour = to_terminal && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).with_ansi(colour);
    // A line that cannot be written, as on a full disk, is lost. To complain of it where it was written to would panic.
    let log = log.log_internal_errors(false);
    let text = match format {
        LogFormat::Auto => to_terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    // A second start fails and leaves the first one as it is.
    let _ = if text { log.try_init() } else { log.json().flatten_event(true).try_init() };
}
