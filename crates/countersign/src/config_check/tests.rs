use super::*;

const GOOD: &str = "[[listener]]\naddress = \"127.0.0.1:8080\"\n[upstream.orders]\nurl = \"http://127.0.0.1:9000\"\n";

fn verdict(text: &str) -> String {
    match check("countersign.toml", text, &Surroundings::default()) {
        Ok(checked) => format!("accepted\n{}", checked.warnings),
        Err(bad) => bad.to_string(),
    }
}

fn verdict_with(more: &str) -> String {
    verdict(&format!("{more}\n{GOOD}[[route]]\npath = \"/*\"\nrequire = \"jwt\"\nupstream = \"orders\"\n"))
}

/// Each mistake, and exactly what is said about it.
#[test]
fn every_mistake_is_shown_where_it_stands_with_what_to_write() {
    let route = |lines: &str| verdict(&format!("{GOOD}[[route]]\n{lines}\n"));
    let table: Vec<(&str, String)> = vec![
        ("a mistyped key", verdict("[[lisener]]\naddress = \"127.0.0.1:8080\"\n")),
        ("a mistyped key in a table", verdict_with("limits.head_byte = 3")),
        ("a key that is like no other", verdict_with("frobnicate = true")),
        ("a secret in the file", verdict_with("hmac_shared_secret = \"css_do-not-print-me\"")),
        ("not TOML", verdict("data = \n")),
        ("a number for a text", verdict("data = 3\n")),
        ("a fraction for a number", verdict("threads = 1.5\n")),
        ("one table for many", verdict("[listener]\naddress = \"127.0.0.1:8080\"\n")),
        ("a missing key", route("require = \"jwt\"\nupstream = \"orders\"")),
        ("a table twice", verdict("[admin]\n[admin]\n")),
        ("out of range", verdict_with("limits.head_seconds = 0\nlimits.connections = -1")),
        ("one body larger than all", verdict_with("limits.signed_body_bytes = 134217728")),
        ("no listener", verdict("")),
        ("two listeners", verdict_with("[[listener]]\naddress = \"127.0.0.1:1\"")),
        ("a name to listen on", verdict("[[listener]]\naddress = \"localhost:8080\"\n")),
        (
            "an unknown word",
            verdict("[[listener]]\naddress = \"127.0.0.1:8080\"\npublic_scheme = \"htps\"\nclient_address_from = \"x-real-ip\"\n"),
        ),
        (
            "a proxy that is no network",
            verdict(
                "[[listener]]\naddress = \"127.0.0.1:8080\"\nclient_address_from = \"forwarded\"\ntrusted_proxies = [\"10.0.0.1/8\", \"0.0.0.0/0\", \"010.0.0.1\"]\n",
            ),
        ),
        ("proxies that nobody asks", verdict("[[listener]]\naddress = \"127.0.0.1:8080\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n")),
        (
            "a header that nobody may write",
            verdict("[[listener]]\naddress = \"127.0.0.1:8080\"\nclient_address_from = \"x-forwarded-for\"\n"),
        ),
        ("admin on the network", verdict_with("admin.address = \"0.0.0.0:8081\"")),
        ("admin on the public port", verdict_with("admin.address = \"127.0.0.1:8080\"")),
        ("https upstream", verdict("[[listener]]\naddress = \"127.0.0.1:8080\"\n[upstream.a]\nurl = \"https://api.example.com\"\n")),
        (
            "a password in an upstream",
            verdict("[[listener]]\naddress = \"127.0.0.1:8080\"\n[upstream.a]\nurl = \"http://user:do-not-print-me@host\"\n"),
        ),
        ("a path in an upstream", verdict("[[listener]]\naddress = \"127.0.0.1:8080\"\n[upstream.a]\nurl = \"http://host/base\"\n")),
        ("a route without a rule", route("path = \"/*\"\nupstream = \"orders\"")),
        ("a route without an upstream", route("path = \"/*\"\nrequire = \"jwt\"")),
        ("a route that refuses and forwards", route("path = \"/*\"\nrefuse = true\nupstream = \"orders\"")),
        ("a mistyped word in a rule", route("path = \"/*\"\nrequire = \"jwt and hamc\"\nupstream = \"orders\"")),
        ("a rule that ends too early", route("path = \"/*\"\nrequire = \"jwt and (hmac\"\nupstream = \"orders\"")),
        ("a mistyped word in a rule over lines", route("path = \"/*\"\nrequire = '''\njwt\nor form(office)'''\nupstream = \"orders\"")),
        ("a rule written with escapes", route("path = \"/*\"\nrequire = \"jwt \\u0061nd hamc\"\nupstream = \"orders\"")),
        ("an unknown profile", route("path = \"/*\"\nrequire = \"hmac(aws4)\"\nupstream = \"orders\"")),
        (
            "a profile with holes on many paths",
            route("path = \"/hooks/*\"\nrequire = \"hmac(github)\"\nsigning_key = \"gh\"\nupstream = \"orders\""),
        ),
        ("a profile that names no key", route("path = \"/hook\"\nmethods = [\"POST\"]\nrequire = \"hmac(stripe)\"\nupstream = \"orders\"")),
        ("a key that nothing needs", route("path = \"/*\"\nrequire = \"hmac\"\nsigning_key = \"gh\"\nupstream = \"orders\"")),
        ("profiles that look the same", route("path = \"/*\"\nrequire = \"hmac(sigv4) or hmac(sigv4-s3)\"\nupstream = \"orders\"")),
        ("a self-check that is forwarded", route("path = \"/*\"\nrequire = \"hmac\"\nanswer = \"self-check\"\nupstream = \"orders\"")),
        ("an unknown answer", route("path = \"/*\"\nrequire = \"hmac\"\nanswer = \"echo\"")),
        ("a certificate without TLS", route("path = \"/*\"\nrequire = \"jwt or mtls\"\nupstream = \"orders\"")),
        ("an unknown upstream", route("path = \"/*\"\nrequire = \"jwt\"\nupstream = \"order\"")),
        ("a path that never matches", route("path = [\"/a\", \"/a?b\"]\nrequire = \"jwt\"\nupstream = \"orders\"")),
        ("a reserved path", route("path = \"/api/auth/RefreshToken/\"\nrequire = \"jwt\"\nupstream = \"orders\"")),
        ("a method in lower case", route("path = \"/*\"\nmethods = [\"get\"]\nrequire = \"jwt\"\nupstream = \"orders\"")),
        ("a host with a port", route("host = \"api.example.com:8080\"\npath = \"/*\"\nrequire = \"jwt\"\nupstream = \"orders\"")),
        (
            "two routes for one path",
            route("path = \"/a\"\nrequire = \"jwt\"\nupstream = \"orders\"\n[[route]]\npath = [\"/b\", \"/a\"]\nrefuse = true"),
        ),
        (
            "two routes that differ in case",
            route(
                "path = \"/a\"\nrequire = \"jwt\"\nupstream = \"orders\"\n[[route]]\npath = \"/A\"\nrequire = \"anyone\"\nupstream = \"orders\"",
            ),
        ),
        ("an unknown relaxation", route("path = \"/*\"\nallow = [\"encoded_slashes\"]\nrequire = \"jwt\"\nupstream = \"orders\"")),
        ("an issuer with a slash", verdict_with("tokens.issuer = \"https://api.example.com/\"")),
        ("a session shorter than its refresh", verdict_with("tokens.refresh_idle_seconds = 3600\ntokens.session_seconds = 60")),
        ("two endpoints in one place", verdict_with("tokens.token_path = \"/logout\"\ntokens.refresh_path = true")),
        ("an identity header that is somebody else's", verdict_with("identity_headers.consumer_id = \"Authorization\"")),
        ("two identity headers of one name", verdict_with("identity_headers.consumer_id = \"X-Consumer_Scopes\"")),
        ("an upstream that nobody uses", verdict_with("upstream.spare.url = \"http://127.0.0.1:1\"")),
        ("no route", verdict(GOOD)),
        ("the issuer of a public listener", verdict("[[listener]]\naddress = \"0.0.0.0:8080\"\n")),
    ];
    let mut printed = String::new();
    for (mistake, said) in table {
        printed.push_str(&format!("======== {mistake}\n{said}\n"));
    }
    insta::assert_snapshot!(printed);
}

