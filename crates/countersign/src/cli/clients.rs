//! `countersign client`

use clap::Subcommand;
use serde_json::json;

use super::socket::{Ask, segment};
use super::{Failure, show};

/// What can be done with clients.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Add a client
    Add {
        /// What the client is called: letters in lower case, digits, - _ .
        name: String,
        /// A scope that its keys have; may be repeated
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        #[command(flatten)]
        ask: Ask,
    },
    /// List all clients
    List {
        #[command(flatten)]
        ask: Ask,
    },
    /// Show one client
    Show {
        /// Its name or id
        client: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Switch off all keys of a client
    Disable {
        /// Its name or id
        client: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Switch its keys on again
    Enable {
        /// Its name or id
        client: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Remove a client with all its keys
    Remove {
        /// Its name or id
        client: String,
        #[command(flatten)]
        ask: Ask,
    },
}

const COLUMNS: &[show::Column] = &[
    ("NAME", |client| show::member(client, "name")),
    ("ENABLED", show::state),
    ("SCOPES", |client| show::member(client, "scopes")),
    ("CREATED", |client| show::member(client, "created")),
    ("ID", |client| show::member(client, "id")),
];

pub(super) fn run(command: ClientCommand) -> Result<String, Failure> {
    let path = |client: &str| format!("/clients/{}", segment(client));
    match command {
        ClientCommand::Add { name, scopes, ask } => {
            let client = ask.gateway()?.add("/clients", &json!({"name": name, "scopes": scopes}))?;
            Ok(ask.done(&client, &format!("Added {name}. Give it a key with: countersign key add --client {name}")))
        }
        ClientCommand::List { ask } => {
            let clients = ask.gateway()?.read_all("/clients")?;
            Ok(ask.table(COLUMNS, clients, "There are no clients. Add one with: countersign client add NAME"))
        }
        ClientCommand::Show { client, ask } => Ok(ask.said(&ask.gateway()?.read(&path(&client))?, show::thing)),
        ClientCommand::Disable { client, ask } => {
            let answer = ask.gateway()?.change(&path(&client), &json!({"enabled": false}))?;
            Ok(ask.done(&answer, &format!("Disabled {client}.")))
        }
        ClientCommand::Enable { client, ask } => {
            let answer = ask.gateway()?.change(&path(&client), &json!({"enabled": true}))?;
            Ok(ask.done(&answer, &format!("Enabled {client}.")))
        }
        ClientCommand::Remove { client, ask } => {
            ask.gateway()?.remove(&path(&client))?;
            Ok(ask.gone("removed", &client, &format!("Removed {client} and its keys.")))
        }
    }
}
