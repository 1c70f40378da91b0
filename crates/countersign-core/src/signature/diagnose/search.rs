//! The search: what verifies the MAC that was sent? One mistake first, the likely and cheap ones before the others, then
//! common ones two at a time, until the budget is spent.

use std::collections::HashSet;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;

use super::super::profile::MacAlgorithm;
use super::super::secret::LiveSecret;
use super::bench::{Attempt, Bench, Edit};
use super::change::{Change, Trial};
use super::keys::{self, KeyTrial};
use super::mistake::Mistake;
use super::offered::Offered;
use super::{Limits, OtherSecret, Whose};
use crate::now::UnixMillis;
use crate::secret::same_bytes;

/// How many explanations of one MAC are kept.
const MOST_HITS: usize = 3;

/// What making a text or a MAC costs beside its length, in bytes that could be hashed meanwhile.
const EACH: u64 = 1024;

/// What verifies: every mistake that has to be made for it, with its detail.
pub(super) struct Hit<'v> {
    pub(super) mistakes: Vec<(Mistake, String)>,
    /// The way to sign that verifies, for showing where its text differs.
    pub(super) attempt: Attempt<'v>,
}

/// What was found.
pub(super) struct Outcome<'v> {
    pub(super) hits: Vec<Hit<'v>>,
    /// Whether the MAC verifies as it was sent, with a live secret.
    pub(super) as_sent: bool,
    /// Whether the budget ended the search.
    pub(super) exhausted: bool,
}

/// What is searched in.
pub(super) struct Ground<'s> {
    pub(super) offered: Vec<Offered>,
    pub(super) secrets: &'s [LiveSecret],
    pub(super) others: &'s [OtherSecret<'s>],
    pub(super) key_id: Option<String>,
    pub(super) own_string: Option<&'s [u8]>,
    /// The algorithm that the scheme asks for.
    pub(super) algorithm: MacAlgorithm,
    pub(super) now: UnixMillis,
}

/// The search while it goes on.
pub(super) struct Search<'s, 'b, 'v> {
    bench: &'b mut Bench<'v>,
    ground: Ground<'s>,
    left: Limits,
    exhausted: bool,
    /// The strings that were tried with the keys of the request.
    seen: HashSet<[u8; 16]>,
    /// The keys of the request, by secret.
    keys: Vec<hmac::Key>,
    hits: Vec<Hit<'v>>,
    /// The string that verifies.
    won: Option<[u8; 16]>,
}

/// Which MAC and which secret belong together.
#[derive(Clone, Copy)]
struct Match {
    offered: usize,
    secret: usize,
}

impl<'s, 'b, 'v> Search<'s, 'b, 'v> {
    pub(super) fn new(bench: &'b mut Bench<'v>, ground: Ground<'s>, limits: Limits) -> Self {
        Self { bench, ground, left: limits, exhausted: false, seen: HashSet::new(), keys: Vec::new(), hits: Vec::new(), won: None }
    }

