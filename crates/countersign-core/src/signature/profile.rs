//! A signature scheme as data, in the form that requests are checked with. One interpreter runs them all; [`super::load`] reads
//! a profile from its file and holds it to the checks that it must pass before any request comes.

use std::time::Duration;

use super::collection::Collection;
use super::coverage::{Parts, Slot};
use super::expression::{BodyUse, Expr, Source, Template};
use super::message_signatures;
use super::request::Head;
use super::rules::{Field, KeyRule, MacAlgorithm, MacRule, ReplayRule, Require, Requirement, SignStep, TimeRule};
use super::secret::LiveSecret;
use super::slots::{SlotSource, Slots};
use crate::code::{Code, Refusal};
use crate::id::ProfileName;
use crate::now::UnixMillis;
use crate::replay::Tier;

/// A signature scheme that passed its checks.
pub struct Profile {
    pub(super) name: ProfileName,
    pub(super) title: Box<str>,
    pub(super) source: Box<str>,
    pub(super) detect: Vec<Expr>,
    pub(super) slots: Slots,
    pub(super) fields: Vec<Field>,
    pub(super) key_id: Option<usize>,
    pub(super) mac: usize,
    pub(super) collections: Vec<Collection>,
    pub(super) lets: Vec<Template>,
    pub(super) let_names: Vec<Box<str>>,
    pub(super) key: KeyRule,
    pub(super) rule: MacRule,
    pub(super) requires: Vec<Require>,
    pub(super) time: Option<TimeRule>,
    pub(super) replay: ReplayRule,
    pub(super) uncovered: Parts,
    pub(super) sign: Vec<SignStep>,
    pub(super) builtin: Option<message_signatures::Rule>,
    /// What stands in the query parameter of the MAC beside it, when a collection leaves that parameter out: signed by itself, or
    /// the query is not signed.
    pub(super) beside_mac: Parts,
    /// What of the body must be at hand to verify.
    pub(super) body: BodyUse,
    /// Where its claims are kept.
    pub(super) tier: Tier,
    /// Verified against when the key is unknown, so that an unknown key costs what a known one costs.
    pub(super) nobody: LiveSecret,
}

