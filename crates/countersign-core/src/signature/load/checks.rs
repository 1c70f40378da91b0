//! What a profile must hold before any request comes: nothing checked that is not signed, no text that can be cut in two ways.

use std::ops::Range;

use super::super::alphabet::Alphabet;
use super::super::claims::KEEP_LONGER;
use super::super::collection::{Collection, Origin};
use super::super::coverage::{Coverage, Parts, Provenance};
use super::super::delimiting::{could_be_one_text, in_stretches, undelimited, undelimited_items};
use super::super::expression::{BodyUse, Expr, Piece, Source, Step, Template, info_of};
use super::super::profile::Profile;
use super::super::rules::{Derive, FieldSource, Requirement, TimeRule};
use super::super::slots::SlotSource;
use super::BadProfile;
use super::apart::could_move;
use crate::replay::Tier;

/// Holds a profile to every check, and fills in what follows from its parts.
pub(super) fn check(profile: &mut Profile, text: &str) -> Result<(), BadProfile> {
    let at = |key: &str| text.find(key).map_or(0..0, |start| start..start + key.len());
    profile.body = body_use(profile);
    keys(profile, &at)?;
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
    let pseudo = profile.collections.iter().flat_map(|collection| collection.pseudo.iter().map(|(_, template)| template));
    let all = profile.rule.messages.iter().chain(&profile.lets).chain(derived).chain(pseudo);
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
    let messages = &profile.rule.messages;
    let is_alike = messages.iter().enumerate().any(|(at, one)| messages.iter().skip(at + 1).any(|other| could_be_one_text(one, other)));
    if profile.rule.undelimited {
        return movement(profile, all, is_alike, at);
    }
    if is_alike {
        return Err(BadProfile::new(
            at("alternatives"),
            "two of the messages could be the same text, made of other parts of a request",
            "let them begin or end in fixed texts that differ, or acknowledge it with undelimited = true",
        ));
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
    if profile.collections.iter().any(|collection| could_move(profile, collection)) {
        return Err(BadProfile::new(
            at("from = ["),
            "a parameter could move from one source of a collection to another, as from the query to a form, under the same signature",
            "make a collection of each with a text between them, or let [[require]] tell them apart by the method, or acknowledge it with \
             undelimited = true",
        ));
    }
    if profile.collections.iter().any(joins_in_two_ways) {
        return Err(BadProfile::new(
            at("repeated"),
            "several values of one parameter are joined by what a value can contain: one parameter could become two",
            "encode the values, as with value = \"pct\", or write repeated = \"refuse\", or acknowledge it with undelimited = true",
        ));
    }
    if profile.collections.iter().any(|collection| two_items(collection).iter().any(|two| undelimited_items(two))) {
        return Err(BadProfile::new(
            at("[collect"),
            "the items of a collection can be cut in two ways: names and values can contain what separates them",
            "encode them, as with name = \"pct\", or acknowledge it with undelimited = true",
        ));
    }
    Ok(())
}

/// Whether what a check trusts stays where it is, in a message that can be cut in more than one way.
fn movement<'p>(
    profile: &'p Profile,
    all: impl Iterator<Item = &'p Template>,
    is_alike: bool,
    at: &impl Fn(&str) -> Range<usize>,
) -> Result<(), BadProfile> {
    let is_moved = |moved: Parts, help: &str| {
        if moved.is_empty() {
            return Ok(());
        }
        let words = format!("bytes could move between a neighbour and what is checked: {}", profile.parts_words(moved));
        Err(BadProfile::new(at("[mac]"), words, help))
    };
    let trusted = trusted(profile);
    let movable = movable(profile, trusted);
    let counter = profile.replay.counter.iter().fold(Parts::NONE, |parts, expr| parts.and(read_from(profile, expr)));
    for expr in all.flat_map(|template| in_stretches(template)) {
        let own = leaves(profile, expr).into_iter().fold(Parts::NONE, |parts, leaf| {
            // A time that has shifted is another time, and the text is claimed; a counter only has to grow.
            parts.and(both(direct(profile, leaf), if leaf.info.length.is_some() { counter } else { trusted }))
        });
        is_moved(both(own, counter), "put a delimiter on both sides of the counter, or check the time in its place")?;
        let moved = if expr.info.length.is_some() { Parts::NONE } else { own.and(both(movable, expr.info.reads)) };
        is_moved(moved, "give the field a fixed length with match, or a last character that stands nowhere else in it")?;
    }
    if is_alike {
        let head = fixed_head(&profile.rule.messages);
        for expr in profile.rule.messages.iter().flat_map(|message| message.iter().skip(head)).flat_map(values) {
            let own = leaves(profile, expr).into_iter().fold(Parts::NONE, |parts, leaf| parts.and(direct(profile, leaf)));
            let moved = both(own.and(both(movable, expr.info.reads)), trusted);
            is_moved(moved, "let every message begin with it, or let them begin or end in fixed texts that differ")?;
        }
    }
    Ok(())
}

