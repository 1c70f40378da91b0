//! What is refused, and in which words; what a signature reaches.

use super::*;

/// What the client is told of a request whose fields are these.
fn found(input: &[&str], signature: &[&str]) -> String {
    let mut request = Request::test_request();
    input.iter().for_each(|line| request.add("signature-input", line));
    signature.iter().for_each(|line| request.add("signature", line));
    let chosen = find(&request.headers).and_then(|found| choose(found, None, Some("a")));
    chosen.map_or_else(detail, |found| panic!("{found:?}"))
}

#[test]
fn fields_that_are_not_well_formed_are_refused() {
    let one = |input: &str| found(&[input], &["a=:AA==:"]);
    for (input, words) in [
        ("", "a is in Signature but not in Signature-Input"),
        ("b=()", "a is in Signature but not in Signature-Input"),
        ("a", "a must be the covered components in parentheses"),
        ("a=\"@method\"", "a must be the covered components in parentheses"),
        ("a=(\"@method\"", "Signature-Input: unterminated inner list at index 12"),
        ("a=(\"date\"\"date\")", "Signature-Input: expected inner list delimiter (' ' or ')') at index 9"),
        ("a=(date)", "component date: the name of a covered component is a string: put it in double quotes"),
        ("a=(),", "Signature-Input: trailing comma at index 4"),
        ("A=()", "Signature-Input: expected start of key ('a'-'z' or '*') at index 0"),
        ("a=(), a=()", "a comes twice"),
        ("a=();created=1;created=1", "created comes twice"),
        ("a=();created", "created must be whole seconds of Unix time"),
        ("a=();created=1.0", "created must be whole seconds of Unix time"),
        ("a=();created=\"1\"", "created must be whole seconds of Unix time"),
        ("a=();created=-1", "created must be whole seconds of Unix time"),
        ("a=();created=@1", "created must be whole seconds of Unix time"),
        ("a=();created=1000000000000000", "Signature-Input: too many digits at index 28"),
        ("a=();expires=?1", "expires must be whole seconds of Unix time"),
        ("a=();keyid=k", "keyid must be a string in double quotes"),
        ("a=();nonce=1", "nonce must be a string in double quotes"),
        ("a=();alg=hmac-sha256", "alg must be a string in double quotes"),
        ("a=();tag=:AA==:", "tag must be a string in double quotes"),
        ("a=();keyid=\"\u{e9}\"", "Signature-Input: invalid string character at index 12"),
    ] {
        assert_eq!(one(input), words, "{input}");
    }
    for (signature, words) in [
        ("a=\"AA==\"", "a must be base64 between colons"),
        ("a", "a must be base64 between colons"),
        ("a=(:AA==:)", "a must be base64 between colons"),
        ("a=:A", "Signature: unterminated byte sequence at index 4"),
        ("a=:A*==:", "Signature: invalid byte sequence at index 4"),
        ("a=:AA==:, a=:AA==:", "a comes twice"),
        ("key=\"a\",signature=\"b\"", "a is in Signature-Input but not in Signature"),
    ] {
        assert_eq!(found(&["a=()"], &[signature]), words, "{signature}");
    }
    // Nor in several lines.
    assert_eq!(found(&["a=()", "a=()"], &["a=:AA==:"]), "a comes twice");
    assert_eq!(found(&["a=();keyid=\"x", "y\""], &["a=:AA==:"]), "Signature-Input: unterminated string at index 13");
    assert_eq!(found(&[], &["a=:AA==:"]), "a is in Signature but not in Signature-Input");
    assert_eq!(found(&["a=()"], &[]), "a is in Signature-Input but not in Signature");
}

