//! Signed requests: accepted once, unchanged, and only as they were signed.

use base64::Engine as _;
use countersign_e2e::{Answer, RecordingUpstream, Reply, Scene, hex, sha256_hex, times};

/// Larger than what is buffered in these scenes.
const SMALL_BUFFER: &str = "[limits]\nsigned_body_bytes = 65536\nspool_bytes = 200000\n";

#[test]
fn a_signed_request_is_forwarded_once() {
    let scene = Scene::start();
    let request = scene.signed("GET", "/api/v3.0/orders?limit=10&a=%20b").bytes();
    scene.raw(&request).assert_ok();
    for _ in 0..3 {
        scene.raw(&request).assert_refused("replayed");
    }
    assert_eq!(scene.upstream.requests().len(), 1);
    assert_eq!(scene.upstream.requests()[0].request_line(), "GET /api/v3.0/orders?limit=10&a=%20b HTTP/1.1");
}

#[test]
fn a_used_nonce_is_refused_under_a_new_signature_too() {
    let scene = Scene::start();
    let nonce = "a-nonce-that-comes-twice";
    scene.raw(&scene.signed("GET", "/signed/1").nonce(nonce).bytes()).assert_ok();
    scene.raw(&scene.signed("GET", "/signed/2").nonce(nonce).bytes()).assert_refused("replayed");
}

#[test]
fn a_nonce_has_16_to_64_safe_characters() {
    let scene = Scene::start();
    for good in ["0123456789abcdef".to_owned(), "aZ_-".repeat(16)] {
        scene.raw(&scene.signed("GET", "/signed/x").nonce(&good).bytes()).assert_ok();
    }
    for bad in ["0123456789abcde".to_owned(), "a".repeat(65), "0123456789abcde!".to_owned(), "0123456789 abcdef".to_owned()] {
        scene.raw(&scene.signed("GET", "/signed/x").nonce(&bad).bytes()).assert_refused("signature_malformed");
    }
}

#[test]
fn a_change_of_any_line_is_noticed() {
    let scene = Scene::start();
    let good = String::from_utf8(scene.signed("POST", "/signed/x?a=1").body("text/plain", b"pay 10").bytes()).unwrap();
    let key = scene.partner.key_id.clone();
    let changes: [(&str, &str, String); 7] = [
        ("method", "POST ", "PUT ".into()),
        ("path", "/signed/x?", "/signed/y?".into()),
        ("query", "?a=1", "?a=2".into()),
        ("host", "Host: api.test", "Host: www.test".into()),
        ("content type", "text/plain", "text/html".into()),
        ("body", "pay 10", "pay 99".into()),
        ("key id", &key, format!("ck_0{}", &key[4..])),
    ];
    for (what, from, to) in changes {
        let changed = good.replacen(from, &to, 1);
        assert_ne!(changed, good, "{what}");
        scene.raw(changed.as_bytes()).assert_refused("signature_mismatch");
    }
    for (name, from) in [("X-Timestamp: ", 13), ("X-Nonce: ", 9)] {
        let at = good.find(name).unwrap() + from;
        let last = at + good[at..].find('\r').unwrap() - 1;
        let digit = if good.as_bytes()[last] == b'1' { "2" } else { "1" };
        let changed = format!("{}{digit}{}", &good[..last], &good[last + 1..]);
        scene.raw(changed.as_bytes()).assert_refused("signature_mismatch");
    }
    assert_eq!(scene.upstream.total_bytes(), 0);
    // None of that has used the nonce up.
    scene.raw(good.as_bytes()).assert_ok();
}

#[test]
fn the_signature_has_one_form() {
    let scene = Scene::start();
    let headers = scene.signed("GET", "/signed/x").head();
    let at = headers.find("v3=").unwrap();
    let mac = &headers[at..at + 3 + 64];
    for other in [
        mac.to_ascii_uppercase().replace("V3=", "v3="),
        mac.replace("v3=", "V3="),
        mac.replace("v3=", ""),
        mac[..mac.len() - 2].to_owned(),
        format!("{mac}00"),
    ] {
        let answer = scene.raw(format!("{}\r\n", headers.replace(mac, &other)).as_bytes());
        assert_eq!(answer.status, 401, "{other}: {answer:?}");
    }
    for name in ["X-Key-Id", "X-Timestamp", "X-Nonce", "X-Signature"] {
        let line = headers.lines().find(|line| line.starts_with(name)).unwrap();
        let answer = scene.raw(format!("{headers}{line}\r\n\r\n").as_bytes());
        assert!((400..402).contains(&answer.status), "{name} twice: {answer:?}");
        let without: String = headers.split_inclusive("\r\n").filter(|l| !l.starts_with(name)).collect();
        assert_eq!(scene.raw(format!("{without}\r\n").as_bytes()).status, 401, "without {name}");
    }
    assert_eq!(scene.upstream.total_bytes(), 0);
}

