use proptest::prelude::*;

use super::*;

const PLAIN: [&str; 26] = [
    "lower",
    "upper",
    "trim",
    "squeeze",
    "squeeze_unquoted",
    "escape_lines",
    "hex",
    "base64",
    "base64url",
    "unhex",
    "unbase64",
    "unbase64url",
    "uuid",
    "length",
    "md5",
    "sha1",
    "sha256",
    "sha384",
    "sha512",
    "pct",
    "pct_path",
    "pct_form",
    "pct_uri",
    "pct_dotnet",
    "unpct",
    "unpct_form",
];

fn filter(name: &str, arguments: &[&str]) -> Filter {
    let arguments: Vec<_> = arguments.iter().map(|text| text.as_bytes().to_vec()).collect();
    Filter::parse(name, &arguments).unwrap().unwrap()
}

/// What a filter makes of `text`, and whether it cut something off.
fn made(name: &str, arguments: &[&str], text: &str) -> Option<(String, bool)> {
    let applied = filter(name, arguments).apply(Bytes::Lent(text.as_bytes()))?;
    Some((String::from_utf8(applied.bytes.as_slice().to_vec()).unwrap(), applied.cut))
}

fn whole(name: &str, arguments: &[&str], text: &str) -> String {
    let (text, cut) = made(name, arguments, text).unwrap();
    assert!(!cut, "{name} cut something off");
    text
}

#[test]
fn header_values_are_trimmed_and_squeezed_as_amazon_does() {
    // get-header-value-trim of the suite for Signature Version 4.
    assert_eq!(whole("squeeze", &[], &whole("trim", &[], " value1 ")), "value1");
    assert_eq!(whole("squeeze", &[], "\"a   b   c\""), "\"a b c\"");
    assert_eq!(whole("squeeze", &[], "a \t b\tc  "), "a b c ");
}

#[test]
fn quoted_text_is_not_squeezed_as_escher_wants_it() {
    assert_eq!(whole("squeeze_unquoted", &[], "a   \"b   c\"   d"), "a \"b   c\" d");
    assert_eq!(whole("squeeze_unquoted", &[], "a  \"b\tc  \""), "a \"b\tc  \"");
    assert_eq!(whole("squeeze_unquoted", &[], "\"a  \\\"  b\""), "\"a  \\\" b\"", "a backslash does not matter");
    assert_eq!(whole("squeeze_unquoted", &[], "a  \"b  "), "a \"b  ");
}

#[test]
fn lines_are_escaped_as_hawk_does() {
    assert_eq!(whole("escape_lines", &[], "a\\b\nc"), "a\\\\b\\nc");
}

#[test]
fn text_is_replaced_from_left_to_right() {
    assert_eq!(whole("replace", &["/", "-"], "/api/v2/"), "-api-v2-");
    assert_eq!(whole("replace", &["aa", "a"], "aaaaa"), "aaa");
    assert_eq!(whole("replace", &["%", "%25"], "a%b"), "a%25b");
    assert_eq!(whole("replace", &["-", ""], "2012-08-21"), "20120821");
}

#[test]
fn what_is_left_out_is_said() {
    // The times of Tencent COS.
    assert_eq!(made("before", &[";"], "1480932292;1480981892"), Some(("1480932292".into(), true)));
    assert_eq!(made("after", &[";"], "1480932292;1480981892"), Some(("1480981892".into(), true)));
    assert_eq!(made("before", &[";"], "text/plain"), Some(("text/plain".into(), false)));
    assert_eq!(made("after", &[";"], "text/plain"), Some((String::new(), true)));
    assert_eq!(made("after", &[";"], ""), Some((String::new(), false)));
    assert_eq!(made("before", &[";"], "text/plain;"), Some(("text/plain".into(), true)));
    assert_eq!(made("take", &["8"], "20150830T123600Z"), Some(("20150830".into(), true)));
    assert_eq!(made("length", &[], "hello world"), Some(("11".into(), true)));
    assert_eq!(made("length", &[], ""), Some(("0".into(), false)));
    assert_eq!(made("take", &["8"], "20150830"), Some(("20150830".into(), false)));
}

#[test]
fn prefixes_are_taken_away() {
    assert_eq!(made("strip_prefix", &["v0="], "v0=ab"), Some(("ab".into(), false)));
    assert_eq!(made("strip_prefix", &["v0="], "v1=ab"), None);
    // With the prefix or without it the text is the same.
    assert_eq!(made("drop_prefix", &["whsec_"], "whsec_MfKQ"), Some(("MfKQ".into(), true)));
    assert_eq!(whole("drop_prefix", &["whsec_"], "MfKQ"), "MfKQ");
    assert_eq!(made("drop_suffix", &["/"], "/a/"), Some(("/a".into(), true)));
    assert_eq!(whole("drop_suffix", &["/"], "/a"), "/a");
    assert_eq!(whole("is", &["sha1", "sha256"], "sha256"), "sha256");
    assert_eq!(made("is", &["sha1", "sha256"], "SHA256"), None);
}

#[test]
fn a_scheme_is_a_whole_word_in_any_case() {
    assert_eq!(whole("scheme", &["AWS4-HMAC-SHA256"], "aws4-hmac-sha256  Credential=a/b, x=y"), "Credential=a/b, x=y");
    for wrong in ["Hawk", "Hawk=", "Hawkid", "Haw k", "Basic Hawk", "", "Hawk1 a"] {
        assert_eq!(made("scheme", &["Hawk"], wrong), None, "{wrong:?}");
    }
}

