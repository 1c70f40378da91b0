//! THE pipeline: what every request goes through between its head and its forwarding, read from top to bottom.
//!
//! Facts come from one snapshot; every check is a pure function of the core that leaves a proof or a refusal; what cannot be
//! decided is refused.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use countersign_core::access_token;
use countersign_core::api_key::{self, ShownApiKey};
use countersign_core::code::{Code, Refusal};
use countersign_core::connection_headers;
use countersign_core::decide::{self, Decision, Evidence, Permit};
use countersign_core::id::KeyId;
use countersign_core::now::UnixMillis;
use countersign_core::presented;
use countersign_core::request_view::RequestView;
use countersign_core::routes::{Action, Route};
use countersign_core::rule::Rule;
use countersign_core::signature::{self, Body, BodyDigest, BodyUse, Fields, Head, LiveKey};
use countersign_core::verified::{Identity, Verified};
use tokio::sync::oneshot;

use crate::body::{Buffered, CheckedBody, ReadAhead, RequestBody, Source, read_ahead};
use crate::explain::{LARGEST_BODY, Sample};
use crate::self_check;
use crate::snapshot::Snapshot;
use crate::spool::SpooledBody;
use crate::worker::Worker;

/// A request that may pass: the permit, the body to forward, and, for a body that is compared while it streams, what
/// tells how the comparison came out. The upstream's answer must wait for it.
pub struct Passed {
    /// The proof that the request was decided about.
    pub permit: Permit,
    /// The rules that it was decided under.
    #[allow(clippy::redundant_allocation, reason = "as `Worker::snapshot` gives it")]
    pub decided_under: Rc<Arc<Snapshot>>,
    /// The body as it is to be forwarded.
    pub body: Source,
    /// Resolves when a streamed body was compared.
    pub compared: Option<oneshot::Receiver<Result<(), Refusal>>>,
}

/// A request that may not pass.
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The request as its signature was judged, where that is what was refused.
    pub sample: Option<Arc<Sample>>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, sample: None }
    }
}

impl From<Code> for Refused {
    fn from(code: Code) -> Self {
        Refusal::from(code).into()
    }
}

/// Decides about one request.
///
/// # Errors
/// The refusal to answer with. Nothing has reached the upstream then.
pub async fn run(
    worker: &Worker,
    snapshot: &Snapshot,
    route: &Route,
    rule: &Rule,
    view: &RequestView<'_>,
    body: RequestBody,
) -> Result<Passed, Refused> {
    let now = worker.now();

    // What is presented, of the kinds that the rule names. Malformed or twice is refused, not skipped.
    let presented = match presented::find(view, rule, &snapshot.profiles) {
        Ok(presented) => presented,
        Err(refusal) => return Err(malformed(worker, snapshot, route, rule, view, body, refusal, now).await),
    };

    // The part that needs no cryptography: refused now if no credential could help.
    decide::early(rule, &snapshot.lists, view, now)?;

    // Each credential that is presented is verified. Bad is refused, even where another branch of the rule would pass.
    let mut evidence = Evidence::default();
    if let Some(token) = presented.bearer {
        evidence.add(check_token(worker, snapshot, token, now)?);
    }
    if let Some(shown) = presented.api_key {
        let shown = ShownApiKey::parse(shown)?;
        evidence.add(api_key::verify(&shown, snapshot.keys.find_api_key(shown.hash()), now)?);
    }
    let (body, compared) = match presented.signature {
        Some(fields) => {
            let signed = check_signature(worker, snapshot, route, view, &fields, body, now).await?;
            evidence.add_signature(fields.profile().name(), signed.identity);
            (signed.body, signed.compared)
        }
        None if body.is_end() => (Source::Empty, None),
        None => (Source::Passing(body), None),
    };

    // A body may have taken its time: the rules and the time are those of now, and what was verified before must still stand.
    let (decided_under, now) = (worker.snapshot(), worker.now());
    match decide::decide(rule, evidence, &decided_under.lists, view, now) {
        Decision::Allow(permit) => {
            if !std::ptr::eq::<Snapshot>(&**decided_under, snapshot) && !decided_under.still_lets_in(&permit, now) {
                return Err(Code::SessionEnded.into());
            }
            Ok(Passed { permit, decided_under, body, compared })
        }
        Decision::Challenge(refusal) | Decision::Deny(refusal) => Err(refusal.into()),
    }
}