#[test]
fn connection_takes_no_header_off_a_signed_request() {
    let scene = Scene::start();
    let signed = scene.signed("GET", "/signed/x").header("If-Match", "\"1\"").head();
    for named in ["if-match", "close, X-Amount", "user-agent"] {
        scene.raw(format!("{signed}Connection: {named}\r\n\r\n").as_bytes()).assert_refused("bad_header_value");
    }
    assert_eq!(scene.upstream.total_bytes(), 0);
    scene.raw(format!("{signed}Connection: keep-alive, TE\r\n\r\n").as_bytes()).assert_ok();
    assert_eq!(scene.upstream.requests()[0].headers("if-match"), ["\"1\""]);
}

#[test]
fn the_default_port_is_not_part_of_the_host() {
    let scene = Scene::start();
    let with_port = scene.partner.request("GET", "api.test", "/signed/1").head().replace("Host: api.test", "Host: API.test:80");
    scene.raw(format!("{with_port}\r\n").as_bytes()).assert_ok();
    scene.raw(&scene.partner.request("GET", "api.test:8080", "/signed/2").bytes()).assert_ok();
}

#[test]
fn time_is_judged_at_both_ends() {
    let scene = Scene::start();
    scene.raw(&scene.signed("GET", "/signed/x").seconds_from_now(-295).bytes()).assert_ok();
    scene.raw(&scene.signed("GET", "/signed/x").seconds_from_now(55).bytes()).assert_ok();
    scene.raw(&scene.signed("GET", "/signed/x").seconds_from_now(-305).bytes()).assert_refused("timestamp_too_old");
    scene.raw(&scene.signed("GET", "/signed/x").seconds_from_now(65).bytes()).assert_refused("timestamp_too_new");
}

#[test]
fn both_secrets_of_a_key_work_while_they_overlap() {
    let scene = Scene::start();
    let path = format!("/admin/v1/signing-keys/{}/secrets", scene.partner.key_id);
    let made = scene.admin("POST", &path, &serde_json::json!({})).assert_ok().json();
    let mut second = scene.partner.clone();
    second.secret = made["secret"].as_str().unwrap().to_owned();
    scene.raw(&scene.signed("GET", "/signed/old").bytes()).assert_ok();
    scene.raw(&second.request("GET", "api.test", "/signed/new").bytes()).assert_ok();
}

