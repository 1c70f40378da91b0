//! From a refusal to an answer: the one place where it is said over HTTP.

use countersign_core::challenge::Challenges;
use countersign_core::code::{Code, Refusal};
use countersign_core::id::RequestId;
use countersign_core::signature;
use http::header::{ALLOW, CONNECTION, HeaderName, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response};

use crate::body::AnswerBody;
use crate::problem::{self, Problem};

const ACCEPT_SIGNATURE: HeaderName = HeaderName::from_static("accept-signature");
/// RFC 9530 section 4.
const WANT_CONTENT_DIGEST: HeaderName = HeaderName::from_static("want-content-digest");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// For how many names of headers a connection keeps room: most requests have fewer.
const MOST_KEPT: usize = 48;

/// What a refusal needs besides itself to be said properly.
#[derive(Debug, Default)]
pub struct Manners {
    /// Which credentials would help, for a 401 and some 403.
    pub challenges: Challenges,
    /// The methods that are allowed, for a 405.
    pub allow: Option<String>,
    /// What signatures must cover (RFC 9421 section 5.1), for a 401 where a rule asks for them.
    pub accept_signature: Option<HeaderValue>,
    /// What else is said about a signature that was refused.
    pub explained: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Says a refusal. `headers` are those of the request: hyper reads each request of a connection into the map of the answer before,
/// so that nobody has to make one.
pub fn refusal(refusal: &Refusal, manners: &Manners, id: &RequestId, mut headers: HeaderMap) -> Response<AnswerBody> {
    // The room for further lines of one name is not in the capacity, and would be kept as well.
    if headers.capacity() > MOST_KEPT || headers.len() != headers.keys_len() {
        headers = HeaderMap::new();
    } else {
        headers.clear();
    }
    let body = match &manners.explained {
        Some(explained) => problem::explained(refusal, id, explained),
        None => Problem::of(refusal, id, &[]).to_json(),
    };
    let mut response = problem::render_body(refusal, body, headers).map(AnswerBody::from);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(X_REQUEST_ID, id);
    }
    for challenge in manners.challenges.render(refusal) {
        headers.append(WWW_AUTHENTICATE, challenge);
    }
    if let Some(allow) = manners.allow.as_deref().and_then(|methods| HeaderValue::from_str(methods).ok()) {
        headers.insert(ALLOW, allow);
    }
    if let Some(accept) = manners.accept_signature.as_ref().filter(|_| refusal.code.status() == 401) {
        headers.insert(ACCEPT_SIGNATURE, accept.clone());
        headers.insert(WANT_CONTENT_DIGEST, HeaderValue::from_static(signature::WANT_CONTENT_DIGEST));
    }
    if matches!(refusal.code, Code::BodyDigestRequired | Code::BadContentDigest) {
        headers.insert(WANT_CONTENT_DIGEST, HeaderValue::from_static(signature::WANT_CONTENT_DIGEST));
    }
    if closes(refusal.code) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether what follows on the connection cannot be trusted to be a request.
const fn closes(code: Code) -> bool {
    matches!(code, Code::BadBody | Code::BodyTimeout | Code::HeadTimeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in the answer to a request with these headers, and how many headers there is room for.
    fn answered(sent: HeaderMap) -> (Vec<String>, usize) {
        let id: RequestId = "rq_0000000000000001".parse().unwrap();
        let manners = Manners { challenges: Challenges::of(&"jwt".parse().unwrap()), ..Manners::default() };
        let answer = refusal(&Code::InvalidToken.into(), &manners, &id, sent);
        assert_eq!(answer.headers()[X_REQUEST_ID], id.as_str());
        let mut names: Vec<_> = answer.headers().keys().map(ToString::to_string).collect();
        names.sort_unstable();
        (names, answer.headers().capacity())
    }

    #[test]
    fn nothing_of_a_request_is_in_the_answer_that_refuses_it() {
        let sent: HeaderMap = ["authorization", "cookie", "x-request-id", "set-cookie", "location", "x-own"]
            .into_iter()
            .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("theirs")))
            .collect();
        let room = sent.capacity();
        let mut repeated = sent.clone();
        (0..90).for_each(|_| _ = repeated.append("x-own", HeaderValue::from_static("theirs")));
        let many: HeaderMap = (0..99).map(|n| (format!("x-{n}").parse::<HeaderName>().unwrap(), HeaderValue::from(n))).collect();
        let names = ["cache-control", "content-type", "www-authenticate", "x-request-id"];
        assert_eq!(answered(sent), (names.map(str::to_owned).to_vec(), room));
        for large in [repeated, many] {
            let (told, kept) = answered(large);
            assert_eq!(told, names);
            assert!(kept <= 8, "{kept}");
        }
    }
}
