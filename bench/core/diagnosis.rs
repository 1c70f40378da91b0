//! How long the diagnosis of a signature takes: `diagnosis [PROFILE...]`, the slowest first.
//!
//! Each built-in profile that signs, over requests of 4 KiB of several shapes, signed with a secret that nobody has: nothing
//! is found, so everything is tried. A time is the least of several runs, as whatever else the machine does only adds to it.
#![expect(clippy::unwrap_used, reason = "nothing here is on the way of a request")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use countersign_core::fresh::Fresh;
use countersign_core::now::UnixMillis;
use countersign_core::request_view::Scheme;
use countersign_core::secret::SecretText;
use countersign_core::signature::built_in::BUILT_IN;
use countersign_core::signature::diagnose::{Diagnosis, Known, Limits, Suspect, diagnose};
use countersign_core::signature::load::Constants;
use countersign_core::signature::signing::ToSign;
use countersign_core::signature::{Body, Head, LiveSecret, Profile};
use http::{HeaderMap, HeaderName, HeaderValue};

const NOW: UnixMillis = UnixMillis::from_seconds(1_764_000_000);
const HOST: &str = "api.example.com:8443";
const RUNS: u32 = 15;
/// Base64, hexadecimal and text at once, so that every scheme takes them.
const SECRETS: [&str; 3] = [
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
    "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f",
];

/// A request of 4 KiB.
struct Shape {
    name: &'static str,
    method: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut rows = Vec::new();
    for (name, text) in BUILT_IN.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name)) {
        let profile = Profile::load(text, &constants(name)).unwrap();
        for shape in shapes() {
            for secrets in [1, 2] {
                if let Some((time, diagnosis)) = measure(&profile, &shape, secrets) {
                    rows.push((time, *name, shape.name, secrets, diagnosis.exhausted));
                }
            }
        }
    }
    rows.sort_by(|a, b| b.cmp(a));
    println!("| ms | profile | request | live secrets | |\n|---|---|---|---|---|");
    for (time, name, shape, secrets, exhausted) in &rows {
        let all = if *exhausted { "ended by the bound" } else { "all tried" };
        println!("| {:.2} | `{name}` | {shape} | {secrets} | {all} |", time.as_secs_f64() * 1000.0);
    }
}

fn shapes() -> [Shape; 6] {
    let many = |name: &str, join: &str| (0..200).map(|n| format!("{name}{n:03}=va%20lue+{n:03}")).collect::<Vec<_>>().join(join);
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let json = (0..120).map(|n| format!("\"member{n:03}\": \"a value {n:03}\"")).collect::<Vec<_>>().join(", ");
    let json = format!("{{\"nonce\": 1764000000000, \"webhookTimestamp\": 1764000000000, {json}}}");
    [
        Shape {
            name: "a long path",
            method: "GET",
            target: format!("/{}", "segment-1/".repeat(380)),
            headers: vec![],
            body: String::new(),
        },
        Shape {
            name: "a query of one value",
            method: "GET",
            target: format!("/a?x={}", "v".repeat(3800)),
            headers: vec![],
            body: String::new(),
        },
        Shape { name: "a query of 200", method: "GET", target: format!("/a?{}", many("q", "&")), headers: vec![], body: String::new() },
        Shape {
            name: "40 headers",
            method: "GET",
            target: "/a".to_owned(),
            headers: (0..40).map(|n| header(&format!("x-amz-meta-{n:02}"), &"v".repeat(80))).collect(),
            body: String::new(),
        },
        Shape {
            name: "a JSON body",
            method: "POST",
            target: "/a".to_owned(),
            headers: vec![header("content-type", "application/json")],
            body: json,
        },
        Shape {
            name: "a form of 200",
            method: "POST",
            target: "/a".to_owned(),
            headers: vec![header("content-type", "application/x-www-form-urlencoded")],
            body: format!("nonce=1764000000000&{}", many("f", "&")),
        },
    ]
}

/// The least time of several runs. `None` where the profile does not sign such a request.
fn measure(profile: &Profile, shape: &Shape, live: usize) -> Option<(Duration, Diagnosis)> {
    let mut headers = HeaderMap::new();
    for (name, value) in &shape.headers {
        headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let key_id = if profile.name().as_str() == "azure-acs" { HOST } else { "kid1" };
    let (scheme, body) = (Scheme::Https, Body::of(shape.body.as_bytes()));
    let to_sign = ToSign { method: shape.method, scheme, host: HOST, target: &shape.target, headers: &headers, body };
    let [theirs, ours @ ..] = SECRETS.map(|text| secret(profile.name().as_str(), text));
    let signed = profile.sign(key_id, &theirs, &to_sign, NOW, Fresh::new(*b"0123456789abcdef")).ok()?;
    headers.insert(http::header::HOST, HeaderValue::from_static(HOST));
    for (name, value) in signed.headers {
        headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let head = Head { method: shape.method, scheme, host: HOST, target: &signed.target, headers: &headers };
    let suspect = Suspect { head, body: shape.body.as_bytes(), now: NOW, own_string: None };
    let secrets: Vec<_> = ours.iter().take(live).map(|text| LiveSecret::of_any_length(profile, text).unwrap()).collect();
    let known = Known { secrets: &secrets, hosts: &["upstream.internal:8080"], ..Known::default() };
    let run = || {
        let start = Instant::now();
        let diagnosis = diagnose(profile, black_box(&suspect), &known, Limits::default());
        (start.elapsed(), diagnosis)
    };
    (0..RUNS).map(|_| run()).min_by_key(|(time, _)| *time)
}

fn constants(name: &str) -> Constants {
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

fn secret(profile: &str, text: &str) -> SecretText {
    SecretText::new(match profile {
        "coinbase-exchange" | "okx" => format!(r#"{{"secret": "{text}", "passphrase": "open"}}"#),
        "oauth1" => format!(r#"{{"secret": "{text}", "token": "a token", "token_secret": "its secret"}}"#),
        _ => text.to_owned(),
    })
}
