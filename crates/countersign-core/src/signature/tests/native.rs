//! The native scheme, whole: what is signed, what is refused, and what its checks hold it to.

use std::sync::Arc;

use http::{HeaderMap, Request};
use serde_json::Value;

use super::super::load::Constants;
use super::super::signing::ToSign;
use super::super::*;
use crate::code::{Code, Refusal};
use crate::fresh::Fresh;
use crate::id::ProfileName;
use crate::now::UnixMillis;
use crate::principal::{Principal, Scopes};
use crate::replay::Claim;
use crate::request_view::{Connection, RequestView, Scheme};
use crate::secret::SecretText;

const NOW: i64 = 1_764_000_000;
const SECRET: &str = "css_000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f8bc1c2ea";

fn native() -> Profile {
    Profile::native().unwrap()
}

fn at(seconds: i64) -> UnixMillis {
    UnixMillis::from_seconds(seconds)
}

fn secret(text: &str) -> SecretText {
    SecretText::new(text.to_owned())
}

fn key(secrets: Vec<LiveSecret>) -> LiveKey {
    let principal = Principal { id: "cl_0000000000000001".parse().unwrap(), name: "acme".into() };
    LiveKey::new("ck_demo".parse().unwrap(), principal.into(), Arc::new(Scopes::default()), ProfileName::native(), secrets)
}

fn live(text: &str, ends: Option<i64>) -> LiveSecret {
    LiveSecret::new(&native(), "se_1".parse().unwrap(), &secret(text), ends.map(at)).unwrap()
}

fn connection(public_scheme: Scheme) -> Connection {
    Connection { peer: "127.0.0.1:1".parse().unwrap(), public_scheme, proxies: Arc::default() }
}

/// A request of the vectors: what is sent, and when it is judged.
#[derive(Clone)]
struct Sent {
    method: String,
    scheme: Scheme,
    host: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    at: i64,
}

impl Sent {
    fn of(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().unwrap().to_owned();
        let headers = value["headers"].as_array().unwrap().iter();
        Self {
            method: text("method"),
            scheme: if text("scheme") == "https" { Scheme::Https } else { Scheme::Http },
            host: text("host"),
            target: text("target"),
            headers: headers.map(|h| (h[0].as_str().unwrap().to_owned(), h[1].as_str().unwrap().to_owned())).collect(),
            body: text("body").into_bytes(),
            at: value["now"].as_i64().unwrap(),
        }
    }

