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
use countersign_core::signature::{self, Fields, Head, LiveKey};
use countersign_core::verified::{Identity, Verified};
use tokio::sync::oneshot;

use crate::body::{CheckedBody, RequestBody, Source};
use crate::explain::Sample;
use crate::self_check;
use crate::signed_body::{SignedBody, body_to_explain, read_signed_body};
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

/// A request, and what it is decided under.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The data thread that has it.
    pub worker: &'a Worker,
    /// The rules in force when it came.
    pub snapshot: &'a Snapshot,
    /// Its route.
    pub route: &'a Route,
    /// What its route asks for.
    pub rule: &'a Rule,
    /// The request as it is judged.
    pub view: &'a RequestView<'a>,
}

/// Decides about one request.
///
/// # Errors
/// The refusal to answer with. Nothing has reached the upstream then.
pub async fn run(asked: Asked<'_>, body: RequestBody) -> Result<Passed, Refused> {
    let Asked { worker, snapshot, rule, view, .. } = asked;
    let now = worker.now();

    // What is presented, of the kinds that the rule names. Malformed or twice is refused, not skipped.
    let presented = match presented::find(view, rule, &snapshot.profiles) {
        Ok(presented) => presented,
        Err(refusal) => return Err(malformed(asked, body, refusal, now).await),
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
    let (body, compared) = match &presented.signature {
        Some(fields) => {
            let signed = check_signature(asked, fields, body, now).await?;
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
async fn malformed(asked: Asked<'_>, body: RequestBody, refusal: Refusal, now: UnixMillis) -> Refused {
    let Asked { snapshot, route, rule, view, .. } = asked;
    let named = |name| snapshot.profiles.iter().find(|profile| profile.name() == name);
    let wrong =
        rule.profiles().iter().filter_map(|profile| named(&profile.name)).find(|profile| profile.find_fields(Head::of(view)).is_err());
    let Some(profile) = wrong else { return refusal.into() };
    let of_request = profile.key_named_in(Head::of(view));
    let key = if profile.names_key() { of_request.as_deref() } else { route.signing_key.as_ref().map(KeyId::as_str) };
    let body = body_to_explain(asked, key, body).await;
    Refused { refusal, sample: Some(Arc::new(Sample::of(view, profile, key, body, now))) }
}

/// A signed request that was verified and claimed.
struct Signed {
    identity: Verified<Identity>,
    body: Source,
    compared: Option<oneshot::Receiver<Result<(), Refusal>>>,
}

/// A signature: time and key before the body is read, the MAC before anything is claimed, the claim before anything is forwarded.
async fn check_signature(asked: Asked<'_>, fields: &Fields<'_>, body: RequestBody, now: UnixMillis) -> Result<Signed, Refused> {
    let Asked { worker, snapshot, route, view, .. } = asked;
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
        let body = body_to_explain(asked, key_id(route, fields), body).await;
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
    let body = if there {
        // Boxed: few signed requests have a body, and all would carry what reading one takes.
        let reading = Box::pin(read_signed_body(worker, declared, fields.profile().body_use(), limit, body));
        match fields.good_until() {
            Some(end) => {
                let read = tokio::time::timeout(end.since(worker.now()), reading).await;
                read.map_err(|_elapsed| Refusal::from(Code::TimestampTooOld))??
            }
            None => reading.await?,
        }
    } else {
        declared.map_or(Ok(()), |declared| declared.check(b""))?;
        SignedBody::Empty
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
