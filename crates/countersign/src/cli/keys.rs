//! `countersign key`: signing keys and API keys, told apart by their ids (`ak_...` is an API key).

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::socket::{Ask, CLIENT_NAMES, segment};
use super::when::When;
use super::{Failure, secret_file, show};

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key for a client; its secret is shown once
    Add {
        /// Whose key: the client's name or id
        #[arg(long, value_name = "CLIENT")]
        client: String,
        /// Make an API key; a signing key when not given
        #[arg(long)]
        api: bool,
        /// What people call it (API keys)
        #[arg(long, requires = "api", value_name = "TEXT", default_value = "")]
        label: String,
        /// When it ends (API keys): 2026-12-31T18:00:00Z, 2026-12-31, 90d
        #[arg(long, requires = "api", value_name = "WHEN")]
        expires: Option<When>,
        /// The key id, when the partner has one already (signing keys)
        #[arg(long, conflicts_with = "api", value_name = "KEY_ID")]
        id: Option<String>,
        /// The signature profile [default: v3.0] (signing keys)
        #[arg(long, conflicts_with = "api", value_name = "PROFILE")]
        profile: Option<String>,
        /// A file with the secret that the other side has already; without it one is made (signing keys)
        #[arg(long, conflicts_with = "api", value_name = "FILE")]
        secret_file: Option<PathBuf>,
        #[command(flatten)]
        ask: Ask,
    },
    /// List keys
    List {
        /// Only those of one client
        #[arg(long, value_name = "CLIENT")]
        client: Option<String>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Show one key
    Show {
        /// Its id
        key: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Give a signing key a second secret; the first goes on working for a while
    Roll {
        /// Its id
        key: String,
        /// How long the first secret goes on working, in seconds [default: a day]
        #[arg(long, value_name = "SECONDS")]
        overlap_seconds: Option<u64>,
        /// A file with the second secret, when the other side has made it
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
        #[command(flatten)]
        ask: Ask,
    },
    /// End one of the two secrets of a signing key now
    EndSecret {
        /// The key's id
        key: String,
        /// The secret's id (se_...), as shown by key show
        secret: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Let refusals of a key's signatures say what was done wrong, for a while
    Diagnose {
        /// Its id
        key: String,
        /// For how long, in seconds, at most a day; 0 ends it
        #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
        seconds: u64,
        #[command(flatten)]
        ask: Ask,
    },
    /// Switch a key off
    Disable {
        /// Its id
        key: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Switch a key on again
    Enable {
        /// Its id
        key: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Remove a key
    Remove {
        /// Its id
        key: String,
        #[command(flatten)]
        ask: Ask,
    },
}

const COLUMNS: &[show::Column] = &[
    ("ID", |key| show::member(key, "id")),
    ("KIND", kind),
    ("CLIENT", |key| show::member(key, "client")),
    ("ENABLED", show::state),
    ("SECRETS", secrets),
    ("LAST USED", last_used),
    ("EXPIRES", |key| show::member(key, "expires")),
    ("LABEL", |key| show::member(key, "label")),
];

fn kind(key: &Value) -> String {
    key.get("profile").and_then(Value::as_str).map_or_else(|| "api key".into(), |profile| format!("signing ({profile})"))
}

fn secrets(key: &Value) -> String {
    key.get("secrets").and_then(Value::as_array).map_or_else(|| "-".into(), |secrets| secrets.len().to_string())
}

fn last_used(key: &Value) -> String {
    let of_secrets = key.get("secrets").and_then(Value::as_array).into_iter().flatten();
    // RFC 3339 in UTC sorts as text.
    let latest = of_secrets.chain([key]).filter_map(|used| used.get("last_used").and_then(Value::as_str)).max();
    latest.unwrap_or("never").to_owned()
}

/// Where a key is in the admin API.
fn path(key: &str) -> String {
    let kind = if key.starts_with("ak_") { "api-keys" } else { "signing-keys" };
    format!("/{kind}/{}", segment(key))
}

/// Refuses what has no meaning for an API key.
fn signing_only(key: &str, why: &str) -> Result<(), Failure> {
    if key.starts_with("ak_") { Err(Failure::Usage(format!("an API key {why}"))) } else { Ok(()) }
}

pub(super) fn run(command: KeyCommand) -> Result<String, Failure> {
    match command {
        KeyCommand::Add { client, api: true, label, expires, ask, .. } => {
            let body = json!({"label": label, "expires": expires.map(When::rfc3339)});
            let key = ask.gateway()?.add(&format!("/clients/{}/api-keys", segment(&client)), &body)?;
            Ok(ask.said(&key, |key| {
                let shown = show::member(key, "key");
                format!(
                    "Made an API key for {client}.\n\n  id   {}\n  key  {shown}\n\nThe key is not shown again. Send it as X-API-Key.\n",
                    show::member(key, "id")
                )
            }))
        }
        KeyCommand::Add { client, id, profile, secret_file, ask, .. } => {
            let secret = secret_file.as_deref().map(secret_file::read).transpose()?;
            let body = json!({"id": id, "profile": profile, "secret": secret.as_ref().map(|secret| secret.as_str())});
            let key = ask.gateway()?.add(&format!("/clients/{}/signing-keys", segment(&client)), &body)?;
            Ok(ask.said(&key, |key| with_secret(key, &format!("Made a signing key for {client}."))))
        }
        KeyCommand::List { client, ask } => {
            let gateway = ask.gateway()?;
            let of = client.map(|client| format!("/clients/{}", segment(&client))).unwrap_or_default();
            let mut keys = gateway.read_all(&format!("{of}/signing-keys"))?;
            keys.extend(gateway.read_all(&format!("{of}/api-keys"))?);
            if !ask.json {
                gateway.name(&mut keys, "client", &CLIENT_NAMES)?;
            }
            Ok(ask.table(COLUMNS, keys, "There are no keys. Make one with: countersign key add --client NAME"))
        }
        KeyCommand::Show { key, ask } => Ok(ask.said(&ask.gateway()?.read(&path(&key))?, key_in_full)),
        KeyCommand::Roll { key, overlap_seconds, secret_file, ask } => {
            signing_only(&key, "has one secret: add another key, move over, and remove this one")?;
            let secret = secret_file.as_deref().map(secret_file::read).transpose()?;
            let body = json!({"overlap_seconds": overlap_seconds, "secret": secret.as_ref().map(|secret| secret.as_str())});
            let rolled = ask.gateway()?.add(&format!("{}/secrets", path(&key)), &body)?;
            Ok(ask.said(&rolled, |key| {
                let first = key.get("secrets").and_then(Value::as_array).and_then(|secrets| secrets.first());
                let until = first.map(|first| show::member(first, "ends")).unwrap_or_default();
                with_secret(key, &format!("Made a second secret. The first works until {until}."))
            }))
        }
        KeyCommand::EndSecret { key, secret, ask } => {
            signing_only(&key, "has one secret: remove the key")?;
            ask.gateway()?.remove(&format!("{}/secrets/{}", path(&key), segment(&secret)))?;
            Ok(ask.gone("ended", &secret, &format!("Ended {secret}.")))
        }
        KeyCommand::Diagnose { key, seconds, ask } => {
            signing_only(&key, "signs nothing, so there is nothing to diagnose")?;
            let answer = ask.gateway()?.change(&path(&key), &json!({"diagnose_seconds": seconds}))?;
            Ok(ask.said(&answer, |answer| match answer.get("diagnose_until").and_then(Value::as_str) {
                Some(until) => format!("Until {until} a refused signature of {key} is answered with hints that say what was done wrong.\n"),
                None => format!("Refused signatures of {key} are answered without hints.\n"),
            }))
        }
        KeyCommand::Disable { key, ask } => {
            let answer = ask.gateway()?.change(&path(&key), &json!({"enabled": false}))?;
            Ok(ask.done(&answer, &format!("Disabled {key}.")))
        }
        KeyCommand::Enable { key, ask } => {
            let answer = ask.gateway()?.change(&path(&key), &json!({"enabled": true}))?;
            Ok(ask.done(&answer, &format!("Enabled {key}.")))
        }
        KeyCommand::Remove { key, ask } => {
            ask.gateway()?.remove(&path(&key))?;
            Ok(ask.gone("removed", &key, &format!("Removed {key}.")))
        }
    }
}

fn with_secret(key: &Value, words: &str) -> String {
    let (id, secret) = (show::member(key, "id"), show::member(key, "secret"));
    if key.get("secret").is_none_or(Value::is_null) {
        return format!("{words}\n\n  key id  {id}\n\nIt has the secret that you gave, which is stored encrypted and not shown.\n");
    }
    let profile = match show::member(key, "profile").as_str() {
        "v3.0" => String::new(),
        other => format!(" --profile {other}"),
    };
    format!(
        "{words}\n\n  CS_KEY_ID={id}\n  CS_SECRET={secret}\n\nThe secret is not shown again. With both in the environment, countersign sign{profile} GET URL signs a request.\n"
    )
}

/// A key, and its secrets below it.
fn key_in_full(key: &Value) -> String {
    let mut key = key.clone();
    let secrets = key.as_object_mut().and_then(|members| members.remove("secrets"));
    let mut text = show::thing(&key);
    if let Some(Value::Array(secrets)) = secrets {
        text.push('\n');
        let columns: [show::Column; 4] = [
            ("SECRET", |secret| show::member(secret, "id")),
            ("CREATED", |secret| show::member(secret, "created")),
            ("ENDS", |secret| show::member(secret, "ends")),
            ("LAST USED", last_used),
        ];
        text.push_str(&show::table(&columns, &secrets, ""));
    }
    text
}
