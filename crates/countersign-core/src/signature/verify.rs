//! The judgement of a signature: what must hold beside the MAC, the MAC, and the coverage rule.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{digest, hmac};

use super::bytes::Bytes;
use super::coverage::{Coverage, Parts, Provenance, Slot};
use super::encoding::{self, BASE64, BASE64_URL};
use super::evaluate::{Context, Credential, Data, Value};
use super::expression::{BodyUse, Expr};
use super::fields::Fields;
use super::message_signatures;
use super::profile::{MacAlgorithm, MacEncoding, Profile, Require, Requirement};
use super::request::Body;
use super::secret::{LiveKey, LiveSecret};
use super::slots::SlotSource;
use super::times::{Times, plain_number};
use crate::code::{Code, Refusal};
use crate::id::SecretId;
use crate::now::UnixMillis;
use crate::replay::{Claim, NewClaim};
use crate::rule::Kind;
use crate::secret::same_bytes;
use crate::verified::{Identity, Verified};

/// How much longer than the time window a claim is kept, in case our clock is set back a little.
pub(super) const KEEP_LONGER: Duration = Duration::from_secs(60);

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

    /// What a slot is a part of: signed with it, it is signed too.
    pub(super) fn parent(&self, slot: Slot) -> Option<Parts> {
        match self.profile.slots.get(slot)? {
            SlotSource::Header(_) => None,
            SlotSource::Query(_) => Some(Parts::QUERY),
            SlotSource::Form(_) => Some(Parts::BODY),
            SlotSource::Field(index) => {
                let from = self.values.get(*index)?.as_ref()?.from.direct;
                Some(from).filter(|from| !from.is_empty())
            }
            SlotSource::Member(index, _) => Some(self.profile.field_slot(*index)),
        }
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
        let hidden = Context { credential: Some(Credential { secret: b"<secret>", attributes: &[] }), ..*context };
        Ok(self.messages(&hidden)?.into_iter().next().map_or_else(Vec::new, |message| message.text))
    }

    /// What the MAC reached, with what is equal to what it reached.
    pub(super) fn coverage(&self, context: &Context<'_, '_>, mut from: Provenance) -> Result<Coverage, Refusal> {
        // A parameter that was left out as the MAC, and is more than the MAC.
        if !from.whole.contains(context.profile.beside_mac) {
            from.partly = from.partly.and(Parts::QUERY);
            from.whole = from.whole.without(Parts::QUERY);
        }
        let mut coverage = Coverage::default();
        coverage.add(from);
        // Twice, so that one equality can lean on another.
        for _ in 0..2 {
            for require in &context.profile.requires {
                extend(context, require, self, &mut coverage)?;
            }
        }
        Ok(coverage)
    }

    /// The coverage rule: what is checked is what was signed.
    fn hold_to_coverage(&self, context: &Context<'_, '_>, coverage: Coverage, once: Parts) -> Result<(), Refusal> {
        let mut needed = Parts::METHOD.and(Parts::PATH).and(Parts::HOST);
        if context.head.query().is_some() {
            needed = needed.and(Parts::QUERY);
        }
        if context.body.is_there() {
            needed = needed.and(Parts::BODY);
        }
        let times = self.times.map_or(Parts::NONE, |times| times.from.direct);
        // Never to be left uncovered: what a check trusts.
        let needed = needed.without(context.profile.uncovered).and(times).and(once);
        let lacks = coverage.lacks(needed, &|slot| self.parent(slot));
        if lacks.is_empty() {
            return Ok(());
        }
        let mut words = format!("not signed in full: {}", context.profile.parts_words(lacks));
        if context.profile.builtin.is_some() && lacks.contains(Parts::QUERY) && context.head.query() == Some("") {
            words.push_str(message_signatures::EMPTY_QUERY_REMEDY);
        }
        Err(Refusal::with(Code::SignatureCoverage, words))
    }

    fn once(&self, context: &Context<'_, '_>) -> Result<Once, Refusal> {
        let rule = &context.profile.replay;
        let mut once = Once { from: Parts::NONE, values: Vec::new(), counter: None };
        let mut shown = false;
        for expr in &rule.once {
            let value;
            let (bytes, from) = match context.at_hand(expr) {
                Some(at_hand) => at_hand,
                None => {
                    value = context.read(expr)?;
                    let Some(value) = &value else {
                        once.values.extend_from_slice(&0u64.to_le_bytes());
                        continue;
                    };
                    (value.bytes(), value.from)
                }
            };
            shown = true;
            once.values.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            once.values.extend_from_slice(bytes);
            once.from = once.from.and(from.direct);
        }
        if !shown {
            // Nothing to claim beside the hash of what was signed.
            once.values.clear();
        }
        if let Some(expr) = &rule.counter {
            let value = context.read(expr)?.ok_or_else(|| context.profile.absent(expr))?;
            let number = plain_number(value.bytes());
            once.counter = Some(number.ok_or_else(|| Refusal::with(Code::SignatureMalformed, "the counter is not a plain number"))?);
            once.from = once.from.and(value.from.direct);
        }
        Ok(once)
    }

    fn claim(&self, secret: &LiveSecret, hash: [u8; 32], once: &Once, now: UnixMillis) -> NewClaim {
        let (message, rest) = halves(&hash);
        let nonce = if once.values.is_empty() { rest } else { halves(&sha256(&once.values)).0 };
        let (signed_at, good_until) = match &self.times {
            Some(Times { signed_at, good_until, .. }) => (*signed_at, *good_until),
            None => (now, now.plus(self.profile.replay.keep)),
        };
        let mut keep_until = good_until.plus(KEEP_LONGER);
        if once.counter.is_some() {
            // The counter holds without end what the claim holds for a while.
            keep_until = keep_until.min(now.plus(self.profile.tier.reach()));
        }
        NewClaim { fingerprint: secret.fingerprint, nonce, message, signed_at, keep_until, tier: self.profile.tier, counter: once.counter }
    }
}

