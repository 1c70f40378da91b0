//! What a profile must hold before any request comes: nothing checked that is not signed, no text that can be cut in two ways.

use std::ops::Range;

use super::super::alphabet::Alphabet;
use super::super::collect::{Collection, Origin};
use super::super::coverage::{Coverage, Parts, Provenance};
use super::super::expression::{BodyUse, Expr, Piece, Source, Step, Template, in_stretches, info_of, undelimited, undelimited_items};
use super::super::profile::{Derive, FieldSource, Profile, Requirement, TimeRule};
use super::super::slots::SlotSource;
use super::super::verify::KEEP_LONGER;
use super::BadProfile;
use super::parts::TOKEN;
use crate::replay::Tier;

/// Holds a profile to every check, and fills in what follows from its parts.
pub(super) fn check(profile: &mut Profile, text: &str) -> Result<(), BadProfile> {
    let at = |key: &str| text.find(key).map_or(0..0, |start| start..start + key.len());
    profile.body = body_use(profile);
    boundaries(profile, &at)?;
    let reaches = reaches(profile);
    // A request without a query or a body needs none of it signed, so these are judged per request.
    let mut needed = Parts::METHOD.and(Parts::PATH).and(Parts::HOST).without(profile.uncovered);
    if profile.time.is_none() && !profile.uncovered.contains(Parts::TIME) {
        return Err(BadProfile::new(at("[mac]"), "signatures of this profile have no time", "add [time], or name \"time\" in uncovered"));
    }
    if profile.time.is_some() && profile.uncovered.contains(Parts::TIME) {
        return Err(BadProfile::new(
            at("uncovered"),
            "time is named as uncovered and checked",
            "take \"time\" out of uncovered, or leave [time] out",
        ));
    }
    let checked = checked(profile);
    needed = needed.and(checked);
    let parent = |slot| parent_reads(profile, slot);
    let lacks = reaches.lacks(needed, &parent);
    // The built-in reaches what each request lists; what it must list is held to per request.
    let lacks = if profile.builtin.is_some() { Parts::NONE } else { lacks };
    if !lacks.is_empty() {
        let words = profile.parts_words(lacks);
        let trusted = !lacks.without(Parts::REQUIRED).is_empty();
        return Err(if trusted {
            BadProfile::new(at("[mac]"), format!("checked but not signed: {words}"), "put it into message")
        } else {
            BadProfile::new(
                at("[mac]"),
                format!("the string to sign does not cover: {words}"),
                "put it into message, or name it in uncovered",
            )
        });
    }
    let keep = profile.longest_keep().saturating_add(KEEP_LONGER);
    let tier = if profile.time.is_some() { Tier::timed(keep) } else { Some(Tier::Untimed).filter(|tier| keep <= tier.reach()) };
    let Some(tier) = tier else {
        return Err(BadProfile::new(at("[time]"), "claims would have to be kept for more than 8 days", "make the window shorter"));
    };
    profile.tier = if profile.replay.counter.is_some() { Tier::Minutes } else { tier };
    Ok(())
}

/// Whether the message can be cut in one way only, or says that it cannot.
fn boundaries(profile: &Profile, at: &impl Fn(&str) -> Range<usize>) -> Result<(), BadProfile> {
    let derived = profile.key.derive.iter().filter_map(|derive| match derive {
        Derive::Text(template) => Some(template),
        Derive::Each(_) => None,
    });
    let all = profile.rule.messages.iter().chain(&profile.lets).chain(derived);
    if profile.uncovered.contains(Parts::BOUNDARY) != profile.rule.undelimited {
        return Err(if profile.rule.undelimited {
            BadProfile::new(
                at("undelimited"),
                "undelimited = true leaves a hole that uncovered does not name: bytes can move from one value to its neighbour",
                "name \"boundary\" in uncovered",
            )
        } else {
            BadProfile::new(
                at("uncovered"),
                "boundary is named as uncovered without undelimited = true",
                "take \"boundary\" out of uncovered",
            )
        });
    }
    if profile.rule.undelimited {
        let trusted = checked(profile);
        let movable = movable(profile, trusted);
        for expr in all.flat_map(|template| in_stretches(template)) {
            let moved = trusted_by(profile, expr, trusted).and(both(movable, expr.info.reads));
            if !moved.is_empty() {
                return Err(BadProfile::new(
                    at("[mac]"),
                    format!("bytes could move between a neighbour and what is checked: {}", profile.parts_words(moved)),
                    "give the field a fixed length with match, or a last character that stands nowhere else in it",
                ));
            }
        }
        return Ok(());
    }
    for template in all {
        if undelimited(template) {
            return Err(BadProfile::new(
                at("[mac]"),
                "two values of any length stand side by side in the message or a let, with nothing between them that the first cannot contain",
                "put a delimiter there, narrow the first with match, or acknowledge it with undelimited = true",
            ));
        }
    }
    if profile.collections.iter().any(|collection| undelimited_items(&two_items(collection))) {
        return Err(BadProfile::new(
            at("[collect"),
            "the items of a collection can be cut in two ways: names and values can contain what separates them",
            "encode them, as with name = \"pct\", or acknowledge it with undelimited = true",
        ));
    }
    Ok(())
}

/// What of `trusted` the value is by itself.
fn trusted_by(profile: &Profile, expr: &Expr, trusted: Parts) -> Parts {
    both(profile.direct(&expr.source), trusted)
}

const fn both(a: Parts, b: Parts) -> Parts {
    a.without(a.without(b))
}

