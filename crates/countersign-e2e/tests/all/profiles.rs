//! Signature profiles at the gateway: whose key counts, what a signature must cover, what is said about a refusal, and to whom.

use std::fs;
use std::process::Command;

use countersign_e2e::{Answer, RecordingUpstream, Scene, Signer, hmac_hex, program, sha256_hex, unix_seconds};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A profile of the operator's own.
const ACME: &str = r#"
name = "acme"
title = "ACME partner API"
source = "a test"
detect = ["header:x-acme-signature"]
uncovered = []
[constants]
region = { required = true }
[fields]
key_id = { from = "header:x-acme-key", match = '[A-Za-z0-9_]{4,32}' }
ts     = { from = "header:x-acme-time", match = '[0-9]{10}' }
nonce  = { from = "header:x-acme-nonce", match = '[0-9a-f]{32}' }
mac    = "header:x-acme-signature | strip_prefix:'v2='"
[mac]
algorithm = "hmac-sha256"
encoding = "hex"
message = "{const:region}\n{method}\n{host}\n{target}\n{ts}\n{nonce}\n{body | sha256 | hex}"
[time]
at = "ts"
format = "unix"
past = 300
future = 60
[replay]
once = ["nonce"]
"#;

const ROUTES: &str = r#"
[[route]]
path = "/acme/*"
require = "hmac(acme)"
upstream = "api"
[[route]]
path = "/kept/*"
require = "hmac(acme)"
upstream = "api"
forward_credentials = true
[[route]]
path = "/two/*"
require = "hmac or hmac(acme)"
upstream = "api"
[[route]]
path = "/check"
require = "hmac or hmac(acme)"
answer = "self-check"
[[route]]
path = "/hooks/github"
methods = ["POST"]
require = "hmac(github)"
signing_key = "ck_hub"
upstream = "api"
[[route]]
path = "/hooks/standard"
methods = ["POST"]
require = "hmac(standardwebhooks)"
signing_key = "ck_standard"
upstream = "api"
"#;

/// What is held of a body that is signed byte by byte.
const MOST: usize = 65_536;

const ACME_SECRET: &str = "an acme secret that both sides know";
const HUB_SECRET: &str = "a webhook secret that both sides know";

struct Stage {
    scene: Scene,
    acme: Acme,
    _profiles: TempDir,
}

/// A partner that signs as `ACME` says.
struct Acme {
    key: String,
    secret: String,
}

impl Acme {
    /// A request with this MAC in place of its own, if one is given.
    fn request(&self, method: &str, target: &str, body: &str, mac: Option<&str>) -> (String, String) {
        let (time, nonce) = (unix_seconds(), &sha256_hex(format!("{target}{body}").as_bytes())[..32]);
        let string = format!("eu-1\n{method}\napi.test\n{target}\n{time}\n{nonce}\n{}", sha256_hex(body.as_bytes()));
        let right = hmac_hex(self.secret.as_bytes(), string.as_bytes());
        let (key, mac) = (&self.key, mac.unwrap_or(&right));
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: api.test\r\nX-Acme-Key: {key}\r\nX-Acme-Time: {time}\r\nX-Acme-Nonce: {nonce}\r\n\
             X-Acme-Signature: v2={mac}\r\nContent-Length: {}\r\n",
            body.len()
        );
        (format!("{head}\r\n{body}"), right)
    }

    fn signed(&self, method: &str, target: &str, body: &str) -> String {
        self.request(method, target, body, None).0
    }
}

fn start() -> Stage {
    start_with(ACME)
}

