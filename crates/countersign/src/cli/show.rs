//! Answers on a terminal: tables for people, JSON for programs.

use std::io::IsTerminal as _;

use serde_json::Value;

/// One column of a table: its heading, and how its text is found in an item.
pub type Column = (&'static str, fn(&Value) -> String);

/// Prints `items` as a table, or what to do when there are none.
pub fn table(columns: &[Column], items: &[Value], none: &str) -> String {
    if items.is_empty() {
        return format!("{none}\n");
    }
    let headings: Vec<String> = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
    let rows: Vec<Vec<String>> = items.iter().map(|item| columns.iter().map(|(_, cell)| cell(item)).collect()).collect();
    grid(&headings, &rows)
}

/// Rows under headings, each column as wide as its longest text.
pub fn grid(headings: &[String], rows: &[Vec<String>]) -> String {
    let style = Style::of_stdout();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect()).collect();
    let widths: Vec<usize> = headings
        .iter()
        .enumerate()
        .map(|(i, heading)| {
            rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).fold(heading.chars().count(), usize::max)
        })
        .collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut text = format!("{}{}{}\n", style.bold, line(headings), style.plain);
    for row in &rows {
        text.push_str(&line(row));
        text.push('\n');
    }
    text
}

/// Prints one thing, a member a line.
pub fn thing(item: &Value) -> String {
    let Some(members) = item.as_object() else { return format!("{item}\n") };
    let width = members.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    let style = Style::of_stdout();
    members.iter().map(|(name, value)| format!("{}{name:width$}{}  {}\n", style.dim, style.plain, visible(&plain(value)))).collect()
}

/// JSON for programs.
pub fn json(value: &Value) -> String {
    format!("{value:#}\n")
}

/// The text of a member; `-` when there is none.
pub fn member(item: &Value, name: &str) -> String {
    item.get(name).map_or_else(|| "-".into(), plain)
}

/// A long sentence in lines of at most 100 characters, each with the indent in front. What stands between backticks is one word.
pub fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = String::new();
    let (mut length, mut quoted) = (0, false);
    let mut word = String::new();
    let mut add = |word: &str| {
        let needed = word.chars().count();
        if length > 0 && length + 1 + needed > 100 {
            lines.push('\n');
            length = 0;
        }
        lines.push_str(if length == 0 { indent } else { " " });
        lines.push_str(word);
        length += needed + usize::from(length > 0);
    };
    for c in text.chars() {
        match c {
            ' ' if !quoted => add(&std::mem::take(&mut word)),
            c => {
                quoted ^= c == '`';
                word.push(c);
            }
        }
    }
    add(&word);
    lines
}

/// Whether something works, in words.
pub fn state(item: &Value) -> String {
    if item.get("enabled").and_then(Value::as_bool).unwrap_or(true) { "yes" } else { "no" }.into()
}

/// A value as people write it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) if text.is_empty() => "-".into(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) if items.iter().all(|item| !item.is_object()) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// The text without what a terminal would obey: notes and names come from others.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_direction(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Marks that change the direction of text, and so what a line seems to say.
const fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Marks for people, left out where nobody looks.
pub struct Style {
    /// Begins what stands out.
    pub bold: &'static str,
    /// Begins what stands back.
    pub dim: &'static str,
    /// Begins what is good.
    pub good: &'static str,
    /// Begins what is not.
    pub bad: &'static str,
    /// Ends them all.
    pub plain: &'static str,
}

impl Style {
    /// Marks on a terminal, unless `NO_COLOR` is set.
    pub fn of_stdout() -> Self {
        if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()) {
            Self { bold: "\x1b[1m", dim: "\x1b[2m", good: "\x1b[1;32m", bad: "\x1b[1;31m", plain: "\x1b[0m" }
        } else {
            Self { bold: "", dim: "", good: "", bad: "", plain: "" }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_wrote_cannot_steer_the_terminal() {
        let text = table(&[("NOTE", |item| member(item, "note"))], &[json!({"note": "a\u{1b}[2Jb\u{202e}c\n"})], "");
        assert_eq!(text, "NOTE\na\u{fffd}[2Jb\u{fffd}c\u{fffd}\n");
    }

    #[test]
    fn long_sentences_are_wrapped_and_quotes_kept_whole() {
        let (short, long) = ("a few words", format!("{} `a quote with spaces` end", "word ".repeat(18).trim_end()));
        assert_eq!(wrapped(short, "  "), "  a few words");
        assert_eq!(wrapped(&long, "> "), format!("> {}\n> `a quote with spaces` end", "word ".repeat(18).trim_end()));
        assert_eq!(wrapped(&"x".repeat(300), ""), "x".repeat(300));
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_text() {
        let columns: [Column; 2] = [("NAME", |item| member(item, "name")), ("ON", state)];
        let items = [json!({"name": "acme-limited"}), json!({"name": "b", "enabled": false})];
        assert_eq!(table(&columns, &items, ""), "NAME          ON\nacme-limited  yes\nb             no\n");
        assert_eq!(table(&columns, &[], "None yet."), "None yet.\n");
    }
}
