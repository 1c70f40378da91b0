//! Mistakes about the method, the host, the scheme and the headers.

use http::HeaderName;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};

use super::super::profile::Profile;
use super::super::slots::SlotSource;
use super::change::{Area, Change, Trial};
use super::mistake::Mistake;
use super::sent::Sent;
use super::visible::quoted;
use crate::request_view::Scheme;

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// What libraries send when nobody says what.
const TYPES: [&str; 9] = [
    "application/json",
    "application/json; charset=utf-8",
    "application/json;charset=utf-8",
    "application/json; charset=UTF-8",
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=utf-8",
    "text/plain",
    "text/plain; charset=utf-8",
    "application/octet-stream",
];

/// Mistakes about the head of a request. `hosts` are further names that this gateway or its upstreams have.
pub(super) fn trials(profile: &Profile, request: &Sent<'_>, hosts: &[&str]) -> Vec<Trial> {
    let mut all = Vec::new();
    content_type(request, &mut all);
    host(request, hosts, &mut all);
    method(request, &mut all);
    headers(profile, request, &mut all);
    all
}

fn method(request: &Sent<'_>, all: &mut Vec<Trial>) {
    let sent = &*request.method;
    let lower = Trial::new(Mistake::MethodCase, Area::Method, Change::Method(sent.to_ascii_lowercase()));
    all.push(lower.common());
    all.push(Trial::new(Mistake::MethodCase, Area::Method, Change::Method(sent.to_ascii_uppercase())));
    for method in METHODS.into_iter().filter(|method| *method != sent) {
        let detail = format!("`{method}` for `{sent}`");
        all.push(Trial::new(Mistake::OtherMethod, Area::Method, Change::Method(method.to_owned())).detail(detail));
    }
}

fn host(request: &Sent<'_>, hosts: &[&str], all: &mut Vec<Trial>) {
    let head = request.head();
    let (sent, name) = (head.host, head.host_name());
    let other = if request.scheme == Scheme::Http { Scheme::Https } else { Scheme::Http };
    all.push(Trial::new(Mistake::OtherScheme, Area::Host, Change::Scheme(other)).common());
    let mut add = |mistake, host: &str, common: bool| {
        let trial = Trial::new(mistake, Area::Host, Change::Host(host.to_owned())).detail(quoted(host.as_bytes(), 0));
        all.push(if common { trial.common() } else { trial });
    };
    for port in [request.scheme.default_port(), other.default_port()] {
        add(Mistake::HostPort, &format!("{name}:{port}"), port == request.scheme.default_port());
    }
    if name != sent {
        add(Mistake::HostPort, name, true);
    }
    if let Some(as_sent) = request.headers.get(HOST).and_then(|host| host.to_str().ok()) {
        let mistake = if as_sent.eq_ignore_ascii_case(sent) { Mistake::HostCase } else { Mistake::HostForm };
        add(mistake, as_sent, false);
    }
    add(Mistake::HostCase, &sent.to_ascii_uppercase(), false);
    for header in ["x-forwarded-host", "x-original-host", "x-forwarded-server"] {
        if let Some(host) = request.headers.get(header).and_then(|host| host.to_str().ok()) {
            add(Mistake::OtherHost, host, true);
        }
    }
    if let Some(forwarded) = request.headers.get("forwarded").and_then(|value| value.to_str().ok()) {
        let parts = forwarded.split([';', ',']).filter_map(|part| part.trim().split_once('='));
        for (_, host) in parts.filter(|(name, _)| name.eq_ignore_ascii_case("host")) {
            add(Mistake::OtherHost, host.trim_matches('"'), true);
        }
    }
    for host in hosts.iter().take(8) {
        add(Mistake::OtherHost, host, true);
    }
    match sent.strip_prefix("www.") {
        Some(without) => add(Mistake::OtherHost, without, false),
        None => add(Mistake::OtherHost, &format!("www.{sent}"), false),
    }
    let port = sent.strip_prefix(name).unwrap_or_default();
    for local in ["localhost", "127.0.0.1", "[::1]"] {
        add(Mistake::OtherHost, local, false);
        for port in [port, ":8080", ":3000", ":8000", ":5000"].into_iter().filter(|port| !port.is_empty()) {
            add(Mistake::OtherHost, &format!("{local}{port}"), false);
        }
    }
}

