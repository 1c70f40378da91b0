//! What survives: a planned restart, kill -9, and a lost claim log.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use countersign_e2e::{Connection, RecordingUpstream, Scene, Tokens, eventually, raw, times, try_admin_call};
use serde_json::{Value, json};

const ENTRIES: &str = "/admin/v1/allow-lists/office/entries";

#[test]
fn a_planned_restart_forgets_nothing() {
    let mut scene = Scene::start();
    let tokens = scene.login();
    let request = scene.signed("GET", "/signed/before").seconds_from_now(55).bytes();
    scene.raw(&request).assert_ok();
    let made = scene.admin("POST", ENTRIES, &json!({"network": "192.0.2.0/24"})).assert_ok().json();

    scene.stop_and_start_again();
    scene.raw(&request).assert_refused("replayed");
    scene.get_as("/api/x", &tokens.access).assert_ok();
    scene.refresh(&tokens.refresh).assert_ok();
    scene.get("/api/x", &format!("X-API-Key: {}\r\n", scene.api_key)).assert_ok();
    let entries = scene.admin("GET", ENTRIES, &Value::Null).assert_ok().json();
    assert_eq!(entries["items"][0]["id"], made["id"]);
    // Signed anew, the partner is let in at once: a planned restart has no fence.
    scene.raw(&scene.signed("GET", "/signed/after").bytes()).assert_ok();
    assert_eq!(scene.upstream.count("/signed/before"), 1);
}

#[test]
fn what_a_lost_claim_log_would_let_in_again_is_refused() {
    let mut scene = Scene::start();
    let ahead = scene.signed("GET", "/signed/ahead").seconds_from_now(55).bytes();
    let unused = scene.signed("GET", "/signed/unused").bytes();
    scene.raw(&ahead).assert_ok();
    let replay = scene.gateway.data().join("replay");
    scene.kill_and_start_again_after(|| {
        for file in fs::read_dir(&replay).unwrap().map(|entry| entry.unwrap().path()) {
            if !file.ends_with("mark") && !file.ends_with("lock") {
                fs::remove_file(file).unwrap();
            }
        }
    });
    scene.raw(&ahead).assert_refused("signed_before_fence");
    scene.raw(&unused).assert_refused("signed_before_fence");
    assert_eq!((scene.upstream.count("/signed/ahead"), scene.upstream.count("/signed/unused")), (1, 0));
    // Other credentials are not affected.
    scene.get("/api/x", &format!("X-API-Key: {}\r\n", scene.api_key)).assert_ok();
}

