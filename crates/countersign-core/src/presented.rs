//! What a request shows of the credentials that its rule names. Found, and in the form of its kind as far as that tells where it
//! begins and ends; not verified.
//!
//! Three answers for each kind: nothing is shown, one is shown, or what is shown is refused: malformed, twice, or in two
//! places. Kinds that the rule does not name are not looked at. The query and the body are never searched for credentials
//! (RFC 9700 section 4.3.2).

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use crate::code::{Code, Refusal};
use crate::request_view::RequestView;
use crate::rule::{Kind, Rule};
use crate::signature::{Fields, Head, Profile};

/// The credentials that a request shows.
#[derive(Default)]
pub struct Presented<'v> {
    /// What stands where an access token should. Whoever reads it judges each byte of it.
    pub bearer: Option<&'v [u8]>,
    /// The API key.
    pub api_key: Option<&'v str>,
    /// The signature, in one of the schemes that the rule names.
    ///
    /// Boxed: it is large, few requests have one, and what is presented is carried along.
    pub signature: Option<Box<Fields<'v>>>,
}

/// Finds the credentials of the kinds that `rule` names. Of `profiles`, only those that the rule names are tried.
///
/// # Errors
/// When a credential is malformed, or there are two of one kind: what is presented and bad is refused, even where another
/// alternative of the rule would hold.
pub fn find<'v>(view: &'v RequestView<'_>, rule: &Rule, profiles: &'v [Profile]) -> Result<Presented<'v>, Refusal> {
    let mut presented = Presented::default();
    let kinds = rule.kinds();
    if kinds.contains(Kind::Jwt) {
        presented.bearer = bearer(view.headers())?;
    }
    if kinds.contains(Kind::ApiKey) {
        presented.api_key = api_key(view.headers())?;
    }
    for named in rule.profiles() {
        let Some(profile) = profiles.iter().find(|profile| *profile.name() == named.name) else {
            // `check` does not let such a rule through. Without its profile a signature cannot be judged, so it is not skipped.
            return Err(Code::CouldNotDecide.into());
        };
        let found = profile.find_fields(Head::of(view))?;
        if found.is_some() && presented.signature.is_some() {
            return Err(ambiguous("signatures of two schemes"));
        }
        if found.is_some() {
            presented.signature = found.map(Box::new);
        }
    }
    Ok(presented)
}

/// Where API keys are shown, besides `Authorization: ApiKey`.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The access token of `Authorization: Bearer` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Result<Option<&[u8]>, Refusal> {
    let shown = authorization(headers, "Bearer")?.map(|rest| rest.strip_prefix(b" ").filter(|token| !matches!(token, [] | [b' ', ..])));
    let malformed = || Refusal::with(Code::InvalidToken, "Authorization must be Bearer, one space, and the token");
    shown.map(|token| token.ok_or_else(malformed)).transpose()
}

/// The API key of `X-API-Key` or `Authorization: ApiKey`.
fn api_key(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let malformed = |words: &'static str| Refusal::with(Code::InvalidApiKey, words);
    let key = |bytes| token68(bytes).and_then(|key| std::str::from_utf8(key).ok());
    let in_authorization = match authorization(headers, "ApiKey")?.map(|rest| rest.strip_prefix(b" ").and_then(key)) {
        Some(None) => return Err(malformed("Authorization must be ApiKey, one space, and the key")),
        found => found.flatten(),
    };
    let mut values = headers.get_all(X_API_KEY).iter();
    match (values.next(), values.next(), in_authorization) {
        (None, _, found) => Ok(found),
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(ambiguous("two API keys")),
        (Some(value), None, None) => key(value.as_bytes()).map(Some).ok_or_else(|| malformed("X-API-Key must be the key alone")),
    }
}

fn ambiguous(what: &'static str) -> Refusal {
    Refusal::with(Code::AmbiguousCredentials, what)
}

/// What follows `scheme` in Authorization; nothing when it is of another scheme. The name of a scheme is matched in any case
/// (RFC 9110 section 11.1); one space and one token should follow it (section 11.4).
fn authorization<'r>(headers: &'r HeaderMap, scheme: &str) -> Result<Option<&'r [u8]>, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ambiguous("two Authorization headers"));
    }
    Ok(after_scheme(value.as_bytes(), scheme))
}

/// What follows the name of the scheme, if it is this one. The name ends where letters do, so that `Bearer<TAB>x` is a
/// malformed Bearer and not an unknown scheme that is passed over.
pub(crate) fn after_scheme<'r>(value: &'r [u8], scheme: &str) -> Option<&'r [u8]> {
    let (name, rest) = value.split_at_checked(scheme.len())?;
    let ends = rest.first().is_none_or(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_' | b'.' | b'+'));
    (ends && name.eq_ignore_ascii_case(scheme.as_bytes())).then_some(rest)
}