#[test]
fn limits_are_exact() {
    let labels = |count: usize, value: &str| (0..count).map(|i| format!("a{i}={value}")).collect::<Vec<_>>().join(", ");
    let request = |count| Request::test_request().signed(&labels(count, "()"), &labels(count, ":AA==:"));
    assert_eq!(find(&request(MOST_LABELS).headers).unwrap().len(), MOST_LABELS);
    assert_eq!(find(&request(MOST_LABELS + 1).headers).map_or_else(detail, |_| String::new()), "Signature-Input: more than 8 signatures");
    assert_eq!(found(&["a=()"], &[&labels(MOST_LABELS + 1, ":AA==:")]), "Signature: more than 8 signatures");

    let covered = |count: usize| format!("({})", (0..count).map(|i| format!("\"date\";key=\"{i}\"")).collect::<Vec<_>>().join(" "));
    let words = |params: &str| Request::test_request().base(params).unwrap_or_else(detail);
    assert!(words(&covered(MOST_COMPONENTS)).contains("component \"date\";key=\"0\": "), "only the value is wrong");
    assert_eq!(words(&covered(MOST_COMPONENTS + 1)), "Signature-Input: a signature may cover at most 64 components");
    let parameters = |count: usize| (0..count).map(|i| format!(";x{i}")).collect::<String>();
    assert!(words(&format!("(){}", parameters(MOST_PARAMETERS))).ends_with(";x15"));
    assert_eq!(words(&format!("(){}", parameters(MOST_PARAMETERS + 1))), "Signature-Input: more than 16 parameters");
    let component = format!("(\"date\"{})", parameters(MOST_PARAMETERS + 1));
    assert_eq!(words(&component), "Signature-Input: a component may have at most 16 parameters");

    let dictionary = |count: usize| {
        let mut request = Request::test_request();
        request.add("priority", &labels(count, "1"));
        request.line("\"priority\";sf").unwrap_or_else(detail)
    };
    assert!(dictionary(MOST_MEMBERS).ends_with(", a63=1"));
    assert_eq!(dictionary(MOST_MEMBERS + 1), "component \"priority\";sf: more than 64 keys");

    // Reading parts of a long value again and again.
    let mut long = Request::test_request();
    long.add("long", &labels(MOST_READ / 4 / 9, "abcd").chars().take(MOST_READ / 4).collect::<String>());
    let covered = |count: usize| format!("({})", (0..count).map(|i| format!("\"long\";key=\"a{i}\"")).collect::<Vec<_>>().join(" "));
    assert!(long.base(&covered(4)).is_ok());
    assert!(detail(long.base(&covered(5)).unwrap_err()).contains("sign the whole field"));
    long.target = format!("/?a=1&b=2&c=3&d=4&e={}", "x".repeat(MOST_READ / 4 - 18));
    let covered =
        |names: &[&str]| format!("({})", names.iter().map(|n| format!("\"@query-param\";name=\"{n}\"")).collect::<Vec<_>>().join(" "));
    assert!(long.base(&covered(&["a", "b", "c", "d"])).is_ok());
    assert!(detail(long.base(&covered(&["a", "b", "c", "d", "e"])).unwrap_err()).contains("sign the whole field"));
}

#[test]
fn components_whose_value_cannot_be_had_are_refused() {
    let mut request = Request::test_request();
    request.target = "/foo?a=1&a=2&b=%ff&Pet=dog".to_owned();
    request.add("x-latin", "caf\u{e9}");
    request.add("x-dict", "a=1, b, b=2");
    request.add("priority", "u=");
    for (component, words) in [
        ("\"Date\"", "it is not the name of a field in lower case"),
        ("\"da te\"", "it is not the name of a field in lower case"),
        ("\"\"", "it is not the name of a field in lower case"),
        ("\"x-absent\"", "it is covered but was not sent"),
        ("\"x-absent\";bs", "it is covered but was not sent"),
        ("\"x-absent\";key=\"a\"", "it is covered but was not sent"),
        ("\"content-digest\";key=\"sha-256\"", "it has no such key"),
        ("\"x-dict\";key=\"b\"", "b comes twice"),
        ("\"date\";key=\"a\"", "expected start of key ('a'-'z' or '*') at index 0"),
        ("\"sec-fetch-mode\";key=\"a\"", "this field is not a dictionary: leave key out"),
        ("\"priority\";sf", "expected start of bare item at index 2"),
        ("\"date\";sf", "the structured type of this field is not known here: leave sf out"),
        ("\"date\";sf=?0", "sf has no value: write ;sf"),
        ("\"date\";bs=1", "bs has no value: write ;bs"),
        ("\"content-digest\";sf;bs", "bs goes neither with sf nor with key"),
        ("\"content-digest\";key=\"sha-512\";bs", "bs goes neither with sf nor with key"),
        ("\"content-digest\";key=a", "the value of key is a string: put it in double quotes"),
        ("\"content-digest\";sf;sf", "the parameter sf comes twice"),
        ("\"content-digest\";key=\"a\";key=\"a\"", "the parameter key comes twice"),
        ("\"date\";req", "req is for responses: leave it out"),
        ("\"@method\";req", "req is for responses: leave it out"),
        ("\"date\";tr", "trailers do not pass this gateway: sign a header instead"),
        ("\"date\";name=\"a\"", "name is for @query-param: leave it out"),
        ("\"date\";x", "the parameter x is not known here"),
        ("\"x-latin\"", "the value is not ASCII: sign it with ;bs"),
        ("\"@method\";sf", "sf, bs and key are for fields: leave them out"),
        ("\"@method\";name=\"a\"", "name is for @query-param: leave it out"),
        ("\"@status\"", "requests have no status: leave it out"),
        ("\"@signature-params\"", "it is always signed: leave it out of the list"),
        ("\"@Method\"", "it is not known here"),
        ("\"@query-params\";name=\"a\"", "it is not known here"),
        ("\"@query-param\"", "say which: ;name=\"...\""),
        ("\"@query-param\";name=\"c\"", "there is no such parameter"),
        ("\"@query-param\";name=\"P%65t\"", "there is no such parameter"),
        ("\"@query-param\";name=\"a\"", "the parameter comes more than once: sign @query instead"),
        ("\"@query-param\";name=\"b\"", "the value is not UTF-8: sign @query instead"),
    ] {
        let refused = request.line(component).map_or_else(detail, |line| panic!("{component} gave {line}"));
        assert_eq!(refused, format!("component {component}: {words}"));
    }
    for list in [
        "\"date\" \"date\"",
        "\"date\" \"@method\" \"date\"",
        "\"@method\" \"@method\"",
        "\"content-digest\";key=\"a\";sf \"content-digest\";sf;key=\"a\"",
        "\"@query-param\";name=\"Pet\" \"@query-param\";name=\"Pet\"",
    ] {
        assert!(detail(request.line(list).unwrap_err()).ends_with("it is listed twice"), "{list}");
    }
    // Different parameters make different components.
    assert!(request.line("\"content-digest\" \"content-digest\";bs \"content-digest\";key=\"sha-512\" \"content-digest\";sf").is_ok());
}

