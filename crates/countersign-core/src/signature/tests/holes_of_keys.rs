//! Keys that anybody could make, values that read the same in two ways, and what a collection takes for something else: profiles
//! that an operator could write, and requests of which one part was changed after signing.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderName};

use super::super::load::Constants;
use super::super::*;
use super::holes_of_collections::{ENCODED, EXTRA, FORM, NOW, Request, SECRET, TIMED, TS, X_TS, lacks, load, refused};
use crate::now::UnixMillis;
use crate::request_view::Scheme;
use crate::secret::SecretText;

const ALL: &str = "{method}\n{target}\n{host}\n{ts}\n{body | sha256 | hex}";

fn hex(mac: &[u8]) -> String {
    mac.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

#[test]
fn a_key_is_made_of_a_secret() {
    for material in ["AWS4secret-of-mine", "{header:x-salt}"] {
        let rest = format!("{TIMED}[key]\nmaterial = \"{material}\"\n");
        refused(load(TS, &format!("{ALL}\n{{header:x-salt | optional}}"), &rest), "nothing secret");
    }
    assert!(load(TS, ALL, &format!("{TIMED}[key]\nmaterial = \"AWS4{{secret}}\"\n")).is_ok());
    // Nor of something that stands in for it, or of nothing.
    for material in [
        r#""{attribute:token | default:'sixteen-bytes-is'}""#,
        r#"["acme-signing-key:", { text = "{secret}", when = "attribute:token" }]"#,
        r#""{attribute:token | optional}&{header:x-s | optional}""#,
        r#""{attribute:token | or:'header:x-k'}""#,
    ] {
        refused(load(TS, ALL, &format!("{TIMED}[key]\nattributes = [\"token\"]\nmaterial = {material}\n")), "nothing secret");
    }
    // Nor of what is there when the secret has another form.
    refused(
        load(TS, ALL, &format!("{TIMED}[key]\nmaterial = \"{{secret | strip_prefix:'whsec_' | default:'sixteen-bytes-is'}}\"\n")),
        "nothing secret",
    );
    assert!(load(TS, ALL, &format!("{TIMED}[key]\nmaterial = \"{{secret | strip_prefix:'whsec_' | or:'secret'}}\"\n")).is_ok());
    let either = r#"[{ text = "{secret}", when = "attribute:token" }, { text = "{secret | pct}", unless = "attribute:token" }]"#;
    assert!(load(TS, ALL, &format!("{TIMED}[key]\nattributes = [\"token\"]\nmaterial = {either}\n")).is_ok());
    // A secret in the string to sign has to be in each of them.
    let constant = "[key]\nmaterial = \"a-constant-of-sixteen\"\n";
    refused(load(TS, &format!("{ALL}\n{{header:x-a | or:'secret'}}"), &format!("{TIMED}{constant}")), "nothing secret");
    let alternatives = format!("alternatives = [\"\"\"v2\n{ALL}\"\"\"]\n{TIMED}{constant}");
    refused(load(TS, &format!("{ALL}\n{{secret}}"), &alternatives), "nothing secret");
    assert!(load(TS, &format!("{ALL}\n{{secret}}"), &format!("{TIMED}{constant}")).is_ok());
}

#[test]
fn a_key_of_message_signatures_is_made_of_a_secret() {
    let load = |material: &str| {
        let text = format!(
            "name = \"small\"\ntitle = \"Small\"\ndetect = [\"header:signature\"]\nuncovered = []\n[fields]\n\
             [mac]\nalgorithm = \"hmac-sha256\"\nbuiltin = \"rfc9421\"\n[key]\nmaterial = \"{material}\"\n[time]\nat = \"created\"\nformat = \"unix\"\n"
        );
        Profile::load(&text, &Constants::new())
    };
    refused(load("a-constant-of-sixteen"), "nothing secret");
    assert!(load("{secret}").is_ok());
}

#[test]
fn what_a_key_is_made_of_is_not_signed_by_it() {
    // A zero byte at the end makes the same key.
    for material in ["{secret}.{body}", "{secret}.{ts}"] {
        let rest = format!("{TIMED}[key]\nmaterial = \"{material}\"\n");
        refused(load(TS, "{method}\n{target}\n{host}", &rest), "not signed");
    }
    assert!(load(TS, ALL, &format!("{TIMED}[key]\nmaterial = \"{{secret}}{{header:x-region}}\"\n")).is_ok());
    let rest = format!("{TIMED}[key]\nmaterial = \"{{secret}}.{{body}}\"\n");
    let profile = load(TS, "{method}\n{target}\n{host}\n{ts}\n{body}", &rest).unwrap();
    let sent = Request::new("POST", "/a", &[X_TS], "abc");
    let text = format!("POST\n/a\napi.example.com\n{NOW}\nabc");
    let mac = hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, format!("{SECRET}.abc").as_bytes()), text.as_bytes()).as_ref());
    assert_eq!(sent.trace(&profile, &mac, NOW).judged, Ok(()));
    assert!(sent.holding("abc\0").trace(&profile, &mac, NOW).judged.is_err());
}

