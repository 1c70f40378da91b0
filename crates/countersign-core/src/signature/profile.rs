//! A signature scheme as data, in the form that requests are checked with. One interpreter runs them all; [`super::load`] reads
//! a profile from its file and holds it to the checks that it must pass before any request comes.

use std::time::Duration;

use aws_lc_rs::hmac;

use super::collect::Collection;
use super::coverage::{Parts, Slot};
use super::expression::{BodyUse, Expr, Info, Piece, Source, Step, Template};
use super::hash::Hash;
use super::message_signatures;
use super::request::Head;
use super::secret::LiveSecret;
use super::shape::Shape;
use super::slots::{SlotSource, Slots};
use super::time_format::TimeFormat;
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

/// A field of a signature.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: Box<str>,
    pub(super) from: FieldSource,
    pub(super) shape: Option<Shape>,
    pub(super) optional: bool,
    pub(super) info: Info,
    pub(super) slot: Slot,
}

/// Where a field comes from.
#[derive(Debug, Clone)]
pub(super) enum FieldSource {
    Expr(Expr),
    /// A parameter of the signature that the built-in found.
    Builtin(message_signatures::Param),
}

/// How the key of the MAC is made of the secret.
#[derive(Debug, Clone)]
pub(super) struct KeyRule {
    pub(super) material: Template,
    pub(super) derive: Vec<Derive>,
    pub(super) derived_as: KeyText,
    /// The fewest bytes of a secret.
    pub(super) least: usize,
    pub(super) attributes: Vec<String>,
    /// Whether the key depends on the secret alone, and is made once.
    pub(super) is_static: bool,
}

/// One step of a chain: the key becomes the MAC of this text.
#[derive(Debug, Clone)]
pub(super) enum Derive {
    Text(Template),
    Each(Expr),
}

/// How a derived key is used as a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyText {
    Bytes,
    Hex,
    Base64,
}

/// How the MAC is computed and written.
#[derive(Debug, Clone)]
pub(super) struct MacRule {
    /// What counts when the request says nothing.
    pub(super) algorithm: Option<MacAlgorithm>,
    /// What the request may say, from a closed table.
    pub(super) chosen: Option<(Expr, Vec<NamedAlgorithm>)>,
    pub(super) encoding: MacEncoding,
    /// The string to sign, and what may be signed instead.
    pub(super) messages: Vec<Template>,
    /// Whether a message reads the secret.
    pub(super) reads_secret: bool,
    pub(super) undelimited: bool,
}

/// What a request calls an algorithm.
pub(super) type NamedAlgorithm = (Box<str>, MacAlgorithm);

/// How the MAC is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MacEncoding {
    Hex,
    Base64,
    Base64Url,
    /// Base64 of the hexadecimal text.
    Base64OfHex,
}

/// How the MAC is computed. A closed set: a request never chooses outside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacAlgorithm {
    /// HMAC with SHA-1 (RFC 2104): still sound as a MAC, and what many older schemes ask for.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

impl MacAlgorithm {
    /// Every algorithm, with its name in profiles.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::HmacSha1, "hmac-sha1"),
        (Self::HmacSha256, "hmac-sha256"),
        (Self::HmacSha384, "hmac-sha384"),
        (Self::HmacSha512, "hmac-sha512"),
    ];

    pub(super) fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::HmacSha256 => hmac::HMAC_SHA256,
            Self::HmacSha384 => hmac::HMAC_SHA384,
            Self::HmacSha512 => hmac::HMAC_SHA512,
        }
    }

    pub(super) const fn hash(self) -> Hash {
        match self {
            Self::HmacSha1 => Hash::Sha1,
            Self::HmacSha256 => Hash::Sha256,
            Self::HmacSha384 => Hash::Sha384,
            Self::HmacSha512 => Hash::Sha512,
        }
    }

    /// Bytes of the MAC.
    pub const fn length(self) -> usize {
        match self {
            Self::HmacSha1 => 20,
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }
}

/// What a request must hold beside its MAC.
#[derive(Debug, Clone)]
pub(super) struct Require {
    /// Only if this is there, or is not.
    pub(super) condition: Option<(Expr, bool)>,
    pub(super) what: Requirement,
    pub(super) mistake: Box<str>,
    /// Whether it reads the credential: then it is checked once the MAC says which one that is.
    pub(super) of_credential: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Requirement {
    Equal(Expr, Expr),
    /// A list must hold one of each group, in any case.
    Includes(Expr, Vec<Vec<Box<str>>>),
    OneOf(Expr, Vec<Box<[u8]>>),
    Present(Expr),
    Absent(Expr),
}

/// How old a signature may be.
#[derive(Debug, Clone)]
pub(super) struct TimeRule {
    pub(super) at: Option<Expr>,
    pub(super) formats: Vec<TimeFormat>,
    pub(super) past: Duration,
    pub(super) future: Duration,
    pub(super) window: Option<Window>,
    pub(super) expires: Option<Expr>,
    pub(super) expires_formats: Vec<TimeFormat>,
    /// How far ahead an end may be when there is no time of signing.
    pub(super) ahead_most: Duration,
}

/// A window that the request chooses.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) from: Expr,
    pub(super) in_millis: bool,
    pub(super) most: Duration,
}

/// What is claimed beside the hash of what was signed.
#[derive(Debug, Clone)]
pub(super) struct ReplayRule {
    pub(super) once: Vec<Expr>,
    pub(super) counter: Option<Expr>,
    /// How long claims are kept when signatures have no time.
    pub(super) keep: Duration,
}

