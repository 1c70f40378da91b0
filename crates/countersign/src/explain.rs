//! Says why a signature was refused: to an admin, to the owner of a key that is being diagnosed, and on self-check routes.
//!
//! What it says is made from the request and the stored secrets on the control side, never on a data thread. It never says a
//! secret, a key or the MAC that would have been right, and it opens nothing.

mod hidden;
mod members;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use countersign_core::id::ProfileName;
use countersign_core::now::UnixMillis;
use countersign_core::request_view::{RequestView, Scheme};
use countersign_core::signature::diagnose::{Diagnosis, Known, Limits as DiagnosisLimits, OtherSecret, Suspect, Whose, diagnose};
use countersign_core::signature::{Body, Head, LiveKey, Profile};
use http::header::{AUTHORIZATION, COOKIE, HeaderName, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};

use self::hidden::{hide_macs, read_name, without_secrets};
use self::members::difference;
pub use self::members::{hints, seconds, trace_members};
use crate::snapshot::Snapshot;

/// The largest body that is kept and looked at, in bytes.
pub const LARGEST_BODY: usize = 64 * 1024;

/// How many requests are explained in a second, over all callers: each may cost some milliseconds.
const EACH_SECOND: u64 = 20;

/// A signed request as it came, as much of it as an explanation needs. Credentials of other kinds are left out.
#[derive(Clone)]
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

/// Without headers and body: with its request, a MAC is a credential.
impl std::fmt::Debug for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sample").field("profile", &self.profile).field("key", &self.key).finish_non_exhaustive()
    }
}

impl Sample {
    /// What is kept of a request.
    pub fn of(view: &RequestView<'_>, profile: &Profile, key: Option<&str>, body: Option<Bytes>, at: UnixMillis) -> Self {
        // Copied: a value is a part of the buffer that its request was read into, and would keep all of it.
        let copied = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
        let mut headers: HeaderMap = view.headers().iter().filter_map(|(name, value)| Some((name.clone(), copied(value)?))).collect();
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
        profile.key_named_in(self.head())
    }