#[test]
fn no_mac_is_the_key_of_a_longer_list() {
    let fields = format!("{TS}\nscope = \"header:x-scope\"");
    let rest = format!("{TIMED}[key]\nderive = [\"each:scope | split:','\"]\n");
    refused(load(&fields, "{method} {target} {host} {ts} {body | sha256 | hex}", &rest), "could be a value of the list");
    // No header holds a line feed.
    assert!(load(&fields, ALL, &rest).is_ok());
}

#[test]
fn a_header_does_not_take_the_place_of_a_parameter_or_a_member() {
    let fields = "mac = \"query:sign\"\nts = \"header:x-ts\"";
    let of =
        |from: &str| format!("[collect.all]\nfrom = [\"headers\", \"{from}\"]\nexclude = [\"sign\"]\nsort = \"name\"\n{ENCODED}{TIMED}");
    refused(load(fields, "{method}\n{path}\n{host}\n{ts}\n{all}", &of("query")), "could move");
    refused(load(&format!("{TS}\n{EXTRA}"), "{method}\n{target}\n{host}\n{ts}\n{all}", &of("extra")), "could move");
}

#[test]
fn names_are_told_apart_before_they_are_filtered() {
    let with = |name: &str| {
        format!(
            "[collect.all]\nfrom = [\"query\", \"own\"]\nname = \"{name}\"\nvalue = \"pct\"\nitem = \"{{name}}={{value}}\"\njoin = \"&\"\n\
             sort = \"name\"\n[collect.elsewhere]\nfrom = \"query\"\nprefix = [\"own_\"]\nname = \"pct\"\nitem = \"{{name}}\"\njoin = \"&\"\n\
             [[require]]\nabsent = \"extra | without:'realm','own_*'\"\n[[require]]\nwhen = \"elsewhere\"\nabsent = \"elsewhere\"\n{TIMED}"
        )
    };
    let fields = format!("{TS}\n{EXTRA}\nown = \"extra | without:'realm'\"");
    assert!(load(&fields, "{method}\n{path}\n{host}\n{ts}\n{all}", &with("pct")).is_ok());
    refused(load(&fields, "{method}\n{path}\n{host}\n{ts}\n{all}", &with("lower | pct")), "could move");
}

#[test]
fn a_missing_name_is_written_as_its_filters_say() {
    let rest = format!("[collect.q]\nfrom = \"query\"\nnames = \"header:x-list | split:','\"\nmissing = \"empty\"\n{ENCODED}{TIMED}");
    let profile = load(TS, "{method}\n{path}\n{host}\n{ts}\n{q}", &rest).unwrap();
    let signed = Request::get("/a?all=1", &[X_TS, ("x-list", "all,b")]);
    assert_eq!(signed.judge(&profile), Ok(()));
    // What is there and empty is written so too.
    for other in ["/a?all=1&b=", "/a?b&all=1"] {
        lacks(signed.to(other).judge_with_mac_of(&signed, &profile), "query");
    }
    assert!(signed.to("/a").with("x-list", "all=1&b").judge_with_mac_of(&signed, &profile).is_err());
}

