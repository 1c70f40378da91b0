//! The reverse proxy: one request in, judged, decided, forwarded, and the answer relayed.
//! The only caller of `forward`, which takes a [`Permit`].

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use countersign_core::challenge::Challenges;
use countersign_core::code::{Code, Refusal};
use countersign_core::decide::Permit;
use countersign_core::id::RequestId;
use countersign_core::request_view::{Relax, RequestView, Scheme};
use countersign_core::routes::{Action, Chosen, Route};
use countersign_core::rule::{Kind, Rule};
use countersign_core::signature::Head;
use countersign_core::{connection_headers, hearsay, identity_headers};
use http::header::{CONNECTION, EXPECT, HOST, HeaderName, UPGRADE, VIA};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio::sync::oneshot;

use crate::authenticate::{self, Asked, Passed, Refused};
use crate::body::{AnswerBody, ForwardBody, RequestBody};
use crate::connection::Open;
use crate::head_gate::Answer;
use crate::reserved::Reserved;
use crate::respond::{self, Manners};
use crate::snapshot::Snapshot;
use crate::tunnel;
use crate::upstream::{Progress, Upstream};
use crate::worker::Worker;
use crate::{decision_log, explain, self_check};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The largest body of a request that the control side answers.
const CONTROL_BODY: u64 = 64 * 1024;

/// Answers one request of a connection. Owns what it uses, so that hyper holds it and nothing around it.
pub async fn handle(
    worker: Rc<Worker>,
    open: Rc<Open>,
    mut request: Request<Incoming>,
) -> Result<Response<Answer<AnswerBody>>, Infallible> {
    // What let the last answer in says nothing about this one.
    open.forget_permit();
    let id = worker.request_ids().next();
    let mut manners = Manners::default();
    let upgrade = is_upgrade(request.headers()).then(|| hyper::upgrade::on(&mut request));
    let (mut head, body) = request.into_parts();
    let response = match answer(&worker, &open, &mut head, body, upgrade, &id, &mut manners).await {
        Ok(response) => response,
        Err(refusal) => {
            tracing::debug!(request = %id, code = %refusal.code, "refused");
            respond::refusal(&refusal, &manners, &id, head.headers)
        }
    };
    Ok(open.answer(response))
}

async fn answer(
    worker: &Rc<Worker>,
    open: &Open,
    head: &mut Parts,
    body: Incoming,
    upgrade: Option<OnUpgrade>,
    id: &RequestId,
    manners: &mut Manners,
) -> Result<Response<AnswerBody>, Refusal> {
    let view = RequestView::judge(head, &open.connection)?;
    match open.reserved.find(view.path()) {
        // Boxed, so that the other requests need not carry it.
        Reserved::Yes => return Box::pin(ask_control(worker, &view, head, body, id)).await,
        Reserved::Almost => return Err(Code::NoRoute.into()),
        Reserved::No => {}
    }

    let snapshot = worker.snapshot();
    let route = match snapshot.routes.choose(view.host(), view.path(), view.method().as_str()) {
        Chosen::Route(route) => route,
        Chosen::NoRoute => return Err(view.unrelaxed(&Relax::default()).unwrap_or(Code::NoRoute).into()),
        Chosen::PathCase => return Err(Code::PathCase.into()),
        Chosen::MethodNotAllowed(allow) => {
            manners.allow = Some(allow);
            return Err(Code::MethodNotAllowed.into());
        }
    };
    if let Some(code) = view.unrelaxed(&route.relax) {
        return Err(code.into());
    }
    if let Some(code) = view.first_finding()
        && !snapshot.routes.is_chosen_by_all_readings(route, view.host(), view.path(), view.method().as_str(), view.found())
    {
        return Err(Refusal::with(code, "An upstream could read this path as one of another route."));
    }
    let (rule, upstream) = match &route.action {
        Action::Forward { rule, upstream } => (rule, Some(upstream)),
        Action::SelfCheck { rule } => (rule, None),
        Action::Refuse => return Err(Code::NoRoute.into()),
    };
    manners.challenges = Challenges::of(rule);
    let most = if upstream.is_some() { u64::MAX } else { self_check::LARGEST_BODY };
    let body = RequestBody::new(body, route.body_limit.unwrap_or(most).min(most))?;
    let has_body = !body.is_end();
    let passed = match authenticate::run(Asked { worker, snapshot: &snapshot, route, rule, view: &view }, body).await {
        Ok(passed) => passed,
        Err(refused) if refused.refusal.code.status() == 401 => {
            manners.accept_signature = accept_signature(&snapshot, rule, &view, has_body);
            return Err(say_why(worker, &snapshot, route, &view, refused, id, manners).await);
        }
        Err(refused) => return Err(say_why(worker, &snapshot, route, &view, refused, id, manners).await),
    };
    let Some(upstream) = upstream else { return self_check::answer(worker, &snapshot, rule, &view, passed, id) };
    let Some(upstream) = worker.upstreams.get(upstream.as_str()) else { return Err(Code::Internal.into()) };
    let Passed { permit, decided_under, body, compared } = passed;
    count_uses(worker, &decided_under, &permit);

    let facts = ForwardedFacts { scheme: view.scheme(), address: forwarded_for(open, &view) };
    // First what the connection names, so that a client cannot have our own headers removed (RFC 9110 section 7.6.1).
    leave_hop(head, upgrade.is_some())?;
    let (headers, names) = (&mut head.headers, &snapshot.identity_headers);
    // What a signed request still has of these is signed, or the route allows it.
    let is_signed = permit.identities().any(|identity| identity.kind == Kind::Hmac);
    hearsay::strip(headers, |name| is_signed || route.allow_uncovered.contains(name));
    identity_headers::apply(headers, names, &permit, route.forward_credentials, &mut worker.identity_values.borrow_mut());
    say_the_way(headers, facts, id);
    let progress = Progress::begin();
    // What is left in its place has no headers: a refusal from here on is answered in a new map.
    let head = std::mem::replace(head, Request::new(()).into_parts().0);
    let request = Request::from_parts(head, ForwardBody::new(body, progress.clone()));
    forward(worker, open, permit, Outgoing { upstream, request, progress, compared, upgrade }).await
}

