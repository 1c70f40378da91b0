//! The promise of the coverage rule, tried on profiles, requests and changes that nobody chose: of a request that verifies, no part
//! can be changed unseen, unless its profile names that part as uncovered.
//!
//! Of a request that our own code signed many others are made. Of all that have one string to sign, and so one MAC, no two may be
//! good and differ, be it in a part or in what is claimed of them: the time and the nonce. Two requests may differ in what a profile
//! forgets by definition ([`Forgets`]). All choices are read off random bytes, so that a failure shrinks to the first of each list.
//! `PROPTEST_CASES` says how many are tried.

mod profiles;
mod requests;

use std::collections::BTreeMap;
use std::fmt;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::super::coverage::Parts;
use super::super::load::Constants;
use super::super::parameters;
use super::super::*;
use super::holes_of_collections::SECRET;
use crate::principal::Principal;
use crate::secret::SecretText;
use profiles::Made;
use requests::{Sent, mac_of};

const KEY: &str = "ck_demo";

/// Random bytes, to choose by. Behind their end every choice is the first.
#[derive(Clone)]
struct Tape(std::vec::IntoIter<u8>);

/// What is read off it is shown where it fails.
impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape").finish_non_exhaustive()
    }
}

impl Tape {
    fn any() -> impl Strategy<Value = Self> {
        // Fewer and longer numbers are made faster.
        let numbers = proptest::collection::vec(any::<u64>(), 400);
        numbers.prop_map(|numbers| Self(numbers.into_iter().flat_map(u64::to_le_bytes).collect::<Vec<_>>().into_iter()))
    }

    fn below(&mut self, most: usize) -> usize {
        usize::from(self.0.next().unwrap_or_default()) % most.max(1)
    }

    /// Once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    /// One of a list, in which ` ~ ` stands between two.
    fn one<'l>(&mut self, list: &'l str) -> &'l str {
        let at = self.below(list.split(" ~ ").count());
        list.split(" ~ ").nth(at).unwrap_or_default()
    }
}

/// What canonical forms say nothing about: how a parameter is escaped and whether it has a `=` before no value, where a `+` is a
/// space, in which order names stand, and in which order values do. `?` before no query is none.
#[derive(Clone, Copy, Default, Debug)]
struct Forgets {
    escapes: bool,
    equals: bool,
    plus: bool,
    names: bool,
    values: bool,
}

impl Forgets {
    /// What either of two forgets, of which each could be what is signed.
    fn and(self, other: Self) -> Self {
        Self {
            escapes: self.escapes || other.escapes,
            equals: self.equals || other.equals,
            plus: self.plus || other.plus,
            names: self.names || other.names,
            values: self.values || other.values,
        }
    }

    fn are_same(self, a: &str, b: &str) -> bool {
        let decode = |text: &str| match self.escapes {
            true => parameters::decode(text.as_bytes(), self.plus).as_slice().to_vec(),
            false => text.as_bytes().to_vec(),
        };
        let read = |text: &str| {
            // The MAC is where it is.
            let sent = text.split('&').filter(|piece| !text.is_empty() && *piece != "sign=MAC");
            let pairs = sent.map(|piece| piece.split_once('=').map_or((piece, None), |(name, value)| (name, Some(value))));
            let value = |value: Option<&str>| value.or(Some("").filter(|_| self.equals)).map(decode);
            let mut read: Vec<_> = pairs.map(|(name, sent)| (decode(name), value(sent))).collect();
            match self {
                Self { values: true, .. } => read.sort(),
                Self { names: true, .. } => read.sort_by(|a, b| a.0.cmp(&b.0)),
                _ => {}
            }
            read
        };
        read(a) == read(b)
    }
}

/// The first part in which two requests differ, beside what is uncovered and what is forgotten.
fn difference(a: &Sent, b: &Sent, made: &Made, uncovered: Parts) -> Option<&'static str> {
    let form = if a.is_form() && b.is_form() { made.form } else { Forgets::default() };
    let parts = [
        (Parts::METHOD, "method", a.method == b.method),
        (Parts::PATH, "path", a.path == b.path),
        (Parts::QUERY, "query", made.query.are_same(a.query(), b.query())),
        (Parts::HOST, "host", a.host == b.host),
        (Parts::BODY, "body", form.are_same(&a.body, &b.body)),
    ];
    parts.into_iter().find(|(part, _, is_same)| !is_same && !uncovered.contains(*part)).map(|(_, name, _)| name)
}

