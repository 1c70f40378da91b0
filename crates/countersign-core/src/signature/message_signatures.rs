//! What a profile says about HTTP Message Signatures (RFC 9421): which signature of a request counts, what it must cover, and
//! what is signed.

use http::HeaderName;

use super::bytes::Bytes;
use super::content_digest::content_digest;
use super::coverage::{Parts, Provenance};
use super::encoding::{self, BASE64};
use super::evaluate::{Context, Signing};
use super::request::{Body, Head};
use super::rfc9421::{self, Covered, Found, Reached};
use super::rules::FieldSource;
use super::verify::Message;
use crate::code::{Code, Refusal};
use crate::secret::push_hex;

/// The `[rfc9421]` table of a profile.
#[derive(Debug, Clone, Default)]
pub(super) struct Rule {
    /// The label of the signature that counts, if it must have one.
    pub(super) label: Option<String>,
    /// The tag that it must have.
    pub(super) tag: Option<String>,
    /// What it must cover, in the order in which it is asked for. The query, the digest of the body and headers only where they
    /// are.
    pub(super) components: Vec<Covered>,
    pub(super) sign_components: Vec<Covered>,
    pub(super) require_nonce: bool,
}

/// A parameter of a signature, which is a field of the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Param {
    Signature,
    KeyId,
    Created,
    Expires,
    Nonce,
    Tag,
    Alg,
}

impl Param {
    pub(super) const ALL: [Self; 7] = [Self::Signature, Self::KeyId, Self::Created, Self::Expires, Self::Nonce, Self::Tag, Self::Alg];

    /// The name of the field.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::KeyId => "keyid",
            Self::Created => "created",
            Self::Expires => "expires",
            Self::Nonce => "nonce",
            Self::Tag => "tag",
            Self::Alg => "alg",
        }
    }

    /// Its value in a signature.
    pub(super) fn of(self, found: &Found<'_>) -> Option<Vec<u8>> {
        let text = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        let time = |time: Option<i64>| time.map(|time| time.to_string().into_bytes());
        match self {
            Self::Signature => Some(found.mac().to_vec()),
            Self::KeyId => text(found.keyid()),
            Self::Created => time(found.created()),
            Self::Expires => time(found.expires()),
            Self::Nonce => text(found.nonce()),
            Self::Tag => text(found.tag()),
            Self::Alg => text(found.alg()),
        }
    }
}

/// What the coverage rule asks for anyway.
const BY_RULE: [&str; 5] = ["\"@method\"", "\"@authority\"", "\"@path\"", "\"@query\"", "\"content-digest\""];

/// What covers an empty query. `@query` does not: `/path?` and `/path` have the same line.
const EMPTY_QUERY: &str = "\"@request-target\"";

/// What is said to a client that signed it with `@query`.
pub(super) const EMPTY_QUERY_REMEDY: &str =
    "; the query is empty, and \"@query\" reads the same without one: leave the `?` off, or sign \"@request-target\" or \"@target-uri\"";

/// Whether a component, which may read a header, is asked for in a request like this one.
fn applies(component: &str, header: Option<&HeaderName>, head: &Head<'_>, has_body: bool) -> bool {
    match (component, header) {
        ("\"@query\"", _) => head.query().is_some(),
        // It is made for the request, so it need not be there yet.
        ("\"content-digest\"", _) => has_body,
        (_, Some(name)) => head.headers.contains_key(name),
        (_, None) => true,
    }
}

/// What of `components` is asked for in a request like this one, and what covers its query if that is empty.
fn asked<'c>(components: &'c [Covered], head: &Head<'_>, has_body: bool) -> Vec<&'c str> {
    let all = components.iter().flat_map(Covered::with_headers);
    let mut names: Vec<&str> = all.filter(|(name, header)| applies(name, *header, head, has_body)).map(|(name, _)| name).collect();
    let reaches_query = ["\"@request-target\"", "\"@target-uri\""].iter().any(|name| names.contains(name));
    if head.query() == Some("") && names.contains(&"\"@query\"") && !reaches_query {
        names.push(EMPTY_QUERY);
    }
    names
}

