use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_764_000_000;

fn at(seconds: i64) -> UnixMillis {
    UnixMillis::from_seconds(seconds)
}

fn private() -> SecretBytes {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    SecretBytes::new(pair.to_pkcs8v1().unwrap().as_ref().to_vec())
}

fn kid() -> TokenKeyId {
    "tk_0000000000000001".parse().unwrap()
}

fn expected() -> Expected {
    Expected { issuer: "https://gw.test".into(), audience: "https://api.test".into() }
}

struct World {
    private: SecretBytes,
    signer: TokenSigner,
    ring: TokenRing,
}

fn world() -> World {
    let private = private();
    let signer = TokenSigner::new(&kid(), &private).unwrap();
    let key = VerifyingKey::new(kid(), TokenAlgorithm::Es256, signer.public(), None).unwrap();
    World { private, signer, ring: TokenRing::new(vec![key]) }
}

fn claims() -> AccessClaims {
    AccessClaims {
        issuer: expected().issuer,
        audience: expected().audience,
        principal: Principal { id: "us_0000000000000001".parse().unwrap(), name: "bob".into() },
        client: "app".parse().unwrap(),
        session: "si_0000000000000001".parse().unwrap(),
        id: "j1".to_owned(),
        issued: at(NOW),
        expires: at(NOW + 900),
        scopes: "read write".parse().unwrap(),
    }
}

fn shown() -> Value {
    json!({
        "iss": "https://gw.test", "sub": "us_0000000000000001", "aud": "https://api.test", "client_id": "app",
        "exp": NOW + 900, "iat": NOW, "jti": "j1", "sid": "si_0000000000000001", "scope": "read", "preferred_username": "bob",
    })
}

/// As every version has written it and nodes of different versions must go on to write it: a client that stays logged in while
/// the gateway is replaced is not refused.
const HEADER: &str = r#"{"typ":"at+jwt","alg":"ES256","kid":"tk_0000000000000001"}"#;

fn header() -> Value {
    serde_json::from_str(HEADER).unwrap()
}

impl World {
    /// Signs any two texts with the right key.
    fn forge(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{signature}")
    }

    fn sign(&self, signed: &[u8]) -> String {
        let key = EncodingKey::from_ec_der(self.private.expose());
        jsonwebtoken::crypto::sign(signed, &key, Algorithm::ES256).unwrap()
    }

    fn code(&self, token: &str) -> Option<Code> {
        verify(token.as_bytes(), &self.ring, &expected(), at(NOW + 1)).err().map(|refusal| refusal.code)
    }
}

fn with(mut value: Value, key: &str, to: Value) -> String {
    value[key] = to;
    value.to_string()
}

fn without(mut value: Value, key: &str) -> String {
    value.as_object_mut().unwrap().remove(key);
    value.to_string()
}

#[test]
fn a_token_of_ours_says_who_until_it_expires() {
    let world = world();
    let token = world.signer.sign(&claims()).unwrap();
    let good = verify(token.expose().as_bytes(), &world.ring, &expected(), at(NOW)).unwrap();
    let identity = good.get();
    assert_eq!(identity.principal.id.as_str(), "us_0000000000000001");
    assert_eq!(&*identity.principal.name, "bob");
    assert_eq!(identity.scopes.to_string(), "read write");
    assert_eq!(identity.session.as_ref().unwrap().as_str(), "si_0000000000000001");
    assert_eq!(identity.expires, Some(at(NOW + 900)));
    assert!(verify(token.expose().as_bytes(), &world.ring, &expected(), UnixMillis::from_millis((NOW + 900) * 1000 - 1)).is_ok());
    let expired = verify(token.expose().as_bytes(), &world.ring, &expected(), at(NOW + 900)).unwrap_err();
    assert_eq!(expired.code, Code::TokenExpired);
    let session = verify_ignoring_expiry(token.expose().as_bytes(), &world.ring, &expected(), at(NOW + 90_000)).unwrap();
    assert_eq!(session.as_str(), "si_0000000000000001");
}

