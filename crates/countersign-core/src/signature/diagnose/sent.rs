//! A request that can be changed: as it was sent at first, then as the client may have signed it.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::body::BodyDigest;
use super::super::request::{Body, Head};
use crate::request_view::Scheme;

/// A request, lent where it is as it was sent.
#[derive(Clone)]
pub(super) struct Sent<'v> {
    pub(super) method: Cow<'v, str>,
    pub(super) scheme: Scheme,
    pub(super) host: Cow<'v, str>,
    pub(super) target: Cow<'v, str>,
    pub(super) headers: Cow<'v, HeaderMap>,
    body: Cow<'v, [u8]>,
    digest: BodyDigest,
}

impl<'v> Sent<'v> {
    pub(super) fn of(head: Head<'v>, body: &'v [u8]) -> Self {
        Self {
            method: head.method.into(),
            scheme: head.scheme,
            host: head.host.into(),
            target: head.target.into(),
            headers: Cow::Borrowed(head.headers),
            body: body.into(),
            digest: BodyDigest::of(body),
        }
    }

    pub(super) fn head(&self) -> Head<'_> {
        Head { method: &self.method, scheme: self.scheme, host: &self.host, target: &self.target, headers: &self.headers }
    }

    pub(super) fn body(&self) -> Body<'_> {
        if self.body.is_empty() { Body::Empty } else { Body::Bytes(&self.body, self.digest) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn path(&self) -> &str {
        self.head().path()
    }

    pub(super) fn query(&self) -> Option<&str> {
        self.head().query()
    }

    pub(super) fn set_path(&mut self, path: &str) {
        let target = match self.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        self.target = target.into();
    }

    pub(super) fn set_query(&mut self, query: Option<&str>) {
        let target = match query {
            Some(query) => format!("{}?{query}", self.path()),
            None => self.path().to_owned(),
        };
        self.target = target.into();
    }

    /// Another host, in the Host header as well.
    pub(super) fn set_host(&mut self, host: &str) {
        if let Ok(value) = HeaderValue::from_str(host) {
            self.headers.to_mut().insert(http::header::HOST, value);
        }
        self.host = host.to_owned().into();
    }

    /// One value for a header, or none.
    pub(super) fn set_header(&mut self, name: &HeaderName, value: Option<&[u8]>) {
        match value.map(HeaderValue::from_bytes) {
            Some(Ok(value)) => {
                self.headers.to_mut().insert(name, value);
            }
            _ => {
                self.headers.to_mut().remove(name);
            }
        }
    }

    pub(super) fn set_body(&mut self, body: Vec<u8>) {
        self.digest = BodyDigest::of(&body);
        self.body = body.into();
    }
}
