//! Client libraries as they are in the registries, unmodified, against the real gateway: what they sign is let in once, unchanged,
//! and as they sent it. `scripts/test` installs them; one that is missing is a failure.
//!
//! Each case has a route of its own. Its bytes are recorded on the way to the gateway, sent once more, and sent with one thing
//! changed. The scripts in `clients/` know the libraries; what is sent and what must come of it stands here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_e2e::{Answer, Received, RecordingRelay, RecordingUpstream, Reply, Scene, sha256_hex};
use serde_json::{Value, json};

use super::examples::program;
use super::tidy::root;

/// One request of one client.
struct Case {
    /// The function of the script that sends it.
    client: &'static str,
    /// The profile of its route.
    profile: &'static str,
    /// The method, of the request and of the route.
    method: &'static str,
    /// Path and query. With `*` at the end the client adds to them.
    target: &'static str,
    /// The whole body.
    body: &'static str,
    /// What the secret must look like.
    secret: Secret,
    /// What is changed of the bytes, and the code that this is refused with.
    changes: &'static [(&'static str, &'static str, &'static str)],
    /// Why the gateway refuses this client, and with which code.
    refused: Option<(&'static str, &'static str)>,
}

/// The text of a secret.
#[derive(Clone, Copy)]
enum Secret {
    Text,
    Base64,
    /// As Standard Webhooks writes it.
    Whsec,
    /// Of OAuth, with that of a token.
    Token,
}

use Secret::{Base64, Text, Token, Whsec};

const MISMATCH: &str = "signature_mismatch";
const MALFORMED: &str = "signature_malformed";
/// A body, and it is JSON.
const ORDER: &str = "{\"pay\": 10, \"to\": \"Zoë\"}";
/// What becomes of it.
const PAY: (&str, &str, &str) = ("\"pay\": 10", "\"pay\": 99", MISMATCH);
/// The same where a digest in the head is compared first.
const PAY_DIGEST: (&str, &str, &str) = ("\"pay\": 10", "\"pay\": 99", MALFORMED);
/// The same where that is a Content-Digest (RFC 9530), which every profile holds a body to.
const PAY_CONTENT_DIGEST: (&str, &str, &str) = ("\"pay\": 10", "\"pay\": 99", "body_digest_mismatch");
const QUERY: (&str, &str, &str) = ("b=2", "b=3", MISMATCH);

/// A request of a client that is let in.
const fn case(client: &'static str, profile: &'static str, method: &'static str, target: &'static str, body: &'static str) -> Case {
    Case { client, profile, method, target, body, secret: Text, changes: &[], refused: None }
}

impl Case {
    const fn secret(mut self, secret: Secret) -> Self {
        self.secret = secret;
        self
    }

    const fn changes(mut self, changes: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        self.changes = changes;
        self
    }

    const fn refused(mut self, code: &'static str, why: &'static str) -> Self {
        self.refused = Some((code, why));
        self
    }

    fn path(&self) -> &'static str {
        self.target.split(['?', '*']).next().unwrap_or_default()
    }

    /// Whether a request line is of this case: no other has its method and path.
    fn is_of(&self, line: &str) -> bool {
        let rest = line.strip_prefix(self.method).and_then(|rest| rest.strip_prefix(' ')).and_then(|rest| rest.strip_prefix(self.path()));
        rest.is_some_and(|rest| rest.starts_with([' ', '?']))
    }
}

