//! Every built-in profile, signing what it verifies, and every change to what was signed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::super::built_in::BUILT_IN;
use super::super::coverage::Parts;
use super::super::signing::{ToSign, canonical_host};
use super::super::*;
use super::published::{Vector, each_vector, profile};
use crate::code::{Code, Refusal};
use crate::fresh::Fresh;
use crate::now::UnixMillis;
use crate::principal::Principal;
use crate::replay::{NewClaim, Tier};
use crate::request_view::Scheme;
use crate::secret::SecretText;

const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const HOST: &str = "api.example.com:8443";
const JSON: &str =
    r#"{"nonce":1700000000000,"webhookTimestamp":1700000000000,"client_request_id":"3f2b6c1e-8a4d-4e5f-9b7a-0c1d2e3f4a5b","brand":"b"}"#;
const FORM: &str = "application/x-www-form-urlencoded";

/// Requests to sign: name, method, target, Content-Type, body.
const REQUESTS: [(&str, &str, &str, &str, &str); 6] = [
    ("get", "GET", "/api/v2/b", "", ""),
    ("query", "GET", "/a%20b/c?x=1&flag&y=a%20b%2Bc&e=%C3%A9&x=0", "", ""),
    ("json", "POST", "/api/v2/b", "application/json", JSON),
    ("form", "POST", "/f", FORM, "a=1&b=%20x+y&nonce=1700000000000"),
    ("both", "PUT", "/api/v2/b?q=1", "text/plain", JSON),
    ("escaped", "GET", "/api/v2/b?f=a%3Bb%2Fc", "", ""),
];

/// What a profile refuses of these, and why.
const REFUSED: [(&str, &[&str], &[&str]); 9] = [
    (
        "signs no query",
        &["query", "both", "escaped"],
        &[
            "asana",
            "atlassian",
            "box",
            "calcom",
            "calendly",
            "circleci",
            "coinbase-commerce",
            "discourse",
            "docusign",
            "dropbox",
            "elevenlabs",
            "fiserv",
            "gitea",
            "github",
            "helpscout",
            "intercom",
            "lemonsqueezy",
            "line-messaging",
            "meta",
            "notion",
            "oss-v1",
            "paddle",
            "pagerduty",
            "paystack",
            "pusher-webhook",
            "razorpay",
            "s3-v2",
            "sentry",
            "shopify-webhook",
            "slack",
            "standardwebhooks",
            "stripe",
            "twitch",
            "typeform",
            "vercel",
            "webflow",
            "woocommerce",
            "xero",
            "zendesk",
            "zoom",
        ],
    ),
    ("signs a JSON body with its time in it only", &["get", "query", "form", "both", "escaped"], &["linear"]),
    ("refuses a parameter that comes twice", &["query"], &["aliyun-apigw", "shopify-oauth"]),
    ("signs a query or a body, not both", &["both"], &["bybit", "line-pay"]),
    ("signs no body but a form", &["json", "both"], &["duo-v2", "mandrill", "oauth1"]),
    ("signs no body", &["json", "form", "both"], &["hawk-bewit", "shopify-oauth"]),
    ("finds its nonce in a form or JSON body, and signs no query", &["get", "query", "both", "escaped"], &["kraken"]),
    ("signs certain paths and fields of a JSON body, and no query", &["get", "query", "form", "both", "escaped"], &["tillo"]),
    ("signs ; and %3B alike", &["escaped"], &["hubspot-v3"]),
];

/// Profiles that sign the same for no query and an empty one, because they sign parameters.
const SAME_WITHOUT_QUERY: [&str; 13] = [
    "acs3",
    "bce",
    "duo-v2",
    "duo-v5",
    "escher",
    "goog4",
    "huawei",
    "messagebird",
    "oauth1",
    "sigv4",
    "sigv4-rawpath",
    "sigv4-s3",
    "sigv4-s3-unsigned",
];

/// Profiles that sign `;` and `%3B` alike, because published requests of the scheme have a `;` in the query.
const SAME_SEMICOLON: [&str; 1] = ["escher"];

