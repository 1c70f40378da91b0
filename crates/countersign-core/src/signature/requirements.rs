//! What a request must hold beside its MAC, and the coverage rule: what is checked is what was signed.

use super::coverage::{Coverage, Parts, Provenance, Slot};
use super::evaluate::Context;
use super::expression::Expr;
use super::fields::Fields;
use super::message_signatures;
use super::profile::Profile;
use super::rules::{Require, Requirement};
use super::slots::SlotSource;
use super::value::{Data, Value};
use crate::code::{Code, Refusal};
use crate::secret::same_bytes;

impl Profile {
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

impl Fields<'_> {
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
    pub(super) fn hold_to_coverage(&self, context: &Context<'_, '_>, coverage: Coverage, once: Parts) -> Result<(), Refusal> {
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
    pub(super) fn read_one(&self, expr: &Expr) -> Result<Option<Vec<u8>>, Refusal> {
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
