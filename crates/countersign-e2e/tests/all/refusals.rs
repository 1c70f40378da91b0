//! Every reason to refuse, end to end: the bytes that provoke it are sent, and the upstream sees nothing.
//!
//! A code that is in none of the tables fails `every_code_is_provoked`. The list of exceptions only shrinks.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use countersign_core::code::Code;
use countersign_e2e::{Answer, RecordingUpstream, Scene, USERNAME, admin_call, login};
use serde_json::{Value, json};

/// Limits that can be reached in a test, and a listener behind a proxy on loopback.
const LISTENER: &str = "trusted_proxies = [\"127.0.0.0/8\"]\nclient_address_from = \"x-forwarded-for\"\n";
const LIMITS: &str =
    "[limits]\nhead_seconds = 1\nbody_idle_seconds = 1\nsigned_body_bytes = 524288\nbody_budget_bytes = 1048576\nspool_bytes = 600000\n";

/// A route that allows what can be read in more than one way, and one below it that does not.
const LOOSE: &str = "[[route]]\npath = \"/loose/*\"\nrequire = \"anyone\"\nupstream = \"api\"\n\
    allow = [\"empty_segment\", \"encoded_slash\", \"path_parameter\"]\n\
    [[route]]\npath = \"/loose/strict/*\"\nrequire = \"jwt\"\nupstream = \"api\"\n";

/// A route whose signatures say nothing about a query.
const HOOK: &str =
    "[[route]]\npath = \"/hook\"\nmethods = [\"POST\"]\nrequire = \"hmac(github)\"\nsigning_key = \"ck_hook\"\nupstream = \"api\"\n";

