//! Refused signatures and why: those that came, and those that an admin brings.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use countersign_core::code::{Code, Refusal};
use countersign_core::id::ProfileName;
use countersign_core::now::UnixMillis;
use countersign_core::request_view::Scheme;
use countersign_core::signature::signing::canonical_host;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::call::{Answer, Call, Failure, FieldErrors};
use crate::decision_log::Refused;
use crate::explain::{Reader, Sample};
use crate::snapshot::Snapshot;
use crate::wire::{self, ToExplain};

/// `GET /decisions`: the newest refusals of signed requests.
pub async fn list(call: Call) -> Result<Answer, Failure> {
    let (_, limit) = call.page()?;
    let live = call.control.publisher.live();
    let items: Vec<Value> = call.control.decisions.newest(limit).iter().map(|refused| short(refused, &live)).collect();
    Answer::ok(&json!({"items": items, "next": null}))
}

/// `GET /decisions/{request_id}`: one of them, explained under the secrets of now.
pub async fn read(call: Call) -> Result<Answer, Failure> {
    let id: String = call.param("request_id")?;
    let Some(refused) = call.control.decisions.find(&id) else { return Err(Code::NotFound.into()) };
    let mut said = short(&refused, &call.control.publisher.live());
    let explained = explain(&call, Arc::clone(&refused.sample), None).await?;
    if let Some(members) = said.as_object_mut() {
        members.insert("explanation".into(), explained);
    }
    Answer::ok(&said)
}

/// `POST /explain`: a request that an admin brings, judged under the stored secrets. Nothing is claimed or forwarded.
pub async fn explain_given(call: Call) -> Result<Answer, Failure> {
    let given: ToExplain = call.json()?;
    let mut errors = FieldErrors::default();
    let profile: Option<ProfileName> = errors.parse("profile", &given.profile);
    let mut headers = HeaderMap::new();
    for (name, value) in &given.headers {
        match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => _ = headers.append(name, value),
            _ => return Err(Failure::field("headers", format!("{name:?} is no header, or its value cannot be one"))),
        }
    }
    let scheme = match given.scheme.as_deref() {
        None | Some("https") => Scheme::Https,
        Some("http") => Scheme::Http,
        Some(_) => return Err(Failure::field("scheme", "write http or https")),
    };
    let host = headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host.map(|host| canonical_host(host, scheme)) else {
        return Err(Failure::field("headers", "there is no Host among them"));
    };
    let body = match (given.body, given.body_base64) {
        (Some(_), Some(_)) => return Err(Failure::field("body", "give body or body_base64")),
        (Some(text), None) => Bytes::from(text),
        (None, Some(encoded)) => {
            STANDARD.decode(encoded).map(Bytes::from).map_err(|_| Failure::field("body_base64", "this is not base64"))?
        }
        (None, None) => Bytes::new(),
    };
    let Some(profile) = profile else { return Err(errors.into_failure()) };
    let live = call.control.publisher.live();
    let Some(known) = live.profiles.iter().find(|known| *known.name() == profile) else {
        return Err(Failure::field("profile", format!("no route asks for hmac({profile})")));
    };
    let at = given.at.map_or(call.now, UnixMillis::from_seconds);
    let mut sample =
        Sample { at, method: given.method, scheme, host, target: given.target, headers, body: Some(body), profile, key: given.key_id };
    if sample.key.is_none() && known.names_key() {
        sample.key = sample.named_key(known);
    }
    let explained = explain(&call, Arc::new(sample), given.string_to_sign.map(String::into_bytes)).await?;
    Answer::ok(&explained)
}

/// Explains off the control threads. Who asks too often waits a second.
async fn explain(call: &Call, sample: Arc<Sample>, own_string: Option<Vec<u8>>) -> Result<Value, Failure> {
    if !call.control.explanations.take(call.control.now()) {
        return Err(Refusal::from(Code::TooManyAttempts).after(std::time::Duration::from_secs(1)).into());
    }
    let live = call.control.publisher.live();
    let explained = tokio::task::spawn_blocking(move || sample.explain(&live, Reader::Admin { own_string: own_string.as_deref() })).await;
    explained.map_err(|_gone| Failure::from(Code::Internal))
}

fn short(refused: &Refused, live: &Snapshot) -> Value {
    let sample = &refused.sample;
    let profile = live.profiles.iter().find(|profile| *profile.name() == sample.profile);
    json!({
        "request_id": refused.id.as_str(),
        "at": wire::time(sample.at),
        "client_address": refused.client_address,
        "method": sample.method,
        "host": sample.host,
        "target": sample.shown_target(profile),
        "route": refused.route,
        "revision": refused.revision.0,
        "code": refused.refusal.code.as_str(),
        "detail": refused.refusal.detail,
        "profile": sample.profile.as_str(),
        "key_id": sample.shown_key(),
    })
}
