//! `Content-Digest` (RFC 9530): the digest of the body in the head, where a signature can cover it.

use aws_lc_rs::digest;
use http::{HeaderMap, HeaderName};
use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};

use crate::code::{Code, Refusal};
use crate::secret::same_bytes;

/// What to ask for when a request comes without a digest: the value of `Want-Content-Digest` (RFC 9530 section 4). sha-512 is
/// checked where it is sent, but not while a body streams, so it is not asked for.
pub const WANT_CONTENT_DIGEST: &str = "sha-256=10";

/// The digests of a body that its head declares, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentDigest {
    sha256: Option<[u8; 32]>,
    sha512: Option<[u8; 64]>,
}

impl ContentDigest {
    /// The SHA-256, if it is declared.
    pub const fn sha256(&self) -> Option<[u8; 32]> {
        self.sha256
    }

    /// The SHA-512, if it is declared.
    pub const fn sha512(&self) -> Option<[u8; 64]> {
        self.sha512
    }

    /// The one digest that a body is compared with while it streams.
    ///
    /// # Errors
    ///
    /// `bad_content_digest`: only SHA-256 is computed then.
    pub fn alone(&self) -> Result<[u8; 32], Refusal> {
        match self {
            Self { sha256: Some(declared), sha512: None } => Ok(*declared),
            _ => Err(Refusal::with(Code::BadContentDigest, "a body of this size is compared with sha-256: send that alone")),
        }
    }

    /// Checks that a body is what all declared digests say.
    ///
    /// # Errors
    ///
    /// `body_digest_mismatch`.
    pub fn check(&self, body: &[u8]) -> Result<(), Refusal> {
        let is = |algorithm, declared: &[u8]| same_bytes(digest::digest(algorithm, body).as_ref(), declared);
        let good = self.sha256.is_none_or(|declared| is(&digest::SHA256, &declared))
            && self.sha512.is_none_or(|declared| is(&digest::SHA512, &declared));
        if good { Ok(()) } else { Err(Code::BodyDigestMismatch.into()) }
    }
}

/// The digests that a head declares (RFC 9530 section 2). Algorithms that RFC 9530 does not know, and those that it calls
/// insecure, are ignored; with none left it is as if there were no digest.
///
/// # Errors
///
/// `bad_content_digest`: a field that is no dictionary, comes in two lines, or has a digest of another length.
pub fn content_digest(headers: &HeaderMap) -> Result<Option<ContentDigest>, Refusal> {
    const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
    let mut lines = headers.get_all(CONTENT_DIGEST).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    // One field, one line: a second line might be joined in another order further on.
    if lines.next().is_some() {
        return Err(Refusal::with(Code::BadContentDigest, "it came more than once"));
    }
    let digests = Digests { sha256: Digest::Absent, sha512: Digest::Absent };
    let digests = Parser::new(line.as_bytes()).parse_dictionary_with_visitor(digests);
    let digests = digests.map_err(|error| Refusal::with(Code::BadContentDigest, error.to_string()))?;
    let found = ContentDigest { sha256: digests.sha256.of_length("sha-256")?, sha512: digests.sha512.of_length("sha-512")? };
    Ok(Some(found).filter(|found| found.sha256.is_some() || found.sha512.is_some()))
}

/// The members that are known. The last one of a key counts (RFC 9651 section 4.2.2).
struct Digests {
    sha256: Digest,
    sha512: Digest,
}

enum Digest {
    Absent,
    Bytes(Vec<u8>),
    /// Something else than bytes.
    Other,
}

impl Digest {
    fn of_length<const N: usize>(self, name: &str) -> Result<Option<[u8; N]>, Refusal> {
        let bytes = match self {
            Self::Absent => return Ok(None),
            Self::Bytes(bytes) => <[u8; N]>::try_from(bytes).ok(),
            Self::Other => None,
        };
        bytes.map(Some).ok_or_else(|| Refusal::with(Code::BadContentDigest, format!("{name} must be {N} bytes as base64 between colons")))
    }
}