/// Requests whose bytes are enough. `~` stands for CR LF, and every request ends with the empty line.
const BYTES: &[(Code, &[&str])] = &[
    (
        Code::BadRequestLine,
        &[
            "GET  /open/x HTTP/1.1~Host: api.test",
            "GET\t/open/x HTTP/1.1~Host: api.test",
            "GET /open/x~Host: api.test",
            "GET /open/x HTTP/1.1 ~Host: api.test",
            "G(T /open/x HTTP/1.1~Host: api.test",
        ],
    ),
    (
        Code::BadMethod,
        &["get /open/x HTTP/1.1~Host: api.test", "TRACE /open/x HTTP/1.1~Host: api.test", "CONNECT api.test:80 HTTP/1.1~Host: api.test:80"],
    ),
    (
        Code::UnsupportedVersion,
        &["GET /open/x HTTP/1.2~Host: api.test", "GET /open/x HTTP/2.0~Host: api.test", "GET /open/x HTTP/0.9~Host: api.test"],
    ),
    (
        Code::BadTarget,
        &[
            "GET open/x HTTP/1.1~Host: api.test",
            "GET * HTTP/1.1~Host: api.test",
            "GET /open/\u{e9} HTTP/1.1~Host: api.test",
            "GET api.test:80 HTTP/1.1~Host: api.test",
        ],
    ),
    (Code::FragmentInTarget, &["GET /open/x#y HTTP/1.1~Host: api.test", "GET /open/x?a#y HTTP/1.1~Host: api.test"]),
    (
        Code::BadLineEnding,
        &["GET /open/x HTTP/1.1\nHost: api.test", "GET /open/x HTTP/1.1~Host: api.test\nX: y", "GET /open/x HTTP/1.1~Host: api.test\rX: y"],
    ),
    (Code::FoldedHeader, &["GET /open/x HTTP/1.1~Host: api.test~X-A: b~ c", "GET /open/x HTTP/1.1~Host: api.test~X-A: b~\tc"]),
    (
        Code::BadHeaderName,
        &[
            "GET /open/x HTTP/1.1~Host: api.test~X-A : b",
            "GET /open/x HTTP/1.1~Host: api.test~: b",
            "GET /open/x HTTP/1.1~Host: api.test~nothing",
            "GET /open/x HTTP/1.1~Host: api.test~X(A): b",
        ],
    ),
    (
        Code::BadHeaderValue,
        &[
            "GET /open/x HTTP/1.1~Host: api.test~X-A: a\u{1}b",
            "GET /open/x HTTP/1.1~Host: api.test~X-A: \u{7f}",
            "GET /open/x HTTP/1.1~Host: api.test~X-A: \u{e9}",
        ],
    ),
    (Code::NoHost, &["GET /open/x HTTP/1.1~Accept: */*"]),
    (Code::ManyHosts, &["GET /open/x HTTP/1.1~Host: api.test~Host: api.test"]),
    (
        Code::BadHost,
        &[
            "GET /open/x HTTP/1.1~Host: a b",
            "GET /open/x HTTP/1.1~Host: a@b",
            "GET /open/x HTTP/1.1~Host: api.test:99999",
            "GET /open/x HTTP/1.1~Host: a, b",
            "GET /open/x HTTP/1.1~Host: [::1",
        ],
    ),
    (Code::HostMismatch, &["GET http://other.test/open/x HTTP/1.1~Host: api.test"]),
    (
        Code::BadContentLength,
        &[
            "POST /open/x HTTP/1.1~Host: api.test~Content-Length: +1",
            "POST /open/x HTTP/1.1~Host: api.test~Content-Length: 1~Content-Length: 1",
            "POST /open/x HTTP/1.1~Host: api.test~Content-Length: 1, 1",
            "POST /open/x HTTP/1.1~Host: api.test~Content-Length: 0x1",
        ],
    ),
    (
        Code::BadTransferEncoding,
        &[
            "POST /open/x HTTP/1.1~Host: api.test~Transfer-Encoding: gzip, chunked",
            "POST /open/x HTTP/1.1~Host: api.test~Transfer-Encoding: chunked, chunked",
            "POST /open/x HTTP/1.1~Host: api.test~Transfer-Encoding: xchunked",
            "POST /open/x HTTP/1.0~Host: api.test~Transfer-Encoding: chunked",
        ],
    ),
    (
        Code::TwoLengths,
        &[
            "POST /open/x HTTP/1.1~Host: api.test~Content-Length: 5~Transfer-Encoding: chunked",
            "POST /open/x HTTP/1.1~Host: api.test~Transfer-Encoding: chunked~Content-Length: 5",
        ],
    ),
    (Code::ExpectationFailed, &["POST /open/x HTTP/1.1~Host: api.test~Expect: 200-ok~Content-Length: 0"]),
    (
        Code::BadUpgrade,
        &[
            "GET /open/x HTTP/1.1~Host: api.test~Connection: upgrade~Upgrade: h2c",
            "GET /open/x HTTP/1.1~Host: api.test~Connection: upgrade~Upgrade: foo, websocket",
            "POST /open/x HTTP/1.1~Host: api.test~Connection: upgrade~Upgrade: websocket~Content-Length: 0",
        ],
    ),
    (
        Code::EncodedSlash,
        &[
            "GET /open/a%2fb HTTP/1.1~Host: api.test",
            "GET /open/a%2Fb HTTP/1.1~Host: api.test",
            "GET /loose/%2fstrict/x HTTP/1.1~Host: api.test",
            "GET /loose/strict%2Fx HTTP/1.1~Host: api.test",
        ],
    ),
    (Code::Backslash, &["GET /open/a%5cb HTTP/1.1~Host: api.test", "GET /open/a\\b HTTP/1.1~Host: api.test"]),
    (
        Code::ControlInPath,
        &["GET /open/a%00 HTTP/1.1~Host: api.test", "GET /open/a%0a HTTP/1.1~Host: api.test", "GET /open/%7f HTTP/1.1~Host: api.test"],
    ),
    (
        Code::BadPercent,
        &[
            "GET /open/a% HTTP/1.1~Host: api.test",
            "GET /open/a%2 HTTP/1.1~Host: api.test",
            "GET /open/a%zz HTTP/1.1~Host: api.test",
            "GET /open/a%252f HTTP/1.1~Host: api.test",
        ],
    ),
    (
        Code::DotSegment,
        &[
            "GET /open/../api/hello HTTP/1.1~Host: api.test",
            "GET /open/. HTTP/1.1~Host: api.test",
            "GET /open/%2e%2e/api HTTP/1.1~Host: api.test",
            "GET /open/.%2e/api HTTP/1.1~Host: api.test",
        ],
    ),
    (
        Code::EmptySegment,
        &[
            "GET //open/x HTTP/1.1~Host: api.test",
            "GET /open//x HTTP/1.1~Host: api.test",
            "GET /loose//strict/x HTTP/1.1~Host: api.test",
            "GET /loose//Strict/x HTTP/1.1~Host: api.test",
        ],
    ),
    (
        Code::PathParameter,
        &[
            "GET /open/x;a=b HTTP/1.1~Host: api.test",
            "GET /open/x%3ba HTTP/1.1~Host: api.test",
            "GET /loose/strict;a/x HTTP/1.1~Host: api.test",
            "GET /loose/strict%3ba/x HTTP/1.1~Host: api.test",
        ],
    ),
    (Code::EncodedUnreserved, &["GET /open/%78 HTTP/1.1~Host: api.test", "GET /api/%763.0/x HTTP/1.1~Host: api.test"]),
    (Code::BadPathText, &["GET /open/%c0%af HTTP/1.1~Host: api.test", "GET /open/%ff HTTP/1.1~Host: api.test"]),
    (Code::PathCase, &["GET /open/private/x HTTP/1.1~Host: api.test", "GET /open/PRIVATE/x HTTP/1.1~Host: api.test"]),
    (
        Code::DuplicateHeader,
        &[
            "GET /open/x HTTP/1.1~Host: api.test~Content-Type: a/b~Content-Type: a/b",
            "GET /api/x HTTP/1.1~Host: api.test~Authorization: Bearer a~Authorization: Bearer a",
        ],
    ),
    (
        Code::UnclearClientAddress,
        &[
            "GET /open/x HTTP/1.1~Host: api.test~X-Forwarded-For: unknown",
            "GET /open/x HTTP/1.1~Host: api.test~X-Forwarded-For: 10.0.0.1,,",
        ],
    ),
    (
        Code::NoRoute,
        &[
            "GET / HTTP/1.1~Host: api.test",
            "GET /opening HTTP/1.1~Host: api.test",
            "GET /api/v4/x HTTP/1.1~Host: api.test",
            "GET /admin/v1/users HTTP/1.1~Host: api.test",
        ],
    ),
    (Code::MethodNotAllowed, &["POST /read/x HTTP/1.1~Host: api.test~Content-Length: 0"]),
    (
        Code::CredentialsRequired,
        &[
            "GET /api/x HTTP/1.1~Host: api.test",
            "GET /api/v3.0/x HTTP/1.1~Host: api.test",
            "GET /api/x HTTP/1.1~Host: api.test~Authorization: Basic YTpi",
        ],
    ),
    (
        Code::InvalidToken,
        &[
            "GET /api/x HTTP/1.1~Host: api.test~Authorization: Bearer a.b.c",
            "GET /either/x HTTP/1.1~Host: api.test~Authorization: Bearer x~X-Forwarded-For: 192.0.2.7",
            "GET /either/x HTTP/1.1~Host: api.test~Authorization: Bearer~X-Forwarded-For: 192.0.2.7",
            "GET /either/x HTTP/1.1~Host: api.test~Authorization: Bearer  x~X-Forwarded-For: 192.0.2.7",
            "GET /either/x HTTP/1.1~Host: api.test~Authorization: Bearer a b~X-Forwarded-For: 192.0.2.7",
            "GET /either/x HTTP/1.1~Host: api.test~Authorization: Bearer x, Bearer y~X-Forwarded-For: 192.0.2.7",
        ],
    ),
    (Code::InvalidApiKey, &["GET /api/x HTTP/1.1~Host: api.test~X-API-Key: csk_1234"]),
    (
        Code::SignatureMalformed,
        &[
            "GET /signed/x HTTP/1.1~Host: api.test~X-Key-Id: ck_1~X-Timestamp: 1~X-Nonce: 0123456789abcdef",
            "GET /signed/x HTTP/1.1~Host: api.test~X-Key-Id: ck_1~X-Timestamp: soon~X-Nonce: 0123456789abcdef~X-Signature: v3=00",
        ],
    ),
    (
        Code::AddressNotAllowed,
        &["GET /office/x HTTP/1.1~Host: api.test", "GET /api/v3.0/x HTTP/1.1~Host: api.test~X-Forwarded-For: 127.0.0.1, 203.0.113.9"],
    ),
    (
        Code::CrossSite,
        &[
            "GET /office/x HTTP/1.1~Host: api.test~X-Forwarded-For: 192.0.2.7~Origin: https://evil.test",
            "GET /office/x HTTP/1.1~Host: api.test~X-Forwarded-For: 192.0.2.7~Sec-Fetch-Site: cross-site",
        ],
    ),
    (Code::BodyTooLarge, &["POST /small/x HTTP/1.1~Host: api.test~Content-Length: 1001"]),
    (Code::UpstreamUnreachable, &["GET /nowhere/x HTTP/1.1~Host: api.test"]),
];

