use super::*;

fn arguments(words: &str) -> SignArgs {
    use clap::{Args as _, FromArgMatches as _};
    let command = SignArgs::augment_args(clap::Command::new("sign"));
    SignArgs::from_arg_matches(&command.get_matches_from(std::iter::once("sign").chain(words.split(' ')))).unwrap()
}

/// A file with the demo's settings.
fn demo() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "CS_URL=http://127.0.0.1:8080\nCS_KEY_ID=ck_demo\nexport CS_SECRET='css_do-not-print-me-0123456789abcdef'\n",
    )
    .unwrap();
    file
}

fn signed(words: &str) -> String {
    let demo = demo();
    run(&arguments(&format!("{words} --env-file {}", demo.path().display()))).unwrap()
}

#[test]
fn the_printed_line_is_what_was_signed() {
    let line = signed("get http://127.0.0.1:8080/api/v3.0/a?b=c");
    assert!(line.starts_with("curl 'http://127.0.0.1:8080/api/v3.0/a?b=c' -H 'X-Key-Id: ck_demo' -H 'X-Timestamp: "), "{line}");
    assert!(line.contains("-H 'X-Signature: v3=") && !line.contains("do-not-print-me"), "{line}");
    let line = signed(r#"POST http://h/x --data {"it's":1}"#);
    assert!(line.ends_with("-H 'Content-Type: application/json' --data-raw '{\"it'\\''s\":1}'\n"), "{line}");
}

#[test]
fn the_string_that_was_signed_has_nine_lines() {
    let said: serde_json::Value =
        serde_json::from_str(&signed("PUT http://API.example.com:80/x?y --data hello --content-type text/plain --json")).unwrap();
    let lines: Vec<&str> = said["string_to_sign"].as_str().unwrap().split('\n').collect();
    assert_eq!(lines.len(), 9);
    assert_eq!(
        (lines[0], lines[1], lines[4], lines[5], lines[6], lines[7]),
        ("v3.0", "ck_demo", "PUT", "api.example.com", "/x?y", "text/plain")
    );
    assert_eq!(lines[8], "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_eq!(said["headers"]["X-Timestamp"], lines[2]);
    assert_eq!(said["headers"]["X-Nonce"], lines[3]);
}

#[test]
fn large_bodies_declare_their_digest() {
    let body = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(body.path(), vec![b'x'; 1 << 20]).unwrap();
    let words = format!("PUT http://h/x --data @{}", body.path().display());
    assert!(!signed(&words).contains("Content-Digest"));
    assert!(signed(&format!("{words} --digest")).contains("Content-Digest: sha-256=:"));
    std::fs::write(body.path(), vec![b'x'; (1 << 20) + 1]).unwrap();
    let line = signed(&words);
    assert!(line.contains("Content-Digest: sha-256=:") && line.contains(" -T '"), "{line}");
}

#[test]
fn urls_are_taken_apart_without_changing_them() {
    for (url, authority, target) in [
        ("http://h", "h", "/"),
        ("http://h?a=b", "h", "/?a=b"),
        ("http://h:81/a%2Fb/?q=/", "h:81", "/a%2Fb/?q=/"),
        ("https://[::1]:8443/x", "[::1]:8443", "/x"),
    ] {
        let read = Target::read(url).unwrap();
        assert_eq!((read.authority.as_str(), read.path_and_query.as_str()), (authority, target), "{url}");
    }
    for bad in ["", "/api", "h/api", "ftp://h/", "http:///x", "http://u:p@h/", "http://h/a b", "http://h/é", "http://h/#x", "http://h/{id}"]
    {
        assert!(matches!(Target::read(bad), Err(Failure::Usage(_))), "{bad}");
    }
}

#[test]
fn settings_are_found_as_a_shell_would() {
    let text = "# x\nCS_KEY=no\nCS_KEY_ID=ck_1\nexport CS_SECRET=\"a=b\"\n";
    assert_eq!(find_setting(text, "CS_KEY_ID").as_deref(), Some("ck_1"));
    assert_eq!(find_setting(text, "CS_SECRET").as_deref(), Some("a=b"));
    assert_eq!(find_setting(text, "CS_URL"), None);
}
