//! `countersign admin-key`

use clap::Subcommand;
use countersign_core::directory::AdminScope;
use serde_json::json;

use super::socket::{Ask, segment};
use super::when::When;
use super::{Failure, show};

/// What can be done with admin keys.
#[derive(Debug, Subcommand)]
pub enum AdminKeyCommand {
    /// Make an admin key; it is shown once
    Add {
        /// What people call it
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
        /// What it may do: read, allow-lists, users, clients, admin-keys; may be repeated
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<AdminScope>,
        /// When it ends: 2026-12-31T18:00:00Z, 2026-12-31, 90d
        #[arg(long, value_name = "WHEN")]
        expires: Option<When>,
        #[command(flatten)]
        ask: Ask,
    },
    /// List all admin keys
    List {
        #[command(flatten)]
        ask: Ask,
    },
    /// Show one admin key
    Show {
        /// Its id (ad_...)
        id: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Switch an admin key off
    Disable {
        /// Its id (ad_...)
        id: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Switch an admin key on again
    Enable {
        /// Its id (ad_...)
        id: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Remove an admin key
    Remove {
        /// Its id (ad_...)
        id: String,
        #[command(flatten)]
        ask: Ask,
    },
}

const COLUMNS: &[show::Column] = &[
    ("ID", |key| show::member(key, "id")),
    ("LABEL", |key| show::member(key, "label")),
    ("ENABLED", show::state),
    ("SCOPES", |key| show::member(key, "scopes")),
    ("EXPIRES", |key| show::member(key, "expires")),
    ("CREATED", |key| show::member(key, "created")),
];

pub(super) fn run(command: AdminKeyCommand) -> Result<String, Failure> {
    let path = |id: &str| format!("/admin-keys/{}", segment(id));
    match command {
        AdminKeyCommand::Add { label, scopes, expires, ask } => {
            let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
            let body = json!({"label": label, "scopes": scopes, "expires": expires.map(When::rfc3339)});
            let key = ask.gateway()?.add("/admin-keys", &body)?;
            Ok(ask.said(&key, |key| {
                let (id, shown) = (show::member(key, "id"), show::member(key, "key"));
                format!(
                    "Made an admin key.\n\n  id   {id}\n  key  {shown}\n\nThe key is not shown again. Send it as Authorization: Bearer.\n"
                )
            }))
        }
        AdminKeyCommand::List { ask } => {
            let keys = ask.gateway()?.read_all("/admin-keys")?;
            Ok(ask.table(COLUMNS, keys, "There are no admin keys. Make one with: countersign admin-key add --scope read"))
        }
        AdminKeyCommand::Show { id, ask } => Ok(ask.said(&ask.gateway()?.read(&path(&id))?, show::thing)),
        AdminKeyCommand::Disable { id, ask } => {
            let answer = ask.gateway()?.change(&path(&id), &json!({"enabled": false}))?;
            Ok(ask.done(&answer, &format!("Disabled {id}.")))
        }
        AdminKeyCommand::Enable { id, ask } => {
            let answer = ask.gateway()?.change(&path(&id), &json!({"enabled": true}))?;
            Ok(ask.done(&answer, &format!("Enabled {id}.")))
        }
        AdminKeyCommand::Remove { id, ask } => {
            ask.gateway()?.remove(&path(&id))?;
            Ok(ask.gone("removed", &id, &format!("Removed {id}.")))
        }
    }
}
