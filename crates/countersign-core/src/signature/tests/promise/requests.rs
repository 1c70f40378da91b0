//! Requests that nobody chose, and what could be changed in them.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::super::signing::ToSign;
use super::super::super::*;
use super::super::holes_of_collections::{FORM, NOW, SECRET};
use super::{KEY, Tape};
use crate::code::{Code, Refusal};
use crate::fresh::Fresh;
use crate::now::UnixMillis;
use crate::request_view::Scheme;
use crate::secret::SecretText;

const HEADERS: &str = "x-a ~ x-b ~ x-list ~ x-signed ~ x-extra ~ content-type ~ x-m-1 ~ x-m-2 ~ x-ts ~ x-nonce ~ x-auth ~ x-key ~ x-exp";
const VALUES: &str = "1 ~ 2 ~ 10 ~ a ~ b ~  ~ 1,2 ~ a=1 ~ b=2 ~ a=1&b=2 ~ a%3D1 ~ a%261 ~ 0 ~ x-a ~ q=1 ~ q=1,q=2 ~ q=\"1,2\" ~ a,b ~ q= ~ %2C ~ 1, ~ \
     {\"a\":1} ~ {\"a\":\"1\"}";
const PIECES: &str =
    "a ~ 1 ~ 0 ~ & ~ = ~ , ~ a=1 ~ &a= ~ &b=2 ~ %26 ~ %3D ~ b ~ . ~ / ~ : ~ &a ~ - ~ \" ~ + ~ ; ~ %20 ~ %2B ~ %3B ~ q=1 ~ exp=1";
const QUERIES: &str = " ~ ?a=1 ~  ~ ?a=1&b=2 ~ ?b=2&a=1 ~ ?a=1&a=2 ~ ?a=&b= ~ ?a=1,2 ~ ?a%26b=1 ~ ?a=1%26b%3D2 ~ ?a=10 ~ ?b=1 ~ ?a=1%3Bb=2";
const METHODS: &str = "GET ~ POST ~ DELETE";
const HOSTS: &str = "api.test ~ b.test ~ api.test:8443 ~ api.test:1";

