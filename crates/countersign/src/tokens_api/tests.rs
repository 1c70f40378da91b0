//! The token endpoints through their router, on a real store.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use serde_json::{Value, json};

use crate::config::Tokens;
use crate::control_tests::{Answered, Bench, PASSWORD};
use crate::faulty_store::When;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn password_body(username: &str, password: &str) -> String {
    json!({"grant_type": "password", "username": username, "password": password}).to_string()
}

fn assert_invalid_grant(answer: &Answered) {
    assert_eq!((answer.status.as_u16(), answer.text("error").as_str()), (400, "invalid_grant"), "{}", answer.json());
    assert!(answer.json().get("access_token").is_none());
}

#[tokio::test]
async fn a_login_gives_a_pair_in_the_shape_of_the_rfc() {
    let bench = Bench::with_bob().await;
    let answer = bench.log_in().await;
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["expires_in"], &body["scope"]), (&json!("Bearer"), &json!(900), &json!("read write")));
    assert!(body["refresh_token"].as_str().unwrap().starts_with("csr_"));
    let access = answer.text("access_token");
    assert!(bench.takes(&access));
    let claims = claims(&access);
    assert_eq!((&claims["iss"], &claims["client_id"]), (&json!("https://gate.example"), &json!("first-party")));
    bench.forward(900);
    assert!(!bench.takes(&access));
}

#[tokio::test]
async fn forms_and_json_in_any_case_log_in() {
    let bench = Bench::with_bob().await;
    let plus = PASSWORD.replace(' ', "+");
    for (media_type, body) in [
        (FORM, format!("GRANT_TYPE=Password&UserName=BOB&PassWord={plus}")),
        (FORM, format!("grant_type=password&username=%20bob&password={plus}&unknown=1&client_id=app&scope=read")),
        (JSON, json!({"Grant_Type": "password", "USERNAME": "bob", "password": PASSWORD}).to_string()),
        (JSON, json!({"grantType": "password", "username": "Bob ", "Password": PASSWORD, "extra": {"a": [1]}}).to_string()),
    ] {
        let answer = bench.post("/token", media_type, &body).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.json());
    }
}

#[tokio::test]
async fn malformed_requests_say_what_is_wrong_in_the_shape_of_the_rfc() {
    let bench = Bench::with_bob().await;
    for (media_type, body, status, error, code) in [
        (FORM, "", 400, "invalid_request", "invalid_request"),
        (FORM, "grant_type=password&username=bob", 400, "invalid_request", "invalid_request"),
        (FORM, "grant_type=password&username=bob&username=eve&password=x", 400, "invalid_request", "invalid_request"),
        (FORM, "grant_type=password&username=bob&UserName=bob&password=x", 400, "invalid_request", "invalid_request"),
        (FORM, "grant_type=client_credentials", 400, "unsupported_grant_type", "unsupported_grant_type"),
        (FORM, "grant_type=PASSWORD&username=bob&password=x", 400, "unsupported_grant_type", "unsupported_grant_type"),
        (FORM, "grant_type=password&username=bob&password=x&client_secret=y", 401, "invalid_client", "invalid_client"),
        (JSON, "[]", 400, "invalid_request", "invalid_request"),
        ("text/plain", "grant_type=password", 415, "invalid_request", "unsupported_media_type"),
    ] {
        let answer = bench.post("/token", media_type, body).await;
        assert_eq!((answer.status.as_u16(), answer.text("error").as_str(), answer.code().as_str()), (status, error, code), "{body}");
        assert_eq!(answer.header("cache-control"), "no-store", "{body}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401, "{body}");
        assert_eq!(answer.text("request_id"), "rq_0000000000000007");
    }
    let large = bench.form(&format!("grant_type=password&username={}", "a".repeat(17_000))).await;
    assert_eq!((large.status.as_u16(), large.code().as_str()), (413, "body_too_large"));
    let in_query = bench.post(&format!("/token?username=bob&password={}", PASSWORD.replace(' ', "+")), FORM, "grant_type=password").await;
    assert_eq!(in_query.code(), "invalid_request");
}

#[tokio::test]
async fn other_methods_are_refused_and_told_which_is_allowed() {
    let bench = Bench::new().await;
    for (method, path, allow) in
        [("GET", "/token", "POST"), ("PUT", "/api/Auth/RefreshToken", "POST"), ("POST", "/.well-known/jwks.json", "GET,HEAD")]
    {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let answer = bench.token_request("192.0.2.1", request).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str(), answer.header("allow")), (405, "method_not_allowed", allow), "{path}");
    }
}

