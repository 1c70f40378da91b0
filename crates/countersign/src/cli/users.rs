//! `countersign user`

use clap::Subcommand;
use serde_json::{Value, json};

use super::password::{NewPassword, PasswordArgs};
use super::socket::{Ask, segment};
use super::{Failure, show};

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user
    Add {
        /// What the user logs in with
        username: String,
        /// A scope that logins give; may be repeated
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        #[command(flatten)]
        password: PasswordArgs,
        #[command(flatten)]
        ask: Ask,
    },
    /// List all users
    List {
        #[command(flatten)]
        ask: Ask,
    },
    /// Show one user
    Show {
        /// The username
        username: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Set a new password; ends the user's sessions
    Password {
        /// The username
        username: String,
        #[command(flatten)]
        password: PasswordArgs,
        #[command(flatten)]
        ask: Ask,
    },
    /// Set the scopes that logins give
    Scopes {
        /// The username
        username: String,
        /// The scopes; none takes all of them away
        scopes: Vec<String>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Lock a user out; ends the user's sessions
    Disable {
        /// The username
        username: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Let a user in again
    Enable {
        /// The username
        username: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Remove a user
    Remove {
        /// The username
        username: String,
        #[command(flatten)]
        ask: Ask,
    },
}

const COLUMNS: &[show::Column] = &[
    ("USERNAME", |user| show::member(user, "username")),
    ("ENABLED", show::state),
    ("SCOPES", |user| show::member(user, "scopes")),
    ("CREATED", |user| show::member(user, "created")),
    ("ID", |user| show::member(user, "id")),
];

pub(super) fn run(command: UserCommand) -> Result<String, Failure> {
    let path = |username: &str| format!("/users/{}", segment(username));
    match command {
        UserCommand::Add { username, scopes, password, ask } => {
            let gateway = ask.gateway()?;
            let password = password.read()?;
            let body = json!({"username": username, "password": password.text.as_str(), "scopes": scopes});
            let user = gateway.add("/users", &body)?;
            Ok(with_password(&ask, user, &password, &format!("Added {username}.")))
        }
        UserCommand::List { ask } => {
            let users = ask.gateway()?.read_all("/users")?;
            Ok(ask.table(COLUMNS, users, "There are no users. Add one with: countersign user add NAME"))
        }
        UserCommand::Show { username, ask } => Ok(ask.said(&ask.gateway()?.read(&path(&username))?, show::thing)),
        UserCommand::Password { username, password, ask } => {
            let gateway = ask.gateway()?;
            let password = password.read()?;
            let user = gateway.change(&path(&username), &json!({"password": password.text.as_str()}))?;
            Ok(with_password(&ask, user, &password, &format!("Changed the password of {username}.")))
        }
        UserCommand::Scopes { username, scopes, ask } => {
            let user = ask.gateway()?.change(&path(&username), &json!({"scopes": scopes}))?;
            Ok(ask.said(&user, show::thing))
        }
        UserCommand::Disable { username, ask } => {
            let user = ask.gateway()?.change(&path(&username), &json!({"enabled": false}))?;
            Ok(ask.done(&user, &format!("Disabled {username}.")))
        }
        UserCommand::Enable { username, ask } => {
            let user = ask.gateway()?.change(&path(&username), &json!({"enabled": true}))?;
            Ok(ask.done(&user, &format!("Enabled {username}.")))
        }
        UserCommand::Remove { username, ask } => {
            ask.gateway()?.remove(&path(&username))?;
            Ok(ask.gone("removed", &username, &format!("Removed {username}.")))
        }
    }
}

/// What was done, and the password if it was made here: it is not shown again.
fn with_password(ask: &Ask, mut user: Value, password: &NewPassword, words: &str) -> String {
    if !password.made {
        return ask.done(&user, words);
    }
    if let Some(members) = user.as_object_mut() {
        members.insert("password".into(), password.text.as_str().into());
    }
    ask.said(&user, |_| format!("{words}\n\n  password  {}\n\nIt is not shown again.\n", password.text.as_str()))
}
