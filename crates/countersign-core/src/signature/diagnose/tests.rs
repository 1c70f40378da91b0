//! Requests that are broken on purpose, each by one honest mistake of a client.

mod cases;
mod limits;
mod table;

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::built_in::built_in;
use super::super::request::{Body, Head};
use super::super::secret::LiveSecret;
use super::super::signing::{Signed, ToSign};
use super::*;
use crate::fresh::Fresh;
use crate::request_view::Scheme;
use crate::secret::{SecretText, push_hex};

/// 2025-11-24T16:00:00Z, as the clock of the gateway and of a client whose clock is right.
const NOW: UnixMillis = UnixMillis::from_seconds(1_764_000_000);

/// A request, as it is sent or as a client believes that it will be.
#[derive(Debug, Clone)]
struct Request {
    method: &'static str,
    scheme: Scheme,
    host: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn get(target: &str) -> Self {
        Self {
            method: "GET",
            scheme: Scheme::Https,
            host: "api.example.com",
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn post(target: &str, content_type: &str, body: &str) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { method: "POST", headers, body: body.as_bytes().to_vec(), ..Self::get(target) }
    }

    fn header_map(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert("host", HeaderValue::from_static(self.host));
        for (name, value) in &self.headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        map
    }

    fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    fn replace(&mut self, from: &str, to: &str) {
        assert!(self.headers.iter().any(|(_, value)| value.contains(from)), "{from} is in no header");
        for (_, value) in &mut self.headers {
            *value = value.replace(from, to);
        }
    }
}

type MakeKey = fn(&Client) -> Vec<u8>;
type Encode = fn(&[u8]) -> String;

/// A client of one scheme.
struct Client {
    profile: Profile,
    name: &'static str,
    key_id: &'static str,
    secret: &'static str,
    /// What more of the credential the gateway knows.
    attributes: &'static str,
    /// The key of the MAC, made here and not by the code under test.
    key: MakeKey,
    encode: Encode,
    algorithm: hmac::Algorithm,
    post: Request,
    get: Request,
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    push_hex(&mut text, bytes);
    text
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

const TEXT_SECRET: &str = "css_7c0e1f5b2a9d4c38b6e0f1a2d3c4b5a69788796a5b4c3d2e1f00112233445566deadbeef";
const BASE64_SECRET: &str = "A93reRTUJHsCuQSHR+L3GxqOJyDmQpCgps102ciuabc=";
const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const ORDER: &str = "{\"item\": \"tea\", \"count\": 2, \"note\": \"a/b\"}";

impl Client {
    fn of(name: &'static str) -> Self {
        let (constants, secret, key, encode): (&[(&str, &str)], _, MakeKey, Encode) = match name {
            "v3.0" | "slack" | "github" => (&[], TEXT_SECRET, plain, hex),
            "stripe" => (&[], WEBHOOK_SECRET, plain, hex),
            "rfc9421" | "cavage" | "kong" | "hawk" => (&[], TEXT_SECRET, plain, base64),
            "sigv4" => (&[("region", "eu-1"), ("service", "orders")], TEXT_SECRET, sigv4_key, hex),
            "oauth1" => (&[], TEXT_SECRET, |client| [client.secret.as_bytes(), b"&token-secret"].concat(), base64),
            "amx" => (&[], BASE64_SECRET, |client| STANDARD.decode(client.secret).unwrap(), base64),
            "standardwebhooks" => (&[], WEBHOOK_SECRET, |client| STANDARD.decode(&client.secret.as_bytes()[6..]).unwrap(), base64),
            "edgegrid" => (&[("access_token", "akab-token")], TEXT_SECRET, edgegrid_key, base64),
            other => panic!("{other}"),
        };
        let set: BTreeMap<String, String> = constants.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let profile = Profile::load(built_in(name).unwrap(), &set).unwrap();
        let form = Request::post("/orders", "application/x-www-form-urlencoded", "item=green+tea&count=2");
        let post = if name == "oauth1" { form } else { Request::post("/orders", "application/json", ORDER) };
        let algorithm = if name == "oauth1" { hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY } else { hmac::HMAC_SHA256 };
        // Webhooks go to one path, without a query.
        let is_webhook = matches!(name, "standardwebhooks" | "stripe" | "slack" | "github");
        let get = Request::get(if is_webhook { "/hook" } else { "/Orders/List?status=open&name=green%20tea&Limit=5" });
        let attributes = if name == "oauth1" { ", \"token\": \"a token\", \"token_secret\": \"token-secret\"" } else { "" };
        Self { profile, name, key_id: "ck_0123456789abcdef", secret, attributes, key, encode, algorithm, post, get }
    }

