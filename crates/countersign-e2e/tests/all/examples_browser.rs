//! `examples/sign.mjs` in Chromium: a page that comes through the gateway signs with WebCrypto and fetches from where it came.

use std::fs;
use std::sync::{Arc, Condvar, Mutex};

use countersign_e2e::{DEADLINE, Received, RecordingUpstream, Reply, Scene};
use serde_json::json;

use super::examples::{CASES, assert_arrived, example, folder, program};

/// Asks for what the page needs. The browser writes the document out once it has loaded, and the picture keeps it loading until the
/// script is done.
const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>Signing</title>
<pre id="results"></pre><img src="/held/until-done" alt="">
<script type="module">
import { signedFetch } from '/open/sign.mjs';
const { keyId, secret, cases } = $SETTING;
const results = document.getElementById('results');
const send = async ({ method, target, body, type }, secret) => {
  const answer = await signedFetch(method, location.origin + target, new Uint8Array(body), type, keyId, secret);
  results.append(`${answer.status} ${await answer.text()}\n`);
};
try {
  for (const request of cases) await send(request, secret);
  await send({ ...cases[0], target: '/signed/forged' }, secret + '0');
} catch (error) {
  results.append(`${error}\n`);
}
await fetch('/open/done', { method: 'POST' });
</script>
"#;

/// One upstream holds an answer for longer than those of a scene may take.
const HELD_ROUTE: &str = "[[route]]\npath = \"/held/*\"\nrequire = \"anyone\"\nupstream = \"held\"\n\
                          [[route]]\npath = \"/\"\nrequire = \"hmac\"\nupstream = \"api\"\n";

#[test]
fn javascript_signs_in_a_browser() {
    let page = Arc::new(Mutex::new(String::new()));
    let done = Arc::new((Mutex::new(false), Condvar::new()));
    let script = {
        let page = Arc::clone(&page);
        move |request: &Received| answer(request, &page, &done)
    };
    let upstream = RecordingUpstream::start_with(script);
    let more = format!("[upstream.held]\nurl = \"http://{}\"\nresponse_seconds = 60\n{HELD_ROUTE}", upstream.address());
    let scene = Scene::start_with(upstream, &more);
    let cases: Vec<_> = CASES
        .iter()
        .map(|case| {
            let default = if case.body.is_empty() { "" } else { "application/json" };
            let content_type = if case.content_type.is_empty() { default } else { case.content_type };
            json!({"method": case.method, "target": case.target, "body": case.body, "type": content_type})
        })
        .collect();
    let setting = json!({"keyId": scene.partner.key_id, "secret": scene.partner.secret, "cases": cases});
    *page.lock().unwrap() = PAGE.replace("$SETTING", &setting.to_string());

    let document = browse(&format!("http://{}/open/page", scene.gateway.listen));
    let results = document.split_once("<pre id=\"results\">").and_then(|(_, rest)| rest.split_once("</pre>")).map(|(results, _)| results);
    let results = results.unwrap_or_else(|| panic!("no results in {document}"));
    let lines: Vec<&str> = results.lines().collect();
    let (refused, passed) = lines.split_last().unwrap_or_else(|| panic!("the script did not end: {document}"));
    assert_eq!(passed, ["200 seen"; CASES.len()], "{results}");
    assert!(refused.starts_with("401 ") && refused.contains("signature_mismatch"), "{results}");
    let received: Vec<_> =
        scene.upstream.requests().into_iter().filter(|request| !request.headers("x-consumer-username").is_empty()).collect();
    assert_eq!(received.len(), CASES.len());
    for (case, received) in CASES.iter().zip(&received) {
        assert_arrived(case, received);
    }
}

fn answer(request: &Received, page: &Mutex<String>, done: &(Mutex<bool>, Condvar)) -> Reply {
    let (is_done, changed) = done;
    match request.request_line().split(' ').nth(1).unwrap() {
        "/open/page" => typed("text/html", &page.lock().unwrap()),
        "/open/sign.mjs" => typed("text/javascript", &fs::read_to_string(example("sign.mjs")).unwrap()),
        "/open/done" => {
            *is_done.lock().unwrap() = true;
            changed.notify_all();
            Reply::ok("")
        }
        "/held/until-done" => {
            drop(changed.wait_timeout_while(is_done.lock().unwrap(), DEADLINE, |done| !*done).unwrap());
            Reply::ok("")
        }
        _ => Reply::ok("seen"),
    }
}

fn typed(content_type: &str, body: &str) -> Reply {
    Reply::Bytes(format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

/// The document at this URL once it has loaded, as a browser that is used for the first time sees it.
fn browse(url: &str) -> String {
    let folder = folder();
    let profile = format!("--user-data-dir={}", folder.path().display());
    // The only sandbox that there is in a container is the container.
    let arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", "--disable-quic"];
    let quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
    let mut command = program(&["timeout", "90", "chromium"]);
    let output = command.args(arguments).args(quiet).args([&profile, "--dump-dom", url]).env("HOME", folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