    /// The target without what makes the request a credential, and without secrets of ours that stand where they do not belong.
    pub fn shown_target(&self, profile: Option<&Profile>) -> String {
        let Some((path, query)) = self.target.split_once('?') else { return without_secrets(&self.target) };
        // Without the profile nothing tells which of them is one. Decoded, as it is for the check.
        let is_mac = |name: &str| {
            profile.is_none_or(|profile| profile.mac_parameters().any(|known| read_name(name).eq_ignore_ascii_case(known.as_bytes())))
        };
        let stand_in = if profile.is_some() { "<signature>" } else { "<hidden>" };
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_mac(name) => format!("{name}={stand_in}"),
            _ => pair.to_owned(),
        });
        without_secrets(&format!("{path}?{}", pairs.collect::<Vec<_>>().join("&")))
    }

    /// The key that it names, unless it is a secret of ours that stands where it does not belong.
    pub fn shown_key(&self) -> Option<String> {
        self.key.as_deref().map(without_secrets)
    }

    /// Judges it again, with everything that the judgement rests on.
    pub fn explain(&self, snapshot: &Snapshot, reader: Reader<'_>) -> Value {
        let Some(profile) = snapshot.profiles.iter().find(|profile| *profile.name() == self.profile) else {
            return json!({"profile": self.profile.as_str(), "detail": "the profile is no longer in use"});
        };
        let key = self.key.as_deref().and_then(|id| snapshot.keys.find_signing_key(id)).filter(|key| *key.profile() == self.profile);
        let body = self.body.as_deref().map(Body::of);
        let mut said = Map::new();
        said.insert("profile".into(), self.profile.as_str().into());
        said.insert("key_id".into(), self.shown_key().into());
        let known = match (&self.key, key) {
            (_, Some(_)) => "known",
            (Some(_), None) => "unknown",
            // Nothing can be said about a key that could not be read.
            (None, None) => "unread",
        };
        said.insert("key".into(), known.into());
        match (profile.find_fields(self.head()), body) {
            (Err(refusal), _) => {
                said.insert("code".into(), refusal.code.as_str().into());
                said.insert("detail".into(), refusal.detail.as_deref().into());
            }
            (Ok(None), _) => {
                said.insert("detail".into(), "the request shows no signature of this scheme".into());
            }
            (Ok(Some(_)), None) => {
                said.insert(
                    "detail".into(),
                    format!("the body was not kept: it has more than {LARGEST_BODY} bytes, or its key is unknown").into(),
                );
            }
            (Ok(Some(fields)), Some(body)) => {
                let mut trace = fields.trace(body, key.map_or(&[], LiveKey::secrets), self.at);
                if matches!(reader, Reader::Admin { .. }) {
                    hide_macs(&mut trace, profile);
                }
                if let Err(refusal) = &trace.judged {
                    said.insert("code".into(), refusal.code.as_str().into());
                    said.insert("detail".into(), refusal.detail.as_deref().into());
                }
                said.extend(trace_members(&trace, profile));
            }
        }
        let own_string = match reader {
            // Not searched: how long that takes would tell which keys there are.
            Reader::Sender { is_diagnosed: false } => return Value::Object(said),
            Reader::Sender { is_diagnosed: true } => None,
            Reader::Admin { own_string } => own_string,
        };
        let diagnosis = self.diagnose(profile, key, own_string, snapshot);
        said.insert("hints".into(), hints(&diagnosis));
        if let Some(difference) = difference(&diagnosis) {
            said.insert("difference".into(), difference);
        }
        Value::Object(said)
    }

    /// What the sender did wrong, as far as a known mistake makes the signature verify.
    fn diagnose(&self, profile: &Profile, key: Option<&LiveKey>, own_string: Option<&[u8]>, snapshot: &Snapshot) -> Diagnosis {
        let Some(body) = self.body.as_deref() else { return Diagnosis::default() };
        // Another key of the same client, taken for this one.
        let others: Vec<OtherSecret<'_>> = key
            .iter()
            .flat_map(|key| snapshot.keys.others_of(key))
            .flat_map(|other| other.secrets().iter().map(|secret| OtherSecret { whose: Whose::Key(other.id().as_str()), secret }))
            .collect();
        let profiles: Vec<&Profile> = snapshot.profiles.iter().collect();
        let known = Known { secrets: key.map_or(&[], LiveKey::secrets), others: &others, profiles: &profiles, hosts: &[] };
        let suspect = Suspect { head: self.head(), body, now: self.at, own_string };
        diagnose(profile, &suspect, &known, DiagnosisLimits::default())
    }
}

/// For whom an explanation is.
#[derive(Debug, Clone, Copy)]
pub enum Reader<'s> {
    /// Who may see requests, but must not be able to send them again. `own_string` is what the client believes it signed.
    Admin {
        /// The string to sign as the client gives it.
        own_string: Option<&'s [u8]>,
    },
    /// Who sent it.
    Sender {
        /// Whether its key is being diagnosed.
        is_diagnosed: bool,
    },
}

/// How often explanations are given. Who asks too often gets none: they are a help, not a promise.
#[derive(Debug, Default)]
pub struct Allowance(AtomicU64);