#[tokio::test]
async fn unknown_disabled_and_wrong_are_answered_with_the_same_bytes() {
    let bench = Bench::with_bob().await;
    bench.add_user("eve", "").await;
    assert_eq!(bench.local("PATCH", "/users/eve", &json!({"enabled": false})).await.status, 200);
    let mut seen = HashSet::new();
    for (n, (username, password)) in [
        ("bob", "not the password at all"),
        ("nobody", PASSWORD),
        ("eve", PASSWORD),
        ("eve", "x"),
        ("a\u{0}b", "x"),
        ("bob", &"x".repeat(2000)),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = bench.post_from(&format!("192.0.2.{n}"), "/token", JSON, &password_body(username, password)).await;
        assert_invalid_grant(&answer);
        let mut headers: Vec<_> = answer.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        headers.sort();
        seen.insert((headers, answer.body));
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_says_when_to_come_back() {
    let bench = Bench::with_bob().await;
    for _ in 0..5 {
        assert_invalid_grant(&bench.post("/token", JSON, &password_body("bob", "wrong wrong wrong")).await);
    }
    let turned_away = bench.post("/token", JSON, &password_body("bob", PASSWORD)).await;
    assert_eq!((turned_away.status.as_u16(), turned_away.code().as_str()), (429, "too_many_attempts"));
    let wait: u64 = turned_away.header("retry-after").parse().unwrap();
    bench.forward(wait);
    assert_eq!(bench.post("/token", JSON, &password_body("bob", PASSWORD)).await.status, 200);
}

#[tokio::test]
async fn a_full_hashing_pool_answers_429_and_counts_no_attempt() {
    let bench = Bench::with(1, Tokens::for_issuer("https://gate.example")).await;
    bench.add_user("bob", "").await;
    let place = bench.control.hashing.enter().unwrap();
    for _ in 0..50 {
        let answer = bench.post("/token", JSON, &password_body("bob", PASSWORD)).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "1"));
    }
    drop(place);
    assert_eq!(bench.post("/token", JSON, &password_body("bob", PASSWORD)).await.status, 200);
}

#[tokio::test]
async fn a_login_gives_no_more_than_the_user_has() {
    let bench = Bench::with_bob().await;
    let wanted = |scope: &str| format!("grant_type=password&username=bob&password={}&scope={scope}", PASSWORD.replace(' ', "+"));
    assert_eq!(bench.form(&wanted("read")).await.json()["scope"], "read");
    assert_eq!(bench.form(&wanted("read+admin")).await.json()["error"], "invalid_scope");
    assert_eq!(bench.form(&wanted("%22")).await.json()["error"], "invalid_scope");
}

#[tokio::test]
async fn a_refresh_gives_a_new_pair_and_may_only_narrow() {
    let bench = Bench::with_bob().await;
    let first = bench.log_in().await;
    let second = bench.refresh(&first.text("refresh_token")).await;
    assert_eq!(second.status, 200, "{}", second.json());
    assert_ne!(first.text("refresh_token"), second.text("refresh_token"));
    assert_eq!(claims(&first.text("access_token"))["sid"], claims(&second.text("access_token"))["sid"]);
    assert!(bench.takes(&second.text("access_token")));
    let narrow = bench.form(&format!("grant_type=refresh_token&scope=read&refresh_token={}", second.text("refresh_token"))).await;
    assert_eq!(narrow.json()["scope"], "read");
    // The session keeps what was granted at its start (RFC 6749 section 6).
    let back = bench.form(&format!("grant_type=refresh_token&scope=write+read&refresh_token={}", narrow.text("refresh_token"))).await;
    assert_eq!(back.json()["scope"], "read write");
    let wider = bench.form(&format!("grant_type=refresh_token&scope=admin&refresh_token={}", back.text("refresh_token"))).await;
    assert_eq!(wider.json()["error"], "invalid_scope");
    assert_eq!(bench.refresh(&back.text("refresh_token")).await.status, 200, "asking for too much uses nothing up");
}

