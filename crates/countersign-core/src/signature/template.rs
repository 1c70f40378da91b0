//! The small language that strings to sign are written in: pieces of text, and values read from the request.
//!
//! Values are bytes with their provenance. Reading one allocates nothing as long as it is lent from the request or at most
//! 64 bytes long, which is every value of the native scheme.

use http::HeaderMap;
use http::header::HeaderName;

use super::body::BodyDigest;
use super::bytes::Bytes;
use super::coverage::{Coverage, Parts, Provenance, Slot};
use super::encoding::{BASE64, base64, hex};
use crate::code::{Code, Refusal};
use crate::request_view::Scheme;

/// One piece of a string to sign.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Text that is always the same.
    Text(Box<[u8]>),
    /// A value.
    Value(Expression),
}

/// A value: where it is read, and what is done to it, in order.
#[derive(Debug, Clone)]
pub struct Expression {
    /// Where it is read.
    pub source: Source,
    /// What is done to it.
    pub steps: Box<[Step]>,
    /// What its absence means.
    pub missing: Missing,
}

/// Where a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The method as sent.
    Method,
    /// The host in lower case, a default port dropped.
    Host,
    /// `http` or `https`.
    Scheme,
    /// The request target as sent: path and query.
    Target,
    /// The path as sent.
    Path,
    /// What follows the first `?`.
    Query,
    /// A header that may come once.
    Header(Slot),
    /// A field of the signature, without what was stripped from it.
    Field(Role),
    /// The 32 bytes of the body's SHA-256.
    BodySha256,
}

/// What a field of a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Names the key.
    KeyId,
    /// When it was signed.
    Timestamp,
    /// Makes the request distinct.
    Nonce,
}

/// What is done to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Takes a prefix away; a value without it is refused.
    StripPrefix(Box<[u8]>),
    /// ASCII letters to lower case.
    Lower,
    /// Lower-case hexadecimal.
    Hex,
    /// Base64 with padding (RFC 4648 section 4).
    Base64,
    /// The first so many bytes. What was cut off is not covered.
    Take(u16),
}

/// What the absence of a value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The signature is incomplete.
    Refuse,
    /// The value is empty. Absence is then what was signed.
    Empty,
}

/// The request as templates read it. The same for a request that came and one that is to be signed.
#[derive(Clone, Copy)]
pub struct Readable<'v> {
    /// The method.
    pub method: &'v str,
    /// The scheme.
    pub scheme: Scheme,
    /// The host in lower case, a default port dropped.
    pub host: &'v str,
    /// The target.
    pub target: &'v str,
    /// The headers.
    pub headers: &'v HeaderMap,
    /// The body.
    pub body: BodyDigest,
    /// The field that names the key, as text.
    pub key_id: &'v str,
    /// The field that says when it was signed, as text.
    pub timestamp: &'v str,
    /// The field that makes the request distinct, as text.
    pub nonce: &'v str,
}

/// The headers that a profile reads, and which of them hold its fields.
#[derive(Clone, Copy)]
pub(super) struct Slots<'p> {
    pub(super) names: &'p [HeaderName],
    pub(super) key_id: Slot,
    pub(super) timestamp: Slot,
    pub(super) nonce: Slot,
}

/// A value with its provenance.
#[derive(Clone)]
pub(super) struct Value<'v> {
    pub(super) bytes: Bytes<'v>,
    pub(super) from: Provenance,
}

/// Writes a string to sign and says what it covers. `out` is one buffer that holds nothing else.
pub(super) fn write(pieces: &[Piece], slots: Slots<'_>, request: &Readable<'_>, out: &mut Vec<u8>) -> Result<Coverage, Refusal> {
    let mut coverage = Coverage::default();
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text),
            Piece::Value(expression) => {
                let value = read(expression, slots, request)?;
                out.extend_from_slice(value.bytes.as_slice());
                coverage.add(value.from);
            }
        }
    }
    Ok(coverage)
}