#[test]
fn a_key_that_has_ended_verifies_nothing() {
    let world = world();
    let token = world.signer.sign(&claims()).unwrap();
    let ring = |ends| TokenRing::new(vec![VerifyingKey::new(kid(), TokenAlgorithm::Es256, world.signer.public(), Some(at(ends))).unwrap()]);
    assert!(verify(token.expose().as_bytes(), &ring(NOW + 2), &expected(), at(NOW + 1)).is_ok());
    assert_eq!(verify(token.expose().as_bytes(), &ring(NOW + 1), &expected(), at(NOW + 1)).unwrap_err().code, Code::InvalidToken);
}

#[test]
fn both_spellings_of_the_audience_are_taken() {
    let world = world();
    assert_eq!(world.code(&world.forge(HEADER, &with(shown(), "aud", json!(["https://api.test"])))), None);
}

#[test]
fn a_token_begins_with_its_header_as_it_always_did() {
    let world = world();
    let token = world.signer.sign(&claims()).unwrap();
    assert_eq!(token.expose().split('.').next().unwrap(), URL_SAFE_NO_PAD.encode(HEADER));
    assert_eq!(world.code(&world.forge(HEADER, &shown().to_string())), None);
}

#[test]
fn no_other_header_is_taken() {
    let world = world();
    let good = HEADER;
    let mut hostile = vec![
        // The same, written in another way.
        with(header(), "alg", json!("ES256")),
        with(header(), "typ", json!("application/at+jwt")),
        with(header(), "typ", json!("AT+JWT")),
        good.replace(':', ": "),
        good.replace("ES256", "ES\\u0032\\u0035\\u0036"),
        format!("{good} "),
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        json!(["ES256", "at+jwt", "tk_0000000000000001"]).to_string(),
        String::new(),
        format!("\u{feff}{good}"),
        format!("{good} x"),
        good.replace("\"alg\"", "\"alg\":\"ES256\",\"alg\""),
        good.replace("\"kid\"", "\"kid\":\"tk_0000000000000001\",\"kid\""),
        "[".repeat(3000),
    ];
    for alg in ["none", "None", "nOnE", "NONE", "none ", "", "HS256", "RS256", "ES384", "es256", "EdDSA", "PS256"] {
        hostile.push(with(header(), "alg", json!(alg)));
    }
    for alg in [json!(null), json!(256), json!(["ES256"]), json!({"a": 1})] {
        hostile.push(with(header(), "alg", alg));
    }
    for typ in [json!("JWT"), json!("AT+JWT;x"), json!("at+jwt "), json!(""), json!(null), json!("logout+jwt"), json!(["at+jwt"])] {
        hostile.push(with(header(), "typ", typ));
    }
    for kid in [
        json!("tk_0000000000000002"),
        json!("../../dev/null"),
        json!("' UNION SELECT"),
        json!("k".repeat(3000)),
        json!(1),
        json!([]),
        json!("tk_0000000000000001\u{0}"),
    ] {
        hostile.push(with(header(), "kid", kid));
    }
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("jwk", json!({"kty": "EC"})),
        ("jku", json!("https://127.0.0.1/")),
        ("x5u", json!("https://127.0.0.1/")),
        ("x5c", json!([])),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("b64", json!(false)),
        ("cty", json!("JWT")),
        ("p2c", json!(2_147_483_647)),
    ] {
        hostile.push(with(header(), name, value));
    }
    for name in ["alg", "typ", "kid"] {
        hostile.push(without(header(), name));
    }
    for header in hostile {
        assert_eq!(world.code(&world.forge(&header, &shown().to_string())), Some(Code::InvalidToken), "{header}");
    }
}

