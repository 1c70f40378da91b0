//! The request as profiles read it: one that came, or one that is to be signed.

use http::HeaderMap;

use super::body::BodyDigest;
use super::rfc9421::Message;
use crate::request_view::{RequestView, Scheme};

/// The head of a request.
#[derive(Debug, Clone, Copy)]
pub struct Head<'v> {
    /// The method as sent.
    pub method: &'v str,
    /// The scheme under which it was sent.
    pub scheme: Scheme,
    /// Host and port in lower case, without the default port.
    pub host: &'v str,
    /// Path and query as sent.
    pub target: &'v str,
    /// The headers as sent.
    pub headers: &'v HeaderMap,
}

impl<'v> Head<'v> {
    /// The head of a request that was judged.
    pub fn of(view: &'v RequestView<'_>) -> Self {
        Self { method: view.method().as_str(), scheme: view.scheme(), host: view.host(), target: view.target(), headers: view.headers() }
    }

    /// The target up to the first `?`.
    pub fn path(&self) -> &'v str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// What follows the first `?`, if there is one.
    pub fn query(&self) -> Option<&'v str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The host without its port.
    pub fn host_name(&self) -> &'v str {
        self.split_port().0
    }

    /// The port, also when it is the default.
    pub fn port(&self) -> Port<'v> {
        self.split_port().1.map_or(Port::Default(self.scheme.default_port()), Port::Said)
    }

    /// The same for HTTP Message Signatures.
    pub(super) fn rfc9421(&self) -> Message<'v> {
        Message {
            method: self.method,
            scheme: self.scheme,
            host: self.host,
            target: self.target,
            path: self.path(),
            query: self.query(),
            headers: self.headers,
        }
    }

    fn split_port(&self) -> (&'v str, Option<&'v str>) {
        match self.host.rsplit_once(':') {
            // A colon inside of brackets belongs to an IPv6 address.
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name, Some(port)),
            _ => (self.host, None),
        }
    }
}

/// A port as text or as the number that need not be said.
#[derive(Debug, Clone, Copy)]
pub enum Port<'v> {
    /// As sent.
    Said(&'v str),
    /// Of the scheme.
    Default(u16),
}

/// The body of a request, as much of it as is at hand.
#[derive(Debug, Clone, Copy)]
pub enum Body<'v> {
    /// There is none, or it has no bytes.
    Empty,
    /// Its digest only: it was declared, or the body is elsewhere.
    Digest(BodyDigest),
    /// Its bytes and their digest.
    Bytes(&'v [u8], BodyDigest),
}

impl<'v> Body<'v> {
    /// A body that is all there.
    pub fn of(bytes: &'v [u8]) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Bytes(bytes, BodyDigest::of(bytes)) }
    }

    /// Its digest.
    pub const fn digest(&self) -> BodyDigest {
        match self {
            Self::Empty => BodyDigest::Empty,
            Self::Digest(digest) | Self::Bytes(_, digest) => *digest,
        }
    }

    /// Whether there is one.
    pub const fn is_there(&self) -> bool {
        !matches!(self, Self::Empty | Self::Digest(BodyDigest::Empty))
    }
}
