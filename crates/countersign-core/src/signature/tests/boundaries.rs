//! Values that could lend each other bytes, and parts that could be left out: which profiles are refused for it.

use super::super::built_in::BUILT_IN;
use super::super::coverage::Parts;
use super::super::load::{BadProfile, Constants};
use super::super::*;

/// A small profile that leaves these uncovered. `fields` and `rest` are TOML.
pub(super) fn small(uncovered: &str, fields: &str, rest: &str) -> Result<Profile, BadProfile> {
    let text = format!(
        r#"
name = "small"
title = "Small"
detect = ["header:x-mac"]
uncovered = [{uncovered}]
[fields]
mac = "header:x-mac"
{fields}
{rest}
[[sign]]
header = "X-Mac"
value = "{{mac}}"
"#
    );
    Profile::load(&text, &Constants::new())
}

pub(super) const ALL: &str = r#""method", "path", "query", "host", "body", "time""#;
const ALL_AND_BOUNDARY: &str = r#""method", "path", "query", "host", "body", "time", "boundary""#;
pub(super) const MAC: &str = "[mac]\nalgorithm = \"hmac-sha256\"\n";

#[test]
fn what_can_be_cut_in_two_ways_is_a_named_hole() {
    let mut wrong = Vec::new();
    for (name, text) in BUILT_IN {
        let says = text.lines().any(|line| line == "undelimited = true");
        let names = text.lines().any(|line| line.starts_with("uncovered") && line.contains("\"boundary\""));
        if says != names {
            wrong.push(*name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    let text = |uncovered: &str, mac: &str| {
        format!(
            r#"
name = "small"
title = "Small"
detect = ["header:x-mac"]
uncovered = ["method", "path", "query", "host", "body", "time"{uncovered}]
[fields]
mac = "header:x-mac"
a = "header:x-a"
b = "header:x-b"
[mac]
algorithm = "hmac-sha256"
{mac}"#
        )
    };
    let load = |uncovered: &str, mac: &str| Profile::load(&text(uncovered, mac), &Constants::new());
    let cut = "undelimited = true\nmessage = \"{a}{b}\"\n";
    assert!(load("", cut).unwrap_err().message.contains("leaves a hole"));
    assert!(load(", \"boundary\"", cut).unwrap().uncovered().contains(Parts::BOUNDARY));
    assert!(load(", \"boundary\"", "message = \"{a}.{method}\"\n").unwrap_err().message.contains("without undelimited"));
}

#[test]
fn what_is_checked_never_gives_bytes_to_its_neighbour() {
    let load = |nonce: &str, message: &str| {
        let fields = format!("nonce = {{ from = \"header:x-nonce\", match = '{nonce}' }}\n[let]\ninner = \"({{nonce}})\"");
        small(ALL_AND_BOUNDARY, &fields, &format!("{MAC}undelimited = true\nmessage = \"{message}\"\n[replay]\nonce = [\"nonce\"]"))
    };
    let refused = |nonce: &str, message: &str| load(nonce, message).unwrap_err().message.contains("could move");
    assert!(refused("[0-9]{1,9}", "{path}{nonce}"));
    assert!(refused("[0-9]{1,9}", "{nonce}{body}"));
    assert!(refused("[(0-9)]{1,9}", "{path}{inner}{body}"));
    assert!(load("[0-9]{9}", "{path}{nonce}{body}").is_ok());
    // Its end shows, or what begins behind it does.
    assert!(load("[0-9]{1,9};", "{nonce}{query}{body}").is_ok());
    assert!(load("[0-9]{1,9}", "{nonce}{target}{body}").is_ok());
    assert!(load("[0-9]{1,9}", "{query}{body}\\n{nonce}").is_ok());
}

#[test]
fn a_value_could_end_in_what_may_be_left_out() {
    let load = |message: &str| small(ALL, "", &format!("{MAC}message = {message}"));
    let cut = |message: &str| load(message).is_err_and(|bad| bad.message.contains("side by side"));
    assert!(cut(r#"["{path}", { text = "{body | md5 | hex}", when = "body" }]"#));
    assert!(cut(r#"["{path}", { text = "x", when = "body" }]"#));
    assert!(load(r#"["{path}", { text = "\n{body | md5 | hex}", when = "body" }]"#).is_ok());
    assert!(load(r#"["{path}\n", { text = "{body | md5 | hex}", when = "body" }]"#).is_ok());
}

#[test]
fn it_shows_whether_a_part_is_there() {
    let load = |message: &str| small(ALL, "", &format!("{MAC}message = {message}\n"));
    let cut = |message: &str| load(message).is_err_and(|bad| bad.message.contains("side by side"));
    let note = r#"{ text = "{header:x-note}\n", when = "header:x-note" }"#;
    assert!(cut(&format!(r#"["{{target}}\n", {note}, "{{body}}"]"#)));
    assert!(cut(&format!(r#"["{{target}}\n", {note}, "{{header:x-other}}\n{{body}}"]"#)));
    assert!(cut(r#"["{path}", { text = "\n{header:x-note}", when = "header:x-note" }, "\n{body}"]"#));
    // It is followed by nothing, by what cannot begin so, or by what is read from behind.
    assert!(load(&format!(r#"["{{target}}\n", {note}]"#)).is_ok());
    assert!(load(r#"["{path}", { text = "?{header:x-note}", when = "header:x-note" }, "\n{body}"]"#).is_ok());
    assert!(load(&format!(r#"["{{target}}\n", {note}, "{{host}}"]"#)).is_ok());
    assert!(load(&format!(r#"["{{target}}\n", {note}, "{{body | sha256 | hex}}"]"#)).is_ok());
    // Two parts of which one is there: one of them must not be read as the other.
    let either = |body: &str| {
        format!(
            r#"["{{target}}\n", {{ text = "n:{{header:x-note}}", when = "header:x-note" }}, {{ text = "{body}", unless = "header:x-note" }}]"#
        )
    };
    assert!(cut(&either("{body}")));
    assert!(load(&either("b:{body}")).is_ok());
}

#[test]
fn a_message_is_not_taken_for_its_alternative() {
    let load = |uncovered: &str, fields: &str, mac: &str| small(uncovered, fields, &format!("{MAC}{mac}"));
    let alike = "message = \"{target}\\n{header:x-note | optional}\\n{body}\"\nalternatives = [\"{target}\\n{body}\"]\n";
    assert!(load(ALL, "", alike).unwrap_err().message.contains("could be the same text"));
    assert!(load(ALL_AND_BOUNDARY, "", &format!("undelimited = true\n{alike}")).is_ok());
    let told = |one: &str, other: &str| {
        let mac = format!("message = \"{one}\"\nalternatives = [\"{other}\"]\n");
        load(ALL, "", &mac).is_ok()
    };
    assert!(told("v2\\n{target}\\n{header:x-note}\\n{body}", "v1\\n{target}\\n{body}"));
    assert!(told("{target}\\n{header:x-note}\\n2", "{target}\\n1"));
    assert!(!told("v\\n{target}\\n{header:x-note}\\n{body}", "v\\n{target}\\n{body}"));
    // What is checked stands where it stands in all of them, or the messages cannot be taken for each other.
    let checked = |one: &str, other: &str| {
        let mac = format!("undelimited = true\nmessage = \"{one}\"\nalternatives = [\"{other}\"]\n[replay]\nonce = [\"nonce\"]\n");
        load(ALL_AND_BOUNDARY, "nonce = { from = \"header:x-nonce\", match = '[0-9]{9}' }", &mac)
    };
    assert!(checked("{nonce}\\n{target}\\n{body}", "{nonce}\\n{target}").is_ok());
    assert!(checked("{target}\\n{nonce}\\n{body}", "{target}\\n{body}\\n{nonce}").unwrap_err().message.contains("could move"));
}

#[test]
fn a_counter_never_moves() {
    let load = |from: &str, message: &str| {
        let fields = "n = { from = \"header:x-n\", match = '[0-9]{13}' }\nany = \"header:x-any\"";
        let rest = format!(
            "[let]\nnum = \"{{n}}\"\nlong = \"{{any}}\"\n{MAC}undelimited = true\nmessage = \"{message}\"\n[replay]\ncounter = \"{from}\"\n"
        );
        small(ALL_AND_BOUNDARY, fields, &rest)
    };
    let moves = |from: &str, message: &str| load(from, message).is_err_and(|bad| bad.message.contains("could move"));
    assert!(moves("n", "{method}{target}{n}{body | optional}"));
    assert!(moves("num", "{method}{target}{num}{body | optional}"));
    assert!(moves("any", "{target}\\n{any}{body}"));
    // A name for a value is no hiding place, and neither is what may stand in its place.
    assert!(moves("long", "{target}\\n{long}{body}"));
    assert!(moves("header:x-other | or:'any'", "{target}\\n{any}{header:x-other | optional}{body}"));
    assert!(load("n", "{method}{n}{target}{body}").is_ok());
    assert!(load("n", "{target}{body}{n}").is_ok());
    assert!(load("n", "{target}\\n{n}{body}").is_ok());
}

#[test]
fn a_value_of_fixed_length_and_items_of_every_form_give_no_bytes_away() {
    let fields = "to = { from = \"header:x-to\", match = '[a-z]{1,8}' }\ncode = { from = \"header:x-code\", match = '[a-z:]{3}' }\n\
                  tag = { from = \"header:x-tag\", match = '[0-9]{3}' }";
    let load = |message: &str| small(ALL, fields, &format!("{MAC}message = \"{message}\"\n"));
    assert!(load("{to}{code}:{body}").unwrap_err().message.contains("side by side"));
    assert!(load("{to}{code};{body}").is_ok());
    // The first digit ends it.
    assert!(load("{to}{tag}{body}").is_ok());
    let collect = |collection: &str| {
        let rest = format!("[collect.l]\nfrom = \"headers\"\n{collection}\n{MAC}message = \"{{target}}\\n{{l}}\"\n");
        small(ALL, "", &rest)
    };
    let cut = |collection: &str| {
        collect(collection).is_err_and(|bad| bad.message.contains("cut in two ways") || bad.message.contains("side by side"))
    };
    let listed = "names = \"header:x-list | split:' '\"\nitem = \"{name}: {value}\"\njoin = \"\\n\"\npseudo = { \"(p)\" = ";
    assert!(cut(&format!("{listed}\"(p): {{header:x-a}}{{header:x-b}}\" }}")));
    assert!(cut(&format!("{listed}\"(p): {{body}}\" }}")));
    assert!(collect(&format!("{listed}\"(p): {{header:x-a}}\" }}")).is_ok());
    assert!(cut("prefix = [\"x-m-\"]\nitem = \"{name}:{value}\\n\"\nitem_empty = \"{name}\""));
    assert!(collect("prefix = [\"x-m-\"]\nitem = \"{name}:{value}\\n\"\nitem_empty = \"{name}\\n\"").is_ok());
}
