//! `countersign session`

use clap::Subcommand;

use super::socket::{Ask, segment};
use super::{Failure, show};

/// What can be done with sessions.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// List the sessions that have not ended
    List {
        #[command(flatten)]
        ask: Ask,
    },
    /// End a session: its tokens are refused from now on
    End {
        /// Its id (si_...)
        id: String,
        #[command(flatten)]
        ask: Ask,
    },
}

const COLUMNS: &[show::Column] = &[
    ("ID", |session| show::member(session, "id")),
    ("USER", |session| show::member(session, "user")),
    ("SCOPES", |session| show::member(session, "scopes")),
    ("OPENED", |session| show::member(session, "opened")),
    ("EXPIRES", |session| show::member(session, "expires")),
];

pub(super) fn run(command: SessionCommand) -> Result<String, Failure> {
    match command {
        SessionCommand::List { ask } => {
            let sessions = ask.gateway()?.read_all("/sessions")?;
            Ok(ask.table(COLUMNS, sessions, "Nobody is logged in."))
        }
        SessionCommand::End { id, ask } => {
            let answer = ask.gateway()?.remove(&format!("/sessions/{}", segment(&id)))?;
            Ok(ask.done(&answer, &format!("Ended {id}.")))
        }
    }
}