/// How many pieces all messages begin with that are the same and of fixed length: what is in them stands at one place.
fn fixed_head(messages: &[Template]) -> usize {
    let Some((first, others)) = messages.split_first() else { return 0 };
    let is_fixed = |piece: &Piece| match piece {
        Piece::Text(_) => true,
        Piece::Value(expr) => expr.info.length.is_some(),
        Piece::When { .. } => false,
    };
    let in_all = |at: usize, piece: &Piece| others.iter().all(|other| other.get(at) == Some(piece));
    first.iter().enumerate().take_while(|(at, piece)| is_fixed(piece) && in_all(*at, piece)).count()
}

/// The values of a piece.
fn values(piece: &Piece) -> Vec<&Expr> {
    match piece {
        Piece::Text(_) => Vec::new(),
        Piece::Value(expr) => vec![expr],
        Piece::When { then, .. } => then.iter().flat_map(values).collect(),
    }
}

/// The expressions that a value is made of, when what is only a name for others is opened.
fn leaves<'p>(profile: &'p Profile, expr: &'p Expr) -> Vec<&'p Expr> {
    let mut all = match expr.source {
        Source::Let(index) => {
            let template = profile.lets.get(index);
            template.into_iter().flatten().flat_map(values).flat_map(|inner| leaves(profile, inner)).collect()
        }
        _ => vec![expr],
    };
    for step in &expr.steps {
        if let Step::Or(other) = step {
            all.extend(leaves(profile, other));
        }
    }
    all
}

/// What is trusted with a value when it is checked, as far as no request has to be seen for that: which headers a collection is
/// made of, each request says.
fn trusted_with(profile: &Profile, leaf: &Expr) -> Parts {
    let Source::Collection(index) = leaf.source else { return profile.direct(&leaf.source) };
    let Some(collection) = profile.collections.get(index) else { return Parts::NONE };
    collection.from.iter().fold(Parts::NONE, |parts, from| match from {
        Origin::Map(field) => parts.and(profile.field_slot(*field)),
        _ => parts,
    })
}

/// What a value is by itself. A collection is all that it can be made of.
fn direct(profile: &Profile, leaf: &Expr) -> Parts {
    match leaf.source {
        Source::Collection(_) => leaf.info.reads,
        _ => profile.direct(&leaf.source),
    }
}

