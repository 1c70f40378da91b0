//! What RFC 9421 itself shows, and what it leaves to us.

mod examples;
mod refused;
mod roundtrip;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

/// A request that can be looked at as a message.
#[derive(Clone)]
struct Request {
    method: &'static str,
    scheme: Scheme,
    host: &'static str,
    target: String,
    headers: HeaderMap,
}

impl Request {
    fn new(method: &'static str, host: &'static str, target: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = Self { method, scheme: Scheme::Https, host, target: target.to_owned(), headers: HeaderMap::new() };
        request.add("host", host);
        for (name, value) in headers {
            request.add(name, value);
        }
        request
    }

    /// The request of RFC 9421 appendix B.2.
    fn test_request() -> Self {
        Self::new(
            "POST",
            "example.com",
            "/foo?param=Value&Pet=dog",
            &[
                ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
                ("content-type", "application/json"),
                ("content-digest", "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"),
                ("content-length", "18"),
            ],
        )
    }

    fn add(&mut self, name: &str, value: &str) {
        self.headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }

    fn signed(mut self, input: &str, signature: &str) -> Self {
        self.add("signature-input", input);
        self.add("signature", signature);
        self
    }

    fn message(&self) -> Message<'_> {
        let (path, query) = self.target.split_once('?').map_or((&*self.target, None), |(path, query)| (path, Some(query)));
        let (scheme, headers) = (self.scheme, &self.headers);
        Message { method: self.method, scheme, host: self.host, target: &self.target, path, query, headers }
    }

    /// The string that `params` sign, as if they came with the label `sig`.
    fn base(&self, params: &str) -> Result<String, Refusal> {
        let signed = self.clone().signed(&format!("sig={params}"), "sig=:AA==:");
        let found = choose(find(&signed.headers)?, None, Some("sig"))?.unwrap();
        signature_base(&found, &signed.message(), &mut |_| ()).map(|base| String::from_utf8(base).unwrap())
    }

    /// The first line that is signed: the value of one component.
    fn line(&self, component: &str) -> Result<String, Refusal> {
        self.base(&format!("({component})")).map(|base| base.rsplit_once("\n\"@signature-params\"").unwrap().0.to_owned())
    }

    /// What one component reaches.
    fn reached(&self, component: &str) -> Vec<String> {
        let covered = Covered::parse(&[component]).unwrap();
        let found = to_sign("sig", &covered, &Params::default()).unwrap();
        let mut reached = Vec::new();
        signature_base(&found, &self.message(), &mut |part| reached.push(format!("{part:?}"))).unwrap();
        reached
    }
}

fn detail(refusal: Refusal) -> String {
    assert_eq!(refusal.code, Code::SignatureMalformed, "{refusal:?}");
    refusal.detail.unwrap().into_owned()
}