fn start_with(acme: &str) -> Stage {
    let profiles = tempfile::Builder::new().prefix("countersign-e2e-").tempdir().unwrap();
    let file = profiles.path().join("acme.toml");
    fs::write(&file, acme).unwrap();
    let profile = format!("[[profile]]\nfile = \"{}\"\nset = {{ region = \"eu-1\" }}\n", file.display());
    let config = format!("[limits]\nsigned_body_bytes = {MOST}\n{profile}{ROUTES}");
    let scene = Scene::start_with(RecordingUpstream::start(), &config);
    add_key(&scene, &json!({"id": "ck_acme", "profile": "acme", "secret": ACME_SECRET})).assert_ok();
    add_key(&scene, &json!({"id": "ck_hub", "profile": "github", "secret": HUB_SECRET})).assert_ok();
    let acme = Acme { key: "ck_acme".to_owned(), secret: ACME_SECRET.to_owned() };
    Stage { scene, acme, _profiles: profiles }
}

fn add_key(scene: &Scene, key: &Value) -> Answer {
    scene.admin("POST", &format!("/admin/v1/clients/{}/signing-keys", scene.client), key)
}

/// A webhook as GitHub signs it: its body, and nothing else.
fn hook(target: &str, body: &str) -> String {
    let mac = hmac_hex(HUB_SECRET.as_bytes(), body.as_bytes());
    format!(
        "POST {target} HTTP/1.1\r\nHost: api.test\r\nX-GitHub-Event: push\r\nX-Hub-Signature-256: sha256={mac}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn a_webhook_is_let_in_by_the_key_of_its_route() {
    let Stage { scene, .. } = start();
    let push = hook("/hooks/github", "{\"ref\": \"main\"}");
    scene.raw(push.as_bytes()).assert_ok();
    let got = scene.upstream.requests().remove(0);
    assert_eq!((got.request_line(), got.body.as_slice()), ("POST /hooks/github HTTP/1.1", &b"{\"ref\": \"main\"}"[..]));
    assert_eq!(got.headers("x-consumer-username"), ["partner"]);
    assert_eq!(got.headers("x-credential-identifier"), ["ck_hub"]);
    assert_eq!(got.headers("x-github-event"), ["push"]);
    assert_eq!(got.headers("x-hub-signature-256"), [""; 0]);
    scene.upstream.forget();

    scene.raw(push.as_bytes()).assert_refused("replayed");
    scene.raw(push.replace("main", "evil").as_bytes()).assert_refused("signature_mismatch");
    // A query is nothing that this signature says anything about.
    let answer = scene.raw(hook("/hooks/github?ref=evil", "{\"ref\": \"2\"}").as_bytes());
    answer.assert_refused("signature_coverage");
    assert_eq!((answer.status, &answer.json()["detail"]), (401, &json!("not signed in full: query")));
    let get = hook("/hooks/github", "").replace("POST ", "GET ");
    scene.raw(get.as_bytes()).assert_refused("method_not_allowed");
    assert_eq!(scene.upstream.total_bytes(), 0);
}

#[test]
fn a_body_that_is_signed_byte_by_byte_is_held_whole_or_refused() {
    let Stage { scene, .. } = start();
    scene.raw(hook("/hooks/github", &"a".repeat(MOST)).as_bytes()).assert_ok();
    scene.upstream.forget();
    let long = hook("/hooks/github", &"b".repeat(MOST + 1));
    let answer = scene.raw(long.as_bytes());
    answer.assert_refused("body_too_large");
    assert_eq!(answer.status, 413);
    // The same when its length comes out only on the way.
    let (head, body) = long.split_once("\r\n\r\n").unwrap();
    let head = head.replace(&format!("Content-Length: {}", MOST + 1), "Transfer-Encoding: chunked");
    scene.raw(format!("{head}\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", MOST + 1).as_bytes()).assert_refused("body_too_large");
    assert_eq!(scene.upstream.total_bytes(), 0);
}

#[test]
fn a_rule_may_name_two_schemes_and_a_request_shows_one() {
    let Stage { scene, acme, .. } = start();
    scene.raw(&scene.signed("GET", "/two/native").bytes()).assert_ok();
    scene.raw(acme.signed("GET", "/two/acme", "").as_bytes()).assert_ok();
    assert_eq!(scene.upstream.requests().len(), 2);
    scene.upstream.forget();

    let native: String = scene.signed("GET", "/two/x").headers().iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let both = acme.signed("GET", "/two/x", "").replace("Content-Length", &format!("{native}Content-Length"));
    let answer = scene.raw(both.as_bytes());
    answer.assert_refused("ambiguous_credentials");
    assert_eq!(answer.status, 400);
    scene.get("/two/x", "").assert_refused("credentials_required");
    assert_eq!(scene.upstream.total_bytes(), 0);
}

#[test]
fn a_key_is_for_one_scheme() {
    let Stage { scene, acme, .. } = start();
    // The right secret, under its own id, in the other scheme.
    let native = Signer { key_id: acme.key.clone(), secret: acme.secret.clone() };
    scene.raw(&native.request("GET", "api.test", "/two/x").bytes()).assert_refused("signature_mismatch");
    let partner = Acme { key: scene.partner.key_id.clone(), secret: scene.partner.secret.clone() };
    scene.raw(partner.signed("GET", "/two/x", "").as_bytes()).assert_refused("signature_mismatch");
    // The key of a webhook, which only its route names.
    let hub = Signer { key_id: "ck_hub".to_owned(), secret: HUB_SECRET.to_owned() };
    scene.raw(&hub.request("GET", "api.test", "/two/x").bytes()).assert_refused("signature_mismatch");
    assert_eq!(scene.upstream.total_bytes(), 0);
    scene.raw(acme.signed("GET", "/two/x", "").as_bytes()).assert_ok();
}

#[test]
fn a_secret_is_shown_when_it_is_made_and_never_again() {
    let Stage { scene, .. } = start();
    let given = add_key(&scene, &json!({"id": "ck_given", "profile": "acme", "secret": "a secret that was given to us"})).assert_ok();
    assert_eq!(given.json()["secret"], Value::Null, "who gives a secret has it: {}", given.text());
    let made = add_key(&scene, &json!({"id": "ck_made", "profile": "acme"})).assert_ok().json();
    let made = made["secret"].as_str().unwrap().to_owned();
    assert!(made.len() >= 32, "{made}");
    let second = json!({"secret": "another secret that was given"});
    let second = scene.admin("POST", "/admin/v1/signing-keys/ck_given/secrets", &second).assert_ok();
    let client = format!("/admin/v1/clients/{}/signing-keys", scene.client);
    let listed =
        ["/admin/v1/signing-keys", "/admin/v1/signing-keys/ck_given", "/admin/v1/signing-keys/ck_made", &client, "/admin/v1/audit"];
    let answers = listed.map(|path| scene.admin("GET", path, &Value::Null).assert_ok().text());
    for answer in answers.iter().chain([&given.text(), &second.text()]) {
        for secret in [made.as_str(), "a secret that was given to us", "another secret that was given"] {
            assert!(!answer.contains(secret), "{answer}");
        }
    }
    let acme = Acme { key: "ck_made".to_owned(), secret: made };
    scene.raw(acme.signed("GET", "/acme/x", "").as_bytes()).assert_ok();
}

#[test]
fn a_secret_that_its_scheme_cannot_use_is_an_error_of_that_field() {
    let Stage { scene, .. } = start();
    for (profile, secret, pointer) in [
        ("standardwebhooks", "whsec_this is no base64!", "#/secret"),
        ("standardwebhooks", "whsec_c2hvcnQ=", "#/secret"),
        ("acme", "tiny", "#/secret"),
        ("oauth1", "a secret of some length", "#/profile"),
        ("nothing", "a secret of some length", "#/profile"),
    ] {
        let answer = add_key(&scene, &json!({"id": "ck_standard", "profile": profile, "secret": secret}));
        answer.assert_refused("invalid_body");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{}", answer.text());
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
    // What is made is in the form that it needs.
    let made = add_key(&scene, &json!({"id": "ck_standard", "profile": "standardwebhooks"})).assert_ok().json();
    assert!(made["secret"].is_string(), "{made}");
}

#[test]
fn a_self_check_says_what_was_found_and_forwards_nothing() {
    let Stage { scene, acme, .. } = start();
    let request = acme.signed("POST", "/check?a=1", "hello");
    let said = scene.raw(request.as_bytes()).assert_ok().json();
    assert_eq!(said["authenticated"], true);
    assert_eq!(said["credentials"][0]["credential"], "ck_acme");
    assert_eq!(said["credentials"][0]["name"], "partner");
    let signature = &said["signature"];
    assert_eq!(signature["profile"], "acme");
    assert!(signature["string_to_sign"].as_str().unwrap().starts_with("eu-1\nPOST\napi.test\n/check?a=1\n"), "{said}");
    assert_eq!(signature["coverage"]["uncovered"], json!([]));
    // It counts as used.
    scene.raw(request.as_bytes()).assert_refused("replayed");

    let wrong = "0".repeat(64);
    let (request, right) = acme.request("POST", "/check?a=2", "hello", Some(&wrong));
    let answer = scene.raw(request.as_bytes());
    answer.assert_refused("signature_mismatch");
    let said = answer.json();
    assert!(said["signature"]["string_to_sign"].as_str().unwrap().starts_with("eu-1\nPOST\napi.test\n/check?a=2\n"), "{said}");
    assert_eq!(said["signature"]["fields"]["mac"], wrong);
    assert_eq!((&said["hints"], &said["signature"]["key"]), (&Value::Null, &Value::Null), "that is for the key's owner: {said}");
    says_no_secret(&answer, &right);
    // Nobody learns here which keys there are.
    let stranger = Acme { key: "ck_stranger".to_owned(), secret: acme.secret.clone() };
    let of_a_stranger = scene.raw(stranger.request("POST", "/check?a=2", "hello", Some(&wrong)).0.as_bytes()).json();
    assert_eq!(members(&of_a_stranger["signature"]), members(&said["signature"]));
    assert_eq!(of_a_stranger["code"], said["code"]);
    // An admin does, where not even the body of such a request is read.
    let answer = scene.raw(stranger.request("POST", "/acme/x", "hello", Some(&wrong)).0.as_bytes());
    answer.assert_refused("signature_mismatch");
    let asked = format!("/admin/v1/decisions/{}", answer.json()["request_id"].as_str().unwrap());
    let explained = scene.admin("GET", &asked, &Value::Null).assert_ok().json();
    assert_eq!((&explained["key_id"], &explained["explanation"]["key"]), (&json!("ck_stranger"), &json!("unknown")), "{explained}");

    // The native scheme, too, and nothing at all.
    let native = scene.raw(&scene.signed("GET", "/check").bytes()).assert_ok().json();
    assert_eq!(native["signature"]["profile"], "v3.0");
    scene.get("/check", "").assert_refused("credentials_required");
    assert_eq!(scene.upstream.total_bytes(), 0);
}

#[test]
fn a_key_that_is_diagnosed_is_told_why_and_no_other() {
    let Stage { scene, acme, .. } = start();
    let wrong = "0".repeat(64);
    let refused = |target: &str| {
        let (request, right) = acme.request("POST", target, "hello", Some(&wrong));
        let answer = scene.raw(request.as_bytes());
        answer.assert_refused("signature_mismatch");
        says_no_secret(&answer, &right);
        answer.json()
    };
    let diagnose = |seconds: u64| scene.admin("PATCH", "/admin/v1/signing-keys/ck_acme", &json!({"diagnose_seconds": seconds}));

    assert_eq!(refused("/acme/1")["hints"], Value::Null);
    let until = diagnose(600).assert_ok().json();
    assert!(until["diagnose_until"].is_string(), "{until}");
    let told = refused("/acme/2");
    assert!(told["hints"].is_array(), "{told}");
    assert_eq!(told["signature"], Value::Null, "the rest is for self-checks: {told}");
    let mut forger = scene.partner.clone();
    forger.secret.push('0');
    let other = scene.raw(&forger.request("GET", "api.test", "/two/x").bytes());
    other.assert_refused("signature_mismatch");
    assert_eq!(other.json()["hints"], Value::Null, "that is another key");
    // Also where the signature cannot be read, and where the time was wrong before the body was read.
    let (request, _) = acme.request("POST", "/acme/4", "hello", None);
    let told = scene.raw(request.replace("v2=", "").as_bytes());
    told.assert_refused("signature_malformed");
    assert_eq!((&told.json()["hints"][0]["mistakes"][0], &told.json()["hints"][0]["verifies"]), (&json!("prefix_missing"), &json!(true)));
    let time = unix_seconds();
    let late = acme.request("POST", "/acme/5", "hello", None).0.replace(&format!("Time: {time}"), &format!("Time: {}", time - 1000));
    let told = scene.raw(late.as_bytes());
    told.assert_refused("timestamp_too_old");
    assert_eq!(told.json()["hints"][0]["mistakes"][0], "clock_off", "{}", told.text());
    // It lets nothing more in.
    scene.raw(acme.signed("GET", "/acme/good", "").as_bytes()).assert_ok();

    diagnose(0).assert_ok();
    assert_eq!(refused("/acme/3")["hints"], Value::Null);
    diagnose(24 * 3600 + 1).assert_refused("invalid_body");
    assert_eq!(scene.upstream.requests().len(), 1);
}

#[test]
fn an_admin_can_ask_why_a_signature_was_refused() {
    let Stage { scene, acme, .. } = start();
    let (request, right) = acme.request("POST", "/acme/orders?a=1", "hello", Some(&"0".repeat(64)));
    let answer = scene.raw(request.as_bytes());
    answer.assert_refused("signature_mismatch");
    let id = answer.json()["request_id"].as_str().unwrap().to_owned();

    let list = scene.admin("GET", "/admin/v1/decisions", &Value::Null).assert_ok();
    let newest = &list.json()["items"][0];
    assert_eq!(newest["request_id"], id);
    assert_eq!((&newest["code"], &newest["profile"], &newest["key_id"]), (&json!("signature_mismatch"), &json!("acme"), &json!("ck_acme")));
    assert_eq!((&newest["method"], &newest["target"], &newest["host"]), (&json!("POST"), &json!("/acme/orders?a=1"), &json!("api.test")));
    let one = scene.admin("GET", &format!("/admin/v1/decisions/{id}"), &Value::Null).assert_ok();
    let explanation = &one.json()["explanation"];
    assert_eq!((&explanation["code"], &explanation["key"]), (&json!("signature_mismatch"), &json!("known")));
    let string = explanation["string_to_sign"].as_str().unwrap().to_owned();
    assert_eq!(hmac_hex(ACME_SECRET.as_bytes(), string.as_bytes()), right);
    says_no_secret(&list, &right);
    says_no_secret(&one, &right);
    scene.admin("GET", "/admin/v1/decisions/rq_nothing", &Value::Null).assert_refused("not_found");

    // The same request, brought by the admin.
    let headers: Vec<Value> = request
        .split("\r\n\r\n")
        .next()
        .unwrap()
        .lines()
        .skip(1)
        .map(|line| line.split_once(": ").map(|(name, value)| json!([name, value])).unwrap())
        .collect();
    let headers: Vec<Value> = headers.into_iter().filter(|header| header[0] != "Content-Length").collect();
    let brought =
        json!({"profile": "acme", "method": "POST", "scheme": "http", "target": "/acme/orders?a=1", "headers": headers, "body": "hello"});
    let explained = scene.admin("POST", "/admin/v1/explain", &brought).assert_ok();
    assert_eq!(explained.json()["string_to_sign"], string);
    assert_eq!(explained.json()["code"], "signature_mismatch");
    says_no_secret(&explained, &right);
    // Explaining claims nothing and lets nothing in, also when it would be good.
    let mut good = brought;
    for header in good["headers"].as_array_mut().unwrap().iter_mut().filter(|header| header[0] == "X-Acme-Signature") {
        header[1] = json!(format!("v2={right}"));
    }
    let explained = scene.admin("POST", "/admin/v1/explain", &good).assert_ok().json();
    assert_eq!(explained["code"], Value::Null, "{explained}");
    assert_eq!(scene.upstream.total_bytes(), 0);
    scene.raw(request.replace(&"0".repeat(64), &right).as_bytes()).assert_ok();
}

#[test]
fn who_may_see_refusals_cannot_send_them_again() {
    let Stage { scene, acme, .. } = start();
    let decisions = |path: &str| scene.admin("GET", &format!("/admin/v1/decisions{path}"), &Value::Null).assert_ok();
    // Signed a little too far ahead: good in a moment, and its MAC is right.
    let request = scene.signed("GET", "/two/x").seconds_from_now(70);
    let head = request.head();
    let (_, mac) = head.split_once("v3=").unwrap();
    let answer = scene.raw(&request.bytes());
    answer.assert_refused("timestamp_too_new");
    let one = decisions(&format!("/{}", answer.json()["request_id"].as_str().unwrap()));
    assert!(one.json()["explanation"]["string_to_sign"].is_string(), "{}", one.text());
    assert!(!one.text().contains(&mac[..64]), "{}", one.text());
    // A secret where the key id belongs, as people do it.
    let wrong = Acme { key: scene.partner.secret.clone(), secret: acme.secret.clone() };
    scene.raw(&scene.signed("GET", "/two/y").header("X-Acme-Key", &wrong.key).bytes()).assert_ok();
    let swapped = head.replace(&scene.partner.key_id, &scene.partner.secret);
    let answer = scene.raw(format!("{swapped}\r\n").as_bytes());
    assert_eq!(answer.status, 401);
    let id = answer.json()["request_id"].as_str().unwrap().to_owned();
    for said in [decisions(""), decisions(&format!("/{id}"))] {
        assert!(
            said.text().contains(&id) && said.text().contains("css_<secret>") && !said.text().contains(&scene.partner.secret),
            "{}",
            said.text()
        );
    }
}

#[test]
fn a_shorter_window_lets_nothing_in_again() {
    let wide = ACME.replace("past = 300\nfuture = 60", "past = 900\nfuture = 900");
    for note_is_lost in [false, true] {
        let Stage { mut scene, acme, _profiles: profiles } = start_with(&wide);
        let request = acme.signed("GET", "/acme/once", "");
        scene.raw(request.as_bytes()).assert_ok();
        scene.raw(request.as_bytes()).assert_refused("replayed");
        let note = scene.gateway.data().join("claim-terms.json");
        scene.stop_and_start_again_after(|| {
            fs::write(profiles.path().join("acme.toml"), ACME).unwrap();
            if note_is_lost {
                fs::remove_file(note).unwrap();
            }
        });
        scene.raw(request.as_bytes()).assert_refused("signed_before_fence");
        assert_eq!(scene.upstream.count("/acme/once"), 1);
    }
}

#[test]
fn a_window_that_is_left_out_lets_nothing_in_again() {
    let Stage { mut scene, acme, _profiles: profiles } = start();
    let request = acme.signed("GET", "/acme/once", "");
    scene.raw(request.as_bytes()).assert_ok();
    scene.raw(request.as_bytes()).assert_refused("replayed");
    let timeless = ACME.replace("uncovered = []", "uncovered = [\"time\"]");
    let timeless = timeless.replace("[time]\nat = \"ts\"\nformat = \"unix\"\npast = 300\nfuture = 60\n", "");
    let route = "[[route]]\npath = \"/acme/once\"\nmethods = [\"GET\"]\nrequire = \"hmac(acme)\"\nupstream = \"api\"\n";
    scene.config = scene.config.replace(ROUTES, route);
    scene.stop_and_start_again_after(|| fs::write(profiles.path().join("acme.toml"), timeless).unwrap());
    scene.raw(request.as_bytes()).assert_refused("signed_before_fence");
    scene.kill_and_start_again();
    scene.raw(request.as_bytes()).assert_refused("signed_before_fence");
    assert_eq!(scene.upstream.count("/acme/once"), 1);
}

#[test]
fn the_headers_of_a_signature_end_at_the_gateway_unless_the_route_passes_them_on() {
    let Stage { scene, acme, .. } = start();
    scene.raw(acme.signed("GET", "/acme/x", "").as_bytes()).assert_ok();
    scene.raw(acme.signed("GET", "/kept/x", "").as_bytes()).assert_ok();
    let got = scene.upstream.requests();
    for header in ["x-acme-signature", "x-acme-key"] {
        assert_eq!((got[0].headers(header).len(), got[1].headers(header).len()), (0, 1), "{header}");
    }
    // Not a credential by itself, and what the upstream may want to know.
    assert_eq!((got[0].headers("x-acme-time").len(), got[1].headers("x-acme-time").len()), (1, 1));
    // On a route that does not ask for them they are none of the gateway's business, but no upstream takes them for checked.
    scene.raw(acme.signed("GET", "/open/x", "").as_bytes()).assert_ok();
    assert_eq!(scene.upstream.requests()[2].headers("x-acme-signature"), [""; 0]);
}

#[test]
fn check_names_what_signatures_do_not_cover() {
    let stage = start();
    let scene = &stage.scene;
    let config = scene.folder.path().join("countersign.toml");
    let check = |arguments: &[&str]| {
        let output = Command::new(program()).arg("check").args(arguments).arg("--config").arg(&config).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let words = check(&[]);
    let holes = words.split_once("\nNot covered").map(|(_, rest)| rest.split("\n\n").take(2).collect::<Vec<_>>().join("\n\n"));
    assert_eq!(
        holes.as_deref(),
        Some(
            " by signatures, and so bound to one method and path:\n\n\
             PROFILE           NOT COVERED\n\
             github            method, path, host, time  GitHub webhooks\n\
             standardwebhooks  method, path, host        Standard Webhooks, Svix"
        ),
        "{words}"
    );
    let report: Value = serde_json::from_str(&check(&["--json"])).unwrap();
    let profiles: Vec<_> = report["profiles"].as_array().unwrap().iter().map(|profile| (&profile["name"], &profile["uncovered"])).collect();
    assert!(profiles.contains(&(&json!("github"), &json!(["method", "path", "host", "time"]))), "{report}");
    assert!(profiles.contains(&(&json!("acme"), &json!([]))), "{report}");

    // Without the bounds it does not start.
    let unbound = scene.config.replace("methods = [\"POST\"]\nrequire = \"hmac(github)\"", "require = \"hmac(github)\"");
    assert_ne!(unbound, scene.config);
    fs::write(&config, unbound).unwrap();
    let output = Command::new(program()).args(["check", "--config"]).arg(&config).output().unwrap();
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("signatures of github do not cover: method, path, host, time"), "{errors}");
}

/// Neither the secrets nor the MAC that would have been right.
fn says_no_secret(answer: &Answer, right: &str) {
    let said = answer.text();
    for secret in [ACME_SECRET, HUB_SECRET, right, &right.to_uppercase()] {
        assert!(!said.contains(secret), "{said}");
    }
}

/// The names of the members of an object.
fn members(object: &Value) -> Vec<String> {
    object.as_object().unwrap_or_else(|| panic!("{object}")).keys().cloned().collect()
}
