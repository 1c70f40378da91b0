//! Requests with HTTP Message Signatures as a profile judges them: which signature counts, what it must cover, what is asked for.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName};

use super::super::built_in::built_in;
use super::super::signing::ToSign;
use super::super::*;
use crate::code::{Code, Refusal};
use crate::fresh::Fresh;
use crate::now::UnixMillis;
use crate::request_view::Scheme;
use crate::secret::SecretText;

const NOW: i64 = 1_700_000_000;
const HOST: &str = "api.example.com";
const SECRET: &str = "000102030405060708090a0b0c0d0e0f";
const ALWAYS: &str = r#""@method" "@authority" "@path""#;

/// The strict profile, with more in its `[rfc9421]`.
fn strict(more: &str) -> Profile {
    let text = built_in("rfc9421").unwrap().replace("[rfc9421]\n", &format!("[rfc9421]\n{more}\n"));
    Profile::load(&text, &BTreeMap::new()).unwrap()
}

#[derive(Clone)]
struct Request {
    method: &'static str,
    target: &'static str,
    headers: HeaderMap,
    body: &'static str,
}

impl Request {
    fn get(target: &'static str, headers: &[(&str, &str)]) -> Self {
        let mut request = Self { method: "GET", target, headers: HeaderMap::new(), body: "" };
        request.add("host", HOST);
        headers.iter().for_each(|(name, value)| request.add(name, value));
        request
    }

    fn add(&mut self, name: &str, value: &str) {
        self.headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }

    fn head(&self) -> Head<'_> {
        Head { method: self.method, scheme: Scheme::Https, host: HOST, target: self.target, headers: &self.headers }
    }

    /// Signed as `countersign sign` does, with what was signed.
    fn signed(&self, profile: &Profile) -> (Self, String) {
        let (method, target, headers, body) = (self.method, self.target, &self.headers, Body::of(self.body.as_bytes()));
        let to_sign = ToSign { method, scheme: Scheme::Https, host: HOST, target, headers, body };
        let (now, fresh) = (UnixMillis::from_seconds(NOW), Fresh::new(*b"0123456789abcdef"));
        let signed = profile.sign("kid1", &SecretText::new(SECRET.to_owned()), &to_sign, now, fresh).unwrap();
        let mut request = self.clone();
        signed.headers.iter().for_each(|(name, value)| request.add(name, value));
        (request, String::from_utf8(signed.string_to_sign).unwrap())
    }

    /// Signed by a client that lists `components` and has more parameters.
    fn signed_over(&self, profile: &Profile, components: &str, more: &str) -> Self {
        let input = format!("sig1=({components});created={NOW};keyid=\"kid1\"{more}");
        let with = |mac: &[u8]| {
            let mut request = self.clone();
            request.add("signature-input", &input);
            request.add("signature", &rfc9421::signature("sig1", mac).unwrap());
            request
        };
        let blank = with(&[0; 32]);
        let trace = blank.trace(profile).unwrap();
        let Some(text) = trace.strings_to_sign.first() else { return blank };
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
        with(aws_lc_rs::hmac::sign(&key, text).as_ref())
    }

    fn trace(&self, profile: &Profile) -> Result<Trace, Refusal> {
        let secrets = [LiveSecret::of_any_length(profile, &SecretText::new(SECRET.to_owned())).unwrap()];
        let fields = profile.find_fields(self.head())?.expect("a signature is shown");
        Ok(fields.trace(Body::of(self.body.as_bytes()), &secrets, UnixMillis::from_seconds(NOW)))
    }

    fn judge(&self, profile: &Profile) -> Result<(), Refusal> {
        self.trace(profile)?.judged
    }

    fn refused(&self, profile: &Profile) -> (Code, String) {
        let refusal = self.judge(profile).unwrap_err();
        (refusal.code, refusal.detail.unwrap_or_default().into_owned())
    }
}

fn malformed(words: &str) -> (Code, String) {
    (Code::SignatureMalformed, words.to_owned())
}

#[test]
fn several_lines_of_signature_input_are_one_dictionary() {
    let profile = strict("label = \"sig1\"");
    let (ours, _) = Request::get("/a?b=1", &[]).signed(&profile);
    let mut both = ours.clone();
    both.add("signature-input", "proxy=(\"@method\");created=1;keyid=\"p\";alg=\"ed25519\"");
    both.add("signature", "proxy=:AAAA:");
    assert_eq!(both.judge(&profile), Ok(()));
    let mut twice = ours;
    twice.add("signature-input", "sig1=()");
    assert_eq!(twice.refused(&profile), malformed("sig1 comes twice"));
    assert!(profile.find_fields(Request::get("/a", &[]).head()).unwrap().is_none());
}