#[test]
fn no_other_claims_are_taken() {
    let world = world();
    let good = shown().to_string();
    let mut hostile = vec!["{}".to_owned(), "[]".to_owned(), "null".to_owned(), "\"x\"".to_owned(), "[".repeat(3000)];
    for name in shown().as_object().unwrap().keys() {
        hostile.push(without(shown(), name));
        for value in [json!(null), json!([]), json!({}), json!(true), json!(1.5)] {
            hostile.push(with(shown(), name, value));
        }
        hostile.push(good.replace(&format!("\"{name}\":"), &format!("\"{name}\":null,\"{name}\":")));
    }
    for (name, value) in [
        ("iss", json!("https://gw.test/")),
        ("iss", json!("HTTPS://gw.test")),
        ("aud", json!("https://other.test")),
        ("aud", json!(["https://api.test", "https://other.test"])),
        ("aud", json!(["https://other.test"])),
        ("sub", json!("us_")),
        ("sub", json!("bob")),
        ("sid", json!("us_0000000000000001")),
        ("exp", json!("1764000900")),
        ("exp", json!(NOW)),
        ("exp", json!(-1)),
        ("iat", json!(NOW + 62)),
        ("iat", json!(-1)),
        ("jti", json!("")),
        ("jti", json!("j".repeat(129))),
        ("scope", json!("a\"b")),
        ("client_id", json!("")),
        ("nbf", json!(NOW + 500)),
        ("cnf", json!({"x5t#S256": "x"})),
        ("admin", json!(true)),
    ] {
        hostile.push(with(shown(), name, value));
    }
    hostile.push(good.replace(&format!("{}", NOW + 900), "1e999"));
    hostile.push(good.replace("\"bob\"", "\"\\ud800\""));
    for claims in hostile {
        assert_eq!(world.code(&world.forge(HEADER, &claims)), Some(Code::InvalidToken), "{claims}");
    }
    assert_eq!(world.code(&world.forge(HEADER, &good)), None);
    assert_eq!(world.code(&world.forge(HEADER, &with(shown(), "iat", json!(NOW + 61)))), None);
}

