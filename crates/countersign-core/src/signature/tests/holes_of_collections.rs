//! What a collection leaves out, reads from elsewhere or writes in two ways is not signed by it: profiles that an operator could
//! write, and requests of which one part was changed after signing.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::load::{BadProfile, Constants};
use super::super::*;
use crate::code::{Code, Refusal};
use crate::now::UnixMillis;
use crate::request_view::Scheme;
use crate::secret::SecretText;

pub(super) const SECRET: &str = "a secret of some length";
pub(super) const NOW: i64 = 1_764_000_000;
pub(super) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
pub(super) const TIMED: &str = "[time]\nat = \"ts\"\nformat = \"unix\"\n";
pub(super) const TS: &str = "ts = \"header:x-ts\"";
pub(super) const X_TS: (&str, &str) = ("x-ts", "1764000000");
pub(super) const ENCODED: &str = "name = \"pct\"\nvalue = \"pct\"\nitem = \"{name}={value}\"\njoin = \"&\"\n";

/// A profile that leaves nothing uncovered, with `fields`, with `message` as its string to sign and with `rest` after that.
pub(super) fn load(fields: &str, message: &str, rest: &str) -> Result<Profile, BadProfile> {
    let mac = if fields.lines().any(|line| line.starts_with("mac =")) { "" } else { "mac = \"header:x-mac\"" };
    let text = format!(
        "name = \"small\"\ntitle = \"Small\"\ndetect = [\"method\"]\nuncovered = []\n[fields]\n{mac}\n{fields}\n\
         [mac]\nalgorithm = \"hmac-sha256\"\nmessage = \"\"\"{message}\"\"\"\n{rest}"
    );
    Profile::load(&text, &Constants::new())
}

pub(super) fn refused(loaded: Result<Profile, BadProfile>, words: &str) {
    let bad = loaded.expect_err(words);
    assert!(bad.message.contains(words), "{bad}");
}

/// A request. Where it says `MAC`, its MAC is to stand.
#[derive(Clone)]
pub(super) struct Request {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Request {
    pub(super) fn new(method: &'static str, target: &str, headers: &[(&'static str, &str)], body: &str) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { method, target: target.to_owned(), headers, body: body.to_owned() }
    }

    pub(super) fn get(target: &str, headers: &[(&'static str, &str)]) -> Self {
        Self::new("GET", target, headers, "")
    }

    pub(super) fn with(&self, name: &'static str, value: &str) -> Self {
        let mut other = self.clone();
        other.headers.retain(|(known, _)| *known != name);
        other.headers.push((name, value.to_owned()));
        other
    }

    pub(super) fn to(&self, target: &str) -> Self {
        Self { target: target.to_owned(), ..self.clone() }
    }

    pub(super) fn holding(&self, body: &str) -> Self {
        Self { body: body.to_owned(), ..self.clone() }
    }

    /// What a profile says of it with this MAC, at a time.
    pub(super) fn trace(&self, profile: &Profile, mac: &str, now: i64) -> Trace {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(&value.replace("MAC", mac)).unwrap());
        }
        if !self.target.contains("MAC") && !headers.iter().any(|(_, value)| value.to_str().unwrap().contains(mac)) {
            headers.append(HeaderName::from_static("x-mac"), HeaderValue::from_str(mac).unwrap());
        }
        let target = self.target.replace("MAC", mac);
        let head = Head { method: self.method, scheme: Scheme::Https, host: "api.example.com", target: &target, headers: &headers };
        let secret = LiveSecret::of_any_length(profile, &SecretText::new(SECRET.to_owned())).unwrap();
        match profile.find_fields(head) {
            Ok(Some(fields)) => fields.trace(Body::of(self.body.as_bytes()), &[secret], UnixMillis::from_seconds(now)),
            Ok(None) => Trace::unread(Err(Code::SignatureMalformed.into())),
            Err(refusal) => Trace::unread(Err(refusal)),
        }
    }

    /// The MAC that signs it.
    pub(super) fn mac(&self, profile: &Profile) -> String {
        let trace = self.trace(profile, &"0".repeat(64), NOW);
        let text = trace.strings_to_sign.first().unwrap_or_else(|| panic!("{:?}", trace.judged));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), text);
        tag.as_ref().iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        })
    }

    /// Judges it with its own MAC.
    pub(super) fn judge(&self, profile: &Profile) -> Result<(), Refusal> {
        self.judge_with_mac_of(self, profile)
    }

    /// Judges it with the MAC of another request.
    pub(super) fn judge_with_mac_of(&self, other: &Self, profile: &Profile) -> Result<(), Refusal> {
        self.trace(profile, &other.mac(profile), NOW).judged
    }
}

