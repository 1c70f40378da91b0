//! Keys that sign requests, as a snapshot holds them: secrets made ready to verify with.

use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use zeroize::Zeroizing;

use super::coverage::Provenance;
use super::encoding::{self, BASE64};
use super::evaluate::{Context, Credential};
use super::expression::Template;
use super::profile::Profile;
use super::rules::{Derive, KeyRule, KeyText, MacAlgorithm};
use super::value::Data;
use crate::code::{Code, Refusal};
use crate::id::{KeyId, ProfileName, SecretId};
use crate::now::UnixMillis;
use crate::principal::{Principal, Scopes};
use crate::replay::Fingerprint;
use crate::secret::{SecretText, push_hex};

/// A key that signs requests, as a snapshot holds it. Disabled keys and keys of disabled clients are not made into one.
#[derive(Debug)]
pub struct LiveKey {
    pub(super) id: KeyId,
    pub(super) credential: Arc<str>,
    pub(super) principal: Arc<Principal>,
    pub(super) scopes: Arc<Scopes>,
    pub(super) profile: ProfileName,
    pub(super) secrets: Vec<LiveSecret>,
    diagnose_until: Option<UnixMillis>,
}

impl LiveKey {
    /// The key of `principal`, for `profile` only.
    pub fn new(id: KeyId, principal: Arc<Principal>, scopes: Arc<Scopes>, profile: ProfileName, secrets: Vec<LiveSecret>) -> Self {
        Self { credential: id.as_str().into(), id, principal, scopes, profile, secrets, diagnose_until: None }
    }

    /// The same, and until `until` refusals of its signatures say what was done wrong.
    #[must_use]
    pub const fn diagnosed(mut self, until: Option<UnixMillis>) -> Self {
        self.diagnose_until = until;
        self
    }

    /// Whether refusals of its signatures say what was done wrong.
    pub fn is_diagnosed(&self, now: UnixMillis) -> bool {
        self.diagnose_until.is_some_and(|until| now < until)
    }

    /// Its secrets.
    pub fn secrets(&self) -> &[LiveSecret] {
        &self.secrets
    }

    /// Whose it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What requests name it by.
    pub const fn id(&self) -> &KeyId {
        &self.id
    }

    /// The scheme that it signs in.
    pub const fn profile(&self) -> &ProfileName {
        &self.profile
    }
}

/// One secret of a key, made ready to verify with. The secret itself cannot be read from it.
pub struct LiveSecret {
    pub(super) id: Option<SecretId>,
    text: Zeroizing<Vec<u8>>,
    attributes: Vec<Attribute>,
    /// One for each algorithm that the scheme knows, when the key depends on the secret alone.
    keys: Vec<(MacAlgorithm, hmac::Key)>,
    pub(super) fingerprint: Fingerprint,
    pub(super) ends: Option<UnixMillis>,
    pub(super) is_nobodys: bool,
}

/// A secret cannot be used with a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// Too short.
    #[error("the secret is shorter than the {0} bytes that its profile asks for")]
    Short(usize),
    /// Not the text that the profile makes a key of.
    #[error("the secret is not in the form that its profile asks for (base64, for instance)")]
    Form,
    /// Not the JSON that a profile with attributes asks for.
    #[error("the secret must be its text, or JSON with \"secret\" and these members only: {0}")]
    Attributes(String),
}

impl LiveSecret {
    /// Makes a secret ready for a profile.
    ///
    /// # Errors
    /// The secret is shorter than the profile asks for, or not in its form.
    pub fn new(profile: &Profile, id: SecretId, secret: &SecretText, ends: Option<UnixMillis>) -> Result<Self, BadSecret> {
        Self::make(profile, Some(id), secret, ends, profile.key.least)
    }

    /// The same for tools, which sign with or judge secrets that open nothing here: any length will do.
    ///
    /// # Errors
    /// The secret is empty, or not in the form that the profile asks for.
    pub fn of_any_length(profile: &Profile, secret: &SecretText) -> Result<Self, BadSecret> {
        Self::make(profile, None, secret, None, 1)
    }

