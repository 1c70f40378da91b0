//! One request to the admin API once it is let in: its parts, checked, and the answers it can get.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Query;
use bytes::Bytes;
use countersign_core::audit::AuditEvent;
use countersign_core::code::{Code, Refusal};
use countersign_core::id::{BadId, RequestId};
use countersign_core::now::UnixMillis;
use countersign_store::{Added, Changed, StoreError};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, LOCATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::guard::{Caller, Peer};
use crate::control::{Control, audit_event, store_failed};
use crate::problem::{self, FieldError};
use crate::publish::Parts as Published;
use crate::wire;

/// The largest body.
const MOST_BYTES: usize = 64 * 1024;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How many items a page has, and at most.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

/// One request that was let in.
pub(super) struct Call {
    pub control: Arc<Control>,
    pub caller: Caller,
    pub peer: Peer,
    pub now: UnixMillis,
    request: RequestId,
    params: Vec<(String, String)>,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    /// Reads the rest of the request.
    pub async fn read(
        control: Arc<Control>,
        request: RequestId,
        peer: Peer,
        caller: Caller,
        params: Vec<(String, String)>,
        head: Parts,
        body: Body,
    ) -> Result<Self, Failure> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(&head.uri).map_err(|_malformed| Failure::from(Code::BadTarget))?.0;
        let body = match tokio::time::timeout(BODY_TIME, Limited::new(body, MOST_BYTES).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return Err(Code::BodyTooLarge.into()),
            Ok(Err(_broken)) => return Err(Code::BadBody.into()),
            Err(_late) => return Err(Code::BodyTimeout.into()),
        };
        let now = control.now();
        Ok(Self { control, caller, peer, now, request, params, query, headers: head.headers, body })
    }

    /// A part of the path. What is not one is nothing that could be there.
    pub fn param<T: std::str::FromStr>(&self, name: &str) -> Result<T, Failure> {
        let text = self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        text.and_then(|text| text.parse().ok()).ok_or_else(|| Code::NotFound.into())
    }

    /// A query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The page that is asked for: after which item, and how many.
    pub fn page(&self) -> Result<(Option<&str>, usize), Failure> {
        let limit = match self.query("limit") {
            None => PAGE,
            Some(text) => match text.parse() {
                Ok(limit) if (1..=LARGEST_PAGE).contains(&limit) => limit,
                _ => return Err(Failure::field("limit", format!("limit is a number from 1 to {LARGEST_PAGE}"))),
            },
        };
        Ok((self.query("after"), limit))
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.require_json(&["application/json"])?;
        from_json(&self.body)
    }

    /// The body as JSON, or what an empty object says when there is no body.
    pub fn json_or_empty<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        if self.body.is_empty() { from_json(b"{}") } else { self.json() }
    }

    /// The body as a merge patch (RFC 7396).
    pub fn merge_patch(&self) -> Result<serde_json::Value, Failure> {
        self.require_json(&["application/json", "application/merge-patch+json"])?;
        from_json(&self.body)
    }

    /// A web page can post forms and text to any address without asking, but not JSON.
    fn require_json(&self, allowed: &[&str]) -> Result<(), Failure> {
        let text = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = text.split(';').next().unwrap_or_default().trim();
        if allowed.iter().any(|allowed| essence.eq_ignore_ascii_case(allowed)) { Ok(()) } else { Err(Code::UnsupportedMediaType.into()) }
    }

    /// What `If-Match` asks for (RFC 9110 section 13.1.1).
    pub fn if_match(&self) -> Result<IfMatch, Failure> {
        let mut versions = Vec::new();
        for value in self.headers.get_all(IF_MATCH) {
            for tag in value.to_str().unwrap_or_default().split(',').map(str::trim) {
                match tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                    _ if tag == "*" => return Ok(IfMatch::Any),
                    Some(version) => versions.extend(version.parse::<u64>()),
                    // A weak tag never matches; neither does what is no tag.
                    None => {}
                }
            }
        }
        if self.headers.contains_key(IF_MATCH) { Ok(IfMatch::Versions(versions)) } else { Err(Code::PreconditionRequired.into()) }
    }

    /// An audit row for what this request changes.
    pub fn audit(&self, action: &'static str, target: impl ToString, detail: serde_json::Value) -> AuditEvent {
        audit_event(self.now, self.caller.actor.clone(), action, target, detail, &self.request)
    }

    /// Puts something that was added in force.
    pub async fn added(&self, outcome: Added, parts: Published) -> Result<(), Failure> {
        match outcome {
            Added::Added(_) => Ok(self.control.publish(parts).await?),
            Added::AlreadyExists => Err(Code::AlreadyExists.into()),
            Added::NotFound => Err(Code::NoOwner.into()),
        }
    }

    /// Puts a change in force. `stale` says what it means that the thing is not as expected.
    pub async fn changed(&self, outcome: Changed, stale: Code, parts: Published) -> Result<(), Failure> {
        match outcome {
            // A repeated change is put in force too: the first attempt may have failed at that.
            Changed::Changed(_) | Changed::NoChange => Ok(self.control.publish(parts).await?),
            Changed::Stale => Err(stale.into()),
            Changed::NotFound => Err(Code::NotFound.into()),
        }
    }
}

/// What `If-Match` asks for.
pub(super) enum IfMatch {
    /// Whatever is there.
    Any,
    /// One of these versions.
    Versions(Vec<u64>),
}

