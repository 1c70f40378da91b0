//! Signed requests: who signed, what the signature covers, and what has to be claimed so that it is used once.
//!
//! - `profile`: a scheme as data, and the checks it passes once; [`Profile::native`] is `v3.0`.
//! - `template`: the language that strings to sign are written in.
//! - `coverage`: which parts of a request a signature reaches.
//! - `body`: the body as a signature sees it.
//! - `content_digest`: the digest of the body that the head declares.
//! - `rfc9421`: HTTP Message Signatures, whose string to sign is no template.
//! - `signing`: the same interpreter, to sign.
//!
//! The way of a signed request: [`Profile::find_fields`], [`Profile::check_time`] before the body is read,
//! [`Profile::verify`], then the caller claims [`MacGood::claim`] and gives what came of it to [`MacGood::finish`]. Only that
//! makes a proof.

pub mod body;
pub mod content_digest;
pub mod coverage;
pub mod profile;
pub mod rfc9421;
pub mod signing;
pub mod template;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use body::{BodyDigest, BodyHasher, declared_digest, uncovered_header};
pub use profile::Profile;

use crate::code::{Code, Refusal};
use crate::id::{KeyId, ProfileName, SecretId};
use crate::now::UnixMillis;
use crate::principal::{Principal, Scopes};
use crate::replay::{Claim, Fingerprint, NewClaim};
use crate::request_view::RequestView;
use crate::rule::Kind;
use crate::secret::{SecretText, same_bytes};
use crate::verified::{Identity, Verified};
use coverage::Parts;
use profile::{Field, KeyMaterial, MacAlgorithm, MacEncoding, TimeFormat};
use template::Readable;

/// How much longer than the time window a claim is kept, in case our clock is set back a little.
const KEEP_LONGER: Duration = Duration::from_secs(60);

/// When a caller with too many live nonces should come back: a tenth of the window has made room by then.
const NONCES_FREE_AFTER: Duration = Duration::from_secs(30);

/// The fields of a signature, read from a request and well-formed. Nothing is verified yet.
#[derive(Debug)]
pub struct Fields<'r> {
    key_id: &'r str,
    timestamp: &'r str,
    signed_at: UnixMillis,
    nonce: &'r str,
    mac: Mac,
}

/// A MAC as bytes, however it was written. Not printed: with its request it is a credential.
#[derive(Clone, Copy)]
struct Mac([u8; 64], usize);

impl Mac {
    fn bytes(&self) -> &[u8] {
        self.0.get(..self.1).unwrap_or_default()
    }
}

impl std::fmt::Debug for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mac(..)")
    }
}

impl<'r> Fields<'r> {
    /// The key that the request names.
    pub const fn key_id(&self) -> &'r str {
        self.key_id
    }

    /// When the request says it was signed.
    pub const fn signed_at(&self) -> UnixMillis {
        self.signed_at
    }

    /// The nonce.
    pub const fn nonce(&self) -> &'r str {
        self.nonce
    }
}

/// A key that signs requests, as a snapshot holds it. Disabled keys and keys of disabled clients are not made into one.
#[derive(Debug)]
pub struct LiveKey {
    id: KeyId,
    credential: Arc<str>,
    principal: Arc<Principal>,
    scopes: Arc<Scopes>,
    profile: ProfileName,
    secrets: Vec<LiveSecret>,
}

impl LiveKey {
    /// The key of `principal`, for `profile` only.
    pub fn new(id: KeyId, principal: Arc<Principal>, scopes: Arc<Scopes>, profile: ProfileName, secrets: Vec<LiveSecret>) -> Self {
        Self { credential: id.as_str().into(), id, principal, scopes, profile, secrets }
    }

    /// What requests name it by.
    pub const fn id(&self) -> &KeyId {
        &self.id
    }
}

/// One secret of a key, made ready to verify with. The secret itself cannot be read from it.
pub struct LiveSecret {
    id: Option<SecretId>,
    key: hmac::Key,
    fingerprint: Fingerprint,
    ends: Option<UnixMillis>,
}

/// A secret cannot be used with a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret is shorter than the {least} bytes that its profile asks for")]
pub struct BadSecret {
    /// The fewest bytes.
    pub least: usize,
}

impl LiveSecret {
    /// Makes a secret ready for a profile.
    pub fn new(profile: &Profile, id: SecretId, secret: &SecretText, ends: Option<UnixMillis>) -> Result<Self, BadSecret> {
        let bytes = profile.key_bytes(secret)?;
        Ok(Self { id: Some(id), key: hmac::Key::new(profile.draft.algorithm.hmac(), bytes), fingerprint: fingerprint(bytes), ends })
    }

    /// Nobody's secret: work for requests that name an unknown key. What verifies with it is refused.
    fn nobody(algorithm: MacAlgorithm) -> Self {
        Self { id: None, key: hmac::Key::new(algorithm.hmac(), &[0; 64]), fingerprint: Fingerprint([0; 16]), ends: None }
    }

    /// Under what its claims are kept.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl std::fmt::Debug for LiveSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveSecret").field("id", &self.id).field("ends", &self.ends).finish_non_exhaustive()
    }
}