const PYTHON: &[Case] = &[
    case(
        "botocore_dynamodb",
        "sigv4",
        "POST",
        "/py/botocore-json/",
        "{\"TableName\": \"orders\", \"Item\": {\"id\": {\"S\": \"Zo\\u00eb\"}}}",
    )
    .changes(&[("orders", "0rders", MISMATCH)]),
    case("botocore_api_gateway", "sigv4", "GET", "/py/botocore-rest/apikeys?name=a%20b%26c&limit=5", "")
        .changes(&[("limit=5", "limit=6", MISMATCH)]),
    case("botocore_presigned", "sigv4-query", "GET", "/py/botocore-presigned/?Action=GetCallerIdentity*", "")
        .changes(&[("Action=GetC", "Action=PutC", MISMATCH), ("X-Amz-Expires=60", "X-Amz-Expires=99", MISMATCH)]),
    case("botocore_s3_put", "sigv4-s3", "PUT", "/py-bucket/a%20note%20%281%29.txt", "pay 10").changes(&[("pay 10", "pay 99", MALFORMED)]),
    case("botocore_s3_get", "sigv4-s3", "GET", "/py-bucket/a%20note%20%281%29.txt?versionId=v%2F1%2B2", "")
        .changes(&[("v%2F1", "v%2F2", MISMATCH)]),
    case("botocore_s3_presigned", "sigv4-query-s3", "GET", "/py-bucket/shared?*", "").changes(&[("Expires=600", "Expires=900", MISMATCH)]),
    case("requests_aws4auth", "sigv4", "GET", "/py/aws4auth?b=2&a=1%2F%20%C3%A9&flag=", "").changes(&[QUERY]),
    case("requests_aws4auth", "sigv4", "POST", "/py/aws4auth/1", ORDER).changes(&[PAY_DIGEST]),
    case("aws_requests_auth", "sigv4", "POST", "/py/aws-requests-auth?b=2", ORDER).changes(&[PAY_DIGEST, QUERY]),
    case("requests_http_signature", "rfc9421", "GET", "/py/requests-http-signature?b=2&a=%20", "").changes(&[QUERY]),
    case("requests_http_signature", "rfc9421", "POST", "/py/requests-http-signature/1", ORDER).changes(&[PAY_CONTENT_DIGEST]),
    case("http_message_signatures", "rfc9421", "POST", "/py/http-message-signatures?b=2", ORDER).changes(&[PAY_CONTENT_DIGEST, QUERY]),
    case("httpsig_pure_hmac", "cavage", "GET", "/py/httpsig?b=2", "").changes(&[QUERY]),
    case("hawk_sender", "hawk", "GET", "/py/mohawk?b=2&a=%20", "").changes(&[QUERY]),
    case("hawk_sender", "hawk", "POST", "/py/mohawk/1", ORDER).changes(&[PAY_DIGEST]),
    case("requests_hawk", "hawk", "GET", "/py/requests-hawk?b=2", "").changes(&[QUERY]),
    case("requests_hawk", "hawk", "POST", "/py/requests-hawk/1", ORDER).changes(&[PAY_DIGEST]),
    case("requests_oauthlib", "oauth1", "GET", "/py/oauthlib?b=2&a=x%20y&c=%C3%A9", "").secret(Token).changes(&[QUERY]),
    case("requests_oauthlib", "oauth1", "POST", "/py/oauthlib/1", "status=Hello+Ladies+%2B+Gentlemen&c=1")
        .secret(Token)
        .changes(&[("c=1", "c=2", MISMATCH)]),
    case("requests_oauthlib", "oauth1", "POST", "/py/oauthlib/4?b=2", "c=1")
        .secret(Token)
        .refused(MALFORMED, "OAuth 1.0a signs query and form as one list, so that a parameter could be moved from one to the other"),
    case("requests_oauthlib_sha256", "oauth1", "DELETE", "/py/oauthlib/2?b=2", "").changes(&[QUERY]),
    case("requests_oauthlib_sha256", "oauth1", "POST", "/py/oauthlib/3", ORDER)
        .refused(MALFORMED, "OAuth 1.0a signs no body but a form, so that this one could be replaced"),
    case("edgegrid", "edgegrid", "GET", "/py/edgegrid?b=2&a=%20", "").changes(&[QUERY]),
    case("edgegrid", "edgegrid", "POST", "/py/edgegrid/1", ORDER).changes(&[PAY]),
    case("escherauth", "escher", "GET", "/py/escher?b=2&a=x%20y", "").changes(&[QUERY]),
    case("escherauth", "escher", "POST", "/py/escher/1", ORDER).changes(&[PAY]),
    case("http_hmac", "acquia", "GET", "/py/http-hmac?a=x%20y&b=2", "").secret(Base64).changes(&[QUERY]),
    case("http_hmac", "acquia", "POST", "/py/http-hmac/1", ORDER).secret(Base64).changes(&[PAY_DIGEST]),
    case("tencentcloud", "tc3", "POST", "/", "{\"Name\": \"a b\"}").changes(&[("a b", "a c", MISMATCH)]),
    case(
        "pusher_trigger",
        "pusher",
        "POST",
        "/apps/3/events?*",
        "{\"name\": \"paid\", \"channels\": [\"orders\"], \"data\": \"{\\\"amount\\\": 10}\"}",
    )
    .changes(&[("auth_version=1.0", "auth_version=1.1", MISMATCH), ("paid", "owed", MALFORMED)]),
    case("krakenex_api", "kraken", "POST", "/0/private/Balance", "asset=XBT&nonce=*").secret(Base64).changes(&[("XBT", "ETH", MISMATCH)]),
    case("duo_v2", "duo-v2", "POST", "/py/duo/2", "username=a%20b&limit=5").changes(&[("limit=5", "limit=6", MISMATCH)]),
    case("duo_v5", "duo-v5", "POST", "/py/duo/5", ORDER).changes(&[PAY]),
    case("kong_hmac", "kong-lax", "POST", "/py/kong-lax", ORDER).changes(&[PAY_DIGEST]),
    case("kong_hmac", "kong", "POST", "/py/kong", ORDER)
        .refused(MALFORMED, "it signs the date and the body only: neither the method nor the path nor the host"),
    case("standardwebhooks_sign", "standardwebhooks", "POST", "/py/standardwebhooks", ORDER).secret(Whsec).changes(&[PAY]),
    case("stripe_webhook", "stripe", "POST", "/py/stripe", ORDER).changes(&[PAY]),
    case("slack", "slack", "POST", "/py/slack", "token=x&command=%2Fweather&text=94070").changes(&[("94070", "94071", MISMATCH)]),
];

