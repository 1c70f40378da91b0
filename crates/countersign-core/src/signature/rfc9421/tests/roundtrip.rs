//! What is written can be read, and nothing that is read can make the reader fail in another way than by refusing.

use proptest::prelude::*;

use super::super::component::BadComponent;
use super::super::write::CannotWrite;
use super::*;

const ALL: [&str; 11] = [
    "@method",
    "@target-uri",
    "@authority",
    "@scheme",
    "@path",
    "@query",
    "@query-param;name=\"Pet\"",
    "\"content-digest\";key=\"sha-512\"",
    "content-digest;sf",
    "\"date\"",
    "content-type;bs",
];

#[test]
fn components_are_read_in_both_forms() {
    let covered = Covered::parse(&ALL).unwrap();
    assert_eq!(
        covered.as_str(),
        "(\"@method\" \"@target-uri\" \"@authority\" \"@scheme\" \"@path\" \"@query\" \"@query-param\";name=\"Pet\" \
         \"content-digest\";key=\"sha-512\" \"content-digest\";sf \"date\" \"content-type\";bs)"
    );
    assert_eq!(covered.components().collect::<Vec<_>>(), covered.as_str().trim_matches(['(', ')']).split(' ').collect::<Vec<_>>());
    for (list, index, reason) in [
        (&["date", "Date"][..], 1, "component \"Date\": it is not the name of a field in lower case"),
        (&["date", "\"date\""], 1, "component \"date\": it is listed twice"),
        (&["date\" \"x"], 0, "trailing characters after parsed value at index 7"),
        (&["\"date\", \"x\""], 0, "trailing characters after parsed value at index 6"),
        (&["(date)"], 0, "component \"(date)\": it is not the name of a field in lower case"),
        (&[""], 0, "component \"\": it is not the name of a field in lower case"),
        (&["@query-param;name=Pet"], 0, "component \"@query-param\";name=Pet: the value of name is a string: put it in double quotes"),
    ] {
        assert_eq!(Covered::parse(list), Err(BadComponent { index, reason: reason.to_owned() }));
    }
    assert_eq!(Covered::parse(&[]).unwrap().as_str(), "()");
}

#[test]
fn asking_for_a_signature_names_no_values_that_the_client_chooses() {
    let covered = Covered::parse(&["@method", "@authority", "content-digest"]).unwrap();
    let asked = Asked { created: true, expires: true, keyid: Some("k"), alg: Some("hmac-sha256"), tag: Some("app-123") };
    assert_eq!(
        accept_signature("sig1", &covered, &asked).unwrap(),
        r#"sig1=("@method" "@authority" "content-digest");keyid="k";alg="hmac-sha256";tag="app-123";created;expires"#
    );
    assert_eq!(accept_signature("s", &Covered::parse(&[]).unwrap(), &Asked::default()).unwrap(), "s=()");
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let covered = Covered::parse(&["@method"]).unwrap();
    let wrong = |label, params| to_sign(label, &covered, &params).unwrap_err();
    assert_eq!(wrong("Sig", Params::default()), CannotWrite::Label);
    assert_eq!(wrong("", Params::default()), CannotWrite::Label);
    assert_eq!(wrong("a", Params { keyid: Some("\u{e9}"), ..Params::default() }), CannotWrite::Text("keyid"));
    assert_eq!(wrong("a", Params { nonce: Some("a\nb"), ..Params::default() }), CannotWrite::Text("nonce"));
    assert_eq!(wrong("a", Params { created: Some(-1), ..Params::default() }), CannotWrite::Time("created"));
    assert_eq!(wrong("a", Params { expires: Some(1 << 50), ..Params::default() }), CannotWrite::Time("expires"));
    assert_eq!(signature("a b", b""), Err(CannotWrite::Label));
    assert_eq!(signature("sig", &[0, 1, 2]).unwrap(), "sig=:AAEC:");
}

