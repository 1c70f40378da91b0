//! Logging in, refreshing, logging out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_e2e::{PASSWORD, RecordingUpstream, Scene, Tokens, USERNAME, eventually, login, unix_seconds};
use serde_json::{Value, json};

const JSON: &str = "application/json";

#[test]
fn a_login_gives_a_token_that_opens_the_api() {
    let scene = Scene::start();
    let answer = login(scene.gateway.listen, USERNAME, PASSWORD).assert_ok();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(900)));
    scene.get_as("/api/hello", body["access_token"].as_str().unwrap()).assert_ok();
    assert_eq!(scene.upstream.requests()[0].headers("x-consumer-username"), [USERNAME]);
}

#[test]
fn the_access_token_is_by_rfc_9068_and_its_key_is_published() {
    let scene = Scene::start();
    let access = scene.login().access;
    let part =
        |at: usize| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(access.split('.').nth(at).unwrap()).unwrap()).unwrap() };
    let (header, claims) = (part(0), part(1));
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")));
    for name in ["iss", "sub", "aud", "client_id", "jti", "sid"] {
        assert!(claims[name].as_str().is_some_and(|text| !text.is_empty()), "{name} in {claims}");
    }
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);

    let keys = scene.get("/.well-known/jwks.json", "").assert_ok().json();
    assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["kid"] == header["kid"] && key["alg"] == "ES256"), "{keys}");
    assert!(keys["keys"].as_array().unwrap().iter().all(|key| key.get("d").is_none()), "a private key is published");
    let metadata = scene.get("/.well-known/oauth-authorization-server", "").assert_ok().json();
    assert_eq!(metadata["issuer"], claims["iss"]);
    assert!(!metadata["grant_types_supported"].as_array().unwrap().contains(&json!("password")), "{metadata}");
}

#[test]
fn an_access_token_is_refused_once_it_has_expired() {
    let scene = Scene::start_with(RecordingUpstream::start(), "[tokens]\naccess_seconds = 1\n");
    let tokens = scene.login();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(tokens.access.split('.').nth(1).unwrap()).unwrap()).unwrap();
    let expires = claims["exp"].as_i64().unwrap();
    assert_eq!(expires - claims["iat"].as_i64().unwrap(), 1);
    eventually("its time is over", || unix_seconds() >= expires);
    let answer = scene.get_as("/api/x", &tokens.access);
    answer.assert_refused("token_expired");
    assert_eq!((answer.status, scene.upstream.total_bytes()), (401, 0));
    // The session goes on.
    scene.refresh(&tokens.refresh).assert_ok();
}

#[test]
fn field_names_come_in_any_case_as_a_form_or_as_json() {
    let scene = Scene::start();
    let form = format!("Grant_Type=Password&UserName={USERNAME}&PASSWORD={}", PASSWORD.replace(' ', "%20"));
    scene.post("/token", "application/x-www-form-urlencoded", &form).assert_ok();
    let body = json!({"GrantType": "password", "Username": USERNAME, "Password": PASSWORD});
    scene.post("/token", JSON, &body.to_string()).assert_ok();
    scene
        .post(
            "/token",
            "application/json; charset=utf-8",
            &json!({"grant_type": "password", "username": "ADA ", "password": PASSWORD}).to_string(),
        )
        .assert_ok();
}

#[test]
fn an_unknown_user_and_a_wrong_password_are_answered_alike() {
    let scene = Scene::start();
    let answers = [login(scene.gateway.listen, USERNAME, "not the password"), login(scene.gateway.listen, "nobody", "not the password")];
    let without_id = |answer: &countersign_e2e::Answer| {
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("request_id");
        (answer.status, body)
    };
    assert_eq!(without_id(&answers[0]), without_id(&answers[1]));
    assert_eq!(answers[0].json()["error"], "invalid_grant");
}

#[test]
fn credentials_in_the_query_are_refused() {
    let scene = Scene::start();
    let target = format!("/token?grant_type=password&username={USERNAME}&password=x");
    assert_eq!(scene.post(&target, "application/x-www-form-urlencoded", "").status, 400);
    assert!(!scene.gateway.log().contains("password=x"));
}