#[test]
fn what_reads_as_its_default_is_not_signed_as_absent() {
    let rest = format!("[[require]]\nequal = [\"header:x-q | default:'id=1'\", \"query\"]\n{TIMED}");
    let profile = load(TS, "{method}\n{path}\n{host}\n{ts}\n{header:x-q | optional}", &rest).unwrap();
    let signed = Request::get("/a?id=1", &[X_TS]);
    assert_eq!(signed.judge(&profile), Ok(()));
    lacks(signed.to("/a?").with("x-q", "").judge_with_mac_of(&signed, &profile), "query");

    let rest = format!("[[require]]\nequal = [\"header:x-q | or:'header:x-p'\", \"body\"]\n{TIMED}");
    let message = "{method}\n{path}\n{host}\n{ts}\n{header:x-q | default:'none'}\n{header:x-p | optional}";
    let profile = load(TS, message, &rest).unwrap();
    let signed = Request::new("POST", "/a", &[X_TS, ("x-p", "pay alice")], "pay alice");
    assert_eq!(signed.judge(&profile), Ok(()));
    lacks(signed.holding("none").with("x-q", "none").judge_with_mac_of(&signed, &profile), "body");
}

#[test]
fn what_hides_a_field_decides_as_well() {
    let fields = format!("{TS}\nflag = {{ from = \"form:q\", optional = true }}");
    let rest = format!("[[require]]\nunless = \"flag\"\nequal = [\"header:x-b\", \"query\"]\n{TIMED}");
    let message = "{method}\n{path}\n{host}\n{ts}\n{flag | default:'1'}\n{header:x-b}\n{body | sha256 | hex}";
    let profile = load(&fields, message, &rest).unwrap();
    let signed = Request::new("POST", "/a", &[X_TS, FORM, ("x-b", "evil")], "q=1");
    let changed = signed.to("/a?evil").with("content-type", "text/plain");
    lacks(changed.judge_with_mac_of(&signed, &profile), "query");
}

#[test]
fn a_plus_is_read_in_a_parameter_as_it_is_signed() {
    let rest =
        format!("[collect.q]\nfrom = \"query\"\nplus_is_space = true\n{ENCODED}[[require]]\nequal = [\"query:text\", \"body\"]\n{TIMED}");
    let profile = load(TS, "{method}\n{path}\n{host}\n{ts}\n{q}", &rest).unwrap();
    let signed = Request::new("POST", "/a?text=1%202", &[X_TS], "1 2");
    assert_eq!(signed.judge(&profile), Ok(()));
    assert!(signed.to("/a?text=1+2").holding("1+2").judge_with_mac_of(&signed, &profile).is_err());
}

#[test]
fn a_member_is_signed_as_it_was_sent_and_with_all_of_its_name() {
    let rest = |equal: &str| format!("[collect.l]\nfrom = \"own\"\n{ENCODED}[[require]]\nequal = [\"{equal}\", \"body\"]\n{TIMED}");
    let message = "{method}\n{target}\n{host}\n{ts}\n{l}";
    // Left out of the inner map by its case.
    let profile = load(&format!("{TS}\n{EXTRA}\nown = \"extra | without:'n*'\""), message, &rest("extra.n[] | join:','")).unwrap();
    let signed = Request::new("POST", "/a", &[X_TS, ("x-extra", "N=2")], "2");
    assert_eq!(signed.judge(&profile), Ok(()));
    lacks(signed.holding("evil,2").with("x-extra", "n=evil,N=2").judge_with_mac_of(&signed, &profile), "body");
    // Decoded in the inner map: what was sent is not what is written.
    let profile = load(&format!("{TS}\n{EXTRA}\nown = \"extra | all\""), message, &rest("extra.n")).unwrap();
    lacks(Request::new("POST", "/a", &[X_TS, ("x-extra", "n=%41")], "%41").judge(&profile), "body");
}

#[test]
fn an_empty_member_that_is_skipped_is_not_signed() {
    let rest = format!(
        "[collect.l]\nfrom = \"extra\"\nskip_empty = true\n{ENCODED}[[require]]\nequal = [\"extra.q | default:'id=1'\", \"query\"]\n{TIMED}"
    );
    let profile = load(&format!("{TS}\n{EXTRA}"), "{method}\n{path}\n{host}\n{ts}\n{l}\n{body | sha256 | hex}", &rest).unwrap();
    let none = Request::get("/a?id=1", &[X_TS, ("x-extra", "b=1")]);
    lacks(none.to("/a?").with("x-extra", "q=,b=1").judge_with_mac_of(&none, &profile), "query");
}