pub(super) fn lacks(judged: Result<(), Refusal>, what: &str) {
    let refusal = judged.expect_err(what);
    assert!(refusal.code == Code::SignatureCoverage && refusal.to_string().contains(what), "{refusal}");
}

const OPTIONAL_EXTRA: &str = "extra = { from = \"header:x-extra | params:','\", optional = true }";
pub(super) const EXTRA: &str = "extra = \"header:x-extra | params:','\"";

#[test]
fn a_time_out_of_a_map_that_is_not_signed_does_not_load() {
    let ext = "[collect.ext]\nfrom = \"extra\"\nprefix = [\"t\"]\nname = \"pct\"\nvalue = \"pct\"\nitem = \"{value}\"\njoin = \"&\"\n";
    let timed = |at: &str| format!("{ext}[let]\nnamed = \"{{ext}}\"\n[time]\nat = \"{at}\"\nformat = \"unix\"\n");
    let sent = Request::get("/a", &[("x-extra", "t=1764000000")]);
    for at in ["ext", "named"] {
        refused(load(EXTRA, "{method}\n{target}\n{host}", &timed(at)), "checked but not signed: extra");
    }
    let profile = load(EXTRA, "{method}\n{target}\n{host}\n{header:x-none | optional}", &timed("header:x-none | or:'ext'")).unwrap();
    lacks(sent.judge(&profile), "extra");
    // With the whole header, the map is signed.
    let profile = load(EXTRA, "{method}\n{target}\n{host}\n{header:x-extra}", &timed("ext")).unwrap();
    assert_eq!(sent.judge(&profile), Ok(()));
}

#[test]
fn what_is_compared_with_a_map_that_is_not_signed_is_not_signed() {
    let ext = "[collect.ext]\nfrom = \"extra\"\nname = \"pct\"\nvalue = \"pct\"\nitem = \"{name}={value}\"\njoin = \"&\"\n";
    let rest = format!("{ext}[[require]]\nequal = [\"ext | strip_prefix:'d='\", \"body | sha256 | hex\"]\n{TIMED}");
    let profile = load(&format!("{TS}\n{EXTRA}"), "{method}\n{target}\n{host}\n{ts}", &rest).unwrap();
    // SHA-256 of `abc` (FIPS 180-4).
    let digest = "d=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    lacks(Request::new("POST", "/a", &[X_TS, ("x-extra", digest)], "abc").judge(&profile), "body");
    let profile = load(&format!("{TS}\n{EXTRA}"), "{method}\n{target}\n{host}\n{ts}\n{header:x-extra}", &rest).unwrap();
    assert_eq!(Request::new("POST", "/a", &[X_TS, ("x-extra", digest)], "abc").judge(&profile), Ok(()));
}

#[test]
fn a_collection_is_trusted_with_what_lists_its_names_and_what_its_items_read() {
    let timed = "[time]\nat = \"times\"\nformat = \"unix\"\n";
    let listed = format!(
        "[collect.times]\nfrom = \"headers\"\nnames = \"header:x-list | split:','\"\nitem = \"{{value}}\"\njoin = \"\\n\"\n{timed}"
    );
    let message = "{method}\n{target}\n{host}\n{header:x-early}\n{header:x-late}";
    let sent = Request::get("/a", &[("x-early", "1763999000"), ("x-late", "1764000000"), ("x-list", "x-late")]);
    lacks(sent.judge(&load("", message, &listed).unwrap()), "header x-list");
    assert_eq!(sent.judge(&load("", &format!("{message}\n{{header:x-list}}"), &listed).unwrap()), Ok(()));
    let written = format!("[collect.times]\nfrom = \"query\"\nprefix = [\"a\"]\nitem = \"{{header:x-ts}}\"\njoin = \"\\n\"\n{timed}");
    let sent = sent.to("/a?a=1").with("x-ts", "1764000000");
    lacks(sent.judge(&load("", "{method}\n{target}\n{host}", &written).unwrap()), "header x-ts");
}