impl<'v> DictionaryVisitor<'v> for Digests {
    type Out = Self;
    type Error = std::convert::Infallible;

    fn entry(&mut self, key: &'v KeyRef) -> Result<impl EntryVisitor<'v>, Self::Error> {
        Ok(match key.as_str() {
            "sha-256" => Some(&mut self.sha256),
            "sha-512" => Some(&mut self.sha512),
            _ => None,
        })
    }

    fn finish(self) -> Result<Self, Self::Error> {
        Ok(self)
    }
}

impl<'v> EntryVisitor<'v> for &mut Digest {
    type Error = std::convert::Infallible;

    fn item(self) -> Result<impl ItemVisitor<'v>, Self::Error> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'v>, Self::Error> {
        *self = Digest::Other;
        Ok(Ignored)
    }
}

impl<'v> ItemVisitor<'v> for &mut Digest {
    type Out = ();
    type Error = std::convert::Infallible;

    fn bare_item(self, item: BareItemFromInput<'v>) -> Result<impl ParameterVisitor<'v, Out = ()>, Self::Error> {
        *self = match item {
            BareItemFromInput::ByteSequence(bytes) => Digest::Bytes(bytes),
            _ => Digest::Other,
        };
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// The sha-512 of RFC 9421 appendix B.2, and the sha-256 of the same body.
    const BODY: &[u8] = br#"{"hello": "world"}"#;
    const SHA_512: &str = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
    const SHA_256: &str = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";

    fn declared(line: &str) -> Result<Option<ContentDigest>, Refusal> {
        content_digest(&[(HeaderName::from_static("content-digest"), line.parse().unwrap())].into_iter().collect())
    }

    #[test]
    fn every_known_digest_must_be_that_of_the_body() {
        for line in [SHA_256.to_owned(), SHA_512.to_owned(), format!("{SHA_512}, {SHA_256}"), format!("md5=:AAAA:, x=1, {SHA_512};p")] {
            let digest = declared(&line).unwrap().unwrap();
            assert_eq!(digest.check(BODY), Ok(()), "{line}");
            assert_eq!(digest.check(b"{}").unwrap_err().code, Code::BodyDigestMismatch, "{line}");
        }
        let zeros = |length| STANDARD.encode(vec![0; length]);
        for line in [format!("{SHA_512}, sha-256=:{}:", zeros(32)), format!("sha-512=:{}:, {SHA_256}", zeros(64))] {
            let digest = declared(&line).unwrap().unwrap();
            assert!(digest.sha256().is_some() && digest.sha512().is_some());
            assert_eq!(digest.check(BODY).unwrap_err().code, Code::BodyDigestMismatch, "{line}");
        }
    }

    #[test]
    fn a_digest_that_nobody_can_rely_on_counts_as_none() {
        for line in ["", "md5=:AAAA:", "sha=:AAAA:, unixsum=1, adler=:AA==:, crc32c=:AAAAAA==:", "sha-1=:AAAA:"] {
            assert_eq!(declared(line), Ok(None), "{line}");
        }
        assert_eq!(content_digest(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn a_malformed_digest_is_refused_whatever_stands_beside_it() {
        for line in [
            "sha-256",
            "sha-256=1",
            "sha-256=\"X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=\"",
            "sha-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=",
            "sha-256=(:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:)",
            "SHA-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
            "sha-512=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
            "sha-256=::",
        ] {
            assert_eq!(declared(line).unwrap_err().code, Code::BadContentDigest, "{line}");
            assert_eq!(declared(&format!("{SHA_512}, {line}")).unwrap_err().code, Code::BadContentDigest, "{line}");
        }
        let mut twice = HeaderMap::new();
        for line in [SHA_256, SHA_512] {
            twice.append("content-digest", line.parse().unwrap());
        }
        assert_eq!(content_digest(&twice).unwrap_err().code, Code::BadContentDigest);
    }
}