#[test]
fn a_body_in_chunks_is_signed_like_any_other() {
    let scene = Scene::start();
    let head = scene.signed("POST", "/signed/x").body("text/plain", b"hello world").head();
    scene.raw(format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n").as_bytes()).assert_ok();
    assert_eq!(scene.upstream.requests()[0].body, b"hello world");
}

#[test]
fn a_large_body_streams_when_its_digest_is_in_the_head() {
    let scene = Scene::start_with(RecordingUpstream::start(), SMALL_BUFFER);
    let body: Vec<u8> = (0..2_000_000u32).map(|n| (n % 251) as u8).collect();
    stream(&scene, &body, &sha256_hex(&body)).assert_ok();
    let seen = scene.upstream.requests().remove(0);
    assert_eq!((seen.body_length, seen.body_sha256), (2_000_000, sha256_hex(&body)));
}

#[test]
fn a_wrong_digest_never_completes_the_upstreams_message() {
    let scene = Scene::start_with(RecordingUpstream::start(), SMALL_BUFFER);
    let body = vec![b'a'; 1_000_000];
    let mut other = body.clone();
    *other.last_mut().unwrap() = b'b';
    let answer = stream(&scene, &body, &sha256_hex(&other));
    answer.assert_refused("body_digest_mismatch");
    assert!(scene.upstream.requests().is_empty(), "the upstream's message was completed");
}

#[test]
fn a_forged_signature_on_a_large_body_sends_the_upstream_nothing() {
    let scene = Scene::start_with(RecordingUpstream::start(), SMALL_BUFFER);
    let body = vec![b'a'; 1_000_000];
    let mut forger = scene.partner.clone();
    forger.secret.push('0');
    let head = forger.request("POST", "api.test", "/signed/x").body("text/plain", b"").digest(&sha256_hex(&body));
    let head = head.header("Content-Digest", &content_digest(&sha256_hex(&body))).head();
    let mut connection = scene.connect();
    connection.send(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    let _refused_early = connection.try_send(&body);
    connection.answer().assert_refused("signature_mismatch");
    assert_eq!(scene.upstream.total_bytes(), 0);
}

#[test]
fn a_large_body_without_a_digest_is_checked_before_anything_is_forwarded() {
    let scene = Scene::start_with(RecordingUpstream::start(), SMALL_BUFFER);
    let body = vec![b'a'; 150_000];
    scene.raw(&scene.signed("POST", "/signed/good").body("text/plain", &body).bytes()).assert_ok();
    assert_eq!(scene.upstream.requests()[0].body_sha256, sha256_hex(&body));
    scene.upstream.forget();
    let mut wrong = scene.signed("POST", "/signed/bad").body("text/plain", &body).bytes();
    *wrong.last_mut().unwrap() = b'b';
    scene.raw(&wrong).assert_refused("signature_mismatch");
    assert_eq!(scene.upstream.total_bytes(), 0);
    let left = std::fs::read_dir(scene.gateway.data().join("spool")).unwrap().count();
    assert_eq!(left, 0, "spooled bodies are left behind");
}

#[test]
fn the_client_is_told_to_go_on_only_when_its_head_is_good() {
    let scene = Scene::start();
    let send_head = |signed: countersign_e2e::Signed| {
        let mut connection = scene.connect();
        connection.send(format!("{}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", signed.head()).as_bytes());
        connection
    };
    // An old timestamp, and no credentials at all: refused without asking for the body.
    let refused: Answer = send_head(scene.signed("POST", "/signed/x").body("text/plain", b"hello").seconds_from_now(-900)).answer();
    refused.assert_refused("timestamp_too_old");
    assert_eq!(refused.interim, [0u16; 0]);
    let mut connection = scene.connect();
    connection.send(b"POST /api/x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let refused = connection.answer();
    refused.assert_refused("credentials_required");
    assert_eq!(refused.interim, [0u16; 0]);
    assert_eq!(scene.upstream.total_bytes(), 0);

    let mut good = send_head(scene.signed("POST", "/signed/x").body("text/plain", b"hello"));
    assert_eq!(good.interim(), 100);
    assert_eq!(scene.upstream.total_bytes(), 0, "nothing is forwarded before the body was checked");
    good.send(b"hello").answer().assert_ok();
    assert_eq!(scene.upstream.requests()[0].body, b"hello");
}

#[test]
fn a_claim_stays_when_the_upstream_fails() {
    let scene = Scene::start_with(RecordingUpstream::start_with(|_| Reply::Close), "");
    let request = scene.signed("POST", "/signed/x").body("text/plain", b"pay").bytes();
    scene.raw(&request).assert_refused("upstream_outcome_unknown");
    scene.raw(&request).assert_refused("replayed");
    assert_eq!(scene.upstream.requests().len(), 1, "a forward that may have been seen is not repeated");
}

#[test]
fn a_claim_stays_when_the_upstream_is_silent() {
    let scene = Scene::start_with(RecordingUpstream::start_with(|_| Reply::Silence), "");
    let request = scene.signed("GET", "/signed/x").bytes();
    scene.raw(&request).assert_refused("upstream_timeout");
    scene.raw(&request).assert_refused("replayed");
    assert_eq!(scene.upstream.requests().len(), 1);
}

#[test]
fn a_key_has_a_bounded_number_of_live_nonces() {
    let scene = Scene::start_with(RecordingUpstream::start(), "[limits]\nnonces_per_key = 100\n");
    let mut connection = scene.connect();
    let answers: Vec<Answer> = (0..101).map(|_| connection.send(&scene.signed("GET", "/signed/x").bytes()).answer()).collect();
    let (full, passed) = answers.split_last().unwrap();
    assert!(passed.iter().all(|answer| answer.status == 200));
    full.assert_refused("too_many_nonces");
    assert!(full.header("retry-after").is_some());
    assert_eq!(scene.upstream.requests().len(), 100);
}

#[test]
fn a_stream_of_any_length_takes_no_memory() {
    let upload = times(256, 10 * 1024) * 1024 * 1024;
    let scene = Scene::start();
    let block = vec![b'x'; 1024 * 1024];
    // Warm: buffers, pools, the first connection.
    stream(&scene, &block.repeat(3), &sha256_hex(&block.repeat(3))).assert_ok();
    let (before, _) = scene.gateway.memory_kib();

    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    (0..upload / block.len()).for_each(|_| context.update(&block));
    let digest = hex(context.finish().as_ref());
    let head = scene
        .signed("POST", "/signed/large")
        .body("text/plain", b"")
        .digest(&digest)
        .header("Content-Digest", &content_digest(&digest))
        .head();
    let mut connection = scene.connect();
    connection.send(format!("{head}Content-Length: {upload}\r\n\r\n").as_bytes());
    for _ in 0..upload / block.len() {
        connection.send(&block);
    }
    connection.answer().assert_ok();
    let (_, most) = scene.gateway.memory_kib();
    assert!(most < before + 16 * 1024, "{before} KiB before, {most} KiB at most");
    let seen = scene.upstream.requests().pop().unwrap();
    assert_eq!((seen.body_length, seen.body_sha256), (upload as u64, digest));
}

#[test]
fn a_client_that_stops_within_a_stream_leaves_the_upstream_with_half_a_message() {
    let scene = Scene::start_with(RecordingUpstream::start(), SMALL_BUFFER);
    let body = vec![b'a'; 1_000_000];
    let digest = sha256_hex(&body);
    let head =
        scene.signed("POST", "/signed/x").body("text/plain", b"").digest(&digest).header("Content-Digest", &content_digest(&digest)).head();
    let mut connection = scene.connect();
    connection.send(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes()).send(&body[..500_000]);
    countersign_e2e::eventually("the upstream has the first part", || scene.upstream.count_heads("/signed/x") == 1);
    drop(connection);
    countersign_e2e::eventually("the upstream's connection ends", || scene.upstream.broken() == 1);
    assert!(scene.upstream.requests().is_empty());
}

#[test]
fn an_upstream_that_cannot_be_reached_is_said_to_be_so_for_a_stream_too() {
    let route = format!("{SMALL_BUFFER}[[route]]\npath = \"/signed/gone\"\nrequire = \"hmac\"\nupstream = \"nowhere\"\n");
    let scene = Scene::start_with(RecordingUpstream::start(), &route);
    let body = vec![b'a'; 100_000];
    let digest = sha256_hex(&body);
    let signed = scene.signed("POST", "/signed/gone").body("text/plain", b"").digest(&digest);
    let head = signed.header("Content-Digest", &content_digest(&digest)).head();
    let mut connection = scene.connect();
    connection.send(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    connection.answer().assert_refused("upstream_unreachable");
}

#[test]
fn a_key_that_is_disabled_while_the_body_comes_in_lets_nothing_through() {
    let scene = Scene::start();
    let request = scene.signed("POST", "/signed/slow").body("text/plain", b"pay 10").bytes();
    let (first, last) = request.split_at(request.len() - 3);
    let mut connection = scene.connect();
    connection.send(first);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let path = format!("/admin/v1/clients/{}", scene.client);
    scene.admin("PATCH", &path, &serde_json::json!({"enabled": false})).assert_ok();
    connection.send(last).answer().assert_refused("signature_mismatch");
    assert_eq!(scene.upstream.total_bytes(), 0);
}

#[test]
fn an_entry_that_is_removed_while_the_body_comes_in_lets_nothing_through() {
    let scene = Scene::start();
    let request = scene.signed("POST", "/api/v3.0/slow").body("text/plain", b"pay 10").bytes();
    let (first, last) = request.split_at(request.len() - 3);
    let mut connection = scene.connect();
    connection.send(first);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let entries = scene.admin("GET", "/admin/v1/allow-lists/partners/entries", &serde_json::Value::Null).assert_ok().json();
    let id = entries["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{entries}")).to_owned();
    let path = format!("/admin/v1/allow-lists/partners/entries/{id}");
    scene.admin("PATCH", &path, &serde_json::json!({"enabled": false})).assert_ok();
    connection.send(last).answer().assert_refused("address_not_allowed");
    assert_eq!(scene.upstream.total_bytes(), 0);
}

fn stream(scene: &Scene, body: &[u8], digest: &str) -> Answer {
    let signed = scene.signed("POST", "/signed/large").body("text/plain", b"").digest(digest);
    let head = signed.header("Content-Digest", &content_digest(digest)).head();
    let mut connection = scene.connect();
    connection.send(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    let _refused_early = connection.try_send(body);
    connection.answer()
}

/// RFC 9530, from the digest in hexadecimal.
fn content_digest(hex: &str) -> String {
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(bytes))
}
