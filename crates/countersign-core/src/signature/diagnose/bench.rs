//! Where a request is signed as a client may have signed it: the interpreter that verifies, over a changed request and a
//! changed copy of the profile.

use std::borrow::Cow;

use aws_lc_rs::hmac;

use super::super::bytes::Bytes;
use super::super::collection::Collection;
use super::super::coverage::Provenance;
use super::super::evaluate::{Context, Credential};
use super::super::expression::{Piece, Source, Step, Template};
use super::super::filter::Filter;
use super::super::hash::Hash;
use super::super::profile::Profile;
use super::super::rfc9421::{self, Found};
use super::super::rules::{KeyRule, MacAlgorithm};
use super::super::secret::LiveSecret;
use super::super::value::{Data, Value};
use super::change::Change;
use super::sent::Sent;
use super::text::TextChange;

/// What stands for the secret where texts are shown.
const HIDDEN: Credential<'static> = Credential { secret: b"<secret>", attributes: &[], stands_in: true };

/// A request with its fields, and a copy of its profile.
pub(super) struct Bench<'v> {
    /// What changes edit, and put back.
    pub(super) profile: Profile,
    /// The request as it was sent.
    pub(super) request: Sent<'v>,
    pub(super) fields: Vec<Option<Value<'v>>>,
    pub(super) signature: Option<Found<'v>>,
    pub(super) algorithm: MacAlgorithm,
}

/// A part of a profile that takes the place of its own.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Message(Template),
    Let(usize, Template),
    Collection(usize, Box<Collection>),
    Key(Box<KeyRule>),
}

/// A way to sign: what was changed.
#[derive(Clone)]
pub(super) struct Attempt<'v> {
    pub(super) request: Sent<'v>,
    fields: Vec<(usize, Vec<u8>)>,
    edits: Vec<Edit>,
    texts: Vec<TextChange>,
}

impl Attempt<'_> {
    /// Whether the key may be another one than that of the request as it was sent.
    pub(super) fn may_change_key(&self) -> bool {
        !self.fields.is_empty() || self.edits.iter().any(|edit| matches!(edit, Edit::Key(_)))
    }
}

impl Edit {
    /// Puts it into the profile, and what was there into it.
    fn swap(&mut self, profile: &mut Profile) {
        match self {
            Self::Message(template) => {
                if let Some(message) = profile.rule.messages.first_mut() {
                    std::mem::swap(message, template);
                }
            }
            Self::Let(index, template) => {
                if let Some(text) = profile.lets.get_mut(*index) {
                    std::mem::swap(text, template);
                }
            }
            Self::Collection(index, changed) => {
                if let Some(collection) = profile.collections.get_mut(*index) {
                    std::mem::swap(collection, changed);
                }
            }
            Self::Key(rule) => std::mem::swap(&mut profile.key, rule),
        }
    }
}

