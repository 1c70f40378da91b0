//! `countersign dev`, as a stranger meets it: what it prints is pasted into a shell, line by line.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use countersign_e2e::{Gateway, RecordingUpstream};
use serde_json::Value;

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("countersign-dev-").tempdir().unwrap()
}

/// Pastes the printed lines into one shell. Gives what each numbered step printed.
fn paste(folder: &std::path::Path, printed: &str) -> BTreeMap<u32, String> {
    let mut script = String::new();
    for line in printed.lines() {
        match line.strip_prefix("# ").and_then(|rest| rest.split_once(". ")).and_then(|(n, _)| n.parse::<u32>().ok()) {
            Some(step) => script.push_str(&format!("echo; echo '@@ {step}'\n")),
            None => script.push_str(&format!("{line}\n")),
        }
    }
    let output = Command::new("bash").args(["-c", &script]).current_dir(folder).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert_eq!(err, "", "the lines print errors");
    let steps = out.split("@@ ").skip(1).filter_map(|part| part.split_once('\n'));
    steps.map(|(step, text)| (step.trim().parse().unwrap(), text.trim().to_owned())).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text:?}"))
}

#[test]
fn every_printed_line_does_what_it_says() {
    let folder = folder();
    let (_gateway, printed) = Gateway::dev(folder.path(), &[]);
    assert!(printed.lines().count() <= 40, "{} lines", printed.lines().count());
    let steps = paste(folder.path(), &printed);
    assert_eq!(steps.len(), 8, "{steps:?}");

    let login = json(&steps[&1]);
    assert_eq!(login["token_type"], "Bearer");
    let called = json(&steps[&2]);
    assert_eq!((&called["method"], &called["target"]), (&Value::from("GET"), &Value::from("/api/hello")));
    assert_eq!(called["headers"]["x-consumer-username"], "demo");
    assert!(called["headers"].get("authorization").is_none(), "{called}");
    let refreshed = json(&steps[&3]);
    assert_ne!(refreshed["refresh_token"], login["refresh_token"]);
    let signed = json(&steps[&4]);
    assert_eq!(
        (&signed["target"], &signed["headers"]["x-consumer-username"]),
        (&Value::from("/api/v3.0/hello"), &Value::from("demo-partner"))
    );
    assert_eq!(json(&steps[&5])["code"], "replayed");
    assert_eq!(json(&steps[&6])["code"], "address_not_allowed");
    assert!(steps[&7].contains("\"network\"") && steps[&7].contains("/api/v3.0/hello"), "{}", steps[&7]);
    assert_eq!(json(&steps[&8])["headers"]["x-consumer-username"], "demo-partner");
}

#[test]
fn the_comments_do_no_harm_in_a_shell_that_knows_none() {
    let folder = folder();
    let (_gateway, printed) = Gateway::dev(folder.path(), &[]);
    // zsh at its prompt takes a comment for a command: quotes would swallow the next lines, and a bracket is an error.
    let comments: Vec<&str> = printed.lines().filter(|line| line.starts_with('#')).collect();
    assert!(comments.len() > 10, "{printed}");
    for comment in comments {
        assert!(!comment.contains(['\'', '"', '(', ')', ';', '&', '|', '<', '>', '*', '?', '[', ']', '$', '`']), "{comment}");
    }
}