#[tokio::test]
async fn a_lost_answer_is_given_again_within_the_grace() {
    let bench = Bench::with_bob().await;
    let first = bench.log_in().await.text("refresh_token");
    let answer = bench.refresh(&first).await;
    bench.forward(5);
    let again = bench.refresh(&first).await;
    for name in ["access_token", "refresh_token", "scope"] {
        assert_eq!(again.text(name), answer.text(name));
    }
    assert_eq!((answer.json()["expires_in"].as_u64(), again.json()["expires_in"].as_u64()), (Some(900), Some(895)));
    assert_eq!(bench.refresh(&answer.text("refresh_token")).await.status, 200);
}

#[tokio::test]
async fn a_replay_after_the_grace_ends_the_session_everywhere() {
    let bench = Bench::with_bob().await;
    let (mine, other) = (bench.log_in().await, bench.log_in().await);
    let second = bench.refresh(&mine.text("refresh_token")).await;
    bench.forward(6);
    assert_invalid_grant(&bench.refresh(&mine.text("refresh_token")).await);
    assert!(!bench.takes(&second.text("access_token")), "at once, on this node");
    assert_invalid_grant(&bench.refresh(&second.text("refresh_token")).await);
    assert!(bench.takes(&other.text("access_token")), "the other login goes on");
    assert_eq!(bench.refresh(&other.text("refresh_token")).await.status, 200);
    let rows = bench.local("GET", "/audit?limit=1000", &json!(null)).await.json();
    let of_session = |row: &&Value| row["target"] == claims(&mine.text("access_token"))["sid"];
    let said: Vec<_> = rows["items"].as_array().unwrap().iter().filter(of_session).map(|row| row["action"].clone()).collect();
    assert_eq!(said, ["session.opened", "session.ended"], "{rows}");
}

#[tokio::test]
async fn a_scope_that_was_taken_from_the_user_does_not_come_back_with_a_refresh() {
    let bench = Bench::with_bob().await;
    let first = bench.log_in().await;
    assert_eq!(bench.local("PATCH", "/users/bob", &json!({"scopes": ["read"]})).await.status, 200);
    let second = bench.refresh(&first.text("refresh_token")).await.json();
    assert_eq!(second["scope"], "read");
}

#[tokio::test]
async fn a_used_successor_ends_the_grace() {
    let bench = Bench::with_bob().await;
    let first = bench.log_in().await.text("refresh_token");
    let second = bench.refresh(&first).await.text("refresh_token");
    let third = bench.refresh(&second).await;
    assert_invalid_grant(&bench.refresh(&first).await);
    assert!(!bench.takes(&third.text("access_token")));
}

#[tokio::test]
async fn another_application_gets_nothing_and_ends_nothing() {
    let bench = Bench::with_bob().await;
    let first = bench.log_in().await;
    let stolen = format!("grant_type=refresh_token&client_id=other&refresh_token={}", first.text("refresh_token"));
    assert_invalid_grant(&bench.form(&stolen).await);
    assert!(bench.takes(&first.text("access_token")));
    assert_eq!(bench.refresh(&first.text("refresh_token")).await.status, 200);
}

#[tokio::test]
async fn of_many_uses_at_once_none_gets_a_second_successor() {
    let bench = Arc::new(Bench::with_bob().await);
    let first = bench.log_in().await.text("refresh_token");
    let uses = (0..32).map(|_| {
        let (bench, first) = (Arc::clone(&bench), first.clone());
        tokio::spawn(async move { bench.refresh(&first).await })
    });
    let mut pairs = HashSet::new();
    for used in uses.collect::<Vec<_>>() {
        let answer = used.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.json());
        pairs.insert((answer.text("access_token"), answer.text("refresh_token")));
    }
    assert_eq!(pairs.len(), 1);
}

