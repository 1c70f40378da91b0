//! `countersign verify` and `countersign sign`, in every scheme: published vectors come out as published, and what is signed
//! verifies.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_e2e::{Scene, program};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tidy::root;

/// Runs the program with `input` on its standard input.
fn run(words: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(program())
        .args(words)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that ends before it has read everything is judged by what it says.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().expect("it ends")
}

/// Runs `countersign verify --json`, which must have judged.
fn verify(folder: &Path, keys: &Value, words: &[&str], request: &[u8]) -> Value {
    let file = folder.join("keys.json");
    fs::write(&file, keys.to_string()).unwrap();
    let all = [&["verify", "--json", "--keys", file.to_str().unwrap()], words].concat();
    let output = run(&all, request);
    let said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{words:?}: {:?} {}", output.status, String::from_utf8_lossy(&output.stderr)));
    let status = if said["decision"] == "accept" { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(status), "{words:?}");
    assert!(output.stderr.is_empty(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    said
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn every_published_vector_comes_out_as_published() {
    let all: Value = serde_json::from_str(&fs::read_to_string(Path::new(&root()).join("vectors/published.json")).unwrap()).unwrap();
    let vectors = all["vectors"].as_array().unwrap();
    assert!(vectors.len() >= 183);
    let folder = TempDir::new().unwrap();
    let mut wrong = Vec::new();
    for vector in vectors {
        let name = format!("{} / {}", vector["scheme"].as_str().unwrap(), vector["name"].as_str().unwrap());
        let said = judge(folder.path(), vector);
        let expected = if vector["expect"] == "accept" { "accept" } else { "refuse" };
        if said["decision"] != expected {
            wrong.push(format!("{name}: {} {} {}", said["decision"], said["code"], said["detail"]));
        }
        let strings: Vec<&Value> = [&said["string_to_sign"]].into_iter().chain(said["alternatives"].as_array().unwrap()).collect();
        if let Some(published) = vector.get("string_to_sign")
            && !strings.contains(&published)
        {
            wrong.push(format!("{name}: another string to sign: {strings:?}"));
        }
        if let Some(published) = vector.get("string_to_sign_b64") {
            let is_text = String::from_utf8(STANDARD.decode(published.as_str().unwrap()).unwrap());
            match is_text {
                Ok(published) if said["string_to_sign"] == published && said.get("string_to_sign_base64").is_none() => {}
                Err(_) if &said["string_to_sign_base64"] == published => {}
                other => wrong.push(format!("{name}: another string to sign: {other:?}")),
            }
        }
        if let Some(published) = vector.get("canonical_request")
            && !said["pieces"].as_object().unwrap().values().any(|piece| piece == published)
        {
            wrong.push(format!("{name}: another canonical request"));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A vector as its request, keys and arguments.
fn judge(folder: &Path, vector: &Value) -> Value {
    let inputs = &vector["inputs"];
    let mut request = format!("{} {} HTTP/1.1\r\n", inputs["method"].as_str().unwrap(), inputs["target"].as_str().unwrap());
    for header in inputs["headers"].as_array().unwrap() {
        request.push_str(&format!("{}: {}\r\n", header[0].as_str().unwrap(), header[1].as_str().unwrap()));
    }
    request.push_str("\r\n");
    request.push_str(inputs["body"].as_str().unwrap());
    let profile = match vector["scheme"].as_str().unwrap() {
        "rfc9421" => "rfc9421-lax",
        other => other,
    };
    let (at, scheme) = (inputs["verify_at_unix"].to_string(), inputs["scheme"].as_str().unwrap());
    let constants = inputs["config"].as_object().unwrap().iter().filter(|(name, _)| *name != "normalize");
    let constants: Vec<String> = constants.map(|(name, value)| format!("{name}={}", text(value))).collect();
    let mut words = vec!["--profile", profile, "--at", &at, "--scheme", scheme];
    words.extend(constants.iter().flat_map(|constant| ["--set", constant]));
    verify(folder, &inputs["secrets"], &words, request.as_bytes())
}

/// A request to sign: the profile, its constants, the secret, and further arguments.
struct Example {
    profile: &'static str,
    constants: &'static [&'static str],
    secret: &'static str,
    request: &'static [&'static str],
}

const fn example(
    profile: &'static str,
    constants: &'static [&'static str],
    secret: &'static str,
    request: &'static [&'static str],
) -> Example {
    Example { profile, constants, secret, request }
}

const AWS: &[&str] = &["region=eu-central-1", "service=execute-api"];
const POST: &[&str] = &["POST", "https://api.example.com/a%20b/c?x=1&y=%C3%A9&x=0", "--data", "{\"a\": \"\u{e9}\\n\"}"];
const GET: &[&str] = &["GET", "http://127.0.0.1:8080/a?x=1&b"];
const HOOK: &[&str] = &["POST", "https://hooks.example.com/hook", "--data", "{\"a\":1}"];
const LONG: &str = "0123456789abcdef0123456789abcdef";

/// Each way to find, derive, encode and place a signature that profiles have.
const EXAMPLES: &[Example] = &[
    example("v3.0", &[], LONG, POST),
    example("v3.0", &[], LONG, GET),
    example("rfc9421", &[], LONG, POST),
    example("rfc9421", &[], LONG, GET),
    example("sigv4", AWS, LONG, POST),
    example("sigv4", AWS, LONG, &["GET", "https://h/", "-H", "X-Amz-Meta: a   b", "-H", "X-Amz-Meta: c"]),
    example("sigv4-query", AWS, LONG, GET),
    example("sigv4-s3", AWS, LONG, POST),
    example("hawk", &[], LONG, POST),
    example("hawk", &[], LONG, GET),
    example("oauth1", &[], r#"{"secret": "consumer-secret!", "token": "t/1", "token_secret": "token secret"}"#, GET),
    example("oauth1", &[], LONG, &["POST", "http://h/x", "--content-type", "application/x-www-form-urlencoded", "--data", "a=1&c=%20d"]),
    example("cavage", &[], LONG, POST),
    example("amx", &[], "MDEyMzQ1Njc4OWFiY2RlZg==", POST),
    example("azure-hmac", &[], "MDEyMzQ1Njc4OWFiY2RlZg==", POST),
    example("edgegrid", &["access_token=at-1"], LONG, POST),
    example("standardwebhooks", &[], "whsec_MDEyMzQ1Njc4OWFiY2RlZg==", HOOK),
    example("stripe", &[], LONG, HOOK),
    example("slack", &[], LONG, HOOK),
    example("github", &[], LONG, HOOK),
    example("escher", &["scope=eu/app/ems_request"], LONG, POST),
    example("line-pay", &[], LONG, HOOK),
];

#[test]
fn what_is_signed_verifies() {
    let folder = TempDir::new().unwrap();
    let secret_file = folder.path().join("secret");
    let mut wrong = Vec::new();
    for Example { profile, constants, secret, request } in EXAMPLES {
        fs::write(&secret_file, secret).unwrap();
        let constants: Vec<&str> = constants.iter().flat_map(|constant| ["--set", constant]).collect();
        let signing = ["sign", "--json", "--profile", profile, "--key-id", "client-7", "--secret-file", secret_file.to_str().unwrap()];
        let output = run(&[&signing, *request, &constants].concat(), b"");
        if !output.status.success() {
            wrong.push(format!("{profile}: {}", String::from_utf8_lossy(&output.stderr)));
            continue;
        }
        let signed: Value = serde_json::from_slice(&output.stdout).unwrap();
        let data = request.iter().skip_while(|word| **word != "--data").nth(1).copied().unwrap_or_default();
        let raw = as_sent(&signed, data);
        let url = signed["url"].as_str().unwrap();
        let words = [&["--profile", profile, "--scheme", url.split(':').next().unwrap()], constants.as_slice()].concat();
        let secret = serde_json::from_str(secret).unwrap_or_else(|_| json!(secret));
        let said = verify(folder.path(), &json!({"client-7": secret}), &words, raw.as_bytes());
        if said["decision"] != "accept" || said["string_to_sign"] != signed["string_to_sign"] || !said["gateway"].is_null() {
            wrong.push(format!("{profile}: {signed:#}\n{said:#}"));
        }
        // A proof that it was judged: the same with another secret is refused.
        let other = verify(folder.path(), &json!({"client-7": "MDEyMzQ1Njc4OWFiY2RlZg0="}), &words, raw.as_bytes());
        assert_eq!(other["code"], "signature_mismatch", "{profile}");
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A signed request as it would be sent.
fn as_sent(signed: &Value, body: &str) -> String {
    let url = signed["url"].as_str().unwrap();
    let (host, target) = url.split_once("://").unwrap().1.split_once('/').unwrap();
    let mut raw = format!("{} /{target} HTTP/1.1\r\nHost: {host}\r\n", signed["method"].as_str().unwrap());
    for (name, value) in signed["headers"].as_object().unwrap() {
        for value in value.as_array().unwrap_or(&vec![value.clone()]) {
            raw.push_str(&format!("{name}: {}\r\n", value.as_str().unwrap()));
        }
    }
    if !body.is_empty() {
        raw.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    raw + "\r\n" + body
}

#[test]
fn the_exit_status_says_what_came_of_it() {
    let folder = TempDir::new().unwrap();
    let keys = folder.path().join("keys.json");
    fs::write(&keys, r#"{"@route": "It's a Secret to Everybody"}"#).unwrap();
    let request = b"POST / HTTP/1.1\nHost: h\nX-Hub-Signature-256: \
        sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\n\nHello, World!";
    let words = ["verify", "--profile", "github", "--keys", keys.to_str().unwrap()];
    let accepted = run(&words, request);
    assert_eq!(accepted.status.code(), Some(0));
    let said = String::from_utf8(accepted.stdout).unwrap();
    assert!(said.starts_with("accept  github ") && !said.contains('\x1b') && !said.contains("Secret to Everybody"), "{said}");
    let refused = run(&words, &[&request[..], b"\n"].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stdout.starts_with(b"refuse  signature_mismatch: ") && refused.stderr.is_empty());
    for (words, request) in [
        (&["verify", "--keys", "/nowhere"][..], &request[..]),
        (&["verify"], request),
        (&["verify", "--profile", "nothing-like-it", "--keys", keys.to_str().unwrap()], request),
        (&["verify", "--frobnicate"], request),
        (&words, b"hello"),
        (&words, b""),
    ] {
        let wrong = run(words, request);
        assert_eq!(wrong.status.code(), Some(2), "{words:?}");
        assert!(wrong.stdout.is_empty() && wrong.stderr.starts_with(b"error: "), "{words:?}");
    }
}

#[test]
fn what_is_sent_is_what_was_signed() {
    let scene = Scene::start();
    let secret = scene.folder.path().join("secret");
    fs::write(&secret, &scene.partner.secret).unwrap();
    let large = scene.folder.path().join("large.json");
    fs::write(&large, vec![b'x'; 3 << 20]).unwrap();
    let url = format!("http://{}/signed/a?b=%20c", scene.gateway.listen);
    let send = ["sign", "--send", "--json", "--key-id", &scene.partner.key_id, "--secret-file", secret.to_str().unwrap()];
    for (request, length) in [
        (&["GET", &url, "-H", "Host: Other.test:80", "-H", "X-Tag: 1", "-H", "X-Tag: 2"][..], 0),
        (&["POST", &url, "--data", "{\"a\": 1}"], 8),
        (&["PUT", &url, "--data", &format!("@{}", large.display())], 3 << 20),
    ] {
        let output = run(&[&send[..], request].concat(), b"");
        assert!(output.status.success(), "{request:?}: {}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(scene.upstream.requests().last().unwrap().body_length, length, "{request:?}");
    }
    let requests = scene.upstream.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[0].request_line(), "GET /signed/a?b=%20c HTTP/1.1");
    assert_eq!((requests[0].headers("host"), requests[0].headers("x-tag")), (vec!["Other.test:80"], vec!["1", "2"]));
    assert_eq!(requests[2].headers("content-type"), ["application/json"]);
}

#[test]
fn a_profile_that_is_shown_is_a_file_that_can_be_used() {
    let folder = TempDir::new().unwrap();
    let shown = run(&["profiles", "show", "github"], b"");
    let file = folder.path().join("mine.toml");
    fs::write(&file, &shown.stdout).unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, LONG).unwrap();
    let words = ["sign", "POST", "https://h/", "--data", "x", "--secret-file", secret.to_str().unwrap(), "--profile"];
    let (by_name, by_file) = (run(&[&words[..], &["github"]].concat(), b""), run(&[&words[..], &[file.to_str().unwrap()]].concat(), b""));
    assert!(by_name.status.success());
    assert_eq!(by_name.stdout, by_file.stdout);
}