#[test]
fn a_refresh_token_has_one_successor_and_a_late_replay_ends_the_session() {
    let scene = Scene::start();
    let first = scene.login();
    let second = Tokens::of(&scene.refresh(&first.refresh).assert_ok());
    assert_ne!(first.refresh, second.refresh);
    // A lost answer: the predecessor gives the same pair again.
    let again = Tokens::of(&scene.refresh(&first.refresh).assert_ok());
    assert_eq!(again, second);
    // The successor is used: the grace is over.
    let third = Tokens::of(&scene.refresh(&second.refresh).assert_ok());
    scene.get_as("/api/x", &third.access).assert_ok();
    scene.refresh(&first.refresh).assert_refused("invalid_grant");
    // That replay ended the session for everybody who has a part of it.
    scene.refresh(&third.refresh).assert_refused("invalid_grant");
    scene.get_as("/api/x", &third.access).assert_refused("session_ended");
}

#[test]
fn both_refresh_endpoints_rotate_one_chain() {
    let scene = Scene::start();
    let first = scene.login();
    let body = json!({"AccessToken": first.access, "RefreshToken": first.refresh}).to_string();
    let pair = scene.post("/api/Auth/RefreshToken", JSON, &body).assert_ok().json();
    assert_eq!(pair["TokenType"], "Bearer");
    assert!(pair["ExpiresIn"].as_u64().is_some_and(|seconds| seconds > 0), "{pair}");
    scene.get_as("/api/x", pair["AccessToken"].as_str().unwrap()).assert_ok();
    scene.refresh(pair["RefreshToken"].as_str().unwrap()).assert_ok();
}

#[test]
fn a_refresh_needs_the_access_token_of_its_own_session() {
    let scene = Scene::start();
    let (one, other) = (scene.login(), scene.login());
    let mixed = json!({"AccessToken": other.access, "RefreshToken": one.refresh}).to_string();
    let answer = scene.post("/api/Auth/RefreshToken", JSON, &mixed);
    assert!(matches!(answer.code().as_str(), "invalid_grant" | "invalid_token"), "{answer:?}");
    let forged = json!({"AccessToken": format!("{}x", one.access), "RefreshToken": one.refresh}).to_string();
    assert!(scene.post("/api/Auth/RefreshToken", JSON, &forged).status >= 400);
    // Nothing was used up by that.
    scene.refresh(&one.refresh).assert_ok();
}

#[test]
fn logging_out_ends_the_access_token_at_once() {
    let scene = Scene::start();
    let (mine, other) = (scene.login(), scene.login());
    scene.get_as("/api/x", &mine.access).assert_ok();
    let logout = format!("POST /logout HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer {}\r\nContent-Length: 0\r\n\r\n", mine.access);
    scene.raw(logout.as_bytes()).assert_ok();
    scene.get_as("/api/x", &mine.access).assert_refused("session_ended");
    scene.refresh(&mine.refresh).assert_refused("invalid_grant");
    scene.get_as("/api/x", &other.access).assert_ok();
}

#[test]
fn a_disabled_user_is_out() {
    let scene = Scene::start();
    let tokens = scene.login();
    scene.admin("PATCH", &format!("/admin/v1/users/{USERNAME}"), &json!({"enabled": false})).assert_ok();
    assert!(scene.get_as("/api/x", &tokens.access).status == 401);
    scene.refresh(&tokens.refresh).assert_refused("invalid_grant");
    login(scene.gateway.listen, USERNAME, PASSWORD).assert_refused("invalid_grant");
}

#[test]
fn guessing_becomes_slow_and_locks_nobody_out_for_good() {
    let scene = Scene::start();
    let guesses = (0..200).map(|n| login(scene.gateway.listen, "grace", &format!("guess number {n} of many")));
    let slow = guesses.into_iter().find(|answer| answer.status == 429).expect("guessing becomes slow");
    let wait: u64 = slow.header("retry-after").and_then(|text| text.parse().ok()).expect("a Retry-After");
    assert!((1..=3600).contains(&wait), "{wait}");
    // The user whose account nobody guessed at may come in, or has to wait a little, but is never told that the account is locked.
    let own = login(scene.gateway.listen, USERNAME, PASSWORD);
    assert!(own.status == 200 || own.status == 429, "{own:?}");
}

#[test]
fn a_weak_password_is_not_taken() {
    let scene = Scene::start();
    for weak in ["short", "fourteen chars", "passwordpassword"] {
        scene.admin("POST", "/admin/v1/users", &json!({"username": "weak", "password": weak})).assert_refused("invalid_body");
    }
}

#[test]
fn other_spellings_of_a_reserved_path_lead_nowhere() {
    let scene = Scene::start();
    for path in ["/Token", "/token/", "/TOKEN", "/api/auth/refreshtoken", "/api/Auth/RefreshToken/", "/Logout"] {
        let answer = scene.post(path, JSON, "{}");
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    assert_eq!(scene.upstream.total_bytes(), 0);
}