/// What a client that signs by RFC 9421 is told to sign.
fn accept_signature(snapshot: &Snapshot, rule: &Rule, view: &RequestView<'_>, has_body: bool) -> Option<HeaderValue> {
    let named = |name| snapshot.profiles.iter().find(|profile| profile.name() == name);
    let asked = rule.profiles().iter().find_map(|profile| named(&profile.name)?.accept_signature(&Head::of(view), has_body))?;
    HeaderValue::from_str(&asked).ok()
}

/// Keeps the refusal of a signature for whoever asks why, and says why at once where that was asked for: on a self-check, and
/// for a key that is being diagnosed.
async fn say_why(
    worker: &Worker,
    snapshot: &Arc<Snapshot>,
    route: &Route,
    view: &RequestView<'_>,
    refused: Refused,
    id: &RequestId,
    manners: &mut Manners,
) -> Refusal {
    let Refused { refusal, sample } = refused;
    let Some(sample) = sample else { return refusal };
    let now = worker.now();
    worker.shared.decisions.keep(decision_log::Refused {
        id: id.clone(),
        client_address: view.client_address(),
        route: route.number(),
        revision: snapshot.revision,
        refusal: refusal.clone(),
        sample: Arc::clone(&sample),
    });
    let key = sample.key.as_deref().and_then(|key| snapshot.keys.find_signing_key(key));
    let is_diagnosed = key.is_some_and(|key| key.is_diagnosed(now));
    let is_self_check = matches!(route.action, Action::SelfCheck { .. });
    // Who floods a self-check must not take the hints from a key that is being diagnosed.
    let allowance = if is_diagnosed { &worker.shared.explanations } else { &worker.shared.self_checks };
    if (is_diagnosed || is_self_check) && allowance.take(now) {
        let explained = Box::pin(explain::explain(&worker.shared.spool.control, sample, Arc::clone(snapshot), is_diagnosed)).await;
        manners.explained = explained.map(|explained| self_check::said(explained, is_self_check, is_diagnosed));
    }
    refusal
}

/// A request on its way out.
struct Outgoing<'u> {
    upstream: &'u Rc<Upstream>,
    request: Request<ForwardBody>,
    progress: Progress,
    /// Tells how the comparison of a streamed body came out.
    compared: Option<oneshot::Receiver<Result<(), Refusal>>>,
    /// The client's side of an upgrade.
    upgrade: Option<OnUpgrade>,
}

/// Sends a request that may pass, and relays the answer.
async fn forward(worker: &Rc<Worker>, open: &Open, permit: Permit, outgoing: Outgoing<'_>) -> Result<Response<AnswerBody>, Refusal> {
    let Outgoing { upstream, request, progress, compared, upgrade } = outgoing;
    open.watch(&progress);
    let answered = upstream.send(request, &progress).await;
    if let Some(compared) = compared {
        // The upstream may answer before it has the whole body: its answer waits until the body is known to be the one
        // that was signed. A body that was never read to its end was never compared: then the reason is why sending failed.
        match progress.within(upstream.response_time(), compared).await {
            Some(Ok(outcome)) => outcome?,
            None => return Err(Code::UpstreamTimeout.into()),
            Some(Err(_never)) => return Err(answered.err().unwrap_or_else(|| Code::UpstreamOutcomeUnknown.into())),
        }
    }
    let mut response = answered?;
    // Each hop says its own version: an answer that the upstream ends by closing must not look whole when it was cut.
    *response.version_mut() = Version::HTTP_11;
    match (response.status(), upgrade) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(upgrade)) if is_to_websocket(response.headers()) => {
            let (worker, stage) = (Rc::clone(worker), open.stage.clone());
            let theirs = hyper::upgrade::on(&mut response);
            tokio::task::spawn_local(async move {
                if let (Ok(client), Ok(upstream)) = tokio::join!(upgrade, theirs) {
                    tunnel::run(worker, client, upstream, permit, stage).await;
                }
            });
            strip_connection(response.headers_mut(), true).map_err(not_theirs)?;
            return Ok(response.map(AnswerBody::Upstream));
        }
        // An upgrade that nobody asked for.
        (StatusCode::SWITCHING_PROTOCOLS, _) => return Err(Code::UpstreamOutcomeUnknown.into()),
        _ => strip_connection(response.headers_mut(), false).map_err(not_theirs)?,
    }
    open.streams_under(permit);
    Ok(response.map(AnswerBody::Upstream))
}