type Act = fn(&Scene) -> Vec<Answer>;

/// Refusals that need more than bytes: credentials, a body, time, or the admin API.
const ACTS: &[(Code, Act)] = &[
    (Code::HeadTooLarge, |s| vec![s.get("/open/x", &format!("X-A: {}\r\n", "a".repeat(40_000)))]),
    (Code::TooManyHeaders, |s| vec![s.get("/open/x", &"X-A: b\r\n".repeat(200))]),
    (Code::HeadTimeout, |s| vec![s.raw(b"GET /open/x HTTP/1.1\r\nHost: api.test\r\n")]),
    (Code::BadBody, |s| {
        let mut head = s.signed("POST", "/signed/x").body("text/plain", b"abc").head();
        head.push_str("Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n");
        vec![s.raw(head.as_bytes())]
    }),
    (Code::BodyTimeout, |s| {
        let bytes = s.signed("POST", "/signed/x").body("text/plain", b"hello world").bytes();
        let control = "POST /token HTTP/1.1\r\nHost: api.test\r\n";
        vec![
            s.raw(&bytes[..bytes.len() - 3]),
            s.raw(format!("{control}Content-Length: 5\r\n\r\n{{}}").as_bytes()),
            // A bare LF ends nothing.
            s.raw(format!("{control}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\n").as_bytes()),
        ]
    }),
    (Code::ForwardingLoop, |s| {
        // What the gateway itself writes into Via, sent back to it.
        s.get("/open/probe", "").assert_ok();
        let via = s.upstream.requests()[0].headers("via").join(", ");
        s.upstream.forget();
        vec![s.get("/open/x", &format!("Via: {via}\r\n"))]
    }),
    (Code::HeaderAlias, |s| vec![s.get("/open/x", "X_Key_Id: ck_1\r\n"), s.get("/open/x", "X.Key.Id: ck_1\r\n")]),
    (Code::AmbiguousCredentials, |s| {
        let key = &s.api_key;
        vec![s.get("/api/x", &format!("X-API-Key: {key}\r\nAuthorization: ApiKey {key}\r\n"))]
    }),
    (Code::SessionEnded, |s| {
        let access = s.login().access;
        let logout = format!("POST /logout HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer {access}\r\nContent-Length: 0\r\n\r\n");
        s.raw(logout.as_bytes()).assert_ok();
        vec![s.get_as("/api/x", &access)]
    }),
    (Code::SignatureMismatch, |s| {
        let mut stranger = s.partner.clone();
        stranger.key_id = "ck_nobody0000000000".into();
        let mut forger = s.partner.clone();
        forger.secret.push('0');
        let of = |signer: &countersign_e2e::Signer| s.raw(&signer.request("GET", "api.test", "/signed/x").bytes());
        vec![of(&stranger), of(&forger)]
    }),
    (Code::SignatureCoverage, |s| {
        let key = json!({"id": "ck_hook", "profile": "github", "secret": "a secret of a webhook"});
        s.admin("POST", &format!("/admin/v1/clients/{}/signing-keys", s.client), &key).assert_ok();
        let mac = countersign_e2e::hmac_hex(b"a secret of a webhook", b"push");
        let head = format!("Host: api.test\r\nX-Hub-Signature-256: sha256={mac}\r\nContent-Length: 4");
        vec![s.raw(format!("POST /hook?unsigned=1 HTTP/1.1\r\n{head}\r\n\r\npush").as_bytes())]
    }),
    (Code::TimestampTooOld, |s| vec![s.raw(&s.signed("GET", "/signed/x").seconds_from_now(-310).bytes())]),
    (Code::TimestampTooNew, |s| vec![s.raw(&s.signed("GET", "/signed/x").seconds_from_now(70).bytes())]),
    (Code::Replayed, |s| {
        let once = s.signed("GET", "/signed/first").bytes();
        s.raw(&once).assert_ok();
        s.upstream.forget();
        vec![s.raw(&once)]
    }),
    (Code::UncoveredHeader, |s| {
        let with = |name, value| s.raw(&s.signed("GET", "/signed/x").header(name, value).bytes());
        vec![with("Content-Encoding", "gzip"), with("X-HTTP-Method-Override", "DELETE"), with("X-Original-URL", "/other")]
    }),
    (Code::PrincipalsDiffer, |s| {
        let access = s.login().access;
        vec![s.raw(&s.signed("GET", "/both/x").header("Authorization", &format!("Bearer {access}")).bytes())]
    }),
    (Code::InsufficientScope, |s| vec![s.get_as("/scoped/x", &s.login().access)]),
    (Code::BodyDigestRequired, |s| {
        let head = s.signed("POST", "/signed/x").body("text/plain", b"").head();
        vec![s.raw(format!("{head}Content-Length: 700000\r\n\r\n").as_bytes())]
    }),
    (Code::BadContentDigest, |s| {
        let with = |value| s.raw(&s.signed("POST", "/signed/x").body("text/plain", b"abc").header("Content-Digest", value).bytes());
        vec![with("sha-256=abc"), with("sha-256=:AAAA:")]
    }),
    (Code::BodyDigestMismatch, |s| {
        use base64::Engine as _;
        let digest = countersign_e2e::sha256_hex(b"other");
        let bytes: Vec<u8> = (0..64).step_by(2).map(|at| u8::from_str_radix(&digest[at..at + 2], 16).unwrap()).collect();
        let field = format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(bytes));
        vec![s.raw(&s.signed("POST", "/signed/x").body("text/plain", b"body").digest(&digest).header("Content-Digest", &field).bytes())]
    }),
    (Code::BodyBuffersFull, |s| {
        // Two bodies that are nearly there hold all the memory, so that there is none for a third. It is a forged one, so that
        // it reaches nobody if it comes too soon. If it takes the memory that one of the two still needed, that one is refused
        // instead: then all of it is tried again.
        let body = vec![b'x'; 520_000];
        let mut forger = s.partner.clone();
        forger.secret.push('0');
        let attempt = || {
            let _held: Vec<_> = (0..2)
                .map(|_| {
                    let bytes = s.signed("POST", "/signed/x").body("text/plain", &body).bytes();
                    let mut connection = s.connect();
                    connection.send(&bytes[..bytes.len() - 1]);
                    connection
                })
                .collect();
            let third = || s.raw(&forger.request("POST", "api.test", "/signed/x").body("text/plain", &body).bytes());
            (0..10).map(|_| third()).find(|answer| answer.code() != "signature_mismatch")
        };
        vec![(0..20).find_map(|_| attempt()).expect("the memory is full")]
    }),
    (Code::TooManyAttempts, |s| {
        // Guesses at a name of its own, so that no other case has to wait.
        let last = (0..200).map(|_| login(s.gateway.listen, "mallory", "a wrong guess at it")).find(|answer| answer.status == 429);
        let last = last.expect("guessing becomes slow");
        assert!(last.header("retry-after").is_some(), "{last:?}");
        vec![last]
    }),
    (Code::InvalidGrant, |s| {
        vec![s.post("/token", FORM, &format!("grant_type=password&username={USERNAME}&password=wrong")), s.refresh("csr_nothing")]
    }),
    (Code::InvalidRequest, |s| {
        vec![
            s.post("/token", FORM, "grant_type=password&username=x"),
            s.post("/token", FORM, "username=a&grant_type=password&username=b&password=c"),
        ]
    }),
    (Code::UnsupportedGrantType, |s| vec![s.post("/token", FORM, "grant_type=implicit")]),
    (Code::InvalidScope, |s| {
        let password = countersign_e2e::PASSWORD.replace(' ', "+");
        vec![s.post("/token", FORM, &format!("grant_type=password&username={USERNAME}&password={password}&scope=everything"))]
    }),
    (Code::InvalidClient, |s| vec![s.post("/token", FORM, "grant_type=refresh_token&refresh_token=x&client_id=a&client_secret=b")]),
    (Code::UnsupportedMediaType, |s| vec![s.post("/token", "text/plain", "grant_type=password")]),
    (Code::InvalidBody, |s| {
        vec![
            s.admin("POST", "/admin/v1/allow-lists/office/entries", &json!({"network": "10.0.0.5/8"})),
            s.admin("POST", "/admin/v1/allow-lists/office/entries", &json!({"network": "10.0.0.0/8", "nework": 1})),
        ]
    }),
    (Code::NotFound, |s| {
        vec![s.admin("GET", "/admin/v1/users/nobody", &Value::Null), s.admin("DELETE", "/admin/v1/allow-lists/none", &Value::Null)]
    }),
    (Code::NoOwner, |s| vec![s.admin("POST", "/admin/v1/allow-lists/none/entries", &json!({"network": "10.0.0.0/8"}))]),
    (Code::AlreadyExists, |s| vec![s.admin("POST", "/admin/v1/allow-lists", &json!({"name": "office"}))]),
    (Code::Stale, |s| vec![admin_with(s, "PUT", &an_entry(s), "If-Match: \"9999\"\r\n", &json!({"network": "10.0.0.0/8"}))]),
    (Code::PreconditionRequired, |s| vec![admin_with(s, "PUT", &an_entry(s), "", &json!({"network": "10.0.0.0/8"}))]),
    (Code::InvalidAdminKey, |s| {
        vec![
            admin_call(s.gateway.admin, "csa_wrong", "GET", "/admin/v1/users", &Value::Null),
            countersign_e2e::raw(s.gateway.admin, format!("GET /admin/v1/users HTTP/1.1\r\nHost: {}\r\n\r\n", s.gateway.admin).as_bytes()),
        ]
    }),
    (Code::AdminScope, |s| {
        let made = s.admin("POST", "/admin/v1/admin-keys", &json!({"label": "reader", "scopes": ["read"]})).assert_ok().json();
        let reader = made["key"].as_str().unwrap();
        vec![admin_call(s.gateway.admin, reader, "POST", "/admin/v1/allow-lists", &json!({"name": "more"}))]
    }),
    (Code::WrongAdminHost, |s| {
        let key = &s.admin_key;
        let request = format!("GET /admin/v1/users HTTP/1.1\r\nHost: evil.test\r\nAuthorization: Bearer {key}\r\n\r\n");
        vec![countersign_e2e::raw(s.gateway.admin, request.as_bytes())]
    }),
    (Code::OverlapOpen, |s| {
        let path = format!("{}/secrets", a_signing_key(s));
        s.admin("POST", &path, &json!({})).assert_ok();
        vec![s.admin("POST", &path, &json!({}))]
    }),
    (Code::LastSecret, |s| {
        let key = a_signing_key(s);
        let read = s.admin("GET", &key, &Value::Null).assert_ok().json();
        let secret = read["secrets"][0]["id"].as_str().unwrap();
        vec![s.admin("DELETE", &format!("{key}/secrets/{secret}"), &Value::Null)]
    }),
];