#[test]
fn what_a_filter_writes_over_or_drops_is_not_signed() {
    let profile = load(TS, "{method}\n{target}\n{host}\n{ts}\n{body | unhex | uuid}", TIMED).unwrap();
    lacks(Request::new("POST", "/a", &[X_TS], "00000000000000000000000000000000").judge(&profile), "body");
    let message = "{method}\n{path | drop_prefix:'/api'}\n{query}\n{host}\n{ts}\n{body | sha256 | hex}";
    let profile = load(TS, message, TIMED).unwrap();
    let signed = Request::new("POST", "/users", &[X_TS], "x");
    assert_eq!(signed.judge(&profile), Ok(()));
    lacks(signed.to("/api/users").judge_with_mac_of(&signed, &profile), "path");
}

#[test]
fn lines_are_over_only_where_another_could_not_begin() {
    let lines = |more: &str| format!("[collect.h]\nfrom = \"headers\"\n{more}\nitem = \"{{name}}:{{value}}\\n\"\n{TIMED}");
    let (listed, prefixed) = ("names = \"header:x-list | split:','\"", "prefix = [\"x-m-\"]");
    let as_listed = "names = \"header:x-list | split:','\"\nname_as = \"listed\"";
    let cut = |message: &str, more: &str| refused(load(TS, message, &lines(more)), "side by side");
    cut("{method}\n{target}\n{host}\n{ts}\n{body}\n{h}", prefixed);
    cut("{method}\n{target}\n{ts}\n{h}host:{host}\n{body}", listed);
    cut("{method}\n{target}\n{ts}\n{h}HOST:{host}\n{body}", as_listed);
    // Amazon's: an empty line ends the headers, and what comes before them holds no line feed.
    assert!(load(TS, "{method}\n{target}\n{host}\n{ts}\n{h}\n{body | sha256 | hex}", &lines(listed)).is_ok());
    // What an item makes of a value is part of the text.
    let replaced = "[collect.h]\nfrom = \"headers\"\nprefix = [\"x-m-\"]\nitem = \"{name}={value | replace:';','\\n'}\"\njoin = \";\"\n";
    refused(
        load(TS, "{method}\n{target}\n{host}\n{ts}\n{h}\n{body}", &format!("{}{TIMED}", replaced.replace("\\n'}", "\\\\n'}"))),
        "side by side",
    );
}

#[test]
fn lines_are_not_over_where_only_some_requests_go_on() {
    let lines = |more: &str, item: &str| format!("[collect.h]\nfrom = \"headers\"\n{more}\nitem = \"{item}\"\n{TIMED}");
    let (listed, prefixed) = ("names = \"header:x-list | split:','\"", "prefix = [\"x-m-\"]");
    let start = "{method}\n{target}\n{host}\n{ts}\n";
    // What stands behind a name could stand in it.
    for (tail, item) in
        [("{h}x-m-2-{header:x-b | sha256 | hex}\n{body}", "{name}-{value | sha256 | hex}\\n"), ("{h}end-\n{body}", "{name}-\\n")]
    {
        refused(load(TS, &format!("{start}{tail}"), &lines(listed, item)), "side by side");
    }
    // What follows a part under a condition decides with it.
    let text = |tail: &str| {
        let message = format!(
            "[\"\"\"{start}\"\"\", {{ text = \"{{h}}x-m-2\", when = \"header:x-c\" }}, {{ text = \"none\", unless = \"header:x-c\" }}, \"\"\"{tail}\"\"\"]"
        );
        let lines = lines(prefixed, "{name}:{value}\\n");
        format!(
            "name = \"small\"\ntitle = \"Small\"\ndetect = [\"method\"]\nuncovered = []\n[fields]\nmac = \"header:x-mac\"\n{TS}\n\
             [mac]\nalgorithm = \"hmac-sha256\"\nmessage = {message}\n{lines}"
        )
    };
    refused(Profile::load(&text(":{header:x-b}\n{body}"), &Constants::new()), "side by side");
    // A name that is none could be anything.
    let listed = "names = \"header:x-list | split:','\"\nmissing = \"empty\"";
    let profile = load(TS, &format!("{start}{{h}}b={{header:x-b}}\n{{body}}"), &lines(listed, "{name}:{value}\\n")).unwrap();
    let signed = Request::new("POST", "/a", &[X_TS, ("x-list", "x-m-1"), ("x-m-1", "1"), ("x-b", "1:")], "b=2\nrest");
    assert_eq!(signed.judge(&profile), Ok(()));
    let changed = signed.with("x-list", "x-m-1,b=1").with("x-b", "2").holding("rest");
    assert!(changed.trace(&profile, &signed.mac(&profile), NOW).judged.unwrap_err().to_string().contains("not the name of a header"));
}