#[test]
fn what_may_be_a_secret_is_not_printed() {
    for (before, after) in [("hmac_secret = \"", "\""), ("password=\"", "\""), ("[upstream.x]\nurl = \"http://user:", "@host\"")] {
        let said = verdict(&format!("{before}do-not-print-me{after}\n"));
        assert!(said.contains("error:") && !said.contains("do-not-print-me"), "{said}");
    }
}

#[test]
fn the_master_key_comes_from_one_place() {
    let text = |more: &str| format!("{more}{GOOD}");
    let surroundings = |key: bool, file: Option<&str>| Surroundings {
        directory: "/etc/cs".into(),
        master_key: key,
        master_key_file: file.map(Into::into),
    };
    let source = |more: &str, surroundings: Surroundings| check("c", &text(more), &surroundings).map(|checked| checked.config.master_key);
    assert_eq!(source("", surroundings(false, None)).unwrap(), MasterKeySource::Generated("/etc/cs/countersign-data/master.key".into()));
    assert_eq!(source("", surroundings(true, None)).unwrap(), MasterKeySource::Environment);
    assert_eq!(source("", surroundings(false, Some("/k"))).unwrap(), MasterKeySource::File("/k".into()));
    assert_eq!(source("master_key_file = \"k\"\n", surroundings(false, None)).unwrap(), MasterKeySource::File("/etc/cs/k".into()));
    for (more, key, file) in
        [("master_key_file = \"k\"\n", true, None), ("master_key_file = \"k\"\n", false, Some("/k")), ("", true, Some("/k"))]
    {
        let said = source(more, surroundings(key, file)).unwrap_err().to_string();
        assert!(said.contains("given more than once"), "{said}");
    }
}

