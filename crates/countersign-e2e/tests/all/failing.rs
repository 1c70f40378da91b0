//! What is answered when something fails around the gateway: a full disk, a clock that was wrong, rows that cannot be read,
//! too much to do. What cannot be decided is refused.

use std::future::Future;
use std::time::Duration;

use countersign_core::audit::{Actor, AuditEvent};
use countersign_core::directory::{KeySecret, Sealed, SigningKey};
use countersign_core::id::ProfileName;
use countersign_core::now::UnixMillis;
use countersign_core::replay::{Claim, Fingerprint, NewClaim, Tier};
use countersign_core::secret::CredentialHash;
use countersign_e2e::{PASSWORD, RecordingUpstream, Scene, USERNAME, eventually, login, unix_seconds};
use countersign_store::memory::{MemoryReplay, ReplaySettings};
use countersign_store::sqlite::SqliteStore;
use countersign_store::{Added, ReplayCache as _, RotateOutcome, Rotation, Store as _};
use serde_json::{Value, json};

#[test]
fn what_cannot_be_written_down_is_not_let_in() {
    let scene = Scene::start();
    let tokens = scene.login();
    scene.raw(&scene.signed("GET", "/signed/before").bytes()).assert_ok();
    scene.upstream.forget();

    scene.gateway.limit_files(Some(0));
    let signed = scene.signed("GET", "/signed/x").bytes();
    for answer in [scene.raw(&signed), login(scene.gateway.listen, USERNAME, PASSWORD), scene.refresh(&tokens.refresh)] {
        assert_eq!(answer.status, 503);
        answer.assert_refused("could_not_decide");
    }
    assert_eq!(scene.upstream.total_bytes(), 0);
    // What needs nothing written is not affected.
    scene.get("/open/x", "").assert_ok();
    scene.get_as("/api/x", &tokens.access).assert_ok();

    scene.gateway.limit_files(None);
    eventually("signed requests are let in again", || scene.raw(&scene.signed("GET", "/signed/after").bytes()).status == 200);
    // It was claimed before it could not be written, and a claim is never released.
    scene.raw(&signed).assert_refused("replayed");
    scene.refresh(&tokens.refresh).assert_ok();
    assert_eq!(scene.upstream.count("/signed/x"), 0);
}

#[test]
fn a_clock_that_was_set_back_lets_no_signature_in() {
    let mut scene = Scene::start();
    let replay = scene.gateway.data().join("replay");
    scene.stop_and_start_again_after(|| {
        // What a gateway whose clock was ten minutes ahead left behind.
        let ahead = UnixMillis::from_seconds(unix_seconds() + 600);
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let memory = MemoryReplay::open(&replay, ReplaySettings::default(), ahead, boot.trim()).unwrap();
        let claim = NewClaim {
            fingerprint: Fingerprint([1; 16]),
            nonce: [2; 16],
            message: [3; 16],
            signed_at: ahead,
            keep_until: ahead.plus(Duration::from_secs(360)),
            tier: Tier::Minutes,
            counter: None,
        };
        wait(async {
            assert_eq!(memory.claim(&claim, ahead).await.unwrap(), Claim::First);
            memory.close().await.unwrap();
        });
    });
    let answer = scene.raw(&scene.signed("GET", "/signed/x").bytes());
    assert_eq!(answer.status, 503);
    answer.assert_refused("clock_behind");
    assert_eq!(scene.upstream.total_bytes(), 0);
    scene.get("/api/x", &format!("X-API-Key: {}\r\n", scene.api_key)).assert_ok();
}