#[test]
fn paths_are_normal_as_in_the_suite_of_amazon() {
    for (path, normal) in [
        ("/", "/"),
        ("//", "/"),
        ("/example/..", "/"),
        ("/example1/example2/../..", "/"),
        ("/./", "/"),
        ("/./example", "/example"),
        ("//example//", "/example/"),
        ("/a//../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/../../a", "/a"),
        ("/a/...", "/a/..."),
        ("/a/b.txt", "/a/b.txt"),
        ("/a/", "/a/"),
        ("", "/"),
    ] {
        assert_eq!(whole("normal_path", &[], path), normal, "{path}");
    }
}

#[test]
fn the_body_digest_of_amx_is_md5_in_base64() {
    assert_eq!(whole("base64", &[], "a"), "YQ==");
    let digest = filter("md5", &[]).apply(Bytes::Lent(b"")).unwrap();
    let text = filter("base64", &[]).apply(digest.bytes).unwrap();
    assert_eq!(text.bytes.as_slice(), b"1B2M2Y8AsgTpgAmY7PhCfg==");
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    for (name, arguments, takes) in [
        ("lower", vec!["x"], "no arguments"),
        ("replace", vec!["x"], "two texts"),
        ("replace", vec!["", "x"], "not empty"),
        ("before", vec![], "one text"),
        ("before", vec![""], "not empty"),
        ("is", vec![], "one text or more"),
        ("take", vec!["0"], "a number"),
        ("take", vec!["+1"], "a number"),
        ("take", vec![""], "a number"),
        ("take", vec!["4294967296"], "a number"),
        ("scheme", vec!["a", "b"], "authentication scheme"),
    ] {
        let arguments: Vec<_> = arguments.into_iter().map(|text| text.as_bytes().to_vec()).collect();
        let error = Filter::parse(name, &arguments).unwrap().unwrap_err();
        assert!(error.contains(name) && error.contains(takes), "{error}");
    }
    assert!(Filter::parse("without", &[]).is_none());
    assert!(Filter::parse("Lower", &[]).is_none());
}

#[test]
fn values_that_do_not_change_stay_lent() {
    for (name, arguments, text) in [
        ("lower", vec![], "abc"),
        ("upper", vec![], "GET"),
        ("trim", vec![], " abc "),
        ("squeeze", vec![], "a b"),
        ("squeeze_unquoted", vec![], "a b"),
        ("escape_lines", vec![], "abc"),
        ("replace", vec!["x", "y"], "abc"),
        ("before", vec!["b"], "abc"),
        ("after", vec!["b"], "abc"),
        ("take", vec!["2"], "abc"),
        ("strip_prefix", vec!["a"], "abc"),
        ("drop_prefix", vec!["a"], "abc"),
        ("drop_suffix", vec!["c"], "abc"),
        ("is", vec!["abc"], "abc"),
        ("pct", vec![], "abc"),
        ("unpct", vec![], "abc"),
        ("normal_path", vec![], "/a/b/"),
        ("scheme", vec!["a"], "A bc"),
    ] {
        let applied = filter(name, &arguments).apply(Bytes::Lent(text.as_bytes())).unwrap();
        assert!(matches!(applied.bytes, Bytes::Lent(_)), "{name}");
    }
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let text = proptest::sample::select(vec!["a", " ", "ab", "%", "\n", "/", "+", "A", "\""]);
    let with_text = proptest::sample::select(vec!["before", "after", "strip_prefix", "drop_prefix", "drop_suffix", "is", "scheme"]);
    prop_oneof![
        3 => proptest::sample::select(&PLAIN[..]).prop_map(|name| filter(name, &[])),
        1 => (with_text, text.clone()).prop_map(|(name, text)| filter(name, &[text])),
        1 => (text.clone(), text).prop_map(|(from, to)| filter("replace", &[from, to])),
        1 => (1_u8..9).prop_map(|most| filter("take", &[&most.to_string()])),
        1 => Just(filter("normal_path", &[])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// What is said before any request holds for whatever comes.
    #[test]
    fn values_are_of_the_alphabet_and_length_that_was_said(
        filters in proptest::collection::vec(any_filter(), 1..4),
        input in prop_oneof![
            "[abAB +%/\"\\\\\n\t.0-9=-]{0,20}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..100),
        ],
    ) {
        let (mut alphabet, mut length) = (Alphabet::of(&input), Some(input.len()));
        let mut value = Bytes::Lent(&input);
        for filter in filters {
            (alphabet, length) = (filter.alphabet(alphabet), filter.fixed_length(length));
            let before = value.clone();
            let Some(applied) = filter.apply(value) else { return Ok(()) };
            prop_assert!(alphabet.contains_all(applied.bytes.as_slice()), "{:?} of {:?}", filter, before.as_slice());
            prop_assert!(length.is_none_or(|length| length == applied.bytes.as_slice().len()), "{:?} of {:?}", filter, before.as_slice());
            value = applied.bytes;
        }
    }

    /// However the bytes are held, a filter makes the same of them.
    #[test]
    fn it_does_not_matter_where_bytes_are(filter in any_filter(), input in "[abAB +%/\"\\\\\n\t.0-9=-]{0,80}") {
        let of = |bytes: Bytes<'_>| filter.apply(bytes).map(|applied| (applied.bytes.as_slice().to_vec(), applied.cut));
        let lent = of(Bytes::Lent(input.as_bytes()));
        prop_assert_eq!(&of(Bytes::from_slice(input.as_bytes())), &lent);
        prop_assert_eq!(&of(Bytes::Long(input.clone().into_bytes())), &lent);
    }

    /// A canonical form is its own canonical form.
    #[test]
    fn canonical_forms_are_final(
        name in proptest::sample::select(vec!["lower", "upper", "trim", "squeeze", "squeeze_unquoted", "normal_path"]),
        input in "[aA \t\"./]{0,40}",
    ) {
        let once = whole(name, &[], &input);
        prop_assert_eq!(whole(name, &[], &once), once);
    }
}