/// How far tries came.
#[derive(Default, Debug)]
struct Counts {
    profiles: usize,
    loaded: usize,
    signed: usize,
    alike: usize,
}

/// Tries the first profile on the tape that loads and with which a request could be signed.
fn try_one(tape: &mut Tape, counts: &mut Counts) -> Result<(), String> {
    for _ in 0..10 {
        counts.profiles += 1;
        let made = profiles::profile(tape);
        let Ok(profile) = Profile::load(&made.text, &Constants::new()) else { continue };
        counts.loaded += 1;
        let Some(signed) = (0..10).find_map(|_| Sent::any(tape).signed(&profile)) else { continue };
        counts.signed += 1;
        return try_to_change(tape, &made, &profile, signed, counts);
    }
    Ok(())
}

fn try_to_change(tape: &mut Tape, made: &Made, profile: &Profile, signed: Sent, counts: &mut Counts) -> Result<(), String> {
    let secret = LiveSecret::new(profile, "se_1".parse().unwrap(), &SecretText::new(SECRET.to_owned()), None).unwrap();
    let principal = Principal { id: "cl_0000000000000001".parse().unwrap(), name: "acme".into() };
    let key = LiveKey::new(KEY.parse().unwrap(), principal.into(), Default::default(), profile.name().clone(), vec![secret]);
    let is_good = |text: &[u8]| signed.verify(&mac_of(text), profile, &key).is_ok();
    if !signed.texts(profile, key.secrets()).iter().any(|text| is_good(text)) {
        return Err(format!("what was signed is not good\n{}\n{signed:?}", made.text));
    }
    let mut all = vec![signed];
    for _ in 0..40 {
        let mut other = all[tape.below(all.len())].clone();
        (0..=tape.below(3)).for_each(|_| other.change(tape));
        if !all.contains(&other) {
            all.push(other);
        }
    }
    let mut by_text: BTreeMap<Vec<u8>, Vec<&Sent>> = BTreeMap::new();
    for sent in &all {
        for text in sent.texts(profile, key.secrets()) {
            by_text.entry(text).or_default().push(sent);
        }
    }
    for (text, alike) in by_text.iter().filter(|(_, alike)| alike.len() > 1) {
        let good: Vec<_> = alike.iter().filter_map(|sent| Some((*sent, sent.verify(&mac_of(text), profile, &key).ok()?))).collect();
        for (at, (a, of_a)) in good.iter().enumerate() {
            for (b, of_b) in good.iter().skip(at + 1) {
                counts.alike += 1;
                let claim = (of_a.claim() != of_b.claim()).then_some("claim");
                if let Some(part) = difference(a, b, made, profile.uncovered()).or(claim) {
                    let text = String::from_utf8_lossy(text);
                    return Err(format!("another {part} has the same signature\n{}\n{a:?}\n{b:?}\n{text}", made.text));
                }
            }
        }
    }
    Ok(())
}

/// Each case tries several profiles.
fn half_as_many() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases.div_ceil(2), ..usual }
}

proptest! {
    #![proptest_config(half_as_many())]
    #[test]
    fn no_part_of_a_signed_request_can_be_changed_unseen(mut tape in Tape::any()) {
        try_one(&mut tape, &mut Counts::default()).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn a_fair_share_of_the_profiles_loads_and_signs() {
    let (mut runner, mut counts) = (TestRunner::deterministic(), Counts::default());
    for _ in 0..60 {
        let mut tape = Tape::any().new_tree(&mut runner).unwrap().current();
        try_one(&mut tape, &mut counts).unwrap();
    }
    println!("{counts:?}");
    let Counts { profiles, loaded, signed, alike } = counts;
    assert!(loaded * 4 > profiles && signed * 20 > profiles && alike > signed, "{counts:?}");
}