#[test]
fn what_stands_in_for_a_text_is_trusted_with_what_the_text_is_made_of() {
    let rest = format!(
        "[let]\nchosen = [{{ text = \"x\", when = \"header:x-b\" }}]\n\
         [[require]]\nequal = [\"chosen | is:'x' | default:'y'\", \"body\"]\n{TIMED}"
    );
    let with = |message: &str| load(TS, &format!("{{method}}\n{{target}}\n{{host}}\n{{ts}}{message}"), &rest).unwrap();
    let sent = Request::new("POST", "/a", &[X_TS], "y");
    lacks(sent.judge(&with("")), "body");
    assert_eq!(sent.judge(&with("\n{header:x-b | optional}")), Ok(()));
}

#[test]
fn only_the_parameter_with_the_mac_is_spared() {
    let fields = "mac = \"query:sign\"\nts = \"header:x-ts\"";
    let profile = {
        let rest = format!(
            "[collect.all]\nfrom = \"query\"\nexclude = [\"sign\"]\n{ENCODED}[collect.form]\nfrom = \"form\"\nexclude = [\"sign\"]\n{ENCODED}{TIMED}"
        );
        load(fields, "{method}\n{path}\n{host}\n{ts}\n{all}\n{form}", &rest).unwrap()
    };
    let signed = Request::new("POST", "/a?x=1&sign=MAC", &[X_TS, FORM], "amount=1");
    assert_eq!(signed.judge(&profile), Ok(()));
    for body in ["amount=1&sign=evil", "amount=1&sign=evil&sign=evil2", "sign=evil&amount=1", "amount=1&%73ign=evil"] {
        lacks(signed.holding(body).judge_with_mac_of(&signed, &profile), "body");
    }
    // Nor is another parameter of the query, which is written with its name.
    let fields = "mac = \"query:my sign\"\nts = \"header:x-ts\"";
    let rest = format!("[collect.all]\nfrom = \"query\"\nexclude = [\"my sign\"]\nplus_is_space = true\n{ENCODED}{TIMED}");
    let profile = load(fields, "{method}\n{path}\n{host}\n{ts}\n{all}", &rest).unwrap();
    let signed = Request::get("/a?x=1&my%20sign=MAC", &[X_TS]);
    assert_eq!(signed.judge(&profile), Ok(()));
    lacks(signed.to("/a?x=1&my%20sign=MAC&my+sign=evil").judge_with_mac_of(&signed, &profile), "query");
}

#[test]
fn what_stands_beside_the_mac_in_its_parameter_is_no_mac() {
    let rest = format!("[collect.q]\nfrom = \"query\"\nexclude = [\"tok\"]\n{ENCODED}{TIMED}");
    let with = |fields: &str, message: &str| {
        load(&format!("{TS}\n{fields}"), &format!("{{method}}\n{{path}}\n{{host}}\n{{ts}}\n{{q}}{message}"), &rest)
    };
    let picked = "tok = \"query:tok | pick:'{mac}.{user}'\"\nmac = \"tok.mac\"";
    refused(with(picked, ""), "not signed: user");
    let user = format!("{picked}\nuser = \"tok.user\"");
    refused(with(&user, ""), "not signed: user");
    let profile = with(&user, "\n{user}").unwrap();
    let signed = Request::get("/a?x=1&tok=MAC.alice", &[X_TS]);
    assert_eq!(signed.judge(&profile), Ok(()));
    let other = signed.to("/a?x=1&tok=MAC.admin").judge_with_mac_of(&signed, &profile);
    assert_eq!(other.unwrap_err().code, Code::SignatureMismatch);
    // Signed only sometimes is not enough.
    let sometimes = format!("{rest}[let]\nuser_then = [{{ text = \"{{user}}\", when = \"header:x-then\" }}]\n");
    let profile = load(&format!("{TS}\n{user}"), "{method}\n{path}\n{host}\n{ts}\n{q}\n{user_then}", &sometimes).unwrap();
    lacks(signed.judge(&profile), "query");
    // Who names the key need not be signed: another key is another secret.
    let keyed = "tok = \"query:tok | pick:'{mac}.{id}'\"\nmac = \"tok.mac\"\nkey_id = \"tok.id\"";
    assert_eq!(signed.judge(&with(keyed, "").unwrap()), Ok(()));
}