impl Rule {
    /// The signature that counts.
    pub(super) fn find<'v>(&self, headers: &'v http::HeaderMap) -> Result<Option<Found<'v>>, Refusal> {
        let found = rfc9421::choose(rfc9421::find(headers)?, self.tag.as_deref(), self.label.as_deref())?;
        if let Some(found) = &found
            && self.require_nonce
            && found.nonce().is_none()
        {
            return Err(Refusal::with(Code::SignatureMalformed, "the signature must have a nonce parameter"));
        }
        Ok(found)
    }

    /// The value of `Accept-Signature` (RFC 9421 section 5.1): what a signature of a request like this one must cover and say.
    pub(super) fn accept_signature(&self, head: &Head<'_>, has_body: bool, alg: Option<&str>) -> Option<String> {
        let covered = Covered::parse(&asked(&self.components, head, has_body)).ok()?;
        let asked = rfc9421::Asked { created: true, alg, tag: self.tag.as_deref(), ..rfc9421::Asked::default() };
        rfc9421::accept_signature(self.label.as_deref().unwrap_or("sig1"), &covered, &asked).ok()
    }

    /// The components that a signature of this request must cover by name. Those of the coverage rule can be covered in other ways as well: the
    /// path by `@target-uri`, for instance.
    fn wanted(&self, head: &Head<'_>, has_body: bool) -> impl Iterator<Item = &str> {
        let all = self.components.iter().flat_map(Covered::with_headers);
        all.filter(move |(component, header)| !BY_RULE.contains(component) && applies(component, *header, head, has_body))
            .map(|(component, _)| component)
    }

    /// `Signature-Input` and `Signature` of a request. While its MAC is not known, it is a placeholder.
    pub(super) fn sign_headers(&self, head: &Head<'_>, has_body: bool, signing: Signing<'_>) -> Result<(String, String), Refusal> {
        let own = if self.sign_components.is_empty() { &self.components } else { &self.sign_components };
        let cannot = |error: String| Refusal::with(Code::SignatureMalformed, error);
        let covered = Covered::parse(&asked(own, head, has_body)).map_err(|error| cannot(error.to_string()))?;
        let mut nonce = String::with_capacity(32);
        push_hex(&mut nonce, signing.fresh);
        let params = rfc9421::Params {
            created: Some(signing.now.seconds()),
            nonce: Some(&nonce),
            keyid: Some(signing.key_id),
            tag: self.tag.as_deref(),
            ..rfc9421::Params::default()
        };
        let label = self.label.as_deref().unwrap_or("sig1");
        let found = rfc9421::to_sign(label, &covered, &params).map_err(|error| cannot(error.to_string()))?;
        let mac = encoding::unbase64(&BASE64, signing.mac.as_bytes()).unwrap_or(Bytes::Lent(b""));
        let signature = rfc9421::signature(label, mac.as_slice()).map_err(|error| cannot(error.to_string()))?;
        Ok((found.signature_input(), signature))
    }
}

/// The signature base, and what it reaches.
pub(super) fn message(context: &Context<'_, '_>, found: &Found<'_>) -> Result<Message, Refusal> {
    let (profile, head) = (context.profile, &context.head);
    if let Some(rule) = &profile.builtin
        && let Some(lacks) =
            rule.wanted(head, context.body.is_there()).find(|wanted| !found.components().any(|component| component == *wanted))
    {
        return Err(Refusal::with(Code::SignatureCoverage, format!("the signature must cover {lacks}")));
    }
    // Every parameter of the signature stands in the last line of the base.
    let params = profile.fields.iter().filter(|field| matches!(field.from, FieldSource::Builtin(_)));
    let mut from = params.fold(Provenance::NONE, |from, field| from.and(Provenance::of(Parts::slot(field.slot))));
    let mut digest_is_signed = false;
    let text = rfc9421::signature_base(found, &head.rfc9421(), &mut |reached| {
        let parts = match reached {
            Reached::Method => Parts::METHOD,
            Reached::Scheme => Parts::SCHEME,
            Reached::Host => Parts::HOST,
            Reached::Path => Parts::PATH,
            Reached::Query => Parts::QUERY,
            Reached::Header(name) => {
                digest_is_signed |= name == "content-digest";
                profile.slots.of_header(name).map_or(Parts::NONE, Parts::slot)
            }
        };
        from = from.and(Provenance::of(parts));
    })?;
    // A digest that is signed pins the body, also the one that is not there.
    if let Some(digest) = content_digest(head.headers)? {
        match context.body {
            Body::Empty => digest.check(b"")?,
            Body::Bytes(bytes, _) => digest.check(bytes)?,
            Body::Digest(body) => match (digest.sha256(), digest.sha512()) {
                (Some(declared), None) if declared == body.sha256() => {}
                (Some(_), None) => return Err(Code::BodyDigestMismatch.into()),
                _ => return Err(Refusal::with(Code::BadContentDigest, "a body of this size needs sha-256 alone")),
            },
        }
        if digest_is_signed {
            from = from.and(Provenance::of(Parts::BODY));
        }
    }
    Ok(Message { text, from })
}
