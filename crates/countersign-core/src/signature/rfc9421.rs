//! HTTP Message Signatures (RFC 9421): finding them in a request, the string that they sign, and writing them.
//!
//! - `component`: what a signature can cover, and the textual form of it.
//! - `find`: reading `Signature-Input` and `Signature`.
//! - `base`: the string to sign.
//! - `strict`: structured fields in their canonical form, for `;sf` and `;key`.
//! - `query_param`: one parameter of the query, for `@query-param`.
//! - `write`: signing, and asking for signatures.
//!
//! Only requests are looked at: what RFC 9421 has for responses is refused. Nothing here knows keys, times or rules; it says
//! what was signed and what of the request that reaches.

mod base;
mod component;
mod find;
mod query_param;
mod strict;
#[cfg(test)]
mod tests;
mod write;

use std::borrow::Cow;
use std::fmt;

use http::{HeaderMap, HeaderName};

pub use base::{Reached, signature_base};
pub use component::Covered;
pub use find::{choose, find};
pub use write::{Asked, Params, accept_signature, signature, to_sign};

use crate::code::{Code, Refusal};
use crate::request_view::Scheme;

/// How many signatures one request may carry.
pub const MOST_LABELS: usize = 8;
/// How many components one signature may cover.
pub const MOST_COMPONENTS: usize = 64;
/// How many parameters one signature, or one item of a structured field, may have.
pub const MOST_PARAMETERS: usize = 16;
/// How many members a structured field may have that is read for `;sf` or `;key`.
pub const MOST_MEMBERS: usize = 64;
/// How many bytes are read for `;key` and `@query-param` in one signature. Each of them reads its whole field or query anew.
pub const MOST_READ: usize = 256 * 1024;

/// A request as signatures see it. Times and keys do not come into it.
#[derive(Debug, Clone, Copy)]
pub struct Message<'v> {
    /// The method as sent.
    pub method: &'v str,
    /// The scheme under which the client reached us.
    pub scheme: Scheme,
    /// The host in lower case, the default port dropped.
    pub host: &'v str,
    /// Path and query as sent: the target in origin form.
    pub target: &'v str,
    /// The path as sent.
    pub path: &'v str,
    /// What follows the first `?`.
    pub query: Option<&'v str>,
    /// The headers. Folded lines (obsolete since RFC 9112) cannot be in them.
    pub headers: &'v HeaderMap,
}

/// One signature of a request, as it came or as it is about to be sent. Nothing is verified.
#[derive(Clone)]
pub struct Found<'v> {
    label: &'v str,
    covered: Covered,
    created: Option<i64>,
    expires: Option<i64>,
    nonce: Option<Cow<'v, str>>,
    alg: Option<Cow<'v, str>>,
    keyid: Option<Cow<'v, str>>,
    tag: Option<Cow<'v, str>>,
    mac: Vec<u8>,
    /// Whether it stands in `Signature` alone.
    without_input: bool,
}

impl<'v> Found<'v> {
    fn new(label: &'v str) -> Self {
        let (created, expires, nonce, alg, keyid, tag) = (None, None, None, None, None, None);
        Self { label, covered: Covered::default(), created, expires, nonce, alg, keyid, tag, mac: Vec::new(), without_input: false }
    }

    /// The label: what the signature is called in both fields.
    pub const fn label(&self) -> &'v str {
        self.label
    }

    /// What is covered, in order, as written in canonical form: `"@query-param";name="a"`.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.covered.components()
    }

    /// Whether all lines of a header are covered.
    pub fn covers_header(&self, name: &HeaderName) -> bool {
        self.covered.covers_header(name)
    }

    /// When it was made, in seconds of Unix time. Not negative.
    pub const fn created(&self) -> Option<i64> {
        self.created
    }

    /// When it ends, in seconds of Unix time. Not negative.
    pub const fn expires(&self) -> Option<i64> {
        self.expires
    }

    /// What makes it distinct.
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    /// What names the key.
    pub fn keyid(&self) -> Option<&str> {
        self.keyid.as_deref()
    }

    /// The algorithm that the signer names. It must be the one that the key is for (RFC 9421 section 3.2).
    pub fn alg(&self) -> Option<&str> {
        self.alg.as_deref()
    }

    /// What application it is for.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The signature itself, of any length. Empty in one that is still to be signed.
    pub fn mac(&self) -> &[u8] {
        &self.mac
    }

    /// The value of `@signature-params` (RFC 9421 section 2.3): covered components and parameters in canonical form.
    pub fn signature_params(&self) -> &str {
        self.covered.as_str()
    }

    /// The value of `Signature-Input` for this signature alone.
    pub fn signature_input(&self) -> String {
        format!("{}={}", self.label, self.covered.as_str())
    }
}

/// Without the signature: with its request it is a credential.
impl fmt::Debug for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("label", &self.label).field("params", &self.covered.as_str()).finish_non_exhaustive()
    }
}

/// What is wrong, in words for the client. The error type of the visitors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
struct Wrong(Cow<'static, str>);

impl From<&'static str> for Wrong {
    fn from(words: &'static str) -> Self {
        Self(words.into())
    }
}

impl From<String> for Wrong {
    fn from(words: String) -> Self {
        Self(words.into())
    }
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        Self::with(Code::SignatureMalformed, wrong.0)
    }
}

/// The start of a text from outside, as much of it as a refusal repeats.
fn start_of(text: &str) -> &str {
    text.get(..text.floor_char_boundary(80)).unwrap_or_default()
}
