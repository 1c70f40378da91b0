//! Which parts of a request a signature reaches. What is checked must be what was signed.

use std::fmt;

/// A set of sources: the named parts of a request, and the slots of one profile (the headers, parameters, fields and members
/// that it names). Fixed size, so that keeping it costs nothing on the data path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts(u64);

/// The index of a source in the list that a profile names. At most [`Slot::MOST`] of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot(pub(crate) u8);

impl Slot {
    /// How many headers, parameters, fields and members one profile may name.
    pub const MOST: usize = 53;
}

impl Parts {
    /// No part.
    pub const NONE: Self = Self(0);
    /// The method.
    pub const METHOD: Self = Self(1);
    /// The path.
    pub const PATH: Self = Self(1 << 1);
    /// The query.
    pub const QUERY: Self = Self(1 << 2);
    /// The host.
    pub const HOST: Self = Self(1 << 3);
    /// The scheme.
    pub const SCHEME: Self = Self(1 << 4);
    /// The body.
    pub const BODY: Self = Self(1 << 5);
    /// Not read from a request: that a signature has no time of its own. Only ever named as uncovered.
    pub const TIME: Self = Self(1 << 6);
    /// The host without its port. Together with the port it is the host.
    pub const HOST_NAME: Self = Self(1 << 61);
    /// The port.
    pub const PORT: Self = Self(1 << 62);
    /// Something that has no slot of its own. It can go into a MAC, but what was checked with it is never known to be signed.
    pub const UNTRACED: Self = Self(1 << 63);
    /// Not read from a request: that bytes could move from one value of the message to its neighbour. Only ever named as uncovered.
    pub const BOUNDARY: Self = Self(1 << 7);
    /// What every signature must reach, unless its profile names it as uncovered. (The scheme need not be: it is ours to know.)
    pub const REQUIRED: Self = Self(0b10_1111);

    const NAMES: [(Self, &'static str); 8] = [
        (Self::METHOD, "method"),
        (Self::PATH, "path"),
        (Self::QUERY, "query"),
        (Self::HOST, "host"),
        (Self::SCHEME, "scheme"),
        (Self::BODY, "body"),
        (Self::TIME, "time"),
        (Self::BOUNDARY, "boundary"),
    ];

    /// The set of one slot.
    pub const fn slot(slot: Slot) -> Self {
        Self(1 << (8 + slot.0 % 53))
    }

    /// Parts that are never named as uncovered, with what they are called when they lack.
    const OTHERS: [(Self, &'static str); 3] =
        [(Self::HOST_NAME, "host_name"), (Self::PORT, "port"), (Self::UNTRACED, "several headers or parameters")];

    /// The part with this name, of those that a profile may leave uncovered.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(part, known)| *known == name && *part != Self::SCHEME).map(|(part, _)| part)
    }

    /// The parts of either set.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The parts of this set that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether no part is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every part of `other` is in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of the parts, without slots.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(part, _)| self.contains(*part)).map(|(_, name)| name)
    }

    /// The names of the parts that stand beside the others, for those who explain what lacks.
    pub(super) fn other_names(self) -> impl Iterator<Item = &'static str> {
        Self::OTHERS.into_iter().filter(move |(part, _)| self.contains(*part)).map(|(_, name)| name)
    }

    /// The slots in the set.
    pub fn slots(self) -> impl Iterator<Item = Slot> {
        (0..53u8).map(Slot).filter(move |slot| self.contains(Self::slot(*slot)))
    }
}

/// The named parts, joined by commas; a slot shows as `a field of the signature`.
impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slot = (self.0 >> 8 != 0).then_some("a field of the signature");
        for (i, name) in self.names().chain(slot).enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

/// Where a value was read from, and whether all of that reached it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Provenance {
    /// What the expression itself read: the source that a check would trust.
    pub direct: Parts,
    /// The sources that are in the value in full, up to the canonical form of the scheme.
    pub whole: Parts,
    /// The sources that something was left out of on the way. Not good enough.
    pub partly: Parts,
}

impl Provenance {
    /// Of something that has no slot.
    pub const UNTRACED: Self = Self { direct: Parts::UNTRACED, whole: Parts::NONE, partly: Parts::NONE };

    /// Of nothing: text that the profile says itself.
    pub const NONE: Self = Self { direct: Parts::NONE, whole: Parts::NONE, partly: Parts::NONE };

    /// Of a source that was read in full.
    pub const fn of(parts: Parts) -> Self {
        Self { direct: parts, whole: parts, partly: Parts::NONE }
    }

    /// The same when something was left out.
    #[must_use]
    pub const fn cut(self) -> Self {
        Self { direct: self.direct, whole: Parts::NONE, partly: self.partly.and(self.whole) }
    }

    /// Of two values together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { direct: self.direct.and(other.direct), whole: self.whole.and(other.whole), partly: self.partly.and(other.partly) }
    }
}