#[test]
fn a_broken_signature_of_somebody_else_does_not_refuse_ours() {
    let foreign = [
        ("proxy=();keyid=p", "proxy=:AAAA:"),
        ("proxy=();created=1.5;expires", "proxy=:AAAA:"),
        ("proxy=();keyid=\"p\";keyid=\"q\"", "proxy=:AAAA:"),
        ("proxy=(date)", "proxy=:AAAA:"),
        ("proxy", "proxy=:AAAA:"),
        ("proxy=(), proxy=()", "proxy=:AAAA:, proxy=:AAAA:"),
        ("proxy=()", "proxy=AAAA"),
        ("proxy=()", "proxy=(:AAAA:)"),
        ("proxy=()", ""),
        ("", "proxy=:AAAA:"),
    ];
    for (chosen_by, more) in [("label", "label = \"sig1\""), ("tag", "tag = \"app\"")] {
        let profile = strict(more);
        for (input, signature) in foreign {
            let (mut request, _) = Request::get("/a?b=1", &[]).signed(&profile);
            request.add("signature-input", input);
            request.add("signature", signature);
            assert_eq!(request.judge(&profile), Ok(()), "{input} {signature} by {chosen_by}");
        }
    }
}

#[test]
fn what_is_wrong_with_our_own_signature_is_not_passed_over() {
    let by_label = strict("label = \"sig1\"");
    let by_tag = strict("tag = \"app\"");
    let free = strict("");
    let shown = |input: &str, signature: &str| Request::get("/a", &[("signature-input", input), ("signature", signature)]);
    for (profile, input, signature, words) in [
        (&by_label, "sig1=();keyid=p", "sig1=:AAAA:", "keyid must be a string in double quotes"),
        (&by_label, "sig1=();keyid=\"p\"", "", "sig1 is in Signature-Input but not in Signature"),
        (&by_label, "proxy=()", "proxy=:AAAA:, sig1=:AAAA:", "sig1 is in Signature but not in Signature-Input"),
        (&by_label, "sig1=()", "sig1=AAAA", "sig1 must be base64 between colons"),
        (&by_tag, "a=();tag=app", "a=:AAAA:", "tag must be a string in double quotes"),
        (&by_tag, "a=();tag=\"app\";created=x", "a=:AAAA:", "created must be whole seconds of Unix time"),
        // It may be ours: its tag is not known.
        (&by_tag, "proxy=();tag=\"other\"", "proxy=:AAAA:, a=:AAAA:", "a is in Signature but not in Signature-Input"),
        (&free, "", "a=:AAAA:", "a is in Signature but not in Signature-Input"),
    ] {
        assert_eq!(shown(input, signature).refused(profile), malformed(words), "{input} {signature}");
    }
    let of_others = shown("proxy=();keyid=p", "proxy=:AAAA:, other=:AAAA:");
    assert!(by_label.find_fields(of_others.head()).unwrap().is_none());
    assert_eq!(shown("a=(), b=()", "a=:AAAA:, b=:AAAA:").refused(&free).0, Code::AmbiguousCredentials);
}

#[test]
fn an_empty_query_is_signed_with_the_request_target() {
    let profile = strict("");
    let request = Request::get("/a?", &[]);
    let (signed, text) = request.signed(&profile);
    assert_eq!(signed.judge(&profile), Ok(()));
    assert!(text.contains("\"@query\": ?\n") && text.contains("\"@request-target\": /a?\n"), "{text}");
    for target in ["/a", "/a?b=1"] {
        assert!(!Request::get(target, &[]).signed(&profile).1.contains("@request-target"), "{target}");
    }
    let by_query = request.signed_over(&profile, &format!("{ALWAYS} \"@query\""), "");
    let (code, detail) = by_query.refused(&profile);
    assert_eq!(code, Code::SignatureCoverage);
    assert!(detail.contains("not signed in full: query") && detail.contains("leave the `?` off, or sign \"@request-target\""), "{detail}");
    assert_eq!(request.signed_over(&profile, &format!("{ALWAYS} \"@target-uri\""), "").judge(&profile), Ok(()));
    let not_empty = Request::get("/a?b=1", &[]).signed_over(&profile, ALWAYS, "");
    assert_eq!(not_empty.refused(&profile).1, "not signed in full: query");
}

