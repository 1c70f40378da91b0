//! The sources that one profile names, each with a slot of its own, so that a set of them is one word.

use http::HeaderName;

use super::coverage::Slot;

/// A source that has a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SlotSource {
    Header(HeaderName),
    Query(Box<str>),
    Form(Box<str>),
    /// A field, by its index.
    Field(usize),
    /// A member of a map field, its name in lower case.
    Member(usize, Box<str>),
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots(Vec<SlotSource>);

impl Slots {
    /// The slot of a source, new or old. None when there are too many.
    pub(super) fn intern(&mut self, source: SlotSource) -> Option<Slot> {
        if let Some(slot) = self.find(&source) {
            return Some(slot);
        }
        let slot = u8::try_from(self.0.len()).ok().filter(|slot| usize::from(*slot) < Slot::MOST).map(Slot)?;
        self.0.push(source);
        Some(slot)
    }

    /// The slot of a source that the profile names.
    pub(super) fn find(&self, source: &SlotSource) -> Option<Slot> {
        let index = self.0.iter().position(|known| known == source)?;
        u8::try_from(index).ok().map(Slot)
    }

    /// The slot of a header that the profile names.
    pub(super) fn of_header(&self, name: &HeaderName) -> Option<Slot> {
        let index = self.0.iter().position(|known| matches!(known, SlotSource::Header(known) if known == name))?;
        u8::try_from(index).ok().map(Slot)
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&SlotSource> {
        self.0.get(usize::from(slot.0))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &SlotSource)> {
        (0u8..).map(Slot).zip(&self.0)
    }
}

impl SlotSource {
    /// For people: `header x-amz-date`.
    pub(super) fn words(&self, field: impl Fn(usize) -> String) -> String {
        match self {
            Self::Header(name) => format!("header {name}"),
            Self::Query(name) => format!("query parameter {name}"),
            Self::Form(name) => format!("form parameter {name}"),
            Self::Field(index) => field(*index),
            Self::Member(index, name) => format!("{}.{name}", field(*index)),
        }
    }
}
