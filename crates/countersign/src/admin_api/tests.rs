//! The admin API through its router, on a real store.

use countersign_core::id::KeyId;
use countersign_store::Use;
use http::Method;
use serde_json::{Value, json};

use super::ROUTES;
use crate::control_tests::{Answered, Bench, PASSWORD};
use crate::faulty_store::When;

const NOTHING: Value = Value::Null;

/// What one request is answered with: status and code.
fn said(answer: &Answered) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

async fn admin_key(bench: &Bench, scopes: &[&str]) -> String {
    let made = bench.local("POST", "/admin-keys", &json!({"label": "test", "scopes": scopes})).await;
    assert_eq!(made.status, 201, "{}", made.json());
    format!("Bearer {}", made.text("key"))
}

async fn with_list() -> Bench {
    let bench = Bench::new().await;
    assert_eq!(bench.local("POST", "/allow-lists", &json!({"name": "partners"})).await.status, 201);
    bench
}

/// Whether the rules in force let an address in.
fn lets_in(bench: &Bench, address: &str) -> bool {
    use countersign_core::allow_list::{Judgement, Origin};
    let origin = Origin { address: address.parse().unwrap(), method: "GET", path: "/", now: bench.control.now() };
    let live = bench.control.publisher.live();
    matches!(live.lists.judge(&"partners".parse().unwrap(), &origin, None), Judgement::Yes(_))
}

#[tokio::test]
async fn every_route_refuses_callers_without_a_key_and_keys_without_the_scope() {
    let bench = Bench::new().await;
    for route in ROUTES {
        let path = route.path.strip_prefix("/admin/v1").unwrap();
        let method = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE]
            .into_iter()
            .find(|method| axum::routing::MethodFilter::try_from(method.clone()).unwrap() == route.method)
            .unwrap();
        let ask = async |headers: &[(&str, &str)]| bench.tcp(method.as_str(), path, &NOTHING, headers).await;
        let nobody = ask(&[("host", "127.0.0.1:8081")]).await;
        assert_eq!(said(&nobody), (401, "invalid_admin_key".into()), "{method} {path}");
        assert!(nobody.header("www-authenticate").starts_with("Bearer"));

        let others: Vec<_> = countersign_core::directory::AdminScope::ALL
            .into_iter()
            .filter(|scope| *scope != route.scope)
            .map(|scope| scope.as_str())
            .collect();
        let key = admin_key(&bench, &others).await;
        let refused = ask(&[("host", "127.0.0.1:8081"), ("authorization", &key)]).await;
        assert_eq!(said(&refused), (403, "admin_scope".into()), "{method} {path}");
        assert!(refused.text("detail").contains(route.scope.as_str()));
    }
}

#[tokio::test]
async fn a_key_works_until_it_is_disabled_removed_or_expired() {
    let bench = Bench::new().await;
    let status = async |key: &str| bench.tcp("GET", "/status", &NOTHING, &[("host", "localhost"), ("authorization", key)]).await;
    let expires = crate::wire::time(countersign_core::now::UnixMillis::from_seconds(crate::control_tests::NOW + 60));
    let made = bench.local("POST", "/admin-keys", &json!({"scopes": ["read", "read"], "expires": expires})).await;
    assert_eq!((made.json()["scopes"].clone(), made.text("expires")), (json!(["read"]), expires));
    let (key, id) = (format!("bearer {}", made.text("key")), made.text("id"));
    assert_eq!(status(&key).await.status, 200);
    assert_eq!(said(&status(key.get(..80).unwrap()).await), (401, "invalid_admin_key".into()));
    for (enabled, expected) in [(false, 401), (true, 200)] {
        assert_eq!(bench.local("PATCH", &format!("/admin-keys/{id}"), &json!({"enabled": enabled})).await.status, 200);
        assert_eq!(status(&key).await.status, expected);
    }
    bench.forward(60);
    assert_eq!(status(&key).await.status, 401);
    let other = admin_key(&bench, &["read"]).await;
    let listed = bench.local("GET", "/admin-keys", &NOTHING).await.json();
    for item in listed["items"].as_array().unwrap() {
        assert!(item.get("key").is_none() && item.get("hash").is_none());
        let removed = bench.local("DELETE", &format!("/admin-keys/{}", item["id"].as_str().unwrap()), &NOTHING).await;
        assert_eq!(removed.status, 204);
    }
    assert_eq!(status(&other).await.status, 401);
}

