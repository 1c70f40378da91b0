//! What the world may know: our public keys (RFC 7517) and where the endpoints are (RFC 8414).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use serde_json::json;

use crate::control::Control;

/// The keys that verify our access tokens, those that will sign soon included.
pub async fn jwks(State(control): State<Arc<Control>>) -> Response<Body> {
    public(&control.publisher.token_keys().jwks())
}

/// What kind of authorization server this is. The password login is first-party and not advertised (RFC 9700 section 2.4), so
/// the grant types are listed explicitly.
pub async fn authorization_server(State(control): State<Arc<Control>>) -> Response<Body> {
    let tokens = &control.tokens;
    let origin = origin(&tokens.issuer);
    let url = |path: &Option<String>| path.as_ref().map(|path| format!("{origin}{path}"));
    let mut metadata = json!({
        "issuer": tokens.issuer,
        "response_types_supported": [],
        "grant_types_supported": ["refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
    });
    if let Some(members) = metadata.as_object_mut() {
        for (name, path) in [("token_endpoint", &tokens.paths.token), ("jwks_uri", &tokens.paths.jwks)] {
            if let Some(url) = url(path) {
                members.insert(name.to_owned(), url.into());
            }
        }
    }
    public(&metadata)
}

/// Scheme and authority of an issuer: the endpoints' paths count from the root, whatever path the issuer has.
fn origin(issuer: &str) -> &str {
    let after_scheme = issuer.find("://").map_or(0, |at| at.saturating_add(3));
    let path = issuer.get(after_scheme..).and_then(|rest| rest.find('/'));
    path.and_then(|at| issuer.get(..after_scheme.saturating_add(at))).unwrap_or(issuer)
}

fn public(document: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(document.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_an_issuer_has_no_path() {
        for (issuer, expected) in [
            ("https://auth.example", "https://auth.example"),
            ("https://auth.example/t1", "https://auth.example"),
            ("http://127.0.0.1:8080/a/b", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(origin(issuer), expected);
        }
    }
}