#[tokio::test]
async fn unknown_and_mistyped_refresh_tokens_say_the_same() {
    let bench = Bench::with_bob().await;
    let token = bench.log_in().await.text("refresh_token");
    let unknown = countersign_core::secret::MadeSecret::RefreshToken.make(countersign_core::fresh::Fresh::new([9; 32]));
    let answers = [bench.refresh(unknown.expose()).await, bench.refresh(token.strip_prefix('c').unwrap()).await, bench.refresh("x").await];
    for answer in &answers {
        assert_invalid_grant(answer);
        assert_eq!(answer.body, answers[0].body);
    }
}

#[tokio::test]
async fn a_disabled_user_neither_refreshes_nor_comes_in() {
    let bench = Bench::with_bob().await;
    let first = bench.log_in().await;
    assert_eq!(bench.local("PATCH", "/users/bob", &json!({"enabled": false})).await.status, 200);
    assert!(!bench.takes(&first.text("access_token")));
    assert_invalid_grant(&bench.refresh(&first.text("refresh_token")).await);
}

#[tokio::test]
async fn both_tokens_in_json_give_a_new_pair_also_when_the_first_has_expired() {
    let bench = Bench::with_bob().await;
    let (mine, other) = (bench.log_in().await, bench.log_in().await);
    let ask = |access: &str, refresh: &str| json!({"AccessToken": access, "RefreshToken": refresh}).to_string();
    bench.forward(3600);
    let answer = bench.post("/api/Auth/RefreshToken", JSON, &ask(&mine.text("access_token"), &mine.text("refresh_token"))).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    let mut names: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["AccessToken", "ExpiresIn", "RefreshToken", "TokenType"]);
    assert_eq!((&body["TokenType"], &body["ExpiresIn"]), (&json!("Bearer"), &json!(900)));
    assert!(bench.takes(body["AccessToken"].as_str().unwrap()));

    let (access, refresh) = (body["AccessToken"].as_str().unwrap(), body["RefreshToken"].as_str().unwrap());
    for (access, refresh, status, code) in [
        (other.text("access_token").as_str(), refresh, 400, "invalid_grant"),
        (access, other.text("refresh_token").as_str(), 400, "invalid_grant"),
        ("a.b.c", refresh, 401, "invalid_token"),
        (access, "", 400, "invalid_request"),
    ] {
        let answer = bench.post("/api/Auth/RefreshToken", JSON, &ask(access, refresh)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{}", answer.json());
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let lower = json!({"accesstoken": access, "refresh_token": refresh}).to_string();
    assert_eq!(bench.post("/api/Auth/RefreshToken", JSON, &lower).await.status, 200);
    assert_eq!(bench.post("/api/Auth/RefreshToken", FORM, "AccessToken=a&RefreshToken=b").await.status, 415);
}

#[tokio::test]
async fn logging_out_ends_the_session_at_once_and_twice_is_fine() {
    let bench = Bench::with_bob().await;
    let pair = bench.log_in().await;
    let logout = |authorization: String| {
        let request = Request::post("/logout").header("authorization", authorization).body(Body::empty()).unwrap();
        bench.token_request("192.0.2.1", request)
    };
    assert_eq!(logout(format!("bearer {}", pair.text("access_token"))).await.status, 204);
    assert!(!bench.takes(&pair.text("access_token")));
    assert_invalid_grant(&bench.refresh(&pair.text("refresh_token")).await);
    assert_eq!(logout(format!("Bearer {}", pair.text("access_token"))).await.status, 204);
    for (authorization, challenge) in [
        ("Bearer x.y.z".to_owned(), "Bearer realm=\"countersign\", error=\"invalid_token\""),
        ("Basic Ym9iOng=".to_owned(), "Bearer realm=\"countersign\""),
    ] {
        let answer = logout(authorization).await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, challenge));
    }
}