fn read_from(profile: &Profile, expr: &Expr) -> Parts {
    leaves(profile, expr).into_iter().fold(Parts::NONE, |parts, leaf| parts.and(direct(profile, leaf)))
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

/// What the values of one origin of a collection are made of, before they are joined.
fn values_of(collection: &Collection, from: Origin) -> Alphabet {
    let value = match from {
        Origin::Headers => Alphabet::HEADER,
        Origin::RawQuery => SENT,
        Origin::Query | Origin::Form | Origin::Map(_) => Alphabet::ALL,
    };
    collection.value.iter().fold(value, |alphabet, filter| filter.alphabet(alphabet))
}

/// A key is a secret, and no MAC is a key.
fn keys(profile: &Profile, at: &impl Fn(&str) -> Range<usize>) -> Result<(), BadProfile> {
    let messages = &profile.rule.messages;
    // The built-in has none, and its signature base holds nothing secret.
    let in_messages = !messages.is_empty() && messages.iter().all(|message| has_credential(message));
    if !has_credential(&profile.key.material) && !in_messages {
        let message = "the key can be made of nothing secret: everybody could sign";
        return Err(BadProfile::new(at("material"), message, "write {secret}, or an attribute that is always there, into material"));
    }
    for derive in &profile.key.derive {
        let Derive::Each(list) = derive else { continue };
        let values = match list.steps.last() {
            Some(Step::Split(with)) if with.len() == 1 => list.info.alphabet.minus(Alphabet::of(with)),
            _ => list.info.alphabet,
        };
        let is_none = |message: &Template| message.iter().any(|piece| matches!(piece, Piece::Text(text) if !values.contains_all(text)));
        if !profile.rule.messages.iter().all(is_none) {
            let message =
                "a string to sign could be a value of the list that the key is derived by: its MAC would be the key of a longer list";
            return Err(BadProfile::new(at("each:"), message, "write a text into message that no value of the list can hold, such as \\n"));
        }
    }
    Ok(())
}

/// Whether a text holds a part of the credential whatever the request and the credential are.
fn has_credential(template: &[Piece]) -> bool {
    template.iter().any(|piece| match piece {
        Piece::Text(_) => false,
        Piece::Value(expr) => is_credential(expr),
        // One of two ways is always taken.
        Piece::When { condition, holds, then } => {
            let is_other = |piece: &Piece| {
                matches!(piece, Piece::When { condition: same, holds: held, then } if same == condition && held != holds && has_credential(then))
            };
            has_credential(then) && template.iter().any(is_other)
        }
    })
}

/// Whether a value is a part of the credential, and so is all that may stand in for it: filters can make the credential absent.
fn is_credential(expr: &Expr) -> bool {
    matches!(expr.source, Source::Secret | Source::Attribute(_))
        && expr.steps.iter().all(|step| match step {
            Step::Or(other) => is_credential(other),
            Step::Default(_) => false,
            _ => true,
        })
}

/// What a raw query is made of, without what separates its parameters.
const SENT: Alphabet = Alphabet::VISIBLE.minus(Alphabet::of(b"&"));

/// Whether one value can be what several are joined to. Lines of one header mean the same as one line in which commas stand
/// between them (RFC 9110 section 5.3).
fn joins_in_two_ways(collection: &Collection) -> bool {
    let Some(with) = collection.repeated.joins_with() else { return false };
    let is_comma = with.trim_ascii() == b",";
    let is_held = |from: &Origin| values_of(collection, *from).contains_all(with);
    collection.from.iter().any(|from| is_held(from) && !(is_comma && *from == Origin::Headers))
}

/// Every two items of a collection that can stand behind each other, as templates over what names and values can be made of.
fn two_items(collection: &Collection) -> Vec<Template> {
    let joined = collection.repeated.joins_with().map_or(Alphabet::NONE, Alphabet::of);
    let (mut names, mut values, mut pairs) = (Alphabet::NONE, joined, Alphabet::NONE);
    for from in &collection.from {
        let (name, pair) = match from {
            Origin::Headers => (collection.header_names(), Alphabet::NONE),
            Origin::RawQuery => (SENT.minus(Alphabet::of(b"=")), SENT),
            Origin::Query | Origin::Form | Origin::Map(_) => (Alphabet::ALL, Alphabet::ALL),
        };
        names = names.union(collection.name.iter().fold(name, |alphabet, filter| filter.alphabet(alphabet)));
        values = values.union(values_of(collection, *from));
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
    let forms: Vec<Template> = [Some(&collection.item), collection.item_empty.as_ref()]
        .into_iter()
        .flatten()
        .map(|item| item.iter().map(piece).collect())
        .chain(collection.pseudo.iter().map(|(_, template)| template.clone()))
        .collect();
    let join = (!collection.join.is_empty()).then(|| Piece::Text(collection.join.clone()));
    let two = |first: &Template, second: &Template| first.iter().chain(&join).chain(second).cloned().collect();
    forms.iter().flat_map(|first| forms.iter().map(move |second| (first, second))).map(|(first, second)| two(first, second)).collect()
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
    uses = uses.max(template(&profile.key.material));
    for derive in &profile.key.derive {
        uses = uses.max(match derive {
            Derive::Text(text) => template(text),
            Derive::Each(expr) => of(expr),
        });
    }
    if let Some((expr, _)) = &profile.rule.chosen {
        uses = uses.max(of(expr));
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

/// What the time check and the replay check trust, with all that it is made of: nothing of it may move.
fn trusted(profile: &Profile) -> Parts {
    trusted_exprs(profile).fold(Parts::NONE, |parts, expr| parts.and(read_from(profile, expr)))
}

/// What the time check and the replay check read.
fn checked(profile: &Profile) -> Parts {
    // Which of several alternatives counts, each request says.
    let of_let = |expr: &Expr| match expr.source {
        Source::Let(_) => leaves(profile, expr).into_iter().fold(Parts::NONE, |parts, leaf| parts.and(trusted_with(profile, leaf))),
        _ => trusted_with(profile, expr),
    };
    // An end or a window that is absent is trusted to be, and so is whatever something else stands in for.
    let may_be_absent = profile
        .time
        .iter()
        .flat_map(|time| time.expires.iter().filter(|_| time.at.is_some()).chain(time.window.iter().map(|window| &window.from)));
    let hiding = may_be_absent.fold(Parts::NONE, |parts, expr| parts.and(profile.hiding(expr)));
    trusted_exprs(profile).fold(hiding, |parts, expr| parts.and(of_let(expr)).and(profile.giving_way(expr)))
}

fn trusted_exprs(profile: &Profile) -> impl Iterator<Item = &Expr> {
    let time =
        profile.time.iter().flat_map(|time| time.at.iter().chain(&time.expires).chain(time.window.iter().map(|window| &window.from)));
    time.chain(&profile.replay.once).chain(&profile.replay.counter)
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