#[tokio::test]
async fn nobody_makes_or_enables_a_key_that_may_do_more_than_they() {
    let bench = Bench::new().await;
    let strong = bench.local("POST", "/admin-keys", &json!({"scopes": ["users", "read"]})).await.text("id");
    assert_eq!(bench.local("PATCH", &format!("/admin-keys/{strong}"), &json!({"enabled": false})).await.status, 200);
    let key = admin_key(&bench, &["admin-keys", "read"]).await;
    let headers = [("host", "localhost"), ("authorization", key.as_str())];
    let ask = async |method: &str, path: &str, body: Value| said(&bench.tcp(method, path, &body, &headers).await).0;
    assert_eq!(ask("POST", "/admin-keys", json!({"scopes": ["read", "users"]})).await, 403);
    assert_eq!(ask("PATCH", &format!("/admin-keys/{strong}"), json!({"enabled": true})).await, 403);
    assert_eq!(ask("POST", "/admin-keys", json!({"scopes": ["read"]})).await, 201);
    assert_eq!(ask("POST", "/admin-keys", json!({"scopes": []})).await, 422);
    assert_eq!(ask("POST", "/admin-keys", json!({"scopes": ["root"]})).await, 422);
}

#[tokio::test]
async fn web_pages_cannot_use_the_admin_api() {
    let bench = Bench::new().await;
    let key = admin_key(&bench, &["read", "users"]).await;
    let auth = ("authorization", key.as_str());
    for (headers, expected) in [
        (&[("host", "127.0.0.1:8081")][..], 200),
        (&[("host", "localhost:9999")], 200),
        (&[("host", "127.0.0.1:8081"), ("origin", "http://127.0.0.1:8081")], 200),
        (&[("host", "127.0.0.1:8081"), ("sec-fetch-site", "same-origin")], 200),
        (&[("host", "127.0.0.1:8081"), ("origin", "http://evil.example")], 403),
        (&[("host", "127.0.0.1:8081"), ("origin", "http://127.0.0.1:9999")], 403),
        (&[("host", "127.0.0.1:8081"), ("origin", "null")], 403),
        (&[("host", "127.0.0.1:8081"), ("sec-fetch-site", "cross-site")], 403),
        (&[("host", "127.0.0.1:8081"), ("sec-fetch-site", "same-site")], 403),
        (&[("host", "rebound.example")], 421),
        (&[("host", "rebound.example:8081"), ("origin", "http://rebound.example:8081")], 421),
        (&[], 400),
        (&[("host", "a b")], 400),
        (&[("host", "127.0.0.1"), ("host", "127.0.0.1")], 400),
    ] {
        let headers: Vec<_> = headers.iter().copied().chain([auth]).collect();
        let answer = bench.tcp("GET", "/status", &NOTHING, &headers).await;
        assert_eq!(answer.status.as_u16(), expected, "{headers:?}");
    }
    let user = json!({"username": "bob", "password": PASSWORD});
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"] {
        let headers = [("host", "localhost"), auth, ("content-type", media_type)];
        let answer = bench.tcp("POST", "/users", &user, &headers).await;
        assert_eq!(said(&answer), (415, "unsupported_media_type".into()), "{media_type}");
    }
    assert_eq!(bench.local("GET", "/users/bob", &NOTHING).await.status, 404);
}

