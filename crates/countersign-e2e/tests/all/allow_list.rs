//! Allow-lists: objects that are changed through the admin API, in force with the next request.

use countersign_e2e::{RecordingUpstream, Scene};
use serde_json::{Value, json};

const ENTRIES: &str = "/admin/v1/allow-lists/partners/entries";

fn only_entry(scene: &Scene) -> String {
    let entries = scene.admin("GET", ENTRIES, &Value::Null).assert_ok().json();
    assert_eq!(entries["items"].as_array().unwrap().len(), 1, "{entries}");
    format!("{ENTRIES}/{}", entries["items"][0]["id"].as_str().unwrap())
}

fn send(scene: &Scene) -> String {
    scene.raw(&scene.signed("GET", "/api/v3.0/hello").bytes()).code()
}

#[test]
fn an_edit_is_in_force_with_the_next_request() {
    let scene = Scene::start();
    let entry = only_entry(&scene);
    for _ in 0..20 {
        assert_eq!(send(&scene), "");
        scene.admin("PATCH", &entry, &json!({"enabled": false})).assert_ok();
        assert_eq!(send(&scene), "address_not_allowed");
        scene.admin("PATCH", &entry, &json!({"enabled": true})).assert_ok();
    }
    scene.admin("DELETE", &entry, &Value::Null).assert_ok();
    assert_eq!(send(&scene), "address_not_allowed");
    scene.admin("POST", ENTRIES, &json!({"network": "127.0.0.1/32"})).assert_ok();
    assert_eq!(send(&scene), "");
}

#[test]
fn an_empty_list_lets_nobody_in() {
    let scene = Scene::start();
    scene.admin("DELETE", &only_entry(&scene), &Value::Null).assert_ok();
    assert_eq!(send(&scene), "address_not_allowed");
    scene.get("/office/x", "").assert_refused("address_not_allowed");
    assert_eq!(scene.upstream.total_bytes(), 0);
}

#[test]
fn two_editors_do_not_undo_each_other_unseen() {
    let scene = Scene::start();
    let entry = only_entry(&scene);
    let read = scene.admin("GET", &entry, &Value::Null).assert_ok();
    let etag = read.header("etag").expect("an ETag").to_owned();
    let change = |note: &str| {
        let body = json!({"network": "127.0.0.0/8", "note": note}).to_string();
        let (admin, key) = (scene.gateway.admin, &scene.admin_key);
        let head = format!(
            "PUT {entry} HTTP/1.1\r\nHost: {admin}\r\nAuthorization: Bearer {key}\r\nIf-Match: {etag}\r\nContent-Type: application/json"
        );
        countersign_e2e::raw(admin, format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
    };
    let first = change("first").assert_ok();
    assert_ne!(first.header("etag"), Some(etag.as_str()));
    change("second").assert_refused("stale");
    assert_eq!(scene.admin("GET", &entry, &Value::Null).json()["note"], "first");
}

#[test]
fn a_network_has_one_spelling() {
    let scene = Scene::start();
    let bad = [
        "010.0.0.0/8",
        "10/8",
        "10.0.0.5/8",
        "10.0.0.0/08",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        " 10.0.0.0/8",
        "10.0.0.0/8 ",
        "10.0.0.0/255.0.0.0",
        "0x0a.0.0.0/8",
        "fe80::1%eth0/128",
        "",
        "example.com",
    ];
    for network in bad {
        let answer = scene.admin("POST", ENTRIES, &json!({"network": network}));
        answer.assert_refused("invalid_body");
        assert_eq!(answer.json()["errors"][0]["pointer"], "#/network", "{network:?}: {}", answer.text());
    }
    // Everything at once needs to be meant.
    assert!(scene.admin("POST", ENTRIES, &json!({"network": "0.0.0.0/0"})).status >= 400);
    only_entry(&scene);
    for network in ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"] {
        let made = scene.admin("POST", ENTRIES, &json!({"network": network})).assert_ok().json();
        assert_eq!(made["network"], network);
    }
}