/// What signing adds.
#[derive(Debug)]
pub(super) struct SignStep {
    pub(super) to: SignTo,
    pub(super) value: Template,
    pub(super) condition: Option<(Expr, bool)>,
}

#[derive(Debug)]
pub(super) enum SignTo {
    /// A text for later steps.
    Let,
    Header(http::HeaderName, Box<str>),
    Query(Box<str>),
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

    /// Everything that a set of slots was read from.
    fn roots(&self, parts: Parts, deep: u8) -> Parts {
        let Some(deeper) = deep.checked_sub(1) else { return parts };
        parts.slots().fold(parts, |all, slot| match self.slots.get(slot) {
            Some(SlotSource::Field(index) | SlotSource::Member(index, _)) => {
                let reads = self.fields.get(*index).map_or(Parts::NONE, |field| field.info.reads);
                let more = reads.without(all);
                all.and(if more.is_empty() { Parts::NONE } else { self.roots(more, deeper) })
            }
            _ => all,
        })
    }

    pub(super) fn field_slot(&self, index: usize) -> Parts {
        self.fields.get(index).map_or(Parts::NONE, |field| Parts::slot(field.slot))
    }

    /// The source of an expression as a set.
    pub(super) fn direct(&self, source: &Source) -> Parts {
        match source {
            Source::Method => Parts::METHOD,
            Source::Scheme => Parts::SCHEME,
            Source::Host | Source::HostHeader => Parts::HOST,
            Source::HostName => Parts::HOST_NAME,
            Source::Port => Parts::PORT,
            Source::Headers(_) => Parts::UNTRACED,
            Source::Target => Parts::PATH.and(Parts::QUERY),
            Source::Path => Parts::PATH,
            Source::Query => Parts::QUERY,
            Source::Url => Parts::SCHEME.and(Parts::HOST).and(Parts::PATH).and(Parts::QUERY),
            Source::Body | Source::BodySha256 => Parts::BODY,
            Source::Header(slot) | Source::QueryParameter(slot) | Source::FormParameter(slot) => Parts::slot(*slot),
            Source::Member(_, slot) | Source::Members(_, slot) => Parts::slot(*slot),
            Source::Field(index) => self.field_slot(*index),
            _ => Parts::NONE,
        }
    }

    /// What decides whether an expression is there, and which of its alternatives counts. Who trusts what stands under a condition
    /// trusts this.
    pub(super) fn deciding(&self, expr: &Expr) -> Parts {
        let source = match &expr.source {
            Source::Let(index) => self.lets.get(*index).map_or(Parts::NONE, |template| self.deciding_text(template)),
            // Whatever it is made of.
            Source::Collection(_) => Parts::UNTRACED,
            Source::FormParameter(slot) => Parts::slot(*slot).and(self.form_type()),
            source => self.direct(source),
        };
        expr.steps.iter().fold(source, |all, step| match step {
            Step::Or(other) => all.and(self.deciding(other)),
            _ => all,
        })
    }

    fn deciding_text(&self, template: &Template) -> Parts {
        template.iter().fold(Parts::NONE, |all, piece| match piece {
            Piece::Text(_) => all,
            Piece::Value(expr) => all.and(self.deciding(expr)),
            Piece::When { condition, then, .. } => all.and(self.deciding(condition)).and(self.deciding_text(then)),
        })
    }

    /// What can make an expression absent while all that it reads stays as it was signed. Who trusts that it is absent trusts this.
    pub(super) fn hiding(&self, expr: &Expr) -> Parts {
        let alternatives = expr.steps.iter().filter_map(|step| if let Step::Or(other) = step { Some(other) } else { None });
        alternatives.fold(self.hiding_source(expr), |all, other| all.and(self.hiding(other)))
    }

    /// What can let a later alternative of an expression, or its default, count in place of one that is signed.
    pub(super) fn giving_way(&self, expr: &Expr) -> Parts {
        let (mut hidden, mut all) = (self.hiding_source(expr), Parts::NONE);
        for step in &expr.steps {
            match step {
                Step::Or(other) => {
                    all = all.and(hidden);
                    hidden = hidden.and(self.hiding(other));
                }
                Step::Default(_) => all = all.and(hidden),
                _ => {}
            }
        }
        all
    }

    fn hiding_source(&self, expr: &Expr) -> Parts {
        match &expr.source {
            Source::Let(index) => self.lets.get(*index).map_or(Parts::NONE, |template| self.deciding_text(template)),
            // Whatever it is made of.
            Source::Collection(_) => Parts::UNTRACED,
            Source::FormParameter(_) => self.form_type(),
            // A field reads only those above it, so this ends.
            Source::Field(index) | Source::Member(index, _) | Source::Members(index, _) => {
                match self.fields.get(*index).map(|field| &field.from) {
                    Some(FieldSource::Expr(from)) => self.hiding(from),
                    Some(FieldSource::Builtin(_)) | None => Parts::NONE,
                }
            }
            // A header or a parameter that is signed cannot go away.
            _ => Parts::NONE,
        }
    }

    /// The header that says whether a body is a form.
    fn form_type(&self) -> Parts {
        self.slots.of_header(&http::header::CONTENT_TYPE).map_or(Parts::UNTRACED, Parts::slot)
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