#[test]
fn one_empty_value_of_a_list_reads_as_none() {
    let rest = format!("[[require]]\nequal = [\"extra.q | default:'id=1'\", \"query\"]\n{TIMED}");
    let message = "{method}\n{path}\n{host}\n{ts}\n{extra.q[] | join:','}\n{body | sha256 | hex}";
    let profile = load(&format!("{TS}\n{EXTRA}"), message, &rest).unwrap();
    let signed = Request::get("/a?id=1", &[X_TS, ("x-extra", "b=1")]);
    assert!(signed.to("/a?").with("x-extra", "q=,b=1").judge_with_mac_of(&signed, &profile).is_err());
}

#[test]
fn parameters_have_case_and_a_mac_has_a_plus() {
    let listed = format!("[collect.q]\nfrom = \"query\"\nnames = \"header:x-list | split:','\"\n{ENCODED}{TIMED}");
    let profile = load(TS, "{method}\n{path}\n{host}\n{ts}\n{q}", &listed).unwrap();
    assert_eq!(Request::get("/a?a=1&A=2", &[X_TS, ("x-list", "a,A")]).judge(&profile), Ok(()));
    // A form that reads a plus as a space says nothing about the query.
    let form = format!(
        "[collect.f]\nfrom = \"form\"\nplus_is_space = true\n{ENCODED}[[require]]\nequal = [\"query:text\", \"header:x-text\"]\n{TIMED}"
    );
    let profile = load(TS, "{method}\n{target}\n{host}\n{ts}\n{f}\n{body | sha256 | hex}", &form).unwrap();
    assert_eq!(Request::get("/a?text=1+2", &[X_TS, ("x-text", "1+2")]).judge(&profile), Ok(()));
}

#[test]
fn a_parameter_that_is_not_skipped_is_signed_beside_one_that_is() {
    let rest = format!("[collect.q]\nfrom = \"query\"\nskip_empty = true\n{ENCODED}[time]\nat = \"ts\"\nformat = \"unix\"\n");
    let text = format!(
        "name = \"small\"\ntitle = \"Small\"\ndetect = [\"method\"]\nuncovered = [\"query\"]\n[fields]\nmac = \"header:x-mac\"\nts = \"query:ts\"\n\
         [mac]\nalgorithm = \"hmac-sha256\"\nmessage = \"{{method}}\\n{{path}}\\n{{host}}\\n{{q}}\\n{{body | sha256 | hex}}\"\n{rest}"
    );
    let profile = Profile::load(&text, &Constants::new()).unwrap();
    assert_eq!(Request::get("/a?ts=1764000000&note=", &[]).judge(&profile), Ok(()));
}