/// A request. Where it says `MAC`, its MAC is to stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Sent {
    pub(super) method: String,
    pub(super) path: String,
    /// With its `?`.
    query: String,
    pub(super) host: String,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Sent {
    pub(super) fn any(tape: &mut Tape) -> Self {
        let query = tape.one(QUERIES).trim();
        let body = tape.one(" ~ a=1&b=2 ~ 1 ~ a ~ a=1 ~ b=2&a=1 ~ a=1&a=2 ~ a=1%26b%3D2 ~ a=1+2 ~ {\"a\":1}").trim();
        let mut headers = Vec::new();
        for name in HEADERS.split(" ~ ").take(8) {
            let value = match (name, tape.below(6)) {
                ("content-type", 0..3) => FORM.1,
                ("content-type", _) | (_, 5..) => continue,
                ("x-extra", _) => tape.one("q=1 ~ q=1 ~ q=1,q=2 ~ q=\"1,2\" ~ q=a ~ q=\"a=1\" ~ a=1 ~ q=2,x=1"),
                ("x-list", ..=3) => tape.one(" ~ a,b ~ a ~ a,b,ts,nonce,key ~ b,a ~ a,a%26b").trim(),
                ("x-signed", _) => tape.one("host ~ host,x-a ~ x-a,x-b ~ host,x-a,x-ts,x-nonce ~ x-m-1"),
                (_, 0 | 2) => "1",
                // What requirements compare.
                (_, 1) => [body, query.trim_start_matches('?')][tape.below(2)],
                _ => tape.one(VALUES),
            };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let [method, path, host] = [METHODS, "/a ~ /b ~ /a/b ~ /a,1 ~ /", HOSTS].map(|list| tape.one(list).to_owned());
        Self { method, path, query: query.to_owned(), host, headers, body: body.to_owned() }
    }

    /// Changes one thing.
    pub(super) fn change(&mut self, tape: &mut Tape) {
        match tape.below(10) {
            0 => self.method = tape.one(METHODS).to_owned(),
            1 => self.path = format!("/{}", edited(tape, self.path.trim_start_matches('/')).replace('?', "")),
            2 => self.host = tape.one(HOSTS).to_owned(),
            3 | 4 => {
                let query = edited(tape, self.query());
                self.query = if query.is_empty() && tape.below(2) == 0 { query } else { format!("?{query}") };
            }
            5 => self.body = edited(tape, &self.body),
            _ => {
                let name = tape.one(HEADERS);
                let known = self.headers.iter().position(|(known, _)| known == name);
                match (known, tape.below(6)) {
                    (Some(at), 0) => _ = self.headers.remove(at),
                    (Some(at), 1) => self.headers.push((name.to_owned(), edited(tape, &self.headers[at].1))),
                    (Some(at), _) => self.headers[at].1 = edited(tape, &self.headers[at].1),
                    (None, _) => self.headers.push((name.to_owned(), tape.one(VALUES).trim().to_owned())),
                }
            }
        }
    }

    pub(super) fn query(&self) -> &str {
        self.query.trim_start_matches('?')
    }

    pub(super) fn is_form(&self) -> bool {
        self.headers.iter().any(|header| (header.0.as_str(), header.1.as_str()) == FORM)
    }

    fn header_map(&self, mac: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(&value.replace("MAC", mac)).unwrap());
        }
        headers.insert("host", self.host.parse().unwrap());
        headers
    }

    /// Reads it with a MAC in it.
    fn with<T>(&self, mac: &str, profile: &Profile, read: impl FnOnce(&Fields<'_>, Body<'_>) -> T) -> Result<T, Refusal> {
        let (headers, target) = (self.header_map(mac), format!("{}{}", self.path, self.query.replace("MAC", mac)));
        let head = Head { method: &self.method, scheme: Scheme::Https, host: &self.host, target: &target, headers: &headers };
        let fields = profile.find_fields(head)?.ok_or(Code::SignatureMalformed)?;
        Ok(read(&fields, Body::of(self.body.as_bytes())))
    }

    pub(super) fn verify(&self, mac: &str, profile: &Profile, key: &LiveKey) -> Result<MacGood, Refusal> {
        self.with(mac, profile, |fields, body| fields.verify(body, Some(key), UnixMillis::from_seconds(NOW)))?
    }

    /// Its strings to sign.
    pub(super) fn texts(&self, profile: &Profile, secrets: &[LiveSecret]) -> Vec<Vec<u8>> {
        let trace = self.with(&"0".repeat(64), profile, |fields, body| fields.trace(body, secrets, UnixMillis::from_seconds(NOW)));
        trace.map_or_else(|_| Vec::new(), |trace| trace.strings_to_sign)
    }

    /// The same with what makes it signed.
    pub(super) fn signed(&self, profile: &Profile) -> Option<Self> {
        let (headers, target) = (self.header_map(""), format!("{}{}", self.path, self.query));
        let body = Body::of(self.body.as_bytes());
        let to_sign = ToSign { method: &self.method, scheme: Scheme::Https, host: &self.host, target: &target, headers: &headers, body };
        let secret = SecretText::new(SECRET.to_owned());
        let signed = profile.sign(KEY, &secret, &to_sign, UnixMillis::from_seconds(NOW), Fresh::new(*b"0123456789abcdef")).ok()?;
        let mac = mac_of(&signed.string_to_sign);
        let mut other = self.clone();
        for (name, value) in signed.headers {
            other.headers.retain(|(known, _)| **known != *name);
            other.headers.push((name.into(), value.replace(&mac, "MAC")));
        }
        other.query = signed.target.strip_prefix(&self.path)?.replace(&mac, "MAC");
        Some(other)
    }
}

/// A text with one thing changed in it.
fn edited(tape: &mut Tape, text: &str) -> String {
    let (start, end) = text.split_at(tape.below(text.len() + 1));
    let mut pieces: Vec<_> = text.split('&').collect();
    match tape.below(7) {
        0 => return tape.one(VALUES).trim().to_owned(),
        1 => return format!("{start}{}{end}", tape.one(PIECES)),
        2 => return format!("{start}{}", end.get(1..).unwrap_or_default()),
        3 => return format!("{text}{}", tape.one(PIECES)),
        4 => return start.to_owned(),
        5 => pieces.swap(tape.below(text.split('&').count()), 0),
        _ => _ = pieces.remove(tape.below(text.split('&').count())),
    }
    pieces.join("&")
}

/// The MAC of a text in hexadecimal.
pub(super) fn mac_of(text: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), text);
    tag.as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}
