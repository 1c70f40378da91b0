//! HTTP Message Signatures (RFC 9421) at the gateway: what is asked for, and what a signature that covers more lets through.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_e2e::{RecordingUpstream, Scene, hmac_hex, unix_seconds};
use serde_json::json;

const ROUTES: &str = r#"
[[profile]]
name = "rfc9421"
[[route]]
path = "/messages/*"
require = "hmac(rfc9421)"
upstream = "api"
"#;

const SECRET: &str = "a message secret that both sides know";

fn start() -> Scene {
    let scene = Scene::start_with(RecordingUpstream::start(), ROUTES);
    let key = json!({"id": "ck_message", "profile": "rfc9421", "secret": SECRET});
    scene.admin("POST", &format!("/admin/v1/clients/{}/signing-keys", scene.client), &key).assert_ok();
    scene
}

/// A GET of `/messages/x` with these headers, of which it signs those that `covered` names.
fn get(headers: &[(&str, &str)], covered: &[&str], nonce: &str) -> String {
    let mut lines = vec![("@method", "GET"), ("@authority", "api.test"), ("@path", "/messages/x")];
    lines.extend(headers.iter().filter(|(name, _)| covered.contains(name)));
    let names: Vec<String> = lines.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let params = format!("({});created={};keyid=\"ck_message\";nonce=\"{nonce}\"", names.join(" "), unix_seconds());
    let base: String = lines.iter().map(|(name, value)| format!("\"{name}\": {value}\n")).collect();
    let mac = hmac_hex(SECRET.as_bytes(), format!("{base}\"@signature-params\": {params}").as_bytes());
    let bytes: Vec<u8> = (0..mac.len()).step_by(2).map(|at| u8::from_str_radix(&mac[at..at + 2], 16).unwrap()).collect();
    let sent: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let signature = STANDARD.encode(bytes);
    format!("GET /messages/x HTTP/1.1\r\nHost: api.test\r\n{sent}Signature-Input: a={params}\r\nSignature: a=:{signature}:\r\n\r\n")
}

#[test]
fn a_header_that_changes_the_meaning_passes_when_it_is_signed() {
    let scene = start();
    let r#override = [("x-http-method-override", "DELETE")];
    scene.raw(get(&r#override, &["x-http-method-override"], "n1").as_bytes()).assert_ok();
    assert_eq!(scene.upstream.requests().remove(0).headers("x-http-method-override"), ["DELETE"]);
    scene.upstream.forget();
    scene.raw(get(&r#override, &[], "n2").as_bytes()).assert_refused("uncovered_header");
    // Covered, and not as it was signed.
    let other = get(&r#override, &["x-http-method-override"], "n3").replace("DELETE", "PUT");
    scene.raw(other.as_bytes()).assert_refused("signature_mismatch");
    assert_eq!(scene.upstream.total_bytes(), 0);
}

#[test]
fn what_is_asked_for_is_what_the_request_has() {
    let scene = start();
    let asked = |request: &str| {
        let answer = scene.raw(request.as_bytes());
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert_eq!(answer.header("want-content-digest"), Some("sha-256=10"));
        answer.header("accept-signature").unwrap().to_owned()
    };
    let rest = ";alg=\"hmac-sha256\";created";
    let plain = "sig1=(\"@method\" \"@authority\" \"@path\"";
    assert_eq!(asked("GET /messages/x HTTP/1.1\r\nHost: api.test\r\n\r\n"), format!("{plain}){rest}"));
    let post = "POST /messages/x?a=1 HTTP/1.1\r\nHost: api.test\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(asked(post), format!("{plain} \"@query\" \"content-digest\" \"content-type\"){rest}"));
    // A Content-Type that is sent and not signed.
    let json = get(&[("content-type", "application/json")], &[], "n1");
    let answer = scene.raw(json.as_bytes());
    answer.assert_refused("signature_coverage");
    assert_eq!(answer.json()["detail"], "the signature must cover \"content-type\"");
    assert_eq!(answer.header("accept-signature"), Some(&*format!("{plain} \"content-type\"){rest}")));
    assert_eq!(scene.upstream.total_bytes(), 0);
}
