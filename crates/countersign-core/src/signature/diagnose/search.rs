//! The search: what verifies the MAC that was sent? One mistake first, the likely and cheap ones before the others, then
//! common ones two at a time, until the budget is spent.

use std::collections::HashSet;
use std::rc::Rc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;

use super::super::collection::{Collection, Origin, Repeated};
use super::super::rules::MacAlgorithm;
use super::super::secret::LiveSecret;
use super::bench::{Attempt, Bench, Edit, costs, weight};
use super::change::{Change, Trial};
use super::keys::{self, KeyTrial};
use super::mistake::Mistake;
use super::offered::Offered;
use super::{Limits, OtherSecret, Whose};
use crate::now::UnixMillis;
use crate::secret::same_bytes;

/// How many explanations of one MAC are kept.
const MOST_HITS: usize = 3;

/// What making a text costs beside its length, each of its collections, and a MAC, in bytes that could be hashed meanwhile.
const EACH_TEXT: u64 = 3072;
const EACH_COLLECTION: u64 = 2048;
const EACH_MAC: u64 = 1024;
/// What each byte costs that is split, decoded, encoded and sorted in a collection. Of headers only a few are taken.
const EACH_PARAMETER: u64 = 64;
const EACH_HEADER: u64 = 1;

/// Mistakes with their details.
type Mistakes = Vec<(Mistake, String)>;

/// What verifies: every mistake that has to be made for it, with its detail.
pub(super) struct Hit<'v> {
    pub(super) mistakes: Mistakes,
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
    /// The right strings to sign.
    plain: Vec<Vec<u8>>,
    /// The keys of the request, by secret.
    keys: Rc<[Option<hmac::Key>]>,
    weights: Weights,
    hits: Vec<Hit<'v>>,
    /// The string that verifies.
    won: Option<[u8; 16]>,
}

/// What things cost, in bytes of SHA-256.
struct Weights {
    /// A string to sign, whatever its length.
    each: u64,
    /// The same, for each byte of the body.
    body: u64,
    /// A MAC, for each byte of its text.
    mac: u64,
}

/// Which MAC and which secret belong together.
#[derive(Clone, Copy)]
struct Match {
    offered: usize,
    secret: usize,
}

impl<'s, 'b, 'v> Search<'s, 'b, 'v> {
    pub(super) fn new(bench: &'b mut Bench<'v>, ground: Ground<'s>, limits: Limits) -> Self {
        let costs = costs(&bench.profile, bench.algorithm);
        let target = length(bench.request.target.as_bytes()).saturating_mul(costs.target);
        let weights = Weights {
            each: EACH_TEXT.saturating_add(collections_cost(bench)).saturating_add(target),
            body: costs.body,
            mac: weight(bench.algorithm.hash()),
        };
        let (seen, plain, keys) = (HashSet::new(), Vec::new(), Rc::from([]));
        Self { bench, ground, left: limits, exhausted: false, seen, plain, keys, weights, hits: Vec::new(), won: None }
    }