#[test]
fn a_parameter_that_need_not_hold_the_mac_or_holds_more_is_left_out() {
    let rest = format!("[collect.q]\nfrom = \"query\"\nexclude = [\"tok\"]\n{ENCODED}{TIMED}");
    let with = |fields: &str| load(&format!("{TS}\n{fields}"), "{method}\n{path}\n{host}\n{ts}\n{q}", &rest);
    for (fields, target, headers) in [
        ("mac = \"header:x-auth | or:'query:tok'\"", "/a?x=1&tok=evil", vec![X_TS, ("x-auth", "MAC")]),
        ("tok = \"header:x-auth | or:'query:tok'\"\nmac = \"tok\"", "/a?x=1&tok=evil", vec![X_TS, ("x-auth", "MAC")]),
        ("tok = \"query:tok | params:','\"\nmac = \"tok.mac\"", "/a?x=1&tok=mac=MAC,user=evil", vec![X_TS]),
        ("mac = \"query:tok | before:'.'\"", "/a?x=1&tok=MAC.evil", vec![X_TS]),
        ("mac = \"query:tok | split:','\"", "/a?x=1&tok=MAC,evil", vec![X_TS]),
        ("tok = \"query:tok | split:','\"\nmac = \"tok | first\"", "/a?x=1&tok=MAC,evil", vec![X_TS]),
    ] {
        lacks(Request::get(target, &headers).judge(&with(fields).unwrap()), "query");
    }
    for mac in ["mac = \"query:tok\"", "mac = \"query:tok | strip_prefix:'v1='\"", "tok = \"query:tok | trim\"\nmac = \"tok\""] {
        let target = if mac.contains("v1") { "/a?x=1&tok=v1=MAC" } else { "/a?x=1&tok=MAC" };
        assert_eq!(Request::get(target, &[X_TS]).judge(&with(mac).unwrap()), Ok(()), "{mac}");
    }
}

#[test]
fn an_end_in_a_form_needs_what_says_that_it_is_a_form() {
    let fields = |end: &str| format!("{TS}\nend = {{ from = \"{end}\", optional = true }}");
    let message = "{method}\n{target}\n{host}\n{ts}\n{body | sha256 | hex}";
    let both = format!("{message}\n{{header:content-type | optional}}");
    for (end, more) in [
        ("form:exp", "expires = \"end\""),
        ("form:exp", "expires = \"form:exp\""),
        ("form:exp", "expires = \"header:x-none | or:'end'\""),
        ("form:exp", "window = \"end\"\nwindow_most = 60"),
    ] {
        let rest = format!("{TIMED}past = 3600\n{more}\n");
        let (fields, message) = (fields(end), format!("{message}\n{{header:x-none | optional}}"));
        refused(load(&fields, &message, &rest), "checked but not signed: header content-type");
        let profile = load(&fields, &format!("{both}\n{{header:x-none | optional}}"), &rest).unwrap();
        let signed = Request::new("POST", "/a", &[X_TS, FORM], "exp=1764000010");
        let signed = if more.contains("window") { signed.holding("exp=10") } else { signed };
        let mac = signed.mac(&profile);
        assert_eq!(signed.trace(&profile, &mac, NOW + 5).judged, Ok(()), "{more}");
        assert_eq!(signed.trace(&profile, &mac, NOW + 3000).judged.unwrap_err().code, Code::TimestampTooOld, "{more}");
        let other = signed.with("content-type", "application/x-www-form-urlencoded2");
        assert_eq!(other.trace(&profile, &mac, NOW + 3000).judged.unwrap_err().code, Code::SignatureMismatch, "{more}");
        assert_eq!(signed.holding("a=1").judge(&profile), Ok(()), "{more}");
    }
    // What the whole body says needs no header, and neither does a time that has to be there.
    let profile = load("ts = \"form:ts\"", "{method}\n{target}\n{host}\n{body | sha256 | hex}", TIMED).unwrap();
    assert_eq!(Request::new("POST", "/a", &[FORM], "ts=1764000000").judge(&profile), Ok(()));
    let json = format!("{TIMED}expires = \"body | json:'/exp'\"\n");
    let profile = load(TS, message, &json).unwrap();
    assert_eq!(Request::new("POST", "/a", &[X_TS], "{}").judge(&profile), Ok(()));
}