/// Codes whose test is about more than the refusal: the file, and the test in it.
const ELSEWHERE: &[(Code, &str, &str)] = &[
    (Code::TokenExpired, "login", "an_access_token_is_refused_once_it_has_expired"),
    (Code::SignedBeforeFence, "restart", "what_a_lost_claim_log_would_let_in_again_is_refused"),
    (Code::TooManyNonces, "signed", "a_key_has_a_bounded_number_of_live_nonces"),
    (Code::UpstreamOutcomeUnknown, "signed", "a_claim_stays_when_the_upstream_fails"),
    (Code::UpstreamTimeout, "signed", "a_claim_stays_when_the_upstream_is_silent"),
    (Code::CouldNotDecide, "failing", "what_cannot_be_written_down_is_not_let_in"),
    (Code::ClockBehind, "failing", "a_clock_that_was_set_back_lets_no_signature_in"),
    (Code::NotYetInForce, "failing", "a_change_that_is_saved_and_cannot_be_read_back_is_said_to_be_not_yet_in_force"),
    (Code::Internal, "failing", "a_kept_answer_that_cannot_be_read_is_our_mistake_and_not_the_callers"),
    (Code::Overloaded, "failing", "requests_for_tokens_beyond_the_limit_are_told_to_come_back"),
];