    /// Searches. `trials` are all single mistakes, the common ones first.
    pub(super) fn run(mut self, trials: &[Trial]) -> Outcome<'v> {
        let mut plain = self.bench.as_sent();
        self.plain = self.bench.texts(&mut plain, self.ground.secrets.first());
        self.keys = self.ground.secrets.iter().map(|secret| self.bench.key(&mut plain, secret)).collect();
        let as_sent = self.as_sent(&mut plain);
        let likely = trials.partition_point(|trial| trial.common);
        let (likely, rest) = trials.split_at_checked(likely).unwrap_or_default();
        if !as_sent && self.hits.is_empty() {
            self.singles(likely);
        }
        // Where the client's own string verifies, the key is right.
        let own = if as_sent { None } else { self.own_string() };
        let mut key_trials = Vec::new();
        if !as_sent && self.hits.is_empty() && own.is_none() {
            for secret in self.ground.secrets {
                key_trials.extend(keys::trials(&self.bench.profile, secret, self.ground.key_id.as_deref(), self.ground.now));
            }
            self.other_keys(&mut plain, &key_trials);
        }
        if !as_sent && self.hits.is_empty() {
            self.singles(rest);
        }
        if !as_sent && self.hits.is_empty() {
            self.pairs(likely, &key_trials);
        }
        if let (Some(mistakes), true) = (own, self.hits.is_empty()) {
            self.hit(mistakes, plain);
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
            // Its key is made as this profile makes keys.
            let secret = other.secret.with_text(other.secret.text().to_vec().into());
            let Some(key) = self.bench.key(plain, &secret) else { continue };
            for text in self.bench.texts(plain, Some(&secret)) {
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
        // Headers that change nothing when they are not there.
        let mut unsigned = Vec::new();
        for trial in trials {
            if self.exhausted || self.hits.len() >= MOST_HITS {
                return;
            }
            // Of further names for what verifies already, only common ones are worth saying.
            if self.won.is_some() && !trial.common {
                return;
            }
            let header = match &trial.change {
                Change::Header(name, _) => Some(name),
                _ => None,
            };
            if header.is_some_and(|name| unsigned.contains(&name)) {
                continue;
            }
            let mut attempt = self.bench.as_sent();
            if !self.bench.change(&mut attempt, &trial.change) {
                continue;
            }
            if let (Change::Header(name, None), false) = (&trial.change, self.bench.profile.rule.reads_secret) {
                let texts = self.bench.texts(&mut attempt, None);
                self.made(&texts);
                if texts == self.plain {
                    unsigned.push(name);
                    continue;
                }
            }
            if let Some(won) = self.won {
                let texts = self.bench.texts(&mut attempt, self.ground.secrets.first());
                self.made(&texts);
                let same = texts.iter().any(|text| hash(text) == won);
                let known = self.hits.iter().flat_map(|hit| &hit.mistakes).any(|(mistake, _)| *mistake == trial.mistake);
                if same && !known {
                    self.hits.push(Hit { mistakes: vec![(trial.mistake, trial.detail.clone())], attempt });
                }
                continue;
            }
            if let Some(found) = self.try_attempt(&mut attempt) {
                let mistakes = self.mistakes(found, vec![(trial.mistake, trial.detail.clone())]);
                self.hit(mistakes, attempt);
            }
        }
    }

    /// What is wrong if the client's own string is what it signed.
    fn own_string(&mut self) -> Option<Mistakes> {
        let own = self.ground.own_string?;
        let keys = Rc::clone(&self.keys);
        keys.iter().enumerate().find_map(|(secret, key)| {
            let offered = self.verifies(key.as_ref()?, own)?;
            Some(self.mistakes(Match { offered, secret }, vec![(Mistake::OwnString, String::new())]))
        })
    }

    /// Other keys over the right string, and over the client's own.
    fn other_keys(&mut self, plain: &mut Attempt<'v>, trials: &[KeyTrial]) {
        let texts = self.plain.clone();
        for trial in trials {
            self.try_key(plain, &texts, trial, &[]);
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
    fn pairs(&mut self, trials: &[Trial], key_trials: &[KeyTrial]) {
        for (index, first) in trials.iter().enumerate() {
            let mut base = self.bench.as_sent();
            if !self.bench.change(&mut base, &first.change) {
                continue;
            }
            let texts = self.bench.texts(&mut base, self.ground.secrets.first());
            self.made(&texts);
            // What changes nothing by itself changes nothing together with others.
            if texts.is_empty() || texts == self.plain {
                continue;
            }
            for second in trials.iter().skip(index + 1).filter(|second| second.area != first.area) {
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
            for key_trial in key_trials.iter().filter(|trial| trial.common) {
                self.try_key(&mut base, &texts, key_trial, &[(first.mistake, first.detail.clone())]);
                if !self.hits.is_empty() || self.exhausted {
                    return;
                }
            }
        }
    }

    /// Another key over the strings of an attempt, and over the client's own.
    fn try_key(&mut self, attempt: &mut Attempt<'v>, texts: &[Vec<u8>], trial: &KeyTrial, before: &[(Mistake, String)]) {
        let mut keyed = attempt.clone();
        if let Some(rule) = &trial.rule {
            self.bench.change(&mut keyed, &Change::Edit(Edit::Key(rule.clone())));
        }
        let Some(key) = self.bench.key(&mut keyed, &trial.secret) else { return };
        let other = if self.bench.profile.rule.reads_secret { self.bench.texts(attempt, Some(&trial.secret)) } else { Vec::new() };
        let texts = if other.is_empty() { texts } else { &other };
        for text in texts.iter().map(Vec::as_slice).chain(self.ground.own_string) {
            if let Some(offered) = self.verifies(&key, text) {
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
        let keys = Rc::clone(&self.keys);
        let mut texts = Vec::new();
        for (index, secret) in self.ground.secrets.iter().enumerate() {
            if index == 0 || per_secret {
                texts = self.bench.texts(attempt, Some(secret));
                self.made(&texts);
            }
            let own = if other_key { self.bench.key(attempt, secret) } else { None };
            let Some(key) = own.as_ref().or(keys.get(index).and_then(Option::as_ref)) else { continue };
            for text in &texts {
                let hash = hash(text);
                // With one text for all secrets, the last of them closes it.
                let last = per_secret || index + 1 == self.ground.secrets.len();
                if !other_key && (self.seen.contains(&hash) || (last && !self.seen.insert(hash))) {
                    continue;
                }
                if let Some(offered) = self.verifies(key, text) {
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
        self.spend(length(text).saturating_mul(self.weights.mac).saturating_add(EACH_MAC));
        let tag = hmac::sign(key, text);
        let mut found = None;
        for (index, offered) in self.ground.offered.iter().enumerate() {
            if same_bytes(tag.as_ref(), &offered.bytes) && found.is_none() {
                found = Some(index);
            }
        }
        found
    }

    /// Counts the making of texts: they are copied, and hashed to be told apart.
    fn made(&mut self, texts: &[Vec<u8>]) {
        let texts: u64 = texts.iter().map(|text| length(text)).sum();
        let body = length(self.bench.request.bytes()).saturating_mul(self.weights.body);
        self.spend(body.saturating_add(texts).saturating_add(self.weights.each));
    }

    fn spend(&mut self, bytes: u64) {
        self.left.bytes = self.left.bytes.saturating_sub(bytes);
        self.exhausted |= self.left.macs == 0 || self.left.bytes == 0;
    }

    /// All that is wrong when a match is what the client meant.
    fn mistakes(&self, found: Match, mut mistakes: Mistakes) -> Mistakes {
        let Some(offered) = self.ground.offered.get(found.offered) else { return mistakes };
        mistakes.extend(offered.mistakes.iter().map(|mistake| (*mistake, String::new())));
        if offered.algorithm != self.ground.algorithm {
            let name = |algorithm| MacAlgorithm::ALL.into_iter().find(|(known, _)| *known == algorithm).map_or("", |(_, name)| name);
            let detail = format!("{} for {}", name(offered.algorithm), name(self.ground.algorithm));
            mistakes.push((Mistake::OtherAlgorithm, detail));
        }
        mistakes
    }

    fn hit(&mut self, mistakes: Mistakes, attempt: Attempt<'v>) {
        self.hits.push(Hit { mistakes, attempt });
    }
}

/// What the collections of a string to sign cost.
fn collections_cost(bench: &Bench<'_>) -> u64 {
    let request = &bench.request;
    let headers: u64 =
        request.headers.iter().map(|(name, value)| length(name.as_str().as_bytes()).saturating_add(length(value.as_bytes()))).sum();
    let content_type = request.headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], http::HeaderValue::as_bytes);
    let is_form = content_type.to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded");
    let of_collection = |collection: &Collection| {
        // Where values of one name are put together, every name is compared with every other.
        let each = if collection.repeated == Repeated::Each { EACH_PARAMETER } else { 3 * EACH_PARAMETER };
        let sources = collection.from.iter().map(|from| match from {
            Origin::Query | Origin::RawQuery => length(request.query().unwrap_or_default().as_bytes()).saturating_mul(each),
            Origin::Form if !is_form => 0,
            Origin::Form => length(request.bytes()).saturating_mul(each),
            Origin::Headers | Origin::Map(_) => headers.saturating_mul(EACH_HEADER),
        });
        EACH_COLLECTION.saturating_add(sources.sum())
    };
    bench.profile.collections.iter().map(of_collection).sum()
}

fn length(text: &[u8]) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

fn hash(text: &[u8]) -> [u8; 16] {
    digest(&SHA256, text).as_ref().first_chunk().copied().unwrap_or_default()
}