#[test]
fn an_end_that_a_condition_takes_away_needs_what_the_condition_reads() {
    let rest = format!(
        "[let]\nend = [{{ text = \"e{{header:x-end | optional}}\", when = \"header:x-ends\" }}]\n{TIMED}expires = \"end | strip_prefix:'e'\"\n"
    );
    let with = |more: &str| load(TS, &format!("{{method}}\n{{target}}\n{{host}}\n{{ts}}\n{{header:x-end | optional}}{more}"), &rest);
    refused(with(""), "checked but not signed: header x-ends");
    let profile = with("\n{header:x-ends | optional}").unwrap();
    assert_eq!(Request::get("/a", &[X_TS, ("x-end", "1764000010"), ("x-ends", "1")]).judge(&profile), Ok(()));
    assert_eq!(Request::get("/a", &[X_TS]).judge(&profile), Ok(()));
}

#[test]
fn what_stands_in_for_a_form_needs_what_says_that_there_is_none() {
    let signs = |more: &str| format!("{{method}}\n{{path}}\n{{host}}\n{{ts}}\n{more}{{body | sha256 | hex}}");
    let equal = |left: &str| format!("[[require]]\nequal = [\"{left}\", \"query\"]\n{TIMED}");
    let post = |target: &str, body: &str| Request::new("POST", target, &[X_TS, FORM], body);
    let plain = ("content-type", "text/plain");

    let with_default = load(TS, &signs(""), &equal("form:q | default:'a=1'")).unwrap();
    let good = post("/a?b=1", "q=b%3D1");
    let changed = good.to("/a?a=1").with(plain.0, plain.1);
    lacks(changed.judge_with_mac_of(&good, &with_default), "query");

    let with_other = load(TS, &signs("{header:x-q | optional}\n"), &equal("form:q | or:'header:x-q'")).unwrap();
    let good = post("/a?good", "q=good").with("x-q", "evil");
    let changed = good.to("/a?evil").with(plain.0, plain.1);
    lacks(changed.judge_with_mac_of(&good, &with_other), "query");

    // With the type signed there is only one way to read it.
    let typed = load(TS, &signs("{header:content-type | optional}\n"), &equal("form:q | default:'a=1'")).unwrap();
    let good = post("/a?b=1", "q=b%3D1");
    good.judge(&typed).unwrap();
    good.to("/a?a=1").with(plain.0, plain.1).judge(&typed).unwrap();
}

#[test]
fn a_default_end_needs_what_makes_it_the_default() {
    let ends = "[time]\nat = \"ts\"\nformat = \"unix\"\npast = 3600\nexpires = \"form:exp | default:'4102444800'\"\n";
    let message = "{method}\n{target}\n{host}\n{ts}\n{body | sha256 | hex}";
    refused(load(TS, message, ends), "content-type");
    // The first string to sign has the type; what is signed by the other has not.
    let typed = message.replace("{ts}", "{ts}\n{header:content-type | optional}");
    let other = format!("alternatives = [\"\"\"B\n{message}\"\"\"]\n{ends}");
    let profile = load(TS, &format!("A\n{typed}"), &other).unwrap();
    let late = Request::new("POST", "/a", &[X_TS, FORM], "exp=1764000010").with("content-type", "text/plain");
    late.judge(&profile).unwrap();
    let by_other = load(TS, &format!("B\n{message}"), TIMED).unwrap();
    let judged = late.trace(&profile, &late.mac(&by_other), NOW + 3000).judged;
    lacks(judged, "content-type");
}

#[test]
fn lines_of_a_header_are_joined_by_commas() {
    let rest = |with: &str| {
        format!(
            "[collect.h]\nfrom = \"headers\"\nnames = \"header:x-list | split:','\"\nrepeated = \"join:'{with}'\"\n\
             item = \"{{name}}:{{value}}\"\njoin = \"\\n\"\n{TIMED}"
        )
    };
    let message = "{method}\n{target}\n{host}\n{ts}\n{header:x-list}\n{h}";
    for with in [",", ", "] {
        load(TS, message, &rest(with)).unwrap();
    }
    for with in ["", ";", " "] {
        refused(load(TS, message, &rest(with)), "join");
    }
}