/// The fields of HTTP Message Signatures (RFC 9421 section 4).
static SIGNATURE_FIELDS: [http::HeaderName; 2] =
    [http::HeaderName::from_static("signature-input"), http::HeaderName::from_static("signature")];

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Profile {
    /// A copy to change and to try: what verifies with it proves nothing. It detects nothing and does not sign.
    pub(super) fn copy(&self) -> Self {
        Self {
            name: self.name.clone(),
            title: Box::default(),
            source: Box::default(),
            detect: Vec::new(),
            slots: self.slots.clone(),
            fields: self.fields.clone(),
            key_id: self.key_id,
            mac: self.mac,
            collections: self.collections.clone(),
            lets: self.lets.clone(),
            let_names: self.let_names.clone(),
            key: self.key.clone(),
            rule: self.rule.clone(),
            requires: self.requires.clone(),
            time: self.time.clone(),
            replay: self.replay.clone(),
            uncovered: self.uncovered,
            sign: Vec::new(),
            builtin: self.builtin.clone(),
            beside_mac: self.beside_mac,
            body: self.body,
            tier: self.tier,
            nobody: LiveSecret::nobody(),
        }
    }

    /// What rules call it.
    pub const fn name(&self) -> &ProfileName {
        &self.name
    }

    /// What it is, in a few words.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Where the scheme is specified.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What its signatures do not reach.
    pub const fn uncovered(&self) -> Parts {
        self.uncovered
    }

    /// What of the body must be at hand to verify.
    pub const fn body_use(&self) -> BodyUse {
        self.body
    }

    /// Whether requests name their key. If not, the route does.
    pub const fn names_key(&self) -> bool {
        self.key_id.is_some()
    }

    /// The names of the further parts that a credential may have.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.key.attributes.iter().map(String::as_str)
    }

    /// What to send as `Accept-Signature` (RFC 9421 section 5.1), for the scheme that has it: what a request like this one
    /// should have been signed with.
    pub fn accept_signature(&self, head: &Head<'_>, has_body: bool) -> Option<String> {
        // The one algorithm here that RFC 9421 has a name for.
        let alg = (self.rule.algorithm == Some(MacAlgorithm::HmacSha256)).then_some("hmac-sha256");
        self.builtin.as_ref()?.accept_signature(head, has_body, alg)
    }

    /// Whether requests can be signed with it.
    pub fn can_sign(&self) -> bool {
        !self.sign.is_empty() || self.builtin.is_some()
    }

    /// The longest time for which a claim of this scheme has to be kept.
    pub fn longest_keep(&self) -> Duration {
        match &self.time {
            None => self.replay.keep,
            Some(time) => {
                let window = time.window.as_ref().map_or(time.past, |window| window.most.max(time.past));
                let at = if time.at.is_some() { window.saturating_add(time.future) } else { Duration::ZERO };
                let end = if time.at.is_none() { time.ahead_most } else { Duration::ZERO };
                at.max(end)
            }
        }
    }

    /// How far ahead of our clock a signature may be.
    pub fn future(&self) -> Duration {
        self.time.as_ref().filter(|time| time.at.is_some()).map_or(Duration::ZERO, |time| time.future)
    }

    /// Whether its signatures have a time.
    pub const fn is_timed(&self) -> bool {
        self.time.is_some()
    }

    /// Whether its requests have a number that must grow.
    pub const fn has_counter(&self) -> bool {
        self.replay.counter.is_some()
    }

    /// How long its claims are kept, and where, and what says so: what was claimed under other terms is not found by them.
    pub fn claim_terms(&self) -> String {
        let seconds = |of: &dyn Fn(&TimeRule) -> Duration| self.time.as_ref().map_or(0, |time| of(time).as_secs());
        let window = seconds(&|time| time.window.as_ref().map_or(Duration::ZERO, |window| window.most));
        let read = |expr: Option<&Expr>| expr.map_or_else(|| "-".to_owned(), |expr| self.parts_words(self.roots(expr.info.reads, 8)));
        let time = self.time.as_ref();
        format!(
            "{:?} past {} future {} window {window} ahead {}, at {}, expires {}, window by {}, counter {}, keep {}",
            self.tier,
            seconds(&|time| time.past),
            seconds(&|time| time.future),
            seconds(&|time| time.ahead_most),
            read(time.and_then(|time| time.at.as_ref())),
            read(time.and_then(|time| time.expires.as_ref())),
            read(time.and_then(|time| Some(&time.window.as_ref()?.from))),
            read(self.replay.counter.as_ref()),
            self.replay.keep.as_secs(),
        )
    }

    /// The headers that carry the signature and name the key: consumed here, not passed on.
    pub fn credential_headers(&self) -> impl Iterator<Item = &http::HeaderName> {
        let of = |index: usize| self.roots(self.field_slot(index), 8);
        let reads = of(self.mac).and(self.key_id.map_or(Parts::NONE, of)).and(self.roots(self.secret_parts(), 8));
        let named = self.slots.iter().filter_map(move |(slot, source)| match source {
            SlotSource::Header(name) if reads.contains(Parts::slot(slot)) => Some(name),
            _ => None,
        });
        named.chain(self.builtin.iter().flat_map(|_| &SIGNATURE_FIELDS))
    }

    /// The name of the field that holds its MACs.
    pub fn mac_field(&self) -> &str {
        self.fields.get(self.mac).map_or("", |field| &field.name)
    }

    /// Whether its MACs are read from a field, or a member of one, that a trace shows by this name: `mac`, `auth.signature`.
    pub fn reads_mac_from(&self, shown: &str) -> bool {
        let shown = shown.strip_suffix("[]").unwrap_or(shown);
        let reads = self.roots(self.field_slot(self.mac), 8);
        let rest = |index: usize| shown.strip_prefix(&*self.fields.get(index)?.name);
        self.slots.iter().filter(|(slot, _)| reads.contains(Parts::slot(*slot))).any(|(_, source)| match source {
            SlotSource::Field(index) => rest(*index).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
            SlotSource::Member(index, name) => {
                rest(*index).and_then(|rest| rest.strip_prefix('.')).is_some_and(|member| member.eq_ignore_ascii_case(name))
            }
            _ => false,
        })
    }

    /// The query parameters that its MAC is read from: with them a request is a credential.
    pub fn mac_parameters(&self) -> impl Iterator<Item = &str> {
        let reads = self.roots(self.field_slot(self.mac), 8);
        self.slots.iter().filter_map(move |(slot, source)| match source {
            SlotSource::Query(name) if reads.contains(Parts::slot(slot)) => Some(&**name),
            _ => None,
        })
    }

    /// The schemes of Authorization (RFC 9110 section 11.1) in which its signatures stand.
    pub fn authorization_schemes(&self) -> impl Iterator<Item = &str> {
        super::detect::authorization_schemes(self)
    }

    /// What is compared with an attribute of the credential, and so is a part of it: a passphrase.
    pub(super) fn secret_parts(&self) -> Parts {
        let compared = self.requires.iter().filter(|require| require.of_credential);
        compared.fold(Parts::NONE, |parts, require| match &require.what {
            Requirement::Equal(a, b) => parts.and(self.direct(&a.source)).and(self.direct(&b.source)),
            _ => parts,
        })
    }

    /// Whether a request could show this scheme and the other one with the same header or parameter: then nobody could tell
    /// which of them was meant.
    pub fn detection_overlaps(&self, other: &Self) -> bool {
        super::detect::overlap(self, other)
    }

    /// What a slot is called, for people.
    pub(super) fn slot_words(&self, slot: Slot) -> String {
        let field = |index: usize| self.fields.get(index).map_or_else(String::new, |field| field.name.to_string());
        self.slots.get(slot).map_or_else(String::new, |source| source.words(field))
    }

    /// The names of a set, for people.
    pub(super) fn parts_words(&self, parts: Parts) -> String {
        let names = parts.names().chain(parts.other_names()).map(str::to_owned).chain(parts.slots().map(|slot| self.slot_words(slot)));
        names.collect::<Vec<_>>().join(", ")
    }

    /// The refusal for a value that has to be there and is not.
    pub(super) fn absent(&self, expr: &Expr) -> Refusal {
        let words = match &expr.source {
            Source::Query => "the query".to_owned(),
            Source::Body => "the body".to_owned(),
            source => self.parts_words(self.direct(source)),
        };
        Refusal::with(Code::SignatureMalformed, format!("{words} is missing or not in the form of the scheme {}", self.name))
    }

    /// Reads a time of this scheme.
    pub(super) fn read_time(&self, text: &[u8]) -> Option<UnixMillis> {
        self.time.as_ref()?.formats.iter().find_map(|format| format.read(text))
    }
}
