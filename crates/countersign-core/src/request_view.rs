//! A request as it is judged. What is judged here is what is forwarded.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use http::{HeaderMap, Method};

use crate::code::{Code, Refusal};
use crate::forwarded::Proxies;
use crate::host::Authority;
use crate::{header_check, path_check};

/// The one shape that a request has for every check.
#[derive(Debug)]
pub struct RequestView<'r> {
    method: &'r Method,
    scheme: Scheme,
    host: Cow<'r, str>,
    host_name_length: usize,
    target: &'r str,
    path: &'r str,
    query: Option<&'r str>,
    headers: &'r HeaderMap,
    client_address: IpAddr,
    found: Relax,
}

/// What the listener knows of the connection.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The socket's other end.
    pub peer: SocketAddr,
    /// The scheme when no trusted proxy says otherwise.
    pub public_scheme: Scheme,
    /// The proxies whose word counts.
    pub proxies: Arc<Proxies>,
}

/// The scheme under which a client reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP; default port 80.
    Http,
    /// HTTP over TLS; default port 443.
    Https,
}

impl Scheme {
    /// The port that needs no mention.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// The scheme as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl<'r> RequestView<'r> {
    /// Judges a request whose head passed the head gate (`head.rs`) or came from a front that is trusted with heads.
    ///
    /// Refused here is what no route can allow. What a route may allow by name is kept for [`Self::unrelaxed`].
    pub fn judge(request: &'r http::request::Parts, connection: &Connection) -> Result<Self, Refusal> {
        let headers = &request.headers;
        let target = request.uri.path_and_query().ok_or(Code::BadTarget)?.as_str();
        let (path, query) = match target.bytes().position(|byte| byte == b'?').and_then(|at| target.split_at_checked(at)) {
            Some((path, query)) => (path, query.get(1..)),
            None => (target, None),
        };
        let mut found = path_check::check(path)?;
        if query.is_some_and(|query| !is_visible(query.as_bytes())) {
            return Err(Code::BadTarget.into());
        }
        // Before any header is read for its value: with two of them, nobody knows which one counts.
        found.insert(header_check::check(headers)?);
        let origin = connection.proxies.find_origin(connection.peer.ip(), headers)?;
        let scheme = origin.scheme.unwrap_or(connection.public_scheme);
        let host = headers.get(http::header::HOST).ok_or(Code::NoHost)?;
        let host = host.to_str().ok().and_then(Authority::parse).ok_or(Code::BadHost)?;
        if let Some(authority) = request.uri.authority() {
            let authority = Authority::parse(authority.as_str()).ok_or(Code::BadTarget)?;
            if request.uri.scheme_str() != Some(scheme.as_str()) {
                return Err(Refusal::with(Code::BadTarget, "The target has another scheme than the connection."));
            }
            if !authority.is_same(&host, scheme) {
                return Err(Code::HostMismatch.into());
            }
        }
        let (host, host_name_length) = host.normal(scheme);
        Ok(Self {
            method: &request.method,
            scheme,
            host,
            host_name_length,
            target,
            path,
            query,
            headers,
            client_address: origin.address,
            found,
        })
    }

    /// The first finding that a route with `relax` does not allow.
    pub const fn unrelaxed(&self, relax: &Relax) -> Option<Code> {
        self.found.without(*relax).first()
    }

    /// What was found of what a route may allow.
    pub const fn found(&self) -> Relax {
        self.found
    }

    /// The first finding at all: what a request that no route wants is refused with.
    pub const fn first_finding(&self) -> Option<Code> {
        self.found.first()
    }

    /// The method.
    pub const fn method(&self) -> &'r Method {
        self.method
    }

    /// The scheme under which the client reached us.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host in lower case, a default port and a trailing dot dropped.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host without any port: what routes are chosen by.
    pub fn host_name(&self) -> &str {
        self.host.get(..self.host_name_length).unwrap_or_default()
    }

    /// The request target exactly as sent: path and query.
    pub const fn target(&self) -> &'r str {
        self.target
    }

    /// The path: the target up to the first `?`.
    pub const fn path(&self) -> &'r str {
        self.path
    }

    /// What follows the first `?`, if there is one.
    pub const fn query(&self) -> Option<&'r str> {
        self.query
    }

    /// The headers as they came.
    pub const fn headers(&self) -> &'r HeaderMap {
        self.headers
    }

    /// Where the request came from (section 2.4 of the design): the peer, or what trusted proxies say.
    pub const fn client_address(&self) -> IpAddr {
        self.client_address
    }
}

/// A set of checks that a route relaxes, by the names of their codes. The default relaxes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Relax(u8);

impl Relax {
    /// `%2f` in the path.
    pub const ENCODED_SLASH: Self = Self(1);
    /// `;` in the path.
    pub const PATH_PARAMETER: Self = Self(2);
    /// `//` in the path.
    pub const EMPTY_SEGMENT: Self = Self(4);
    /// `_` in a header name that is not one of the gateway's.
    pub const HEADER_ALIAS: Self = Self(8);

