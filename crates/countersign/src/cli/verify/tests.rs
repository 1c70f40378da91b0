use super::*;

/// A file that exists as long as the test.
fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn verify(words: &str, keys: &str, request: &str) -> Result<String, Failure> {
    use clap::{Args as _, FromArgMatches as _};
    let keys = file(keys);
    let command = VerifyArgs::augment_args(clap::Command::new("verify"));
    let words = ["verify", "--keys", keys.path().to_str().unwrap()].into_iter().chain(words.split_whitespace());
    let arguments = VerifyArgs::from_arg_matches(&command.get_matches_from(words)).unwrap();
    judge(
        &arguments,
        request.as_bytes(),
        UnixMillis::from_seconds(1_764_000_012),
        Style { bold: "", dim: "", good: "", bad: "", plain: "" },
    )
}

fn refused(words: &str, keys: &str, request: &str) -> String {
    match verify(words, keys, request) {
        Err(Failure::Answered(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn wrong(words: &str, keys: &str, request: &str) -> String {
    match verify(words, keys, request) {
        Err(failure @ Failure::Usage(_)) => {
            assert_eq!(failure.status(), 2);
            let Failure::Usage(text) = failure else { panic!() };
            text
        }
        other => panic!("{other:?}"),
    }
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

const KEYS: &str = r#"{"ck_example": ["css_example", "css_other"]}"#;

/// The example of docs/reference/signatures.md.
const EXAMPLE: &str = "GET /api/v3.0/orders?limit=10 HTTP/1.1\r\nHost: api.example.com\r\nX-Key-Id: ck_example\r\nX-Timestamp: 1764000000\r\n\
X-Nonce: 0123456789abcdef\r\nX-Signature: v3=4dc288d11cc8e328cdf4e5d87a4659259fa4c87478daed5282463a04f7e234ca\r\n\r\n";

#[test]
fn an_accepted_signature_is_shown_with_what_it_rests_on() {
    insta::assert_snapshot!(verify("", KEYS, EXAMPLE).unwrap());
}

#[test]
fn a_refused_signature_is_shown_with_what_was_signed() {
    let own = file("v3.0\nck_example\n1764000000\n0123456789abcdef\nPOST\napi.example.com\n/api/v3.0/orders\n");
    let request =
        EXAMPLE.replace("GET /api", "POST /api/.").replace("\r\n\r\n", "\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\na\t\n");
    insta::assert_snapshot!(refused(&format!("--string-to-sign {}", own.path().display()), KEYS, &request));
}

#[test]
fn programs_are_told_the_same() {
    let accepted = json(&verify("--json", KEYS, EXAMPLE).unwrap());
    assert_eq!(accepted["decision"], "accept");
    assert_eq!((&accepted["code"], &accepted["detail"], &accepted["gateway"]), (&json("null"), &json("null"), &json("null")));
    assert_eq!((accepted["profile"].as_str(), accepted["key_id"].as_str()), (Some("v3.0"), Some("ck_example")));
    assert_eq!(accepted["secret"], 1);
    assert_eq!(accepted["fields"]["nonce"], "0123456789abcdef");
    assert_eq!((accepted["signed_at"].as_i64(), accepted["good_until"].as_i64()), (Some(1_764_000_000), Some(1_764_000_300)));
    assert_eq!(accepted["string_to_sign"].as_str().unwrap().lines().count(), 9);
    assert_eq!(accepted["coverage"]["uncovered"], json("[]"));
    assert!(accepted.get("difference").is_none());

    let late = json(&refused("--json --at 1764000301", KEYS, EXAMPLE));
    assert_eq!((late["decision"].as_str(), late["code"].as_str()), (Some("refuse"), Some("timestamp_too_old")));
    assert_eq!(late["detail"], "the timestamp is 301 s in the past by our clock; 300 s are accepted");
}

#[test]
fn each_way_not_to_be_signed_has_its_code() {
    let code = |keys: &str, request: &str| {
        let said = json(&refused("--json", keys, request));
        (said["code"].as_str().unwrap().to_owned(), said["detail"].as_str().unwrap_or_default().to_owned())
    };
    let unsigned = code(KEYS, "GET / HTTP/1.1\nHost: h\n\n");
    assert_eq!(unsigned, ("credentials_required".into(), "the request shows no signature of the profile v3.0".into()));
    assert_eq!(code(KEYS, &EXAMPLE.replace("v3=4", "v3=g")).0, "signature_malformed");
    assert_eq!(code(r#"{"ck_example": "css_wrong"}"#, EXAMPLE), ("signature_mismatch".into(), String::new()));
    let unknown = code(r#"{"ck_1": "css_example"}"#, EXAMPLE);
    assert_eq!(unknown, ("signature_mismatch".into(), "the keys file has no key \"ck_example\"".into()));
}

#[test]
fn what_the_gateway_refuses_before_is_said_beside_the_decision() {
    // What github signs is the body, whatever the path.
    let request = "POST /a/../b HTTP/1.1\nHost: h\n\
        X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\n\nHello, World!";
    let keys = r#"{"@route": "It's a Secret to Everybody"}"#;
    let said = json(&verify("--json --profile github", keys, request).unwrap());
    assert_eq!((said["decision"].as_str(), said["gateway"]["code"].as_str()), (Some("accept"), Some("dot_segment")));
    assert_eq!(said["key_id"], json("null"));
    assert!(verify("--profile github", keys, request).unwrap().contains("before it looks at the signature: dot_segment"));
}

#[test]
fn a_callers_own_string_is_compared() {
    let string = "v3.0\nck_example\n1764000000\n0123456789abcdef\nGET\napi.example.com\n/api/v3.0/orders?limit=10\n\n\
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let compared = |own: &str| {
        let own = file(own);
        json(&verify(&format!("--json --string-to-sign {}", own.path().display()), KEYS, EXAMPLE).unwrap())["difference"].clone()
    };
    assert_eq!(compared(string), json("null"));
    assert_eq!(compared(&format!("{string}\n"))["byte"], 65);
    let other = compared(&string.replace("GET", "get"));
    assert_eq!(
        (&other["line"], &other["byte"], &other["expected"], &other["given"]),
        (&5.into(), &1.into(), &"GET\n".into(), &"get\n".into())
    );
}

#[test]
fn secrets_are_never_shown() {
    // The secret stands in the string to sign of this scheme.
    let request = "POST /v3/pay HTTP/1.1\nHost: h\nX-LINE-ChannelId: 7\nX-LINE-Authorization-Nonce: 01234567-89ab-4cde-8f01-23456789abcd\n\
        X-LINE-Authorization: JwhT/kiEmzfzFq42C+F1QWB4ZZMrqntqVri472da4HU=\n\n{}";
    let own = file("line-pay-secret/v3/pay{}01234567-89ab-4cde-8f01-23456789abce");
    for words in ["", "--json"] {
        let words = format!("{words} --profile line-pay --string-to-sign {}", own.path().display());
        let said = verify(&words, r#"{"7": ["other", {"secret": "line-pay-secret"}]}"#, request).unwrap();
        assert!(
            said.contains("<secret>/v3/pay{}01234567-89ab-4cde-8f01-23456789abcd")
                && said.contains("<secret>/v3/pay{}01234567-89ab-4cde-8f01-23456789abce"),
            "{said}"
        );
        assert!(!said.contains("line-pay-secret"), "{said}");
    }
}

#[test]
fn what_cannot_be_judged_is_wrong_usage() {
    assert!(wrong("", KEYS, "").contains("not an HTTP request: it is empty"));
    assert!(wrong("", KEYS, "hello").contains("METHOD target HTTP/1.1"));
    assert!(wrong("--profile nothing-like-it", KEYS, EXAMPLE).contains("no built-in profile"));
    assert!(wrong("--profile /nowhere.toml", KEYS, EXAMPLE).contains("/nowhere.toml cannot be read"));
    assert!(wrong("--set a=b", KEYS, EXAMPLE).contains("no constant a"));
    assert!(wrong("--string-to-sign /nowhere", KEYS, EXAMPLE).contains("/nowhere cannot be read"));
    assert!(wrong("", "not JSON", EXAMPLE).contains("cannot be used: line 1, column "));
    assert!(wrong("--profile standardwebhooks", r#"{"@route": "!"}"#, WEBHOOK).contains("the key \"@route\" cannot be used"));
}

const WEBHOOK: &str = "POST / HTTP/1.1\nHost: h\nwebhook-id: msg_1\nwebhook-timestamp: 1764000000\nwebhook-signature: v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n{}";

#[test]
fn input_beyond_the_limit_is_wrong_usage() {
    let endless = io::repeat(b'a');
    assert_eq!(read_all(endless).unwrap_err(), "there are more than 67108864 bytes");
}

#[test]
fn moments_are_unix_seconds_or_dates() {
    for (text, millis) in [
        ("0", 0),
        ("1764000000", 1_764_000_000_000),
        ("1440938160.0", 1_440_938_160_000),
        ("1.5", 1_500),
        ("1.0479999", 1_047),
        ("2025-11-24T16:00:00Z", 1_764_000_000_000),
    ] {
        assert_eq!(text.parse(), Ok(Moment(UnixMillis::from_millis(millis))), "{text}");
    }
    for bad in ["", ".", ".5", "1.2.3", "-1", "now", "99999999999999999999"] {
        assert!(bad.parse::<Moment>().is_err(), "{bad}");
    }
}
