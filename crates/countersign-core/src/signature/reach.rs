//! How much of its sources a collection reaches: what it leaves out is not signed.

use std::collections::VecDeque;

use super::bytes::Bytes;
use super::collect::{Gathered, filtered};
use super::collection::{Missing, Origin, Repeated};
use super::coverage::{Parts, Provenance};
use super::items::Item;
use super::parameters;
use super::slots::SlotSource;
use super::value::Data;

impl<'v> Gathered<'_, '_, 'v> {
    /// Whether something that is not the MAC is left out by its name: the MAC is one parameter of the query. One of the same name in
    /// a form, or a second one in the query that is written otherwise, is not read as the MAC.
    pub(super) fn leaves_out(&self, from: Origin, found: &VecDeque<Item<'v>>) -> bool {
        let mut may_be_mac = matches!(from, Origin::Query | Origin::RawQuery);
        found.iter().filter(|item| !self.wants(item.name.as_slice())).any(|item| {
            let has_its_name = self.collection.spares.as_deref().is_some_and(|name| name.as_bytes() == item.name.as_slice());
            !(has_its_name && std::mem::take(&mut may_be_mac))
        })
    }

    pub(super) fn wants(&self, name: &[u8]) -> bool {
        let collection = self.collection;
        !collection.exclude.iter().any(|excluded| excluded.as_bytes() == name)
            && (collection.prefixes.is_empty() || collection.prefixes.iter().any(|prefix| name.starts_with(prefix.as_bytes())))
    }

    /// Whether one of the values of a name does not get into the text, or the text would be the same without them.
    pub(super) fn drops(&self, values: &[Bytes<'v>]) -> bool {
        let written = |value: &Bytes<'v>| filtered(&self.collection.value, value.clone()).map(|value| value.as_slice().to_vec());
        // What is listed and absent is written as if it was there and empty.
        if self.collection.names.is_some() && self.collection.missing == Missing::Empty {
            let absent = written(&Bytes::Lent(b""));
            if !values.is_empty() && values.iter().all(|value| written(value) == absent) {
                return true;
            }
        }
        match self.collection.repeated {
            Repeated::First => values.len() > 1,
            // A value that came twice is written once: how often it came is not signed.
            Repeated::Unique => {
                let mut distinct: Vec<_> = values.iter().map(written).collect();
                distinct.sort();
                distinct.dedup();
                distinct.len() < values.len()
            }
            Repeated::Each | Repeated::Join(_) | Repeated::SortedJoin(_) | Repeated::Refuse => false,
        }
    }

    /// What of a source that has more than what was taken is now covered. Names that are `absent` from the text were left out
    /// or skipped.
    pub(super) fn reached(&mut self, from: Origin, all: bool, absent: &[Bytes<'v>]) {
        let profile = self.context.profile;
        let (parts, is_mine): (Parts, fn(&SlotSource) -> Option<&str>) = match from {
            Origin::Query | Origin::RawQuery => (Parts::QUERY, |source| match source {
                SlotSource::Query(name) => Some(name),
                _ => None,
            }),
            Origin::Form if self.context.form().is_some() => (Parts::BODY, |source| match source {
                SlotSource::Form(name) => Some(name),
                _ => None,
            }),
            // Its members are covered one by one. What is trusted is the map.
            Origin::Map(index) => return self.from.direct = self.from.direct.and(profile.field_slot(index)),
            // That the body is no form is said by a header.
            Origin::Form => return self.from.direct = self.from.direct.and(Parts::UNTRACED),
            Origin::Headers => return,
        };
        if all {
            self.from = self.from.and(Provenance::of(parts));
            return;
        }
        self.from = self.from.and(Provenance::of(parts).cut());
        if !self.collection.prefixes.is_empty()
            || self.collection.names.is_some()
            || self.collection.cuts
            || self.collection.repeated != Repeated::Each
        {
            return;
        }
        // What was taken is covered by itself.
        for (slot, source) in profile.slots.iter() {
            // A raw query has names as they were sent.
            let is_same = |sent: &Bytes<'v>, name: &str| {
                let decoded = |plus| parameters::decode(sent.as_slice(), plus).as_slice() == name.as_bytes();
                sent.as_slice() == name.as_bytes() || from == Origin::RawQuery && (decoded(false) || decoded(true))
            };
            let is_written = |name: &str| self.wants(name.as_bytes()) && !absent.iter().any(|sent| is_same(sent, name));
            if is_mine(source).is_some_and(is_written) {
                self.from = self.from.and(Provenance::of(Parts::slot(slot)));
            }
        }
    }

    /// The members of a map that were taken, as they were before any filter, are covered, in it and in the maps that it was made of:
    /// if none of that name in any case was left, or left out of the text, and each of these maps has the same ones.
    pub(super) fn members(&mut self, from: Origin, taken: &[(Bytes<'v>, Bytes<'v>)], left: &[Bytes<'v>]) {
        let Origin::Map(mut index) = from else { return };
        for _ in 0..4 {
            for (slot, source) in self.context.profile.slots.iter() {
                if let SlotSource::Member(of, name) = source
                    && *of == index
                    && !is_among(left, name)
                    && self.has_only(index, taken, name)
                {
                    self.from = self.from.and(Provenance::of(Parts::slot(slot)));
                }
            }
            let origin = self.context.fields.get(index).and_then(Option::as_ref).map(|value| value.from.direct);
            let next = origin.and_then(|direct| {
                direct.slots().find_map(|slot| match self.context.profile.slots.get(slot) {
                    Some(SlotSource::Field(index)) => Some(*index),
                    _ => None,
                })
            });
            match next {
                Some(next) => index = next,
                None => return,
            }
        }
    }

    /// Whether a map has members of this name, and they are those that were taken.
    fn has_only(&self, map: usize, taken: &[(Bytes<'v>, Bytes<'v>)], name: &str) -> bool {
        let Some(Data::Map(members)) = self.context.fields.get(map).and_then(Option::as_ref).map(|map| &map.data) else { return false };
        let named = |(known, _): &&(Bytes<'v>, Bytes<'v>)| known.as_slice().eq_ignore_ascii_case(name.as_bytes());
        let same = |(a, b): (&(Bytes<'v>, Bytes<'v>), &(Bytes<'v>, Bytes<'v>))| {
            a.0.as_slice() == b.0.as_slice() && a.1.as_slice() == b.1.as_slice()
        };
        let (there, written) = (members.iter().filter(named), taken.iter().filter(named));
        there.clone().next().is_some() && there.clone().count() == written.clone().count() && there.zip(written).all(same)
    }
}

/// Whether a member of this name is among those, in any case: so members are read.
fn is_among(names: &[Bytes<'_>], wanted: &str) -> bool {
    names.iter().any(|name| name.as_slice().eq_ignore_ascii_case(wanted.as_bytes()))
}