#[test]
fn no_signed_request_is_forwarded_twice_through_kill_9_in_a_storm_of_replays() {
    let mut scene = Scene::start();
    let mut forwarded = 0;
    for round in 0..times(5, 100) {
        let requests: Arc<Vec<Vec<u8>>> = Arc::new(
            (0..60)
                .map(|n| {
                    let ahead = [0, -200, 59, -3][n % 4];
                    scene.signed("GET", &format!("/signed/r{round}n{n}n")).seconds_from_now(ahead).bytes()
                })
                .collect(),
        );
        let listen: Arc<Mutex<SocketAddr>> = Arc::new(Mutex::new(scene.gateway.listen));
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let storm: Vec<_> = (0..4)
            .map(|thread| {
                let (requests, listen, stop, answered) =
                    (Arc::clone(&requests), Arc::clone(&listen), Arc::clone(&stop), Arc::clone(&answered));
                thread::spawn(move || {
                    for n in (thread * 15..).step_by(7) {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let address = *listen.lock().unwrap();
                        let Ok(mut connection) = Connection::try_to(address) else { continue };
                        if connection.try_send(&requests[n % 60]).is_ok() && connection.try_answer().is_ok() {
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        eventually("the storm is on", || answered.load(Ordering::Relaxed) > 10 + round % 60);
        scene.kill_and_start_again();
        *listen.lock().unwrap() = scene.gateway.listen;
        let then = answered.load(Ordering::Relaxed);
        eventually("the storm goes on", || answered.load(Ordering::Relaxed) > then + 120);
        stop.store(true, Ordering::Relaxed);
        storm.into_iter().for_each(|thread| thread.join().unwrap());
        for n in 0..60 {
            let count = scene.upstream.count_heads(&format!("/signed/r{round}n{n}n"));
            assert!(count <= 1, "round {round}: request {n} was forwarded {count} times");
            forwarded += count;
        }
        scene.upstream.forget();
    }
    assert!(forwarded >= times(5, 100) * 10, "the storm was forwarded at all: {forwarded}");
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9_among_admin_and_token_writes() {
    // A long grace: a refresh whose answer the kill took away can be asked for again.
    let mut scene = Scene::start_with(RecordingUpstream::start(), "[tokens]\ngrace_seconds = 60\n");
    let mut tokens = scene.login();
    // Entry id -> whether it is there, as far as the gateway has said.
    let known: Arc<Mutex<BTreeMap<String, bool>>> = Arc::default();
    for round in 0..times(5, 50) {
        let (admin, listen, key) = (scene.gateway.admin, scene.gateway.listen, scene.admin_key.clone());
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let editor = {
            let (known, acknowledged) = (Arc::clone(&known), Arc::clone(&acknowledged));
            thread::spawn(move || {
                for n in 0..100 {
                    let body = json!({"network": format!("10.{round}.{n}.0/24")});
                    let Some(made) = survives(admin, &key, "POST", ENTRIES, &body) else { return };
                    let id = made["id"].as_str().unwrap().to_owned();
                    known.lock().unwrap().insert(id.clone(), true);
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    if n % 3 == 0 {
                        // Until the answer comes, either may be true.
                        known.lock().unwrap().remove(&id);
                        if survives(admin, &key, "DELETE", &format!("{ENTRIES}/{id}"), &Value::Null).is_none() {
                            return;
                        }
                        known.lock().unwrap().insert(id, false);
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        };
        let refresher = {
            let (mut tokens, acknowledged) = (tokens.clone(), Arc::clone(&acknowledged));
            thread::spawn(move || {
                for _ in 0..100 {
                    let body = format!("grant_type=refresh_token&refresh_token={}", tokens.refresh);
                    let head = "POST /token HTTP/1.1\r\nHost: api.test\r\nContent-Type: application/x-www-form-urlencoded";
                    let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    let Ok(mut connection) = Connection::try_to(listen) else { break };
                    let answer = connection.try_send(request.as_bytes()).and_then(|()| connection.try_answer());
                    let Some(answer) = answer.ok().filter(|answer| answer.whole) else { break };
                    tokens = Tokens::of(&answer.assert_ok());
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                tokens
            })
        };
        eventually("writes are acknowledged", || {
            acknowledged.load(Ordering::Relaxed) > 20 + (round * 7) % 80 || (editor.is_finished() && refresher.is_finished())
        });
        scene.kill_and_start_again();
        editor.join().unwrap();
        tokens = refresher.join().unwrap();

        let there = all_entries(&scene);
        for (id, is_there) in known.lock().unwrap().iter() {
            assert_eq!(there.contains(id), *is_there, "round {round}: {id}");
        }
        // The last acknowledged refresh token still has its one successor.
        tokens = Tokens::of(&scene.refresh(&tokens.refresh).assert_ok());
        scene.get_as("/api/x", &tokens.access).assert_ok();
    }
    assert!(known.lock().unwrap().len() > 10);
}

/// The answer of an admin call, or nothing when the gateway was killed before it came.
fn survives(admin: SocketAddr, key: &str, method: &str, path: &str, body: &Value) -> Option<Value> {
    let answer = try_admin_call(admin, key, method, path, body).ok()?.assert_ok();
    Some(serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
}

fn all_entries(scene: &Scene) -> Vec<String> {
    let mut ids = Vec::new();
    let mut path = format!("{ENTRIES}?limit=200");
    loop {
        let page = scene.admin("GET", &path, &Value::Null).assert_ok().json();
        ids.extend(page["items"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("{ENTRIES}?limit=200&after={next}"),
            None => return ids,
        }
    }
}

#[test]
fn two_gateways_do_not_share_one_data_directory() {
    let scene = Scene::start();
    let second = std::process::Command::new(countersign_e2e::program())
        .args(["serve", "--config"])
        .arg(scene.folder.path().join("countersign.toml"))
        .output()
        .unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("in use by process"), "{said}");
    // The first goes on.
    raw(scene.gateway.listen, b"GET /open/x HTTP/1.1\r\nHost: api.test\r\n\r\n").assert_ok();
}

#[test]
fn a_start_with_another_master_key_says_so_and_nothing_of_a_change() {
    let Scene { gateway, folder, .. } = Scene::start();
    assert!(gateway.stop().success());
    let key = folder.path().join("data/master.key");
    fs::write(&key, format!("{}\n", countersign_e2e::sha256_hex(b"another"))).unwrap();
    let second = std::process::Command::new(countersign_e2e::program())
        .args(["serve", "--config"])
        .arg(folder.path().join("countersign.toml"))
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("is the master key the one that the data was made with?"), "{said}");
    assert!(!said.contains("a change is stored"), "{said}");
}
