//! Says why a signature was refused: to an admin, to the owner of a key that is being diagnosed, and on self-check routes.
//!
//! What it says is made from the request and the stored secrets on the control side, never on a data thread. It never says a
//! secret, a key or the MAC that would have been right, and it opens nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use countersign_core::id::ProfileName;
use countersign_core::now::UnixMillis;
use countersign_core::request_view::{RequestView, Scheme};
use countersign_core::signature::{Body, Head, LiveKey, Profile, Trace};
use http::header::{AUTHORIZATION, COOKIE, HeaderName, PROXY_AUTHORIZATION};
use http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::snapshot::Snapshot;

/// The largest body that is kept and looked at, in bytes.
pub const LARGEST_BODY: usize = 64 * 1024;

/// How many requests are explained in a second, over all callers: each may cost some milliseconds.
const EACH_SECOND: u64 = 20;

/// A signed request as it came, as much of it as an explanation needs. Credentials of other kinds are left out.
#[derive(Debug, Clone)]
pub struct Sample {
    /// When it was judged.
    pub at: UnixMillis,
    /// The method.
    pub method: String,
    /// The scheme under which it came.
    pub scheme: Scheme,
    /// Host and port in lower case, without a default port.
    pub host: String,
    /// Path and query.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; none when it was too large to keep.
    pub body: Option<Bytes>,
    /// The scheme it is signed in.
    pub profile: ProfileName,
    /// The key that it or its route names.
    pub key: Option<String>,
}

impl Sample {
    /// What is kept of a request.
    pub fn of(view: &RequestView<'_>, profile: &Profile, key: Option<&str>, body: Option<Bytes>, at: UnixMillis) -> Self {
        let mut headers = view.headers().clone();
        let signs = |name: &HeaderName| profile.credential_headers().any(|own| own == name);
        for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, HeaderName::from_static("x-api-key")] {
            if !signs(&name) {
                headers.remove(name);
            }
        }
        Self {
            at,
            method: view.method().as_str().to_owned(),
            scheme: view.scheme(),
            host: view.host().to_owned(),
            target: view.target().to_owned(),
            headers,
            body,
            profile: profile.name().clone(),
            key: key.map(str::to_owned),
        }
    }

    fn head(&self) -> Head<'_> {
        Head { method: &self.method, scheme: self.scheme, host: &self.host, target: &self.target, headers: &self.headers }
    }

    /// The key that the request names.
    pub fn named_key(&self, profile: &Profile) -> Option<String> {
        profile.find_fields(self.head()).ok().flatten()?.key_id().map(str::to_owned)
    }

    /// Judges it again, with everything that the judgement rests on. `own_string` is what the caller believes it signed.
    pub fn explain(&self, snapshot: &Snapshot, own_string: Option<&[u8]>) -> Value {
        let Some(profile) = snapshot.profiles.iter().find(|profile| *profile.name() == self.profile) else {
            return json!({"profile": self.profile.as_str(), "detail": "the profile is no longer in use"});
        };
        let key = self.key.as_deref().and_then(|id| snapshot.keys.find_signing_key(id)).filter(|key| *key.profile() == self.profile);
        let body = self.body.as_deref().map(Body::of);
        let mut said = Map::new();
        said.insert("profile".into(), self.profile.as_str().into());
        said.insert("key_id".into(), self.key.clone().into());
        said.insert("key".into(), if key.is_some() { "known" } else { "unknown" }.into());
        match (profile.find_fields(self.head()), body) {
            (Err(refusal), _) => {
                said.insert("code".into(), refusal.code.as_str().into());
                said.insert("detail".into(), refusal.detail.as_deref().into());
            }
            (Ok(None), _) => {
                said.insert("detail".into(), "the request shows no signature of this scheme".into());
            }
            (Ok(Some(_)), None) => {
                said.insert("detail".into(), format!("the body has more than {LARGEST_BODY} bytes and was not kept").into());
            }
            (Ok(Some(fields)), Some(body)) => {
                let trace = fields.trace(body, key.map_or(&[], LiveKey::secrets), self.at);
                if let Err(refusal) = &trace.judged {
                    said.insert("code".into(), refusal.code.as_str().into());
                    said.insert("detail".into(), refusal.detail.as_deref().into());
                }
                said.extend(trace_members(&trace, profile));
            }
        }
        said.insert("hints".into(), self.hints(profile, key, own_string, snapshot));
        Value::Object(said)
    }

    /// What the sender did wrong, as far as a known mistake makes the signature verify.
    pub fn hints(&self, _profile: &Profile, _key: Option<&LiveKey>, _own_string: Option<&[u8]>, _snapshot: &Snapshot) -> Value {
        json!([])
    }
}

/// What a trace says, for programs.
pub fn trace_members(trace: &Trace, profile: &Profile) -> Map<String, Value> {
    let by_name = |list: &[(String, Vec<u8>)]| -> Map<String, Value> { list.iter().map(|(name, bytes)| (name.clone(), text(bytes))).collect() };
    let seconds = |at: Option<UnixMillis>| at.map(UnixMillis::seconds);
    let mut members = Map::new();
    members.insert("fields".into(), by_name(&trace.fields).into());
    members.insert("string_to_sign".into(), trace.strings_to_sign.first().map(|bytes| text(bytes)).into());
    members.insert("pieces".into(), by_name(&trace.pieces).into());
    members.insert(
        "coverage".into(),
        json!({
            "covered": trace.covered,
            "partly": trace.partly,
            "uncovered": trace.uncovered,
            "named_uncovered": profile.uncovered().names().collect::<Vec<_>>(),
        }),
    );
    members.insert("signed_at".into(), seconds(trace.signed_at).into());
    members.insert("good_until".into(), seconds(trace.good_until).into());
    members
}

fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// How often explanations are given. Who asks too often gets none: they are a help, not a promise.
#[derive(Debug, Default)]
pub struct Allowance(AtomicU64);

impl Allowance {
    /// Takes one of this second's, if one is left.
    pub fn take(&self, now: UnixMillis) -> bool {
        let second = u64::try_from(now.seconds()).unwrap_or_default() << 8;
        let next = |held: u64| if held >> 8 << 8 == second { Some(held + 1).filter(|next| next & 0xff <= EACH_SECOND) } else { Some(second + 1) };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

/// Explains on a thread of its own, so that neither a data thread nor the control side waits for it.
pub async fn explain(control: &tokio::runtime::Handle, sample: Arc<Sample>, snapshot: Arc<Snapshot>) -> Option<Value> {
    control.spawn_blocking(move || sample.explain(&snapshot, None)).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_for_one_second() {
        let allowance = Allowance::default();
        let at = |millis| UnixMillis::from_millis(1_764_000_000_000 + millis);
        assert_eq!((0..30).filter(|n| allowance.take(at(*n))).count(), 20);
        assert!(!allowance.take(at(999)));
        assert!(allowance.take(at(1000)));
    }
}
