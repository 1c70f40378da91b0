//! `countersign explain`: why the gateway refused a signature.

use clap::Args;
use serde_json::Value;

use super::socket::{Ask, segment};
use super::{Failure, show};

/// `countersign explain`
#[derive(Debug, Args)]
#[command(
    after_help = "The id is in the answer (request_id, X-Request-Id). The gateway remembers the last 1000 refusals of signatures until it stops; requests refused for other reasons, such as replayed ones, are not among them.\n\nWithout a gateway: countersign verify"
)]
pub struct ExplainArgs {
    /// The id of the request; without it the latest refusals are listed
    request_id: Option<String>,
    #[command(flatten)]
    ask: Ask,
}

const COLUMNS: &[show::Column] = &[
    ("REQUEST", |row| show::member(row, "request_id")),
    ("AT", |row| show::member(row, "at")),
    ("FROM", |row| show::member(row, "client_address")),
    ("KEY", |row| show::member(row, "key_id")),
    ("CODE", |row| show::member(row, "code")),
    ("METHOD", |row| show::member(row, "method")),
    ("TARGET", |row| show::member(row, "target")),
];

pub(super) fn run(arguments: &ExplainArgs) -> Result<String, Failure> {
    let gateway = arguments.ask.gateway()?;
    match &arguments.request_id {
        None => {
            let answer = gateway.read("/decisions?limit=50")?;
            let rows = answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
            Ok(arguments.ask.table(COLUMNS, rows, "No signature was refused since the gateway started."))
        }
        Some(id) => match gateway.find(&format!("/decisions/{}", segment(id)))? {
            Some(decision) => Ok(arguments.ask.said(&decision, words)),
            None => Err(Failure::Failed(format!(
                "{id} is not among the refusals that the gateway remembers\n  It keeps the last 1000 refusals of signatures, until it stops; fewer when they are large. A request that was refused for another\n  reason, such as replayed or address_not_allowed, is not kept: the code in its answer says what to do (docs/reference/codes.md)."
            ))),
        },
    }
}

/// What was judged, line by line, and what would make it verify.
fn words(decision: &Value) -> String {
    let member = |of: &Value, name: &str| show::member(of, name);
    let mut text = format!(
        "{} {}{}\nrefused: {}{}\nprofile {}, key {}\n",
        member(decision, "method"),
        member(decision, "host"),
        member(decision, "target"),
        member(decision, "code"),
        decision.get("detail").and_then(Value::as_str).map(|detail| format!(" ({detail})")).unwrap_or_default(),
        member(decision, "profile"),
        member(decision, "key_id"),
    );
    let Some(explanation) = decision.get("explanation") else { return text };
    match explanation.get("key").and_then(Value::as_str) {
        Some("unknown") => text.push_str("\nThere is no such key for this profile.\n"),
        Some("unread") => text.push_str("\nThe key cannot be read from this request.\n"),
        _ => {}
    }
    let hints = explanation.get("hints").and_then(Value::as_array).cloned().unwrap_or_default();
    for hint in &hints {
        let (words, fix) = (show::wrapped(&member(hint, "words"), ""), show::wrapped(&member(hint, "fix"), "  "));
        text.push_str(&format!("\n{words}\n{fix}\n"));
    }
    if let Some(string) = explanation.get("string_to_sign").and_then(Value::as_str) {
        text.push_str("\nThe string to sign, as this request gives it:\n\n");
        for line in string.split('\n') {
            text.push_str(&format!("  {}\n", line.escape_debug()));
        }
    }
    text
}