    fn make(
        profile: &Profile,
        id: Option<SecretId>,
        secret: &SecretText,
        ends: Option<UnixMillis>,
        least: usize,
    ) -> Result<Self, BadSecret> {
        let (text, attributes) = read(&profile.key, secret.expose())?;
        // An empty secret is everybody's, whatever the profile says.
        let least = least.max(1);
        let mut live = Self { id, text, attributes, keys: Vec::new(), fingerprint: Fingerprint([0; 16]), ends, is_nobodys: false };
        let Some(material) = live.static_material(profile)? else {
            if live.text.len() < least {
                return Err(BadSecret::Short(least));
            }
            live.fingerprint = fingerprint(&live.text);
            return Ok(live);
        };
        if material.len() < least {
            return Err(BadSecret::Short(least));
        }
        live.fingerprint = fingerprint(&material);
        if profile.key.derive.is_empty() {
            live.keys = algorithms(profile).map(|algorithm| (algorithm, hmac::Key::new(algorithm.hmac(), &material))).collect();
        }
        Ok(live)
    }

    /// Nobody's secret: work for requests that name an unknown key. What verifies with it is refused.
    pub(super) fn nobody() -> Self {
        // Base64, hexadecimal and text at once, so that every scheme can make a key of it.
        let text = Zeroizing::new(b"00000000000000000000000000000000".to_vec());
        Self { id: None, text, attributes: Vec::new(), keys: Vec::new(), fingerprint: Fingerprint([0; 16]), ends: None, is_nobodys: true }
    }

    /// Under what its claims are kept.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The key's bytes, when they depend on the secret alone.
    fn static_material(&self, profile: &Profile) -> Result<Option<Zeroizing<Vec<u8>>>, BadSecret> {
        if !profile.key.is_static {
            return Ok(None);
        }
        let mut material = Zeroizing::new(Vec::with_capacity(128));
        let written = self.write_static(profile, &profile.key.material, &mut material);
        written.map_err(|_absent| BadSecret::Form)?;
        Ok(Some(material))
    }

    fn write_static(&self, profile: &Profile, template: &Template, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let headers = http::HeaderMap::new();
        let head = super::request::Head { method: "", scheme: crate::request_view::Scheme::Http, host: "", target: "", headers: &headers };
        let context = Context {
            profile,
            head,
            body: super::request::Body::Empty,
            fields: &[],
            credential: Some(self.credential()),
            signing: None,
            algorithm: MacAlgorithm::HmacSha256,
            item: None,
        };
        context.write(template, out, &mut Provenance::default())
    }

    /// The text of the secret, for those who explain a refusal: never to be shown.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The same secret with another text, not made ready: its keys are made anew for each request. Nothing is claimed with it.
    pub(super) fn with_text(&self, text: Zeroizing<Vec<u8>>) -> Self {
        Self {
            id: None,
            text,
            attributes: self.attributes.clone(),
            keys: Vec::new(),
            fingerprint: Fingerprint([0; 16]),
            ends: self.ends,
            is_nobodys: false,
        }
    }

    /// The same secret without one attribute, if it has that.
    pub(super) fn without_attribute(&self, index: usize) -> Option<Self> {
        let mut other = self.with_text(self.text.clone());
        other.attributes.get_mut(index)?.0.take()?;
        Some(other)
    }

