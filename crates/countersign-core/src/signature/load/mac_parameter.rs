//! The query parameter that carries the MAC. No signature can hold its own MAC, so a collection may leave this parameter out and
//! still sign the whole query, if there is nothing else in it, or if what else there is in it is signed by itself.

use super::super::coverage::{Parts, Slot};
use super::super::expression::{Expr, Source, Step, info_of};
use super::super::profile::Profile;
use super::super::rules::{Derive, Field, FieldSource};
use super::super::slots::{SlotSource, Slots};
use super::BadProfile;

/// A parameter that holds nothing but the MAC, or the MAC among the members of one pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MacParameter {
    pub(super) name: Box<str>,
    /// The map field that it is picked into, and the slot of the member that is the MAC.
    map: Option<(usize, Slot)>,
}

impl MacParameter {
    /// The parameter that the field at `mac` is read from. None when the MAC may stand elsewhere as well, or when something of
    /// the parameter is dropped on the way: then not all of it is the MAC.
    pub(super) fn find(fields: &[Field], slots: &Slots, mac: usize) -> Option<Self> {
        let (mut index, mut map) = (mac, None::<(usize, Slot)>);
        // A field reads only those above it, so this ends.
        loop {
            let FieldSource::Expr(expr) = &fields.get(index)?.from else { return None };
            let steps = match (map.is_some_and(|(map, _)| map == index), expr.steps.split_last()) {
                (false, _) => &*expr.steps,
                (true, Some((Step::Pick(_), before))) => before,
                (true, _) => return None,
            };
            if !steps.iter().all(keeps_all) {
                return None;
            }
            index = match expr.source {
                Source::Field(next) => next,
                Source::Member(next, slot) if map.is_none() => map.insert((next, slot)).0,
                Source::QueryParameter(slot) => {
                    let Some(SlotSource::Query(name)) = slots.get(slot) else { return None };
                    return Some(Self { name: name.clone(), map });
                }
                _ => return None,
            };
        }
    }

    /// What stands in the parameter beside the MAC and the key id, and has to be signed by itself. The key id need not be:
    /// under another key id, another secret has to verify.
    pub(super) fn beside(&self, profile: &Profile, at: std::ops::Range<usize>) -> Result<Parts, BadProfile> {
        let Some((map, mac)) = self.map else { return Ok(Parts::NONE) };
        let Some(pattern) = profile.fields.get(map).and_then(pattern_of) else { return Ok(Parts::NONE) };
        let key_id = match profile.key_id.and_then(|index| profile.fields.get(index)).map(|field| &field.from) {
            Some(FieldSource::Expr(Expr { source: Source::Member(_, slot), steps, .. })) if steps.iter().all(keeps_all) => Some(*slot),
            _ => None,
        };
        let derived = profile.key.derive.iter().map(|derive| match derive {
            Derive::Text(template) => info_of(template).reads,
            Derive::Each(expr) => expr.info.reads,
        });
        let messages = profile.rule.messages.iter().map(|message| info_of(message).reads);
        let signed = derived.chain(messages).fold(Parts::NONE, Parts::and);
        let mut beside = Parts::NONE;
        for name in pattern.names() {
            let slot = profile.slots.find(&SlotSource::Member(map, name.to_ascii_lowercase().into()));
            if slot.is_some_and(|slot| slot == mac || Some(slot) == key_id) {
                continue;
            }
            match slot.map(Parts::slot).filter(|slot| signed.contains(*slot)) {
                Some(slot) => beside = beside.and(slot),
                None => {
                    let parameter = &self.name;
                    return Err(BadProfile::new(
                        at,
                        format!("the parameter {parameter} is left out as the MAC, and what else stands in it is not signed: {name}"),
                        format!("put {name} into message, or send it in a parameter of its own"),
                    ));
                }
            }
        }
        Ok(beside)
    }
}

/// Whether what comes out of a step tells all that went in, up to how it is written, wherever it was read.
fn keeps_all(step: &Step) -> bool {
    matches!(step, Step::Filter(filter) if !filter.can_cut())
}

fn pattern_of(field: &Field) -> Option<&super::super::pick::Pattern> {
    match &field.from {
        FieldSource::Expr(expr) => match expr.steps.last() {
            Some(Step::Pick(pattern)) => Some(pattern),
            _ => None,
        },
        FieldSource::Builtin(_) => None,
    }
}