/// The fingerprint of a secret. Zero bytes at the end do not count, as they do not in HMAC (RFC 2104 section 2).
fn fingerprint(secret: &[u8]) -> Fingerprint {
    let end = secret.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"countersign secret fingerprint\0");
    context.update(secret.get(..end).unwrap_or_default());
    Fingerprint(first_16(&context.finish()))
}

fn first_16(digest: &digest::Digest) -> [u8; 16] {
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

fn sha256_16(bytes: &[u8]) -> [u8; 16] {
    first_16(&digest::digest(&digest::SHA256, bytes))
}

impl Profile {
    /// Reads the fields of this scheme: `None` when the request shows none, a refusal when one is missing, repeated or
    /// malformed.
    pub fn find_fields<'r>(&self, view: &RequestView<'r>) -> Result<Option<Fields<'r>>, Refusal> {
        let headers = view.headers();
        let shown = |slot: &coverage::Slot| self.draft.headers.get(usize::from(slot.0)).is_some_and(|name| headers.contains_key(name));
        if !self.draft.detect.iter().any(shown) {
            return Ok(None);
        }
        let timestamp = self.field(&self.draft.timestamp, headers)?;
        let written = self.field(&self.draft.mac, headers)?;
        Ok(Some(Fields {
            key_id: self.field(&self.draft.key_id, headers)?,
            timestamp,
            signed_at: self.draft.time.format.read(timestamp).ok_or_else(|| self.malformed(&self.draft.timestamp))?,
            nonce: self.field(&self.draft.nonce, headers)?,
            mac: self.mac(written).ok_or_else(|| self.malformed(&self.draft.mac))?,
        }))
    }

    /// Judges when a request was signed, before its body is read. `fence` is what the replay cache says.
    pub fn check_time(&self, fields: &Fields<'_>, now: UnixMillis, fence: UnixMillis) -> Result<(), Refusal> {
        self.judge_time(fields.signed_at, now)?;
        if fields.signed_at > fence {
            return Ok(());
        }
        let refusal = Refusal::from(Code::SignedBeforeFence);
        // The fence can be ahead of the clock: then a new signature helps only once the clock has passed it.
        let wait = fence.since(now);
        Err(if wait.is_zero() { refusal } else { refusal.after(wait.saturating_add(Duration::from_secs(1))) })
    }

    /// Verifies a signature. `key` is what was found under [`Fields::key_id`]; an unknown key costs the same and is refused in
    /// the same words.
    ///
    /// `now` is judged again: a body may have taken long, and a claim must not be made after the time until which it is kept.
    pub fn verify(
        &self,
        fields: &Fields<'_>,
        view: &RequestView<'_>,
        body: BodyDigest,
        key: Option<&LiveKey>,
        now: UnixMillis,
    ) -> Result<MacGood, Refusal> {
        self.judge_time(fields.signed_at, now)?;
        let text = self.string_to_sign(&Self::readable(fields, view, body))?;
        let key = key.filter(|key| key.id.as_str() == fields.key_id && key.profile == self.draft.name);
        let secrets = key.map_or(std::slice::from_ref(&self.nobody), |key| &key.secrets);
        let mut good = None;
        // All of them, so that the time does not tell which one signed.
        for secret in secrets {
            let mac = hmac::sign(&secret.key, &text);
            if same_bytes(mac.as_ref(), fields.mac.bytes()) && secret.ends.is_none_or(|ends| now < ends) {
                good = Some(secret);
            }
        }
        let (Some(key), Some(secret)) = (key, good) else { return Err(Code::SignatureMismatch.into()) };
        let Some(id) = secret.id.clone() else { return Err(Code::SignatureMismatch.into()) };
        Ok(MacGood {
            identity: Identity {
                kind: Kind::Hmac,
                principal: Arc::clone(&key.principal),
                credential: Arc::clone(&key.credential),
                scopes: Arc::clone(&key.scopes),
                session: None,
                expires: secret.ends,
            },
            secret: id,
            claim: NewClaim {
                fingerprint: secret.fingerprint,
                nonce: sha256_16(fields.nonce.as_bytes()),
                message: sha256_16(&text),
                signed_at: fields.signed_at,
                keep_until: fields.signed_at.plus(self.draft.time.past).plus(KEEP_LONGER),
            },
        })
    }

    /// What templates read of a request that came.
    fn readable<'v>(fields: &Fields<'v>, view: &'v RequestView<'_>, body: BodyDigest) -> Readable<'v> {
        Readable {
            method: view.method().as_str(),
            scheme: view.scheme(),
            host: view.host(),
            target: view.target(),
            headers: view.headers(),
            body,
            key_id: fields.key_id,
            timestamp: fields.timestamp,
            nonce: fields.nonce,
        }
    }

    /// Builds the string to sign and holds the coverage rule: what is checked is what was signed.
    fn string_to_sign(&self, request: &Readable<'_>) -> Result<Vec<u8>, Refusal> {
        // The one allocation: enough for every native request with a target of usual length.
        let mut text = Vec::with_capacity(320 + request.target.len());
        let coverage = template::write(&self.draft.message, self.draft.slots(), request, &mut text)?;
        // Per request and not only once per profile: what a step cuts off is known only now.
        let checked = Parts::header(self.draft.timestamp.slot).and(Parts::header(self.draft.nonce.slot));
        let lacks = coverage.lacks(Parts::REQUIRED.without(self.draft.uncovered).and(checked));
        if lacks.is_empty() { Ok(text) } else { Err(Refusal::with(Code::SignatureCoverage, format!("not signed in full: {lacks}"))) }
    }

    fn judge_time(&self, signed_at: UnixMillis, now: UnixMillis) -> Result<(), Refusal> {
        let rule = self.draft.time;
        let (age, lead) = (now.since(signed_at), signed_at.since(now));
        let say = |code, off: Duration, allowed: Duration, way| {
            let (off, allowed) = (off.as_secs_f64(), allowed.as_secs());
            Err(Refusal::with(code, format!("the timestamp is {off} s in the {way} by our clock; {allowed} s are accepted")))
        };
        if age > rule.past {
            return say(Code::TimestampTooOld, age, rule.past, "past");
        }
        if lead > rule.future {
            return say(Code::TimestampTooNew, lead, rule.future, "future");
        }
        Ok(())
    }

    /// One field: there, once, and of its shape.
    fn field<'r>(&self, field: &Field, headers: &'r http::HeaderMap) -> Result<&'r str, Refusal> {
        let value = template::header(field.slot, &self.draft.headers, headers)?.ok_or_else(|| self.malformed(field))?;
        let shape = &field.shape;
        std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.strip_prefix(&*field.prefix))
            .filter(|text| shape.length.contains(&text.len()) && shape.allowed.hold(text.as_bytes()))
            .ok_or_else(|| self.malformed(field))
    }

    fn malformed(&self, field: &Field) -> Refusal {
        let name = self.draft.headers.get(usize::from(field.slot.0)).map_or("a header", http::HeaderName::as_str);
        Refusal::with(Code::SignatureMalformed, format!("{name} must be {}", field.shape.words))
    }

    fn mac(&self, written: &str) -> Option<Mac> {
        let mut mac = Mac([0; 64], self.draft.algorithm.length());
        match self.draft.encoding {
            MacEncoding::Hex => {
                let digit = |b: &u8| match b {
                    b'0'..=b'9' => Some(b - b'0'),
                    b'a'..=b'f' => Some(b - b'a' + 10),
                    _ => None,
                };
                let (pairs, rest) = written.as_bytes().as_chunks::<2>();
                if pairs.len() != mac.1 || !rest.is_empty() {
                    return None;
                }
                for (to, [high, low]) in mac.0.iter_mut().zip(pairs) {
                    *to = digit(high)? << 4 | digit(low)?;
                }
            }
            MacEncoding::Base64 => {
                // Room for two bytes more, because the decoder asks for room for whole groups.
                let mut room = [0; 66];
                let length = STANDARD.decode_slice(written, &mut room).ok()?;
                if length != mac.1 {
                    return None;
                }
                for (to, from) in mac.0.iter_mut().zip(room) {
                    *to = from;
                }
            }
        }
        Some(mac)
    }

    /// What of a secret is the key of the MAC.
    fn key_bytes<'s>(&self, secret: &'s SecretText) -> Result<&'s [u8], BadSecret> {
        match self.draft.key {
            KeyMaterial::Text { least } => {
                let bytes = secret.expose().as_bytes();
                // An empty secret is everybody's, whatever the profile says.
                if bytes.len() < least.max(1) { Err(BadSecret { least: least.max(1) }) } else { Ok(bytes) }
            }
        }
    }
}

