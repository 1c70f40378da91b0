//! A request as it is judged. What is judged here is what is forwarded.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Method};

use crate::code::Refusal;

/// The scheme under which a client reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP; default port 80.
    Http,
    /// HTTP over TLS; default port 443.
    Https,
}

/// What the listener knows of the connection.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The socket's other end.
    pub peer: SocketAddr,
    /// The scheme when no trusted proxy says otherwise.
    pub public_scheme: Scheme,
}

/// The one shape that a request has for every check.
#[derive(Debug)]
pub struct RequestView<'r> {
    method: &'r Method,
    scheme: Scheme,
    host: Cow<'r, str>,
    target: &'r str,
    path: &'r str,
    query: Option<&'r str>,
    headers: &'r HeaderMap,
    client_address: IpAddr,
}

impl<'r> RequestView<'r> {
    /// Judges a request whose head passed the head gate (`head.rs`).
    pub fn judge(request: &'r http::request::Parts, connection: &Connection) -> Result<Self, Refusal> {
        let target = request.uri.path_and_query().map_or("/", |t| t.as_str());
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let host = request.headers.get(http::header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
        Ok(Self {
            method: &request.method,
            scheme: connection.public_scheme,
            host: Cow::Borrowed(host),
            target,
            path,
            query,
            headers: &request.headers,
            client_address: connection.peer.ip().to_canonical(),
        })
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