fn content_type(request: &Sent<'_>, all: &mut Vec<Trial>) {
    let mut add = |mistake, value: Option<&str>, common: bool| {
        let change = Change::Header(CONTENT_TYPE, value.map(|value| value.as_bytes().to_vec()));
        let detail = value.map(|value| quoted(value.as_bytes(), 0)).unwrap_or_default();
        let trial = Trial::new(mistake, Area::Header, change).detail(detail);
        all.push(if common { trial.common() } else { trial });
    };
    let sent = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Some(sent) = sent else {
        for value in TYPES {
            add(Mistake::OtherContentType, Some(value), false);
        }
        return;
    };
    add(Mistake::ContentTypeLeftOut, None, true);
    let media_type = sent.split(';').next().unwrap_or_default().trim();
    if media_type != sent {
        add(Mistake::ContentTypeParameters, Some(media_type), true);
    }
    for charset in ["; charset=utf-8", ";charset=utf-8", "; charset=UTF-8", ";charset=UTF-8"] {
        add(Mistake::ContentTypeParameters, Some(&format!("{media_type}{charset}")), charset.starts_with("; charset=u"));
    }
    for value in TYPES.into_iter().filter(|value| *value != sent) {
        add(Mistake::OtherContentType, Some(value), value == "application/json");
    }
    add(Mistake::HeaderCase, Some(&sent.to_ascii_lowercase()), false);
}

/// Headers that the profile may sign: all that it names, and those that stand in a list of the request.
fn headers(profile: &Profile, request: &Sent<'_>, all: &mut Vec<Trial>) {
    let cleaned = |change: fn(&[u8]) -> Vec<u8>| -> Change {
        let changes = request.headers.iter().filter(|(name, _)| may_be_signed(profile, name));
        let changes = changes.map(|(name, value)| (name, value.as_bytes(), change(value.as_bytes())));
        Change::Many(
            changes
                .filter(|(_, before, after)| before != after)
                .map(|(name, _, after)| Change::Header(name.clone(), Some(after)))
                .collect(),
        )
    };
    for change in [trimmed as fn(&[u8]) -> Vec<u8>, squeezed] {
        all.push(Trial::new(Mistake::HeaderSpaces, Area::Header, cleaned(change)));
    }
    all.push(Trial::new(Mistake::HeaderCase, Area::Header, cleaned(<[u8]>::to_ascii_lowercase)));
    for (name, value) in &*request.headers {
        if *name == HOST || *name == CONTENT_TYPE || !may_be_signed(profile, name) {
            continue;
        }
        let change = |value: Option<&[u8]>| Change::Header(name.clone(), value.map(<[u8]>::to_vec));
        let trial =
            |value: Option<&[u8]>, detail: String| Trial::new(Mistake::OtherHeaderValue, Area::Header, change(value)).detail(detail);
        all.push(trial(None, format!("{name} is not there")));
        all.push(trial(Some(b""), format!("{name} is empty")));
        if *name == CONTENT_LENGTH {
            all.push(trial(Some(b"0"), format!("{name} is 0")));
        }
        if let Some(before) = value.as_bytes().split(|byte| *byte == b';').next().filter(|before| before.len() < value.len()) {
            all.push(trial(Some(before), format!("{name} without its parameters")));
        }
    }
}

/// Whether a signature could depend on a header.
fn may_be_signed(profile: &Profile, name: &HeaderName) -> bool {
    const NEVER: [&str; 6] = ["authorization", "proxy-authorization", "connection", "cookie", "signature", "signature-input"];
    if NEVER.contains(&name.as_str()) {
        return false;
    }
    let named = profile.slots.iter().any(|(_, source)| matches!(source, SlotSource::Header(known) if known == name));
    named
        || profile.builtin.is_some()
        || profile.collections.iter().any(|collection| collection.from.contains(&super::super::collection::Origin::Headers))
}

fn trimmed(value: &[u8]) -> Vec<u8> {
    value.trim_ascii().to_vec()
}

fn squeezed(value: &[u8]) -> Vec<u8> {
    let words: Vec<&[u8]> = value.trim_ascii().split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty()).collect();
    words.join(&b' ')
}
