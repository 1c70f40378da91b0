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
    let said: Value =
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
fn every_scheme_gets_the_headers_and_parameters_that_it_signs_with() {
    let said = signed("POST https://h/hook --profile github --data {}");
    assert!(said.contains("-H 'X-Hub-Signature-256: sha256="), "{said}");
    let json = |words: &str| -> Value { serde_json::from_str(&signed(words)).unwrap() };
    let said =
        json("POST https://h/x?a=b --profile sigv4-query --set region=eu-1 --set service=s3 --json -H X-Tag:1 -H X-Tag:2 -H x-other:3");
    assert!(said["url"].as_str().unwrap().starts_with("https://h/x?a=b&X-Amz-Algorithm=AWS4-HMAC-SHA256&"), "{said}");
    assert!(said["url"].as_str().unwrap().contains("&X-Amz-Signature="), "{said}");
    assert_eq!((&said["headers"]["X-Tag"], &said["headers"]["x-other"]), (&json!(["1", "2"]), &json!("3")));
    assert_eq!(said["profile"], "sigv4-query");
    assert!(said["string_to_sign"].as_str().unwrap().starts_with("AWS4-HMAC-SHA256\n"), "{said}");
}

#[test]
fn a_header_that_the_profile_adds_stands_in_the_place_of_one_that_was_given() {
    let said: Value =
        serde_json::from_str(&signed("POST https://h/ --profile rfc9421 --data {} --digest -H content-digest:x --json")).unwrap();
    assert!(said["headers"]["Content-Digest"].as_str().unwrap().starts_with("sha-256=:"), "{said}");
    assert!(said["headers"].get("content-digest").is_none(), "{said}");
}

#[test]
fn the_host_can_be_another_than_that_of_the_url() {
    let said: Value = serde_json::from_str(&signed("GET http://127.0.0.1:8080/x -H Host:API.example.com --json")).unwrap();
    assert_eq!(said["url"], "http://127.0.0.1:8080/x");
    assert_eq!(said["headers"]["Host"], "API.example.com");
    assert_eq!(said["string_to_sign"].as_str().unwrap().split('\n').nth(5), Some("api.example.com"));
}

#[test]
fn what_curl_would_change_is_kept() {
    let line = signed("GET http://h/a/../b -H X-Empty:");
    assert!(line.starts_with("curl --path-as-is 'http://h/a/../b'") && line.contains("-H 'X-Empty;'"), "{line}");
}

#[test]
fn a_scheme_that_names_no_key_needs_no_key_id() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "s\n").unwrap();
    let words = |profile: &str| arguments(&format!("POST http://h/ --profile {profile} --secret-file {}", secret.path().display()));
    assert!(run(&words("github")).is_ok());
    // CS_KEY_ID is not set where tests run.
    assert!(matches!(run(&words("v3.0")), Err(Failure::Usage(text)) if text.contains("--key-id")));
}

#[test]
fn a_profile_that_only_verifies_says_which_sign() {
    let demo = demo();
    let failure = run(&arguments(&format!("POST http://h/ --profile adyen --data {{}} --env-file {}", demo.path().display()))).unwrap_err();
    let Failure::Usage(text) = failure else { panic!("{failure:?}") };
    assert!(text.starts_with("the profile adyen has no [[sign]]") && text.contains(" sigv4, "), "{text}");
}

#[test]
fn constants_that_are_missing_are_named() {
    let demo = demo();
    let failure = run(&arguments(&format!("GET http://h/ --profile escher --env-file {}", demo.path().display())));
    assert!(matches!(failure, Err(Failure::Failed(text)) if text.ends_with("; the profile may need --set scope=...")));
}

#[test]
fn a_content_type_is_given_once() {
    let demo = demo();
    let failure =
        run(&arguments(&format!("POST http://h/ --data x --content-type a/b -H Content-Type:c/d --env-file {}", demo.path().display())));
    assert!(matches!(failure, Err(Failure::Usage(text)) if text.contains("twice")));
    assert!(signed("POST http://h/ --data x -H Content-Type:c/d").contains("-H 'Content-Type: c/d' --data-raw"));
}

#[test]
fn files_are_read_whole_only_for_schemes_that_need_their_bytes() {
    let body = tempfile::NamedTempFile::new().unwrap();
    body.as_file().set_len((64 << 20) + 1).unwrap();
    let words = |profile: &str| format!("PUT http://h/x --profile {profile} --data @{}", body.path().display());
    assert!(signed(&words("v3.0")).contains("Content-Digest: sha-256=:"));
    let demo = demo();
    let failure = run(&arguments(&format!("{} --env-file {}", words("github"), demo.path().display())));
    assert!(matches!(failure, Err(Failure::Usage(text)) if text.contains("64 MiB")));
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
