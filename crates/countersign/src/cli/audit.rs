//! `countersign audit`

use std::num::NonZeroUsize;

use clap::Args;

use super::socket::Ask;
use super::{Failure, show};

/// `countersign audit`
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// How many rows, the latest ones
    #[arg(long, value_name = "ROWS", default_value = "50")]
    last: NonZeroUsize,
    #[command(flatten)]
    ask: Ask,
}

const COLUMNS: &[show::Column] = &[
    ("NUMBER", |row| show::member(row, "number")),
    ("AT", |row| show::member(row, "at")),
    ("WHO", |row| show::member(row, "actor")),
    ("WHAT", |row| show::member(row, "action")),
    ("TARGET", |row| show::member(row, "target")),
    ("DETAIL", |row| show::member(row, "detail")),
];

pub(super) fn run(arguments: &AuditArgs) -> Result<String, Failure> {
    // Oldest first, as the log is written.
    let mut rows = arguments.ask.gateway()?.read_all("/audit")?;
    rows.drain(..rows.len().saturating_sub(arguments.last.get()));
    Ok(arguments.ask.table(COLUMNS, rows, "Nothing was changed yet."))
}