/// `token68` (RFC 9110 section 11.2): at least one of `A-Z a-z 0-9 - . _ ~ + /`, then any number of `=`.
fn token68(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().rposition(|byte| *byte != b'=')?;
    // Ranges and no way out in the middle, so that the compiler looks at many bytes at once. From + to 9 only the comma is none.
    let allowed = |byte: u8| {
        let sign_or_digit = (byte.wrapping_sub(b'+') <= b'9' - b'+') & (byte != b',');
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        sign_or_digit | letter | (byte == b'_') | (byte == b'~')
    };
    let (blocks, rest) = bytes.get(..=end)?.as_chunks::<32>();
    let plain = |block: &[u8]| block.iter().fold(true, |good, byte| good & allowed(*byte));
    (blocks.iter().all(|block| plain(block)) && plain(rest)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(lines: &[(&str, &[u8])]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap())).collect()
    }

    #[test]
    fn a_bearer_token_is_what_follows_one_space() {
        for (value, expected) in [
            ("Bearer abc.DEF-_~+/==", Some(Ok("abc.DEF-_~+/=="))),
            // Whoever reads the token refuses these.
            ("Bearer a b", Some(Ok("a b"))),
            ("Bearer a, Bearer b", Some(Ok("a, Bearer b"))),
            ("Bearer \u{e9}", Some(Ok("\u{e9}"))),
            ("bEARER abc", Some(Ok("abc"))),
            ("Basic abc", None),
            ("Bearertoken abc", None),
            ("ApiKey abc", None),
            ("Bearer", Some(Err(Code::InvalidToken))),
            ("Bearer ", Some(Err(Code::InvalidToken))),
            ("Bearer  abc", Some(Err(Code::InvalidToken))),
            ("Bearer\tabc", Some(Err(Code::InvalidToken))),
            ("Bearer,abc", Some(Err(Code::InvalidToken))),
        ] {
            let map = headers(&[("authorization", value.as_bytes())]);
            let found = bearer(&map).map_err(|refusal| refusal.code).transpose();
            assert_eq!(found, expected.map(|token: Result<&str, _>| token.map(str::as_bytes)), "{value:?}");
        }
    }

    #[test]
    fn a_key_holds_what_its_grammar_says_and_nothing_else() {
        for byte in 0..=u8::MAX {
            let good = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(token68(&[b'a', byte, b'a']).is_some(), good, "{byte:#x}");
        }
        assert_eq!([token68(b"a=="), token68(b"=="), token68(b"a=b"), token68(b"")], [Some(&b"a=="[..]), None, None, None]);
    }

    #[test]
    fn an_api_key_has_two_places_and_stands_in_one() {
        let found = |lines: &[(&str, &[u8])]| api_key(&headers(lines)).map(|key| key.map(str::to_owned)).map_err(|refusal| refusal.code);
        assert_eq!(found(&[("x-api-key", b"csk_1")]), Ok(Some("csk_1".to_owned())));
        assert_eq!(found(&[("authorization", b"apikey csk_1")]), Ok(Some("csk_1".to_owned())));
        assert_eq!(found(&[("authorization", b"Bearer x"), ("x-api-key", b"csk_1")]), Ok(Some("csk_1".to_owned())));
        assert_eq!(found(&[]), Ok(None));
        let twice = Err(Code::AmbiguousCredentials);
        assert_eq!(found(&[("x-api-key", b"csk_1"), ("x-api-key", b"csk_1")]), twice);
        assert_eq!(found(&[("x-api-key", b"csk_1"), ("authorization", b"ApiKey csk_1")]), twice);
        assert_eq!(found(&[("authorization", b"ApiKey a"), ("authorization", b"Bearer b")]), twice);
        for bad in [&b""[..], b"a b", b"a,b", b"\xff"] {
            assert_eq!(found(&[("x-api-key", bad)]), Err(Code::InvalidApiKey), "{bad:?}");
        }
    }

    fn kinds_found(rule: &str, uri: &str, lines: &[(&str, &[u8])]) -> Result<[bool; 3], Code> {
        let request = http::Request::builder().uri(uri).header("host", "api.example.com");
        let request = lines.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let view = RequestView::judge(&parts, &crate::decide::tests::connection("192.0.2.1")).unwrap();
        let profiles = [Profile::native().unwrap()];
        let found = find(&view, &rule.parse().unwrap(), &profiles).map_err(|refusal| refusal.code)?;
        Ok([found.bearer.is_some(), found.api_key.is_some(), found.signature.is_some()])
    }

    #[test]
    fn only_the_kinds_that_the_rule_names_are_looked_at() {
        let mac = format!("v3={}", "0".repeat(64));
        let all = [
            ("authorization", &b"Bearer abc"[..]),
            ("x-api-key", b"csk_1"),
            ("x-key-id", b"ck_1"),
            ("x-timestamp", b"1764000000"),
            ("x-nonce", b"0123456789abcdef"),
            ("x-signature", mac.as_bytes()),
        ];
        assert_eq!(kinds_found("anyone", "/", &all), Ok([false, false, false]));
        assert_eq!(kinds_found("from(a)", "/", &all), Ok([false, false, false]));
        assert_eq!(kinds_found("jwt", "/", &all), Ok([true, false, false]));
        assert_eq!(kinds_found("hmac or api_key and from(a)", "/", &all), Ok([false, true, true]));
        assert_eq!(kinds_found("anyone or jwt", "/", &all), Ok([true, false, false]));
        // Malformed, but nobody asked.
        assert_eq!(kinds_found("hmac", "/", &[("authorization", b"Bearer")]), Ok([false, false, false]));
    }

    #[test]
    fn a_malformed_credential_is_refused_where_another_would_do() {
        assert_eq!(kinds_found("jwt or from(a)", "/", &[("authorization", b"Bearer  a")]), Err(Code::InvalidToken));
        assert_eq!(kinds_found("hmac or anyone", "/", &[("x-signature", b"v3=")]), Err(Code::SignatureMalformed));
    }

    #[test]
    fn a_token_in_the_query_is_not_one() {
        assert_eq!(kinds_found("jwt", "/?access_token=abc&api_key=csk_1", &[]), Ok([false, false, false]));
    }

    #[test]
    fn a_rule_whose_profile_is_gone_lets_nothing_through() {
        assert_eq!(kinds_found("hmac(stripe) or anyone", "/", &[]), Err(Code::CouldNotDecide));
    }
}
