//! What an attacker tried on profiles that look safe: each is refused, when it is loaded or when a request comes.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName};

use super::super::signing::{CannotSign, ToSign};
use super::super::*;
use crate::code::{Code, Refusal};
use crate::fresh::Fresh;
use crate::now::UnixMillis;
use crate::request_view::Scheme;
use crate::secret::SecretText;

const NOW: UnixMillis = UnixMillis::from_seconds(1_764_000_000);

/// A profile with a sound frame around `message` and whatever else is given.
fn load(message: &str, more: &str) -> Result<Profile, String> {
    let text = format!(
        r#"name = "try"
title = "Tried"
detect = ["header:x-mac"]
{more}
[mac]
algorithm = "hmac-sha256"
message = """
{message}"""
[[sign]]
header = "X-Time"
value = "{{now | time:'unix'}}"
[[sign]]
header = "X-Mac"
value = "{{mac}}"
"#
    );
    Profile::load(&text, &BTreeMap::new()).map_err(|bad| bad.to_string())
}

const FIELDS: &str = "[fields]\nmac = \"header:x-mac\"\nts = { from = \"header:x-time\", match = '[0-9]{10}' }\n";
const TIME: &str = "[time]\nat = \"ts\"\nformat = \"unix\"\n";

/// What comes of a request that is signed and then changed.
fn changed(profile: &Profile, signed: (&str, &str, &[u8]), sent: (&str, &str, &[u8])) -> Result<(), Refusal> {
    let secret = SecretText::new("0123456789abcdef0123456789abcdef".to_owned());
    let none = HeaderMap::new();
    let to_sign =
        ToSign { method: "POST", scheme: Scheme::Https, host: signed.0, target: signed.1, headers: &none, body: Body::of(signed.2) };
    let made = match profile.sign("", &secret, &to_sign, NOW, Fresh::new([7; 16])) {
        Ok(made) => made,
        Err(CannotSign::Refused(refusal)) => return Err(refusal),
        Err(other) => panic!("{other}"),
    };
    let mut headers: HeaderMap =
        made.headers.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect();
    headers.insert("host", sent.0.parse().unwrap());
    let head = Head { method: "POST", scheme: Scheme::Https, host: sent.0, target: sent.1, headers: &headers };
    let live = [LiveSecret::of_any_length(profile, &secret).unwrap()];
    profile.find_fields(head)?.unwrap().trace(Body::of(sent.2), &live, NOW).judged
}

#[test]
fn what_a_filter_made_nothing_of_is_not_absent() {
    let message = "{method}\n{host}\n{target}\n{ts}\n{body | json:'/id' | default:''}";
    let profile = load(message, &format!("{FIELDS}{TIME}")).unwrap();
    let same = ("api.test", "/a", b"".as_slice());
    assert_eq!(changed(&profile, same, same), Ok(()));
    let refusal = changed(&profile, same, ("api.test", "/a", br#"{"pay":1000000}"#)).unwrap_err();
    assert_eq!(refusal.code, Code::SignatureCoverage);
}

#[test]
fn headers_without_a_name_of_their_own_are_trusted_by_no_check() {
    let message = "{method}\n{host}\n{target}\n{body}";
    for trusted in [
        "[time]\nat = \"headers:x-time | first\"\nformat = \"unix\"\n".to_owned(),
        format!("{TIME}[replay]\nonce = [\"headers:x-nonce | first\"]\n"),
    ] {
        let refused = load(&format!("{message}\n{{ts}}"), &format!("{FIELDS}{trusted}")).unwrap_err();
        assert!(refused.contains("checked but not signed"), "{refused}");
    }
    // An unsigned header that must be the digest of the body pins nothing.
    let unsigned = "[[require]]\nwhen = \"header:x-digest\"\nequal = [\"headers:x-digest | first\", \"body | sha256 | hex\"]\n";
    let sign = "[[sign]]\nheader = \"X-Digest\"\nvalue = \"{body | sha256 | hex}\"\n";
    let profile = load("{method}\n{host}\n{target}\n{ts}", &format!("{FIELDS}{TIME}{unsigned}{sign}")).unwrap();
    let refusal = changed(&profile, ("api.test", "/a", b"x"), ("api.test", "/a", b"x")).unwrap_err();
    assert_eq!(refusal.code, Code::SignatureCoverage);
}

#[test]
fn a_port_is_not_a_host_and_a_name_is_one_only_at_the_default_port() {
    let by = |host: &str| load(&format!("{{method}}\n{host}\n{{target}}\n{{ts}}\n{{body}}"), &format!("{FIELDS}{TIME}"));
    let sent = |host| ("same", host, "/a", b"x".as_slice());
    let judge = |profile: &Profile, host: &'static str| {
        let (_, host, target, body) = sent(host);
        changed(profile, (host, target, body), (host, target, body)).map_err(|refusal| refusal.code)
    };
    assert!(by("{port}").is_err(), "the port says nothing about the name");
    let name = by("{host_name}").unwrap();
    assert_eq!(judge(&name, "api.test"), Ok(()));
    assert_eq!(judge(&name, "api.test:8443"), Err(Code::SignatureCoverage));
    assert_eq!(judge(&by("{host_name}\n{port}").unwrap(), "api.test:8443"), Ok(()));
}

#[test]
fn a_list_that_takes_the_first_of_two_leaves_the_second_open() {
    let collect = "[collect.q]\nfrom = \"query\"\nnames = \"listed\"\nrepeated = \"first\"\nname = \"pct\"\nvalue = \"pct\"\nitem = \"{name}={value}\"\njoin = \"&\"\n";
    let fields = "[fields]\nmac = \"header:x-mac\"\nts = { from = \"header:x-time\", match = '[0-9]{10}' }\nlisted = \"const:names | split:','\"\n[constants]\nnames = \"a\"\n";
    let message = "{method}\n{host}\n{path}\n{ts}\n{body | sha256 | hex}\n{q}";
    let profile = load(message, &format!("{fields}{TIME}{collect}")).unwrap();
    let signed = ("api.test", "/a?a=1", b"".as_slice());
    assert_eq!(changed(&profile, signed, signed), Ok(()));
    let refusal = changed(&profile, signed, ("api.test", "/a?a=1&a=evil", b"")).unwrap_err();
    assert_eq!(refusal.code, Code::SignatureCoverage);
    assert!(load(message, &format!("{fields}{TIME}{}", collect.replace("item =", "prefix = [\"a\"]\nitem ="))).is_err());
}

#[test]
fn nobodys_secret_signs_nothing() {
    let profile = load("{method}\n{host}\n{target}\n{ts}\n{body}", &format!("{FIELDS}{TIME}")).unwrap();
    let secret = SecretText::new("0".repeat(32));
    let none = HeaderMap::new();
    let to_sign = ToSign { method: "POST", scheme: Scheme::Https, host: "api.test", target: "/a", headers: &none, body: Body::of(b"x") };
    let made = profile.sign("", &secret, &to_sign, NOW, Fresh::new([7; 16])).unwrap();
    let headers: HeaderMap =
        made.headers.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect();
    // On another path, so that a MAC that verified would show in another code.
    let head = Head { method: "POST", scheme: Scheme::Https, host: "api.test", target: "/a", headers: &headers };
    let fields = profile.find_fields(head).unwrap().unwrap();
    assert_eq!(fields.verify(Body::of(b"x"), None, NOW).unwrap_err(), Code::SignatureMismatch.into());
    assert_eq!(fields.trace(Body::of(b"x"), &[], NOW).judged.unwrap_err().code, Code::SignatureMismatch);
}
