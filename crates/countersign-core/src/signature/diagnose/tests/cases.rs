//! Mistakes that need more than one secret, and what else a diagnosis says.

use super::super::super::built_in::BUILT_IN;
use super::*;

/// Mistakes that the table has no request for: these tests have, or those of `offered`.
pub(super) const SHOWN: &[Mistake] = &[
    Mistake::OwnString,
    Mistake::OtherKeysSecret,
    Mistake::RetiredSecret,
    Mistake::Base64OfBytes,
    Mistake::OtherProfile,
    Mistake::UnknownKey,
    Mistake::RequirementNotMet,
    Mistake::NoneKnown,
    Mistake::HostForm,
];

fn first(diagnosis: &Diagnosis) -> &Finding {
    diagnosis.findings.first().unwrap_or_else(|| panic!("nothing found: {diagnosis:?}"))
}

#[test]
fn two_mistakes_at_once_are_found_and_both_are_named() {
    let client = Client::of("v3.0");
    let without_query = |r: &mut Request| r.target = "/Orders/List".to_owned();
    let mut view = client.get.clone();
    without_query(&mut view);
    let text = format!("{}\n", client.string(&view));
    for (request, expected) in [
        (client.over(&client.get, |_| text.clone()), vec![Mistake::QueryLeftOut, Mistake::TrailingNewline]),
        (
            client.over_with(&client.get, |_| client.string(&view), format!("{}\n", client.secret).as_bytes()),
            vec![Mistake::QueryLeftOut, Mistake::SecretNewline],
        ),
        (client.encoded(&client.get, |_| base64(&mac(client.secret.as_bytes(), text.as_bytes()))), {
            vec![Mistake::QueryLeftOut, Mistake::TrailingNewline, Mistake::Base64ForHex]
        }),
    ] {
        let diagnosis = client.diagnose(&request);
        assert_eq!(first(&diagnosis).mistakes, expected, "{diagnosis:#?}");
        assert!(first(&diagnosis).verifies);
        for mistake in expected {
            assert!(first(&diagnosis).words.contains(mistake.what()) && first(&diagnosis).fix.contains(mistake.fix()));
        }
    }
}

#[test]
fn the_end_of_a_signature_is_blamed_when_its_beginning_is_good() {
    let client = Client::of("rfc9421");
    let created = ";created=1764000000";
    for (expires, mistake, words) in [
        (
            ";expires=1764000300000",
            Mistake::TimestampUnit,
            "The end of the signature `1764000300000` is in Unix milliseconds; the scheme asks for Unix seconds.",
        ),
        (
            ";expires=999999999999999",
            Mistake::FieldMalformed,
            "The end of the signature `999999999999999` is not a time in the format of the scheme.",
        ),
    ] {
        let both = format!("{created}{expires}");
        let mut request = client.over(&client.get, |text| text.replace(created, &both));
        request.replace(created, &both);
        let diagnosis = client.diagnose(&request);
        assert_eq!(first(&diagnosis).mistakes, [mistake], "{diagnosis:#?}");
        assert!(first(&diagnosis).words.contains(words), "{}", first(&diagnosis).words);
    }
}

#[test]
fn a_host_that_is_signed_with_its_dot_is_not_called_upper_case() {
    let client = Client::of("rfc9421");
    let request = client.over(&client.get, |text| text.replace("api.example.com", "api.example.com."));
    let mut headers = request.header_map();
    headers.insert("host", HeaderValue::from_static("api.example.com."));
    let suspect = Suspect { head: head(&request, &headers), body: b"", now: NOW, own_string: None };
    let secrets = [client.live(client.secret)];
    let diagnosis = diagnose(&client.profile, &suspect, &Known { secrets: &secrets, ..Known::default() }, Limits::default());
    assert_eq!(first(&diagnosis).mistakes, [Mistake::HostForm], "{diagnosis:#?}");
    assert!(first(&diagnosis).verifies && first(&diagnosis).words.contains("api.example.com."), "{}", first(&diagnosis).words);
}

