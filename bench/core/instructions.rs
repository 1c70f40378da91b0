//! One piece of the decision, done so many times: `instructions PIECE TIMES`. `count.py` runs it under callgrind twice and
//! divides the difference, so that what is done once does not count.
//!
//! Instructions do not depend on what else the machine does, so they show a step back where times are noise. They are of the
//! processor that valgrind imitates: it has no SHA instructions, so hashing looks ten times as dear as it is.
#![expect(clippy::unwrap_used, reason = "nothing here is on the way of a request")]

use std::hint::black_box;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use aws_lc_rs::{digest, hmac};
use countersign::snapshot::TokenTrust;
use countersign::token_memory::TokenMemory;
use countersign_core::access_token::{self, AccessClaims, Expected, TokenRing, TokenSigner, VerifyingKey};
use countersign_core::allow_list::AllowLists;
use countersign_core::decide::{self, Decision, Evidence};
use countersign_core::directory::TokenAlgorithm;
use countersign_core::fresh::Fresh;
use countersign_core::head::{HeadLimits, HeadScanner, Scan};
use countersign_core::identity_headers::{self, IdentityHeaderNames, KeptValues};
use countersign_core::now::UnixMillis;
use countersign_core::presented;
use countersign_core::principal::{Principal, Scopes};
use countersign_core::replay::Claim;
use countersign_core::request_view::{Connection, RequestView, Scheme};
use countersign_core::rule::Rule;
use countersign_core::secret::{SecretBytes, SecretText};
use countersign_core::signature::built_in::built_in;
use countersign_core::signature::load::Constants;
use countersign_core::signature::signing::ToSign;
use countersign_core::signature::{Body, Head, LiveKey, LiveSecret, Profile};
use http::HeaderMap;
use http::request::Parts;

const SECRET: &str = "css_000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f8bc1c2ea";
const NOW: UnixMillis = UnixMillis::from_seconds(1_764_000_000);

fn main() {
    let mut words = std::env::args().skip(1);
    let (Some(piece), Some(Ok(times))) = (words.next(), words.next().map(|times| times.parse::<u32>())) else {
        eprintln!("instructions head|judge|anyone|signed|by-hand|v3.0|rfc9421|sigv4|token|new-token|foreign|headers TIMES");
        std::process::exit(2);
    };
    let mut act = act(&piece);
    for _ in 0..times {
        act();
    }
}

fn act(piece: &str) -> Box<dyn FnMut()> {
    let connection = Connection { peer: "127.0.0.1:4000".parse().unwrap(), public_scheme: Scheme::Http, proxies: Arc::default() };
    let plain = request("/public/items/123456?x=1", &[]);
    let lists = AllowLists::default();
    match piece {
        "head" => Box::new(|| {
            let head = b"GET /public/items/123456?x=1 HTTP/1.1\r\nHost: api.test\r\nUser-Agent: bench-driver/1.0\r\nAccept: */*\r\n\r\n";
            assert!(matches!(HeadScanner::new(HeadLimits::default()).scan(black_box(head)), Scan::Complete(_)));
        }),
        "judge" => Box::new(move || drop(black_box(RequestView::judge(black_box(&plain), &connection).unwrap()))),
        "anyone" => {
            let rule: Rule = "anyone".parse().unwrap();
            Box::new(move || {
                let view = RequestView::judge(black_box(&plain), &connection).unwrap();
                decide::early(&rule, &lists, &view, NOW).unwrap();
                assert!(matches!(decide::decide(&rule, Evidence::default(), &lists, &view, NOW), Decision::Allow(_)));
            })
        }
        "signed" | "headers" => {
            let (rule, profiles) = ("hmac".parse::<Rule>().unwrap(), [profile("v3.0")]);
            let (signed, key, names) = (signed(&profiles[0]), key(&profiles[0]), IdentityHeaderNames::default());
            let mut kept = KeptValues::default();
            let headers_too = piece == "headers";
            Box::new(move || {
                let view = RequestView::judge(black_box(&signed), &connection).unwrap();
                let fields = presented::find(&view, &rule, &profiles).unwrap().signature.unwrap();
                fields.check_time(NOW, UnixMillis::MIN).unwrap();
                let good = fields.verify(Body::Empty, Some(&key), NOW).unwrap();
                let mut evidence = Evidence::default();
                evidence.add_signature(fields.profile().name(), good.finish(Claim::First).unwrap());
                let Decision::Allow(permit) = decide::decide(&rule, evidence, &lists, &view, NOW) else { std::process::abort() };
                if headers_too {
                    let mut headers = signed.headers.clone();
                    identity_headers::apply(&mut headers, &names, &permit, false, &mut kept);
                    black_box(headers);
                }
            })
        }
        "v3.0" | "rfc9421" | "sigv4" => {
            let profile = profile(piece);
            let (signed, key) = (signed(&profile), key(&profile));
            Box::new(move || {
                let view = RequestView::judge(black_box(&signed), &connection).unwrap();
                let fields = profile.find_fields(Head::of(&view)).unwrap().unwrap();
                fields.check_time(NOW, UnixMillis::MIN).unwrap();
                drop(black_box(fields.verify(Body::Empty, Some(&key), NOW).unwrap()));
            })
        }
        "by-hand" => {
            let signed = signed(&profile("v3.0"));
            let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
            Box::new(move || {
                let view = RequestView::judge(black_box(&signed), &connection).unwrap();
                black_box(by_hand(&view, &key).unwrap());
            })
        }
        "token" => {
            let (token, trust) = token();
            let mut memory = TokenMemory::new(1000, Fresh::new([7; 32]));
            let verified = access_token::verify(token.expose().as_bytes(), &trust.ring, &trust.expected, NOW).unwrap();
            memory.remember(memory.name(token.expose().as_bytes()), &trust, &verified);
            Box::new(move || drop(black_box(memory.find(memory.name(black_box(token.expose().as_bytes())), &trust, NOW).unwrap())))
        }
        "new-token" => {
            let (token, trust) = token();
            Box::new(move || {
                drop(black_box(access_token::verify(black_box(token.expose().as_bytes()), &trust.ring, &trust.expected, NOW).unwrap()));
            })
        }
        "foreign" => {
            let (token, trust) = token();
            let rest = token.expose().split_once('.').unwrap().1;
            // {"typ":"JWT","alg":"HS256","kid":"somebody-elses-key"}
            let token = format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImtpZCI6InNvbWVib2R5LWVsc2VzLWtleSJ9.{rest}");
            Box::new(move || drop(access_token::verify(black_box(token.as_bytes()), &trust.ring, &trust.expected, NOW).unwrap_err()))
        }
        _ => {
            eprintln!("there is no piece {piece}");
            std::process::exit(2);
        }
    }
}