    /// Signs what the client believes it sends.
    fn sign(&self, request: &Request, secret: &str, now: UnixMillis) -> Signed {
        let headers = request.header_map();
        let body = Body::of(&request.body);
        let to_sign =
            ToSign { method: request.method, scheme: request.scheme, host: request.host, target: &request.target, headers: &headers, body };
        self.profile
            .sign(self.key_id, &self.credential(secret), &to_sign, now, Fresh::new(*b"0123456789abcdef"))
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn send(&self, sent: &Request, signed: &Signed) -> Request {
        let mut sent = sent.clone();
        for (name, value) in &signed.headers {
            sent.set(name, value);
        }
        sent
    }

    /// A request that is signed as it should be.
    fn right(&self, request: &Request) -> Request {
        self.send(request, &self.sign(request, self.secret, NOW))
    }

    /// A request that is sent as it is and signed as something else.
    fn signed_as(&self, sent: &Request, believed: impl FnOnce(&mut Request)) -> Request {
        let mut view = sent.clone();
        believed(&mut view);
        self.send(sent, &self.sign(&view, self.secret, NOW))
    }

    /// A request whose client makes the string to sign by itself.
    fn over(&self, sent: &Request, text: impl FnOnce(&str) -> String) -> Request {
        self.over_with(sent, text, &(self.key)(self))
    }

    fn over_with(&self, sent: &Request, text: impl FnOnce(&str) -> String, key: &[u8]) -> Request {
        let (mut request, right, own) = self.made(sent, text, key);
        request.replace(&self.written(&right), &self.written(&own));
        request
    }

    /// A request that is signed as it should be, its MAC, and that over another text or with another key.
    fn made(&self, sent: &Request, text: impl FnOnce(&str) -> String, key: &[u8]) -> (Request, Vec<u8>, Vec<u8>) {
        let signed = self.sign(sent, self.secret, NOW);
        let string = String::from_utf8(signed.string_to_sign.clone()).unwrap();
        let tag = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(self.algorithm, key), text.as_bytes()).as_ref().to_vec();
        let right = tag(&(self.key)(self), &string);
        let own = tag(key, &text(&string));
        (self.send(sent, &signed), right, own)
    }

    /// A MAC as it stands in the headers.
    fn written(&self, mac: &[u8]) -> String {
        let text = (self.encode)(mac);
        if self.name == "oauth1" { text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D") } else { text }
    }

    /// A request with a right MAC in another encoding.
    fn encoded(&self, sent: &Request, encode: impl FnOnce(&[u8]) -> String) -> Request {
        let (mut request, right, _) = self.made(sent, str::to_owned, b"");
        request.replace(&self.written(&right), &encode(&right));
        request
    }

    /// The string that the gateway signs.
    fn string(&self, request: &Request) -> String {
        String::from_utf8(self.sign(request, self.secret, NOW).string_to_sign).unwrap()
    }

    fn live(&self, secret: &str) -> LiveSecret {
        LiveSecret::of_any_length(&self.profile, &self.credential(secret)).unwrap()
    }

    fn credential(&self, secret: &str) -> SecretText {
        SecretText::new(if self.attributes.is_empty() {
            secret.to_owned()
        } else {
            format!("{{\"secret\": \"{secret}\"{}}}", self.attributes)
        })
    }

    fn accepts(&self, request: &Request) -> Result<(), String> {
        let headers = request.header_map();
        let body = Body::of(&request.body);
        let fields = self.profile.find_fields(head(request, &headers)).map_err(|refusal| refusal.to_string())?;
        let fields = fields.ok_or_else(|| "not signed".to_owned())?;
        fields.trace(body, &[self.live(self.secret)], NOW).judged.map_err(|refusal| refusal.to_string())
    }

    fn diagnose(&self, request: &Request) -> Diagnosis {
        self.diagnose_with(request, &[], None)
    }

    fn diagnose_with(&self, request: &Request, others: &[OtherSecret<'_>], own_string: Option<&[u8]>) -> Diagnosis {
        let headers = request.header_map();
        let suspect = Suspect { head: head(request, &headers), body: &request.body, now: NOW, own_string };
        let secrets = [self.live(self.secret)];
        let known = Known { secrets: &secrets, others, ..Known::default() };
        diagnose(&self.profile, &suspect, &known, Limits::default())
    }
}

fn head<'r>(request: &'r Request, headers: &'r HeaderMap) -> Head<'r> {
    Head { method: request.method, scheme: request.scheme, host: request.host, target: &request.target, headers }
}

fn plain(client: &Client) -> Vec<u8> {
    client.secret.as_bytes().to_vec()
}

fn sigv4_key(client: &Client) -> Vec<u8> {
    let start = format!("AWS4{}", client.secret).into_bytes();
    ["20251124", "eu-1", "orders", "aws4_request"].iter().fold(start, |key, text| mac(&key, text.as_bytes()))
}

fn edgegrid_key(client: &Client) -> Vec<u8> {
    base64(&mac(client.secret.as_bytes(), b"20251124T16:00:00+0000")).into_bytes()
}