/// An access token: remembered from a moment ago, or verified now. Whether its session has ended is asked every time.
fn check_token(worker: &Worker, snapshot: &Snapshot, token: &[u8], now: UnixMillis) -> Result<Verified<Identity>, Refusal> {
    let mut memory = worker.tokens.borrow_mut();
    let name = memory.name(token);
    let verified = match memory.find(name, &snapshot.tokens, now) {
        Some(verified) => verified,
        None => {
            let verified = access_token::verify(token, &snapshot.tokens.ring, &snapshot.tokens.expected, now)?;
            memory.remember(name, &snapshot.tokens, &verified);
            verified
        }
    };
    match &verified.get().session {
        Some(session) if !snapshot.ended.contains(session) => Ok(verified),
        _ => Err(Code::SessionEnded.into()),
    }
}

/// A refusal of what is presented, with the request where it is a signature that could not be read.
#[expect(clippy::too_many_arguments, reason = "what the pipeline has at this point")]
async fn malformed(
    worker: &Worker,
    snapshot: &Snapshot,
    route: &Route,
    rule: &Rule,
    view: &RequestView<'_>,
    body: RequestBody,
    refusal: Refusal,
    now: UnixMillis,
) -> Refused {
    let named = |name| snapshot.profiles.iter().find(|profile| profile.name() == name);
    let wrong =
        rule.profiles().iter().filter_map(|profile| named(&profile.name)).find(|profile| profile.find_fields(Head::of(view)).is_err());
    let Some(profile) = wrong else { return refusal.into() };
    let of_request = profile.key_named_in(Head::of(view));
    let key = if profile.names_key() { of_request.as_deref() } else { route.signing_key.as_ref().map(KeyId::as_str) };
    let body = body_to_explain(worker, snapshot, route, key, body).await;
    Refused { refusal, sample: Some(Arc::new(Sample::of(view, profile, key, body, now))) }
}

/// The body of a request whose signature is refused before it was read: read all the same, if it is small and the caller will
/// be told why.
async fn body_to_explain(worker: &Worker, snapshot: &Snapshot, route: &Route, key: Option<&str>, mut body: RequestBody) -> Option<Bytes> {
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

/// A signed request that was verified and claimed.
struct Signed {
    identity: Verified<Identity>,
    body: Source,
    compared: Option<oneshot::Receiver<Result<(), Refusal>>>,
}

/// A signature: time and key before the body is read, the MAC before anything is claimed, the claim before anything is forwarded.
async fn check_signature(
    worker: &Worker,
    snapshot: &Snapshot,
    route: &Route,
    view: &RequestView<'_>,
    fields: &Fields<'_>,
    body: RequestBody,
    now: UnixMillis,
) -> Result<Signed, Refused> {
    let replay = &worker.shared.replay;
    connection_headers::check_signed(view.headers())?;
    if let Some(name) = fields.uncovered_header(&route.allow_uncovered) {
        return Err(Refusal::with(Code::UncoveredHeader, name).into());
    }
    // The request with what is at hand of its body, for whoever asks why it was refused.
    let refused = |refusal: Refusal, body: Option<Bytes>| {
        let sample = Sample::of(view, fields.profile(), key_id(route, fields), body, worker.now());
        Refused { refusal, sample: Some(Arc::new(sample)) }
    };
    if let Err(refusal) = fields.check_time(now, replay.fence()) {
        let body = body_to_explain(worker, snapshot, route, key_id(route, fields), body).await;
        return Err(refused(refusal, body));
    }
    // Before the key is looked up, so that it does not tell which keys there are.
    let declared = signature::content_digest(view.headers())?;
    // A body that comes in drops is not worth waiting for once the signature has become too old.
    let there = !body.is_end();
    if there && find_key(snapshot, route, fields).is_none() && !matches!(route.action, Action::SelfCheck { .. }) {
        // Not worth reading a body for. Says what a wrong signature says, though no body was asked for tells more: key ids are
        // no secrets. A self-check says more, and reads it.
        return Err(refused(Code::SignatureMismatch.into(), None));
    }
    // A self-check looks at all of a body that it takes.
    let self_check = if matches!(route.action, Action::SelfCheck { .. }) { self_check::LARGEST_BODY } else { 0 };
    let limit = worker.shared.config.limits.signed_body_bytes.max(self_check);
    let reading = read_signed_body(worker, declared, fields.profile().body_use(), limit, body);
    let body = match fields.good_until() {
        Some(end) if there => {
            let read = tokio::time::timeout(end.since(worker.now()), reading).await;
            read.map_err(|_elapsed| Refusal::from(Code::TimestampTooOld))??
        }
        _ => reading.await?,
    };
    // Read again: while the body came in, the key may have been disabled and its secret removed.
    let (snapshot, now) = (worker.snapshot(), if there { worker.now() } else { now });
    let key = find_key(&snapshot, route, fields);
    let good = match fields.verify(body.seen(), key, now) {
        Ok(good) => good,
        Err(refusal) => return Err(refused(refusal, body.into_sample())),
    };
    let claim = match replay.claim(good.claim(), now).await {
        Ok(claim) => claim,
        Err(unavailable) => {
            tracing::error!(error = %unavailable, "a signed request could not be claimed");
            return Err(Code::CouldNotDecide.into());
        }
    };
    let secret = good.secret().clone();
    let identity = good.finish(claim)?;
    worker.uses.borrow_mut().count(secret.as_str(), now);
    let (body, compared) = match body {
        SignedBody::Empty => (Source::Empty, None),
        SignedBody::Buffered(buffered, _) => (Source::Buffered(Some(buffered)), None),
        SignedBody::Spooled(body, _) => (Source::Spooled(body), None),
        SignedBody::Compare { start, body, declared } => {
            let (checked, compared) = CheckedBody::new(start, body, declared);
            (Source::Checked(checked), Some(compared))
        }
    };
    Ok(Signed { identity, body, compared })
}

/// The id of the key that a request names, or that its route names where the scheme names none.
fn key_id<'f>(route: &'f Route, fields: &'f Fields<'_>) -> Option<&'f str> {
    if fields.profile().names_key() { fields.key_id() } else { route.signing_key.as_ref().map(KeyId::as_str) }
}