#[tokio::test]
async fn bodies_are_read_strictly_and_every_wrong_field_is_named() {
    let bench = with_list().await;
    let entries = "/allow-lists/partners/entries";
    for (path, body, pointers) in [
        ("/users", json!({"username": "bob"}), &["#/password"][..]),
        ("/users", json!({"username": "bob", "password": PASSWORD, "admin": true}), &["#/admin"]),
        ("/users", json!({"username": "bob", "password": "short"}), &["#/password"]),
        ("/users", json!({"username": "", "password": PASSWORD, "scopes": ["a b"]}), &["#/username", "#/scopes"]),
        ("/users", json!([]), &["#"]),
        ("/clients", json!({"name": "No Spaces"}), &["#/name"]),
        (entries, json!({"network": "10.0.0.1/8"}), &["#/network"]),
        (
            entries,
            json!({"network": "010.0.0.0/8", "methods": ["get"], "path": "x", "valid_from": "now"}),
            &["#/network", "#/methods", "#/path", "#/valid_from"],
        ),
        (entries, json!({"network": "0.0.0.0/0"}), &["#/network"]),
        (entries, json!({"network": "::/0"}), &["#/network"]),
        (entries, json!({"network": "10.0.0.0/8", "principal": "nobody"}), &["#/principal"]),
        (entries, json!({"network": "10.0.0.0/8", "valid_until": "2020-01-01T00:00:00Z"}), &["#/valid_until"]),
    ] {
        let answer = bench.local("POST", path, &body).await;
        assert_eq!(said(&answer), (422, "invalid_body".into()), "{body}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let answer = answer.json();
        let named: Vec<_> = answer["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        assert_eq!(named, pointers, "{body}");
        assert!(!answer.to_string().contains(PASSWORD));
    }
    for network in ["0.0.0.0/0", "::/0"] {
        assert_eq!(bench.local("POST", entries, &json!({"network": network, "wide": true})).await.status, 201);
        assert_eq!(bench.local("POST", entries, &json!({"network": network, "confirm_any": true})).await.status, 201);
    }
    let large = json!({"username": "bob", "password": "x".repeat(70_000)});
    assert_eq!(said(&bench.local("POST", "/users", &large).await), (413, "body_too_large".into()));
}

#[tokio::test]
async fn users_are_added_read_changed_and_removed() {
    let bench = Bench::with_bob().await;
    let twice = bench.local("POST", "/users", &json!({"username": "BOB", "password": PASSWORD})).await;
    assert_eq!(said(&twice), (409, "already_exists".into()));
    let read = bench.local("GET", "/users/Bob", &NOTHING).await.json();
    assert_eq!((&read["username"], &read["scopes"], &read["enabled"]), (&json!("bob"), &json!(["read", "write"]), &json!(true)));
    assert!(read.get("password").is_none());

    let pair = bench.log_in().await;
    let patched = bench.local("PATCH", "/users/bob", &json!({"scopes": ["read"]})).await;
    assert_eq!(patched.json()["scopes"], json!(["read"]));
    let both = bench.local("PATCH", "/users/bob", &json!({"scopes": [], "enabled": true})).await;
    assert_eq!(said(&both), (422, "invalid_body".into()));
    assert!(bench.takes(&pair.text("access_token")));
    let new = json!({"password": "another quiet walrus sings"});
    assert_eq!(bench.local("PATCH", "/users/bob", &new).await.status, 200);
    assert!(!bench.takes(&pair.text("access_token")), "a new password ends all sessions at once");
    let old = json!({"grant_type": "password", "username": "bob", "password": PASSWORD}).to_string();
    assert_eq!(bench.post("/token", "application/json", &old).await.status, 400);

    bench.add_user("zoë", "").await;
    let made = bench.local("GET", "/users/zo%C3%AB", &NOTHING).await;
    assert_eq!(made.json()["username"], "zoë");
    let page = bench.local("GET", "/users?limit=1", &NOTHING).await.json();
    assert_eq!((page["items"].as_array().unwrap().len(), page["next"].as_str()), (1, Some("bob")));
    let page = bench.local("GET", "/users?limit=1&after=bob", &NOTHING).await.json();
    assert_eq!((&page["items"][0]["username"], &page["next"]), (&json!("zoë"), &NOTHING));
    assert_eq!(bench.local("DELETE", "/users/bob", &NOTHING).await.status, 204);
    assert_eq!(said(&bench.local("DELETE", "/users/bob", &NOTHING).await), (404, "not_found".into()));
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let bench = Bench::with_bob().await;
    let (mine, other) = (bench.log_in().await, bench.log_in().await);
    let listed = bench.local("GET", "/sessions?user=bob", &NOTHING).await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert_eq!(bench.local("GET", "/sessions?user=eve", &NOTHING).await.status, 404);
    let ended = listed["items"][0]["id"].as_str().unwrap();
    assert_eq!(bench.local("DELETE", &format!("/sessions/{ended}"), &NOTHING).await.status, 204);
    let taken = [&mine, &other].map(|pair| bench.takes(&pair.text("access_token")));
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
    assert_eq!(bench.local("DELETE", "/sessions/si_nothere", &NOTHING).await.status, 404);
}

#[tokio::test]
async fn secrets_are_shown_when_they_are_made_and_never_again() {
    let bench = Bench::new().await;
    assert_eq!(bench.local("POST", "/clients", &json!({"name": "acme"})).await.status, 201);
    let signing = bench.local("POST", "/clients/acme/signing-keys", &NOTHING).await;
    let api = bench.local("POST", "/clients/acme/api-keys", &json!({"label": "ci"})).await;
    let admin = bench.local("POST", "/admin-keys", &json!({"scopes": ["read"]})).await;
    assert_eq!((signing.status.as_u16(), api.status.as_u16(), admin.status.as_u16()), (201, 201, 201));
    let secrets = [(signing.text("secret"), "css_"), (api.text("key"), "csk_"), (admin.text("key"), "csa_")];
    for (secret, prefix) in &secrets {
        assert!(secret.starts_with(prefix), "{prefix}");
    }
    for answer in [&signing, &api, &admin] {
        assert_eq!(answer.header("cache-control"), "no-store");
        let location = answer.header("location").strip_prefix("/admin/v1").unwrap();
        assert_eq!(bench.local("GET", location, &NOTHING).await.status, 200);
    }
    let live = bench.control.publisher.live();
    assert!(live.keys.find_signing_key(&signing.text("id")).is_some(), "in force at once");
    let mut read_back = String::new();
    for path in ["/signing-keys", "/api-keys", "/admin-keys", "/clients/acme/signing-keys", "/clients/acme/api-keys", "/audit"] {
        read_back.push_str(&String::from_utf8(bench.local("GET", path, &NOTHING).await.body).unwrap());
    }
    assert!(read_back.contains(&signing.text("id")) && read_back.contains(&api.text("id")));
    for (secret, prefix) in &secrets {
        assert!(!read_back.contains(secret.as_str()) && !read_back.contains(prefix), "{prefix}");
    }
}

#[tokio::test]
async fn a_secret_is_rolled_once_at_a_time_and_the_last_one_stays() {
    let bench = Bench::new().await;
    assert_eq!(bench.local("POST", "/clients", &json!({"name": "acme"})).await.status, 201);
    let key = bench.local("POST", "/clients/acme/signing-keys", &json!({"id": "AK/1"})).await;
    let first = key.json()["secrets"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(key.text("id").parse::<KeyId>().unwrap().as_str(), "AK/1");
    let path = "/signing-keys/AK%2F1";
    assert_eq!(said(&bench.local("DELETE", &format!("{path}/secrets/{first}"), &NOTHING).await), (409, "last_secret".into()));
    let rolled = bench.local("POST", &format!("{path}/secrets"), &json!({"overlap_seconds": 60})).await;
    assert_eq!(rolled.status, 201, "{}", rolled.json());
    assert_ne!(rolled.text("secret"), key.text("secret"));
    assert_eq!(rolled.json()["secrets"].as_array().unwrap().len(), 2);
    assert!(rolled.json()["secrets"][0]["ends"].is_string());
    assert_eq!(said(&bench.local("POST", &format!("{path}/secrets"), &NOTHING).await), (409, "overlap_open".into()));
    bench.forward(61);
    assert_eq!(bench.local("POST", &format!("{path}/secrets"), &NOTHING).await.status, 201);
    assert_eq!(bench.local("POST", "/clients/acme/signing-keys", &json!({"profile": "nope"})).await.status, 422);
    assert_eq!(bench.local("POST", "/clients/nobody/signing-keys", &NOTHING).await.status, 404);
    assert_eq!(said(&bench.local("POST", "/clients/acme/signing-keys", &json!({"id": "AK/1"})).await), (409, "already_exists".into()));
}

#[tokio::test]
async fn disabling_a_client_or_a_key_is_in_force_at_once() {
    let bench = Bench::new().await;
    bench.local("POST", "/clients", &json!({"name": "acme", "scopes": ["orders"]})).await;
    let signing = bench.local("POST", "/clients/acme/signing-keys", &NOTHING).await.text("id");
    let api = bench.local("POST", "/clients/acme/api-keys", &NOTHING).await;
    let hash = countersign_core::secret::CredentialHash::of(&api.text("key"));
    let known = || {
        let live = bench.control.publisher.live();
        (live.keys.find_signing_key(&signing).is_some(), live.keys.find_api_key(&hash).is_some())
    };
    assert_eq!(known(), (true, true));
    for (path, off) in [
        ("/clients/acme".to_owned(), (false, false)),
        (format!("/signing-keys/{signing}"), (false, true)),
        (format!("/api-keys/{}", api.text("id")), (true, false)),
    ] {
        assert_eq!(bench.local("PATCH", &path, &json!({"enabled": false})).await.json()["enabled"], false);
        assert_eq!(known(), off, "{path}");
        assert_eq!(bench.local("PATCH", &path, &json!({"enabled": true})).await.status, 200);
        assert_eq!(known(), (true, true), "{path}");
    }
    assert_eq!(bench.local("DELETE", "/clients/acme", &NOTHING).await.status, 204);
    assert_eq!(known(), (false, false));
}

#[tokio::test]
async fn an_entry_lives_from_its_making_to_its_removal_and_each_change_is_in_force_when_answered() {
    let bench = with_list().await;
    let entries = "/allow-lists/partners/entries";
    let made = bench.local("POST", entries, &json!({"network": "192.0.2.0/24", "note": "office"})).await;
    assert_eq!((made.status.as_u16(), made.header("etag")), (201, "\"1\""));
    assert_eq!(made.text("created_by"), "uid 1000");
    let path = made.header("location").strip_prefix("/admin/v1").unwrap().to_owned();
    assert!(lets_in(&bench, "192.0.2.9") && !lets_in(&bench, "198.51.100.9"));

    let replacement = json!({"network": "198.51.100.0/24"});
    let put = async |headers: &[(&str, &str)]| bench.local_with("PUT", &path, &replacement, headers).await;
    assert_eq!(said(&put(&[]).await), (428, "precondition_required".into()));
    assert_eq!(said(&put(&[("if-match", "\"2\"")]).await), (412, "stale".into()));
    assert_eq!(said(&put(&[("if-match", "W/\"1\"")]).await), (412, "stale".into()));
    assert!(lets_in(&bench, "192.0.2.9"));
    let replaced = put(&[("if-match", "\"7\", \"1\"")]).await;
    assert_eq!((replaced.status.as_u16(), replaced.header("etag"), replaced.text("note").as_str()), (200, "\"2\"", ""));
    assert!(!lets_in(&bench, "192.0.2.9") && lets_in(&bench, "198.51.100.9"));

    let patch = async |change: Value, tag: &str| {
        bench.local_with("PATCH", &path, &change, &[("if-match", tag), ("content-type", "application/merge-patch+json")]).await
    };
    let patched = patch(json!({"note": "moved", "methods": ["GET"]}), "\"2\"").await;
    assert_eq!((patched.text("network").as_str(), patched.header("etag")), ("198.51.100.0/24", "\"3\""));
    let patched = patch(json!({"methods": null, "enabled": false}), "*").await;
    assert_eq!((patched.json()["methods"].clone(), patched.text("note").as_str()), (json!([]), "moved"));
    assert!(!lets_in(&bench, "198.51.100.9"));
    assert_eq!(patch(json!({"network": null}), "*").await.status, 422);
    assert_eq!(patch(json!({"id": "en_1"}), "*").await.status, 422);
    assert_eq!(patch(json!(["x"]), "*").await.status, 422);
    assert_eq!(patch(json!({"enabled": true}), "\"4\"").await.header("etag"), "\"5\"");

    let read = bench.local("GET", &path, &NOTHING).await;
    assert_eq!(read.header("etag"), "\"5\"");
    assert_eq!(said(&bench.local("DELETE", &path, &NOTHING).await), (428, "precondition_required".into()));
    assert_eq!(bench.local_with("DELETE", &path, &NOTHING, &[("if-match", "\"1\"")]).await.status, 412);
    assert!(lets_in(&bench, "198.51.100.9"));
    assert_eq!(bench.local_with("DELETE", &path, &NOTHING, &[("if-match", "\"5\"")]).await.status, 204);
    assert!(!lets_in(&bench, "198.51.100.9"));
    assert_eq!(bench.local("GET", &path, &NOTHING).await.status, 404);
}

#[tokio::test]
async fn lists_are_paged_and_go_with_their_entries() {
    let bench = with_list().await;
    let entries = "/allow-lists/partners/entries";
    for n in 0..5 {
        assert_eq!(bench.local("POST", entries, &json!({"network": format!("192.0.2.{n}")})).await.status, 201);
        bench.forward(1);
    }
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = bench.local("GET", &format!("{entries}?limit=2{after}"), &NOTHING).await.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|entry| entry["network"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, (0..5).map(|n| format!("192.0.2.{n}/32")).collect::<Vec<_>>());
    assert_eq!(bench.local("GET", &format!("{entries}?limit=0"), &NOTHING).await.status, 422);
    let list = bench.local("GET", "/allow-lists/partners", &NOTHING).await;
    assert_eq!(list.json()["entries"], 5);
    let tag = list.header("etag").to_owned();
    assert_eq!(bench.local("DELETE", "/allow-lists/partners", &NOTHING).await.status, 428);
    assert_eq!(bench.local_with("DELETE", "/allow-lists/partners", &NOTHING, &[("if-match", "\"0\"")]).await.status, 412);
    assert_eq!(bench.local_with("DELETE", "/allow-lists/partners", &NOTHING, &[("if-match", &tag)]).await.status, 204);
    assert!(!lets_in(&bench, "192.0.2.1"));
    assert_eq!(said(&bench.local("POST", entries, &json!({"network": "192.0.2.1"})).await), (404, "no_owner".into()));
}

#[tokio::test]
async fn an_entry_can_name_a_client_and_shows_how_often_it_was_used() {
    let bench = with_list().await;
    let client = bench.local("POST", "/clients", &json!({"name": "acme"})).await.text("id");
    let made = bench.local("POST", "/allow-lists/partners/entries", &json!({"network": "192.0.2.1", "principal": "acme"})).await;
    assert_eq!(made.text("principal"), client);
    assert_eq!((&made.json()["uses"], &made.json()["last_used"]), (&json!(0), &NOTHING));
    let used = Use { id: made.text("id"), count: 3, last: bench.control.now() };
    bench.control.store.record_uses(&[used]).await.unwrap();
    let path = made.header("location").strip_prefix("/admin/v1").unwrap();
    let read = bench.local("GET", path, &NOTHING).await.json();
    assert_eq!((&read["uses"], read["last_used"].is_string()), (&json!(3), true));
    assert_eq!(bench.local("DELETE", "/clients/acme", &NOTHING).await.status, 204);
    assert_eq!(bench.local("GET", path, &NOTHING).await.json()["enabled"], false, "an entry for nobody counts no more");
}

#[tokio::test]
async fn every_change_has_its_audit_row_with_who_and_which_request() {
    let bench = with_list().await;
    let key = admin_key(&bench, &["allow-lists"]).await;
    let headers = [("host", "localhost"), ("authorization", key.as_str())];
    let made = bench.tcp("POST", "/allow-lists/partners/entries", &json!({"network": "192.0.2.1"}), &headers).await;
    assert_eq!(made.status, 201);
    let rows = bench.local("GET", "/audit?limit=1000", &NOTHING).await.json();
    let rows = rows["items"].as_array().unwrap();
    let row = rows.last().unwrap();
    assert_eq!((&row["action"], &row["target"]), (&json!("entry.added"), &made.json()["id"]));
    assert!(row["actor"].as_str().unwrap().starts_with("admin_key ad_"));
    assert_eq!(row["request_id"], made.header("x-request-id"));
    assert_eq!(row["detail"]["after"]["network"], "192.0.2.1/32");
    let last = rows.len().to_string();
    assert_eq!(bench.local("GET", &format!("/audit?after={last}"), &NOTHING).await.json()["items"], json!([]));
    let page = bench.local("GET", "/audit?limit=1", &NOTHING).await.json();
    assert_eq!((&page["items"][0]["number"], &page["next"]), (&json!(1), &json!("1")));
}

#[tokio::test]
async fn a_change_that_cannot_be_put_in_force_says_so_and_is_caught_up_on() {
    let bench = with_list().await;
    let entries = "/allow-lists/partners/entries";
    bench.faults.fail("add_entry", When::Before);
    let failed = bench.local("POST", entries, &json!({"network": "192.0.2.1"})).await;
    assert_eq!(said(&failed), (503, "could_not_decide".into()));
    assert!(!failed.text("title").contains("test says"), "the cause is for the log");
    bench.faults.fail("load_allow_lists", When::Before);
    let saved = bench.local("POST", entries, &json!({"network": "192.0.2.1"})).await;
    assert_eq!((said(&saved), saved.header("retry-after")), ((503, "not_yet_in_force".into()), "1"));
    assert!(!lets_in(&bench, "192.0.2.1"));
    bench.faults.heal();
    // The next change of anything brings it too.
    assert_eq!(bench.local("POST", "/clients", &json!({"name": "acme"})).await.status, 201);
    assert!(lets_in(&bench, "192.0.2.1"));
}

#[tokio::test]
async fn when_the_dice_fail_nothing_is_made() {
    let bench = Bench::new().await;
    bench.local("POST", "/clients", &json!({"name": "acme"})).await;
    for rolls in 0..3 {
        bench.dice.fail_after(rolls);
        let answer = bench.local("POST", "/clients/acme/signing-keys", &NOTHING).await;
        assert_eq!(said(&answer), (503, "could_not_decide".into()), "{rolls}");
    }
    bench.dice.fail_after(u64::MAX / 2);
    assert_eq!(bench.local("GET", "/signing-keys", &NOTHING).await.json()["items"], json!([]));
}

#[tokio::test]
async fn the_gateway_says_what_it_is_and_who_asks() {
    let bench = Bench::new().await;
    let status = bench.local("GET", "/status", &NOTHING).await.json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["revision"]["stored"], status["revision"]["in_force"]);
    let key = admin_key(&bench, &["read"]).await;
    let seen = bench.tcp("GET", "/client-address", &NOTHING, &[("host", "localhost"), ("authorization", &key)]).await.json();
    assert_eq!((&seen["address"], &seen["peer"]), (&json!("127.0.0.1"), &json!("127.0.0.1:5000")));
    assert_eq!(bench.local("GET", "/client-address", &NOTHING).await.json()["peer"], "uid 1000");
    assert_eq!(said(&bench.local("GET", "/nothing", &NOTHING).await), (404, "not_found".into()));
    assert_eq!(said(&bench.local("PUT", "/status", &NOTHING).await), (405, "method_not_allowed".into()));
}
