//! Refusals as answers: `application/problem+json` (RFC 9457), the same shape at every door.

use std::sync::LazyLock;

use bytes::Bytes;
use countersign_core::code::{Code, Refusal};
use countersign_core::id::RequestId;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

/// A refusal as it is written down.
#[derive(Debug, Serialize)]
pub struct Problem<'a> {
    #[serde(rename = "type")]
    kind: Type,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    code: &'static str,
    fix: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

/// What names a code in `type`.
#[derive(Debug)]
struct Type(Code);

impl Type {
    const PREFIX: &str = "urn:countersign:error:";
}

impl Serialize for Type {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}{}", Self::PREFIX, self.0))
    }
}

/// What is wrong with one field of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field, as a JSON Pointer (RFC 6901): `#/network`; `#` is the whole body.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl FieldError {
    /// What is wrong with `field`.
    pub fn of(field: &str, detail: impl ToString) -> Self {
        let pointer = if field.is_empty() { "#".to_owned() } else { format!("#/{}", field.replace('~', "~0").replace('/', "~1")) };
        Self { pointer, detail: detail.to_string() }
    }
}

impl<'a> Problem<'a> {
    /// A refusal of this request, with what is wrong with each field if it is about fields.
    pub fn of(refusal: &'a Refusal, request: &'a RequestId, errors: &'a [FieldError]) -> Self {
        let code = refusal.code;
        Self {
            kind: Type(code),
            title: code.title(),
            status: code.status(),
            detail: refusal.detail.as_deref(),
            code: code.as_str(),
            fix: code.fix(),
            request_id: request.as_str(),
            errors,
        }
    }

    /// The problem as JSON.
    pub fn to_json(&self) -> Bytes {
        if self.detail.is_none() && self.errors.is_empty() {
            return self.plain().into();
        }
        // Text and numbers only: serializing cannot fail.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

impl Problem<'_> {
    /// The same text without a serializer, for what is refused by the thousand. Nothing in it needs escaping: it comes from
    /// the table of codes, and a request id is letters and digits.
    fn plain(&self) -> String {
        let before = UP_TO_ID.get(self.kind.0 as usize).map_or("", String::as_str);
        let mut text = String::with_capacity(before.len().saturating_add(self.request_id.len()).saturating_add(2));
        for part in [before, self.request_id, "\"}"] {
            text.push_str(part);
        }
        text
    }
}

/// By code, what stands in front of the request's id.
static UP_TO_ID: LazyLock<Box<[String]>> = LazyLock::new(|| {
    let text = |code: &Code| {
        let (prefix, status, title, fix) = (Type::PREFIX, code.status(), code.title(), code.fix());
        format!(
            "{{\"type\":\"{prefix}{code}\",\"title\":\"{title}\",\"status\":{status},\"code\":\"{code}\",\"fix\":\"{fix}\",\"request_id\":\""
        )
    };
    Code::ALL.iter().map(text).collect()
});

/// The answer to a refused request. Challenges (`WWW-Authenticate`) are added by who knows what the rule asks for.
pub fn render(refusal: &Refusal, request: &RequestId) -> Response<Bytes> {
    render_fields(refusal, request, &[])
}

/// The answer to a refused request whose body has wrong fields.
pub fn render_fields(refusal: &Refusal, request: &RequestId, errors: &[FieldError]) -> Response<Bytes> {
    render_body(refusal, Problem::of(refusal, request, errors).to_json(), HeaderMap::new())
}

/// A refusal with further members (RFC 9457 section 3.2) that explain it, as JSON.
pub fn explained(refusal: &Refusal, request: &RequestId, explained: &Map<String, Value>) -> Bytes {
    // Text and numbers only: serializing cannot fail.
    let mut problem = serde_json::to_value(Problem::of(refusal, request, &[])).unwrap_or_default();
    if let Some(members) = problem.as_object_mut() {
        members.extend(explained.clone());
    }
    serde_json::to_vec(&problem).unwrap_or_default().into()
}

/// The answer to a refused request, with a body that says it, in `headers`, which is empty.
pub fn render_body(refusal: &Refusal, body: Bytes, headers: HeaderMap) -> Response<Bytes> {
    debug_assert!(headers.is_empty(), "nothing of a request is in its answer");
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(wait) = refusal.retry_after {
        headers.insert(RETRY_AFTER, whole_seconds(wait).into());
    }
    response
}

/// The answer as the head gate writes it to the socket, when a request never became one. The connection ends after it.
pub fn raw_http1(code: Code, request: &RequestId) -> Vec<u8> {
    let body = Problem::of(&code.into(), request, &[]).to_json();
    let status = code.status();
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Refused");
    let mut raw = format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n\
         x-request-id: {request}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    raw.extend_from_slice(&body);
    raw
}

/// Whole seconds, rounded up, at least 1: who comes back when told to must not be too early.
pub fn whole_seconds(wait: std::time::Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn request() -> RequestId {
        "rq_0000000000000001".parse().unwrap()
    }

    #[test]
    fn a_refusal_says_what_happened_and_what_to_do() {
        let refusal = Refusal::with(Code::TooManyAttempts, "6 attempts").after(Duration::from_millis(1200));
        let response = render(&refusal, &request());
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["retry-after"], "2");
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "urn:countersign:error:too_many_attempts", "title": "Too many attempts", "status": 429,
                "detail": "6 attempts", "code": "too_many_attempts", "fix": "Wait as long as Retry-After says.",
                "request_id": "rq_0000000000000001",
            })
        );
    }

    #[test]
    fn field_errors_point_at_their_fields() {
        let response = render_fields(&Code::InvalidBody.into(), &request(), &[FieldError::of("a/b~c", "is odd"), FieldError::of("", "no")]);
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["errors"], serde_json::json!([{"pointer": "#/a~1b~0c", "detail": "is odd"}, {"pointer": "#", "detail": "no"}]));
    }

    #[test]
    fn the_short_way_writes_what_the_serializer_writes() {
        for code in Code::ALL {
            let (refusal, request) = ((*code).into(), request());
            let problem = Problem::of(&refusal, &request, &[]);
            assert_eq!(problem.plain(), serde_json::to_string(&problem).unwrap());
        }
    }

    #[test]
    fn every_code_makes_a_whole_raw_answer() {
        for code in Code::ALL {
            let raw = String::from_utf8(raw_http1(*code, &request())).unwrap();
            let (head, body) = raw.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {} ", code.status())), "{head}");
            assert!(!head.contains("Refused"), "{code} has a status without a name");
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
            assert!(body.contains(code.as_str()));
        }
    }
}
