//! WebSocket: a tunnel after the upstream's 101, and not a byte before.

use countersign_e2e::{RecordingUpstream, Reply, Scene};

const UPGRADE: &str =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
const SWITCHING: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

#[test]
fn after_101_bytes_pass_in_both_directions() {
    let scene = Scene::start_with(RecordingUpstream::start_with(|_| Reply::EchoAfter(SWITCHING.to_vec())), "");
    let access = scene.login().access;
    let mut connection = scene.connect();
    connection.send(format!("GET /api/socket HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer {access}\r\n{UPGRADE}\r\n").as_bytes());
    let answer = connection.answer();
    assert_eq!((answer.status, answer.header("sec-websocket-accept")), (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    for message in [&b"\x81\x05hello"[..], b"not HTTP\r\n\r\n\0\n", &[0xff; 70_000]] {
        connection.send(message);
        assert!(connection.bytes(message.len()) == message);
    }
    let seen = scene.upstream.requests().remove(0);
    assert_eq!(seen.headers("upgrade"), ["websocket"]);
    assert!(seen.headers("authorization").is_empty(), "{}", seen.head);
}

#[test]
fn a_switch_to_something_else_is_not_taken_for_websocket() {
    let other = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let scene = Scene::start_with(RecordingUpstream::start_with(|_| Reply::EchoAfter(other.to_vec())), "");
    let mut connection = scene.connect();
    connection.send(format!("GET /open/socket HTTP/1.1\r\nHost: api.test\r\n{UPGRADE}\r\n").as_bytes());
    connection.answer().assert_refused("upstream_outcome_unknown");
}

#[test]
fn bytes_sent_too_early_wait_for_101() {
    let scene = Scene::start_with(RecordingUpstream::start_with(|_| Reply::EchoAfter(SWITCHING.to_vec())), "");
    let mut connection = scene.connect();
    connection.send(format!("GET /open/socket HTTP/1.1\r\nHost: api.test\r\n{UPGRADE}\r\nearly").as_bytes());
    assert_eq!(connection.answer().status, 101);
    assert_eq!(connection.bytes(5), b"early");
    let head = scene.upstream.bytes().concat();
    assert!(head.windows(9).any(|w| w == b"\r\n\r\nearly"), "once, after the head: {:?}", String::from_utf8_lossy(&head));
}

#[test]
fn what_follows_a_refused_upgrade_is_an_ordinary_request() {
    let scene = Scene::start();
    let mut connection = scene.connect();
    connection.send(
        format!("GET /open/socket HTTP/1.1\r\nHost: api.test\r\n{UPGRADE}\r\nGET /api/x HTTP/1.1\r\nHost: api.test\r\n\r\n").as_bytes(),
    );
    connection.answer().assert_ok();
    // The gateway may close here; if it goes on, it judges.
    if let Ok(second) = connection.try_answer() {
        second.assert_refused("credentials_required");
    }
    assert_eq!(scene.upstream.count("/api/x"), 0);
}

#[test]
fn an_upgrade_needs_the_credentials_of_its_route() {
    let scene = Scene::start();
    let mut connection = scene.connect();
    connection.send(format!("GET /api/socket HTTP/1.1\r\nHost: api.test\r\n{UPGRADE}\r\nraw bytes").as_bytes());
    connection.answer().assert_refused("credentials_required");
    assert_eq!(scene.upstream.total_bytes(), 0);
}

#[test]
fn a_101_that_nobody_asked_for_is_no_tunnel() {
    let scene = Scene::start_with(RecordingUpstream::start_with(|_| Reply::EchoAfter(SWITCHING.to_vec())), "");
    let answer = scene.get("/open/x", "");
    assert_eq!(answer.status, 502, "{answer:?}");
}

#[test]
fn a_tunnel_ends_when_the_session_does() {
    let scene = Scene::start_with(RecordingUpstream::start_with(|_| Reply::EchoAfter(SWITCHING.to_vec())), "");
    let access = scene.login().access;
    let mut connection = scene.connect();
    connection.send(format!("GET /api/socket HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer {access}\r\n{UPGRADE}\r\n").as_bytes());
    assert_eq!(connection.answer().status, 101);
    scene
        .raw(format!("POST /logout HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer {access}\r\nContent-Length: 0\r\n\r\n").as_bytes())
        .assert_ok();
    assert_eq!(connection.rest(), b"");
}
