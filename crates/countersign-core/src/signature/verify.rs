//! The judgement of a signature: which secret signed, whether all that must hold holds, and what is left to claim.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;

use super::bytes::Bytes;
use super::claims::claimed;
use super::coverage::Provenance;
use super::evaluate::{Context, Credential};
use super::expression::BodyUse;
use super::fields::Fields;
use super::message_signatures;
use super::profile::Profile;
use super::request::Body;
use super::rules::MacAlgorithm;
use super::secret::{LiveKey, LiveSecret};
use super::value::Data;
use crate::code::{Code, Refusal};
use crate::id::SecretId;
use crate::now::UnixMillis;
use crate::replay::{Claim, NewClaim};
use crate::rule::Kind;
use crate::secret::same_bytes;
use crate::verified::{Identity, Verified};

/// When a caller with too many live nonces should come back: a tenth of the window has made room by then.
const NONCES_FREE_AFTER: Duration = Duration::from_secs(30);

/// How many MACs one request may offer.
const MOST_CANDIDATES: usize = 16;

/// A signature whose MAC verifies and that reaches what it must.
pub(super) struct Matched<'k> {
    pub(super) secret: &'k LiveSecret,
    claim: NewClaim,
}

/// A string to sign and what it was made of.
pub(super) struct Message {
    pub(super) text: Vec<u8>,
    pub(super) from: Provenance,
}

impl<'v> Fields<'v> {
    /// Verifies a signature. `key` is what was found under [`Fields::key_id`], or what the route names; an unknown key costs the
    /// same and is refused in the same words.
    ///
    /// `now` is judged again: a body may have taken long, and a claim must not be made after the time until which it is kept.
    ///
    /// # Errors
    /// The refusal, by the first check that does not hold.
    pub fn verify(&self, body: Body<'_>, key: Option<&LiveKey>, now: UnixMillis) -> Result<MacGood, Refusal> {
        let key = key.filter(|key| key.profile == self.profile.name && self.key_id().is_none_or(|id| id == key.id.as_str()));
        let late = self.profile.has_late_fields();
        let completed;
        let whole: &Fields<'_> = if late {
            completed = self.complete(body)?;
            &completed
        } else {
            self
        };
        let secrets = key.map_or(std::slice::from_ref(&self.profile.nobody), |key| &key.secrets);
        let matched = whole.judge(body, secrets, now)?;
        let Some(key) = key else { return Err(Code::SignatureMismatch.into()) };
        let Some(id) = matched.secret.id.clone() else { return Err(Code::SignatureMismatch.into()) };
        Ok(MacGood {
            identity: Identity {
                kind: Kind::Hmac,
                principal: Arc::clone(&key.principal),
                credential: Arc::clone(&key.credential),
                scopes: Arc::clone(&key.scopes),
                session: None,
                expires: matched.secret.ends,
            },
            secret: id,
            claim: matched.claim,
        })
    }

    /// Everything but who it was. The fields are complete.
    pub(super) fn judge<'k>(&self, body: Body<'_>, secrets: &'k [LiveSecret], now: UnixMillis) -> Result<Matched<'k>, Refusal> {
        if let Some(times) = &self.times {
            times.judge(now)?;
        }
        let profile = self.profile;
        let mut context = self.context_with(body);
        context.algorithm = profile.algorithm(&context)?;
        for require in profile.requires.iter().filter(|require| !require.of_credential) {
            profile.check(&context, require)?;
        }
        let candidates = self.candidates(context.algorithm)?;
        let shared = if profile.rule.reads_secret { Vec::new() } else { self.messages(&context)? };
        let mut good = None;
        // All of them, so that the time does not tell which one signed.
        for secret in secrets {
            let own;
            let messages = if profile.rule.reads_secret {
                own = self.messages(&Context { credential: Some(secret.credential()), ..context })?;
                &own
            } else {
                &shared
            };
            let (mut from, mut inputs) = (Provenance::NONE, Vec::new());
            let key = secret.key(&context, &mut from, &mut inputs)?;
            for message in messages {
                let tag = hmac::sign(&key, &message.text);
                let same = candidates.iter().fold(false, |same, candidate| same | same_bytes(tag.as_ref(), candidate.as_slice()));
                // Nobody's secret is known to everybody.
                if same && !secret.is_nobodys && secret.ends.is_none_or(|ends| now < ends) {
                    let hash = claimed(&message.text, &inputs);
                    good = Some((secret, message.from.and(from), hash));
                }
            }
        }
        let Some((secret, from, hash)) = good else { return Err(Code::SignatureMismatch.into()) };
        let known = Context { credential: Some(secret.credential()), ..context };
        for require in profile.requires.iter().filter(|require| require.of_credential) {
            // What of the credential was wrong is not said.
            profile.check(&known, require).map_err(|_| Refusal::from(Code::SignatureMismatch))?;
        }
        let coverage = self.coverage(&context, from)?;
        let once = self.once(&context)?;
        self.hold_to_coverage(&context, coverage, once.from)?;
        let claim = self.claim(secret, hash, &once, now);
        Ok(Matched { secret, claim })
    }

    pub(super) fn context_with<'b>(&'b self, body: Body<'b>) -> Context<'b, 'b> {
        Fields::<'b>::context(self, body)
    }

    /// The MACs that the request offers, as bytes. What is not one cannot verify.
    pub(super) fn candidates(&self, algorithm: MacAlgorithm) -> Result<Vec<Bytes<'_>>, Refusal> {
        let mac = self.values.get(self.profile.mac).and_then(Option::as_ref);
        let Some(mac) = mac else { return Err(Refusal::with(Code::SignatureMalformed, "the signature is missing")) };
        let encoding = self.profile.rule.encoding;
        let decode = |written: &Bytes<'_>| {
            let bytes = match self.signature {
                // The built-in has decoded it.
                Some(_) => Some(Bytes::from_slice(written.as_slice())),
                None => encoding.decode(written.as_slice()),
            };
            bytes.filter(|bytes| bytes.as_slice().len() == algorithm.length())
        };
        let decoded: Vec<_> = match &mac.data {
            Data::One(one) => decode(one).into_iter().collect(),
            Data::Many(list) => list.iter().take(MOST_CANDIDATES).filter_map(decode).collect(),
            Data::Map(_) => Vec::new(),
        };
        if decoded.is_empty() {
            let words = format!("the signature must be {} bytes in {}", algorithm.length(), encoding.words());
            return Err(Refusal::with(Code::SignatureMalformed, words));
        }
        Ok(decoded)
    }

    /// The string to sign, and what may be signed instead.
    pub(super) fn messages(&self, context: &Context<'_, '_>) -> Result<Vec<Message>, Refusal> {
        if let Some(found) = &self.signature {
            return Ok(vec![message_signatures::message(context, found)?]);
        }
        let mut messages = Vec::with_capacity(context.profile.rule.messages.len());
        let mut first_refusal = None;
        for template in &context.profile.rule.messages {
            // Enough for every native request with a target of usual length.
            let mut text = Vec::with_capacity(320 + context.head.target.len());
            let mut from = Provenance::NONE;
            match context.write(template, &mut text, &mut from) {
                Ok(()) => messages.push(Message { text, from }),
                // One that cannot be made of this request cannot be what was signed. Another can.
                Err(refusal) if refusal.code == Code::SignatureMalformed => _ = first_refusal.get_or_insert(refusal),
                Err(refusal) => return Err(refusal),
            }
        }
        match first_refusal {
            Some(refusal) if messages.is_empty() => Err(refusal),
            _ => Ok(messages),
        }
    }

    /// A string to sign as it can be shown: without the secret, where the scheme puts it there.
    pub(super) fn shown_message(&self, context: &Context<'_, '_>, message: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        if !self.profile.rule.reads_secret {
            return Ok(message);
        }
        let hidden = Context { credential: Some(Credential { secret: b"<secret>", attributes: &[], stands_in: true }), ..*context };
        Ok(self.messages(&hidden)?.into_iter().next().map_or_else(Vec::new, |message| message.text))
    }
}

