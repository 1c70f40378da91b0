//! Many at once: one refresh token, one signed request.

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};
use std::thread;

use countersign_e2e::{Answer, Connection, Scene, Tokens, times};

/// Sends the same bytes over so many connections at the same moment.
fn all_at_once(scene: &Scene, connections: usize, bytes: &[u8]) -> Vec<Answer> {
    let start = Arc::new(Barrier::new(connections));
    let senders: Vec<_> = (0..connections)
        .map(|_| {
            let (start, bytes, listen) = (Arc::clone(&start), bytes.to_vec(), scene.gateway.listen);
            thread::spawn(move || {
                let mut connection = Connection::to(listen);
                start.wait();
                connection.send(&bytes).answer()
            })
        })
        .collect();
    senders.into_iter().map(|sender| sender.join().expect("an answer")).collect()
}

#[test]
fn one_refresh_token_never_has_two_successors() {
    let scene = Scene::start();
    let mut current = scene.login();
    for round in 0..times(20, 1000) {
        let began = std::time::Instant::now();
        let (content_type, target, body) = if round % 2 == 0 {
            ("application/x-www-form-urlencoded", "/token", format!("grant_type=refresh_token&refresh_token={}", current.refresh))
        } else {
            let pair = serde_json::json!({"AccessToken": current.access, "RefreshToken": current.refresh});
            ("application/json", "/api/Auth/RefreshToken", pair.to_string())
        };
        let length = body.len();
        let head = format!("POST {target} HTTP/1.1\r\nHost: api.test\r\nContent-Type: {content_type}\r\nContent-Length: {length}");
        let answers = all_at_once(&scene, 64, format!("{head}\r\n\r\n{body}").as_bytes());
        let successors: BTreeSet<(String, String)> = answers
            .iter()
            .filter(|answer| answer.status == 200)
            .map(|answer| {
                let body = answer.json();
                let text = |a: &str, b: &str| body[a].as_str().or(body[b].as_str()).expect("a token").to_owned();
                (text("refresh_token", "RefreshToken"), text("access_token", "AccessToken"))
            })
            .collect();
        assert_eq!(
            successors.len(),
            1,
            "round {round} {:?}: {:?}",
            began.elapsed(),
            answers.iter().map(|a| (a.status, a.text())).collect::<Vec<_>>()
        );
        let (refresh, access) = successors.into_iter().next().unwrap();
        current = Tokens { access, refresh };
    }
    scene.get_as("/api/x", &current.access).assert_ok();
}

#[test]
fn one_signed_request_sent_a_hundred_times_at_once_is_forwarded_once() {
    let scene = Scene::start();
    for round in 0..times(25, 1000) {
        let target = format!("/signed/round-{round}-");
        let answers = all_at_once(&scene, 100, &scene.signed("GET", &target).bytes());
        let passed = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!((passed, scene.upstream.count(&target)), (1, 1), "round {round}");
        assert_eq!(answers.iter().filter(|answer| answer.code() == "replayed").count(), 99, "round {round}");
        scene.upstream.forget();
    }
}