const JAVASCRIPT: &[Case] = &[
    case("aws4", "sigv4", "GET", "/js/aws4?b=2&a=x%20y", "").changes(&[QUERY]),
    case("aws4", "sigv4", "POST", "/js/aws4/1", ORDER).changes(&[PAY]),
    case("aws4_query", "sigv4-query", "GET", "/js/aws4/2?b=2&*", "").changes(&[QUERY]),
    case("aws4fetch", "sigv4", "GET", "/js/aws4fetch?b=2&a=x%20y", "").changes(&[QUERY]),
    case("aws4fetch", "sigv4", "POST", "/js/aws4fetch/1", ORDER).changes(&[PAY]),
    case("aws4fetch_s3", "sigv4-s3", "GET", "/js-bucket/note?b=2", "").changes(&[QUERY]),
    case("aws4fetch_s3", "sigv4-s3", "PUT", "/js-bucket/note", ORDER)
        .refused(MALFORMED, "it sends UNSIGNED-PAYLOAD for S3, so that the body could be replaced"),
    case("aws4fetch_s3", "sigv4-s3-unsigned", "PUT", "/js-bucket/unsigned", ORDER),
    case("hawk", "hawk", "GET", "/js/hawk?b=2&a=%20", "").changes(&[QUERY]),
    case("hawk", "hawk", "POST", "/js/hawk/1", ORDER).changes(&[PAY_DIGEST]),
    case("hawk_bewit", "hawk-bewit", "GET", "/js/hawk/bewit?b=2*", "").changes(&[QUERY]),
    case("http_signature", "cavage", "GET", "/js/http-signature?b=2", "").changes(&[QUERY]),
    case("http_signature", "cavage", "POST", "/js/http-signature/1", ORDER).changes(&[PAY_DIGEST]),
    case("http_message_signatures", "rfc9421", "GET", "/js/http-message-signatures?b=2&a=%20", "").changes(&[QUERY]),
    case("http_message_signatures", "rfc9421", "POST", "/js/http-message-signatures/1?b=2", ORDER).changes(&[PAY_CONTENT_DIGEST, QUERY]),
    case("http_message_signatures_cavage", "cavage", "POST", "/js/http-message-signatures/2?b=2", ORDER).changes(&[PAY_DIGEST, QUERY]),
    case("http_message_signatures_cavage_defaults", "cavage", "POST", "/js/http-message-signatures/3?b=2", ORDER)
        .refused("signature_coverage", "it sends `expires` and does not sign it, so that it could be changed"),
    case("oauth", "oauth1", "GET", "/js/oauth?b=2&a=x%20y", "").secret(Token).changes(&[QUERY]),
    case("oauth", "oauth1", "POST", "/js/oauth/1", "status=Hello%20Ladies&c=1").secret(Token).changes(&[("c=1", "c=2", MISMATCH)]),
    case("escher", "escher", "GET", "/js/escher?b=2&a=x%20y", "").changes(&[QUERY]),
    case("escher", "escher", "POST", "/js/escher/1", ORDER).changes(&[PAY]),
    case("octokit", "github", "POST", "/js/octokit", ORDER).changes(&[PAY]),
    case("standardwebhooks", "standardwebhooks", "POST", "/js/standardwebhooks", ORDER).secret(Whsec).changes(&[PAY]),
    case("stripe", "stripe", "POST", "/js/stripe", ORDER).changes(&[PAY]),
];