/// What the MAC of one request reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    whole: Parts,
    partly: Parts,
}

impl Coverage {
    /// Adds a value that goes into the MAC.
    pub const fn add(&mut self, from: Provenance) {
        // What has no slot is never known to be signed, whatever may be read of it.
        self.whole = self.whole.and(from.whole.without(Parts::UNTRACED));
        if self.whole.contains(Parts::HOST_NAME.and(Parts::PORT)) {
            self.whole = self.whole.and(Parts::HOST);
        }
        if self.whole.contains(Parts::HOST) {
            self.whole = self.whole.and(Parts::HOST_NAME).and(Parts::PORT);
        }
        self.partly = self.partly.and(from.partly);
    }

    /// The parts of which every byte was signed.
    pub const fn whole(self) -> Parts {
        self.whole
    }

    /// The parts of which only something was signed.
    pub const fn partly(self) -> Parts {
        self.partly.without(self.whole)
    }

    /// What of `needed` was not signed, when `parent` says what a slot is a part of: a parameter that is not signed by itself
    /// is signed when its query is, and a field when all that it was read from is.
    pub fn lacks(self, needed: Parts, parent: &impl Fn(Slot) -> Option<Parts>) -> Parts {
        let mut lacks = needed.without(self.whole);
        // Nearly always nothing is left by now.
        if !lacks.is_empty() {
            for slot in lacks.slots() {
                if self.reaches(slot, parent, 8) {
                    lacks = lacks.without(Parts::slot(slot));
                }
            }
        }
        lacks
    }

    fn reaches(self, slot: Slot, parent: &impl Fn(Slot) -> Option<Parts>, deep: u8) -> bool {
        let Some(deeper) = deep.checked_sub(1) else { return false };
        let Some(parts) = parent(slot) else { return false };
        let open = parts.without(self.whole);
        open.slots().all(|slot| self.reaches(slot, parent, deeper)) && open.without(of_slots(open)).is_empty()
    }
}

/// The slots of a set, without its named parts: some of those stand below the slots and some above.
const fn of_slots(parts: Parts) -> Parts {
    Parts(parts.0 & (((1 << Slot::MOST) - 1) << 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_covered_only_when_all_of_it_was_signed() {
        let mut coverage = Coverage::default();
        coverage.add(Provenance::of(Parts::PATH.and(Parts::QUERY)));
        coverage.add(Provenance::of(Parts::BODY.and(Parts::PATH)).cut());
        assert_eq!(coverage.lacks(Parts::REQUIRED, &|_| None).to_string(), "method, host, body");
        assert_eq!(coverage.partly(), Parts::BODY);
    }

    #[test]
    fn a_slot_is_signed_with_what_it_is_a_part_of() {
        let (field, member, header) = (Slot(0), Slot(1), Slot(2));
        let parent = |slot: Slot| match slot.0 {
            0 => Some(Parts::slot(member)),
            1 => Some(Parts::slot(header).and(Parts::QUERY)),
            _ => None,
        };
        let needed = Parts::slot(field);
        let lacks = |whole: Parts| Coverage { whole, partly: Parts::NONE }.lacks(needed, &parent);
        assert_eq!(lacks(Parts::slot(field)), Parts::NONE);
        assert_eq!(lacks(Parts::slot(member)), Parts::NONE);
        assert_eq!(lacks(Parts::slot(header).and(Parts::QUERY)), Parts::NONE);
        assert_eq!(lacks(Parts::slot(header)), needed);
        assert_eq!(lacks(Parts::QUERY), needed);
        // Nor with less than all of it, whichever part that is.
        for part in [Parts::UNTRACED, Parts::PORT, Parts::HOST_NAME, Parts::HOST, Parts::BODY] {
            let parent = |slot: Slot| (slot == field).then_some(part.and(Parts::slot(header)));
            let coverage = Coverage { whole: Parts::slot(header), partly: Parts::NONE };
            assert_eq!(coverage.lacks(needed, &parent), needed, "{part:?}");
        }
        // A circle ends.
        assert_eq!(Coverage::default().lacks(needed, &|slot| Some(Parts::slot(slot))), needed);
    }

    #[test]
    fn every_slot_is_a_part_of_its_own() {
        let mut seen = Parts::REQUIRED.and(Parts::SCHEME).and(Parts::TIME).and(Parts::BOUNDARY);
        for slot in 0..Slot::MOST {
            let part = Parts::slot(Slot(u8::try_from(slot).unwrap()));
            assert_eq!(part.without(seen), part, "slot {slot}");
            seen = seen.and(part);
        }
        assert_eq!(seen.without(Parts::REQUIRED).to_string(), "scheme, time, boundary, a field of the signature");
        assert_eq!(seen.slots().count(), Slot::MOST);
    }
}