#[test]
fn a_header_that_must_be_signed_must_be_signed_when_it_is_sent() {
    let profile = strict("");
    let json = [("content-type", "application/json")];
    assert_eq!(Request::get("/a", &[]).signed_over(&profile, ALWAYS, "").judge(&profile), Ok(()));
    let mut added = Request::get("/a", &[]).signed(&profile).0;
    added.add("content-type", "application/json");
    let not_covered = (Code::SignatureCoverage, "the signature must cover \"content-type\"".to_owned());
    assert_eq!(added.refused(&profile), not_covered);
    assert_eq!(Request::get("/a", &json).signed_over(&profile, ALWAYS, "").refused(&profile), not_covered);
    let post = Request { method: "POST", body: "{}", ..Request::get("/a", &json) };
    let (mut signed, text) = post.signed(&profile);
    assert!(text.contains("\"content-type\": application/json\n"), "{text}");
    assert_eq!(signed.judge(&profile), Ok(()));
    signed.headers.insert("content-type", "text/html".parse().unwrap());
    assert_eq!(signed.refused(&profile).0, Code::SignatureMismatch);
    // The client's choice stays that.
    let lax = Profile::load(built_in("rfc9421-lax").unwrap(), &BTreeMap::new()).unwrap();
    assert_eq!(Request::get("/a", &json).signed_over(&lax, "\"@authority\"", "").judge(&lax), Ok(()));
}

#[test]
fn a_header_that_changes_the_meaning_passes_when_it_is_signed() {
    let profile = strict("");
    let gzip = [("content-encoding", "gzip")];
    let uncovered = |request: &Request| {
        let fields = profile.find_fields(request.head()).unwrap().unwrap();
        (fields.uncovered_header(&[]), fields.uncovered_header(&[http::header::CONTENT_ENCODING]))
    };
    let signed = |headers: &[(&str, &str)], more: &str| Request::get("/a", headers).signed_over(&profile, &format!("{ALWAYS}{more}"), "");
    assert_eq!(uncovered(&signed(&gzip, "")), (Some("content-encoding"), None));
    assert_eq!(uncovered(&signed(&gzip, " \"content-encoding\"")), (None, None));
    assert_eq!(uncovered(&signed(&gzip, " \"content-encoding\";bs")), (None, None));
    assert_eq!(uncovered(&signed(&gzip, " \"content-encoding\";key=\"gzip\"")), (Some("content-encoding"), None));
    let r#override = [("x-http-method-override", "DELETE")];
    assert_eq!(uncovered(&signed(&r#override, " \"x-http-method-override\"")), (None, None));
    // By exactly the name that was sent.
    let both = [("content-encoding", "gzip"), ("content_encoding", "br")];
    assert_eq!(uncovered(&signed(&both, " \"content-encoding\"")), (Some("content-encoding"), None));
}

#[test]
fn an_algorithm_that_is_named_must_be_ours() {
    let profile = strict("");
    let request = Request::get("/a", &[]);
    for good in ["", ";alg=\"hmac-sha256\""] {
        assert_eq!(request.signed_over(&profile, ALWAYS, good).judge(&profile), Ok(()), "{good}");
    }
    for bad in [";alg=\"\"", ";alg=\"HMAC-SHA256\"", ";alg=\"ed25519\""] {
        assert_eq!(
            request.signed_over(&profile, ALWAYS, bad).refused(&profile),
            malformed("alg must be hmac-sha256, or left out"),
            "{bad}"
        );
    }
}

#[test]
fn what_is_asked_for_is_what_the_request_has() {
    let profile = strict("tag = \"app\"");
    let asked = |request: &Request| profile.accept_signature(&request.head(), !request.body.is_empty()).unwrap();
    let rest = ";alg=\"hmac-sha256\";tag=\"app\";created";
    assert_eq!(asked(&Request::get("/a", &[])), format!("sig1=({ALWAYS}){rest}"));
    assert_eq!(asked(&Request::get("/a?", &[])), format!("sig1=({ALWAYS} \"@query\" \"@request-target\"){rest}"));
    let post = Request { body: "{}", ..Request::get("/a?b=1", &[("content-type", "application/json")]) };
    assert_eq!(asked(&post), format!("sig1=({ALWAYS} \"@query\" \"content-digest\" \"content-type\"){rest}"));
    assert_eq!(WANT_CONTENT_DIGEST, "sha-256=10", "what works for a body of any size");
}
