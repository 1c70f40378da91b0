//! What a request shows of the credentials that its rule names. Found and well-formed, not verified.
//!
//! Three answers for each kind: nothing is shown, one is shown, or what is shown is refused: malformed, twice, or in two
//! places. Kinds that the rule does not name are not looked at. The query and the body are never searched for credentials
//! (RFC 9700 section 4.3.2).

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use crate::code::{Code, Refusal};
use crate::rule::Kind;

/// Where API keys are shown, besides `Authorization: ApiKey`.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The access token of `Authorization: Bearer` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    match authorization(headers, "Bearer")? {
        Some(Shown::Token(token)) => Ok(Some(token)),
        Some(Shown::Malformed) => Err(Refusal::with(Code::InvalidToken, "Authorization must be Bearer, one space, and the token")),
        None => Ok(None),
    }
}

/// The API key of `X-API-Key` or `Authorization: ApiKey`.
fn api_key(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let malformed = |words: &'static str| Refusal::with(Code::InvalidApiKey, words);
    let in_authorization = match authorization(headers, "ApiKey")? {
        Some(Shown::Token(key)) => Some(key),
        Some(Shown::Malformed) => return Err(malformed("Authorization must be ApiKey, one space, and the key")),
        None => None,
    };
    let mut values = headers.get_all(X_API_KEY).iter();
    match (values.next(), values.next(), in_authorization) {
        (None, _, found) => Ok(found),
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(ambiguous("two API keys")),
        (Some(value), None, None) => token68(value.as_bytes()).map(Some).ok_or_else(|| malformed("X-API-Key must be the key alone")),
    }
}

fn ambiguous(what: &'static str) -> Refusal {
    Refusal::with(Code::AmbiguousCredentials, what)
}

enum Shown<'r> {
    Token(&'r str),
    Malformed,
}

/// What follows `scheme` in Authorization; nothing when it is of another scheme. The name of a scheme is matched in any case
/// (RFC 9110 section 11.1); one space and one token follow it (section 11.4).
fn authorization<'r>(headers: &'r HeaderMap, scheme: &str) -> Result<Option<Shown<'r>>, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ambiguous("two Authorization headers"));
    }
    let Some(rest) = after_scheme(value.as_bytes(), scheme) else { return Ok(None) };
    Ok(Some(rest.strip_prefix(b" ").and_then(token68).map_or(Shown::Malformed, Shown::Token)))
}

/// What follows the name of the scheme, if it is this one. The name ends where letters do, so that `Bearer<TAB>x` is a
/// malformed Bearer and not an unknown scheme that is passed over.
pub(crate) fn after_scheme<'r>(value: &'r [u8], scheme: &str) -> Option<&'r [u8]> {
    let (name, rest) = value.split_at_checked(scheme.len())?;
    let ends = rest.first().is_none_or(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_' | b'.' | b'+'));
    (ends && name.eq_ignore_ascii_case(scheme.as_bytes())).then_some(rest)
}

/// `token68` (RFC 9110 section 11.2): at least one of `A-Z a-z 0-9 - . _ ~ + /`, then any number of `=`.
fn token68(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().rposition(|byte| *byte != b'=')?;
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    bytes.get(..=end)?.iter().all(allowed).then(|| std::str::from_utf8(bytes).ok())?
}
