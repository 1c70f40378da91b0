//! What the TOML reader complains about, in our words.

use countersign_core::nearest::nearest;

use crate::config_error::Finding;

/// Words in a key that make its value not fit for printing.
const SECRET_WORDS: [&str; 5] = ["key", "secret", "password", "token", "credential"];

/// How TOML is written.
const EXAMPLES: &str = "the file is TOML: key = \"text\", key = 3, key = true, [table], [[one of many]]";

/// Explains an error of the TOML reader.
pub(super) fn explain(text: &str, error: &toml::de::Error) -> Finding {
    let message = error.message();
    // serde has no other form for this than its sentence; a test with each kind of error holds it in place.
    if let Some((unknown, known)) = message.strip_prefix("unknown field ").and_then(|rest| rest.split_once(", ")) {
        return unknown_key(text, error, unknown.trim_matches('`'), &backticked(known));
    }
    let finding = Finding::error(error.span(), message);
    if let Some(missing) = message.strip_prefix("missing field ") {
        let missing = missing.trim_matches('`');
        return Finding { message: format!("{missing:?} is missing here"), ..finding }.help(format!("add a line: {missing} = ..."));
    }
    if message.ends_with("expected a sequence") {
        let help = "write [[listener]] and [[route]] with two brackets, and lists in brackets: [\"a\", \"b\"]";
        return Finding { message: "one was written where a list is expected".into(), ..finding }.help(help);
    }
    if let Some((found, expected)) = message.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected ")) {
        let expected = expected.replace("i64", "a whole number").replace("a boolean", "true or false");
        let expected = expected.replace("a string", "text in quotes");
        let found =
            found.split(' ').next().unwrap_or_default().replace("floating", "fraction").replace("map", "table").replace("sequence", "list");
        return Finding { message: format!("this is {}, not {expected}", article(&found)), ..finding }.help(format!("write {expected}"));
    }
    if error.span().is_some_and(|span| span.is_empty()) {
        return Finding { message: format!("something is missing here: {message}"), ..finding }.help(EXAMPLES);
    }
    if message == "duplicate key" {
        return Finding { message: "this was written before".into(), ..finding }.help("keep one of the two");
    }
    finding.help(EXAMPLES)
}

fn unknown_key(text: &str, error: &toml::de::Error, unknown: &str, known: &[&str]) -> Finding {
    let finding = Finding::error(error.span(), format!("there is no key {unknown:?} here"));
    let lower = unknown.to_lowercase();
    // A secret that somebody wrote into the file must not go on to the terminal and from there into a log.
    let is_secret = SECRET_WORDS.iter().any(|word| lower.contains(word));
    let finding = match error.span() {
        Some(span) if is_secret => {
            let line_end = text.get(span.end..).and_then(|rest| rest.find('\n')).map_or(text.len(), |newline| span.end + newline);
            finding.hiding(span.end..line_end)
        }
        _ => finding,
    };
    match nearest(unknown, known.iter().copied()) {
        Some(near) => finding.help(format!("did you mean {near:?}?")),
        None if is_secret => finding.help("secrets are not written in this file: see master_key_file and COUNTERSIGN_MASTER_KEY_FILE"),
        None => finding.help(format!("these are known: {}", known.join(", "))),
    }
}

/// The words between backticks.
fn backticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn article(found: &str) -> String {
    let article = if found.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {found}")
}