#[test]
fn only_a_compact_signed_text_is_a_token() {
    let world = world();
    let good = world.signer.sign(&claims()).unwrap();
    let good = good.expose();
    assert_eq!(world.code(good), None);
    let [head, body, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let other_bits = |text: &str| {
        // The last character carries bits that decode to nothing; another one there is the same bytes spelled differently.
        let last = text.chars().last().unwrap();
        let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let next = digits.chars().nth((digits.find(last).unwrap() + 1) % 64).unwrap();
        format!("{}{next}", text.strip_suffix(last).unwrap())
    };
    let zero = URL_SAFE_NO_PAD.encode([0; 64]);
    let mut hostile = vec![
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        ".".repeat(5000),
        format!("{head}.{body}"),
        format!("{head}.{body}."),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{head}.{body}.x.y.{signature}"),
        format!("{good}=="),
        format!("{good}\n"),
        format!(" {good}"),
        good.replace('.', " ."),
        format!("{head}=.{body}.{signature}"),
        format!("{head}..{signature}"),
        format!(".{body}.{signature}"),
        format!("{head}.{body}.{zero}"),
        format!("{head}.{body}.{}", other_bits(signature)),
        format!("{head}.{body}.{}", signature.split_at(85).0),
        format!("{head}.{body}.{signature}A"),
        format!("{good}{}", "A".repeat(MOST_BYTES)),
        json!({"protected": head, "payload": body, "signature": signature}).to_string(),
        good.replace('-', "+").replace('_', "/") + "+/",
    ];
    let secret = hmac::Key::new(hmac::HMAC_SHA256, world.signer.public());
    let hs_head = URL_SAFE_NO_PAD.encode(with(header(), "alg", json!("HS256")));
    let hs = hmac::sign(&secret, format!("{hs_head}.{body}").as_bytes());
    hostile.push(format!("{hs_head}.{body}.{}", URL_SAFE_NO_PAD.encode(hs.as_ref())));
    let none_head = URL_SAFE_NO_PAD.encode(with(header(), "alg", json!("none")));
    hostile.push(format!("{none_head}.{body}."));
    hostile.push(self::world().signer.sign(&claims()).unwrap().expose().to_owned());
    for shown in [" ", "\t", "a b", "\u{e9}", "\"x.y.z\"", "===", "a, Bearer b"] {
        hostile.push(shown.to_owned());
        hostile.push(format!("{shown}{good}"));
        hostile.push(format!("{good}{shown}"));
    }
    for token in hostile {
        assert_eq!(world.code(&token), Some(Code::InvalidToken), "{}", token.chars().take(200).collect::<String>());
    }
}

#[test]
fn who_shows_a_token_in_quotes_is_told_what_a_token_holds() {
    let world = world();
    let good = world.signer.sign(&claims()).unwrap();
    let detail = |token: &str| verify(token.as_bytes(), &world.ring, &expected(), at(NOW + 1)).unwrap_err().detail;
    for odd in [format!("\"{}\"", good.expose()), format!("{}, Bearer x", good.expose()), "a b".to_owned(), "a+b".to_owned()] {
        assert!(detail(&odd).is_some_and(|detail| detail.contains("letters, digits")), "{odd}");
    }
    let (line, rest) = good.expose().split_at(64);
    assert!(detail(&format!("{line} {rest}")).is_some(), "wrapped at 64");
    assert_eq!(detail(&format!("{}A", good.expose())), None);
}

#[test]
fn the_three_parts_are_base64url_whoever_signed_them() {
    let world = world();
    let (head, body) = (URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(shown().to_string()));
    let refused = |signed: Vec<u8>, signature: &[u8]| {
        let token = [&signed, &b"."[..], signature].concat();
        let refusal = verify(&token, &world.ring, &expected(), at(NOW + 1)).err();
        assert_eq!(refusal.map(|refusal| refusal.code), Some(Code::InvalidToken), "{}", token.escape_ascii());
    };
    for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_')) {
        for text in [&head, &body] {
            // In the middle, and behind the end, where padding would stand.
            for at in [text.len() / 2, text.len()] {
                let other = [&text.as_bytes()[..at], &[byte], &text.as_bytes()[at..]].concat();
                let (head, body) = if text == &head { (&other[..], body.as_bytes()) } else { (head.as_bytes(), &other[..]) };
                let signed = [head, b".", body].concat();
                let signature = world.sign(&signed);
                refused(signed, signature.as_bytes());
            }
        }
        let signed = format!("{head}.{body}").into_bytes();
        let mut signature = world.sign(&signed).into_bytes();
        signature[40] = byte;
        refused(signed, &signature);
    }
}

#[test]
fn no_changed_character_goes_unnoticed() {
    let world = world();
    let good = world.signer.sign(&claims()).unwrap();
    for (i, c) in good.expose().char_indices() {
        let mut changed = good.expose().to_owned();
        changed.replace_range(i..=i, if c == 'A' { "B" } else { "A" });
        assert_eq!(world.code(&changed), Some(Code::InvalidToken), "position {i}");
    }
}

#[test]
fn a_key_is_published_as_it_is_and_a_bad_one_is_refused() {
    let world = world();
    let jwk = world.ring.keys()[0].jwk();
    assert_eq!(jwk["kty"], "EC");
    assert_eq!(jwk["kid"], "tk_0000000000000001");
    let x = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
    assert_eq!(x, world.signer.public()[1..33]);
    let mut off = world.signer.public().to_vec();
    off[40] ^= 1;
    for bad in [off, vec![4; 65], vec![], world.signer.public()[..64].to_vec()] {
        assert!(VerifyingKey::new(kid(), TokenAlgorithm::Es256, &bad, None).is_err());
    }
    assert!(TokenSigner::new(&kid(), &SecretBytes::new(vec![1, 2, 3])).is_err());
}
