//! The examples of RFC 9421, value by value.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::signature::rfc9421::strict::{FieldType, write};

/// Section 2.1, and the request of the empty header.
fn fields() -> Request {
    let headers = [
        ("date", "Tue, 20 Apr 2021 02:07:56 GMT"),
        ("x-ows-header", "   Leading and trailing whitespace.   "),
        // Unfolded already: folded lines are refused with the head of the request.
        ("x-obs-fold-header", "Obsolete line folding."),
        ("cache-control", "max-age=60"),
        ("cache-control", "   must-revalidate"),
        ("example-dict", "  a=1,    b=2;x=1;y=2,   c=(a   b   c), d"),
        ("x-empty-header", ""),
    ];
    Request::new("POST", "www.example.com", "/path?param=value", &headers)
}

#[test]
fn fields_are_trimmed_and_joined() {
    for line in [
        "\"host\": www.example.com",
        "\"date\": Tue, 20 Apr 2021 02:07:56 GMT",
        "\"x-ows-header\": Leading and trailing whitespace.",
        "\"x-obs-fold-header\": Obsolete line folding.",
        "\"cache-control\": max-age=60, must-revalidate",
        "\"example-dict\": a=1,    b=2;x=1;y=2,   c=(a   b   c), d",
        "\"x-empty-header\": ",
        "\"example-dict\";key=\"a\": 1",
        "\"example-dict\";key=\"d\": ?1",
        "\"example-dict\";key=\"b\": 2;x=1;y=2",
        "\"example-dict\";key=\"c\": (a b c)",
    ] {
        let component = line.split_once(": ").unwrap().0;
        assert_eq!(fields().line(component).unwrap(), line);
    }
}

#[test]
fn structured_fields_are_written_in_one_form() {
    let strict = |kind, lines: &[&'static str]| {
        let lines: Vec<_> = lines.iter().map(|line| HeaderValue::from_static(line)).collect();
        let mut text = String::new();
        write(kind, &lines, &mut text).map(|()| text).map_err(|wrong| wrong.to_string())
    };
    // Section 2.1.1. That Example-Dict is a dictionary is known to the example only.
    let dictionary = "a=1,    b=2;x=1;y=2,   c=(a   b   c)";
    assert_eq!(strict(FieldType::Dictionary, &[dictionary]).unwrap(), "a=1, b=2;x=1;y=2, c=(a b c)");
    for (kind, lines, canonical) in [
        (FieldType::Dictionary, &["u=1", "i;x=?1, e=?0"][..], "u=1, i;x, e=?0"),
        (FieldType::Dictionary, &["a;x=1.50,b=();y,\tc=( 1  \"\\\"\" )"], "a;x=1.5, b=();y, c=(1 \"\\\"\")"),
        (FieldType::Dictionary, &[""], ""),
        (FieldType::List, &["a,b;q=00.50", "(c   d);x", ":AA:"], "a, b;q=0.5, (c d);x, :AA==:"),
        (FieldType::Item, &["  \"a b\"; x=-0;y "], "\"a b\";x=0;y"),
        (FieldType::Item, &["?1"], "?1"),
        (FieldType::Item, &["@1659578233"], "@1659578233"),
    ] {
        assert_eq!(strict(kind, lines).unwrap(), canonical, "{lines:?}");
    }
    for (kind, lines, wrong) in [
        (FieldType::Dictionary, &["a=1, b, a=2"][..], "a comes twice"),
        (FieldType::Dictionary, &["a=1", "a=2"], "a comes twice"),
        (FieldType::Dictionary, &["a=1;x;y;x"], "x comes twice"),
        (FieldType::Dictionary, &["a=\"x", "y\""], "unterminated string at index 4"),
        (FieldType::List, &["(a;x;x)"], "x comes twice"),
        (FieldType::Item, &["a", "b"], "it came more than once"),
        (FieldType::Item, &["a, b"], "trailing characters after parsed value at index 1"),
    ] {
        assert_eq!(strict(kind, lines).unwrap_err(), wrong, "{lines:?}");
    }
    let request = Request::new("GET", "example.com", "/", &[("priority", "u=1,    i;x=?1")]);
    assert_eq!(request.line("\"priority\";sf").unwrap(), "\"priority\";sf: u=1, i;x");
}

/// Section 2.1.3.
#[test]
fn binary_wrapping_tells_apart_what_joining_does_not() {
    let two = Request::new("GET", "example.com", "/", &[("example-header", "value, with, lots"), ("example-header", "of, commas")]);
    let one = Request::new("GET", "example.com", "/", &[("example-header", "value, with, lots, of, commas")]);
    for request in [&two, &one] {
        assert_eq!(request.line("\"example-header\"").unwrap(), "\"example-header\": value, with, lots, of, commas");
    }
    let wrapped = |request: &Request| request.line("\"example-header\";bs").unwrap();
    assert_eq!(wrapped(&two), "\"example-header\";bs: :dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:");
    assert_eq!(wrapped(&one), "\"example-header\";bs: :dmFsdWUsIHdpdGgsIGxvdHMsIG9mLCBjb21tYXM=:");
}