#[test]
fn a_change_that_is_saved_and_cannot_be_read_back_is_said_to_be_not_yet_in_force() {
    let scene = Scene::start();
    // A secret that was sealed under another master key, as a mixed-up backup leaves it.
    let key = SigningKey {
        id: "ck_stranger00000000".parse().unwrap(),
        client: scene.client.parse().unwrap(),
        profile: ProfileName::native(),
        enabled: true,
        created: now(),
        diagnose_until: None,
        secrets: vec![KeySecret { id: "se_stranger00000000".parse().unwrap(), sealed: Sealed(vec![7; 64]), created: now(), ends: None }],
    };
    with_store(&scene, async |store| {
        assert!(matches!(store.add_signing_key(&key, &by_hand("signing_key.added")).await.unwrap(), Added::Added(_)));
    });
    let refused = scene.admin("POST", "/admin/v1/clients", &json!({"name": "newcomer"}));
    assert_eq!(refused.status, 503);
    refused.assert_refused("not_yet_in_force");
    let clients = scene.admin("GET", "/admin/v1/clients", &Value::Null).assert_ok().json();
    assert!(clients["items"].as_array().unwrap().iter().any(|client| client["name"] == "newcomer"), "it is saved: {clients}");
    // What was in force stays so.
    scene.raw(&scene.signed("GET", "/signed/x").bytes()).assert_ok();

    with_store(&scene, async |store| {
        store.remove_signing_key(&key.id, &by_hand("signing_key.removed")).await.unwrap();
    });
    eventually("the change is in force", || scene.gateway.log().contains("up to date again"));
    scene.admin("POST", "/admin/v1/clients", &json!({"name": "another"})).assert_ok();
}

#[test]
fn a_kept_answer_that_cannot_be_read_is_our_mistake_and_not_the_callers() {
    let scene = Scene::start_with(RecordingUpstream::start(), "[tokens]\ngrace_seconds = 60\n");
    let refresh = scene.login().refresh;
    let presented = CredentialHash::of(&refresh);
    with_store(&scene, async |store| {
        let found = store.find_refresh(presented).await.unwrap().expect("the login gave it");
        let rotation = Rotation {
            presented,
            client: found.session.client,
            session: None,
            successor: CredentialHash::of("csr_that nobody has"),
            successor_expires: found.token.expires,
            answer: Sealed(vec![7; 64]),
            now: now(),
            grace: Duration::from_secs(60),
        };
        assert_eq!(store.rotate_refresh(&rotation, &by_hand("session.ended")).await.unwrap(), RotateOutcome::Rotated);
    });
    let answer = scene.refresh(&refresh);
    assert_eq!((answer.status, answer.json()["error"].as_str()), (500, Some("server_error")));
    answer.assert_refused("internal");
    assert!(!answer.text().contains("answer cannot be read"), "the cause is for the log: {answer:?}");
    assert!(scene.gateway.log().contains("a kept answer cannot be read"));
    assert_eq!(scene.upstream.total_bytes(), 0);
}

#[test]
fn requests_for_tokens_beyond_the_limit_are_told_to_come_back() {
    let scene = Scene::start_with(RecordingUpstream::start(), "[limits]\ncontrol_requests = 1\n");
    let body = format!("grant_type=password&username={USERNAME}&password={}", PASSWORD.replace(' ', "+"));
    let head = "POST /token HTTP/1.1\r\nHost: api.test\r\nContent-Type: application/x-www-form-urlencoded";
    let login = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    // While a password is hashed there is no other place. Which of the two comes first is not said, so it is tried again.
    let refused = (0..50).find_map(|_| {
        let mut slow = scene.connect();
        slow.send(login.as_bytes());
        let other = scene.refresh("csr_nothing");
        let first = slow.answer();
        assert!(first.status == 200 || first.code() == "overloaded", "{first:?}");
        [first, other].into_iter().find(|answer| answer.code() == "overloaded")
    });
    let refused = refused.expect("two at once");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    refused.assert_refused("overloaded");
    assert_eq!(scene.upstream.total_bytes(), 0);
    // The data path has its own places.
    scene.get("/open/x", "").assert_ok();
    scene.login();
}

/// Does something with the database from outside, as an administrator's tool would.
fn with_store<T>(scene: &Scene, act: impl AsyncFnOnce(&SqliteStore) -> T) -> T {
    wait(async {
        let store = SqliteStore::open(&scene.gateway.data().join("countersign.db")).await.unwrap();
        let done = act(&store).await;
        store.close().await;
        done
    })
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn now() -> UnixMillis {
    UnixMillis::from_seconds(unix_seconds())
}

fn by_hand(action: &'static str) -> AuditEvent {
    AuditEvent { at: now(), actor: Actor::LocalUser(0), action, target: "a test".into(), detail: json!({}), request: None }
}