/// The fields of any length among what is trusted, and all that they are read from.
fn movable(profile: &Profile, trusted: Parts) -> Parts {
    let fields = profile.fields.iter().filter(|field| {
        let is_bounded = field.info.length.is_some() || field.info.ends_itself;
        trusted.contains(Parts::slot(field.slot)) && !is_bounded
    });
    fields.fold(Parts::NONE, |all, field| all.and(Parts::slot(field.slot)).and(field.info.reads))
}

/// Two items of a collection behind each other, as a template over what names and values can be made of.
fn two_items(collection: &Collection) -> Template {
    let (mut names, mut values, mut pairs) = (Alphabet::NONE, Alphabet::NONE, Alphabet::NONE);
    for from in &collection.from {
        let sent = Alphabet::VISIBLE.minus(Alphabet::of(b"&"));
        let (name, value, pair) = match from {
            Origin::Headers => (Alphabet::of(TOKEN), Alphabet::HEADER, Alphabet::NONE),
            Origin::RawQuery => (sent.minus(Alphabet::of(b"=")), sent, sent),
            Origin::Query | Origin::Form | Origin::Map(_) => (Alphabet::ALL, Alphabet::ALL, Alphabet::ALL),
        };
        names = names.union(collection.name.iter().fold(name, |alphabet, filter| filter.alphabet(alphabet)));
        values = values.union(collection.value.iter().fold(value, |alphabet, filter| filter.alphabet(alphabet)));
        pairs = pairs.union(pair);
    }
    let piece = |piece: &Piece| {
        let Piece::Value(expr) = piece else { return piece.clone() };
        let mut expr = expr.clone();
        let made_of = match expr.source {
            Source::ItemName => names,
            Source::ItemValue => values,
            Source::ItemPair => pairs,
            _ => return Piece::Value(expr),
        };
        expr.info.alphabet = expr.steps.iter().fold(made_of, |alphabet, step| match step {
            Step::Filter(filter) => filter.alphabet(alphabet),
            _ => Alphabet::ALL,
        });
        Piece::Value(expr)
    };
    let join = std::iter::once(Piece::Text(collection.join.clone()));
    collection.item.iter().map(piece).chain(join).chain(collection.item.iter().map(piece)).collect()
}

fn body_use(profile: &Profile) -> BodyUse {
    let of = |expr: &Expr| expr.info.body;
    let template = |template: &Template| info_of(template).body;
    let condition = |condition: &Option<(Expr, bool)>| condition.as_ref().map_or(BodyUse::None, |(expr, _)| expr.body_use_of_condition());
    let mut uses = BodyUse::None;
    for field in &profile.fields {
        uses = uses.max(field.info.body);
    }
    for message in profile.rule.messages.iter().chain(&profile.lets) {
        uses = uses.max(template(message));
    }
    for require in &profile.requires {
        let what = match &require.what {
            Requirement::Equal(a, b) => of(a).max(of(b)),
            Requirement::Includes(expr, _) | Requirement::OneOf(expr, _) | Requirement::Present(expr) | Requirement::Absent(expr) => {
                of(expr)
            }
        };
        uses = uses.max(what).max(condition(&require.condition));
    }
    if let Some(time) = &profile.time {
        uses = uses.max(time.body_use());
    }
    for expr in profile.replay.once.iter().chain(&profile.replay.counter) {
        uses = uses.max(of(expr));
    }
    if profile.builtin.is_some() {
        uses = uses.max(BodyUse::Sha256);
    }
    uses
}

impl TimeRule {
    pub(in super::super) fn body_use(&self) -> BodyUse {
        let all = self.at.iter().chain(&self.expires).chain(self.window.iter().map(|window| &window.from));
        all.fold(BodyUse::None, |uses, expr| uses.max(expr.info.body))
    }
}

/// Everything that the MAC can reach, when each request makes the most of it.
fn reaches(profile: &Profile) -> Coverage {
    let mut coverage = Coverage::default();
    let mut add = |reads: Parts| coverage.add(Provenance::of(reads));
    // Of alternatives the first is what is meant; the others are judged per request.
    for message in profile.rule.messages.iter().take(1) {
        add(info_of(message).reads);
    }
    add(info_of(&profile.key.material).reads);
    for derive in &profile.key.derive {
        add(match derive {
            Derive::Text(template) => info_of(template).reads,
            Derive::Each(expr) => expr.info.reads,
        });
    }
    for field in profile.fields.iter().filter(|field| matches!(field.from, FieldSource::Builtin(_))) {
        add(Parts::slot(field.slot));
    }
    for require in &profile.requires {
        match &require.what {
            Requirement::Equal(a, b) => add(a.info.reads.and(b.info.reads)),
            Requirement::OneOf(expr, known) if known.len() == 1 => add(expr.info.reads),
            _ => {}
        }
    }
    coverage
}

/// What the time check and the replay check trust.
fn checked(profile: &Profile) -> Parts {
    let time =
        profile.time.iter().flat_map(|time| time.at.iter().chain(&time.expires).chain(time.window.iter().map(|window| &window.from)));
    let all = time.chain(&profile.replay.once).chain(&profile.replay.counter);
    all.fold(Parts::NONE, |parts, expr| parts.and(profile.direct(&expr.source)))
}

fn parent_reads(profile: &Profile, slot: super::super::coverage::Slot) -> Option<Parts> {
    match profile.slots.get(slot)? {
        SlotSource::Header(_) => None,
        SlotSource::Query(_) => Some(Parts::QUERY),
        SlotSource::Form(_) => Some(Parts::BODY),
        SlotSource::Field(index) => match &profile.fields.get(*index)?.from {
            FieldSource::Expr(expr) => Some(profile.direct(&expr.source)).filter(|parts| !parts.is_empty()),
            FieldSource::Builtin(_) => None,
        },
        SlotSource::Member(index, _) => Some(profile.field_slot(*index)),
    }
}