#[test]
fn step_6_takes_the_entry_of_this_machine_whatever_else_is_on_the_list() {
    let folder = folder();
    let (gateway, printed) = Gateway::dev(folder.path(), &[]);
    let allow = |arguments: &[&str]| {
        let mut command = Command::new(countersign_e2e::program());
        let output = command.arg("allow").args(arguments).arg("--data").arg(gateway.data()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    allow(&["add", "partners", "203.0.113.0/24", "--note", "{ACME}"]);
    // As if the lines of step 7 had been pasted twice.
    allow(&["add", "partners", "127.0.0.0/8"]);
    let steps = paste(folder.path(), &printed);
    assert_eq!(json(&steps[&6])["code"], "address_not_allowed");
    assert!(steps[&7].contains("/api/v3.0/hello"), "{}", steps[&7]);
    let left = allow(&["list", "partners"]);
    assert_eq!((left.matches("203.0.113.0/24").count(), left.matches("127.0.0.0/8").count()), (1, 1), "{left}");
}

#[test]
fn a_start_puts_this_machine_back_on_the_list() {
    let folder = folder();
    let (gateway, printed) = Gateway::dev(folder.path(), &[]);
    let (before_step_7, _) = printed.split_once("# 7.").unwrap();
    assert_eq!(json(&paste(folder.path(), before_step_7)[&6])["code"], "address_not_allowed");
    assert!(gateway.stop().success());
    let (gateway, printed) = Gateway::dev(folder.path(), &[]);
    assert!(printed.contains("put back") && printed.lines().count() <= 40, "{printed}");
    assert_eq!(json(&paste(folder.path(), &printed)[&4])["target"], "/api/v3.0/hello");
    assert!(gateway.stop().success());
    // Where nothing was taken off, nothing is put back.
    let (_gateway, printed) = Gateway::dev(folder.path(), &[]);
    assert!(!printed.contains("lacked"), "{printed}");
}

#[test]
fn what_is_printed_can_be_pasted_whatever_the_directory_is_called() {
    let folder = folder();
    let (data, printed) = (folder.path().join("it's my data"), folder.path().join("printed"));
    let mut command = Command::new(countersign_e2e::program());
    command.args(["dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"]).arg(&data);
    let mut dev = command.stdout(fs::File::create(&printed).unwrap()).spawn().unwrap();
    countersign_e2e::eventually("the lines are printed", || fs::read_to_string(&printed).is_ok_and(|text| text.contains("X-API-Key")));
    let printed = fs::read_to_string(&printed).unwrap();
    let steps = paste(folder.path(), &printed);
    dev.kill().unwrap();
    dev.wait().unwrap();
    assert_eq!(json(&steps[&2])["target"], "/api/hello");
    assert!(!printed.lines().any(|line| line.starts_with('#') && line.contains('\'')), "{printed}");
}

#[test]
fn two_listeners_on_one_address_are_said_in_the_words_of_the_options() {
    let mut command = Command::new(countersign_e2e::program());
    let output = command.args(["dev", "--listen", "127.0.0.1:8089", "--admin-listen", "127.0.0.1:8089"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said, "error: --listen and --admin-listen are both 127.0.0.1:8089: give the admin API a port of its own\n");
}

#[test]
fn the_values_are_in_a_file_for_the_shell_that_only_the_owner_reads() {
    let folder = folder();
    let (gateway, _) = Gateway::dev(folder.path(), &[]);
    let file = gateway.data().join("demo.env");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    for name in ["CS_URL", "CS_ADMIN_URL", "CS_ADMIN_KEY", "CS_USERNAME", "CS_PASSWORD", "CS_KEY_ID", "CS_SECRET", "CS_API_KEY", "CS_LIST"]
    {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    for file in ["demo.env", "countersign.db"] {
        let mode = fs::metadata(gateway.data().join(file)).unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{file} can be read by others");
    }
}

#[test]
fn a_second_start_keeps_the_demo() {
    let folder = folder();
    let (gateway, printed) = Gateway::dev(folder.path(), &[]);
    let secrets = |data: &std::path::Path| -> Vec<String> {
        let text = fs::read_to_string(data.join("demo.env")).unwrap();
        text.lines().filter(|line| !line.contains("_URL=")).map(str::to_owned).collect()
    };
    let before = secrets(gateway.data());
    paste(folder.path(), &printed);
    assert!(gateway.stop().success());
    let (gateway, printed) = Gateway::dev(folder.path(), &[]);
    assert_eq!(secrets(gateway.data()), before);
    assert_eq!(json(&paste(folder.path(), &printed)[&5])["code"], "replayed");
}

#[test]
fn an_upstream_of_ones_own_can_be_put_behind_it() {
    let folder = folder();
    let upstream = RecordingUpstream::start();
    let (_gateway, printed) = Gateway::dev(folder.path(), &["--upstream", &format!("http://{}", upstream.address())]);
    let steps = paste(folder.path(), &printed);
    assert_eq!(steps[&2], "seen");
    assert_eq!(upstream.count("/api/hello"), 2, "with the token, with the API key");
}

#[test]
fn the_demo_stays_on_this_machine_and_serve_refuses_its_data() {
    let folder = folder();
    let data = folder.path().join("data");
    let outside = Command::new(countersign_e2e::program()).args(["dev", "--listen", "0.0.0.0:0", "--data"]).arg(&data).output().unwrap();
    assert!(!outside.status.success());
    assert!(String::from_utf8_lossy(&outside.stderr).contains("loopback"));

    let (gateway, _) = Gateway::dev(folder.path(), &[]);
    assert!(gateway.stop().success());
    let config = format!(
        "data = \"{}\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n[upstream.a]\nurl = \"http://127.0.0.1:9\"\n\
         [[route]]\npath = \"/*\"\nrequire = \"jwt\"\nupstream = \"a\"\n",
        data.display()
    );
    fs::write(folder.path().join("countersign.toml"), config).unwrap();
    let serve = Command::new(countersign_e2e::program())
        .args(["serve", "--config", "countersign.toml"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(!serve.status.success());
    assert!(String::from_utf8_lossy(&serve.stderr).contains("countersign dev"), "{}", String::from_utf8_lossy(&serve.stderr));

    let check = Command::new(countersign_e2e::program()).arg("check").current_dir(folder.path()).output().unwrap();
    assert_eq!(check.status.code(), Some(3));
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(said.contains("was made by countersign dev") && said.contains("directory of its own"), "{said}");
}
