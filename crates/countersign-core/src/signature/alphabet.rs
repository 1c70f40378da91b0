//! Sets of bytes: what a value can be made of, known before any request comes.

use std::fmt;

/// A set of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Alphabet {
    low: u128,
    high: u128,
}

impl Alphabet {
    pub(super) const NONE: Self = Self { low: 0, high: 0 };
    pub(super) const ALL: Self = Self { low: u128::MAX, high: u128::MAX };
    /// Letters, digits and marks of ASCII: what a request target is made of, and more.
    pub(super) const VISIBLE: Self = Self::range(0x21, 0x7e);
    /// What the value of a header is made of: any byte but controls; a tab is none (RFC 9110 section 5.5).
    pub(super) const HEADER: Self = Self::range(0x20, 0xff).minus(Self::of(&[0x7f])).union(Self::of(b"\t"));
    pub(super) const DIGITS: Self = Self::range(b'0', b'9');
    pub(super) const UPPER: Self = Self::range(b'A', b'Z');
    pub(super) const LOWER: Self = Self::range(b'a', b'z');
    pub(super) const ALPHANUMERIC: Self = Self::DIGITS.union(Self::UPPER).union(Self::LOWER);

    /// These bytes.
    pub(super) const fn of(bytes: &[u8]) -> Self {
        let (mut set, mut rest) = (Self::NONE, bytes);
        while let Some((byte, after)) = rest.split_first() {
            set = set.union(Self::one(*byte));
            rest = after;
        }
        set
    }

    /// From `first` to `last`, both of them in it.
    pub(super) const fn range(first: u8, last: u8) -> Self {
        let (mut set, mut byte) = (Self::NONE, first);
        while byte <= last {
            set = set.union(Self::one(byte));
            match byte.checked_add(1) {
                Some(next) => byte = next,
                None => break,
            }
        }
        set
    }

    const fn one(byte: u8) -> Self {
        if byte < 128 { Self { low: 1 << byte, high: 0 } } else { Self { low: 0, high: 1 << (byte - 128) } }
    }

    #[must_use]
    pub(super) const fn union(self, other: Self) -> Self {
        Self { low: self.low | other.low, high: self.high | other.high }
    }

    #[must_use]
    pub(super) const fn minus(self, other: Self) -> Self {
        Self { low: self.low & !other.low, high: self.high & !other.high }
    }

    /// Whether any byte is in both.
    pub(super) const fn meets(self, other: Self) -> bool {
        self.low & other.low != 0 || self.high & other.high != 0
    }

    pub(super) const fn contains(self, byte: u8) -> bool {
        self.meets(Self::one(byte))
    }

    pub(super) const fn contains_all(self, bytes: &[u8]) -> bool {
        let missing = Self::of(bytes).minus(self);
        missing.low == 0 && missing.high == 0
    }

    /// How many bytes are in it.
    pub(super) const fn count(self) -> u32 {
        self.low.count_ones() + self.high.count_ones()
    }

    /// The same set as a table, to look up many bytes in.
    pub(super) const fn table(self) -> [bool; 256] {
        let (mut table, mut byte) = ([false; 256], 0_u8);
        loop {
            #[expect(clippy::indexing_slicing, reason = "the table has a place for each byte")]
            {
                table[byte as usize] = self.contains(byte);
            }
            match byte.checked_add(1) {
                Some(next) => byte = next,
                None => return table,
            }
        }
    }

    /// The longest ranges that make up the set, in order.
    fn ranges(self) -> impl Iterator<Item = (u8, u8)> {
        let inside = move |byte: Option<u8>| byte.is_some_and(|byte| self.contains(byte));
        let starts = (0..=255_u8).filter(move |byte| self.contains(*byte) && !inside(byte.checked_sub(1)));
        let ends = (0..=255_u8).filter(move |byte| self.contains(*byte) && !inside(byte.checked_add(1)));
        starts.zip(ends)
    }
}

/// For people: `0-9 A-F`. A space is `space`, and a set of most bytes is said by what is not in it: `any byte but \n`.
impl fmt::Display for Alphabet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("any byte");
        }
        let set = if self.count() > 128 {
            f.write_str("any byte but ")?;
            Self::ALL.minus(*self)
        } else {
            *self
        };
        for (i, (first, last)) in set.ranges().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            write_byte(first, f)?;
            if last > first {
                f.write_str(if last == first + 1 { " " } else { "-" })?;
                write_byte(last, f)?;
            }
        }
        Ok(())
    }
}

fn write_byte(byte: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match byte {
        b' ' => f.write_str("space"),
        b'"' | b'\'' | b'\\' => write!(f, "{}", char::from(byte)),
        _ => write!(f, "{}", byte.escape_ascii()),
    }
}

impl fmt::Debug for Alphabet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alphabet({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn header_values_hold_no_line_breaks() {
        for byte in *b"\r\n\0\x7f\x01" {
            assert!(!Alphabet::HEADER.contains(byte), "{byte}");
        }
        assert!(Alphabet::HEADER.contains_all(b"\t ~\x80\xff"));
        assert!(!Alphabet::VISIBLE.contains(b' '));
        assert_eq!(Alphabet::VISIBLE.count(), 94);
    }

    #[test]
    fn sets_are_said_in_ranges() {
        for (set, said) in [
            (Alphabet::ALPHANUMERIC.union(Alphabet::of(b"_-")), "- 0-9 A-Z _ a-z"),
            (Alphabet::of(b" \n'ab"), "\\n space ' a b"),
            (Alphabet::ALL.minus(Alphabet::of(b"\n")), "any byte but \\n"),
            (Alphabet::ALL, "any byte"),
            (Alphabet::range(0x80, 0xff), "\\x80-\\xff"),
            (Alphabet::NONE, ""),
        ] {
            assert_eq!(set.to_string(), said);
        }
    }

    proptest! {
        #[test]
        fn a_set_holds_what_was_put_in(in_it in proptest::collection::vec(any::<u8>(), 0..40), taken in proptest::collection::vec(any::<u8>(), 0..10)) {
            let set = Alphabet::of(&in_it);
            let rest = set.minus(Alphabet::of(&taken));
            prop_assert!(set.contains_all(&in_it));
            for byte in 0..=255 {
                prop_assert_eq!(set.contains(byte), in_it.contains(&byte));
                prop_assert_eq!(set.table()[usize::from(byte)], in_it.contains(&byte));
                prop_assert_eq!(rest.contains(byte), in_it.contains(&byte) && !taken.contains(&byte));
            }
            prop_assert_eq!(set.meets(Alphabet::of(&taken)), in_it.iter().any(|byte| taken.contains(byte)));
        }
    }
}