#[test]
fn an_entry_can_be_for_one_method_one_path_and_one_partner() {
    let scene = Scene::start();
    scene.admin("DELETE", &only_entry(&scene), &Value::Null).assert_ok();
    scene
        .admin(
            "POST",
            ENTRIES,
            &json!({"network": "127.0.0.0/8", "methods": ["GET"], "path": "/api/v3.0/orders/*", "principal": scene.client}),
        )
        .assert_ok();
    let status = |method: &str, target: &str| scene.raw(&scene.signed(method, target).bytes()).status;
    assert_eq!(status("GET", "/api/v3.0/orders/1"), 200);
    assert_eq!(status("DELETE", "/api/v3.0/orders/1"), 403);
    assert_eq!(status("GET", "/api/v3.0/hello"), 403);

    let other = scene.admin("POST", "/admin/v1/clients", &json!({"name": "other"})).assert_ok().json();
    let key =
        scene.admin("POST", &format!("/admin/v1/clients/{}/signing-keys", other["id"].as_str().unwrap()), &json!({})).assert_ok().json();
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    let other = countersign_e2e::Signer { key_id: text("id"), secret: text("secret") };
    let answer = scene.raw(&other.request("GET", "api.test", "/api/v3.0/orders/1").bytes());
    assert_eq!(answer.status, 403, "{answer:?}");
}

#[test]
fn an_entry_ends_by_itself() {
    let scene = Scene::start();
    let entry = only_entry(&scene);
    scene.admin("PATCH", &entry, &json!({"valid_until": "2020-01-01T00:00:00Z"})).assert_ok();
    assert_eq!(send(&scene), "address_not_allowed");
    scene.admin("PATCH", &entry, &json!({"valid_until": "2999-01-01T00:00:00Z"})).assert_ok();
    assert_eq!(send(&scene), "");
    scene.admin("PATCH", &entry, &json!({"valid_from": "2998-01-01T00:00:00Z"})).assert_ok();
    assert_eq!(send(&scene), "address_not_allowed");
}

#[test]
fn every_change_has_its_row_in_the_audit_log() {
    let scene = Scene::start();
    let made = scene.admin("POST", ENTRIES, &json!({"network": "192.0.2.0/24", "note": "for the audit"})).assert_ok().json();
    let id = made["id"].as_str().unwrap();
    scene.admin("PATCH", &format!("{ENTRIES}/{id}"), &json!({"enabled": false})).assert_ok();
    scene.admin("DELETE", &format!("{ENTRIES}/{id}"), &Value::Null).assert_ok();
    // A refused change leaves none.
    scene.admin("POST", ENTRIES, &json!({"network": "nonsense"})).assert_refused("invalid_body");
    let audit = scene.admin("GET", "/admin/v1/audit?limit=1000", &Value::Null).assert_ok().json();
    let rows: Vec<&Value> = audit["items"].as_array().unwrap().iter().filter(|row| row["target"] == id).collect();
    assert_eq!(rows.len(), 3, "{audit}");
    assert!(rows.iter().all(|row| row["actor"].as_str().unwrap().starts_with("admin_key ad_")), "{rows:?}");
    assert!(!audit.to_string().contains(&scene.admin_key));
}

#[test]
fn a_trusted_proxys_word_about_the_client_counts_and_nobody_elses() {
    let listener = "trusted_proxies = [\"127.0.0.0/8\"]\nclient_address_from = \"x-forwarded-for\"\n";
    let scene = Scene::start_listening(RecordingUpstream::start(), listener, "");
    scene.admin("POST", "/admin/v1/allow-lists/office/entries", &json!({"network": "192.0.2.0/24"})).assert_ok();
    let from = |chain: &str| scene.get("/office/x", &format!("X-Forwarded-For: {chain}\r\n")).status;
    assert_eq!(from("192.0.2.7"), 200);
    assert_eq!(from("203.0.113.9, 192.0.2.7"), 200, "what is left of an untrusted address is hearsay");
    assert_eq!(from("192.0.2.7, 203.0.113.9"), 403);
    assert_eq!(from("192.0.2.7, 127.0.0.5"), 200, "a trusted hop is passed");
    assert_eq!(from("::ffff:192.0.2.7"), 200, "an IPv4 address in IPv6 is that address");
    assert_eq!(from("192.0.2.7, unknown"), 400);
}