/// A line that looks like one of the fields, for the reader to get far.
fn likely() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[ -~]{0,6}",
        "(a|sig1|\\*b)=",
        "[(), ;=:?@\"\\\\]",
        "\"(@method|@query-param|date|content-digest|@target-uri)\"",
        "(;sf|;bs|;key=\"[a-c]\"|;name=\"[a-z]\"|;req|;created=[0-9]{1,16}|;keyid=\"[ -~]{0,4}\"|;x=@1|;x=%\"%c3%a9\")",
        ":[A-Za-z0-9+/]{0,8}={0,2}:",
    ];
    proptest::collection::vec(piece.prop_map(String::into_bytes), 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_is_sent_is_read_or_refused(
        input in proptest::collection::vec(prop_oneof![likely(), proptest::collection::vec(0u8.., 0..40)], 0..3),
        signature in proptest::collection::vec(prop_oneof![likely(), proptest::collection::vec(0u8.., 0..40)], 0..3),
        dictionary in likely(),
        target in "/[!-~]{0,20}",
    ) {
        let mut request = Request::new("GET", "example.com", &target, &[]);
        for (name, lines) in [("signature-input", input), ("signature", signature), ("content-digest", vec![dictionary])] {
            for line in lines {
                if let Ok(value) = HeaderValue::from_bytes(&line) {
                    request.headers.append(name, value);
                }
            }
        }
        for found in find(&request.headers).unwrap_or_default() {
            // What is wrong with one signature is kept with it.
            let label = found.label();
            let Ok(Some(found)) = choose(vec![found.clone()], None, Some(label)) else { continue };
            // The canonical form is its own canonical form.
            let again = Request::new("GET", "a", "/", &[]).signed(&found.signature_input(), &super::signature(found.label(), found.mac()).unwrap());
            let again = find(&again.headers).unwrap();
            prop_assert_eq!(&again[0].covered, &found.covered);
            prop_assert_eq!(again[0].mac(), found.mac());
            if let Ok(base) = signature_base(&found, &request.message(), &mut |_| ())
            {
                let base = String::from_utf8(base).unwrap();
                prop_assert_eq!(base.lines().count(), found.components().count() + 1, "a line for each component: {}", base);
                prop_assert!(base.ends_with(found.signature_params()));
            }
        }
        let _ = crate::signature::content_digest::content_digest(&request.headers);
    }

    #[test]
    fn what_is_written_is_read_back(
        label in "[a-z*][a-z0-9_.*-]{0,9}",
        texts in proptest::collection::vec(proptest::option::of("[ -~]{0,12}"), 4),
        times in proptest::collection::vec(proptest::option::of(0i64..1_000_000_000_000_000), 2),
        mac: [u8; 32],
        components in proptest::sample::subsequence(ALL.to_vec(), 0..=ALL.len()).prop_shuffle(),
    ) {
        let covered = Covered::parse(&components).unwrap();
        let params = Params {
            created: times[0],
            expires: times[1],
            nonce: texts[0].as_deref(),
            keyid: texts[1].as_deref(),
            alg: texts[2].as_deref(),
            tag: texts[3].as_deref(),
        };
        let unsigned = to_sign(&label, &covered, &params).unwrap();
        let request = Request::test_request().signed(&unsigned.signature_input(), &signature(&label, &mac).unwrap());
        let found = choose(find(&request.headers).unwrap(), params.tag, Some(&label)).unwrap().unwrap();
        prop_assert_eq!((found.created(), found.expires()), (params.created, params.expires));
        prop_assert_eq!((found.nonce(), found.keyid(), found.alg(), found.tag()), (params.nonce, params.keyid, params.alg, params.tag));
        prop_assert_eq!(found.mac(), mac);
        prop_assert_eq!(found.components().collect::<Vec<_>>(), covered.components().collect::<Vec<_>>());
        let base = |found: &Found<'_>| signature_base(found, &request.message(), &mut |_| ()).unwrap();
        prop_assert_eq!(base(&found), base(&unsigned));
    }
}

/// The same request with another value of one part.
fn with_other(request: &Request, part: Reached<'_>) -> Request {
    let mut other = request.clone();
    let mut append = |name: &HeaderName| {
        let value = other.headers.get_mut(name).unwrap();
        *value = HeaderValue::from_bytes(&[value.as_bytes(), b"x"].concat()).unwrap();
    };
    match part {
        Reached::Header(name) => append(name),
        Reached::Host => {
            append(&http::header::HOST);
            other.host = "example.com.";
        }
        Reached::Method => other.method = "PUT",
        Reached::Scheme => other.scheme = Scheme::Http,
        Reached::Path => other.target.insert(1, 'x'),
        Reached::Query => other.target.push_str(if request.target.contains('?') { "x" } else { "?" }),
    }
    other
}

proptest! {
    #[test]
    fn what_a_signature_reaches_cannot_change_unseen(
        component in proptest::sample::select([&ALL[..], &["host", "priority;sf", "priority", "date;bs", "@request-target", "multi"]].concat()),
        target in prop_oneof!["/[a-z/]{0,5}", "/[a-z/]{0,5}\\?", "/[a-z/]{0,5}\\?[a-z&=+%0-9]{1,9}", "/\\?Pet=[a-z+%2]{0,5}"],
        priority in prop_oneof!["u=[0-9], i=\\?[01]", "a=(1  2);x=1\\.50 *"],
        multi in proptest::collection::vec("[a-z, ]{0,5}", 1..3),
    ) {
        let mut request = Request::test_request();
        request.target = target;
        request.add("priority", &priority);
        multi.iter().for_each(|line| request.add("multi", line));
        let found = Covered::parse(&[component]).unwrap();
        let found = to_sign("sig", &found, &Params::default()).unwrap();
        let mut others = Vec::new();
        let base = signature_base(&found, &request.message(), &mut |part| others.push((format!("{part:?}"), with_other(&request, part))));
        let Ok(base) = base else { return Ok(()) };
        for (part, other) in others {
            // A change of the query that both of them read as `?` is the one thing that cannot be seen; then the query of the
            // changed request is not reached.
            let mut reached = false;
            let changed = signature_base(&found, &other.message(), &mut |again| reached |= format!("{again:?}") == part);
            prop_assert!(!reached || changed.as_ref() != Ok(&base), "{part} of {component}");
        }
    }
}