impl Profile {
    /// Whether a field or time stands in the body.
    pub(super) fn has_late_fields(&self) -> bool {
        self.fields.iter().any(|field| field.info.body != BodyUse::None)
            || self.time.as_ref().is_some_and(|time| time.body_use() != BodyUse::None)
    }

    /// The algorithm of this request: what it says, from a closed table, or what the profile says.
    pub(super) fn algorithm(&self, context: &Context<'_, '_>) -> Result<MacAlgorithm, Refusal> {
        let unknown = || Refusal::with(Code::SignatureMalformed, "the request names an algorithm that its scheme does not know");
        if let Some((expr, table)) = &self.rule.chosen
            && let Some(value) = context.read_one(expr)?
        {
            let known = table.iter().find(|(name, _)| value.eq_ignore_ascii_case(name.as_bytes()));
            return known.map(|(_, algorithm)| *algorithm).ok_or_else(unknown);
        }
        self.rule.algorithm.ok_or_else(unknown)
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
    ///
    /// # Errors
    /// The refusal for a claim that did not come first.
    pub fn finish(self, claim: Claim) -> Result<Verified<Identity>, Refusal> {
        match claim {
            Claim::First => Ok(Verified::new(self.identity)),
            Claim::Seen => Err(Code::Replayed.into()),
            Claim::Full => Err(Refusal::from(Code::TooManyNonces).after(NONCES_FREE_AFTER)),
            Claim::BeforeFence => Err(Code::SignedBeforeFence.into()),
            Claim::ClockBehind => Err(Code::ClockBehind.into()),
            Claim::CounterLost => Err(Code::CounterLost.into()),
        }
    }
}