fn find_key<'s>(snapshot: &'s Snapshot, route: &Route, fields: &Fields<'_>) -> Option<&'s LiveKey> {
    snapshot.keys.find_signing_key(key_id(route, fields)?)
}

/// A body whose digest is known before it is forwarded.
enum SignedBody {
    /// There is none.
    Empty,
    /// Read and hashed.
    Buffered(Buffered, BodyDigest),
    /// Read into a temporary file, and hashed.
    Spooled(SpooledBody, BodyDigest),
    /// Too large to be read first; the head declares its digest, which is signed.
    Compare { start: Option<(Buffered, signature::BodyHasher)>, body: RequestBody, declared: [u8; 32] },
}

impl SignedBody {
    /// The bytes, if they are at hand and few enough to be kept for an explanation.
    fn into_sample(self) -> Option<Bytes> {
        match self {
            Self::Empty => Some(Bytes::new()),
            Self::Buffered(buffered, _) if buffered.as_ref().len() <= LARGEST_BODY => Some(Bytes::copy_from_slice(buffered.as_ref())),
            _ => None,
        }
    }

    /// The body as a signature sees it.
    fn seen(&self) -> Body<'_> {
        match self {
            Self::Empty => Body::Empty,
            Self::Buffered(_, BodyDigest::Empty) => Body::Empty,
            Self::Buffered(buffered, digest) => Body::Bytes(buffered.as_ref(), *digest),
            Self::Spooled(_, digest) => Body::Digest(*digest),
            Self::Compare { declared, .. } => Body::Digest(BodyDigest::Sha256(*declared)),
        }
    }
}

/// Reads what has to be read before the signature can be judged. A digest that is `declared` is held to, also when the body is
/// read whole (RFC 9530 section 2).
async fn read_signed_body(
    worker: &Worker,
    declared: Option<signature::ContentDigest>,
    body_use: BodyUse,
    limit: u64,
    mut body: RequestBody,
) -> Result<SignedBody, Refusal> {
    if body.is_end() {
        declared.map_or(Ok(()), |declared| declared.check(b""))?;
        return Ok(SignedBody::Empty);
    }
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