    pub(super) fn credential(&self) -> Credential<'_> {
        Credential { secret: &self.text, attributes: &self.attributes, stands_in: self.is_nobodys }
    }

    /// The key of the MAC for this request. `from` learns what of the request went into it, `inputs` the texts.
    pub(super) fn key(&self, context: &Context<'_, '_>, from: &mut Provenance, inputs: &mut Vec<u8>) -> Result<MadeKey<'_>, Refusal> {
        if let Some((_, key)) = self.keys.iter().find(|(algorithm, _)| *algorithm == context.algorithm) {
            return Ok(MadeKey::Ready(key));
        }
        let rule = &context.profile.key;
        let context = Context { credential: Some(self.credential()), ..*context };
        let mut material = Zeroizing::new(Vec::with_capacity(128));
        // Signs nothing: a key is padded, so other texts make the same key.
        context.write(&rule.material, &mut material, &mut Provenance::default())?;
        let algorithm = context.algorithm.hmac();
        let mut key = hmac::Key::new(algorithm, &material);
        for derive in &rule.derive {
            match derive {
                Derive::Text(template) => {
                    let start = inputs.len();
                    context.write(template, inputs, from)?;
                    let tag = hmac::sign(&key, inputs.get(start..).unwrap_or_default());
                    inputs.push(0);
                    key = derived(algorithm, tag.as_ref(), rule.derived_as);
                }
                Derive::Each(expr) => {
                    let value = context.read(expr)?.ok_or_else(|| context.profile.absent(expr))?;
                    *from = from.and(value.from);
                    let Data::Many(list) = value.data else { return Err(Code::CouldNotDecide.into()) };
                    for text in list {
                        inputs.extend_from_slice(text.as_slice());
                        inputs.push(0);
                        key = derived(algorithm, hmac::sign(&key, text.as_slice()).as_ref(), rule.derived_as);
                    }
                }
            }
        }
        Ok(MadeKey::Derived(Box::new(key)))
    }
}

/// The key of a MAC. Boxed where it was derived: it takes over a kilobyte, which every request would move.
pub(super) enum MadeKey<'k> {
    Ready(&'k hmac::Key),
    Derived(Box<hmac::Key>),
}

impl std::ops::Deref for MadeKey<'_> {
    type Target = hmac::Key;

    fn deref(&self) -> &hmac::Key {
        match self {
            Self::Ready(key) => key,
            Self::Derived(key) => key,
        }
    }
}

fn derived(algorithm: hmac::Algorithm, tag: &[u8], written: KeyText) -> hmac::Key {
    match written {
        KeyText::Bytes => hmac::Key::new(algorithm, tag),
        KeyText::Hex => {
            let mut text = Zeroizing::new(String::with_capacity(128));
            push_hex(&mut text, tag);
            hmac::Key::new(algorithm, text.as_bytes())
        }
        KeyText::Base64 => hmac::Key::new(algorithm, encoding::base64(&BASE64, tag).as_slice()),
    }
}

/// Every algorithm that the scheme knows.
fn algorithms(profile: &Profile) -> impl Iterator<Item = MacAlgorithm> {
    let rule = &profile.rule;
    MacAlgorithm::ALL.into_iter().map(|(algorithm, _)| algorithm).filter(move |algorithm| {
        rule.algorithm == Some(*algorithm) || rule.chosen.iter().any(|(_, table)| table.iter().any(|(_, known)| known == algorithm))
    })
}

/// A further part of a credential, if it has one. As secret as the rest, so it cannot be printed.
#[derive(Clone)]
pub(super) struct Attribute(Option<Zeroizing<Vec<u8>>>);

impl Attribute {
    /// Its bytes. Every caller is a place where the secret could leak: keep them few.
    pub(super) fn expose(&self) -> Option<&[u8]> {
        self.0.as_ref().map(|bytes| bytes.as_slice())
    }
}

type ReadSecret = (Zeroizing<Vec<u8>>, Vec<Attribute>);

/// The text of a secret and its attributes. A profile with attributes takes JSON, too.
fn read(rule: &KeyRule, text: &str) -> Result<ReadSecret, BadSecret> {
    let plain = || Zeroizing::new(text.as_bytes().to_vec());
    if rule.attributes.is_empty() || !text.trim_start().starts_with('{') {
        return Ok((plain(), rule.attributes.iter().map(|_| Attribute(None)).collect()));
    }
    let wrong = || BadSecret::Attributes(rule.attributes.join(", "));
    let mut members: std::collections::BTreeMap<String, String> = serde_json::from_str(text).map_err(|_| wrong())?;
    if members.keys().any(|name| name != "secret" && !rule.attributes.contains(name)) {
        return Err(wrong());
    }
    // Moved and not copied, so that every copy is wiped.
    let mut take = |name: &str| members.remove(name).map(|value| Zeroizing::new(value.into_bytes()));
    let secret = take("secret").ok_or_else(wrong)?;
    Ok((secret, rule.attributes.iter().map(|name| Attribute(take(name))).collect()))
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
    Fingerprint(context.finish().as_ref().first_chunk().copied().unwrap_or_default())
}