/// What is claimed beside the hash of what was signed.
struct Once {
    from: Parts,
    values: Vec<u8>,
    counter: Option<u64>,
}

impl MacEncoding {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Hex => "hexadecimal",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Base64OfHex => "base64 of hexadecimal",
        }
    }

    pub(super) fn encode(self, mac: &[u8]) -> String {
        let written = match self {
            Self::Hex => encoding::hex(mac),
            Self::Base64 => encoding::base64(&BASE64, mac),
            Self::Base64Url => encoding::base64(&BASE64_URL, mac),
            Self::Base64OfHex => encoding::base64(&BASE64, encoding::hex(mac).as_slice()),
        };
        String::from_utf8_lossy(written.as_slice()).into_owned()
    }

    pub(super) fn decode<'v>(self, written: &[u8]) -> Option<Bytes<'v>> {
        match self {
            Self::Hex => encoding::unhex(written),
            Self::Base64 => encoding::unbase64(&BASE64, written),
            Self::Base64Url => encoding::unbase64(&BASE64_URL, written),
            Self::Base64OfHex => encoding::unhex(encoding::unbase64(&BASE64, written)?.as_slice()),
        }
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

    /// Checks one requirement.
    pub(super) fn check(&self, context: &Context<'_, '_>, require: &Require) -> Result<(), Refusal> {
        if !context.applies(require)? {
            return Ok(());
        }
        let holds = match &require.what {
            Requirement::Present(expr) => context.provenance_of(expr)?.is_some(),
            Requirement::Absent(expr) => context.provenance_of(expr)?.is_none(),
            Requirement::Equal(a, b) => match (context.read_one(a)?, context.read_one(b)?) {
                (Some(a), Some(b)) => same_bytes(&a, &b),
                _ => false,
            },
            Requirement::OneOf(expr, known) => context.read_one(expr)?.is_some_and(|value| known.iter().any(|known| **known == *value)),
            Requirement::Includes(list, groups) => {
                let listed = context.read_list(list)?;
                let has = |name: &str| listed.iter().any(|one| one.eq_ignore_ascii_case(name.as_bytes()));
                groups.iter().all(|group| group.iter().any(|name| has(name)))
            }
        };
        if holds { Ok(()) } else { Err(Refusal::with(Code::SignatureMalformed, require.mistake.to_string())) }
    }
}