    fn parts(&self) -> http::request::Parts {
        let mut request = Request::builder().method(self.method.as_str()).uri(self.target.as_str()).header("host", &self.host);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn verify_with(&self, profile: &Profile, key: Option<&LiveKey>) -> Result<MacGood, Refusal> {
        let (parts, connection) = (self.parts(), connection(self.scheme));
        let view = RequestView::judge(&parts, &connection)?;
        let fields = profile.find_fields(Head::of(&view))?.ok_or(Code::CredentialsRequired)?;
        fields.check_time(at(self.at), UnixMillis::MIN)?;
        fields.verify(Body::of(&self.body), key, at(self.at))
    }

    fn string_to_sign(&self) -> Result<String, Refusal> {
        let (parts, connection, profile) = (self.parts(), connection(self.scheme), native());
        let view = RequestView::judge(&parts, &connection)?;
        let fields = profile.find_fields(Head::of(&view))?.ok_or(Code::CredentialsRequired)?;
        let text = fields.trace(Body::of(&self.body), &[], at(self.at)).strings_to_sign.concat();
        Ok(String::from_utf8(text).unwrap())
    }

    fn verify(&self, key: Option<&LiveKey>) -> Result<MacGood, Code> {
        self.verify_with(&native(), key).map_err(|refusal| refusal.code)
    }
}

fn sent(signed_at: i64) -> Sent {
    signed_with(&native(), signed_at)
}

fn signed_with(profile: &Profile, signed_at: i64) -> Sent {
    let content_type: HeaderMap = [(http::header::CONTENT_TYPE, "application/json".parse().unwrap())].into_iter().collect();
    let to_sign = ToSign {
        method: "POST",
        scheme: Scheme::Http,
        host: "api.test",
        target: "/api/v3.0/orders?a=1",
        headers: &content_type,
        body: Body::of(b"{}"),
    };
    let signed = profile.sign("ck_demo", &secret(SECRET), &to_sign, at(signed_at), Fresh::new([7; 16])).unwrap();
    let mut headers: Vec<_> = signed.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    headers.push(("content-type".to_owned(), "application/json".to_owned()));
    Sent {
        method: "POST".to_owned(),
        scheme: Scheme::Http,
        host: "api.test".to_owned(),
        target: "/api/v3.0/orders?a=1".to_owned(),
        headers,
        body: b"{}".to_vec(),
        at: signed_at,
    }
}

#[test]
fn what_we_sign_verifies_and_says_who() {
    let good = sent(NOW).verify(Some(&key(vec![live(SECRET, None)]))).unwrap();
    assert_eq!(good.claim().signed_at, at(NOW));
    assert_eq!(good.claim().keep_until, at(NOW + 360));
    assert_eq!(good.secret().as_str(), "se_1");
    let verified = good.finish(Claim::First).unwrap();
    assert_eq!(&*verified.get().credential, "ck_demo");
    assert_eq!(&*verified.get().principal.name, "acme");
}

#[test]
fn only_a_first_claim_makes_a_proof() {
    let codes = [Claim::Seen, Claim::Full, Claim::BeforeFence, Claim::ClockBehind, Claim::CounterLost].map(|claim| {
        let refusal = sent(NOW).verify(Some(&key(vec![live(SECRET, None)]))).unwrap().finish(claim).unwrap_err();
        assert_eq!(refusal.retry_after.is_some(), claim == Claim::Full);
        refusal.code
    });
    assert_eq!(codes, [Code::Replayed, Code::TooManyNonces, Code::SignedBeforeFence, Code::ClockBehind, Code::CounterLost]);
}

#[test]
fn every_part_of_the_request_is_signed() {
    let key = key(vec![live(SECRET, None)]);
    let change = |f: fn(&mut Sent)| {
        let mut sent = sent(NOW);
        f(&mut sent);
        sent.verify(Some(&key)).map(|_| ()).unwrap_err()
    };
    fn header(sent: &mut Sent, name: &str, to: &str) {
        sent.headers.retain(|(n, _)| n != name);
        sent.headers.push((name.to_owned(), to.to_owned()));
    }
    let changes: [fn(&mut Sent); 12] = [
        |s| s.method = "PUT".to_owned(),
        |s| s.host = "api.tesu".to_owned(),
        |s| s.host = "api.test:8080".to_owned(),
        |s| s.target = "/api/v3.0/orders?a=2".to_owned(),
        |s| s.target = "/api/v3.0/orders".to_owned(),
        |s| s.target = "/api/v3.0/order?a=1".to_owned(),
        |s| s.body = b"{ }".to_vec(),
        |s| s.body = Vec::new(),
        |s| header(s, "content-type", "text/plain"),
        |s| s.headers.retain(|(n, _)| n != "content-type"),
        |s| header(s, "x-timestamp", &(NOW + 1).to_string()),
        |s| header(s, "x-nonce", "08070707070707070707070707070707"),
    ];
    for (i, f) in changes.into_iter().enumerate() {
        assert_eq!(change(f), Code::SignatureMismatch, "change {i}");
    }
}

#[test]
fn unknown_keys_and_keys_of_another_scheme_say_what_a_wrong_mac_says() {
    let wrong = sent(NOW).verify_with(&native(), Some(&key(vec![live(&SECRET.replace('0', "1"), None)]))).unwrap_err();
    assert_eq!(wrong, Code::SignatureMismatch.into());
    assert_eq!(sent(NOW).verify_with(&native(), None).unwrap_err(), wrong);
    let mut other = key(vec![live(SECRET, None)]);
    other.profile = "stripe".parse().unwrap();
    assert_eq!(sent(NOW).verify_with(&native(), Some(&other)).unwrap_err(), wrong);
    let mut other = key(vec![live(SECRET, None)]);
    other.id = "ck_other".parse().unwrap();
    assert_eq!(sent(NOW).verify_with(&native(), Some(&other)).unwrap_err(), wrong);
    assert_eq!(sent(NOW).verify_with(&native(), Some(&key(vec![]))).unwrap_err(), wrong);
}

#[test]
fn either_of_two_secrets_signs_until_its_end() {
    let other = SECRET.replace('0', "1");
    for secrets in [vec![live(SECRET, None), live(&other, None)], vec![live(&other, None), live(SECRET, Some(NOW + 1))]] {
        assert!(sent(NOW).verify(Some(&key(secrets))).is_ok());
    }
    assert_eq!(sent(NOW).verify(Some(&key(vec![live(&other, None), live(SECRET, Some(NOW))]))).unwrap_err(), Code::SignatureMismatch);
}

#[test]
fn a_secret_has_one_fingerprint_whatever_names_it() {
    assert_eq!(live(SECRET, None).fingerprint(), live(SECRET, Some(1)).fingerprint());
    assert_eq!(live(SECRET, None).fingerprint(), live(&format!("{SECRET}\0"), None).fingerprint(), "HMAC cannot tell them apart");
    assert_ne!(live(SECRET, None).fingerprint(), live(&SECRET.replace('0', "1"), None).fingerprint());
    assert!(LiveSecret::new(&native(), "se_1".parse().unwrap(), &secret("short"), None).is_err());
}

#[test]
fn the_time_window_is_exact_to_the_millisecond() {
    let request = sent(NOW);
    let profile = native();
    let (parts, connection) = (request.parts(), connection(Scheme::Http));
    let view = RequestView::judge(&parts, &connection).unwrap();
    let fields = profile.find_fields(Head::of(&view)).unwrap().unwrap();
    let judge = |millis: i64| fields.check_time(UnixMillis::from_millis(NOW * 1000 + millis), UnixMillis::MIN).map_err(|r| r.code);
    assert_eq!(judge(300_000), Ok(()));
    assert_eq!(judge(300_001), Err(Code::TimestampTooOld));
    assert_eq!(judge(-60_000), Ok(()));
    assert_eq!(judge(-60_001), Err(Code::TimestampTooNew));
}

#[test]
fn what_was_signed_at_or_before_the_fence_is_refused_before_its_body() {
    let request = sent(NOW);
    let profile = native();
    let (parts, connection) = (request.parts(), connection(Scheme::Http));
    let view = RequestView::judge(&parts, &connection).unwrap();
    let fields = profile.find_fields(Head::of(&view)).unwrap().unwrap();
    assert_eq!(fields.check_time(at(NOW), at(NOW)).unwrap_err().code, Code::SignedBeforeFence);
    assert!(fields.check_time(at(NOW), at(NOW - 1)).is_ok());
    assert_eq!(fields.check_time(at(NOW + 301), UnixMillis::MIN).unwrap_err().code, Code::TimestampTooOld);
}

/// The native profile with some of its text replaced.
fn changed(from: &str, to: &str) -> Result<Profile, String> {
    let text = built_in::built_in("v3.0").unwrap();
    assert!(text.contains(from), "{from}");
    Profile::load(&text.replace(from, to), &Constants::new()).map_err(|bad| bad.to_string())
}

#[test]
fn a_profile_with_a_hole_does_not_load_unless_the_hole_is_named() {
    assert!(changed("{host}\n", "").unwrap_err().contains("does not cover: host"));
    let named = Profile::load(
        &built_in::built_in("v3.0").unwrap().replace("{host}\n", "").replace("uncovered = []", "uncovered = [\"host\"]"),
        &Constants::new(),
    );
    assert_eq!(named.unwrap().uncovered().to_string(), "host");
    assert!(changed("{ts}\n", "").unwrap_err().contains("checked but not signed: ts"));
    assert!(changed("{nonce}\n", "").unwrap_err().contains("checked but not signed: nonce"));
    assert!(changed("{host}\n{target}", "{target}{host}").unwrap_err().contains("side by side"));
}

#[test]
fn a_body_that_is_not_signed_is_refused_per_request() {
    let hole = changed("\n{body | sha256 | hex}", "").unwrap();
    let refusal = unsigned(&hole).unwrap_err();
    assert_eq!(refusal.code, Code::SignatureCoverage);
    assert!(refusal.detail.unwrap().contains("body"));
}

#[test]
fn a_value_that_was_cut_does_not_cover_the_part_it_was_cut_from() {
    let cut = changed("{target}", "{target | take:'12'}").unwrap();
    let refusal = unsigned(&cut).unwrap_err();
    assert_eq!(refusal.code, Code::SignatureCoverage);
    assert!(refusal.detail.unwrap().contains("path, query"));
}

/// What comes of a request that was signed in a scheme with a hole: our own signer refuses to make it.
fn unsigned(profile: &Profile) -> Result<(), Refusal> {
    let headers = HeaderMap::new();
    let to_sign = ToSign {
        method: "POST",
        scheme: Scheme::Http,
        host: "api.test",
        target: "/api/v3.0/orders?a=1",
        headers: &headers,
        body: Body::of(b"{}"),
    };
    match profile.sign("ck_demo", &secret(SECRET), &to_sign, at(NOW), Fresh::new([7; 16])) {
        Ok(_) => Ok(()),
        Err(signing::CannotSign::Refused(refusal)) => Err(refusal),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_profile_with_another_mac_and_another_spelling_runs_the_same_way() {
    let text = built_in::built_in("v3.0").unwrap();
    let text = text.replace("hmac-sha256", "hmac-sha512").replace("encoding = \"hex\"", "encoding = \"base64\"");
    let text = text.replace("match = '[0-9a-f]{64}'", "match = '[A-Za-z0-9+/=]{88}'");
    let other = Profile::load(&text, &Constants::new()).unwrap();
    let secret = LiveSecret::new(&other, "se_1".parse().unwrap(), &secret(SECRET), None).unwrap();
    let key = key(vec![secret]);
    let mut sent = signed_with(&other, NOW);
    assert!(sent.verify_with(&other, Some(&key)).is_ok());
    sent.body.push(b' ');
    assert_eq!(sent.verify_with(&other, Some(&key)).unwrap_err().code, Code::SignatureMismatch);
}

proptest::proptest! {
    #[test]
    fn whatever_is_signed_verifies_and_no_change_of_it_does(
        method in "(GET|POST|PUT|DELETE|PATCH)",
        path in "(/[a-zA-Z][a-zA-Z0-9._~!$&'()*+,=:@-]{0,11}){1,4}",
        query in proptest::option::of("([a-zA-Z0-9._~!$&'()*+,;=:@/?-]|%2[0-9]){0,24}"),
        host in "([a-zA-Z0-9]{1,8}\\.){0,3}[a-zA-Z]{2,8}(:[1-9][0-9]{3}|:443)?",
        content_type in proptest::option::of("[a-z]{1,10}/[a-z]{1,10}(; [a-z]{1,8}=[a-z0-9-]{1,8})?"),
        body in proptest::collection::vec(0u8.., 0..64),
        nonce: [u8; 16],
        lead in -60i64..=300,
        change in 0usize..6,
    ) {
        let target = query.map_or(path.clone(), |query| format!("{path}?{query}"));
        let sent_headers: HeaderMap =
            content_type.iter().map(|value| (http::header::CONTENT_TYPE, value.parse().unwrap())).collect();
        let to_sign =
            ToSign { method: &method, scheme: Scheme::Https, host: &host, target: &target, headers: &sent_headers, body: Body::of(&body) };
        let signed = native().sign("ck_demo", &secret(SECRET), &to_sign, at(NOW - lead), Fresh::new(nonce)).unwrap();
        let mut headers: Vec<_> = signed.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        headers.extend(content_type.map(|value| ("content-type".to_owned(), value)));
        let sent = Sent { method, scheme: Scheme::Https, host, target, headers, body, at: NOW };
        let key = key(vec![live(SECRET, None)]);
        proptest::prop_assert!(sent.verify(Some(&key)).is_ok());

        let mut changed = sent.clone();
        match change {
            0 => changed.method.push('X'),
            1 => changed.target.push('x'),
            2 => changed.target.insert(1, 'x'),
            3 => changed.host.insert(0, 'x'),
            4 => changed.body.push(0),
            _ => changed.headers.push(("content-type".to_owned(), "x/y".to_owned())),
        }
        proptest::prop_assert!(changed.verify(Some(&key)).is_err());
    }
}

#[test]
fn the_published_vectors_hold() {
    let vectors: Value = serde_json::from_str(include_str!("../../../../../vectors/native.json")).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert!(cases.len() >= 20);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let key = key(vec![live(vectors["secret"].as_str().unwrap(), None)]);
        let sent = Sent::of(&case["request"]);
        let verified = sent.verify_with(&native(), Some(&key));
        match case["code"].as_str() {
            None => assert!(verified.is_ok(), "{name}: {verified:?}"),
            Some(code) => assert_eq!(verified.unwrap_err().code.as_str(), code, "{name}"),
        }
        if let Some(expected) = case["string_to_sign"].as_str() {
            assert_eq!(sent.string_to_sign().unwrap(), expected, "{name}");
        }
    }
}