#[test]
fn a_name_that_is_listed_often_is_not_written_often() {
    let rest = format!("[collect.f]\nfrom = \"form\"\nnames = \"header:x-list | split:','\"\n{ENCODED}{TIMED}");
    let profile = load(TS, "{method}\n{target}\n{host}\n{ts}\n{f}", &rest).unwrap();
    let list = vec!["a"; 64].join(",");
    let sent = Request::new("POST", "/a", &[X_TS, FORM, ("x-list", &list)], "a=1");
    let trace = sent.trace(&profile, &"0".repeat(64), NOW);
    assert!(trace.strings_to_sign.is_empty() && trace.judged.unwrap_err().to_string().contains("listed twice"));
    // Nor is the parameter that has no name, or what is no parameter in any case of letters.
    let unnamed = sent.with("x-list", "a,,b,").holding("=1&a=2&b=3");
    assert!(unnamed.trace(&profile, &"0".repeat(64), NOW).judged.unwrap_err().to_string().contains("listed twice"));
    let skipping = rest.replace(ENCODED, &format!("missing = \"skip\"\npseudo = {{ \"(p)\" = \"{{body | base64}}\" }}\n{ENCODED}"));
    let profile = load(TS, "{method}\n{target}\n{host}\n{ts}\n{f}\n{body | sha256 | hex}", &skipping).unwrap();
    assert_eq!(sent.with("x-list", "a,,").judge(&profile), Ok(()));
    let trace = sent.with("x-list", "(p),(P)").trace(&profile, &"0".repeat(64), NOW);
    assert!(trace.judged.unwrap_err().to_string().contains("listed twice"));
}

#[test]
fn names_of_headers_are_written_in_any_case() {
    let rest = format!(
        "[collect.evil]\nfrom = \"headers\"\nprefix = [\"X-Evil-\"]\nexclude = [\"X-Evil-But-Good\"]\nitem = \"{{name}}:{{value}}\\n\"\n\
         [[require]]\nwhen = \"evil\"\nabsent = \"evil\"\n{TIMED}"
    );
    let profile = load(TS, ALL, &rest).unwrap();
    assert!(Request::get("/a", &[X_TS, ("x-evil-1", "1")]).judge(&profile).is_err());
    assert_eq!(Request::get("/a", &[X_TS, ("x-evil-but-good", "1")]).judge(&profile), Ok(()));
}

#[test]
fn what_a_key_and_an_algorithm_are_read_from_has_to_be_at_hand() {
    let profile = load(TS, "{method}\n{target}\n{host}\n{ts}", &format!("{TIMED}[key]\nderive = [\"{{body}}\"]\n")).unwrap();
    assert_eq!(profile.body_use(), BodyUse::Bytes);
}

#[test]
fn an_unknown_key_is_refused_in_the_words_of_a_known_one() {
    let of_prefix = ("material = \"{secret | strip_prefix:'whsec_'}\"", "whsec_0123456789abcdef0123");
    let of_attribute =
        ("attributes = [\"token\"]\nmaterial = \"{secret}&{attribute:token}\"", "{\"secret\":\"0123456789abcdef\",\"token\":\"t\"}");
    let of_request = ("derive = [\"{header:x-region}\"]", "0123456789abcdef");
    let under_condition = (
        "material = [{ text = \"{secret | strip_prefix:'whsec_'}\", when = \"header:x-key\" }, { text = \"{secret}\", unless = \"header:x-key\" }]",
        "whsec_0123456789abcdef0123",
    );
    let in_message = ("material = \"a-constant-of-sixteen\"", "whsec_0123456789abcdef0123");
    for (key, text) in [of_prefix, of_attribute, of_request, under_condition, in_message] {
        let secret = if key == in_message.0 { "\n{secret | strip_prefix:'whsec_'}" } else { "" };
        let message = format!("{ALL}\n{{key_id}}{secret}");
        let profile = load(&format!("{TS}\nkey_id = \"header:x-key\""), &message, &format!("{TIMED}[key]\n{key}\n")).unwrap();
        let mac = "0".repeat(64);
        let sent = [X_TS, ("x-key", "ck_1"), ("x-mac", &mac)];
        let headers: HeaderMap = sent.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect();
        let head = Head { method: "GET", scheme: Scheme::Https, host: "api.example.com", target: "/a", headers: &headers };
        let fields = profile.find_fields(head).unwrap().unwrap();
        let unknown = fields.verify(Body::Empty, None, UnixMillis::from_seconds(NOW)).unwrap_err();
        let secret = LiveSecret::of_any_length(&profile, &SecretText::new(text.to_owned())).unwrap();
        let known = fields.trace(Body::Empty, &[secret], UnixMillis::from_seconds(NOW)).judged.unwrap_err();
        assert_eq!(unknown, known, "{key}");
    }
}
