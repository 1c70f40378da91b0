//! What somebody in the middle could make of a signed request, and what stops it.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::coverage::Parts;
use super::super::load::Constants;
use super::super::signing::ToSign;
use super::super::*;
use super::boundaries::{ALL, MAC, small};
use super::published::profile;
use crate::code::{Code, Refusal};
use crate::fresh::Fresh;
use crate::now::UnixMillis;
use crate::request_view::Scheme;
use crate::secret::SecretText;

const NOW: i64 = 1_700_000_000;
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const HOST: &str = "api.example.com";

/// A request that goes through the gateway.
#[derive(Clone)]
struct Request {
    method: &'static str,
    target: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Request {
    fn new(method: &'static str, target: &str, headers: &[(&'static str, &str)], body: &str) -> Self {
        let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        Self { method, target: target.to_owned(), headers: headers.collect(), body: body.as_bytes().to_vec() }
    }

    fn head(&self) -> Head<'_> {
        Head { method: self.method, scheme: Scheme::Https, host: HOST, target: &self.target, headers: &self.headers }
    }
}

/// A built-in profile with a secret.
struct Signer {
    profile: Profile,
    secret: SecretText,
    secrets: [LiveSecret; 1],
}

impl Signer {
    fn new(name: &str, secret: &str) -> Self {
        Self::of(profile(name, &BTreeMap::new()), secret)
    }

    fn of(profile: Profile, secret: &str) -> Self {
        let secret = SecretText::new(secret.to_owned());
        let secrets = [LiveSecret::of_any_length(&profile, &secret).unwrap()];
        Self { profile, secret, secrets }
    }

    fn plain(name: &str) -> Self {
        Self::new(name, "000102030405060708090a0b0c0d0e0f")
    }