#[test]
fn upstreams_are_a_host_and_a_port() {
    for (url, authority) in [
        ("http://127.0.0.1:9000", "127.0.0.1:9000"),
        ("http://orders.internal/", "orders.internal:80"),
        ("http://[::1]:9000", "[::1]:9000"),
        ("http://[::1]", "[::1]:80"),
    ] {
        assert_eq!(read_upstream(url).unwrap().as_str(), authority, "{url}");
    }
    for bad in [
        "",
        "orders",
        "http://",
        "http:///x",
        "http://a:0",
        "http://a:",
        "http://a:99999",
        "http://a/b",
        "http://a?b",
        "http://a//",
        "ftp://a",
        "HTTP://a",
        "http://a b",
        "http://a#",
    ] {
        assert!(read_upstream(bad).is_err(), "{bad}");
    }
}

#[test]
fn mistyped_variables_are_named() {
    let found = unknown_variables(["PATH", "COUNTERSIGN_CONFIG", "COUNTERSIGN_MASTERKEY", "COUNTERSIGN_LISTEN"].into_iter());
    let said: Vec<_> = found.iter().map(|finding| (finding.message.as_str(), finding.help.as_deref().unwrap_or_default())).collect();
    assert_eq!(
        said,
        [
            (
                "the environment variable COUNTERSIGN_LISTEN is not one that is read",
                "these are read: COUNTERSIGN_CONFIG, COUNTERSIGN_MASTER_KEY, COUNTERSIGN_MASTER_KEY_FILE"
            ),
            ("the environment variable COUNTERSIGN_MASTERKEY is not one that is read", "did you mean COUNTERSIGN_MASTER_KEY?"),
        ]
    );
}

#[test]
fn sessions_do_not_outlive_their_limit() {
    let times = |more: &str| {
        let tokens = check("c", &format!("{more}\n{GOOD}"), &Surroundings::default()).unwrap().config.tokens;
        (tokens.refresh_idle_time.as_secs(), tokens.session_time.as_secs())
    };
    assert_eq!(times(""), (604_800, 2_592_000));
    assert_eq!(times("tokens.session_seconds = 3600"), (3600, 3600));
    assert_eq!(times("tokens.refresh_idle_seconds = 8640000"), (8_640_000, 8_640_000));
}

#[test]
fn access_tokens_of_seconds_are_taken_with_a_warning() {
    let said = |seconds: u32| verdict_with(&format!("tokens.access_seconds = {seconds}"));
    assert!(said(1).starts_with("accepted") && said(1).contains("warning: access tokens live 1 s"), "{}", said(1));
    assert!(!said(60).contains("access tokens live"), "{}", said(60));
    assert!(said(0).contains("0 is out of range"), "{}", said(0));
}
