//! THE pipeline: what every request goes through between its head and its forwarding, read from top to bottom.
//!
//! Facts come from one snapshot; every check is a pure function of the core that leaves a proof or a refusal; what cannot be
//! decided is refused.

use std::rc::Rc;
use std::sync::Arc;

use countersign_core::access_token;
use countersign_core::api_key::{self, ShownApiKey};
use countersign_core::code::{Code, Refusal};
use countersign_core::decide::{self, Decision, Evidence, Permit};
use countersign_core::now::UnixMillis;
use countersign_core::presented;
use countersign_core::request_view::RequestView;
use countersign_core::routes::Route;
use countersign_core::rule::Rule;
use countersign_core::signature::{self, BodyDigest, Fields, Profile};
use countersign_core::verified::{Identity, Verified};
use tokio::sync::oneshot;

use crate::body::{Buffered, CheckedBody, ReadAhead, RequestBody, Source, read_ahead};
use crate::snapshot::Snapshot;
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
) -> Result<Passed, Refusal> {
    let now = worker.now();

    // What is presented, of the kinds that the rule names. Malformed or twice is refused, not skipped.
    let presented = presented::find(view, rule, &snapshot.profiles)?;

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
        Some((profile, fields)) => {
            let signed = check_signature(worker, snapshot, route, view, profile, &fields, body).await?;
            evidence.add_signature(profile.name(), signed.identity);
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
        Decision::Challenge(refusal) | Decision::Deny(refusal) => Err(refusal),
    }
}

/// An access token: remembered from a moment ago, or verified now. Whether its session has ended is asked every time.
fn check_token(worker: &Worker, snapshot: &Snapshot, token: &str, now: UnixMillis) -> Result<Verified<Identity>, Refusal> {
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
    profile: &Profile,
    fields: &Fields<'_>,
    body: RequestBody,
) -> Result<Signed, Refusal> {
    let replay = &worker.shared.replay;
    if let Some(name) = signature::uncovered_header(view.headers(), &route.allow_uncovered) {
        return Err(Refusal::with(Code::UncoveredHeader, name));
    }
    profile.check_time(fields, worker.now(), replay.fence())?;
    let key = snapshot.keys.find_signing_key(fields.key_id());
    if key.is_none() && !body.is_end() {
        // Not worth reading a body for. Says what a wrong signature says.
        return Err(Code::SignatureMismatch.into());
    }
    let (digest, body) = if body.is_end() {
        read_signed_body(worker, view, body).await?
    } else {
        // A body that comes in drops is not worth waiting for once the signature has become too old.
        let good_for = fields.signed_at().plus(profile.time().past).since(worker.now());
        let read = tokio::time::timeout(good_for, read_signed_body(worker, view, body)).await;
        read.map_err(|_elapsed| Refusal::from(Code::TimestampTooOld))??
    };
    // Read again: while the body came in, the key may have been disabled and its secret removed.
    let (snapshot, now) = (worker.snapshot(), worker.now());
    let key = snapshot.keys.find_signing_key(fields.key_id());
    let good = profile.verify(fields, view, digest, key, now)?;
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
        SignedBody::Ready(body) => (body, None),
        SignedBody::Compare { start, body, declared } => {
            let (checked, compared) = CheckedBody::new(start, body, declared);
            (Source::Checked(checked), Some(compared))
        }
    };
    Ok(Signed { identity, body, compared })
}

/// A body whose digest is known before it is forwarded.
enum SignedBody {
    /// Read and hashed.
    Ready(Source),
    /// Too large to be read first; the head declares its digest, which is signed.
    Compare { start: Option<(Buffered, signature::BodyHasher)>, body: RequestBody, declared: [u8; 32] },
}

async fn read_signed_body(worker: &Worker, view: &RequestView<'_>, mut body: RequestBody) -> Result<(BodyDigest, SignedBody), Refusal> {
    let declared = signature::declared_digest(view.headers())?;
    if body.is_end() {
        hold_to(BodyDigest::Empty, declared)?;
        return Ok((BodyDigest::Empty, SignedBody::Ready(Source::Empty)));
    }
    let limit = worker.shared.config.limits.signed_body_bytes;
    let known = body.size_hint().exact();
    if let (Some(declared), Some(length)) = (declared, known)
        && length > limit
    {
        return Ok((BodyDigest::Sha256(declared), SignedBody::Compare { start: None, body, declared }));
    }
    if known.is_some_and(|length| length > worker.shared.spool.per_request.max(limit)) {
        return Err(Code::BodyDigestRequired.into());
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    match read_ahead(&mut body, limit, &worker.shared.body_budget).await? {
        ReadAhead::Whole(buffered, digest) => {
            hold_to(digest, declared)?;
            Ok((digest, SignedBody::Ready(Source::Buffered(Some(buffered)))))
        }
        ReadAhead::More(start, hasher) => match declared {
            Some(declared) => Ok((BodyDigest::Sha256(declared), SignedBody::Compare { start: Some((start, hasher)), body, declared })),
            None => {
                let (spooled, digest) = worker.shared.spool.fill(start, hasher, &mut body).await?;
                Ok((digest, SignedBody::Ready(Source::Spooled(spooled.into_body()))))
            }
        },
    }
}

/// A digest that is declared is held to, also when the body is read whole (RFC 9530 section 2).
fn hold_to(digest: BodyDigest, declared: Option<[u8; 32]>) -> Result<(), Refusal> {
    match declared {
        Some(declared) if declared != digest.sha256() => Err(Code::BodyDigestMismatch.into()),
        _ => Ok(()),
    }
}
