//! What a check trusts is what was signed, by whole profiles and requests of which one part was changed after signing.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::load::{BadProfile, Constants};
use super::super::*;
use crate::code::{Code, Refusal};
use crate::now::UnixMillis;
use crate::request_view::Scheme;
use crate::secret::SecretText;

const SECRET: &str = "a secret of some length";
const NOW: i64 = 1_764_000_000;

/// A profile with `fields` beside its MAC, with `message` as its string to sign and with `rest` after that.
fn load(fields: &str, message: &str, rest: &str) -> Result<Profile, BadProfile> {
    let text = format!(
        r#"
name = "small"
title = "Small"
detect = ["header:x-mac"]
[fields]
mac = "header:x-mac"
{fields}
[mac]
algorithm = "hmac-sha256"
message = {message}
{rest}"#
    );
    Profile::load(&text, &Constants::new())
}

/// A request without a body.
#[derive(Clone)]
struct Request {
    method: &'static str,
    host: &'static str,
    target: &'static str,
    headers: Vec<(&'static str, String)>,
}

impl Request {
    fn get(headers: &[(&'static str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { method: "GET", host: "api.example.com", target: "/a", headers }
    }

    /// The same with other values of these headers.
    fn with(&self, headers: &[(&'static str, &str)]) -> Self {
        let mut other = self.clone();
        other.headers.retain(|(name, _)| !headers.iter().any(|(changed, _)| changed == name));
        other.headers.extend(headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
        other
    }

    /// What a profile says of it with this MAC, at a time.
    fn trace(&self, profile: &Profile, mac: &str, now: i64) -> Trace {
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers.iter().map(|(name, value)| (*name, value.as_str())).chain([("x-mac", mac)]) {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let head = Head { method: self.method, scheme: Scheme::Https, host: self.host, target: self.target, headers: &headers };
        let secret = LiveSecret::of_any_length(profile, &SecretText::new(SECRET.to_owned())).unwrap();
        match profile.find_fields(head) {
            Ok(Some(fields)) => fields.trace(Body::Empty, &[secret], UnixMillis::from_seconds(now)),
            Ok(None) => Trace::unread(Err(Code::SignatureMalformed.into())),
            Err(refusal) => Trace::unread(Err(refusal)),
        }
    }

    /// The MAC that signs it.
    fn mac(&self, profile: &Profile) -> String {
        let trace = self.trace(profile, &"0".repeat(64), NOW);
        let text = trace.strings_to_sign.first().unwrap();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), text);
        tag.as_ref().iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        })
    }

    /// Judges it with its own MAC.
    fn judge(&self, profile: &Profile) -> Result<(), Refusal> {
        self.trace(profile, &self.mac(profile), NOW).judged
    }

    /// Judges it with the MAC of another request.
    fn judge_with_mac_of(&self, other: &Self, profile: &Profile, now: i64) -> Result<(), Refusal> {
        self.trace(profile, &other.mac(profile), now).judged
    }
}

fn is_code(judged: &Result<(), Refusal>, code: Code) -> bool {
    judged.as_ref().is_err_and(|refusal| refusal.code == code)
}

const TIMED: &str = "[time]\nat = \"ts\"\nformat = \"unix\"\n";

#[test]
fn a_time_that_was_read_from_several_headers_has_to_be_signed_itself() {
    let several = |message: &str| load(r#"ts = "headers:x-ts,x-time | first""#, message, TIMED);
    assert!(several(r#""{method}\n{target}\n{host}\n""#).unwrap_err().message.contains("checked but not signed: ts"));
    let straight = TIMED.replace("\"ts\"", "\"headers:x-ts,x-time | first\"");
    let bad = load("", r#""{method}\n{target}\n{host}\n{headers:x-ts,x-time | first}""#, &straight).unwrap_err();
    assert!(bad.message.contains("checked but not signed: several headers"), "{bad}");
    let profile = several(r#""{method}\n{target}\n{host}\n{ts}""#).unwrap();
    assert_eq!(Request::get(&[("x-ts", "1764000000")]).judge(&profile), Ok(()));
}

#[test]
fn a_port_that_was_not_signed_is_not_signed_by_a_name_for_it() {
    let rest = format!("[[require]]\nequal = [\"tag\", \"port\"]\n{TIMED}");
    let profile = load("ts = \"header:x-ts\"\ntag = \"port\"", r#""{method}\n{target}\n{host_name}\n{ts}""#, &rest).unwrap();
    let mut request = Request::get(&[("x-ts", "1764000000")]);
    assert_eq!(request.judge(&profile), Ok(()));
    request.host = "api.example.com:8443";
    assert!(is_code(&request.judge(&profile), Code::SignatureCoverage));
}

#[test]
fn a_part_of_a_time_does_not_sign_the_time() {
    let written = |format: &str, time: &str| {
        let message = format!(r#""{{method}}\n{{target}}\n{{host}}\n{{ts | time:'{format}'}}""#);
        let rest = "[time]\nat = \"ts\"\nformat = \"unix_ms\"\n";
        let profile = load("ts = \"header:x-ts\"", &message, rest).unwrap();
        Request::get(&[("x-ts", time)]).judge(&profile)
    };
    for format in ["%Y-%m-%d", "%Y-%m-%d %H:%M", "%H:%M:%S"] {
        assert!(is_code(&written(format, "1764000000000"), Code::SignatureCoverage), "{format}");
    }
    for format in ["unix", "amz", "http", "iso", "%Y-%m-%d %H:%M:%S"] {
        assert_eq!(written(format, "1764000000000"), Ok(()), "{format}");
        assert!(is_code(&written(format, "1764000000001"), Code::SignatureCoverage), "{format}");
    }
    for format in ["unix_ms", "unix_us", "unix_decimal", "%Y-%m-%d %H:%M:%S.%f %z"] {
        assert_eq!(written(format, "1764000000001"), Ok(()), "{format}");
    }
}

#[test]
fn only_one_value_is_compared() {
    let fields = "auth = \"header:x-auth | params:','\"\nlist = \"header:x-list | split:','\"\nts = \"auth.ts\"";
    let requires = |what: &str| load(fields, r#""{method}\n{target}\n{host}\n{ts}""#, &format!("[[require]]\n{what}\n{TIMED}"));
    for what in [
        r#"one_of = ["auth", "tsnonce"]"#,
        r#"one_of = ["list", "ab"]"#,
        r#"equal = ["auth", "header:x-list"]"#,
        r#"equal = ["header:x-list", "list"]"#,
        r#"equal = ["auth.ts[]", "list"]"#,
    ] {
        let bad = requires(what).unwrap_err();
        assert!(bad.message.contains("one value is asked for"), "{what}: {bad}");
    }
    assert!(requires(r#"one_of = ["list | join:','", "ab"]"#).is_ok());
    assert!(requires("present = \"auth\"").is_ok());
}

#[test]
fn a_parameter_has_the_name_that_was_signed() {
    let rest = |exclude: &str| {
        format!(
            "[collect.q]\nfrom = \"query\"\nnames = \"header:x-names | split:','\"\n{exclude}name = \"pct\"\nvalue = \"pct\"\n\
             item = \"{{name}}={{value}}\"\njoin = \"&\"\n{TIMED}"
        )
    };
    let profile = |exclude: &str| load("ts = \"header:x-ts\"", r#""{method}\n{path}\n{q}\n{host}\n{ts}""#, &rest(exclude)).unwrap();
    let of = |target, names| Request { target, ..Request::get(&[("x-ts", "1764000000"), ("x-names", names)]) };
    let signed = of("/a?amount=5&To=b", "amount,To");
    let all = profile("");
    assert_eq!(signed.judge(&all), Ok(()));
    for other in [of("/a?AMOUNT=5&To=b", "amount,To"), of("/a?amount=5&to=b", "amount,To")] {
        assert!(is_code(&other.judge_with_mac_of(&signed, &all, NOW), Code::SignatureMalformed), "{}", other.target);
    }
    // What is excluded is the parameter of that name, too.
    let some = profile("exclude = [\"To\"]\n");
    let trace = signed.trace(&some, &"0".repeat(64), NOW);
    assert!(trace.strings_to_sign[0].windows(12).any(|text| text == b"\namount=5\nap"), "{trace:?}");
}

#[test]
fn a_member_is_not_signed_by_another_that_is_written_with_its_name() {
    let rest = format!(
        "[collect.l]\nfrom = \"auth\"\nexclude = [\"ts\"]\nname = \"replace:'x-','' | pct\"\nvalue = \"pct\"\n\
         item = \"{{name}}={{value}}\"\njoin = \"&\"\n{TIMED}"
    );
    let fields = "auth = \"header:x-auth | params:','\"\nts = \"auth.ts\"";
    let profile = load(fields, r#""{method}\n{target}\n{host}\n{l}""#, &rest).unwrap();
    let judged = Request::get(&[("x-auth", "x-ts=1,ts=1764000000")]).judge(&profile);
    assert!(is_code(&judged, Code::SignatureCoverage), "{judged:?}");
    let rest = rest.replace("exclude = [\"ts\"]\n", "");
    let profile = load(fields, r#""{method}\n{target}\n{host}\n{l}""#, &rest).unwrap();
    assert_eq!(Request::get(&[("x-auth", "x-ts=1,ts=1764000000")]).judge(&profile), Ok(()));
}

#[test]
fn a_text_that_is_asked_for_under_a_condition_is_signed_only_with_what_the_condition_reads() {
    let by_requirement = "[[require]]\nwhen = \"header:x-read\"\none_of = [\"method\", \"GET\"]\n\
         [[require]]\nunless = \"header:x-read\"\none_of = [\"method\", \"DELETE\"]\n";
    let by_equality = "[constants]\nread = \"GET\"\n[[require]]\nwhen = \"header:x-read\"\nequal = [\"method\", \"const:read\"]\n";
    let by_let = "[let]\nwanted = [{ text = \"GET\", when = \"header:x-read\" }, { text = \"DELETE\", unless = \"header:x-read\" }]\n\
         [[require]]\nequal = [\"method\", \"wanted\"]\n";
    let through_let = "[let]\nread = [{ text = \"x\", when = \"header:x-read\" }]\n\
         [[require]]\nwhen = \"read\"\none_of = [\"method\", \"GET\"]\n";
    // Which of two signed values is meant has to be signed too.
    let which = "[[require]]\nwhen = \"header:x-read\"\nequal = [\"method\", \"one\"]\n";
    for rest in [by_requirement, by_equality, by_let, through_let, which] {
        let profile = |message| load("ts = \"header:x-ts\"\none = \"header:x-one\"", message, &format!("{rest}{TIMED}")).unwrap();
        let request = Request::get(&[("x-ts", "1764000000"), ("x-read", "1"), ("x-one", "GET")]);
        let unsigned = profile(r#""{target}\n{host}\n{ts}\n{one}""#);
        assert!(is_code(&request.judge(&unsigned), Code::SignatureCoverage), "{rest}");
        let signed = profile(r#""{target}\n{host}\n{ts}\n{one}\n{header:x-read | optional}""#);
        assert_eq!(request.judge(&signed), Ok(()), "{rest}");
        let deletes = Request { method: "DELETE", ..Request::get(&[("x-ts", "1764000000"), ("x-one", "DELETE")]) };
        assert!(deletes.judge_with_mac_of(&request, &signed, NOW).is_err(), "{rest}");
    }
}

#[test]
fn a_time_is_signed_with_what_chooses_it() {
    let rest = "[let]\nwhen = [{ text = \"1{a}\", when = \"header:x-b\" }, { text = \"01{b}\", unless = \"header:x-b\" }]\n\
         [time]\nat = \"when\"\nformat = \"unix\"\n";
    let fields = "a = { from = \"header:x-ts\", match = '[0-9]{9}' }\nb = { from = \"header:x-time\", match = '[0-9]{9}' }";
    let request = Request::get(&[("x-ts", "764000000"), ("x-time", "764000000")]);
    let profile = load(fields, r#""{method}\n{target}\n{host}\n{a}\n{b}""#, rest).unwrap();
    let both = request.with(&[("x-b", "1")]);
    assert!(is_code(&both.judge(&profile), Code::SignatureCoverage));
    let profile = load(fields, r#""{method}\n{target}\n{host}\n{a}\n{b}\n{header:x-b | optional}""#, rest).unwrap();
    assert_eq!(both.judge(&profile), Ok(()));
    assert_eq!(request.judge(&profile), Ok(()));
}

#[test]
fn a_number_is_digits_and_nothing_else() {
    let fields = "ts = \"header:x-ts\"\nn = \"header:x-n\"";
    let message = r#""{method}\n{target}\n{host}\n{ts}\n{n}""#;
    let window = load(fields, message, &format!("{TIMED}window = \"n\"\nwindow_most = 60\n")).unwrap();
    let counter = load(fields, message, &format!("{TIMED}[replay]\ncounter = \"n\"\n")).unwrap();
    let of = |n: &str, profile: &Profile| Request::get(&[("x-ts", "1764000000"), ("x-n", n)]).trace(profile, &"0".repeat(64), NOW);
    for profile in [&window, &counter] {
        let judged = |n: &str| {
            let request = Request::get(&[("x-ts", "1764000000"), ("x-n", n)]);
            let trace = of(n, profile);
            // A window is read before the string to sign is made.
            if trace.strings_to_sign.is_empty() { trace.judged } else { request.judge(profile) }
        };
        assert_eq!(judged("5"), Ok(()));
        for n in ["+5", "-5", "", "5.0", "0x5", "99999999999999999999"] {
            let refusal = judged(n).unwrap_err();
            assert!(refusal.to_string().contains("not a plain number"), "{n}: {refusal}");
        }
    }
}