/// What cannot be provoked from outside, and what holds it instead. This list only shrinks.
const EXCEPTIONS: &[(Code, &str)] = &[(Code::CounterLost, "needs a machine that crashed; the store's tests lose the counters")];

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn every_refusal_by_bytes_has_its_code_and_reaches_no_upstream() {
    let scene = start();
    let mut wrong = String::new();
    for (code, requests) in BYTES {
        for request in *requests {
            let bytes: Vec<u8> = format!("{}\r\n\r\n", request.replace('~', "\r\n")).into_bytes();
            check(&scene, *code, &[scene.raw(&bytes)], request, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    the_upstream_is_awake(&scene);
}

#[test]
fn every_other_refusal_has_its_code_and_reaches_no_upstream() {
    let scene = start();
    let mut wrong = String::new();
    for (code, act) in ACTS {
        let answers = act(&scene);
        assert!(!answers.is_empty());
        check(&scene, *code, &answers, "", &mut wrong);
    }
    assert!(wrong.is_empty(), "{wrong}");
    the_upstream_is_awake(&scene);
}

#[test]
fn every_code_is_provoked() {
    let mut places: BTreeMap<Code, usize> = BTreeMap::new();
    let listed = BYTES.iter().map(|(code, _)| code).chain(ACTS.iter().map(|(code, _)| code));
    for code in listed.chain(ELSEWHERE.iter().map(|(code, ..)| code)).chain(EXCEPTIONS.iter().map(|(code, _)| code)) {
        *places.entry(*code).or_default() += 1;
    }
    for code in Code::ALL {
        match places.get(code) {
            None => panic!("nothing provokes {code}: add the bytes to refusals.rs"),
            Some(1) => {}
            Some(_) => panic!("{code} is in two tables; an exception that is no longer needed goes"),
        }
    }
}

#[test]
fn what_is_provoked_elsewhere_is() {
    for (code, file, test) in ELSEWHERE {
        let path = format!("{}/tests/all/{file}.rs", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        let body = text.split_once(&format!("#[test]\nfn {test}() {{\n")).unwrap_or_else(|| panic!("{path} has no test {test}")).1;
        let body = body.split_once("\n}\n").unwrap().0;
        assert!(body.contains(&format!("\"{code}\"")), "{file}::{test} does not speak of {code}");
    }
}

fn start() -> Scene {
    let scene = Scene::start_listening(RecordingUpstream::start(), LISTENER, &format!("{LIMITS}{LOOSE}{HOOK}"));
    scene.admin("POST", "/admin/v1/allow-lists/office/entries", &json!({"network": "192.0.2.0/24"})).assert_ok();
    scene
}

/// Writes down what is wrong instead of stopping, so that one run shows all of it.
fn check(scene: &Scene, code: Code, answers: &[Answer], request: &str, wrong: &mut String) {
    for answer in answers {
        if answer.code() != code.as_str() || answer.status != code.status() {
            let _ = writeln!(wrong, "{code} ({}): {} {} for {request:?}", code.status(), answer.status, answer.text().trim());
            continue;
        }
        answer.assert_refused(code.as_str());
    }
    if scene.upstream.total_bytes() > 0 {
        let _ = writeln!(wrong, "{code}: the upstream saw {:?}", String::from_utf8_lossy(&scene.upstream.bytes().concat()));
        scene.upstream.forget();
    }
}

/// The other half of "saw nothing": it would have seen something.
fn the_upstream_is_awake(scene: &Scene) {
    scene.get("/open/x", "").assert_ok();
    assert_eq!(scene.upstream.requests().len(), 1);
}

fn an_entry(scene: &Scene) -> String {
    let entries = scene.admin("GET", "/admin/v1/allow-lists/office/entries", &Value::Null).assert_ok().json();
    format!("/admin/v1/allow-lists/office/entries/{}", entries["items"][0]["id"].as_str().unwrap())
}

fn a_signing_key(scene: &Scene) -> String {
    let made = scene.admin("POST", &format!("/admin/v1/clients/{}/signing-keys", scene.client), &json!({})).assert_ok().json();
    format!("/admin/v1/signing-keys/{}", made["id"].as_str().unwrap())
}

fn admin_with(scene: &Scene, method: &str, path: &str, headers: &str, body: &Value) -> Answer {
    let (admin, key, body) = (scene.gateway.admin, &scene.admin_key, body.to_string());
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {admin}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    countersign_e2e::raw(admin, request.as_bytes())
}
