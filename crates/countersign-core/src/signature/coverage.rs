//! Which parts of a request a signature reaches. What is checked must be what was signed.

use std::fmt;

/// A set of parts of a request: the named ones, and the header slots of one profile. Fixed size, so that keeping it costs
/// nothing on the data path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts(u64);

/// The index of a header in the list that a profile reads. At most [`Slot::MOST`] of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(pub(crate) u8);

impl Slot {
    /// How many headers one profile may read.
    pub const MOST: usize = 56;
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
    /// What every signature must reach, unless its profile names it as uncovered. (The scheme need not be: it is ours to know.)
    pub const REQUIRED: Self = Self(0b10_1111);

    const NAMES: [(Self, &'static str); 6] = [
        (Self::METHOD, "method"),
        (Self::PATH, "path"),
        (Self::QUERY, "query"),
        (Self::HOST, "host"),
        (Self::SCHEME, "scheme"),
        (Self::BODY, "body"),
    ];

    /// The set of one header.
    pub const fn header(slot: Slot) -> Self {
        Self(1 << (8 + slot.0 % 56))
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

    /// The names of the parts, without headers.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(part, _)| part.without(self).is_empty()).map(|(_, name)| name)
    }
}

/// The named parts, joined by commas; a header shows as `a header`.
impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = (self.0 >> 8 != 0).then_some("a header");
        for (i, name) in self.names().chain(header).enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

/// Where a value was read from, and whether all of that reached it. A value that was cut or picked from a part covers the
/// part only in part, and that is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Provenance {
    /// The parts that were read.
    pub parts: Parts,
    /// Whether something of them was left out on the way.
    pub partly: bool,
}

/// What the MAC of one request reached so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    whole: Parts,
    partly: Parts,
}

impl Coverage {
    /// Adds a value that goes into the string to sign.
    pub const fn add(&mut self, from: Provenance) {
        if from.partly {
            self.partly = self.partly.and(from.parts);
        } else {
            self.whole = self.whole.and(from.parts);
        }
    }

    /// The parts of which every byte was signed.
    pub const fn whole(self) -> Parts {
        self.whole
    }

    /// The parts of which only something was signed.
    pub const fn partly(self) -> Parts {
        self.partly.without(self.whole)
    }

    /// What of `needed` was not signed.
    pub const fn lacks(self, needed: Parts) -> Parts {
        needed.without(self.whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_covered_only_when_all_of_it_was_signed() {
        let mut coverage = Coverage::default();
        coverage.add(Provenance { parts: Parts::PATH.and(Parts::QUERY), partly: false });
        coverage.add(Provenance { parts: Parts::BODY.and(Parts::PATH), partly: true });
        assert_eq!(coverage.lacks(Parts::REQUIRED).to_string(), "method, host, body");
        assert_eq!(coverage.partly(), Parts::BODY);
    }

    #[test]
    fn every_slot_is_a_part_of_its_own() {
        let mut seen = Parts::REQUIRED.and(Parts::SCHEME);
        for slot in 0..Slot::MOST {
            let header = Parts::header(Slot(u8::try_from(slot).unwrap()));
            assert_eq!(header.without(seen), header, "slot {slot}");
            seen = seen.and(header);
        }
        assert_eq!(seen.without(Parts::REQUIRED).to_string(), "scheme, a header");
    }
}