#[test]
fn python_libraries_are_let_in_once_and_as_they_sent_it() {
    let python = installed("venv/bin/python");
    let script = root().join("crates/countersign-e2e/clients/clients.py");
    judge("py", PYTHON, &[python.to_str().unwrap(), "-B", script.to_str().unwrap()]);
}

#[test]
fn javascript_libraries_are_let_in_once_and_as_they_sent_it() {
    // Modules are looked for beside the script.
    let script = installed("node/node_modules").with_file_name("clients.mjs");
    std::fs::copy(root().join("crates/countersign-e2e/clients/clients.mjs"), &script).unwrap();
    judge("js", JAVASCRIPT, &["node", script.to_str().unwrap()]);
}

/// What `scripts/test` has put there.
fn installed(what: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).expect("tests are in target/<profile>/deps");
    let path = target.join("clients").join(what);
    assert!(path.exists(), "{} is not there: `scripts/test tests` installs it", path.display());
    path
}

/// Has a script send all cases, and looks at what came of each.
fn judge(language: &str, cases: &[Case], command: &[&str]) {
    let scene = start(language, cases);
    let relay = RecordingRelay::to(scene.gateway.listen);
    let said = run(language, cases, command, relay.address().to_string().as_str());
    let all = relay.requests();

    let mut wrong = String::new();
    for (number, case) in cases.iter().enumerate() {
        let name = name(language, number, case);
        let said = &said[&name];
        let sent: Vec<&Vec<u8>> = all.iter().filter(|bytes| case.is_of(&parts(bytes).0)).collect();
        // Twice would be an attempt at mending what was refused.
        let [sent] = sent[..] else {
            let _ = writeln!(wrong, "{name} ({}): {} requests, and it said {said}\n", case.profile, sent.len());
            continue;
        };
        let problems = look_at(&scene, case, sent, said);
        if !problems.is_empty() {
            let _ = writeln!(wrong, "{name} ({}):\n{problems}  sent: {}\n", case.profile, text(sent));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let let_in = cases.iter().filter(|case| case.refused.is_none()).count();
    assert_eq!(scene.upstream.requests().len(), let_in, "each was let in once");
}

/// What is wrong with one case; nothing when all is well.
fn look_at(scene: &Scene, case: &Case, sent: &[u8], said: &Value) -> String {
    let mut wrong = String::new();
    let (line, body) = parts(sent);
    let target = line.split(' ').nth(1).unwrap_or_default();
    if !line.starts_with(&format!("{} ", case.method)) || !fits(case.target, target) || !fits(case.body, &body) {
        let _ = writeln!(wrong, "  the client sent something else: {line} {body}");
    }
    let arrived = arrived(scene, case);
    if let Some((code, why)) = case.refused {
        let again = scene.raw(sent);
        if again.code() != code || !arrived.is_empty() {
            let _ = writeln!(wrong, "  {} {} and not {code}, although {why}", again.status, again.text());
        }
        return wrong;
    }
    if said["status"] != 200 {
        let _ = writeln!(wrong, "  the client saw {said}\n  {}", explained(scene, target));
        return wrong;
    }
    if arrived.iter().map(|got| (got.request_line(), text(&got.body))).ne([(line.as_str(), body.clone())]) {
        let _ = writeln!(wrong, "  the upstream got {arrived:?}");
    }
    refused(scene, sent, "replayed", "sent again", &mut wrong);
    for (from, to, code) in case.changes {
        let before = text(sent);
        let changed = before.replacen(from, to, 1);
        assert_eq!((before.matches(from).count(), changed.len()), (1, before.len()), "{from} in {before}");
        refused(scene, changed.as_bytes(), code, &format!("with {to} for {from}"), &mut wrong);
    }
    if self::arrived(scene, case).len() != 1 {
        let _ = writeln!(wrong, "  more than the one request reached the upstream");
    }
    wrong
}

fn refused(scene: &Scene, bytes: &[u8], code: &str, what: &str, wrong: &mut String) {
    let answer: Answer = scene.raw(bytes);
    if answer.code() != code {
        let _ = writeln!(wrong, "  {what}: {} {} and not {code}", answer.status, answer.text());
    }
}

/// What reached the upstream on the path of a case.
fn arrived(scene: &Scene, case: &Case) -> Vec<Received> {
    scene.upstream.requests().into_iter().filter(|got| case.is_of(got.request_line())).collect()
}

/// Why the gateway refused a request for this target.
fn explained(scene: &Scene, target: &str) -> String {
    let refusals = scene.admin("GET", "/admin/v1/decisions?limit=100", &Value::Null).assert_ok().json();
    let found = refusals["items"].as_array().unwrap().iter().find(|refused| refused["target"] == target).cloned();
    let Some(found) = found else { return "no signature was refused".to_owned() };
    let path = format!("/admin/v1/decisions/{}", found["request_id"].as_str().unwrap());
    scene.admin("GET", &path, &Value::Null).text()
}

/// A gateway with a route and a key for each case.
fn start(language: &str, cases: &[Case]) -> Scene {
    let mut config = String::new();
    for (number, case) in cases.iter().enumerate() {
        let _ = writeln!(config, "[[route]]\npath = \"{}\"\nmethods = [\"{}\"]", case.path(), case.method);
        let _ = writeln!(config, "require = \"hmac({})\"\nupstream = \"api\"", case.profile);
        if ["github", "standardwebhooks", "stripe", "slack"].contains(&case.profile) {
            let _ = writeln!(config, "signing_key = \"{}\"", name(language, number, case));
        }
    }
    // Enough for each client to read it as an answer of its own service.
    let answer = |request: &Received| {
        let is_store = request.request_line().contains("-bucket/");
        Reply::ok(if is_store { "" } else { r#"{"stat": "OK", "response": {}, "Response": {"RequestId": "1"}}"# })
    };
    let upstream = RecordingUpstream::start_with(answer);
    let scene = Scene::start_with(upstream, &config);
    for (number, case) in cases.iter().enumerate() {
        let name = name(language, number, case);
        let key = json!({"id": name, "profile": case.profile, "secret": secret(&name, case.secret)});
        scene.admin("POST", &format!("/admin/v1/clients/{}/signing-keys", scene.client), &key).assert_ok();
    }
    scene
}

/// What a case is called, and its key.
fn name(language: &str, number: usize, case: &Case) -> String {
    format!("{language}-{number}-{}", case.client)
}

fn secret(name: &str, form: Secret) -> String {
    let text = sha256_hex(name.as_bytes());
    match form {
        Text => text,
        Base64 => STANDARD.encode(&text[..32]),
        Whsec => format!("whsec_{}", STANDARD.encode(&text[..32])),
        Token => json!({"secret": text, "token": "a token", "token_secret": format!("of the token of {name}")}).to_string(),
    }
}

/// Runs a script. Gives what it printed for each case.
fn run(language: &str, cases: &[Case], command: &[&str], address: &str) -> BTreeMap<String, Value> {
    let told: Vec<Value> = cases
        .iter()
        .enumerate()
        .map(|(number, case)| {
            let name = name(language, number, case);
            let target = case.target.trim_end_matches(['*', '&']);
            let secret = secret(&name, case.secret);
            json!({"name": name, "client": case.client, "method": case.method, "target": target, "body": case.body, "key": name, "secret": secret})
        })
        .collect();
    let mut child = program(command).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let input = json!({"base": format!("http://{address}"), "cases": told}).to_string();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (printed, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {printed}\n{errors}");
    let lines = printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{command:?}: {line}")));
    let said: BTreeMap<String, Value> = lines.map(|said| (said["name"].as_str().unwrap().to_owned(), said)).collect();
    assert_eq!(said.len(), cases.len(), "{command:?}: {printed}\n{errors}");
    said
}

/// The request line, and the body.
fn parts(request: &[u8]) -> (String, String) {
    let end = request.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    (text(&request[..end]).split("\r\n").next().unwrap_or_default().to_owned(), text(&request[end + 4..]))
}

/// Whether this is what was wanted; `*` at the end of that stands for any rest.
fn fits(wanted: &str, got: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(start) => got.starts_with(start),
        None => got == wanted,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
