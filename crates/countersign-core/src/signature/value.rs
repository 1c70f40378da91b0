//! Values of expressions, with their provenance. What is lent from the request stays lent.

use super::bytes::Bytes;
use super::coverage::{Parts, Provenance};

/// A value with its provenance. It may be a secret, so it cannot be printed.
#[derive(Clone)]
pub(super) struct Value<'v> {
    pub(super) data: Data<'v>,
    pub(super) from: Provenance,
}

/// One value, a list, or names with values.
#[derive(Clone)]
pub(super) enum Data<'v> {
    One(Bytes<'v>),
    Many(Vec<Bytes<'v>>),
    Map(Vec<(Bytes<'v>, Bytes<'v>)>),
}

/// How many values a list or map may have.
pub(super) const MOST_VALUES: usize = 64;

impl<'v> Value<'v> {
    pub(super) const fn one(bytes: Bytes<'v>, from: Provenance) -> Self {
        Self { data: Data::One(bytes), from }
    }

    pub(super) const fn lent(bytes: &'v [u8], parts: Parts) -> Self {
        Self::one(Bytes::Lent(bytes), Provenance::of(parts))
    }

    /// The bytes of one value.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::One(bytes) => bytes.as_slice(),
            Data::Many(_) | Data::Map(_) => b"",
        }
    }

    /// The same where who trusts it trusts this as well.
    pub(super) fn trusting(mut self, parts: Parts) -> Self {
        self.from.direct = self.from.direct.and(parts);
        self
    }

    /// The same where another source could have given it: the value is signed, and not that it stood here. What every request has
    /// cannot be absent, so that each says whether it was read.
    pub(super) fn of_either(mut self) -> Self {
        let always = Parts::METHOD.and(Parts::PATH).and(Parts::HOST).and(Parts::HOST_NAME).and(Parts::PORT).and(Parts::SCHEME);
        let may_be_absent = self.from.whole.without(always);
        self.from.partly = self.from.partly.and(may_be_absent);
        self.from.whole = self.from.whole.without(may_be_absent);
        self
    }

    /// Whether it is this text and nothing else.
    pub(super) fn is_one(&self, text: &[u8]) -> bool {
        match &self.data {
            Data::One(bytes) => bytes.as_slice() == text,
            Data::Many(list) => matches!(list.as_slice(), [bytes] if bytes.as_slice() == text),
            Data::Map(_) => false,
        }
    }

    /// Whether it is there and not empty, which is what conditions ask.
    pub(super) fn is_something(&self) -> bool {
        match &self.data {
            Data::One(bytes) => !bytes.as_slice().is_empty(),
            Data::Many(list) => !list.is_empty(),
            Data::Map(map) => !map.is_empty(),
        }
    }
}