#[test]
fn values_that_are_joined_are_not_taken_for_one_value() {
    let with = |repeated: &str, value: &str, from: &str| {
        let rest = format!(
            "[collect.q]\nfrom = \"{from}\"\nrepeated = \"{repeated}\"\nname = \"pct\"\nvalue = \"{value}\"\n\
             item = \"{{name}}={{value}}\"\njoin = \"&\"\n{TIMED}"
        );
        load(&format!("{TS}\n{OPTIONAL_EXTRA}"), "{method}\n{path}\n{host}\n{ts}\n{header:x-extra | optional}\n{q}", &rest)
    };
    let escaped = "replace:'%','%25' | replace:'&','%26'";
    for from in ["query", "form", "extra", "raw_query"] {
        for repeated in ["join:','", "sorted_join:','", "join:''", "sorted_join:''"] {
            refused(with(repeated, escaped, from), "joined");
        }
        for repeated in ["join:''", "join:'a'", "join:'%2C'"] {
            refused(with(repeated, "pct", from), "joined");
        }
        // The values must not hold what joins them, nor what joins them be what separates items.
        for repeated in ["join:'&'", "sorted_join:'&'"] {
            refused(with(repeated, "pct", from), "cut in two ways");
        }
        for repeated in ["join:','", "sorted_join:', '", "join:'%,'"] {
            assert!(with(repeated, "pct", from).is_ok(), "{from} {repeated}");
        }
    }
    let profile = with("join:','", "pct", "query").unwrap();
    let signed = Request::get("/a?id=1,2", &[X_TS]);
    assert_eq!(signed.judge(&profile), Ok(()));
    assert!(signed.to("/a?id=1&id=2").judge_with_mac_of(&signed, &profile).is_err());
    // Lines of one header are one list (RFC 9110 section 5.3).
    let headers = "[collect.h]\nfrom = \"headers\"\nprefix = [\"x-m-\"]\nitem = \"{name}:{value}\\n\"\n";
    let of_headers = |more: &str| load(TS, "{method}\n{target}\n{host}\n{ts}\n{h}", &format!("{headers}{more}{TIMED}"));
    assert!(of_headers("").is_ok() && of_headers("repeated = \"join:', '\"\n").is_ok());
    refused(of_headers("repeated = \"join:'\\n'\"\n"), "cut in two ways");
}

#[test]
fn a_parameter_is_listed_in_the_case_that_it_is_signed_in() {
    let with = |from: &str, name_as: &str| {
        let rest = format!("[collect.q]\nfrom = \"{from}\"\nnames = \"header:x-list | split:','\"\n{name_as}{ENCODED}{TIMED}");
        load(&format!("{TS}\n{OPTIONAL_EXTRA}"), "{method}\n{path}\n{host}\n{ts}\n{q}", &rest)
    };
    for from in ["query", "raw_query", "form", "extra"] {
        refused(with(from, "name_as = \"lower\"\n"), "only names of headers");
    }
    for name_as in ["", "name_as = \"listed\"\n"] {
        let profile = with("query", name_as).unwrap();
        let signed = Request::get("/a?id=1", &[X_TS, ("x-list", "id")]);
        assert_eq!(signed.judge(&profile), Ok(()));
        let other = signed.to("/a?ID=1").with("x-list", "ID");
        assert_eq!(other.judge_with_mac_of(&signed, &profile).unwrap_err().code, Code::SignatureMismatch);
    }
}

#[test]
fn a_parameter_that_could_move_to_another_source_does_not_load() {
    let message = "{method}\n{path}\n{host}\n{ts}\n{all}";
    let by_method = |one: &str, condition: &str, other: &str, second: &str| {
        format!("[[require]]\nwhen = \"{condition}\"\nabsent = \"{one}\"\n[[require]]\nunless = \"{second}\"\nabsent = \"{other}\"\n")
    };
    let with = |from: &str, rest: &str| {
        let all = format!("[collect.all]\nfrom = {from}\n{ENCODED}");
        load(&format!("{TS}\n{OPTIONAL_EXTRA}"), message, &format!("{all}{rest}{TIMED}"))
    };
    let (get, both) = ("method | is:'GET','DELETE'", "[\"query\", \"form\"]");
    for (from, rest) in [
        (both, String::new()),
        ("[\"raw_query\", \"form\"]", String::new()),
        ("[\"query\", \"extra\"]", String::new()),
        ("[\"form\", \"extra\"]", String::new()),
        // What the condition reads is not signed, the two ask different questions, or one of the two lacks.
        (both, by_method("body", "header:x-get", "query", "header:x-get")),
        (both, by_method("body", get, "query", "method | is:'GET'")),
        (both, by_method("body", get, "body", get)),
        (both, format!("[[require]]\nwhen = \"{get}\"\nabsent = \"body\"\n")),
        ("[\"query\", \"form\", \"extra\"]", by_method("body", get, "query", get)),
    ] {
        refused(with(from, &rest), "could move");
    }
    let told = by_method("body", get, "query", get);
    let profile = with(both, &told).unwrap();
    let signed = Request::new("POST", "/a", &[X_TS, FORM], "amount=1");
    assert_eq!(signed.judge(&profile), Ok(()));
    for (target, body) in [("/a?amount=1", ""), ("/a?", "amount=1")] {
        assert!(signed.to(target).holding(body).judge_with_mac_of(&signed, &profile).is_err(), "{target}");
    }
    // One after the other, each is its own.
    let apart = format!("[collect.q]\nfrom = \"query\"\n{ENCODED}[collect.f]\nfrom = \"form\"\n{ENCODED}{TIMED}");
    let profile = load(TS, "{method}\n{path}\n{host}\n{ts}\n{q}\n{f}", &apart).unwrap();
    assert_eq!(signed.judge(&profile), Ok(()));
    assert!(signed.to("/a?amount=1").holding("").judge_with_mac_of(&signed, &profile).is_err());
}