impl Allowance {
    /// Takes one of this second's, if one is left.
    pub fn take(&self, now: UnixMillis) -> bool {
        let second = u64::try_from(now.seconds()).unwrap_or_default() << 8;
        let next =
            |held: u64| if held >> 8 << 8 == second { Some(held + 1).filter(|next| next & 0xff <= EACH_SECOND) } else { Some(second + 1) };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

/// Explains on a thread of its own, so that neither a data thread nor the control side waits for it.
pub async fn explain(control: &tokio::runtime::Handle, sample: Arc<Sample>, snapshot: Arc<Snapshot>, is_diagnosed: bool) -> Option<Value> {
    control.spawn_blocking(move || sample.explain(&snapshot, Reader::Sender { is_diagnosed })).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(profile: &str, method: &str, target: &str, authorization: &str) -> Sample {
        // Acquia's time stands beside its credential.
        let time = (HeaderName::from_static("x-authorization-timestamp"), HeaderValue::from_static("1764000000"));
        let mut headers = HeaderMap::from_iter([time]);
        if !authorization.is_empty() {
            headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        }
        let (method, target, host) = (method.to_owned(), target.to_owned(), "api.test".to_owned());
        let (at, scheme, body) = (UnixMillis::from_seconds(1_764_000_000), Scheme::Https, Some(Bytes::new()));
        Sample { at, method, scheme, host, target, headers, body, profile: profile.parse().unwrap(), key: None }
    }

    fn built_in(name: &str) -> Profile {
        let text = countersign_core::signature::built_in::built_in(name).unwrap();
        Profile::load(text, &countersign_core::signature::load::Constants::new()).unwrap()
    }

    #[test]
    fn a_mac_in_the_query_is_not_shown_however_its_name_is_written() {
        let mac = "0123456789abcdef".repeat(4);
        let profile = built_in("sigv4-query");
        for name in ["X-Amz-Signature", "X-Amz-Signatur%65", "x-amz-signature", "%58%2DAmz-Signature", "X-Amz-Signatur%2565"] {
            let shown = sample("sigv4-query", "GET", &format!("/a?b=1&{name}={mac}&c"), "").shown_target(Some(&profile));
            assert_eq!(shown, format!("/a?b=1&{name}=<signature>&c"));
        }
        let shown = sample("sigv4-query", "GET", &format!("/a?b=1&X-Amz-Signature={mac}&c"), "").shown_target(None);
        assert_eq!(shown, "/a?b=<hidden>&X-Amz-Signature=<hidden>&c", "nothing tells which is one");
        let shown = sample("sigv4-query", "GET", &format!("/a?csa_{}", "0a".repeat(36)), "").shown_target(Some(&profile));
        assert_eq!(shown, "/a?csa_<secret>");
    }

    #[test]
    fn a_mac_is_not_shown_in_what_it_was_read_from() {
        let encoded = ["K60sehaGMiaW8%2FHCu0v8HP0R0%2FQ%3D", "K60sehaGMiaW8/HCu0v8HP0R0/Q=", "K60sehaGMiaW8%2fHCu0v8HP0R0%2fQ%3d"];
        for mac in encoded {
            let cases = [
                (
                    "oauth1",
                    format!(
                        r#"OAuth oauth_consumer_key="ck_a", oauth_nonce="n0nce", oauth_signature_method="HMAC-SHA1", oauth_timestamp="1764000000", oauth_signature="{mac}""#
                    ),
                ),
                (
                    "cavage",
                    format!(
                        r#"Signature keyId="ck_a",algorithm="hs2019",created=1764000000,headers="(request-target) (created) host",signature="{mac}""#
                    ),
                ),
                (
                    "acquia",
                    format!(
                        r#"acquia-http-hmac id="ck_a",nonce="d1954337-5319-4821-8427-115542e08d10",realm="Countersign",version="2.0",signature="{mac}""#
                    ),
                ),
            ];
            for (name, authorization) in cases {
                let profile = built_in(name);
                let sample = sample(name, "GET", "/a", &authorization);
                let fields = profile.find_fields(sample.head());
                let Ok(Some(fields)) = fields else { panic!("{name}: {:?}", fields.err()) };
                let mut trace = fields.trace(Body::of(b""), &[], sample.at);
                hide_macs(&mut trace, &profile);
                let shown = Value::Object(trace_members(&trace, &profile)).to_string();
                assert!(shown.contains("K60sehaG<signature>") && !shown.contains("MiaW8"), "{name}: {shown}");
                assert!(shown.contains("ck_a"), "the rest is shown: {shown}");
            }
        }
    }

    #[test]
    fn an_allowance_is_for_one_second() {
        let allowance = Allowance::default();
        let at = |millis: i64| UnixMillis::from_millis(1_764_000_000_000 + millis);
        assert_eq!((0..30).filter(|n| allowance.take(at(*n))).count(), 20);
        assert!(!allowance.take(at(999)));
        assert!(allowance.take(at(1000)));
    }
}