/// Sections 2.2.1 to 2.2.7.
#[test]
fn derived_components_are_what_the_request_says() {
    let mut request = fields();
    for line in [
        "\"@method\": POST",
        "\"@target-uri\": https://www.example.com/path?param=value",
        "\"@authority\": www.example.com",
        "\"@scheme\": https",
        "\"@request-target\": /path?param=value",
        "\"@path\": /path",
        "\"@query\": ?param=value",
    ] {
        assert_eq!(request.line(line.split_once(": ").unwrap().0).unwrap(), line);
    }
    request.scheme = Scheme::Http;
    assert_eq!(request.line("\"@scheme\"").unwrap(), "\"@scheme\": http");
    assert_eq!(request.line("\"@target-uri\"").unwrap(), "\"@target-uri\": http://www.example.com/path?param=value");
    for (target, query) in [
        ("/path?param=value&foo=bar&baz=bat%2Dman", "?param=value&foo=bar&baz=bat%2Dman"),
        ("/path?queryString", "?queryString"),
        ("/path", "?"),
        ("/path?", "?"),
    ] {
        request.target = target.to_owned();
        assert_eq!(request.line("\"@query\"").unwrap(), format!("\"@query\": {query}"));
        assert_eq!(request.line("\"@path\"").unwrap(), "\"@path\": /path");
    }
}

/// Section 2.2.8.
#[test]
fn query_parameters_are_decoded_and_encoded_in_one_way() {
    let mut request = fields();
    for (target, lines) in [
        (
            "/path?param=value&foo=bar&baz=batman&qux=",
            &["\"@query-param\";name=\"baz\": batman", "\"@query-param\";name=\"qux\": ", "\"@query-param\";name=\"param\": value"][..],
        ),
        (
            "/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something",
            &[
                "\"@query-param\";name=\"var\": this%20is%20a%20big%0Amultiline%20value",
                "\"@query-param\";name=\"bar\": with%20plus%20whitespace",
                "\"@query-param\";name=\"fa%C3%A7ade%22%3A%20\": something",
            ],
        ),
        (
            "/?&&=empty&flag&a=%zz%4&b=%7e~*-._!'()/&%63=c=c&B=%ff",
            &[
                "\"@query-param\";name=\"\": empty",
                "\"@query-param\";name=\"flag\": ",
                "\"@query-param\";name=\"a\": %25zz%254",
                "\"@query-param\";name=\"b\": %7E%7E*-._%21%27%28%29%2F",
                "\"@query-param\";name=\"c\": c%3Dc",
            ],
        ),
    ] {
        request.target = target.to_owned();
        for line in lines {
            assert_eq!(request.line(line.rsplit_once(": ").unwrap().0).unwrap(), *line);
        }
    }
}

/// Section 2.5, and appendices B.2.1, B.2.2, B.2.3, B.2.5, B.2.6 (B.2.4 signs a response).
#[test]
fn the_bases_of_the_appendix_are_built() {
    let digest = "\"content-digest\": sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:\n";
    let date = "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n";
    let (authority, method, path) = ("\"@authority\": example.com\n", "\"@method\": POST\n", "\"@path\": /foo\n");
    let (kind, length) = ("\"content-type\": application/json\n", "\"content-length\": 18\n");
    for (lines, params) in [
        (
            [method, authority, path, digest, length, kind].concat(),
            r#"("@method" "@authority" "@path" "content-digest" "content-length" "content-type");created=1618884473;keyid="test-key-rsa-pss""#,
        ),
        (String::new(), r#"();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#),
        (
            [authority, digest, "\"@query-param\";name=\"Pet\": dog\n"].concat(),
            r#"("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example""#,
        ),
        (
            [date, method, path, "\"@query\": ?param=Value&Pet=dog\n", authority, kind, digest, length].concat(),
            r#"("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss""#,
        ),
        ([date, authority, kind].concat(), r#"("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#),
        (
            [date, method, path, authority, kind, length].concat(),
            r#"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
        ),
    ] {
        assert_eq!(Request::test_request().base(params).unwrap(), format!("{lines}\"@signature-params\": {params}"));
    }
}

/// Appendix B.2.5 with the secret of B.1.5, read from the fields to the MAC.
#[test]
fn the_hmac_of_the_appendix_verifies() {
    let request = Request::test_request().signed(
        r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
        "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
    );
    let found = choose(find(&request.headers).unwrap(), None, Some("sig-b25")).unwrap().unwrap();
    assert_eq!((found.created(), found.keyid(), found.expires()), (Some(1_618_884_473), Some("test-shared-secret"), None));
    let secret = STANDARD.decode("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==").unwrap();
    let base = signature_base(&found, &request.message(), &mut |_| ()).unwrap();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &secret), &base, found.mac()).unwrap();
}

/// Section 4.3 and appendix B.4: what a proxy adds, and what does not change the meaning.
#[test]
fn what_does_not_change_the_meaning_does_not_change_the_base() {
    let params = r#"("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519""#;
    let accept =
        |lines: &[(&str, &str)]| Request::new("GET", "example.org", "/demo?name1=Value1&Name2=value2", lines).base(params).unwrap();
    let base = accept(&[("accept", "application/json"), ("accept", "*/*")]);
    let lines = "\"@method\": GET\n\"@path\": /demo\n\"@authority\": example.org\n\"accept\": application/json, */*\n";
    assert_eq!(base, format!("{lines}\"@signature-params\": {params}"));
    assert_eq!(accept(&[("referer", "https://developer.example.org/demo"), ("accept", "application/json, */*")]), base);
    assert_ne!(accept(&[("accept", "*/*"), ("accept", "application/json")]), base);

    let request = Request::test_request().signed(r#"sig1=("@method");keyid="a""#, "sig1=:AAEC:");
    assert_eq!(request.line("\"signature\";key=\"sig1\"").unwrap(), "\"signature\";key=\"sig1\": :AAEC:");
}
