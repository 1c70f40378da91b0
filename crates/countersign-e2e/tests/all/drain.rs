//! A planned end: what is under way is finished.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use countersign_e2e::{Connection, RecordingUpstream, Reply, Scene, eventually};

#[test]
fn a_request_under_way_is_finished_and_new_ones_are_not_taken() {
    let (open, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let upstream = RecordingUpstream::start_with(move |request| {
        if request.head.contains("/open/slow") {
            gate.lock().unwrap().recv().unwrap();
        }
        Reply::ok("at last")
    });
    let scene = Scene::start_with(upstream, "");
    let mut idle = scene.connect();
    idle.send(b"GET /open/quick HTTP/1.1\r\nHost: api.test\r\n\r\n").answer().assert_ok();
    let mut slow = scene.connect();
    slow.send(b"GET /open/slow HTTP/1.1\r\nHost: api.test\r\n\r\n");
    eventually("the slow request is at the upstream", || scene.upstream.count("/open/slow") == 1);

    scene.gateway.terminate();
    assert_eq!(idle.rest(), b"", "an idle connection is closed");
    eventually("no new connection is taken", || match Connection::try_to(scene.gateway.listen) {
        Err(_) => true,
        Ok(mut connection) => {
            let _ = connection.try_send(b"GET /open/late HTTP/1.1\r\nHost: api.test\r\n\r\n");
            connection.try_answer().is_err()
        }
    });
    open.send(()).unwrap();
    let answer = slow.answer().assert_ok();
    assert_eq!(answer.text(), "at last");
    assert!(scene.gateway.wait().success());
    assert_eq!(scene.upstream.count("/open/late"), 0);
}

#[test]
fn a_request_that_does_not_end_is_cut_at_the_deadline() {
    let upstream = RecordingUpstream::start_with(|_| Reply::Silence);
    let scene = Scene::start_with(upstream, "[limits]\ndrain_seconds = 0\n");
    let mut slow = scene.connect();
    slow.send(b"GET /open/slow HTTP/1.1\r\nHost: api.test\r\n\r\n");
    eventually("the request is at the upstream", || scene.upstream.count("/open/slow") == 1);
    assert!(scene.gateway.stop().success());
}

#[test]
fn a_client_that_goes_is_not_waited_for() {
    let upstream = RecordingUpstream::start_with(|_| Reply::Silence);
    let more = format!("[limits]\ndrain_seconds = 600\n{}", Scene::patient(&upstream));
    let scene = Scene::start_with(upstream, &more);
    let mut slow = scene.connect();
    slow.send(b"GET /patient/slow HTTP/1.1\r\nHost: api.test\r\n\r\n");
    eventually("the request is at the upstream", || scene.upstream.count("/patient/slow") == 1);
    scene.gateway.terminate();
    assert_eq!(scene.upstream.given_up(), 0);
    drop(slow);
    eventually("the upstream is told", || scene.upstream.given_up() == 1);
    assert!(scene.gateway.wait().success());
}