impl<'v> Bench<'v> {
    /// Nothing changed yet.
    pub(super) fn as_sent(&self) -> Attempt<'v> {
        Attempt { request: self.request.clone(), fields: Vec::new(), edits: Vec::new(), texts: Vec::new() }
    }

    /// Makes a change. False when it changes nothing.
    pub(super) fn change(&mut self, attempt: &mut Attempt<'v>, change: &Change) -> bool {
        let request = &mut attempt.request;
        match change {
            Change::Method(method) => request.method = method.clone().into(),
            Change::Scheme(scheme) => request.scheme = *scheme,
            Change::Host(host) => request.set_host(host),
            Change::Path(path) => request.set_path(path),
            Change::Query(query) => request.set_query(query.as_deref()),
            Change::Header(name, value) => request.set_header(name, value.as_deref()),
            Change::Body(body) => request.set_body(body.clone()),
            Change::Field(index, value) => attempt.fields.push((*index, value.clone())),
            Change::Edit(edit) => attempt.edits.push(edit.clone()),
            Change::Text(text) => attempt.texts.push(*text),
            Change::Many(changes) => return changes.iter().fold(false, |any, change| any | self.change(attempt, change)),
        }
        true
    }

    /// The strings to sign. None where one cannot be made.
    pub(super) fn texts(&mut self, attempt: &mut Attempt<'v>, secret: Option<&LiveSecret>) -> Vec<Vec<u8>> {
        self.with(attempt, |bench, attempt| bench.messages(attempt, secret.map(LiveSecret::credential)))
    }

    /// The strings to sign as they can be shown, and the named pieces that they are made of.
    pub(super) fn shown(&mut self, attempt: &mut Attempt<'v>) -> Shown {
        self.with(attempt, |bench, attempt| Shown {
            message: bench.messages(attempt, Some(HIDDEN)).into_iter().next().unwrap_or_default(),
            lets: (0..bench.profile.lets.len()).map(|index| bench.one_let(index, attempt).unwrap_or_default()).collect(),
        })
    }

    /// The key that a secret gives.
    pub(super) fn key(&mut self, attempt: &mut Attempt<'v>, secret: &LiveSecret) -> Option<hmac::Key> {
        self.with(attempt, |bench, attempt| {
            let fields = bench.fields_of(attempt);
            let context = bench.context(attempt, &fields, None);
            let key = secret.key(&context, &mut Provenance::default(), &mut Vec::new()).ok()?;
            Some(hmac::Key::clone(&key))
        })
    }

    /// Does something while the edits of an attempt are in the profile.
    pub(super) fn with<T>(&mut self, attempt: &mut Attempt<'v>, act: impl FnOnce(&Self, &Attempt<'v>) -> T) -> T {
        for edit in &mut attempt.edits {
            edit.swap(&mut self.profile);
        }
        let done = act(self, attempt);
        for edit in attempt.edits.iter_mut().rev() {
            edit.swap(&mut self.profile);
        }
        done
    }

    pub(super) fn fields_of(&self, attempt: &Attempt<'v>) -> Cow<'_, [Option<Value<'v>>]> {
        if attempt.fields.is_empty() {
            return Cow::Borrowed(&self.fields);
        }
        let mut fields = self.fields.clone();
        for (index, text) in &attempt.fields {
            if let Some(Some(value)) = fields.get_mut(*index) {
                value.data = Data::One(Bytes::Long(text.clone()));
            }
        }
        Cow::Owned(fields)
    }

    pub(super) fn context<'c>(
        &'c self,
        attempt: &'c Attempt<'v>,
        fields: &'c [Option<Value<'v>>],
        credential: Option<Credential<'c>>,
    ) -> Context<'c, 'c> {
        Context {
            profile: &self.profile,
            head: attempt.request.head(),
            body: attempt.request.body(),
            fields,
            credential,
            signing: None,
            algorithm: self.algorithm,
            item: None,
        }
    }

    fn one_let(&self, index: usize, attempt: &Attempt<'v>) -> Option<Vec<u8>> {
        let fields = self.fields_of(attempt);
        let context = self.context(attempt, &fields, Some(HIDDEN));
        let mut text = Vec::new();
        context.write(self.profile.lets.get(index)?, &mut text, &mut Provenance::default()).ok()?;
        Some(text)
    }

    fn messages(&self, attempt: &Attempt<'v>, credential: Option<Credential<'_>>) -> Vec<Vec<u8>> {
        let finish = |text: Vec<u8>| attempt.texts.iter().try_fold(text, |text, change| change.apply(&text));
        if let Some(found) = &self.signature {
            let base = rfc9421::signature_base(found, &attempt.request.head().rfc9421(), &mut |_| {});
            return base.ok().and_then(finish).into_iter().collect();
        }
        let fields = self.fields_of(attempt);
        let context = self.context(attempt, &fields, credential);
        let write = |template: &Template| {
            let mut text = Vec::with_capacity(512);
            context.write(template, &mut text, &mut Provenance::default()).ok()?;
            finish(text)
        };
        // What may be signed instead is tried as it is.
        let count = if attempt.edits.is_empty() { self.profile.rule.messages.len() } else { 1 };
        self.profile.rule.messages.iter().take(count).filter_map(write).collect()
    }
}

/// What hashing a byte costs, in bytes of SHA-256.
pub(super) const fn weight(hash: Hash) -> u64 {
    match hash {
        Hash::Sha256 => 1,
        Hash::Md5 | Hash::Sha1 => 2,
        Hash::Sha384 | Hash::Sha512 => 4,
    }
}

/// What one string to sign costs for each byte of the target and of the body, by the steps that its values go through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Costs {
    pub(super) target: u64,
    pub(super) body: u64,
}

/// The costs of a profile's string to sign. What a let costs is counted once, however often it is read.
pub(super) fn costs(profile: &Profile, algorithm: MacAlgorithm) -> Costs {
    let mut costs = Costs::default();
    let mut read = vec![false; profile.lets.len()];
    if let Some(message) = profile.rule.messages.first() {
        add_costs(message, algorithm, &mut costs, &mut read);
    }
    // A let reads only those before it.
    for (index, text) in profile.lets.iter().enumerate().rev() {
        if read.get(index) == Some(&true) {
            add_costs(text, algorithm, &mut costs, &mut read);
        }
    }
    costs
}

fn add_costs(template: &[Piece], algorithm: MacAlgorithm, costs: &mut Costs, read: &mut [bool]) {
    for piece in template {
        match piece {
            Piece::Text(_) => {}
            Piece::When { then, .. } => add_costs(then, algorithm, costs, read),
            Piece::Value(expr) => {
                let steps = expr.steps.iter().map(|step| match step {
                    Step::Filter(Filter::Digest(hash)) => weight(*hash),
                    Step::Digest => weight(algorithm.hash()),
                    Step::Filter(Filter::Encode(_)) => 8,
                    _ => 2,
                });
                let steps = 1 + steps.sum::<u64>();
                match &expr.source {
                    // Its SHA-256 is known.
                    Source::Body => costs.body += steps,
                    Source::Target | Source::Path | Source::Query | Source::Url => costs.target += steps,
                    Source::Let(index) => {
                        if let Some(read) = read.get_mut(*index) {
                            *read = true;
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Texts to compare and to show.
pub(super) struct Shown {
    pub(super) message: Vec<u8>,
    /// In the order of the profile.
    pub(super) lets: Vec<Vec<u8>>,
}