#[tokio::test]
async fn the_world_sees_public_keys_and_no_password_login() {
    let bench = Bench::new().await;
    let fetch = |path: &str| bench.token_request("192.0.2.1", Request::get(path).body(Body::empty()).unwrap());
    let keys = fetch("/.well-known/jwks.json").await;
    assert_eq!((keys.status.as_u16(), keys.header("cache-control")), (200, "public, max-age=300"));
    let keys = keys.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_eq!((&keys["keys"][0]["kty"], &keys["keys"][0]["alg"]), (&json!("EC"), &json!("ES256")));
    assert!(keys["keys"][0].get("d").is_none());
    assert_eq!(
        fetch("/.well-known/oauth-authorization-server").await.json(),
        json!({
            "issuer": "https://gate.example", "token_endpoint": "https://gate.example/token",
            "jwks_uri": "https://gate.example/.well-known/jwks.json", "response_types_supported": [],
            "grant_types_supported": ["refresh_token"], "token_endpoint_auth_methods_supported": ["none"],
        })
    );
    let head = bench.token_request("192.0.2.1", Request::head("/.well-known/jwks.json").body(Body::empty()).unwrap()).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
}

#[tokio::test]
async fn switched_off_and_moved_endpoints_are_where_the_settings_say() {
    let mut tokens = Tokens::for_issuer("https://gate.example");
    tokens.paths.token = Some("/oauth/token".into());
    tokens.paths.refresh = None;
    let bench = Bench::with(1, tokens).await;
    bench.add_user("bob", "").await;
    assert_eq!(bench.post("/oauth/token", JSON, &password_body("bob", PASSWORD)).await.status, 200);
    for path in ["/token", "/api/Auth/RefreshToken"] {
        let answer = bench.post(path, JSON, &password_body("bob", PASSWORD)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "no_route"));
    }
}

#[tokio::test]
async fn when_the_store_or_the_dice_fail_nothing_is_given_out() {
    let bench = Bench::with_bob().await;
    let refresh = bench.log_in().await.text("refresh_token");
    let login = password_body("bob", PASSWORD);
    for act in ["reserve_login", "open_session"] {
        for when in [When::Before, When::After] {
            bench.faults.fail(act, when);
            let answer = bench.post("/token", JSON, &login).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "could_not_decide"), "{act} {when:?}");
            assert_eq!((answer.text("error").as_str(), answer.header("retry-after")), ("temporarily_unavailable", "1"));
            assert!(answer.json().get("access_token").is_none());
        }
    }
    for act in ["find_refresh", "rotate_refresh"] {
        bench.faults.fail(act, When::Before);
        let answer = bench.refresh(&refresh).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "could_not_decide"), "{act}");
    }
    bench.faults.heal();
    // A login rolls four times: for the salt, the session, the access token and the refresh token.
    bench.forward(3600);
    for rolls in 0..4 {
        bench.dice.fail_after(rolls);
        let answer = bench.post("/token", JSON, &login).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "could_not_decide"), "{rolls}");
    }
    bench.dice.fail_after(u64::MAX / 2);
    assert_eq!(bench.refresh(&refresh).await.status, 200, "what failed used nothing up");
}

#[tokio::test]
async fn an_answer_that_was_lost_in_the_store_is_not_lost_for_good() {
    let bench = Bench::with_bob().await;
    let first = bench.log_in().await.text("refresh_token");
    bench.faults.fail("rotate_refresh", When::After);
    assert_eq!(bench.refresh(&first).await.status, 503);
    bench.faults.heal();
    let again = bench.refresh(&first).await;
    assert_eq!(again.status, 200, "{}", again.json());
    assert!(bench.takes(&again.text("access_token")));
    assert_eq!(bench.refresh(&again.text("refresh_token")).await.status, 200);
}

#[tokio::test]
async fn a_session_ends_however_often_it_is_refreshed() {
    let mut tokens = Tokens::for_issuer("https://gate.example");
    tokens.session_time = Duration::from_secs(3600);
    tokens.refresh_idle_time = Duration::from_secs(1800);
    let bench = Bench::with(1, tokens).await;
    bench.add_user("bob", "").await;
    let mut token = bench.log_in().await.text("refresh_token");
    for _ in 0..3 {
        bench.forward(1000);
        let answer = bench.refresh(&token).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert!(answer.json()["expires_in"].as_u64().unwrap() <= 900);
        token = answer.text("refresh_token");
    }
    bench.forward(599);
    let last = bench.refresh(&token).await;
    assert_eq!(last.json()["expires_in"], 1);
    bench.forward(1);
    assert_invalid_grant(&bench.refresh(&last.text("refresh_token")).await);
}