    /// The request signed. It is good.
    fn signed(&self, mut request: Request) -> Request {
        let body = request.body.clone();
        let to_sign = ToSign {
            method: request.method,
            scheme: Scheme::Https,
            host: HOST,
            target: &request.target,
            headers: &request.headers,
            body: Body::of(&body),
        };
        let now = UnixMillis::from_seconds(NOW);
        let signed = self.profile.sign("kid1", &self.secret, &to_sign, now, Fresh::new(*b"0123456789abcdef")).unwrap();
        for (name, value) in &signed.headers {
            request.headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        request.target = signed.target;
        self.judge(&request).unwrap();
        request
    }

    fn judge(&self, request: &Request) -> Result<(), Refusal> {
        judge(&self.profile, request, &self.secrets)
    }
}

fn judge(profile: &Profile, request: &Request, secrets: &[LiveSecret]) -> Result<(), Refusal> {
    let fields = profile.find_fields(request.head())?.ok_or(Code::SignatureMalformed)?;
    fields.trace(Body::of(&request.body), secrets, UnixMillis::from_seconds(NOW)).judged
}

#[test]
fn a_query_does_not_become_a_body() {
    let with_passphrase = r#"{"secret": "000102030405060708090a0b0c0d0e0f", "passphrase": "open"}"#;
    for (name, secret) in [
        ("okx", with_passphrase),
        ("coinbase-exchange", with_passphrase),
        ("bitmex", "000102030405060708090a0b0c0d0e0f"),
        ("hubspot-v3", "000102030405060708090a0b0c0d0e0f"),
        ("binance", "000102030405060708090a0b0c0d0e0f"),
    ] {
        let signer = Signer::new(name, secret);
        assert!(signer.profile.uncovered().contains(Parts::BOUNDARY), "{name}");
        for method in ["GET", "DELETE"] {
            let signed = signer.signed(Request::new(method, "/orders?amt=10", &[], ""));
            let mut cut = signed;
            cut.target = cut.target.replacen("amt=10", "amt=1", 1);
            cut.body = b"0".to_vec();
            assert!(signer.judge(&cut).is_err(), "{name} {method}");
        }
    }
    // The body has to be what is refused here: the MAC alone does not tell.
    let okx = Signer::new("okx", with_passphrase);
    let mut cut = okx.signed(Request::new("GET", "/orders?amt=10", &[], ""));
    (cut.target, cut.body) = ("/orders?amt=1".to_owned(), b"0".to_vec());
    assert!(okx.judge(&cut).unwrap_err().to_string().contains("has no body"));
}

#[test]
fn two_paths_with_one_signature_are_refused() {
    let huawei = Signer::plain("huawei");
    let signed = huawei.signed(Request::new("GET", "/a/b", &[], ""));
    for path in ["/a/b/", "/a%2Fb", "/a%2fb"] {
        let mut other = signed.clone();
        other.target = path.to_owned();
        assert!(huawei.judge(&other).unwrap_err().to_string().contains("has the signature of"), "{path}");
    }
    huawei.signed(Request::new("GET", "/", &[], ""));
}

#[test]
fn a_parameter_stays_where_it_was_signed() {
    for name in ["oauth1", "duo-v2"] {
        let signer = Signer::plain(name);
        for (method, detail) in [("DELETE", "in the query"), ("GET", "in the query")] {
            let mut moved = signer.signed(Request::new(method, "/items?id=5", &[FORM], ""));
            (moved.target, moved.body) = ("/items".to_owned(), b"id=5".to_vec());
            assert!(signer.judge(&moved).unwrap_err().to_string().contains(detail), "{name} {method}");
        }
        let mut moved = signer.signed(Request::new("POST", "/items", &[FORM], "id=5"));
        moved.target = "/items?id=5".to_owned();
        moved.body = Vec::new();
        assert!(signer.judge(&moved).unwrap_err().to_string().contains("in a form"), "{name}");
    }
    let oauth = Signer::plain("oauth1");
    let mut moved = oauth.signed(Request::new("DELETE", "/items?id=5", &[], ""));
    let written = moved.headers["authorization"].to_str().unwrap().to_owned();
    moved.target = "/items".to_owned();
    moved.headers.insert("authorization", format!("{written}, id=\"5\"").parse().unwrap());
    assert!(oauth.judge(&moved).unwrap_err().to_string().contains("none of OAuth's"));
    let mut with_realm = oauth.signed(Request::new("DELETE", "/items?id=5", &[], ""));
    with_realm.headers.insert("authorization", written.replace("OAuth ", "OAuth realm=\"here\", ").parse().unwrap());
    assert_eq!(oauth.judge(&with_realm), Ok(()));
}

#[test]
fn a_plus_that_could_be_a_space_is_refused() {
    for (name, set) in [("sigv4", vec![("region", "eu-1"), ("service", "api")]), ("huawei", vec![])] {
        let set = set.into_iter().map(|(name, value): (&str, &str)| (name.to_owned(), value.to_owned())).collect();
        let signer = Signer::of(profile(name, &set), "000102030405060708090a0b0c0d0e0f");
        let mut sent = signer.signed(Request::new("GET", "/search?q=1%2B1", &[], ""));
        sent.target = "/search?q=1+1".to_owned();
        let refusal = signer.judge(&sent).unwrap_err();
        assert_eq!(refusal.code, Code::SignatureMalformed, "{name}");
        assert!(refusal.to_string().contains("could be a space"), "{name}");
    }
}

#[test]
fn a_second_notification_item_of_any_kind_is_refused() {
    let adyen = Signer::plain("adyen");
    // The HMAC of `p:::::::` under the secret.
    let item = |more: &str| {
        format!(
            r#"{{"notificationItems":[{{"NotificationRequestItem":{{"pspReference":"p","additionalData":{{"hmacSignature":"GkH95oBgQ015jrPtYAEWcqtoZIb32kqaDy/C/TXlFmc="}}}}}}{more}]}}"#
        )
    };
    assert_eq!(adyen.judge(&Request::new("POST", "/", &[], &item(""))), Ok(()));
    for more in [r#",{"NotificationRequestItem":{"pspReference":null}}"#, ",null", ",{}", ",[]", ",1"] {
        let refusal = adyen.judge(&Request::new("POST", "/", &[], &item(more))).unwrap_err();
        assert!(refusal.to_string().contains("more than one"), "{more}");
    }
}

#[test]
fn a_scheme_that_is_named_is_shown_however_malformed_the_rest_is() {
    for (name, headers) in [
        ("hawk", vec![("authorization", "Hawk")]),
        ("hawk", vec![("authorization", "Hawk,id=\"x\"")]),
        ("hawk", vec![("authorization", "hawk\tid=\"x\"")]),
        ("hawk", vec![("authorization", "Bearer x"), ("authorization", "Hawk")]),
        ("kong", vec![("proxy-authorization", "hmac")]),
        ("escher", vec![("authorization", "EMS-HMAC-SHA256 Nothing")]),
        ("docusign", vec![("x-docusign-signature-2", "")]),
    ] {
        let profile = profile(name, &BTreeMap::new());
        let mut request = Request::new("GET", "/", &[], "");
        for (header, value) in headers {
            request.headers.append(HeaderName::from_static(header), HeaderValue::from_str(value).unwrap());
        }
        let fields = profile.find_fields(request.head());
        if name == "docusign" {
            assert!(matches!(fields, Ok(Some(_))), "{name}: {fields:?}");
        } else {
            let refusal = fields.unwrap_err();
            assert!(matches!(refusal.code, Code::SignatureMalformed | Code::DuplicateHeader), "{name}: {refusal}");
        }
    }
    let hawk = profile("hawk", &BTreeMap::new());
    for other in ["Hawks id=\"x\"", "Hawk-2 id=\"x\"", "Bearer Hawk"] {
        assert!(hawk.find_fields(Request::new("GET", "/", &[("authorization", other)], "").head()).unwrap().is_none(), "{other}");
    }
}

#[test]
fn what_is_detected_by_what_any_request_has_overlaps_with_everything() {
    let load = |detect: &str| {
        let text = format!(
            "name = \"small\"\ntitle = \"Small\"\ndetect = [\"{detect}\"]\nuncovered = [\"method\", \"path\", \"query\", \"host\", \"body\", \"time\"]\n\
             [fields]\nmac = \"header:x-mac\"\n[mac]\nalgorithm = \"hmac-sha256\"\nmessage = \"{{method}}\"\n"
        );
        Profile::load(&text, &Constants::new()).unwrap()
    };
    let overlap = |a: &str, b: &str| {
        let (a, b) = (load(a), load(b));
        assert_eq!(a.detection_overlaps(&b), b.detection_overlaps(&a));
        a.detection_overlaps(&b)
    };
    assert!(overlap("method | is:'POST'", "header:x-other"));
    assert!(overlap("headers:x-mac-*", "header:x-mac-1"));
    assert!(overlap("headers:x-mac-*", "headers:x-mac-1,x-b"));
    assert!(overlap("headers:x-mac-*", "headers:x-*"));
    assert!(!overlap("headers:x-mac-*", "header:x-other"));
    assert!(!overlap("headers:x-mac-*", "query:x-mac-1"));
    assert!(!overlap("headers:x-a", "headers:x-b"));
    assert!(!overlap("header:authorization | scheme:'A'", "header:authorization | scheme:'B'"));
}

#[test]
fn the_signed_headers_of_azure_cannot_be_listed_anew() {
    let signer = Signer::plain("azure-hmac");
    let mut listed = signer.signed(Request::new("GET", "/kv?key=1", &[], ""));
    let written = listed.headers["authorization"].to_str().unwrap().to_owned();
    listed.headers.insert("authorization", written.replace(";host;", ";host;x-more;").parse().unwrap());
    listed.headers.insert("x-more", HOST.parse().unwrap());
    assert!(signer.judge(&listed).unwrap_err().to_string().contains("signed"));
}

#[test]
fn two_requests_with_one_string_to_sign_are_a_named_hole() {
    let path = Parts::PATH;
    let query = Parts::QUERY;
    for (name, part, target, other) in [
        ("amx", path, "/Orders", "/orders"),
        ("amx", query, "/orders?code=Ab", "/orders?code=aB"),
        ("gate", query, "/a?a=1%26b=2", "/a?a=1&b=2"),
        ("azure-storage", query, "/a?a=1%0Ab:2", "/a?a=1&b=2"),
        ("aliyun-apigw", query, "/a?a=1%26b=2", "/a?a=1&b=2"),
        ("cos", path, "/a%2Fb", "/a/b"),
        ("cos", query, "/a?amount=5", "/a?AMOUNT=5"),
        ("oss-v1", path, "/a%2Fb", "/a/b"),
    ] {
        let signer = Signer::plain(name);
        let mut sent = signer.signed(Request::new("GET", target, &[], ""));
        sent.target = other.to_owned();
        assert_eq!(signer.judge(&sent), Ok(()), "{name}");
        assert!(signer.profile.uncovered().contains(part), "{name}");
    }
    // These carry the signature in the query.
    for (name, target, from, to) in [("pusher", "/a?z=1%26zz=2", "%26", "&"), ("shopify-proxy", "/a?a=1b%3D2", "b%3D", "&b=")] {
        let signer = Signer::plain(name);
        let mut sent = signer.signed(Request::new("GET", target, &[], ""));
        sent.target = sent.target.replacen(from, to, 1);
        assert_eq!(signer.judge(&sent), Ok(()), "{name}");
        assert!(signer.profile.uncovered().contains(query), "{name}");
    }
}

#[test]
fn an_alternative_that_cannot_be_made_is_passed_over() {
    let uncovered = r#""method", "path", "query", "host", "time""#;
    let signer =
        Signer::of(small(uncovered, "", &format!("{MAC}message = \"b\\n{{body}}\"\n")).unwrap(), "000102030405060708090a0b0c0d0e0f");
    let message = |one: &str, other: &str| {
        let mac = format!("{MAC}message = \"{one}\"\nalternatives = [\"{other}\"]\n");
        Signer::of(small(uncovered, "", &mac).unwrap(), "000102030405060708090a0b0c0d0e0f")
    };
    let sent = signer.signed(Request::new("POST", "/", &[], "to=bob"));
    assert_eq!(message("b\\n{body}", "a\\n{header:x-note}\\n{body}").judge(&sent), Ok(()));
    assert_eq!(message("a\\n{header:x-note}\\n{body}", "b\\n{body}").judge(&sent), Ok(()));
    let neither = message("a\\n{header:x-note}\\n{body}", "b\\n{header:x-other}\\n{body}").judge(&sent);
    assert!(neither.unwrap_err().to_string().contains("x-note"));
}

#[test]
fn an_item_that_lacks_something_signs_its_source_in_part() {
    let of_query = |item: &str| {
        let from = if item.contains("pair") { "raw_query" } else { "query" };
        let rest = format!("[collect.q]\nfrom = \"{from}\"\n{item}join = \"&\"\n{MAC}message = \"{{q}}\"\n");
        let load = |uncovered: &str| Signer::of(small(uncovered, "", &rest).unwrap(), "000102030405060708090a0b0c0d0e0f");
        let sent = load(ALL).signed(Request::new("GET", "/?amount=10&to=", &[], ""));
        load(r#""method", "path", "host", "body", "time""#).judge(&sent)
    };
    let encoded = "name = \"pct\"\nvalue = \"pct\"\n";
    for whole in [
        format!("{encoded}item = \"{{name}}={{value}}\"\n"),
        format!("{encoded}item = \"{{name | lower}}={{value}}\"\nitem_empty = \"{{name}}\"\n"),
        "item = \"{pair}\"\n".to_owned(),
    ] {
        assert_eq!(of_query(&whole), Ok(()), "{whole}");
    }
    for part in [
        format!("{encoded}item = \"{{name}}\"\n"),
        format!("{encoded}item = \"{{value}}\"\n"),
        format!("{encoded}item = \"{{name}}={{value | take:'1'}}\"\n"),
        format!("{encoded}item = \"{{name}}={{value}}\"\nitem_empty = \"-\"\n"),
        "name = \"pct\"\nvalue = \"take:'1' | pct\"\nitem = \"{name}={value}\"\n".to_owned(),
        "name = \"before:'n' | pct\"\nvalue = \"pct\"\nitem = \"{name}={value}\"\n".to_owned(),
        "item = \"{pair | take:'1'}\"\n".to_owned(),
    ] {
        assert!(of_query(&part).unwrap_err().to_string().contains("not signed in full: query"), "{part}");
    }
    let of_headers = |item: &str| {
        let rest = format!(
            "[collect.h]\nfrom = \"headers\"\nnames = \"header:x-list | split:','\"\n{item}\n{MAC}message = \"{{h}}\"\n[replay]\nonce = [\"nonce\"]\n"
        );
        let signer = Signer::of(small(ALL, "nonce = \"header:x-nonce\"", &rest).unwrap(), "000102030405060708090a0b0c0d0e0f");
        let mut request = Request::new("GET", "/", &[("x-list", "x-nonce"), ("x-nonce", "12")], "");
        let to_sign = ToSign {
            method: request.method,
            scheme: Scheme::Https,
            host: HOST,
            target: &request.target,
            headers: &request.headers,
            body: Body::of(b""),
        };
        let signed = signer.profile.sign("kid1", &signer.secret, &to_sign, UnixMillis::from_seconds(NOW), Fresh::new(*b"0123456789abcdef"));
        let mac = signed.map_err(|error| error.to_string())?.headers.remove(0).1;
        request.headers.insert("x-mac", mac.parse().unwrap());
        signer.judge(&request).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(of_headers("item = \"{name}:{value}\\n\""), Ok(()));
    for item in ["item = \"{name}\\n\"", "item = \"{name}:{value | take:'1'}\\n\"", "value = \"take:'1'\"\nitem = \"{name}:{value}\\n\""] {
        assert!(of_headers(item).unwrap_err().contains("not signed in full"), "{item}");
    }
}

#[test]
fn one_set_of_parameters_is_written_in_one_way() {
    let set = [("region", "eu-1"), ("service", "api")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let sigv4 = Signer::of(profile("sigv4", &set), "000102030405060708090a0b0c0d0e0f");
    let sent = sigv4.signed(Request::new("GET", "/a?x=1&y=2", &[], ""));
    for other in ["/a?x=1&y=2&", "/a?&x=1&y=2", "/a?x=1&&y=2", "/a?&&x=1&y=2"] {
        let mut other_way = sent.clone();
        other_way.target = other.to_owned();
        assert!(sigv4.judge(&other_way).unwrap_err().to_string().contains("between two &"), "{other}");
    }
    let mut separated = sigv4.signed(Request::new("GET", "/a?x=1%3By=2", &[], ""));
    separated.target = "/a?x=1;y=2".to_owned();
    assert!(sigv4.judge(&separated).unwrap_err().to_string().contains("could be an &"));
    let hubspot = Signer::plain("hubspot-v3");
    let mut cut = hubspot.signed(Request::new("GET", "/a?f=a;b=2", &[], ""));
    cut.target = "/a?f=a%3Bb=2".to_owned();
    assert!(hubspot.judge(&cut).unwrap_err().to_string().contains("%3B"));
    let oauth = Signer::plain("oauth1");
    let mut moved = oauth.signed(Request::new("GET", "/a?x=1", &[], ""));
    let written = moved.headers["authorization"].to_str().unwrap().replace(", oauth_version=\"1.0\"", "");
    moved.headers.insert("authorization", written.parse().unwrap());
    moved.target.push_str("&oauth_version=1.0");
    assert!(oauth.judge(&moved).unwrap_err().to_string().contains("a parameter of OAuth stands in the query"));
    let twilio = Signer::plain("twilio");
    let mut doubled = twilio.signed(Request::new("POST", "/a", &[FORM], "A=1&B=2"));
    doubled.body = b"A=1&A=1&B=2".to_vec();
    assert_eq!(twilio.judge(&doubled), Ok(()));
    assert!(twilio.profile.uncovered().contains(Parts::BODY));
    // Nothing else of a body can be changed.
    for (content_type, body) in [(FORM.1, "A=1&B=3"), (FORM.1, ""), ("application/json", "A=1&B=2"), ("application/json", "{}")] {
        let mut changed = doubled.clone();
        changed.headers.insert("content-type", content_type.parse().unwrap());
        changed.body = body.as_bytes().to_vec();
        assert!(twilio.judge(&changed).is_err(), "{content_type} {body}");
    }
    for body in ["{\"a\":2}", ""] {
        let mut changed = twilio.signed(Request::new("POST", "/a", &[("content-type", "application/json")], "{\"a\":1}"));
        changed.body = body.as_bytes().to_vec();
        assert!(twilio.judge(&changed).is_err(), "{body}");
    }
}

#[test]
fn a_nonce_of_oauth_may_hold_what_is_escaped() {
    let signer = Signer::plain("oauth1");
    let mut sent = signer.signed(Request::new("GET", "/a", &[], ""));
    let value_of = |header: &str, name: &str| header.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let header = sent.headers["authorization"].to_str().unwrap().to_owned();
    let header = header.replace(&value_of(&header, "oauth_nonce"), "a%3Db");
    sent.headers.insert("authorization", header.parse().unwrap());
    let fields = signer.profile.find_fields(sent.head()).unwrap().unwrap();
    let trace = fields.trace(Body::Empty, &signer.secrets, UnixMillis::from_seconds(NOW));
    let algorithm = match value_of(&header, "oauth_signature_method").as_str() {
        "HMAC-SHA1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        _ => hmac::HMAC_SHA256,
    };
    let mac = hmac::sign(&hmac::Key::new(algorithm, b"000102030405060708090a0b0c0d0e0f&"), &trace.strings_to_sign[0]);
    let mac = STANDARD.encode(mac.as_ref()).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    sent.headers.insert("authorization", header.replace(&value_of(&header, "oauth_signature"), &mac).parse().unwrap());
    assert_eq!(signer.judge(&sent), Ok(()));
}
