//! The command line against a running gateway: what it says to people and to programs.

use std::process::{Command, Output};

use countersign_e2e::{Scene, USERNAME};
use serde_json::{Value, json};

fn run(scene: &Scene, line: &str) -> Output {
    let mut command = Command::new(countersign_e2e::program());
    command.args(line.split(' ')).arg("--data").arg(scene.gateway.data()).output().unwrap()
}

/// What is said on standard output by a command that does what it is told.
fn said(scene: &Scene, line: &str) -> String {
    let output = run(scene, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The exit status and what is said on standard error by one that does not.
fn refused(scene: &Scene, line: &str) -> (Option<i32>, String) {
    let output = run(scene, line);
    assert!(!output.status.success(), "{line}");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn what_is_removed_is_named_for_programs_too() {
    let scene = Scene::start();
    scene.login();
    let id = |line: &str| json_of(&said(&scene, line))[0]["id"].as_str().unwrap().to_owned();
    let (session, entry) = (id("session list --json"), id("allow list partners --json"));
    for (line, how, name) in [
        (format!("session end {session}"), "ended", session.as_str()),
        (format!("user remove {USERNAME}"), "removed", USERNAME),
        (format!("allow remove partners {entry}"), "removed", &entry),
        ("allow drop office".to_owned(), "removed", "office"),
        (format!("key remove {}", scene.partner.key_id), "removed", &scene.partner.key_id),
        ("client remove partner".to_owned(), "removed", "partner"),
    ] {
        assert_eq!(json_of(&said(&scene, &format!("{line} --json"))), json!({ how: name }), "{line}");
    }
}

#[test]
fn lists_show_the_names_that_people_typed_and_ids_to_programs() {
    let scene = Scene::start();
    scene.login();
    said(&scene, "allow add partners 192.0.2.7 --for partner");
    said(&scene, "allow add partners 192.0.2.8 --for user:ada");
    let with =
        |text: &str, what: &str| text.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {text}")).to_owned();
    let entries = said(&scene, "allow list partners");
    assert!(with(&entries, "192.0.2.7").contains(" partner "), "{entries}");
    assert!(with(&entries, "192.0.2.8").contains(" user:ada "), "{entries}");
    let keys = said(&scene, "key list");
    assert!(with(&keys, &scene.partner.key_id).contains(" partner ") && with(&keys, "ak_").contains(" partner "), "{keys}");
    assert!(with(&said(&scene, "session list"), "si_").contains(" ada "));
    assert_eq!(json_of(&said(&scene, "key list --json"))[0]["client"], Value::from(scene.client.as_str()));
    let users = json_of(&said(&scene, "user list --json"));
    assert_eq!(json_of(&said(&scene, "session list --json"))[0]["user"], users[0]["id"]);
}

#[test]
fn an_id_that_is_not_remembered_is_explained() {
    let scene = Scene::start();
    let (status, text) = refused(&scene, "explain rq_0000000000000001");
    assert_eq!(status, Some(1));
    for part in ["rq_0000000000000001 is not among the refusals", "1000", "replayed", "docs/reference/codes.md"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_an_api_key_cannot_do_is_said_in_words() {
    let scene = Scene::start();
    for line in ["key diagnose ak_1", "key roll ak_1", "key end-secret ak_1 se_1"] {
        let (status, text) = refused(&scene, line);
        assert_eq!(status, Some(2), "{line}");
        assert!(text.starts_with("error: an API key "), "{line}: {text}");
    }
}

/// Asks for a password on a terminal of its own, presses Ctrl-C there, and says how that ended.
const CTRL_C_AT_THE_PROMPT: &str = r#"
import os, pty, sys, termios
ours, theirs = pty.openpty()
child = os.fork()
if child == 0:
    os.login_tty(theirs) if hasattr(os, "login_tty") else (os.setsid(), [os.dup2(theirs, n) for n in (0, 1, 2)], os.close(os.open(os.ttyname(0), os.O_RDWR)))
    os.execv(sys.argv[1], sys.argv[1:])
said = b""
while b"Password: " not in said:
    said += os.read(ours, 1000)
echoes = lambda: bool(termios.tcgetattr(theirs)[3] & termios.ECHO)
while echoes():
    pass
os.write(ours, b"half a pass\x03")
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), echoes())
"#;

#[test]
fn a_terminal_has_its_echo_back_after_ctrl_c_at_the_password() {
    let scene = Scene::start();
    let mut python = Command::new("python3");
    python.args(["-c", CTRL_C_AT_THE_PROMPT]).arg(countersign_e2e::program());
    let output = python.args(["user", "add", "bob", "--data"]).arg(scene.gateway.data()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "130 True\n", "{}", String::from_utf8_lossy(&output.stderr));
}
