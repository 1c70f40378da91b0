//! Two lists, or two values, that read the same are signed as one of them: profiles that an operator could write, and requests of
//! which one part was changed after signing.

use super::super::load::Constants;
use super::super::*;
use super::holes_of_collections::{ENCODED, EXTRA, Request, TIMED, TS, X_TS, lacks, load};

#[test]
fn a_suffix_that_was_dropped_is_not_signed() {
    let profile = load(TS, "{method}\n{path}\n{query | drop_suffix:'0'}\n{host}\n{ts}\n{body | sha256 | hex}", TIMED).unwrap();
    let signed = Request::get("/a?amount=1", &[X_TS]);
    assert_eq!(signed.judge(&profile), Ok(()));
    lacks(signed.to("/a?amount=10").judge_with_mac_of(&signed, &profile), "query");
}

#[test]
fn a_list_that_reads_as_another_is_not_signed() {
    let rest = format!("[[require]]\nequal = [\"extra.q[] | first\", \"query\"]\n{TIMED}");
    let with = |list: &str| {
        load(&format!("{TS}\n{EXTRA}"), &format!("{{method}}\n{{path}}\n{{host}}\n{{ts}}\n{{{list}}}\n{{body | sha256 | hex}}"), &rest)
            .unwrap()
    };
    for (list, one, other) in [
        ("extra.q[] | join:','", ("/a?id=1", "q=id=1,q=x"), ("/a?id=1,x", "q=\"id=1,x\"")),
        ("extra.q[] | join:''", ("/a?id=1", "q=id=1"), ("/a?id", "q=id,q=\"=1\"")),
        ("extra.q[] | join:'--'", ("/a?id", "q=id,q=-x"), ("/a?id-", "q=id-,q=x")),
        ("extra.q[] | sorted | join:','", ("/a?id=1", "q=id=1,q=id=2"), ("/a?id=2", "q=id=2,q=id=1")),
    ] {
        let profile = with(list);
        let of = |(target, extra): (&str, &str)| Request::get(target, &[X_TS, ("x-extra", extra)]);
        assert_eq!(of(one).judge(&profile), Ok(()), "{list}");
        lacks(of(other).judge_with_mac_of(&of(one), &profile), "query");
    }
}

#[test]
fn a_list_can_have_a_default() {
    let extra = "extra = { from = \"header:x-extra | params:','\", optional = true }";
    let rest = format!("[[require]]\nwhen = \"extra.q\"\nequal = [\"extra.q\", \"query\"]\n{TIMED}");
    let message = "{method}\n{path}\n{host}\n{ts}\n{extra.q[] | default:'x' | join:','}\n{body | sha256 | hex}";
    let profile = load(&format!("{TS}\n{extra}"), message, &rest).unwrap();
    let signed = Request::get("/a", &[X_TS]);
    assert_eq!(signed.judge(&profile), Ok(()));
    // Where one of the same text is there, it is not signed.
    lacks(signed.to("/a?x").with("x-extra", "q=x").judge_with_mac_of(&signed, &profile), "query");
    assert_eq!(signed.to("/a?y").with("x-extra", "q=y").judge(&profile), Ok(()));
}