/// Reads one value.
fn read<'v>(expression: &Expression, slots: Slots<'_>, request: &Readable<'v>) -> Result<Value<'v>, Refusal> {
    let lent = match expression.source {
        Source::Method => Some(request.method.as_bytes()),
        Source::Host => Some(request.host.as_bytes()),
        Source::Scheme => Some(match request.scheme {
            Scheme::Http => b"http".as_slice(),
            Scheme::Https => b"https",
        }),
        Source::Target => Some(request.target.as_bytes()),
        Source::Path => request.target.split('?').next().map(str::as_bytes),
        Source::Query => request.target.split_once('?').map(|(_, query)| query.as_bytes()),
        Source::Header(slot) => header(slot, slots.names, request.headers)?,
        Source::Field(Role::KeyId) => Some(request.key_id.as_bytes()),
        Source::Field(Role::Timestamp) => Some(request.timestamp.as_bytes()),
        Source::Field(Role::Nonce) => Some(request.nonce.as_bytes()),
        Source::BodySha256 => {
            let value = Value { bytes: Bytes::collect(request.body.sha256().into_iter()), from: provenance(expression.source, slots) };
            return steps(value, &expression.steps);
        }
    };
    match (lent, expression.missing) {
        (Some(bytes), _) => steps(Value { bytes: Bytes::Lent(bytes), from: provenance(expression.source, slots) }, &expression.steps),
        (None, Missing::Empty) => Ok(Value { bytes: Bytes::Lent(b""), from: provenance(expression.source, slots) }),
        (None, Missing::Refuse) => Err(Refusal::with(Code::SignatureMalformed, lacking(expression.source, slots))),
    }
}

/// What a value covers, known before any request comes.
pub(super) fn provenance(source: Source, slots: Slots<'_>) -> Provenance {
    let parts = match source {
        Source::Method => Parts::METHOD,
        Source::Host => Parts::HOST,
        Source::Scheme => Parts::SCHEME,
        Source::Target => Parts::PATH.and(Parts::QUERY),
        Source::Path => Parts::PATH,
        Source::Query => Parts::QUERY,
        Source::Header(slot) => Parts::header(slot),
        Source::Field(Role::KeyId) => Parts::header(slots.key_id),
        Source::Field(Role::Timestamp) => Parts::header(slots.timestamp),
        Source::Field(Role::Nonce) => Parts::header(slots.nonce),
        Source::BodySha256 => Parts::BODY,
    };
    Provenance { parts, partly: false }
}

/// The one value of a header. Read singly and sent twice is ambiguous: the upstream might read the other.
pub(super) fn header<'v>(slot: Slot, names: &[HeaderName], headers: &'v HeaderMap) -> Result<Option<&'v [u8]>, Refusal> {
    let Some(name) = names.get(usize::from(slot.0)) else { return Ok(None) };
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Refusal::with(Code::DuplicateHeader, format!("{name} came more than once"))),
        (value, None) => Ok(value.map(http::HeaderValue::as_bytes)),
    }
}

fn lacking(source: Source, slots: Slots<'_>) -> String {
    match source {
        Source::Header(slot) => slots.names.get(usize::from(slot.0)).map_or_else(String::new, |name| format!("{name} is missing")),
        _ => "the request has no query".to_owned(),
    }
}

fn steps<'v>(value: Value<'v>, steps: &[Step]) -> Result<Value<'v>, Refusal> {
    steps.iter().try_fold(value, |value, step| apply(value, step))
}

pub(super) fn apply<'v>(value: Value<'v>, step: &Step) -> Result<Value<'v>, Refusal> {
    let Value { bytes, mut from } = value;
    let bytes = match step {
        Step::StripPrefix(prefix) => {
            let wrong = || Refusal::with(Code::SignatureMalformed, format!("a field must start with {}", String::from_utf8_lossy(prefix)));
            match bytes {
                Bytes::Lent(bytes) => Bytes::Lent(bytes.strip_prefix(&**prefix).ok_or_else(wrong)?),
                other => Bytes::collect(other.as_slice().strip_prefix(&**prefix).ok_or_else(wrong)?.iter().copied()),
            }
        }
        // Most values are in lower case already and stay lent.
        Step::Lower if !bytes.as_slice().iter().any(u8::is_ascii_uppercase) => bytes,
        Step::Lower => Bytes::collect(bytes.as_slice().iter().map(u8::to_ascii_lowercase)),
        Step::Hex => hex(bytes.as_slice()),
        Step::Base64 => base64(&BASE64, bytes.as_slice()),
        Step::Take(most) => {
            let most = usize::from(*most);
            from.partly |= bytes.as_slice().len() > most;
            bytes.sub(0..most)
        }
    };
    Ok(Value { bytes, from })
}