impl IfMatch {
    /// The version to expect of something whose version is `current`.
    pub fn expected(&self, current: u64) -> Result<Option<u64>, Failure> {
        match self {
            Self::Any => Ok(None),
            Self::Versions(versions) if versions.contains(&current) => Ok(Some(current)),
            Self::Versions(_) => Err(Code::Stale.into()),
        }
    }
}

/// Reads JSON into a type that refuses what it does not know.
pub(super) fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let said = error.to_string();
        // The reader names a member in backquotes when it is about one; the pointer leads there.
        let member = ["unknown field `", "missing field `", "duplicate field `"]
            .iter()
            .find_map(|start| said.strip_prefix(start)?.split('`').next())
            .unwrap_or_default();
        Failure::field(member, &said)
    })
}

/// Collects what is wrong with the fields of a body, so that all of it is said at once.
#[derive(Default)]
pub(super) struct FieldErrors(pub Vec<FieldError>);

impl FieldErrors {
    /// Parses a field, or notes what is wrong with it.
    pub fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        text.parse().map_err(|error: T::Err| self.0.push(FieldError::of(field, error))).ok()
    }

    /// Parses a moment, or notes what is wrong with it.
    pub fn time(&mut self, field: &str, text: Option<&str>) -> Option<UnixMillis> {
        let text = text?;
        let at = wire::parse_time(text);
        if at.is_none() {
            self.add(field, "write a moment as RFC 3339: 2026-11-23T12:00:00Z");
        }
        at
    }

    /// Parses a list by joining it, or notes what is wrong with it.
    pub fn scopes(&mut self, field: &str, scopes: &[String]) -> Option<countersign_core::principal::Scopes> {
        if scopes.iter().any(|scope| scope.is_empty() || scope.contains(' ')) {
            self.add(field, "each scope is one word");
            return None;
        }
        self.parse(field, &scopes.join(" "))
    }

    /// A label: up to 100 characters without control characters.
    pub fn label(&mut self, field: &str, label: &str) {
        if label.chars().count() > 100 || label.chars().any(char::is_control) {
            self.add(field, "a label has at most 100 characters and no control characters");
        }
    }

    /// Notes what is wrong with a field.
    pub fn add(&mut self, field: &str, detail: impl ToString) {
        self.0.push(FieldError::of(field, detail));
    }

    /// All is well, or everything that is not.
    pub fn finish(self) -> Result<(), Failure> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into_failure()) }
    }

    /// Everything that is not well.
    pub fn into_failure(self) -> Failure {
        Failure { refusal: Code::InvalidBody.into(), errors: self.0 }
    }
}

/// Why a request was not done.
#[derive(Debug)]
pub(super) struct Failure {
    refusal: Refusal,
    errors: Vec<FieldError>,
}

impl Failure {
    /// One field is wrong.
    pub fn field(field: &str, detail: impl ToString) -> Self {
        Self { refusal: Code::InvalidBody.into(), errors: vec![FieldError::of(field, detail)] }
    }

    /// The failure as an answer.
    pub fn render(&self, request: &RequestId) -> Response<Body> {
        let mut response = problem::render_fields(&self.refusal, request, &self.errors).map(Body::from);
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"countersign admin\""));
        }
        named(response, request)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, errors: Vec::new() }
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Refusal::from(code).into()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        store_failed(error).into()
    }
}

impl From<BadId> for Failure {
    fn from(bad: BadId) -> Self {
        Self::field("", bad)
    }
}

/// What a request is answered with.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Bytes,
    version: Option<u64>,
    location: Option<String>,
}

impl Answer {
    /// 200 with a body.
    pub fn ok(body: &impl Serialize) -> Result<Self, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| {
            tracing::error!(%error, "an answer could not be written");
            Failure::from(Code::Internal)
        })?;
        Ok(Self { status: StatusCode::OK, body: body.into(), version: None, location: None })
    }

    /// 201 with a body and where the thing is from now on.
    pub fn created(body: &impl Serialize, location: String) -> Result<Self, Failure> {
        Ok(Self { status: StatusCode::CREATED, location: Some(location), ..Self::ok(body)? })
    }

    /// 204.
    pub const fn done() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: Bytes::new(), version: None, location: None }
    }

    /// With an ETag.
    #[must_use]
    pub fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// As an HTTP response.
    pub fn render(self, request: &RequestId) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let tag = self.version.and_then(|version| HeaderValue::try_from(format!("\"{version}\"")).ok());
        let location = self.location.and_then(|location| HeaderValue::try_from(location).ok());
        for (name, value) in [(ETAG, tag), (LOCATION, location)] {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        named(response, request)
    }
}

fn named(mut response: Response<Body>, request: &RequestId) -> Response<Body> {
    if let Ok(id) = HeaderValue::from_str(request.as_str()) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// One page of `items`, which are sorted by `key`: those after `after`, at most `limit`.
pub(super) fn paged<T, O>(
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> String,
    after: Option<&str>,
    limit: usize,
    out: impl Fn(&T) -> O,
) -> wire::Page<O> {
    let mut rest = items.into_iter().filter(|item| after.is_none_or(|after| key(item).as_str() > after));
    let page: Vec<T> = rest.by_ref().take(limit).collect();
    let more = rest.next().is_some();
    wire::Page { next: page.last().filter(|_| more).map(&key), items: page.iter().map(out).collect() }
}