#[test]
fn which_of_two_sources_gave_a_value_is_not_signed() {
    let rest = format!("[[require]]\nwhen = \"header:x-b\"\nequal = [\"header:x-b\", \"query\"]\n{TIMED}");
    let with = |value: &str, rest: &str| {
        let message = format!("{{method}}\n{{path}}\n{{host}}\n{{ts}}\n{{{value}}}\n{{body | sha256 | hex}}");
        load(&format!("{TS}\neither = {{ from = \"header:x-a | or:'header:x-b'\", optional = true }}"), &message, rest).unwrap()
    };
    let signed = Request::get("/a", &[X_TS, ("x-a", "id=1")]);
    for value in ["header:x-a | or:'header:x-b'", "either | optional"] {
        let profile = with(value, &rest);
        assert_eq!(signed.judge(&profile), Ok(()), "{value}");
        let moved = Request::get("/a?id=1", &[X_TS, ("x-b", "id=1")]);
        lacks(moved.judge_with_mac_of(&signed, &profile), "query");
    }
    // Nor is it that the first of them had none.
    let profile = with("header:x-a | or:'header:x-b'", &rest.replace("header:x-b", "header:x-a"));
    let signed_b = Request::get("/a", &[X_TS, ("x-b", "id=1")]);
    assert_eq!(signed_b.judge(&profile), Ok(()));
    let moved = Request::get("/a?id=1", &[X_TS, ("x-a", "id=1")]);
    lacks(moved.judge_with_mac_of(&signed_b, &profile), "query");
    // A query can be absent, and a host cannot.
    let profile = with("header:x-a | or:'query'", TIMED);
    assert_eq!(signed.judge(&profile), Ok(()));
    lacks(Request::get("/a?id=1", &[X_TS]).judge_with_mac_of(&signed, &profile), "query");
    let message = "{method}\n{target}\n{header:x-host | or:'host'}\n{ts}\n{body | sha256 | hex}";
    let profile = load(TS, message, TIMED).unwrap();
    assert_eq!(Request::get("/a", &[X_TS]).judge(&profile), Ok(()));
    lacks(Request::get("/a", &[X_TS, ("x-host", "api.example.com")]).judge(&profile), "host");
    // What is checked is signed as a field of its own.
    let timed = TIMED.replace("\"ts\"", "\"either\"");
    let profile = with("either", &timed);
    for name in ["x-a", "x-b"] {
        assert_eq!(Request::get("/a", &[X_TS, (name, "1764000000")]).judge(&profile), Ok(()), "{name}");
    }
}

#[test]
fn what_a_filter_makes_empty_is_skipped_and_not_signed() {
    let load = |from: &str, filters: &str| {
        let text = format!(
            "name = \"small\"\ntitle = \"Small\"\ndetect = [\"method\"]\nuncovered = [\"query\"]\n[fields]\nmac = \"header:x-mac\"\n{TS}\n\
             [collect.q]\nfrom = \"{from}\"\nskip_empty = true\nname = \"pct\"\nvalue = \"{filters}\"\nitem = \"{{name}}={{value}}\"\njoin = \"&\"\n\
             [mac]\nalgorithm = \"hmac-sha256\"\nmessage = \"{{method}}\\n{{path}}\\n{{host}}\\n{{ts}}\\n{{q}}\"\n\
             [[require]]\nwhen = \"query:b\"\nequal = [\"query:b\", \"body\"]\n{TIMED}"
        );
        Profile::load(&text, &Constants::new()).unwrap()
    };
    let signed = Request::new("POST", "/a?x=1", &[X_TS], "");
    for (from, filters, target, body) in [
        ("query", "replace:'-','' | pct", "/a?x=1&b=-", "-"),
        ("query", "trim | pct", "/a?x=1&b=%20", " "),
        // In a raw query a name can be written in other ways.
        ("raw_query", "replace:'-','' | pct", "/a?x=1&%62=-", "-"),
    ] {
        let profile = load(from, filters);
        assert_eq!(signed.judge(&profile), Ok(()));
        lacks(signed.to(target).holding(body).judge_with_mac_of(&signed, &profile), "body");
        let both = signed.to("/a?x=1&b=2").holding("2");
        assert_eq!(both.judge(&profile), Ok(()), "{from}");
    }
}

#[test]
fn one_empty_item_of_a_collection_reads_as_none() {
    let rest = format!("[collect.q]\nfrom = \"query\"\n{ENCODED}item_empty = \"{{name}}\"\n{TIMED}");
    let profile = load(TS, "{method}\n{path}\n{q}\n{host}\n{ts}\n{body | sha256 | hex}", &rest).unwrap();
    let signed = Request::get("/a", &[X_TS]);
    assert_eq!(signed.judge(&profile), Ok(()));
    lacks(signed.to("/a?=").judge_with_mac_of(&signed, &profile), "query");
    assert_eq!(signed.to("/a?a=&b").judge(&profile), Ok(()));
}
