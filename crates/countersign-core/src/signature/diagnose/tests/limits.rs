//! What diagnosis must never do.

use proptest::prelude::*;

use super::*;

const PROFILES: [&str; 12] =
    ["v3.0", "rfc9421", "sigv4", "oauth1", "amx", "cavage", "kong", "standardwebhooks", "stripe", "slack", "github", "edgegrid"];

/// Everything that a diagnosis says.
fn said(diagnosis: &Diagnosis) -> String {
    let mut all = format!("{diagnosis:?}");
    for finding in &diagnosis.findings {
        all.push_str(&finding.words);
        all.push_str(&finding.fix);
    }
    if let Some(difference) = &diagnosis.difference {
        all.extend(difference.ours.iter().chain(&difference.theirs).map(String::as_str));
    }
    all
}

#[test]
fn a_request_that_is_signed_right_has_nothing_wrong() {
    for name in PROFILES {
        let client = Client::of(name);
        let request = client.right(&client.post);
        client.accepts(&request).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        let diagnosis = client.diagnose(&request);
        assert!(diagnosis.verifies && diagnosis.findings.is_empty() && !diagnosis.exhausted, "{name}: {diagnosis:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn garbage_never_verifies_under_any_mistake(bytes in proptest::collection::vec(any::<u8>(), 32), which in 0..PROFILES.len(), post: bool) {
        let client = Client::of(PROFILES[which]);
        let request = if post { &client.post } else { &client.get };
        let garbage = client.encoded(request, |right| client.written(&bytes[..right.len()]));
        let diagnosis = client.diagnose(&garbage);
        prop_assert!(!diagnosis.verifies);
        for finding in &diagnosis.findings {
            prop_assert!(!finding.verifies && !finding.words.contains("verifies"), "{:?}", finding);
        }
    }

    #[test]
    fn any_text_in_any_header_is_looked_at_without_a_panic(
        values in proptest::collection::vec("[ -~\t]{0,40}", 6),
        target in "/[!-~]{0,40}",
        body in proptest::collection::vec(any::<u8>(), 0..60),
        own in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60)),
        which in 0..PROFILES.len(),
    ) {
        let client = Client::of(PROFILES[which]);
        let mut request = client.right(&client.post);
        for ((_, value), other) in request.headers.iter_mut().zip(&values) {
            value.clone_from(other);
        }
        request.target = target;
        request.body = body;
        let diagnosis = client.diagnose_with(&request, &[], own.as_deref());
        prop_assert!(!diagnosis.verifies);
    }
}

#[test]
fn nothing_that_is_said_holds_a_secret_a_key_or_a_mac() {
    for (name, broken) in table::cases() {
        let client = Client::of(name);
        let request = broken.request.clone();
        // A client that puts the secret where it does not belong.
        let own = format!("{}{}\n{}", "x".repeat(60), client.secret, client.string(&client.post));
        let diagnosis = client.diagnose_with(&request, &[], Some(own.as_bytes()));
        let all = said(&diagnosis);
        let key = (client.key)(&client);
        let (_, right, _) = client.made(&client.post, str::to_owned, b"");
        for (what, hidden) in [
            ("secret", client.secret.to_owned()),
            ("end of the secret", client.secret.chars().skip(30).collect()),
            ("key in hexadecimal", hex(&key)),
            ("key in Base64", base64(&key)),
            ("MAC", client.written(&right)),
            ("MAC in hexadecimal", hex(&right)),
            ("MAC in Base64", base64(&right)),
        ] {
            assert!(!all.contains(&hidden), "{name}, {:?}: the {what} is in {all}", broken.expected);
        }
        // The MAC that was sent is a right one under some mistake: it is not repeated either.
        for mac in request.headers.iter().flat_map(|(_, value)| value.split(['"', ',', '=', ' ', ':'])).filter(|text| text.len() >= 40) {
            let is_public = mac.starts_with("msg_") || client.string(&client.post).contains(mac);
            assert!(is_public || !all.contains(mac), "{name}, {:?}: {mac} is in {all}", broken.expected);
        }
    }
}

#[test]
fn the_budget_ends_the_search() {
    let client = Client::of("v3.0");
    let garbage = client.encoded(&client.post, |_| "0".repeat(64));
    let headers = garbage.header_map();
    let suspect = Suspect { head: head(&garbage, &headers), body: &garbage.body, now: NOW, own_string: None };
    let secrets = [client.live(client.secret)];
    let known = Known { secrets: &secrets, ..Known::default() };
    for limits in [Limits { macs: 10, bytes: u64::MAX }, Limits { macs: 10_000, bytes: 20_000 }] {
        assert!(diagnose(&client.profile, &suspect, &known, limits).exhausted, "{limits:?}");
    }
    assert!(!diagnose(&client.profile, &suspect, &known, Limits { macs: u32::MAX, bytes: u64::MAX }).exhausted);
}

#[test]
fn requests_with_very_many_parameters_are_not_looked_at() {
    let client = Client::of("v3.0");
    for (target, body) in [(format!("/a?{}", "&".repeat(600)), String::new()), ("/a".to_owned(), "&".repeat(600))] {
        let mut request = client.post.clone();
        (request.target, request.body) = (target, body.into_bytes());
        let broken = client.over(&request, |text| format!("{text}\n"));
        let diagnosis = client.diagnose(&broken);
        assert!(diagnosis.exhausted && diagnosis.findings.is_empty());
    }
}

#[test]
fn large_bodies_are_not_looked_at() {
    let client = Client::of("github");
    let mut request = client.post.clone();
    request.body = vec![b'x'; MOST_BODY + 1];
    let broken = client.over(&request, |text| format!("{text}\n"));
    let diagnosis = client.diagnose(&broken);
    assert!(diagnosis.exhausted && diagnosis.findings.is_empty());
    request.body.pop();
    let broken = client.over(&request, |text| format!("{text}\n"));
    assert_eq!(client.diagnose(&broken).findings[0].mistakes, [Mistake::BodyNewline]);
}