fn constants(name: &str) -> BTreeMap<String, String> {
    let set: &[(&str, &str)] = match name {
        "acs3" => &[("action", "Describe"), ("version", "2014-05-26")],
        "edgegrid" => &[("access_token", "akab-token")],
        "escher" => &[("scope", "eu/service/escher_request")],
        "goog4" => &[("location", "eu")],
        "tc3" => &[("service", "cvm")],
        sigv4 if sigv4.starts_with("sigv4") => &[("region", "eu-west-1"), ("service", "s3")],
        _ => &[],
    };
    set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn secret(name: &str) -> SecretText {
    let attributes = match name {
        "coinbase-exchange" | "okx" => r#", "passphrase": "open"}"#,
        "oauth1" => r#", "token": "a token", "token_secret": "its secret"}"#,
        _ => return SecretText::new(SECRET.to_owned()),
    };
    SecretText::new(format!(r#"{{"secret": "{SECRET}"{attributes}"#))
}

/// A request that is judged, and changed.
#[derive(Clone)]
struct Request<'p> {
    profile: &'p Profile,
    secrets: &'p [LiveSecret],
    now: UnixMillis,
    scheme: Scheme,
    method: String,
    host: String,
    target: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl<'p> Request<'p> {
    /// What is seen of its fields when it is good.
    fn judge(&self) -> Result<Vec<(String, Vec<u8>)>, Refusal> {
        let head = Head { method: &self.method, scheme: self.scheme, host: &self.host, target: &self.target, headers: &self.headers };
        let fields = self.profile.find_fields(head)?.ok_or(Code::SignatureMalformed)?;
        let trace = fields.trace(Body::of(&self.body), self.secrets, self.now);
        trace.judged.map(|()| trace.fields)
    }

    /// Whether it is good.
    fn is_good(&self) -> bool {
        let head = Head { method: &self.method, scheme: self.scheme, host: &self.host, target: &self.target, headers: &self.headers };
        let body = Body::of(&self.body);
        let fields = self.profile.find_fields(head).ok().flatten().and_then(|fields| fields.complete(body).ok());
        fields.is_some_and(|fields| fields.judge(body, self.secrets, self.now).is_ok())
    }

    /// What it claims, if it is good under this key.
    fn claim(&self, key: &LiveKey) -> Option<NewClaim> {
        let head = Head { method: &self.method, scheme: self.scheme, host: &self.host, target: &self.target, headers: &self.headers };
        let fields = self.profile.find_fields(head).ok().flatten()?;
        fields.verify(Body::of(&self.body), Some(key), self.now).ok().map(|good| good.claim().clone())
    }

    fn of(vector: &Vector<'_>, profile: &'p Profile, secrets: &'p [LiveSecret]) -> Self {
        let head = vector.head();
        Self {
            profile,
            secrets,
            now: vector.now(),
            scheme: head.scheme,
            method: head.method.to_owned(),
            host: head.host.to_owned(),
            target: head.target.to_owned(),
            headers: head.headers.clone(),
            body: vector.body().to_vec(),
        }
    }

    /// The request of `REQUESTS` with this index, signed.
    fn signed(profile: &'p Profile, secrets: &'p [LiveSecret], secret: &SecretText, which: usize) -> Result<Self, String> {
        let (_, method, target, content_type, body) = REQUESTS[which];
        let now = UnixMillis::from_seconds(1_700_000_000);
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        let key_id = if profile.name().as_str() == "azure-acs" { HOST } else { "kid1" };
        let request = ToSign { method, scheme: Scheme::Https, host: HOST, target, headers: &headers, body: Body::of(body.as_bytes()) };
        let signed = profile.sign(key_id, secret, &request, now, Fresh::new(*b"0123456789abcdef")).map_err(|error| error.to_string())?;
        headers.insert(http::header::HOST, HeaderValue::from_static(HOST));
        for (name, value) in &signed.headers {
            headers.insert(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
        }
        let (method, body, target) = (method.to_owned(), body.as_bytes().to_vec(), signed.target);
        Ok(Self { profile, secrets, now, scheme: Scheme::Https, method, host: HOST.to_owned(), target, headers, body })
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    fn with_host(&self, host: &str) -> Self {
        self.with(|request| {
            request.host = canonical_host(host, request.scheme);
            request.headers.insert(http::header::HOST, host.parse().unwrap());
        })
    }
}

/// Calls `each` with every built-in profile that signs, and its requests, signed or refused.
fn each_signed(mut each: impl FnMut(&str, &str, Result<Request<'_>, String>)) {
    for (name, _) in BUILT_IN {
        let profile = profile(name, &constants(name));
        if !profile.can_sign() {
            continue;
        }
        let secret = secret(name);
        let secrets = [LiveSecret::of_any_length(&profile, &secret).unwrap()];
        for (which, (request, ..)) in REQUESTS.iter().enumerate() {
            each(name, request, Request::signed(&profile, &secrets, &secret, which));
        }
    }
}

#[test]
fn every_profile_that_signs_verifies_what_it_signs() {
    let refused = |name: &str, request: &str| {
        REFUSED.iter().find(|(_, requests, names)| requests.contains(&request) && names.contains(&name)).map(|(why, ..)| *why)
    };
    let mut wrong = Vec::new();
    each_signed(|name, request, signed| match (refused(name, request), signed.map(|signed| signed.judge())) {
        (None, Ok(Ok(_))) | (Some(_), Err(_)) => {}
        (None, Ok(Err(refusal))) => wrong.push(format!("{name}, {request}: signed, and refused: {refusal}")),
        (None, Err(why)) => wrong.push(format!("{name}, {request}: {why}")),
        (Some(why), Ok(_)) => wrong.push(format!("{name}, {request}: signed, although it {why}")),
    });
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_claim_has_to_be_kept_for_longer_than_its_tier_keeps_any() {
    let principal = Principal { id: "cl_0000000000000001".parse().unwrap(), name: "acme".into() };
    let (mut tiers, mut counters) = (BTreeSet::new(), 0);
    each_signed(|name, request, signed| {
        let Ok(signed) = signed else { return };
        let id = if name == "azure-acs" { HOST } else { "kid1" };
        let secret = LiveSecret::new(signed.profile, "se_0000000000000001".parse().unwrap(), &secret(name), None).unwrap();
        let key = LiveKey::new(id.parse().unwrap(), principal.clone().into(), Arc::default(), signed.profile.name().clone(), vec![secret]);
        let Some(claim) = signed.claim(&key) else { return };
        assert!(claim.keep_until <= signed.now.plus(claim.tier.reach()), "{name}, {request}: {claim:?}");
        counters += usize::from(claim.counter.is_some());
        tiers.insert(claim.tier);
    });
    assert!(tiers.len() == Tier::ALL.len() && counters > 0, "{tiers:?} {counters}");
}

#[test]
fn a_client_of_oauth_needs_no_token() {
    let profile = profile("oauth1", &BTreeMap::new());
    let secret = SecretText::new(SECRET.to_owned());
    let secrets = [LiveSecret::of_any_length(&profile, &secret).unwrap()];
    let signed = Request::signed(&profile, &secrets, &secret, 1).unwrap();
    assert!(signed.is_good());
    let with = |parameter: &str| {
        let written = signed.headers["authorization"].to_str().unwrap().replace("oauth_version", &format!("{parameter}, oauth_version"));
        signed.with(|r| _ = r.headers.insert("authorization", written.parse().unwrap()))
    };
    assert!(!with(r#"oauth_token="a token""#).is_good());
    assert!(!with(r#"oauth_token="""#).is_good());
}

/// What somebody in the middle could change.
#[derive(Debug)]
enum Change {
    Part(Parts),
    /// From no query to an empty one.
    EmptyQuery,
    /// From an encoded `;` in the query to one that stands for itself.
    Semicolon,
    /// The value of a field of the signature.
    Field(String),
}

fn changes<'p>(request: &Request<'p>, fields: &[(String, Vec<u8>)]) -> Vec<(Change, String, Request<'p>)> {
    let mut all = Vec::new();
    let mut add = |part, what: &str, changed: Request<'p>| all.push((Change::Part(part), what.to_owned(), changed));
    add(Parts::METHOD, "another method", request.with(|r| r.method = "DELETE".to_owned()));
    let (path, query) = request.target.split_once('?').map_or((request.target.as_str(), None), |(path, query)| (path, Some(query)));
    let target = |path: &str, query: Option<&str>| query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    for other in [format!("{path}x"), format!("/zz{path}"), format!("{path}/zz")] {
        add(Parts::PATH, &other, request.with(|r| r.target = target(&other, query)));
    }
    for other in ["evil.example.net", "evil.example.net:8443", "api.example.com:9443"] {
        add(Parts::HOST, other, request.with_host(other));
    }
    for (what, other) in query_changes(query) {
        add(Parts::QUERY, &what, request.with(|r| r.target = target(path, other.as_deref())));
    }
    if let Some(query) = query.filter(|query| query.contains("%3B")) {
        let other = query.replace("%3B", ";");
        all.push((Change::Semicolon, other.clone(), request.with(|r| r.target = target(path, Some(&other)))));
    }
    let mut add = |part, what: &str, changed: Request<'p>| all.push((Change::Part(part), what.to_owned(), changed));
    let body = &request.body;
    if let (Some((first, rest)), Some((_, start))) = (body.split_first(), body.split_last()) {
        add(Parts::BODY, "its first byte", request.with(|r| r.body = [&[first ^ 1], rest].concat()));
        add(Parts::BODY, "one byte more", request.with(|r| r.body.push(b'x')));
        add(Parts::BODY, "one byte less", request.with(|r| r.body = start.to_vec()));
        add(Parts::BODY, "no body", request.with(|r| r.body.clear()));
        let is_form = request.headers.get(http::header::CONTENT_TYPE).is_some_and(|value| value == FORM);
        for (what, other) in std::str::from_utf8(body).ok().filter(|_| is_form).map_or_else(Vec::new, |form| query_changes(Some(form))) {
            add(Parts::BODY, &what, request.with(|r| r.body = other.unwrap_or_default().into_bytes()));
        }
    } else {
        for content_type in ["", "text/plain", "application/json", FORM] {
            let what = format!("a body of type {content_type:?}");
            let changed = request.with(|r| {
                r.body = b"new=1".to_vec();
                if !content_type.is_empty() {
                    r.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
                }
            });
            add(Parts::BODY, &what, changed);
        }
    }
    if query.is_none() {
        all.push((Change::EmptyQuery, String::new(), request.with(|r| r.target = format!("{path}?"))));
    }
    for (name, value) in fields {
        // The MAC and its key are what decides; a member of a map is checked only as the field that it became.
        if !name.contains(['.', '[']) && !["mac", "key_id", "signature", "keyid", "label", "alg"].contains(&name.as_str()) {
            all.extend(field_changes(request, value).into_iter().map(|changed| (Change::Field(name.clone()), String::new(), changed)));
        }
    }
    all
}

fn query_changes(query: Option<&str>) -> Vec<(String, Option<String>)> {
    let Some(query) = query else {
        return vec![("a query".to_owned(), Some("zz=1".to_owned()))];
    };
    let mut all = vec![
        ("a parameter more".to_owned(), Some(format!("{query}&zz=1"))),
        ("a parameter before".to_owned(), Some(format!("zz=1&{query}"))),
        ("no query".to_owned(), None),
        ("an & behind".to_owned(), Some(format!("{query}&"))),
        ("an & before".to_owned(), Some(format!("&{query}"))),
    ];
    if let Some((before, behind)) = query.split_once('&') {
        all.push(("an & between".to_owned(), Some(format!("{before}&&{behind}"))));
    }
    let pairs: Vec<_> = query.split('&').collect();
    for (at, pair) in pairs.iter().enumerate() {
        let mut without = pairs.clone();
        without.remove(at);
        all.push((format!("without {pair}"), Some(without.join("&")).filter(|query| !query.is_empty())));
        let mut longer: Vec<_> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
        longer[at].push('1');
        all.push((format!("a longer {pair}"), Some(longer.join("&"))));
        let mut doubled = pairs.clone();
        doubled.insert(at, pair);
        all.push((format!("{pair} twice"), Some(doubled.join("&"))));
        let name = pair.split('=').next().unwrap_or_default();
        let other_case =
            |byte: u8| char::from(if byte.is_ascii_lowercase() { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() });
        if !name.contains('%')
            && let Some((first, rest)) = pair.split_at_checked(1)
            && first.bytes().all(|byte| byte.is_ascii_alphabetic())
        {
            let first: String = first.bytes().map(other_case).collect();
            let renamed = format!("{first}{rest}");
            let mut cased = pairs.clone();
            cased[at] = &renamed;
            all.push((format!("{renamed} for {pair}"), Some(cased.join("&"))));
        }
    }
    all
}

/// The request with the last digit or letter of a field's value changed, in each place where the value stands.
fn field_changes<'p>(request: &Request<'p>, value: &[u8]) -> Vec<Request<'p>> {
    let mut all = Vec::new();
    let Some(last) = value.iter().rposition(u8::is_ascii_alphanumeric) else { return all };
    let other = |byte: u8| match byte {
        b'9' => b'0',
        b'z' => b'a',
        b'Z' => b'A',
        byte => byte + 1,
    };
    let changed = |text: &[u8]| {
        let places = (0..text.len()).filter(|at| text.get(*at..at + value.len()) == Some(value));
        places
            .map(|at| {
                let mut text = text.to_vec();
                text[at + last] = other(text[at + last]);
                text
            })
            .collect::<Vec<_>>()
    };
    for (name, text) in &request.headers {
        for text in changed(text.as_bytes()) {
            all.push(request.with(|r| _ = r.headers.insert(name, HeaderValue::from_bytes(&text).unwrap())));
        }
    }
    for text in changed(request.target.as_bytes()) {
        all.push(request.with(|r| r.target = String::from_utf8(text).unwrap()));
    }
    for text in changed(&request.body) {
        all.push(request.with(|r| r.body = text));
    }
    all
}

#[test]
fn no_mutation_goes_unnoticed() {
    let (mut tried, mut unnoticed) = (0, Vec::new());
    let (mut same_without_query, mut same_semicolon) = (BTreeSet::new(), BTreeSet::new());
    let mut change = |label: &str, request: &Request<'_>| {
        let Ok(fields) = request.judge() else { return };
        for (change, what, changed) in changes(request, &fields) {
            tried += 1;
            if !changed.is_good() {
                continue;
            }
            let uncovered = request.profile.uncovered();
            let is_open = match &change {
                Change::Part(part) => uncovered.contains(*part),
                // The same bytes stood elsewhere: it reads as before.
                Change::Field(name) => changed.judge().is_ok_and(|after| value_of(&after, name) == value_of(&fields, name)),
                Change::EmptyQuery | Change::Semicolon if uncovered.contains(Parts::QUERY) => true,
                Change::Semicolon => {
                    same_semicolon.insert(request.profile.name().to_string());
                    true
                }
                Change::EmptyQuery => {
                    same_without_query.insert(request.profile.name().to_string());
                    true
                }
            };
            if !is_open {
                unnoticed.push(format!("{label}: {change:?} {what}"));
            }
        }
    };
    each_vector(|name, vector| {
        let profile = vector.profile();
        let key_id = profile.find_fields(vector.head()).unwrap().unwrap().key_id().map(str::to_owned);
        let secrets = vector.secrets(&profile, key_id.as_deref());
        change(name, &Request::of(vector, &profile, &secrets));
    });
    each_signed(|name, request, signed| {
        if let Ok(signed) = signed {
            change(&format!("{name}, {request} signed"), &signed);
        }
    });
    assert!(unnoticed.is_empty(), "{} of {tried}:\n{}", unnoticed.len(), unnoticed.join("\n"));
    assert!(tried > 10_000, "{tried}");
    assert_eq!(same_without_query.iter().map(String::as_str).collect::<Vec<_>>(), SAME_WITHOUT_QUERY);
    assert_eq!(same_semicolon.iter().map(String::as_str).collect::<Vec<_>>(), SAME_SEMICOLON);
}

fn value_of<'f>(fields: &'f [(String, Vec<u8>)], name: &str) -> Option<&'f [u8]> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
}