#[test]
fn the_secret_of_another_key_and_a_former_one_are_recognised() {
    let client = Client::of("v3.0");
    let other = "css_ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
    let request = client.send(&client.get, &client.sign(&client.get, other, NOW));
    assert_eq!(first(&client.diagnose(&request)).mistakes, [Mistake::NoneKnown], "the secret is not known here");
    let live = client.live(other);
    for (whose, mistake) in [(Whose::Key("ck_theother"), Mistake::OtherKeysSecret), (Whose::Retired, Mistake::RetiredSecret)] {
        let diagnosis = client.diagnose_with(&request, &[OtherSecret { whose, secret: &live }], None);
        assert_eq!(first(&diagnosis).mistakes, [mistake]);
        assert_eq!(first(&diagnosis).words.contains("ck_theother"), mistake == Mistake::OtherKeysSecret);
    }
    // A secret of the key itself that has ended.
    let ended =
        |ends| LiveSecret::new(&client.profile, "se_0123456789abcdef".parse().unwrap(), &client.credential(other), Some(ends)).unwrap();
    let headers = request.header_map();
    let suspect = Suspect { head: head(&request, &headers), body: &request.body, now: NOW, own_string: None };
    for (seconds, retired) in [(-1, true), (0, true), (1, false)] {
        let secrets = [client.live(client.secret), ended(UnixMillis::from_seconds(1_764_000_000 + seconds))];
        let known = Known { secrets: &secrets, ..Known::default() };
        let diagnosis = diagnose(&client.profile, &suspect, &known, Limits::default());
        assert_eq!(diagnosis.findings.iter().any(|finding| finding.mistakes == [Mistake::RetiredSecret]), retired, "{seconds}");
        assert_eq!(diagnosis.verifies, !retired, "{seconds}");
    }
}

#[test]
fn each_of_two_live_secrets_is_tried() {
    let client = Client::of("stripe");
    let broken = client.over(&client.post, |text| format!("{text}\n"));
    let headers = broken.header_map();
    let suspect = Suspect { head: head(&broken, &headers), body: &broken.body, now: NOW, own_string: None };
    let secrets = [client.live("whsec_another/secret/that/is/as/long"), client.live(client.secret)];
    let known = Known { secrets: &secrets, ..Known::default() };
    assert_eq!(first(&diagnose(&client.profile, &suspect, &known, Limits::default())).mistakes, [Mistake::BodyNewline]);
}

#[test]
fn the_first_line_and_byte_in_which_the_clients_string_differs_are_named() {
    let client = Client::of("v3.0");
    let request = client.over(&client.get, |text| text.replace("GET", "GET "));
    let own = client.string(&client.get).replace("GET", "GET ");
    let diagnosis = client.diagnose_with(&request, &[], Some(own.as_bytes()));
    let difference = diagnosis.difference.as_ref().unwrap();
    assert_eq!((difference.line, difference.byte), (5, 4));
    assert_eq!((difference.ours.as_deref(), difference.theirs.as_deref()), (Some("`GET\\n`"), Some("`GET \\n`")));
    assert_eq!(first(&diagnosis).mistakes, [Mistake::OwnString], "no known mistake, but the MAC is that of the string");
    assert!(!diagnosis.same_string);
    // Without the string nothing is found.
    assert_eq!(first(&client.diagnose(&request)).mistakes, [Mistake::NoneKnown]);
    // With the right string the secret is what is wrong.
    let request = client.send(&client.get, &client.sign(&client.get, "css_someothersecretthatnobodyknowshere", NOW));
    let diagnosis = client.diagnose_with(&request, &[], Some(client.string(&client.get).as_bytes()));
    assert!(diagnosis.same_string && diagnosis.difference.is_none());
    assert_eq!(first(&diagnosis).mistakes, [Mistake::NoneKnown]);
    assert!(first(&diagnosis).words.starts_with("The string that you gave is the string to sign"), "{}", first(&diagnosis).words);
}

#[test]
fn a_clients_canonical_request_is_compared_with_the_piece_that_it_is() {
    let client = Client::of("sigv4");
    let right = client.right(&client.get);
    let own = "GET\n/Orders/List\nLimit=5&name=green tea&status=open\nhost:api.example.com\n";
    let difference = client.diagnose_with(&right, &[], Some(own.as_bytes())).difference.unwrap();
    assert_eq!((&*difference.piece, difference.line, difference.byte), ("canonical_request", 3, 19));
}

#[test]
fn a_line_of_the_string_to_sign_is_shown_as_it_is_and_as_it_must_be() {
    let client = Client::of("v3.0");
    let request = client.signed_as(&client.get, |r| r.target = "/Orders/List".to_owned());
    let words = &client.diagnose(&request).findings[0].words;
    assert_eq!(
        words,
        "The signature verifies if the query is left out. Line 7 of the string to sign is then `/Orders/List\\n`; \
         it must be `/Orders/List?status=open&name=green%20tea&Limit=5\\n`."
    );
}

