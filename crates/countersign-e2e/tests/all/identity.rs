//! Nobody tells the upstream who came but the gateway.

use countersign_e2e::{RecordingUpstream, Scene, USERNAME};

/// The names that the gateway sets.
const NAMES: [&str; 4] = ["X-Consumer-ID", "X-Consumer-Username", "X-Credential-Identifier", "X-Consumer-Scopes"];

/// Every spelling under which an application framework could take a header for one of them.
fn spellings(name: &str) -> Vec<String> {
    let with = |separator: &str| name.replace('-', separator);
    vec![
        name.to_owned(),
        name.to_ascii_lowercase(),
        name.to_ascii_uppercase(),
        with("_"),
        with("."),
        name.replacen('-', "_", 1),
        with("_").to_ascii_lowercase(),
    ]
}

#[test]
fn no_spelling_of_an_identity_header_gets_through() {
    let scene = Scene::start();
    let access = scene.login().access;
    for name in NAMES {
        for spelling in spellings(name) {
            for (target, credentials) in [("/open/x", String::new()), ("/api/x", format!("Authorization: Bearer {access}\r\n"))] {
                let lines = format!("{credentials}{spelling}: spoofed\r\n");
                let answer = scene.get(target, &lines);
                // A spelling with an underscore or dot may be refused instead of removed.
                assert!(answer.status == 200 || answer.code() == "header_alias", "{spelling}: {answer:?}");
            }
        }
    }
    for bytes in scene.upstream.bytes() {
        assert!(!String::from_utf8_lossy(&bytes).contains("spoofed"), "{}", String::from_utf8_lossy(&bytes));
    }
    assert!(scene.upstream.requests().len() >= 24, "the plain spellings pass, without the header");
}

#[test]
fn the_upstream_is_told_who_came_once() {
    let scene = Scene::start();
    let access = scene.login().access;
    scene
        .get("/api/x", &format!("Authorization: Bearer {access}\r\nX-Consumer-Username: root\r\nx-consumer-username: admin\r\n"))
        .assert_ok();
    let seen = scene.upstream.requests().remove(0);
    assert_eq!(seen.headers("x-consumer-username"), [USERNAME]);
    assert!(seen.headers("x-consumer-id")[0].starts_with("us_"), "{}", seen.head);
    assert_eq!(seen.headers("x-credential-identifier").len(), 1);
    assert!(seen.headers("authorization").is_empty(), "the token is not passed on: {}", seen.head);

    scene.raw(&scene.signed("GET", "/signed/x").bytes()).assert_ok();
    let seen = scene.upstream.requests().remove(1);
    assert_eq!((seen.headers("x-consumer-username"), seen.headers("x-consumer-id")), (vec!["partner"], vec![scene.client.as_str()]));
    assert_eq!(seen.headers("x-credential-identifier"), [scene.partner.key_id.as_str()]);
    assert!(seen.headers("x-signature").is_empty(), "{}", seen.head);

    scene.get("/api/x", &format!("X-API-Key: {}\r\n", scene.api_key)).assert_ok();
    let seen = scene.upstream.requests().remove(2);
    assert_eq!(seen.headers("x-consumer-id"), [scene.client.as_str()]);
    assert!(seen.headers("x-api-key").is_empty(), "{}", seen.head);
}

#[test]
fn connection_cannot_take_an_identity_header_away() {
    let scene = Scene::start();
    let access = scene.login().access;
    scene
        .get(
            "/api/x",
            &format!("Authorization: Bearer {access}\r\nConnection: close, X-Consumer-ID, x-consumer-username, X-Forwarded-For\r\n"),
        )
        .assert_ok();
    let seen = scene.upstream.requests().remove(0);
    assert_eq!(seen.headers("x-consumer-username"), [USERNAME]);
    assert_eq!(seen.headers("x-consumer-id").len(), 1);
}

#[test]
fn hop_by_hop_headers_stay_on_their_hop() {
    let scene = Scene::start();
    scene.get("/open/x", "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nProxy-Authorization: Basic eA==\r\nX-Stays: 2\r\n").assert_ok();
    let seen = scene.upstream.requests().remove(0);
    for gone in ["x-hop", "keep-alive", "te", "proxy-authorization"] {
        assert!(seen.headers(gone).is_empty(), "{gone}: {}", seen.head);
    }
    assert_eq!(seen.headers("x-stays"), ["2"]);
    assert_eq!(seen.headers("via").len(), 1, "{}", seen.head);
}

#[test]
fn what_only_a_proxy_can_know_does_not_come_from_a_client() {
    let scene = Scene::start();
    let said = "X.Forwarded.Client.Cert: a\r\nX-SSL-Client-Verify: SUCCESS\r\nClient-Cert: a\r\nX.Original.Uri: /b\r\nX-Kept: c\r\n";
    let methods = "X-HTTP-Method-Override: DELETE\r\nX-HTTP-Method: DELETE\r\nX-Method-Override: DELETE\r\n";
    scene.get("/open/x", &format!("{said}{methods}")).assert_ok();
    let head = scene.upstream.requests().remove(0).head.to_ascii_lowercase();
    for gone in ["client", "original", "delete", "method"] {
        assert!(!head.contains(gone), "{gone}: {head}");
    }
    assert!(head.contains("x-kept: c"), "{head}");
}

#[test]
fn our_own_headers_may_have_names_that_clients_may_not_use() {
    let scene = Scene::start_with(RecordingUpstream::start(), "[identity_headers]\nconsumer_username = \"X-Remote-User\"\n");
    let access = scene.login().access;
    scene.get("/api/x", &format!("Authorization: Bearer {access}\r\nX-Remote-User: root\r\n")).assert_ok();
    assert_eq!(scene.upstream.requests().remove(0).headers("x-remote-user"), [USERNAME]);
}

#[test]
fn a_route_without_credentials_says_nothing_about_who_came() {
    let scene = Scene::start();
    scene.get("/open/x", &format!("X-API-Key: {}\r\n", scene.api_key)).assert_ok();
    let seen = scene.upstream.requests().remove(0);
    for name in NAMES {
        assert!(seen.headers(name).is_empty(), "{}", seen.head);
    }
}

#[test]
fn an_untrusted_peer_does_not_choose_its_address() {
    let scene = Scene::start_with(RecordingUpstream::start(), "");
    let entry = serde_json::json!({"network": "192.0.2.0/24"});
    scene.admin("POST", "/admin/v1/allow-lists/office/entries", &entry).assert_ok();
    for spoof in [
        "X-Forwarded-For: 192.0.2.7",
        "Forwarded: for=192.0.2.7",
        "X-Real-IP: 192.0.2.7",
        "X-Forwarded-For: 192.0.2.7\r\nX-Real-IP: 192.0.2.7",
        "True-Client-IP: 192.0.2.7",
    ] {
        scene.get("/office/x", &format!("{spoof}\r\n")).assert_refused("address_not_allowed");
    }
    assert_eq!(scene.upstream.total_bytes(), 0);
    scene.get("/open/x", "X-Forwarded-For: 192.0.2.7\r\n").assert_ok();
    let seen = scene.upstream.requests().remove(0);
    assert!(!seen.headers("x-forwarded-for").join(",").contains("192.0.2.7"), "{}", seen.head);
}