    /// Every check that can be relaxed, with its code.
    pub const ALL: [(Self, Code); 4] = [
        (Self::ENCODED_SLASH, Code::EncodedSlash),
        (Self::PATH_PARAMETER, Code::PathParameter),
        (Self::EMPTY_SEGMENT, Code::EmptySegment),
        (Self::HEADER_ALIAS, Code::HeaderAlias),
    ];

    /// Adds the checks of `other`.
    pub const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether every check of `other` is in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is relaxed.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The code of the first check in the set.
    pub const fn first(self) -> Option<Code> {
        match self {
            Self(0) => None,
            _ if self.contains(Self::ENCODED_SLASH) => Some(Code::EncodedSlash),
            _ if self.contains(Self::PATH_PARAMETER) => Some(Code::PathParameter),
            _ if self.contains(Self::EMPTY_SEGMENT) => Some(Code::EmptySegment),
            _ => Some(Code::HeaderAlias),
        }
    }
}

/// A name that is not that of a check a route can relax.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a check that can be relaxed: encoded_slash, path_parameter, empty_segment and header_alias are")]
pub struct BadRelax(String);

impl FromStr for Relax {
    type Err = BadRelax;

    fn from_str(name: &str) -> Result<Self, BadRelax> {
        let known = Self::ALL.iter().find(|(_, code)| code.as_str() == name);
        known.map(|(relax, _)| *relax).ok_or_else(|| BadRelax(name.chars().take(80).collect()))
    }
}

/// Whether all bytes are visible ASCII, read eight at a time: the sum below is free of branches.
fn is_visible(bytes: &[u8]) -> bool {
    bytes.chunks(32).all(|chunk| chunk.iter().fold(true, |good, b| good & (0x21..=0x7e).contains(b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn parts(target: &str, headers: &[(&str, &str)]) -> http::request::Parts {
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn connection() -> Connection {
        Connection { peer: "192.0.2.1:4711".parse().unwrap(), public_scheme: Scheme::Http, proxies: Arc::default() }
    }

    fn code(target: &str, headers: &[(&str, &str)]) -> Option<Code> {
        RequestView::judge(&parts(target, headers), &connection()).err().map(|refusal| refusal.code)
    }

    #[test]
    fn a_view_shows_the_request_as_it_was_sent() {
        let parts = parts("/a%20b/c?x=1&y=%2F?z", &[("host", "Example.org:8080"), ("accept", "*/*")]);
        let view = RequestView::judge(&parts, &connection()).unwrap();
        assert_eq!((view.target(), view.path(), view.query()), ("/a%20b/c?x=1&y=%2F?z", "/a%20b/c", Some("x=1&y=%2F?z")));
        assert_eq!((view.host(), view.host_name()), ("example.org:8080", "example.org"));
        assert_eq!(view.client_address(), "192.0.2.1".parse::<IpAddr>().unwrap());
        assert_eq!(view.unrelaxed(&Relax::default()), None);
    }

    #[test]
    fn the_query_is_opaque() {
        for target in ["/?/admin", "/a?../..", "/a?%00%zz%2f;//\\", "/a?", "/a??"] {
            assert_eq!(code(target, &[("host", "a")]), None, "{target}");
        }
    }

    #[test]
    fn the_host_is_needed_once_and_well_formed() {
        assert_eq!(code("/", &[]), Some(Code::NoHost));
        assert_eq!(code("/", &[("host", "a"), ("host", "a")]), Some(Code::DuplicateHeader));
        assert_eq!(code("/", &[("host", "a b")]), Some(Code::BadHost));
        assert_eq!(code("/", &[("host", "u@a")]), Some(Code::BadHost));
    }

    #[test]
    fn an_absolute_target_must_agree_with_host_and_scheme() {
        assert_eq!(code("http://Example.org:80/a", &[("host", "example.org")]), None);
        assert_eq!(code("http://evil.example/a", &[("host", "example.org")]), Some(Code::HostMismatch));
        assert_eq!(code("http://u@example.org/a", &[("host", "example.org")]), Some(Code::BadTarget));
        assert_eq!(code("https://example.org/a", &[("host", "example.org")]), Some(Code::BadTarget));
        assert_eq!(code("example.org:80", &[("host", "example.org")]), Some(Code::BadTarget));
        assert_eq!(code("*", &[("host", "example.org")]), Some(Code::BadTarget));
    }

    #[test]
    fn what_a_route_may_allow_is_refused_until_it_does() {
        for (relax, target, name) in [
            ("encoded_slash", "/a%2fb", "a"),
            ("path_parameter", "/a;b", "a"),
            ("empty_segment", "/a//b", "a"),
            ("header_alias", "/a", "a_b"),
        ] {
            let parts = parts(target, &[("host", "a"), (name, "x")]);
            let view = RequestView::judge(&parts, &connection()).unwrap();
            assert_eq!(view.unrelaxed(&Relax::default()).map(Code::as_str), Some(relax));
            assert_eq!(view.unrelaxed(&relax.parse().unwrap()), None);
        }
        assert!("dot_segment".parse::<Relax>().is_err());
    }

    #[test]
    fn every_relaxable_check_reports_its_own_code() {
        for (relax, code) in Relax::ALL {
            assert_eq!(relax.first(), Some(code));
        }
    }
}
