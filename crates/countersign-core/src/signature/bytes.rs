//! The bytes of a value: lent from the request where possible, and in place up to 64 of them.

use std::ops::Range;

/// How many bytes are kept without an allocation: a SHA-512, or a SHA-256 in hexadecimal.
const IN_PLACE: usize = 64;

/// Bytes, lent where possible. They may be those of a secret, so they cannot be printed.
#[derive(Clone)]
pub(super) enum Bytes<'v> {
    Lent(&'v [u8]),
    Short([u8; IN_PLACE], u8),
    Long(Vec<u8>),
}

impl<'v> Bytes<'v> {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Short(bytes, length) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }

    /// As many bytes as `bytes` gives.
    pub(super) fn collect(bytes: impl ExactSizeIterator<Item = u8>) -> Self {
        if bytes.len() > IN_PLACE {
            return Self::Long(bytes.collect());
        }
        let (mut short, mut length) = ([0; IN_PLACE], 0);
        for (to, from) in short.iter_mut().zip(bytes) {
            *to = from;
            length += 1;
        }
        Self::Short(short, length)
    }

    /// A copy.
    pub(super) fn from_slice(bytes: &[u8]) -> Self {
        let mut copy = Growing::with_room(bytes.len());
        copy.extend(bytes);
        copy.finish()
    }

    /// A piece. What of `range` is out of range is not there. Lent bytes stay lent.
    pub(super) fn sub(self, range: Range<usize>) -> Self {
        let end = range.end.min(self.as_slice().len());
        let range = range.start.min(end)..end;
        match self {
            Self::Lent(bytes) => Self::Lent(bytes.get(range).unwrap_or_default()),
            Self::Short(..) => Self::from_slice(self.as_slice().get(range).unwrap_or_default()),
            Self::Long(mut bytes) => {
                bytes.truncate(range.end);
                bytes.drain(..range.start);
                Self::Long(bytes)
            }
        }
    }

    /// The same bytes, lent from nobody.
    pub(super) fn into_static(self) -> Bytes<'static> {
        match self {
            Self::Lent(bytes) => Bytes::from_slice(bytes),
            Self::Short(bytes, length) => Bytes::Short(bytes, length),
            Self::Long(bytes) => Bytes::Long(bytes),
        }
    }
}

impl From<Vec<u8>> for Bytes<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Long(bytes)
    }
}

/// Bytes that are being written, when nobody knows beforehand how many there will be.
pub(super) struct Growing(Bytes<'static>);

impl Growing {
    /// Nothing yet. With room for more than 64 bytes the one allocation is made now.
    pub(super) fn with_room(length: usize) -> Self {
        Self(if length > IN_PLACE { Bytes::Long(Vec::with_capacity(length)) } else { Bytes::Short([0; IN_PLACE], 0) })
    }

    pub(super) fn push(&mut self, byte: u8) {
        self.extend(&[byte]);
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        let (old, end) = match &mut self.0 {
            Bytes::Long(long) => return long.extend_from_slice(bytes),
            Bytes::Short(short, length) => {
                let start = usize::from(*length);
                let end = start.saturating_add(bytes.len());
                match (short.get_mut(start..end), u8::try_from(end)) {
                    (Some(to), Ok(end)) => {
                        to.copy_from_slice(bytes);
                        *length = end;
                        return;
                    }
                    _ => (short.get(..start).unwrap_or_default(), end),
                }
            }
            Bytes::Lent(old) => (*old, old.len().saturating_add(bytes.len())),
        };
        let mut long = Vec::with_capacity(end.saturating_mul(2));
        long.extend_from_slice(old);
        long.extend_from_slice(bytes);
        self.0 = Bytes::Long(long);
    }

    pub(super) fn finish<'v>(self) -> Bytes<'v> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same bytes in each of the three ways that they can be held.
    fn held(bytes: &[u8]) -> Vec<Bytes<'_>> {
        vec![Bytes::Lent(bytes), Bytes::from_slice(bytes), Bytes::Long(bytes.to_vec())]
    }

    #[test]
    fn up_to_64_bytes_are_kept_in_place() {
        assert!(matches!(Bytes::collect([7; 64].into_iter()), Bytes::Short(_, 64)));
        assert!(matches!(Bytes::collect([7; 65].into_iter()), Bytes::Long(_)));
        assert!(matches!(Bytes::from_slice(&[7; 64]), Bytes::Short(_, 64)));
        assert!(matches!(Bytes::from_slice(&[7; 65]), Bytes::Long(_)));
    }

    #[test]
    fn a_piece_of_lent_bytes_is_lent() {
        assert!(matches!(Bytes::Lent(b"abcd").sub(1..3), Bytes::Lent(b"bc")));
        assert!(matches!(Bytes::Lent(b"abcd").into_static(), Bytes::Short(_, 4)));
    }

    #[test]
    fn a_piece_out_of_range_is_what_there_is() {
        #[expect(clippy::reversed_empty_ranges, reason = "a range from outside can be anything")]
        let ranges = [(1..3, "bc"), (2..9, "cd"), (4..4, ""), (7..9, ""), (3..1, "")];
        for (range, piece) in ranges {
            for bytes in held(b"abcd") {
                assert_eq!(bytes.sub(range.clone()).as_slice(), piece.as_bytes(), "{range:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn growing_bytes_are_what_was_written(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6), room in 0_usize..100) {
            let mut growing = Growing::with_room(room);
            for piece in &pieces {
                match piece.as_slice() {
                    [byte] => growing.push(*byte),
                    bytes => growing.extend(bytes),
                }
            }
            let whole = pieces.concat();
            let bytes = growing.finish();
            prop_assert_eq!(bytes.as_slice(), whole.as_slice());
            prop_assert!(Bytes::collect(whole.iter().copied()).as_slice() == whole.as_slice());
            for held in held(&whole) {
                prop_assert!(held.into_static().as_slice() == whole.as_slice());
            }
        }
    }
}