fn is_to_websocket(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// What is wrong with an answer is not the client's fault.
fn not_theirs(refusal: Refusal) -> Refusal {
    tracing::debug!(code = %refusal.code, "the upstream's answer cannot be relayed");
    Code::UpstreamOutcomeUnknown.into()
}

/// What the upstream is told about where a request came from.
struct ForwardedFacts {
    scheme: Scheme,
    address: HeaderValue,
}

/// Takes off the head of a request what is only between the client and us. What is left is what was judged.
fn leave_hop(head: &mut Parts, upgrade: bool) -> Result<(), Refusal> {
    // An absolute target was reduced to its path; Host says the same.
    if head.uri.authority().is_some() {
        let path = head.uri.path_and_query().cloned().unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
        head.uri = Uri::from(path);
    }
    // Each hop says its own version (RFC 9110 section 2.5).
    head.version = Version::HTTP_11;
    strip_connection(&mut head.headers, upgrade)?;
    head.headers.remove(EXPECT);
    Ok(())
}

/// Tells the upstream where the request came from.
fn say_the_way(headers: &mut HeaderMap, facts: ForwardedFacts, id: &RequestId) {
    headers.insert(X_FORWARDED_FOR, facts.address);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(if facts.scheme == Scheme::Https { "https" } else { "http" }));
    if let Some(host) = headers.get(HOST).cloned() {
        headers.insert(X_FORWARDED_HOST, host);
    }
    headers.append(VIA, HeaderValue::from_static("1.1 countersign"));
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(X_REQUEST_ID, id);
    }
}

/// Removes what concerns one connection only; of an upgrade, what both sides agreed on is said again.
fn strip_connection(headers: &mut HeaderMap, upgrade: bool) -> Result<(), Refusal> {
    connection_headers::remove(headers)?;
    if upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    Ok(())
}

/// Counts the entries and API keys that let a request in. Signing secrets are counted where they are told apart.
fn count_uses(worker: &Worker, snapshot: &Snapshot, permit: &Permit) {
    let count = |id: &str| worker.uses.borrow_mut().count(id, worker.now());
    permit.matched().iter().filter_map(|found| snapshot.lists.entry_id(*found)).for_each(|entry| count(entry.as_str()));
    permit.identities().filter(|identity| identity.kind == Kind::ApiKey).for_each(|identity| count(&identity.credential));
}

/// The client's address for the upstream; made once a connection, as it rarely differs between requests.
fn forwarded_for(open: &Open, view: &RequestView<'_>) -> HeaderValue {
    if view.client_address() == open.peer_address {
        return open.peer_header.clone();
    }
    HeaderValue::from_str(&view.client_address().to_string()).unwrap_or_else(|_| open.peer_header.clone())
}

/// Has the control side answer a request for a reserved path.
async fn ask_control(
    worker: &Worker,
    view: &RequestView<'_>,
    head: &Parts,
    body: Incoming,
    id: &RequestId,
) -> Result<Response<AnswerBody>, Refusal> {
    let body = RequestBody::new(body, CONTROL_BODY)?;
    // All of it within the time that another body may take for one piece: it is small, and nobody has said who they are yet.
    let whole = tokio::time::timeout(worker.shared.config.limits.body_idle_time, read_whole(body)).await;
    let whole = whole.map_err(|_elapsed| Refusal::from(Code::BodyTimeout))??;
    let mut request = Request::new(Bytes::from(whole));
    *request.method_mut() = view.method().clone();
    *request.uri_mut() = view.target().parse().map_err(|_| Refusal::from(Code::BadTarget))?;
    *request.headers_mut() = head.headers.clone();
    request.extensions_mut().insert(view.client_address());
    request.extensions_mut().insert(id.clone());
    Ok(worker.shared.control.answer(request).await?.map(AnswerBody::from))
}

async fn read_whole(mut body: RequestBody) -> Result<Vec<u8>, Refusal> {
    let mut whole = Vec::new();
    while let Some(data) = body.next().await {
        whole.extend_from_slice(&data?);
    }
    Ok(whole)
}

/// Whether the head asks for an upgrade; the head gate has seen to it that it is a proper one to WebSocket.
fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
}