impl TimeFormat {
    fn read(self, text: &str) -> Option<UnixMillis> {
        match self {
            Self::UnixSeconds => text.parse().ok().map(UnixMillis::from_seconds),
        }
    }

    fn write(self, now: UnixMillis) -> String {
        match self {
            Self::UnixSeconds => now.seconds().to_string(),
        }
    }
}

/// A signature that verifies and was not claimed yet: not good enough to let anything through.
#[derive(Debug)]
pub struct MacGood {
    identity: Identity,
    secret: SecretId,
    claim: NewClaim,
}

impl MacGood {
    /// What has to be claimed.
    pub const fn claim(&self) -> &NewClaim {
        &self.claim
    }

    /// Which of the key's secrets signed, for its last-used time.
    pub const fn secret(&self) -> &SecretId {
        &self.secret
    }

    /// Makes the proof, if the claim came first.
    pub fn finish(self, claim: Claim) -> Result<Verified<Identity>, Refusal> {
        match claim {
            Claim::First => Ok(Verified::new(self.identity)),
            Claim::Seen => Err(Code::Replayed.into()),
            Claim::Full => Err(Refusal::from(Code::TooManyNonces).after(NONCES_FREE_AFTER)),
            Claim::BeforeFence => Err(Code::SignedBeforeFence.into()),
            Claim::ClockBehind => Err(Code::ClockBehind.into()),
        }
    }
}

#[cfg(test)]
mod tests;