    /// Searches. `trials` are all single mistakes, the likely ones first.
    pub(super) fn run(mut self, trials: &[Trial]) -> Outcome<'v> {
        let mut plain = self.bench.as_sent();
        self.keys = self.ground.secrets.iter().filter_map(|secret| self.bench.key(&mut plain, secret)).collect();
        let as_sent = self.as_sent(&mut plain);
        if !as_sent && self.hits.is_empty() {
            self.singles(trials);
        }
        let mut key_trials = Vec::new();
        if !as_sent && self.hits.is_empty() {
            for secret in self.ground.secrets {
                key_trials.extend(keys::trials(&self.bench.profile, secret, self.ground.key_id.as_deref(), self.ground.now));
            }
            self.other_keys(&mut plain, &mut key_trials);
        }
        if !as_sent && self.hits.is_empty() {
            self.pairs(trials, &mut key_trials);
        }
        Outcome { hits: self.hits, as_sent, exhausted: self.exhausted }
    }

    /// The request as it was sent: other encodings and algorithms, ended secrets, other keys.
    fn as_sent(&mut self, plain: &mut Attempt<'v>) -> bool {
        if let Some(found) = self.try_attempt(plain) {
            let ended = self.ground.secrets.get(found.secret).and_then(|secret| secret.ends).is_some_and(|ends| ends <= self.ground.now);
            let retired = ended.then_some((Mistake::RetiredSecret, String::new()));
            let mistakes = self.mistakes(found, retired.into_iter().collect());
            if mistakes.is_empty() {
                return true;
            }
            self.hit(mistakes, plain.clone());
            return false;
        }
        for other in self.ground.others {
            let Some(key) = self.bench.key(plain, other.secret) else { continue };
            for text in self.bench.texts(plain, Some(other.secret)) {
                if let Some(offered) = self.verifies(&key, &text) {
                    let mistake = match other.whose {
                        Whose::Key(id) => (Mistake::OtherKeysSecret, format!("that of {id}")),
                        Whose::Retired => (Mistake::RetiredSecret, String::new()),
                    };
                    let mistakes = self.mistakes(Match { offered, secret: 0 }, vec![mistake]);
                    self.hit(mistakes, plain.clone());
                    return false;
                }
            }
        }
        false
    }

    fn singles(&mut self, trials: &[Trial]) {
        for trial in trials {
            if self.exhausted || self.hits.len() >= MOST_HITS {
                return;
            }
            let mut attempt = self.bench.as_sent();
            if !self.bench.change(&mut attempt, &trial.change) {
                continue;
            }
            if let Some(won) = self.won {
                // Another name for what verifies already.
                let texts = self.bench.texts(&mut attempt, self.ground.secrets.first());
                self.spend(&texts, 0);
                let same = texts.iter().any(|text| hash(text) == won);
                let known = self.hits.iter().flat_map(|hit| &hit.mistakes).any(|(mistake, _)| *mistake == trial.mistake);
                if same && !known && trial.mistake.is_particular() {
                    self.hits.push(Hit { mistakes: vec![(trial.mistake, trial.detail.clone())], attempt });
                }
                continue;
            }
            if let Some(found) = self.try_attempt(&mut attempt) {
                let mistakes = self.mistakes(found, vec![(trial.mistake, trial.detail.clone())]);
                self.hit(mistakes, attempt);
            }
        }
        if self.hits.is_empty()
            && let Some(own) = self.ground.own_string
        {
            for secret in 0..self.keys.len() {
                let offered = self.keys.get(secret).cloned().and_then(|key| self.verifies(&key, own));
                if let Some(offered) = offered {
                    let plain = self.bench.as_sent();
                    let mistakes = self.mistakes(Match { offered, secret }, vec![(Mistake::OwnString, String::new())]);
                    self.hit(mistakes, plain);
                    return;
                }
            }
        }
    }

    /// Other keys over the right string, and over the client's own.
    fn other_keys(&mut self, plain: &mut Attempt<'v>, trials: &mut [KeyTrial]) {
        for trial in trials {
            let mut attempt = plain.clone();
            self.try_key(&mut attempt, trial, &[]);
            if !self.hits.is_empty() || self.exhausted {
                return;
            }
        }
        // HMAC(message, secret).
        for secret in self.ground.secrets {
            for text in self.bench.texts(plain, Some(secret)) {
                let key = hmac::Key::new(self.bench.algorithm.hmac(), &text);
                if let Some(offered) = self.verifies(&key, secret.text()) {
                    let mistakes = self.mistakes(Match { offered, secret: 0 }, vec![(Mistake::KeyAndStringSwapped, String::new())]);
                    return self.hit(mistakes, plain.clone());
                }
            }
        }
    }

    /// Two mistakes at once.
    fn pairs(&mut self, trials: &[Trial], key_trials: &mut [KeyTrial]) {
        let common: Vec<&Trial> = trials.iter().filter(|trial| trial.common).collect();
        for (index, first) in common.iter().enumerate() {
            let mut base = self.bench.as_sent();
            if !self.bench.change(&mut base, &first.change) || !self.changes(&mut base) {
                continue;
            }
            for second in common.iter().skip(index + 1).filter(|second| second.area != first.area) {
                if self.exhausted {
                    return;
                }
                let mut attempt = base.clone();
                if self.bench.change(&mut attempt, &second.change)
                    && let Some(found) = self.try_attempt(&mut attempt)
                {
                    let both = [first, second].map(|trial| (trial.mistake, trial.detail.clone()));
                    let mistakes = self.mistakes(found, both.into());
                    return self.hit(mistakes, attempt);
                }
            }
            for key_trial in key_trials.iter_mut().filter(|trial| trial.common) {
                let mut attempt = base.clone();
                self.try_key(&mut attempt, key_trial, &[(first.mistake, first.detail.clone())]);
                if !self.hits.is_empty() || self.exhausted {
                    return;
                }
            }
        }
    }

    /// Whether an attempt signs another text than the request as it was sent.
    fn changes(&mut self, attempt: &mut Attempt<'v>) -> bool {
        let mut plain = self.bench.as_sent();
        let secret = self.ground.secrets.first();
        let before = self.bench.texts(&mut plain, secret);
        let after = self.bench.texts(attempt, secret);
        self.spend(&after, 0);
        !after.is_empty() && before != after
    }

    fn try_key(&mut self, attempt: &mut Attempt<'v>, trial: &mut KeyTrial, before: &[(Mistake, String)]) {
        let mut keyed = attempt.clone();
        if let Some(rule) = &trial.rule {
            self.bench.change(&mut keyed, &Change::Edit(Edit::Key(rule.clone())));
        }
        let Some(key) = self.bench.key(&mut keyed, &trial.secret) else { return };
        let mut texts = self.bench.texts(attempt, Some(&trial.secret));
        texts.extend(self.ground.own_string.map(<[u8]>::to_vec));
        for text in texts {
            if let Some(offered) = self.verifies(&key, &text) {
                let own = (trial.mistake, trial.detail.clone());
                let mistakes = self.mistakes(Match { offered, secret: 0 }, before.iter().cloned().chain([own]).collect());
                return self.hit(mistakes, attempt.clone());
            }
        }
    }

    /// Tries an attempt with every secret of the key.
    fn try_attempt(&mut self, attempt: &mut Attempt<'v>) -> Option<Match> {
        let per_secret = self.bench.profile.rule.reads_secret;
        let other_key = attempt.may_change_key() && !self.bench.profile.key.derive.is_empty();
        let mut texts = Vec::new();
        for (index, secret) in self.ground.secrets.iter().enumerate() {
            if index == 0 || per_secret {
                texts = self.bench.texts(attempt, Some(secret));
                self.spend(&texts, self.bench.request.bytes().len());
            }
            let key = if other_key { self.bench.key(attempt, secret) } else { self.keys.get(index).cloned() };
            let Some(key) = key else { continue };
            for text in &texts {
                let hash = hash(text);
                // With one text for all secrets, the last of them closes it.
                let last = per_secret || index + 1 == self.ground.secrets.len();
                if !other_key && (self.seen.contains(&hash) || (last && !self.seen.insert(hash))) {
                    continue;
                }
                if let Some(offered) = self.verifies(&key, text) {
                    self.won = Some(hash);
                    return Some(Match { offered, secret: index });
                }
            }
        }
        None
    }

    /// Which of the MACs that were sent is that of a text.
    fn verifies(&mut self, key: &hmac::Key, text: &[u8]) -> Option<usize> {
        if self.exhausted {
            return None;
        }
        self.left.macs = self.left.macs.saturating_sub(1);
        self.spend(std::slice::from_ref(&text), 0);
        let tag = hmac::sign(key, text);
        let mut found = None;
        for (index, offered) in self.ground.offered.iter().enumerate() {
            if same_bytes(tag.as_ref(), &offered.bytes) && found.is_none() {
                found = Some(index);
            }
        }
        found
    }

    /// Counts what was made and hashed.
    fn spend(&mut self, texts: &[impl AsRef<[u8]>], more: usize) {
        let bytes: usize = texts.iter().map(|text| text.as_ref().len()).sum();
        let bytes = u64::try_from(bytes.saturating_add(more)).unwrap_or(u64::MAX);
        self.left.bytes = self.left.bytes.saturating_sub(bytes.saturating_add(EACH));
        self.exhausted |= self.left.macs == 0 || self.left.bytes == 0;
    }

    /// All that is wrong when a match is what the client meant.
    fn mistakes(&self, found: Match, mut mistakes: Vec<(Mistake, String)>) -> Vec<(Mistake, String)> {
        let Some(offered) = self.ground.offered.get(found.offered) else { return mistakes };
        mistakes.extend(offered.mistakes.iter().map(|mistake| (*mistake, String::new())));
        if offered.algorithm != self.ground.algorithm {
            let name = |algorithm| MacAlgorithm::ALL.into_iter().find(|(known, _)| *known == algorithm).map_or("", |(_, name)| name);
            let detail = format!("{} for {}", name(offered.algorithm), name(self.ground.algorithm));
            mistakes.push((Mistake::OtherAlgorithm, detail));
        }
        mistakes
    }

    fn hit(&mut self, mistakes: Vec<(Mistake, String)>, attempt: Attempt<'v>) {
        self.hits.push(Hit { mistakes, attempt });
    }
}

fn hash(text: &[u8]) -> [u8; 16] {
    digest(&SHA256, text).as_ref().first_chunk().copied().unwrap_or_default()
}
