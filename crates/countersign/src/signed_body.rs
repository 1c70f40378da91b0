//! The bodies of signed requests: known by their digest before anything is forwarded.

use bytes::Bytes;
use countersign_core::code::{Code, Refusal};
use countersign_core::routes::Action;
use countersign_core::signature::{self, Body, BodyDigest, BodyUse};

use crate::authenticate::Asked;
use crate::body::{Buffered, ReadAhead, RequestBody, read_ahead};
use crate::explain::LARGEST_BODY;
use crate::spool::SpooledBody;
use crate::worker::Worker;

/// A body, as far as it had to be read for its signature.
pub enum SignedBody {
    /// There is none.
    Empty,
    /// Read and hashed.
    Buffered(Buffered, BodyDigest),
    /// Read into a temporary file, and hashed.
    Spooled(SpooledBody, BodyDigest),
    /// Too large to be read first; the head declares its digest, which is signed.
    Compare {
        /// What was read of it, and its hash so far.
        start: Option<(Buffered, signature::BodyHasher)>,
        /// The rest.
        body: RequestBody,
        /// The SHA-256 that it must have.
        declared: [u8; 32],
    },
}

impl SignedBody {
    /// The bytes, if they are at hand and few enough to be kept for an explanation.
    pub fn into_sample(self) -> Option<Bytes> {
        match self {
            Self::Empty => Some(Bytes::new()),
            Self::Buffered(buffered, _) if buffered.as_ref().len() <= LARGEST_BODY => Some(Bytes::copy_from_slice(buffered.as_ref())),
            _ => None,
        }
    }

    /// The body as a signature sees it.
    pub fn seen(&self) -> Body<'_> {
        match self {
            Self::Empty => Body::Empty,
            Self::Buffered(_, BodyDigest::Empty) => Body::Empty,
            Self::Buffered(buffered, digest) => Body::Bytes(buffered.as_ref(), *digest),
            Self::Spooled(_, digest) => Body::Digest(*digest),
            Self::Compare { declared, .. } => Body::Digest(BodyDigest::Sha256(*declared)),
        }
    }
}

/// Reads what has to be read of a body before the signature can be judged. A digest that is `declared` is held to, also when the body is
/// read whole (RFC 9530 section 2).
///
/// # Errors
/// Too large for its scheme or the limits, or not what was declared.
pub async fn read_signed_body(
    worker: &Worker,
    declared: Option<signature::ContentDigest>,
    body_use: BodyUse,
    limit: u64,
    mut body: RequestBody,
) -> Result<SignedBody, Refusal> {
    let known = body.size_hint().exact();
    // A scheme that signs the bytes themselves needs all of them before anything can be said.
    let needs_bytes = body_use == BodyUse::Bytes;
    if needs_bytes && known.is_some_and(|length| length > limit) {
        return Err(too_large_to_sign(limit));
    }
    if let (Some(declared), Some(length)) = (declared, known)
        && length > limit
    {
        return Ok(SignedBody::Compare { start: None, body, declared: declared.alone()? });
    }
    if known.is_some_and(|length| length > worker.shared.spool.per_request.max(limit)) {
        return Err(Code::BodyDigestRequired.into());
    }
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    match read_ahead(&mut body, most, &worker.shared.body_budget).await? {
        ReadAhead::Whole(buffered, digest) => {
            declared.map_or(Ok(()), |declared| declared.check(buffered.as_ref()))?;
            Ok(SignedBody::Buffered(buffered, digest))
        }
        ReadAhead::More(..) if needs_bytes => Err(too_large_to_sign(limit)),
        ReadAhead::More(start, hasher) => match declared {
            Some(declared) => Ok(SignedBody::Compare { start: Some((start, hasher)), body, declared: declared.alone()? }),
            None => {
                let (spooled, digest) = worker.shared.spool.fill(start, hasher, &mut body).await?;
                Ok(SignedBody::Spooled(spooled.into_body(), digest))
            }
        },
    }
}

fn too_large_to_sign(limit: u64) -> Refusal {
    Refusal::with(
        Code::BodyTooLarge,
        format!("this signature scheme signs the body itself, and bodies up to {limit} bytes are read for that"),
    )
}

/// The body of a request whose signature is refused before it was read: read all the same, if it is small and the caller will
/// be told why.
pub async fn body_to_explain(asked: Asked<'_>, key: Option<&str>, mut body: RequestBody) -> Option<Bytes> {
    let Asked { worker, snapshot, route, .. } = asked;
    if body.is_end() {
        return Some(Bytes::new());
    }
    let key = key.and_then(|key| snapshot.keys.find_signing_key(key));
    let is_told = matches!(route.action, Action::SelfCheck { .. }) || key.is_some_and(|key| key.is_diagnosed(worker.now()));
    if !is_told || body.size_hint().exact().is_some_and(|length| length > LARGEST_BODY as u64) {
        return None;
    }
    match read_ahead(&mut body, LARGEST_BODY, &worker.shared.body_budget).await {
        Ok(ReadAhead::Whole(buffered, _)) => Some(Bytes::copy_from_slice(buffered.as_ref())),
        _ => None,
    }
}