#[test]
fn another_scheme_is_recognised() {
    let (client, other) = (Client::of("v3.0"), Client::of("stripe"));
    let request = other.right(&client.post);
    let headers = request.header_map();
    let suspect = Suspect { head: head(&request, &headers), body: &request.body, now: NOW, own_string: None };
    let profiles = [&client.profile, &other.profile];
    let known = Known { profiles: &profiles, ..Known::default() };
    let diagnosis = diagnose(&client.profile, &suspect, &known, Limits::default());
    assert_eq!(first(&diagnosis).mistakes, [Mistake::OtherProfile]);
    assert!(first(&diagnosis).words.contains("stripe"));
}

#[test]
fn what_any_request_may_have_is_no_other_scheme() {
    let client = Client::of("v3.0");
    let all: Vec<Profile> = BUILT_IN.iter().filter_map(|(_, text)| Profile::load(text, &BTreeMap::new()).ok()).collect();
    let profiles: Vec<&Profile> = all.iter().collect();
    let webhook = Request { target: "/hook?signature=1".to_owned(), ..client.post.clone() };
    for request in [&client.post, &client.get, &webhook] {
        let headers = request.header_map();
        let suspect = Suspect { head: head(request, &headers), body: &request.body, now: NOW, own_string: None };
        let known = Known { profiles: &profiles, ..Known::default() };
        let diagnosis = diagnose(&client.profile, &suspect, &known, Limits::default());
        assert_eq!(first(&diagnosis).mistakes, [Mistake::NotSigned], "{request:?}");
    }
}

#[test]
fn names_of_upstreams_are_tried_as_hosts() {
    let client = Client::of("v3.0");
    let request = client.signed_as(&client.get, |r| r.host = "orders.internal:9000");
    let headers = request.header_map();
    let suspect = Suspect { head: head(&request, &headers), body: &request.body, now: NOW, own_string: None };
    let secrets = [client.live(client.secret)];
    let with =
        |hosts: &[&str]| diagnose(&client.profile, &suspect, &Known { secrets: &secrets, hosts, ..Known::default() }, Limits::default());
    assert_eq!(first(&with(&["orders.internal:9000"])).mistakes, [Mistake::OtherHost]);
    assert_eq!(first(&with(&[])).mistakes, [Mistake::NoneKnown]);
}

#[test]
fn a_key_that_nobody_knows_is_named_beside_what_reading_shows() {
    let client = Client::of("v3.0");
    let mut request = client.right(&client.get);
    request.set("X-Nonce", "short");
    let headers = request.header_map();
    let suspect = Suspect { head: head(&request, &headers), body: &request.body, now: NOW, own_string: None };
    let diagnosis = diagnose(&client.profile, &suspect, &Known::default(), Limits::default());
    let mistakes: Vec<_> = diagnosis.findings.iter().map(|finding| finding.mistakes[0]).collect();
    assert_eq!(mistakes, [Mistake::FieldMalformed, Mistake::UnknownKey]);
}

#[test]
fn a_misspelled_header_is_put_right_and_the_search_goes_on() {
    let client = Client::of("v3.0");
    let mut request = client.signed_as(&client.get, |r| r.target = "/Orders/List".to_owned());
    request.headers.iter_mut().find(|(name, _)| name == "X-Nonce").unwrap().0 = "X-Nonse".to_owned();
    let diagnosis = client.diagnose(&request);
    let mistakes: Vec<_> = diagnosis.findings.iter().map(|finding| finding.mistakes[0]).collect();
    assert_eq!(mistakes, [Mistake::HeaderMisspelled, Mistake::QueryLeftOut]);
    assert!(diagnosis.findings[0].words.starts_with("The request has X-Nonse; the scheme reads X-Nonce."));
}

#[test]
fn an_encoding_that_is_not_that_of_the_scheme_is_named_even_when_nothing_verifies() {
    let client = Client::of("v3.0");
    let request = client.encoded(&client.get, |_| base64(&[7; 32]));
    let diagnosis = client.diagnose(&request);
    assert_eq!(first(&diagnosis).mistakes, [Mistake::MacMalformed]);
    assert_eq!(
        first(&diagnosis).words,
        "The signature has 44 characters, which are 32 bytes in Base64; 32 bytes in hexadecimal are asked for."
    );
}

#[test]
fn a_token_of_another_credential_is_named() {
    let client = Client::of("oauth1");
    let mut believed = Client::of("oauth1");
    believed.attributes = ", \"token\": \"another token\", \"token_secret\": \"token-secret\"";
    let request = believed.right(&client.get);
    let diagnosis = client.diagnose(&request);
    assert_eq!(first(&diagnosis).mistakes, [Mistake::RequirementNotMet]);
    assert_eq!(first(&diagnosis).words, "oauth_token is not the token of this credential. The signature verifies besides that.");
}
