//! Answers of the token endpoints: a pair of tokens, or a refusal in the shape that OAuth clients read (RFC 6749 section 5).

use bytes::Bytes;
use countersign_core::code::{Code, Refusal};
use countersign_core::id::RequestId;
use countersign_core::now::UnixMillis;
use countersign_core::principal::Scopes;
use countersign_core::secret::{SecretBytes, SecretText};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};

use crate::problem;
use crate::wire;

/// A pair of tokens that may be given out.
pub struct TokenAnswer {
    /// The tokens.
    pub pair: TokenPair,
    /// When it is given out.
    pub now: UnixMillis,
}

/// An access token and the refresh token beside it.
pub struct TokenPair {
    /// The access token.
    pub access: SecretText,
    /// When it expires.
    pub expires: UnixMillis,
    /// The refresh token.
    pub refresh: SecretText,
    /// What they are good for.
    pub scopes: Scopes,
}

impl TokenPair {
    /// The pair as bytes, to be kept encrypted for the grace: four lines.
    pub fn to_bytes(&self) -> SecretBytes {
        let (access, refresh) = (self.access.expose(), self.refresh.expose());
        SecretBytes::new(format!("{access}\n{refresh}\n{}\n{}", self.expires.millis(), self.scopes).into_bytes())
    }

    /// Reads what [`TokenPair::to_bytes`] wrote.
    pub fn from_bytes(bytes: &SecretBytes) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes.expose()).ok()?.split('\n');
        let mut secret = || lines.next().map(|line| SecretText::new(line.to_owned()));
        let (access, refresh) = (secret()?, secret()?);
        let expires = UnixMillis::from_millis(lines.next()?.parse().ok()?);
        Some(Self { access, expires, refresh, scopes: lines.next()?.parse().ok()? })
    }
}

impl TokenAnswer {
    /// Whole seconds that the access token is good for.
    fn expires_in(&self) -> u64 {
        self.pair.expires.since(self.now).as_secs()
    }

    /// RFC 6749 section 5.1.
    pub fn render_oauth(&self) -> Response<Bytes> {
        let scope = self.pair.scopes.to_string();
        json(
            StatusCode::OK,
            &wire::OAuthTokens {
                access_token: self.pair.access.expose(),
                token_type: "Bearer",
                expires_in: self.expires_in(),
                refresh_token: self.pair.refresh.expose(),
                scope: &scope,
            },
        )
    }

    /// The shape of `/api/Auth/RefreshToken`.
    pub fn render_pair(&self) -> Response<Bytes> {
        json(
            StatusCode::OK,
            &wire::PairTokens {
                access_token: self.pair.access.expose(),
                refresh_token: self.pair.refresh.expose(),
                token_type: "Bearer",
                expires_in: self.expires_in(),
            },
        )
    }
}

/// RFC 6749 section 5.2, with our code and the request's id beside the registered members.
pub fn refuse_oauth(refusal: &Refusal, request: &RequestId) -> Response<Bytes> {
    let code = refusal.code;
    let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let description = refusal.detail.as_deref().unwrap_or_else(|| code.title());
    let mut response = json(
        status,
        &wire::OAuthError { error: oauth_error(code), error_description: description, code: code.as_str(), request_id: request.as_str() },
    );
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"countersign\""));
    }
    if let Some(wait) = refusal.retry_after {
        headers.insert(RETRY_AFTER, problem::whole_seconds(wait).into());
    }
    response
}

/// The registered error for a code. Where there is none, the nearest that clients know.
const fn oauth_error(code: Code) -> &'static str {
    match code {
        Code::InvalidGrant => "invalid_grant",
        Code::InvalidClient => "invalid_client",
        Code::InvalidScope => "invalid_scope",
        Code::UnsupportedGrantType => "unsupported_grant_type",
        _ => match code.status() {
            429 | 503 => "temporarily_unavailable",
            500 => "server_error",
            _ => "invalid_request",
        },
    }
}

fn json(status: StatusCode, body: &impl serde::Serialize) -> Response<Bytes> {
    // Text and numbers only: serializing cannot fail.
    let mut response = Response::new(Bytes::from(serde_json::to_vec(body).unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_pair_reads_back() {
        let text = |text: &str| SecretText::new(text.to_owned());
        let pair = TokenPair {
            access: text("a.b.c"),
            expires: UnixMillis::from_millis(1_234_567),
            refresh: text("csr_1"),
            scopes: "read write".parse().unwrap(),
        };
        let back = TokenPair::from_bytes(&pair.to_bytes()).unwrap();
        assert_eq!((back.access.expose(), back.refresh.expose()), ("a.b.c", "csr_1"));
        assert_eq!((back.expires, back.scopes), (pair.expires, pair.scopes));
        assert!(TokenPair::from_bytes(&SecretBytes::new(b"a\nb\n1".to_vec())).is_none());
    }

    #[test]
    fn every_code_has_an_error_that_oauth_clients_can_read() {
        let registered = [
            "invalid_request",
            "invalid_client",
            "invalid_grant",
            "invalid_scope",
            "unsupported_grant_type",
            "temporarily_unavailable",
            "server_error",
        ];
        for code in Code::ALL {
            assert!(registered.contains(&oauth_error(*code)), "{code}");
        }
        let request = "rq_0000000000000001".parse().unwrap();
        let response = refuse_oauth(&Code::InvalidClient.into(), &request);
        assert_eq!(response.status(), 401);
        assert!(response.headers().contains_key(WWW_AUTHENTICATE));
    }
}