#[test]
fn names_that_only_a_map_has_stay_in_it() {
    let text = |absent: &str, elsewhere: &str| {
        format!(
            "[collect.all]\nfrom = [\"query\", \"own\"]\n{ENCODED}[collect.elsewhere]\nfrom = \"query\"\n{elsewhere}name = \"pct\"\nitem = \"{{name}}\"\njoin = \"&\"\n\
             [[require]]\nabsent = \"{absent}\"\n[[require]]\nwhen = \"elsewhere\"\nabsent = \"elsewhere\"\n{TIMED}"
        )
    };
    let fields = format!("{TS}\n{EXTRA}\nown = \"extra | without:'realm'\"");
    let with = |absent: &str, elsewhere: &str| load(&fields, "{method}\n{path}\n{host}\n{ts}\n{all}", &text(absent, elsewhere));
    for (absent, elsewhere) in [
        ("extra | without:'realm','*'", "prefix = [\"own_\"]\n"),
        ("extra | without:'realm','own_*','x'", "prefix = [\"own_\"]\n"),
        ("extra | without:'realm','own_*'", "prefix = [\"other_\"]\n"),
        ("extra | without:'realm','own_*'", "prefix = [\"own_\"]\nexclude = [\"own_a\"]\n"),
    ] {
        refused(with(absent, elsewhere), "could move");
    }
    let profile = with("extra | without:'realm','own_*'", "prefix = [\"own_\"]\n").unwrap();
    let signed = Request::get("/a?id=1", &[X_TS, ("x-extra", "own_a=1")]);
    assert_eq!(signed.judge(&profile), Ok(()));
    let other_case = Request::get("/a?id=1&OWN_b=1", &[X_TS, ("x-extra", "own_a=1")]);
    assert_eq!(other_case.judge(&profile), Ok(()));
    let moved = other_case.to("/a?id=1").with("x-extra", "own_a=1,OWN_b=1");
    assert!(moved.judge_with_mac_of(&other_case, &profile).is_err());
    for (target, extra) in [("/a", "own_a=1,id=1"), ("/a?id=1&own_a=1", "realm=x")] {
        assert!(signed.to(target).with("x-extra", extra).judge_with_mac_of(&signed, &profile).is_err(), "{target}");
    }
}

#[test]
fn a_member_of_which_a_value_was_left_is_not_signed() {
    let with = |more: &str| {
        let rest = format!("[collect.l]\nfrom = \"extra\"\n{more}{ENCODED}{TIMED}[replay]\nonce = [\"extra.n[] | join:','\"]\n");
        load(&format!("{TS}\n{EXTRA}"), "{method}\n{target}\n{host}\n{ts}\n{l}", &rest).unwrap()
    };
    for more in ["repeated = \"first\"\n", "repeated = \"unique\"\n", "exclude = [\"N\"]\n", "prefix = [\"n\"]\n"] {
        let profile = with(more);
        assert_eq!(Request::get("/a", &[X_TS, ("x-extra", "n=1")]).judge(&profile), Ok(()), "{more}");
        let second = if more.contains("repeated") { "n=1,n=1" } else { "n=1,N=2" };
        lacks(Request::get("/a", &[X_TS, ("x-extra", second)]).judge(&profile), "extra.n");
    }
}