#[test]
fn a_signature_reaches_what_it_covers_in_full_and_no_more() {
    let mut request = Request::test_request();
    let header = |name: &str| format!("Header({:?})", HeaderName::from_bytes(name.as_bytes()).unwrap());
    for (component, parts) in [
        ("@method", &["Method"][..]),
        ("@target-uri", &["Scheme", "Host", "Path", "Query"]),
        ("@authority", &["Host"]),
        ("@scheme", &["Scheme"]),
        ("@request-target", &["Path", "Query"]),
        ("@path", &["Path"]),
        ("@query", &["Query"]),
        ("@query-param;name=\"Pet\"", &[]),
        ("content-digest;key=\"sha-512\"", &[]),
        ("content-digest", &[&header("content-digest")]),
        ("content-digest;sf", &[&header("content-digest")]),
        ("content-digest;bs", &[&header("content-digest")]),
        ("host", &["Host", &header("host")]),
    ] {
        assert_eq!(request.reached(component), parts, "{component}");
    }
    // `@query` is `?` with an empty query and without one.
    request.target = "/foo".to_owned();
    assert_eq!(request.reached("@query"), ["Query"]);
    request.target = "/foo?".to_owned();
    assert_eq!(request.reached("@query"), [""; 0]);
    assert_eq!(request.reached("@request-target"), ["Path", "Query"]);
}

#[test]
fn the_wanted_signature_is_chosen_and_others_are_not_judged() {
    let request = Request::test_request().signed(
        r#"proxy=("@future";x=1 "date" "date");tag="proxy", ours=("date");tag="app", other=();tag="app""#,
        "ours=:AQ==:, proxy=:AA==:;x, other=:Ag==:",
    );
    let chosen = |tag, label| {
        let found = choose(find(&request.headers).unwrap(), tag, label).map_err(|refusal| refusal.code)?;
        Ok::<_, Code>(found.map(|found| (found.label().to_owned(), found.mac().to_vec())))
    };
    let ours = Ok(Some(("ours".to_owned(), vec![1])));
    assert_eq!(chosen(None, Some("ours")), ours);
    assert_eq!(chosen(Some("app"), Some("ours")), ours);
    assert_eq!(chosen(Some("app"), Some("proxy")), Ok(None));
    assert_eq!(chosen(Some("App"), None), Ok(None));
    assert_eq!(chosen(Some("app"), None), Err(Code::AmbiguousCredentials));
    assert_eq!(chosen(None, None), Err(Code::AmbiguousCredentials));
    assert_eq!(chosen(Some("proxy"), None), Err(Code::SignatureMalformed));
    assert!(choose(find(&HeaderMap::new()).unwrap(), None, None).unwrap().is_none());
}
