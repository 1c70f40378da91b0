//! What a refused request is told about the credentials that would help: `WWW-Authenticate` (RFC 9110 section 11.6.1).

use std::sync::{Arc, LazyLock};

use http::HeaderValue;

use crate::code::{Code, Refusal};
use crate::rule::{Kind, Kinds, Rule};

/// Which credentials would help. Cheap to make, so that it is at hand whatever the refusal will be.
#[derive(Debug, Clone, Default)]
pub struct Challenges {
    kinds: Kinds,
    scopes: Option<Arc<str>>,
}

impl Challenges {
    /// Those that a rule names.
    pub fn of(rule: &Rule) -> Self {
        Self { kinds: rule.kinds(), scopes: rule.scopes_to_ask().cloned() }
    }

    /// The header values to send with a refusal, one challenge each: for every 401, and for a missing scope. None for others.
    ///
    /// A challenge says why (`error`) only if it is about its own kind of credential; where nothing was shown it says nothing
    /// but what is asked for (RFC 6750 section 3.1).
    pub fn render(&self, refusal: &Refusal) -> impl Iterator<Item = HeaderValue> {
        let code = refusal.code;
        let kinds = match code {
            Code::InsufficientScope if self.kinds.contains(Kind::Jwt) => Kinds::NONE.with(Kind::Jwt),
            // A 401 without a challenge is not a 401.
            _ if code.status() == 401 && self.kinds.is_empty() => Kinds::NONE.with(Kind::Jwt),
            _ if code.status() == 401 => self.kinds,
            _ => Kinds::NONE,
        };
        kinds.iter().filter_map(move |kind| self.challenge(kind, code))
    }

    fn challenge(&self, kind: Kind, code: Code) -> Option<HeaderValue> {
        let reason = REASONS.get(code as usize).and_then(Option::as_ref).filter(|_| about(code) == Some(kind));
        let Some(reason) = reason else {
            return Some(HeaderValue::from_static(match kind {
                Kind::Jwt => "Bearer realm=\"countersign\"",
                Kind::Hmac => "Signature realm=\"countersign\"",
                Kind::ApiKey => "ApiKey realm=\"countersign\"",
                Kind::Mtls => "ClientCertificate realm=\"countersign\"",
            }));
        };
        if let (Code::InsufficientScope, Some(scopes)) = (code, &self.scopes) {
            return HeaderValue::try_from(format!("{}, scope=\"{scopes}\"", reason.to_str().ok()?)).ok();
        }
        Some(reason.clone())
    }
}

/// The challenges that say why, by code. Made once, and never given back: then no core counts who holds them, and those who
/// are refused by the thousand cost nothing for it.
static REASONS: LazyLock<Box<[Option<HeaderValue>]>> = LazyLock::new(|| {
    let reason = |code: &Code| {
        let scheme = match about(*code)? {
            Kind::Jwt => "Bearer",
            Kind::Hmac => "Signature",
            Kind::ApiKey => "ApiKey",
            Kind::Mtls => "ClientCertificate",
        };
        let error = match code {
            Code::InsufficientScope => "insufficient_scope",
            Code::InvalidToken | Code::TokenExpired | Code::SessionEnded => "invalid_token",
            _ => code.as_str(),
        };
        let text = format!("{scheme} realm=\"countersign\", error=\"{error}\", error_description=\"{}\"", code.title());
        Some(HeaderValue::from_static(text.leak()))
    };
    Code::ALL.iter().map(reason).collect()
});

/// The kind of credential that a refusal is about.
const fn about(code: Code) -> Option<Kind> {
    match code {
        Code::InvalidToken | Code::TokenExpired | Code::SessionEnded | Code::InsufficientScope => Some(Kind::Jwt),
        Code::InvalidApiKey => Some(Kind::ApiKey),
        Code::SignatureMalformed
        | Code::SignatureMismatch
        | Code::TimestampTooOld
        | Code::TimestampTooNew
        | Code::Replayed
        | Code::SignedBeforeFence => Some(Kind::Hmac),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(rule: &str, code: Code) -> Vec<String> {
        let challenges = Challenges::of(&rule.parse().unwrap());
        challenges.render(&code.into()).map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn where_nothing_was_shown_each_kind_is_asked_for_without_an_error() {
        assert_eq!(
            rendered("jwt or hmac or api_key", Code::CredentialsRequired),
            [r#"Bearer realm="countersign""#, r#"Signature realm="countersign""#, r#"ApiKey realm="countersign""#]
        );
    }

    #[test]
    fn an_error_is_said_in_the_challenge_of_its_own_kind() {
        assert_eq!(
            rendered("jwt or hmac", Code::TokenExpired),
            [
                r#"Bearer realm="countersign", error="invalid_token", error_description="The access token has expired""#,
                r#"Signature realm="countersign""#
            ]
        );
        assert_eq!(
            rendered("hmac", Code::Replayed),
            [r#"Signature realm="countersign", error="replayed", error_description="This signed request was used before""#]
        );
    }

    #[test]
    fn a_missing_scope_is_named() {
        assert_eq!(
            rendered("hmac or jwt and scope(a:b) and scope(c)", Code::InsufficientScope),
            [r#"Bearer realm="countersign", error="insufficient_scope", error_description="A scope is missing", scope="a:b c""#]
        );
    }

    #[test]
    fn every_401_has_a_challenge_and_no_other_refusal_but_a_missing_scope() {
        for rule in ["jwt", "hmac", "api_key", "mtls", "from(a)", "jwt and hmac"] {
            for code in Code::ALL.iter().filter(|code| **code != Code::InsufficientScope) {
                assert_eq!(rendered(rule, *code).is_empty(), code.status() != 401, "{rule} {code}");
            }
        }
    }
}