fn request(target: &str, headers: &[(String, String)]) -> Parts {
    let request = http::Request::get(target).header("host", "api.test").header("user-agent", "bench-driver/1.0").header("accept", "*/*");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    request.body(()).unwrap().into_parts().0
}

/// The native scheme as one would write it for itself: what the interpreter is measured against. It checks what the profile
/// checks and hashes what a claim needs.
fn by_hand(view: &RequestView<'_>, key: &hmac::Key) -> Option<([u8; 32], [u8; 32])> {
    let headers = view.headers();
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let first = values.next()?;
        if values.next().is_some() { None } else { first.to_str().ok() }
    };
    let within = |text: &str, allowed: fn(u8) -> bool, length: std::ops::RangeInclusive<usize>| {
        length.contains(&text.len()) && text.bytes().all(allowed)
    };
    let (key_id, timestamp, nonce) = (one("x-key-id")?, one("x-timestamp")?, one("x-nonce")?);
    let mac = one("x-signature")?.strip_prefix("v3=")?;
    let well_formed = within(key_id, |b| b.is_ascii_graphic(), 1..=128)
        && within(timestamp, |b| b.is_ascii_digit(), 10..=10)
        && within(nonce, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'), 16..=64)
        && within(mac, |b| matches!(b, b'0'..=b'9' | b'a'..=b'f'), 64..=64);
    let signed_at = UnixMillis::from_seconds(timestamp.parse().ok()?);
    if !well_formed || NOW.since(signed_at).as_secs() > 300 || signed_at.since(NOW).as_secs() > 60 {
        return None;
    }
    let mut given = [0; 32];
    for (to, pair) in given.iter_mut().zip(mac.as_bytes().chunks(2)) {
        *to = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    let mut text = String::with_capacity(320);
    let content_type = headers.get("content-type").map_or("", |value| value.to_str().unwrap_or_default());
    for line in ["v3.0", key_id, timestamp, nonce, view.method().as_str(), view.host(), view.target(), content_type] {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hmac::verify(key, text.as_bytes(), &given).ok()?;
    let hash = |bytes: &[u8]| digest::digest(&digest::SHA256, bytes).as_ref().try_into().ok();
    Some((hash(nonce.as_bytes())?, hash(text.as_bytes())?))
}

fn profile(name: &str) -> Profile {
    let scope: &[_] = if name == "sigv4" { &[("region", "eu-1"), ("service", "api")] } else { &[] };
    let constants: Constants = scope.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Profile::load(built_in(name).unwrap(), &constants).unwrap()
}

fn signed(profile: &Profile) -> Parts {
    let (target, headers) = ("/api/v3.0/items/123456?x=1", HeaderMap::new());
    let to_sign = ToSign { method: "GET", scheme: Scheme::Http, host: "api.test", target, headers: &headers, body: Body::Empty };
    let signed = profile.sign("ck_bench", &SecretText::new(SECRET.into()), &to_sign, NOW, Fresh::new([7; 16])).unwrap();
    let headers: Vec<_> = signed.headers.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    request(target, &headers)
}

fn key(profile: &Profile) -> LiveKey {
    let secret = LiveSecret::new(profile, "se_1".parse().unwrap(), &SecretText::new(SECRET.into()), None).unwrap();
    let principal = Principal { id: "cl_0000000000000001".parse().unwrap(), name: "acme".into() };
    LiveKey::new("ck_bench".parse().unwrap(), principal.into(), Arc::new(Scopes::default()), profile.name().clone(), vec![secret])
}

fn token() -> (SecretText, Arc<TokenTrust>) {
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let id: countersign_core::id::TokenKeyId = "tk_1".parse().unwrap();
    let signer = TokenSigner::new(&id, &SecretBytes::new(pair.as_ref().to_vec())).unwrap();
    let claims = AccessClaims {
        issuer: "http://127.0.0.1:8080".into(),
        audience: "http://127.0.0.1:8080".into(),
        principal: Principal { id: "us_0000000000000001".parse().unwrap(), name: "bench".into() },
        client: "first-party".parse().unwrap(),
        session: "si_0000000000000001".parse().unwrap(),
        id: "0011223344556677".into(),
        issued: NOW,
        expires: UnixMillis::from_seconds(NOW.seconds() + 900),
        scopes: Scopes::default(),
    };
    let ring = TokenRing::new(vec![VerifyingKey::new(id, TokenAlgorithm::Es256, signer.public(), None).unwrap()]);
    let expected = Expected { issuer: claims.issuer.clone(), audience: claims.audience.clone() };
    (signer.sign(&claims).unwrap(), Arc::new(TokenTrust { ring, expected }))
}
