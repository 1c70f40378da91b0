//! Self-checks: a route that authenticates a request and says what was found, and forwards nothing. Partners try their signing
//! code against it.

use bytes::Bytes;
use countersign_core::code::Refusal;
use countersign_core::id::RequestId;
use countersign_core::request_view::RequestView;
use countersign_core::rule::Rule;
use countersign_core::signature::{Body, Head};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use serde_json::{Map, Value, json};

use crate::authenticate::Passed;
use crate::body::{AnswerBody, Source};
use crate::explain::trace_members;
use crate::snapshot::Snapshot;
use crate::worker::Worker;

/// The largest body, in bytes. The trace needs all of it.
pub const LARGEST_BODY: u64 = 64 * 1024;

/// What was found of a request that may pass. Its nonce is used: sent again, it is refused like everywhere else.
///
/// # Errors
/// None of its own: what does not pass was refused before.
pub fn answer(
    worker: &Worker,
    snapshot: &Snapshot,
    rule: &Rule,
    view: &RequestView<'_>,
    passed: Passed,
    id: &RequestId,
) -> Result<Response<AnswerBody>, Refusal> {
    let now = worker.now();
    let mut said = Map::new();
    said.insert("authenticated".into(), true.into());
    said.insert("request_id".into(), id.as_str().into());
    said.insert("server_time".into(), now.seconds().into());
    said.insert("client_address".into(), view.client_address().to_string().into());
    said.insert("rule".into(), rule.text().into());
    let credentials: Vec<Value> = passed
        .permit
        .identities()
        .map(|identity| {
            json!({
                "kind": identity.kind.as_str(),
                "credential": &*identity.credential,
                "principal": identity.principal.id.as_str(),
                "name": &*identity.principal.name,
                "scopes": identity.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(),
            })
        })
        .collect();
    said.insert("credentials".into(), credentials.into());
    let body = match passed.body {
        Source::Buffered(Some(buffered)) => buffered.into_bytes(),
        _ => Bytes::new(),
    };
    for named in rule.profiles() {
        let Some(profile) = snapshot.profiles.iter().find(|profile| *profile.name() == named.name) else { continue };
        if let Some(fields) = profile.find_fields(Head::of(view))? {
            // For what was looked at; the judgement was made before.
            let trace = fields.trace(Body::of(&body), &[], now);
            let mut signature = trace_members(&trace, profile);
            signature.insert("profile".into(), profile.name().as_str().into());
            said.insert("signature".into(), signature.into());
        }
    }
    let text = serde_json::to_vec_pretty(&Value::Object(said)).unwrap_or_default();
    let mut response = Response::new(AnswerBody::from(Bytes::from(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What of an explanation a refused caller is told: on a self-check what its request gave, for a key that is being diagnosed
/// what was done wrong.
pub fn said(explained: Value, is_self_check: bool, is_diagnosed: bool) -> Map<String, Value> {
    let Value::Object(mut explained) = explained else { return Map::new() };
    let mut said = Map::new();
    let hints = explained.remove("hints");
    if is_diagnosed && let Some(hints) = hints {
        said.insert("hints".into(), hints);
    }
    if is_self_check {
        // Whether a key exists is for its owner to know.
        explained.remove("key");
        said.insert("signature".into(), explained.into());
    }
    said
}
