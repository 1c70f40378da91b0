//! `countersign session`

use clap::Subcommand;

use super::socket::{Ask, USER_NAMES, segment};
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
            let gateway = ask.gateway()?;
            let mut sessions = gateway.read_all("/sessions")?;
            if !ask.json {
                gateway.name(&mut sessions, "user", &USER_NAMES)?;
            }
            Ok(ask.table(COLUMNS, sessions, "Nobody is logged in."))
        }
        SessionCommand::End { id, ask } => {
            ask.gateway()?.remove(&format!("/sessions/{}", segment(&id)))?;
            Ok(ask.gone("ended", &id, &format!("Ended {id}.")))
        }
    }
}
