//! The token endpoints: logging in, refreshing, logging out, and what the world may know of our keys.
//!
//! Requests come over the public listener, which puts the client's address ([`IpAddr`]) and the [`RequestId`] into the
//! request's extensions. Nothing here decides about requests to upstreams.

mod answer;
mod fields;
mod login;
mod metadata;
mod refresh;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::routing::{MethodRouter, get, post};
use bytes::Bytes;
use countersign_core::code::{Code, Refusal};
use countersign_core::id::RequestId;
use countersign_core::secret::SecretText;
use http::header::{AUTHORIZATION, CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};

use crate::control::{Control, to_the_end};
use crate::problem;
use answer::TokenAnswer;
use fields::Fields;

/// The largest body of a token request.
const MOST_BYTES: usize = 16 * 1024;
/// How long the body of a token request may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Routes the token endpoints that are switched on.
pub fn router(control: Arc<Control>) -> axum::Router {
    let paths = control.tokens.paths.clone();
    let endpoints: [(Option<String>, MethodRouter<Arc<Control>>); 5] = [
        (paths.token, post(token)),
        (paths.refresh, post(refresh_pair)),
        (paths.logout, post(logout)),
        (paths.jwks, get(metadata::jwks)),
        (paths.metadata, get(metadata::authorization_server)),
    ];
    let mut router = axum::Router::new();
    for (path, endpoint) in endpoints {
        if let Some(path) = path {
            router = router.route(&path, endpoint);
        }
    }
    router.method_not_allowed_fallback(wrong_method).fallback(no_such_path).with_state(control)
}

/// One request to a token endpoint, its body read.
struct Asked {
    control: Arc<Control>,
    headers: HeaderMap,
    query: bool,
    body: Bytes,
    address: IpAddr,
    request: RequestId,
}

/// `POST /token` (RFC 6749 sections 3.2, 4.3 and 6).
async fn token(State(control): State<Arc<Control>>, request: Request<Body>) -> Response<Body> {
    let id = request_id(&request);
    let outcome = match Asked::read(control, request).await {
        Ok(asked) => to_the_end(grant(asked)).await.and_then(std::convert::identity),
        Err(refusal) => Err(refusal),
    };
    match outcome {
        Ok(answer) => answer.render_oauth(),
        Err(refusal) => answer::refuse_oauth(&refusal, &id),
    }
    .map(Body::from)
}

async fn grant(asked: Asked) -> Result<TokenAnswer, Refusal> {
    if asked.query {
        return Err(Refusal::with(Code::InvalidRequest, "send the fields in the body, not in the query"));
    }
    let mut fields = Fields::read(&asked.headers, &asked.body)?;
    let secret_shown = asked.headers.get(AUTHORIZATION).is_some_and(|value| scheme_is(value, "basic"));
    if secret_shown || fields.take("client_secret")?.is_some() {
        return Err(Code::InvalidClient.into());
    }
    let grant_type = fields.require("grant_type")?;
    match grant_type.expose() {
        "password" | "Password" => login::log_in(&asked, fields).await,
        "refresh_token" => refresh::refresh(&asked, fields).await,
        _ => Err(Code::UnsupportedGrantType.into()),
    }
}

/// `POST /api/Auth/RefreshToken`: both tokens in JSON.
async fn refresh_pair(State(control): State<Arc<Control>>, request: Request<Body>) -> Response<Body> {
    let id = request_id(&request);
    let outcome = match Asked::read(control, request).await {
        Ok(asked) => to_the_end(refresh::refresh_pair(asked)).await.and_then(std::convert::identity),
        Err(refusal) => Err(refusal),
    };
    match outcome {
        Ok(answer) => answer.render_pair().map(Body::from),
        Err(refusal) => refuse(&refusal, &id),
    }
}

/// `POST /logout`: ends the session of the access token that is shown.
async fn logout(State(control): State<Arc<Control>>, request: Request<Body>) -> Response<Body> {
    let id = request_id(&request);
    let outcome = match Asked::read(control, request).await {
        Ok(asked) => to_the_end(login::log_out(asked)).await.and_then(std::convert::identity),
        Err(refusal) => Err(refusal),
    };
    match outcome {
        Ok(()) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(refusal) => refuse(&refusal, &id),
    }
}

async fn wrong_method(request: Request<Body>) -> Response<Body> {
    refuse(&Code::MethodNotAllowed.into(), &request_id(&request))
}

async fn no_such_path(request: Request<Body>) -> Response<Body> {
    refuse(&Code::NoRoute.into(), &request_id(&request))
}

fn refuse(refusal: &Refusal, id: &RequestId) -> Response<Body> {
    let mut response = problem::render(refusal, id).map(|bytes| Body::new(Full::new(bytes)));
    if response.status() == StatusCode::UNAUTHORIZED {
        // RFC 6750 section 3.1: no error is named when nothing was shown.
        let challenge = match refusal.code {
            Code::CredentialsRequired => "Bearer realm=\"countersign\"",
            _ => "Bearer realm=\"countersign\", error=\"invalid_token\"",
        };
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

impl Asked {
    async fn read(control: Arc<Control>, request: Request<Body>) -> Result<Self, Refusal> {
        let id = request_id(&request);
        let (head, body) = request.into_parts();
        let Some(address) = head.extensions.get::<IpAddr>().copied() else {
            tracing::error!("a token request came without the client's address");
            return Err(Code::Internal.into());
        };
        let body = match tokio::time::timeout(BODY_TIME, Limited::new(body, MOST_BYTES).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return Err(Code::BodyTooLarge.into()),
            Ok(Err(_broken)) => return Err(Code::BadBody.into()),
            Err(_late) => return Err(Code::BodyTimeout.into()),
        };
        Ok(Self { control, headers: head.headers, query: head.uri.query().is_some(), body, address, request: id })
    }

    /// The access token in `Authorization`; exactly one (RFC 6750 section 2).
    fn bearer(&self) -> Result<SecretText, Refusal> {
        let mut values = self.headers.get_all(AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => Err(Code::CredentialsRequired.into()),
            (Some(_), Some(_)) => Err(Code::AmbiguousCredentials.into()),
            (Some(value), None) if !scheme_is(value, "bearer") => Err(Code::CredentialsRequired.into()),
            (Some(value), None) => {
                let token = value.to_str().ok().and_then(|text| text.split_once(' ')).map(|(_scheme, token)| token);
                token.map(|token| SecretText::new(token.to_owned())).ok_or_else(|| Code::InvalidToken.into())
            }
        }
    }
}

/// Whether an `Authorization` value is of this scheme, in any case (RFC 9110 section 11.1).
fn scheme_is(value: &HeaderValue, scheme: &str) -> bool {
    let bytes = value.as_bytes();
    let end = bytes.iter().position(|byte| *byte == b' ').unwrap_or(bytes.len());
    bytes.get(..end).is_some_and(|shown| shown.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// The id that the listener gave the request.
fn request_id(request: &Request<Body>) -> RequestId {
    request.extensions().get::<RequestId>().cloned().unwrap_or_else(|| RequestId::new(countersign_core::fresh::Fresh::new([0; 10])))
}

#[cfg(test)]
mod tests;
