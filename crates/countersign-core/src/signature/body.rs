//! The body of a signed request as its signature sees it: a digest.

use aws_lc_rs::digest;
use http::{HeaderMap, HeaderName};

use crate::code::{Code, Refusal};

/// The digest of a body: computed from bytes that were read, or declared in the head and still to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyDigest {
    /// There is no body, or it has no bytes.
    Empty,
    /// Its SHA-256.
    Sha256([u8; 32]),
}

impl BodyDigest {
    /// The SHA-256.
    pub const fn sha256(self) -> [u8; 32] {
        match self {
            // SHA-256 of nothing (FIPS 180-4).
            Self::Empty => [
                0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4,
                0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
            ],
            Self::Sha256(digest) => digest,
        }
    }

    /// The digest of a body that is all there.
    pub fn of(body: &[u8]) -> Self {
        let mut hasher = BodyHasher::new();
        hasher.update(body);
        hasher.finish()
    }
}

/// Computes the digest of a body while it is read.
pub struct BodyHasher {
    context: digest::Context,
    empty: bool,
}

impl BodyHasher {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self { context: digest::Context::new(&digest::SHA256), empty: true }
    }

    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.empty &= bytes.is_empty();
        self.context.update(bytes);
    }

    /// The digest of all bytes.
    pub fn finish(self) -> BodyDigest {
        if self.empty {
            return BodyDigest::Empty;
        }
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.context.finish().as_ref());
        BodyDigest::Sha256(sha256)
    }

    /// Checks that all bytes are what was declared.
    pub fn check(self, declared: &[u8; 32]) -> Result<(), Refusal> {
        if self.finish().sha256() == *declared { Ok(()) } else { Err(Code::BodyDigestMismatch.into()) }
    }
}

impl Default for BodyHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Headers that change what a request means and that a signature does not cover. `allowed` are those that the route names.
///
/// All but letters and digits count as `-`: many frameworks cannot tell them apart.
pub fn uncovered_header(headers: &HeaderMap, allowed: &[HeaderName]) -> Option<&'static str> {
    uncovered_header_but(headers, allowed, |_| false)
}

/// The same when the signature covers some of them, by exactly the name that was sent.
pub(super) fn uncovered_header_but(
    headers: &HeaderMap,
    allowed: &[HeaderName],
    is_covered: impl Fn(&HeaderName) -> bool,
) -> Option<&'static str> {
    // Once over the names that came, which are few, and not once over the table for each request.
    headers.keys().find_map(|sent| {
        let name = sent.as_str().as_bytes();
        // Most do not begin as one of them does.
        if !matches!(name, [b'x', _, b'e' | b'f' | b'h' | b'm' | b'o' | b'r', ..] | [b'c', b'o', b'n', ..]) {
            return None;
        }
        let folds = |known: &str| {
            known.len() == name.len() && known.bytes().zip(name).all(|(a, b)| a == *b || (a == b'-' && !b.is_ascii_alphanumeric()))
        };
        let found = *UNCOVERED.iter().find(|known| folds(known))?;
        let passes = allowed.iter().any(|allowed| allowed.as_str() == found) || is_covered(sent);
        (!passes).then_some(found)
    })
}

/// Frameworks take the method, the path or the form of the body from these.
static UNCOVERED: [&str; 13] = [
    "content-encoding",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-original-uri",
    "x-original-method",
    "x-rewrite-url",
    "x-forwarded-prefix",
    "x-forwarded-path",
    "x-forwarded-uri",
    "x-forwarded-method",
    "x-envoy-original-path",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashing_in_pieces_is_hashing_at_once() {
        let mut hasher = BodyHasher::new();
        for piece in [&b""[..], b"he", b"", b"llo"] {
            hasher.update(piece);
        }
        assert_eq!(hasher.finish(), BodyDigest::of(b"hello"));
        assert_eq!(BodyDigest::of(b""), BodyDigest::Empty);
        assert_eq!(digest::digest(&digest::SHA256, b"").as_ref(), BodyDigest::Empty.sha256());
        assert_eq!(BodyHasher::new().check(&[0; 32]).unwrap_err().code, Code::BodyDigestMismatch);
        assert!(BodyHasher::new().check(&BodyDigest::Empty.sha256()).is_ok());
    }

    #[test]
    fn headers_that_change_the_meaning_are_found_unless_allowed_by_name() {
        let headers: HeaderMap = [(HeaderName::from_static("content-encoding"), "gzip".parse().unwrap())].into_iter().collect();
        assert_eq!(uncovered_header(&headers, &[]), Some("content-encoding"));
        assert_eq!(uncovered_header(&headers, &[http::header::CONTENT_ENCODING]), None);
        assert_eq!(uncovered_header(&HeaderMap::new(), &[]), None);
        for (name, found) in [
            ("x-http-method-override", true),
            ("x_http_method_override", true),
            ("X-HTTP_Method.Override", true),
            ("x-original-url", true),
            ("x-http-method-overridd", false),
            ("content-type", false),
            ("accept-encoding", false),
        ]
        .into_iter()
        .map(|(name, found)| (name.to_owned(), found))
        .chain(UNCOVERED.into_iter().flat_map(|name| [name.to_owned(), name.replace('-', "_")].map(|name| (name, true))))
        {
            let headers: HeaderMap = [(name.parse().unwrap(), "PUT".parse().unwrap())].into_iter().collect();
            assert_eq!(uncovered_header(&headers, &[]).is_some(), found, "{name}");
        }
    }
}