/// What one side of an equality covers, the other covers: its value is pinned.
fn extend(context: &Context<'_, '_>, require: &Require, fields: &Fields<'_>, coverage: &mut Coverage) -> Result<(), Refusal> {
    if require.of_credential || !matches!(require.what, Requirement::Equal(..) | Requirement::OneOf(..)) || !context.applies(require)? {
        return Ok(());
    }
    let parent = |slot| fields.parent(slot);
    // Where it need not hold once somebody adds or takes away what the condition reads, nothing is pinned.
    let deciding = require.condition.as_ref().map_or(Parts::NONE, |(condition, _)| context.profile.deciding(condition));
    if !coverage.lacks(deciding, &parent).is_empty() {
        return Ok(());
    }
    match &require.what {
        Requirement::Equal(a, b) => {
            let (Some(a), Some(b)) = (context.provenance_of(a)?, context.provenance_of(b)?) else { return Ok(()) };
            if coverage.lacks(a.direct, &parent).is_empty() {
                coverage.add(b);
            }
            if coverage.lacks(b.direct, &parent).is_empty() {
                coverage.add(a);
            }
        }
        Requirement::OneOf(expr, known) if known.len() == 1 => {
            if let Some(from) = context.provenance_of(expr)? {
                coverage.add(from);
            }
        }
        _ => {}
    }
    Ok(())
}

impl Context<'_, '_> {
    fn applies(&self, require: &Require) -> Result<bool, Refusal> {
        match &require.condition {
            Some((expr, holds)) => {
                let context: Context<'_, '_> = *self;
                Ok(context.holds(expr)? == *holds)
            }
            None => Ok(true),
        }
    }

    /// The bytes of one value, which is the kind that is compared.
    fn read_one(&self, expr: &Expr) -> Result<Option<Vec<u8>>, Refusal> {
        let context: Context<'_, '_> = *self;
        Ok(context.read(expr)?.map(|value| value.bytes().to_vec()))
    }

    pub(super) fn read_list(&self, expr: &Expr) -> Result<Vec<Vec<u8>>, Refusal> {
        let context: Context<'_, '_> = *self;
        Ok(match context.read(expr)?.map(|value| value.data) {
            Some(Data::Many(list)) => list.iter().map(|bytes| bytes.as_slice().to_vec()).collect(),
            Some(Data::One(one)) => vec![one.as_slice().to_vec()],
            _ => Vec::new(),
        })
    }

    fn provenance_of(&self, expr: &Expr) -> Result<Option<Provenance>, Refusal> {
        let context: Context<'_, '_> = *self;
        Ok(context.read(expr)?.map(|value: Value<'_>| value.from))
    }
}

/// The hash of everything that the MAC reached: the string to sign, and what the key was derived from.
fn claimed(text: &[u8], inputs: &[u8]) -> [u8; 32] {
    if inputs.is_empty() {
        return sha256(text);
    }
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&(inputs.len() as u64).to_le_bytes());
    context.update(inputs);
    context.update(text);
    context.finish().as_ref().try_into().unwrap_or_default()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().unwrap_or_default()
}

fn halves(hash: &[u8; 32]) -> ([u8; 16], [u8; 16]) {
    let (halves, _) = hash.as_chunks::<16>();
    match halves {
        [first, second] => (*first, *second),
        _ => ([0; 16], [0; 16]),
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
