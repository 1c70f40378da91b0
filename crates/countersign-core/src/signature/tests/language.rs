//! The language of profiles, by small profiles and whole requests.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::load::{BadProfile, Constants};
use super::super::*;
use crate::now::UnixMillis;
use crate::request_view::Scheme;
use crate::secret::SecretText;

const SECRET: &str = "a secret of some length";

/// A profile for a body-less request at a fixed time, with `rest` after its fields and `message` as its string to sign.
fn small(message: &str, rest: &str) -> Result<Profile, BadProfile> {
    let text = format!(
        r#"
name = "small"
title = "Small"
source = "a test"
detect = ["header:x-mac"]
uncovered = ["method", "path", "query", "host", "body", "time"]
[fields]
mac = "header:x-mac"
a = {{ from = "header:x-a", optional = true }}
b = {{ from = "header:x-b", optional = true }}
[mac]
algorithm = "hmac-sha256"
message = {message}
{rest}"#
    );
    Profile::load(&text, &Constants::new())
}

/// What a profile says of a GET.
fn trace(profile: &Profile, target: &str, headers: &[(&str, &str)]) -> Trace {
    let mut map = HeaderMap::new();
    let mac = ("x-mac", "0000000000000000000000000000000000000000000000000000000000000000");
    for (name, value) in headers.iter().chain([&mac]) {
        map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let head = Head { method: "GET", scheme: Scheme::Https, host: "api.example.com", target, headers: &map };
    let secret = LiveSecret::of_any_length(profile, &SecretText::new(SECRET.to_owned())).unwrap();
    profile.find_fields(head).unwrap().unwrap().trace(Body::Empty, &[secret], UnixMillis::from_seconds(0))
}

fn string_to_sign(trace: &Trace) -> &str {
    std::str::from_utf8(&trace.strings_to_sign[0]).unwrap()
}

#[test]
fn a_header_never_stands_in_for_a_parameter_that_is_listed() {
    let rest = r#"
[constants]
listed = "acl,tagging"
[collect.listed]
from = "query"
name = "pct"
value = "pct"
names = "const:listed | split:','"
missing = "skip"
item = "{name}={value}"
join = "&"
"#;
    let profile = small(r#""{listed}""#, rest).unwrap();
    let headers = [("acl", "from a header"), ("tagging", "too")];
    assert_eq!(string_to_sign(&trace(&profile, "/", &headers)), "");
    assert_eq!(string_to_sign(&trace(&profile, "/?acl=1", &headers)), "acl=1");
}

#[test]
fn a_list_covers_what_it_lists_and_lists_it_once() {
    let rest = r#"
[collect.listed]
from = "query"
name = "pct"
value = "pct"
names = "a | split:','"
item = "{name}={value}"
join = "&"
"#;
    let profile = small(r#""{listed}""#, rest).unwrap();
    let all = trace(&profile, "/?x=1&y=2", &[("x-a", "x,y")]);
    assert!(all.covered.contains(&"query".to_owned()), "{:?}", all.covered);
    let some = trace(&profile, "/?x=1&y=2", &[("x-a", "x")]);
    assert_eq!(string_to_sign(&some), "x=1");
    assert!(!some.covered.contains(&"query".to_owned()), "{:?}", some.covered);
    // Written as often as it is listed, a short request would make a long text.
    let twice = trace(&profile, "/?x=1&y=2", &[("x-a", "x,x")]);
    assert!(twice.judged.unwrap_err().to_string().contains("listed twice"));
}

#[test]
fn the_authority_stands_in_for_the_host_header_that_http_2_lacks() {
    let listed = "[collect.headers]\nfrom = \"headers\"\nnames = \"a | split:';'\"\nitem = \"{name}:{value}\\n\"\n";
    let all = "[collect.headers]\nfrom = \"headers\"\nprefix = [\"host\"]\nitem = \"{name}:{value}\\n\"\n";
    for rest in [listed, all] {
        let profile = small(r#""{headers}""#, rest).unwrap();
        let trace_2 = trace(&profile, "/", &[("x-a", "host")]);
        assert_eq!(string_to_sign(&trace_2), "host:api.example.com\n");
        assert!(trace_2.covered.contains(&"host".to_owned()), "{:?}", trace_2.covered);
        let trace_1 = trace(&profile, "/", &[("x-a", "host"), ("host", "API.example.com:443")]);
        assert_eq!(string_to_sign(&trace_1), "host:API.example.com:443\n");
    }
}

#[test]
fn how_often_a_value_comes_is_not_signed_in_a_unique_list() {
    let rest = |repeated: &str| {
        format!(
            "[collect.parameters]\nfrom = \"query\"\nrepeated = \"{repeated}\"\nname = \"pct\"\nvalue = \"pct\"\nitem = \"{{name}}={{value}};\"\n"
        )
    };
    let profile = small(r#""{parameters}""#, &rest("unique")).unwrap();
    let twice = trace(&profile, "/?a=2&a=1&a=2", &[]);
    assert_eq!(string_to_sign(&twice), "a=1;a=2;");
    assert!(!twice.covered.contains(&"query".to_owned()), "{:?}", twice.covered);
    let once = trace(&profile, "/?a=2&a=1", &[]);
    assert!(once.covered.contains(&"query".to_owned()), "{:?}", once.covered);
    let profile = small(r#""{parameters}""#, &rest("first")).unwrap();
    let cut = trace(&profile, "/?a=2&a=1", &[]);
    assert_eq!(string_to_sign(&cut), "a=2;");
    assert!(!cut.covered.contains(&"query".to_owned()), "{:?}", cut.covered);
}

#[test]
fn two_values_with_nothing_between_them_do_not_load() {
    let loads = |message: &str| match small(message, "") {
        Ok(_) => true,
        Err(bad) => {
            assert!(bad.message.contains("side by side"), "{bad}");
            false
        }
    };
    assert!(loads(r#""{a}\n{b}""#));
    assert!(!loads(r#""{a}{b}""#));
    // A path ends where a query begins.
    assert!(loads(r#"["{method}\n{path}", { text = "?{query}", when = "query" }, "\n{b}"]"#));
    // Of two answers to one question only one is there; of two questions, both may be.
    assert!(loads(r#"["{method}\n", { text = "a{a}", when = "b" }, { text = "b{b}", unless = "b" }, "\n{path}"]"#));
    assert!(loads(r#"["{method}\n", { text = "{a}", when = "b" }, { text = "x", unless = "b" }, "\n{path}"]"#));
    // The one could be read as the other.
    assert!(!loads(r#"["{method}\n", { text = "{a}", when = "b" }, { text = "{b}", unless = "b" }, "\n{path}"]"#));
    assert!(!loads(r#"["{method}\n", { text = "{a}", when = "b" }, { text = "{b}", when = "b" }, "\n{path}"]"#));
    assert!(!loads(r#"["{method}\n", { text = "{a}", when = "b" }, { text = "{b}", unless = "a" }, "\n{path}"]"#));
    // What either leaves open is open behind both.
    assert!(!loads(r#"["{method}\n", { text = "{a}", when = "b" }, { text = "x", unless = "b" }, "{path}"]"#));
    // What may have been left out does not end what was open before it, nor does it hide what it opened itself.
    assert!(!loads(r#"["{a}", { text = "\n", when = "b" }, "{path}"]"#));
    assert!(!loads(r#"["{method}/", { text = "\n{a}", when = "b" }, "/{path}"]"#));
}

#[test]
fn items_that_can_be_cut_in_two_ways_do_not_load() {
    let loads = |from: &str, filters: &str, item: &str, join: &str| {
        let rest = format!("[collect.c]\nfrom = \"{from}\"\n{filters}item = \"{item}\"\njoin = \"{join}\"\n");
        match small(r#""{c}""#, &rest) {
            Ok(_) => true,
            Err(bad) => {
                assert!(bad.message.contains("items of a collection"), "{bad}");
                false
            }
        }
    };
    let encoded = "name = \"pct\"\nvalue = \"pct\"\n";
    assert!(loads("query", encoded, "{name}={value}", "&"));
    // Decoded, a value can hold what separates it from the next.
    assert!(!loads("query", "", "{name}={value}", "&"));
    assert!(!loads("query", "name = \"pct\"\n", "{name}={value}", "&"));
    assert!(!loads("query", encoded, "{name}{value}", "&"));
    assert!(!loads("query", encoded, "{name}={value}", ""));
    // As sent, it cannot.
    assert!(loads("raw_query", "", "{name}={value}", "&"));
    assert!(loads("raw_query", "", "{pair}", "&"));
    assert!(!loads("raw_query", "", "{pair}", ";"));
    // No header holds a line feed.
    assert!(loads("headers", "", "{name}:{value}", "\\n"));
    assert!(!loads("headers", "", "{name}:{value}", ";"));
    assert!(loads("headers", "", "{name}:{value}\\n", ""));
}

#[test]
fn what_grows_without_bounds_does_not_load() {
    let more_than = |bad: Result<Profile, BadProfile>, pieces: &str| {
        let bad = bad.unwrap_err();
        assert!(bad.message.contains(pieces), "{bad}");
        assert_ne!(bad.at, 0..0);
    };
    // Each let reads the one above it twelve times.
    let lets = |written: &dyn Fn(usize) -> String| {
        let lines: Vec<_> = (1..=8).map(|i| format!("l{i} = {}\n", written(i - 1))).collect();
        format!("[let]\nl0 = \"{{a | hex}}\"\n{}", lines.concat())
    };
    let times = |piece: String| piece.repeat(12);
    more_than(small(r#""{l8}""#, &lets(&|i| format!("\"{}\"", times(format!("{{l{i} | sha256 | hex}}"))))), "1024 pieces");
    more_than(small(r#""{l8}""#, &lets(&|i| format!("\"{}\"", times(format!("{{b | or:'l{i}' | sha256 | hex}}"))))), "1024 pieces");
    more_than(small(r#""{l8}""#, &lets(&|i| format!("[{}]", times(format!("{{ text = \"x\", when = \"l{i}\" }},"))))), "1024 pieces");
    let collections: String =
        (1..=3).map(|i| format!("[collect.c{i}]\nfrom = \"query\"\nname = \"pct\"\nitem = \"{{name}}={{c{}}};\"\n", i - 1)).collect();
    let first = "[collect.c0]\nfrom = \"query\"\nname = \"pct\"\nitem = \"{name};\"\n";
    more_than(small(r#""{c3}""#, &format!("{first}{collections}")), "1024 pieces");
    more_than(small(&format!("[{}]", "\"x\", ".repeat(65)), ""), "64 pieces");
    // As much as anybody writes is well below that.
    assert!(small(&format!("[{}]", "\"x\", ".repeat(64)), "").is_ok());
    assert!(small(r#""{l1}""#, "[let]\nl0 = \"{a | hex}\"\nl1 = \"{l0 | hex};{l0 | hex}\"\n").is_ok());
}

#[test]
fn a_name_that_could_never_be_read_does_not_load() {
    for name in
        ["method", "scheme", "host", "host_name", "port", "target", "path", "query", "url", "body", "secret", "'a:b'", "'a b'", "''"]
    {
        for rest in [
            format!("[let]\n{name} = \"x\"\n"),
            format!("[collect.{name}]\nfrom = \"query\"\nname = \"pct\"\nitem = \"{{name}};\"\n"),
            format!("[[sign]]\nlet = \"{}\"\nvalue = \"x\"\n", name.trim_matches('\'')),
        ] {
            let bad = small(r#""{a}""#, &rest).unwrap_err();
            assert!(bad.message.contains("could never be read"), "{rest}: {bad}");
        }
        let text = format!(
            "name = \"small\"\ntitle = \"Small\"\ndetect = [\"header:x-mac\"]\n[fields]\nmac = \"header:x-mac\"\n{name} = \"header:x-a\"\n\
             [mac]\nalgorithm = \"hmac-sha256\"\nmessage = \"x\"\n"
        );
        let bad = Profile::load(&text, &Constants::new()).unwrap_err();
        assert!(bad.message.contains("could never be read"), "{name}: {bad}");
    }
}

#[test]
fn what_could_only_ever_refuse_does_not_load() {
    let load = |fields: &str, rest: &str| {
        let text = format!(
            "name = \"small\"\ntitle = \"Small\"\ndetect = [\"header:x-mac\"]\nuncovered = [\"query\"]\n[fields]\nmac = \"header:x-mac\"\n\
             ts = \"header:x-ts\"\n{fields}\n[mac]\nalgorithm = \"hmac-sha256\"\n\
             message = \"{{method}}\\n{{path}}\\n{{host}}\\n{{ts}}\\n{{body}}\"\n{rest}"
        );
        Profile::load(&text, &Constants::new())
    };
    let timed = "[time]\nat = \"ts\"\nformat = \"unix\"\n";
    let bad = load("", "[time]\nat = \"ts\"\nexpires_format = \"unix\"\n").unwrap_err();
    assert!(bad.message.contains("at has no format"), "{bad}");
    assert!(load("", "[time]\nexpires = \"ts\"\nexpires_format = \"unix\"\n").is_ok());
    for key_id in ["key_id = \"body | json:'/k'\"", "key_id = \"form:k\"", "sent = \"form:k\"\nkey_id = \"sent\""] {
        let bad = load(key_id, timed).unwrap_err();
        assert!(bad.message.contains("key_id is read from the body"), "{key_id}: {bad}");
    }
    assert!(load("key_id = \"header:x-key\"", timed).is_ok());
}
