//! `countersign allow`: from where requests may come.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::socket::{Ask, CLIENT_NAMES, Gateway, USER_PRINCIPALS, segment};
use super::when::When;
use super::{Failure, show};

/// What can be done with allow-lists.
#[derive(Debug, Subcommand)]
pub enum AllowCommand {
    /// Make a list; it lets nobody in until it has an entry
    Create {
        /// Its name, as rules say it: from(NAME)
        list: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Remove a list with all its entries
    Drop {
        /// Its name
        list: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Add an entry to a list
    Add(AddArgs),
    /// List the lists, or the entries of one
    List {
        /// The list
        list: Option<String>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Show one entry
    Show {
        /// The list
        list: String,
        /// The entry (en_...)
        entry: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Switch an entry off
    Disable {
        /// The list
        list: String,
        /// The entry (en_...)
        entry: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Switch an entry on again
    Enable {
        /// The list
        list: String,
        /// The entry (en_...)
        entry: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Remove an entry
    Remove {
        /// The list
        list: String,
        /// The entry (en_...)
        entry: String,
        #[command(flatten)]
        ask: Ask,
    },
}

/// `countersign allow add`
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The list
    list: String,
    /// From where: 203.0.113.7, 203.0.113.0/24, 2001:db8::/32
    network: String,
    /// With which methods: GET,POST [default: all]
    #[arg(long, value_name = "METHODS", value_delimiter = ',')]
    methods: Vec<String>,
    /// To which paths: /api/v3.0/orders/* [default: all]
    #[arg(long, value_name = "PATTERN")]
    path: Option<String>,
    /// For whom: a client's name or id, or a user as user:NAME [default: everybody]
    #[arg(long = "for", value_name = "WHO")]
    whom: Option<String>,
    /// From when: 2026-12-31T18:00:00Z, 2026-12-31, 12h [default: now]
    #[arg(long, value_name = "WHEN")]
    from: Option<When>,
    /// Until when: 2026-12-31T18:00:00Z, 2026-12-31, 7d [default: for good]
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
    /// What people want to know about it later
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// Says that a very wide network is meant
    #[arg(long)]
    wide: bool,
    #[command(flatten)]
    ask: Ask,
}

const LISTS: &[show::Column] = &[
    ("LIST", |list| show::member(list, "name")),
    ("ENTRIES", |list| show::member(list, "entries")),
    ("VERSION", |list| show::member(list, "version")),
    ("CREATED", |list| show::member(list, "created")),
];

const ENTRIES: &[show::Column] = &[
    ("ENTRY", |entry| show::member(entry, "id")),
    ("NETWORK", |entry| show::member(entry, "network")),
    ("ENABLED", show::state),
    ("METHODS", |entry| show::member(entry, "methods")),
    ("PATH", |entry| show::member(entry, "path")),
    ("FOR", |entry| show::member(entry, "principal")),
    ("FROM", |entry| show::member(entry, "valid_from")),
    ("UNTIL", |entry| show::member(entry, "valid_until")),
    ("USES", |entry| show::member(entry, "uses")),
    ("NOTE", |entry| show::member(entry, "note")),
];

fn list_path(list: &str) -> String {
    format!("/allow-lists/{}", segment(list))
}

fn entry_path(list: &str, entry: &str) -> String {
    format!("{}/entries/{}", list_path(list), segment(entry))
}

pub(super) fn run(command: AllowCommand) -> Result<String, Failure> {
    match command {
        AllowCommand::Create { list, ask } => {
            let made = ask.gateway()?.add("/allow-lists", &json!({"name": list}))?;
            Ok(ask.done(&made, &format!("Made {list}. It lets nobody in until it has an entry: countersign allow add {list} NETWORK")))
        }
        AllowCommand::Drop { list, ask } => {
            ask.gateway()?.remove(&list_path(&list))?;
            Ok(ask.gone("removed", &list, &format!("Removed {list} and its entries. Rules that name it let nobody in by it.")))
        }
        AllowCommand::Add(arguments) => add(&arguments),
        AllowCommand::List { list: None, ask } => {
            let lists = ask.gateway()?.read_all("/allow-lists")?;
            Ok(ask.table(LISTS, lists, "There are no allow-lists. Make one with: countersign allow create NAME"))
        }
        AllowCommand::List { list: Some(list), ask } => {
            let gateway = ask.gateway()?;
            let mut entries = gateway.read_all(&format!("{}/entries", list_path(&list)))?;
            if !ask.json {
                gateway.name(&mut entries, "principal", &CLIENT_NAMES)?;
                gateway.name(&mut entries, "principal", &USER_PRINCIPALS)?;
            }
            Ok(ask.table(ENTRIES, entries, &format!("{list} has no entries. Add one with: countersign allow add {list} NETWORK")))
        }
        AllowCommand::Show { list, entry, ask } => Ok(ask.said(&ask.gateway()?.read(&entry_path(&list, &entry))?, show::thing)),
        AllowCommand::Disable { list, entry, ask } => {
            let answer = ask.gateway()?.change(&entry_path(&list, &entry), &json!({"enabled": false}))?;
            Ok(ask.done(&answer, &format!("Disabled {entry}.")))
        }
        AllowCommand::Enable { list, entry, ask } => {
            let answer = ask.gateway()?.change(&entry_path(&list, &entry), &json!({"enabled": true}))?;
            Ok(ask.done(&answer, &format!("Enabled {entry}.")))
        }
        AllowCommand::Remove { list, entry, ask } => {
            ask.gateway()?.remove(&entry_path(&list, &entry))?;
            Ok(ask.gone("removed", &entry, &format!("Removed {entry}.")))
        }
    }
}

fn add(arguments: &AddArgs) -> Result<String, Failure> {
    let ask = &arguments.ask;
    let gateway = ask.gateway()?;
    let body = json!({
        "network": arguments.network,
        "methods": arguments.methods,
        "path": arguments.path,
        "principal": arguments.whom.as_deref().map(|whom| principal(&gateway, whom)).transpose()?,
        "note": arguments.note,
        "valid_from": arguments.from.map(When::rfc3339),
        "valid_until": arguments.until.map(When::rfc3339),
        "wide": arguments.wide,
    });
    let entry = gateway.add(&format!("{}/entries", list_path(&arguments.list)), &body)?;
    Ok(ask.said(&entry, |entry| {
        let until = entry.get("valid_until").and_then(Value::as_str).map(|until| format!(" until {until}")).unwrap_or_default();
        format!("Added {} to {}{until} ({}).\n", show::member(entry, "network"), arguments.list, show::member(entry, "id"))
    }))
}

/// What the admin API calls a principal. A user is said with `user:`, since a client may have the same name.
fn principal(gateway: &Gateway, whom: &str) -> Result<String, Failure> {
    match whom.strip_prefix("user:") {
        Some(username) => Ok(show::member(&gateway.read(&format!("/users/{}", segment(username)))?, "id")),
        None => Ok(whom.to_owned()),
    }
}
