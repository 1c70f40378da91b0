//! Reads TOML tables strictly: every key is asked for by name, and what nobody asked for is an error.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::BadProfile;
use crate::nearest::nearest;

/// A table, and the keys that were asked for.
pub(super) struct Table<'t> {
    table: &'t DeTable<'t>,
    /// What it is called in errors.
    name: String,
    at: Range<usize>,
    known: BTreeSet<&'static str>,
}

/// A value with its place.
#[derive(Clone, Copy)]
pub(super) struct Item<'t> {
    pub(super) value: &'t DeValue<'t>,
    start: usize,
    end: usize,
}

impl<'t> Item<'t> {
    pub(super) const fn at(&self) -> Range<usize> {
        self.start..self.end
    }

    fn wrong(&self, what: &str) -> BadProfile {
        BadProfile::new(self.at(), format!("this is {}, not {what}", self.value.type_str()), format!("write {what}"))
    }

    pub(super) fn text(self) -> Result<Text<'t>, BadProfile> {
        match self.value {
            DeValue::String(text) => Ok(Text { text, at: self }),
            _ => Err(self.wrong("a text in quotes")),
        }
    }

    pub(super) fn list(self) -> Result<Vec<Item<'t>>, BadProfile> {
        match self.value {
            DeValue::Array(array) => Ok(array.iter().map(item).collect()),
            _ => Err(self.wrong("a list")),
        }
    }

    /// A text, or a list of them.
    pub(super) fn texts(self) -> Result<Vec<Text<'t>>, BadProfile> {
        match self.value {
            DeValue::String(_) => Ok(vec![self.text()?]),
            _ => self.list()?.into_iter().map(Self::text).collect(),
        }
    }

    pub(super) fn table(self, name: impl Into<String>) -> Result<Table<'t>, BadProfile> {
        match self.value {
            DeValue::Table(table) => Ok(Table { table, name: name.into(), at: self.at(), known: BTreeSet::new() }),
            _ => Err(self.wrong("a table")),
        }
    }

    pub(super) fn yes(self) -> Result<bool, BadProfile> {
        self.value.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    /// A whole number of at most `most`.
    pub(super) fn number(self, most: u64) -> Result<u64, BadProfile> {
        let number = self.value.as_integer().and_then(|number| u64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok());
        number.filter(|number| *number <= most).ok_or_else(|| self.wrong(&format!("a whole number from 0 to {most}")))
    }
}

/// A text with its place.
#[derive(Clone, Copy)]
pub(super) struct Text<'t> {
    pub(super) text: &'t str,
    at: Item<'t>,
}

impl Text<'_> {
    pub(super) const fn at(&self) -> Range<usize> {
        self.at.at()
    }

    /// The place of a part of the text in `file`. The whole text when it is written with escapes.
    pub(super) fn inside(&self, file: &str, part: Range<usize>) -> Range<usize> {
        let raw = file.get(self.at()).unwrap_or_default();
        let begins = ["\"\"\"\n", "'''\n", "\"\"\"", "'''", "\"", "'"].iter().find_map(|quote| {
            let inside = raw.strip_prefix(quote)?;
            inside.starts_with(self.text).then_some(self.at.start + quote.len())
        });
        begins.map_or(self.at(), |begin| {
            let end = (begin + part.end.max(part.start + 1)).min(self.at.end);
            (begin + part.start).min(end)..end
        })
    }
}

const fn place(span: &Range<usize>) -> (usize, usize) {
    (span.start, span.end)
}

fn item<'t>(value: &'t Spanned<DeValue<'t>>) -> Item<'t> {
    let (start, end) = place(&value.span());
    Item { value: value.get_ref(), start, end }
}

impl<'t> Table<'t> {
    pub(super) fn root(table: &'t Spanned<DeTable<'t>>) -> Self {
        Self { table: table.get_ref(), name: "a profile".to_owned(), at: table.span(), known: BTreeSet::new() }
    }

    pub(super) fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// The value of a key, if it is there.
    pub(super) fn find(&mut self, key: &'static str) -> Option<Item<'t>> {
        self.known.insert(key);
        self.table.get(key).map(item)
    }

    /// The value of a key that must be there.
    pub(super) fn get(&mut self, key: &'static str) -> Result<Item<'t>, BadProfile> {
        let missing = BadProfile::new(self.at.start..self.at.start, format!("{} has no {key}", self.name), format!("add {key}"));
        self.find(key).ok_or(missing)
    }

    /// Every key with its value, in the order of the file. For tables whose keys are names.
    pub(super) fn entries(&self) -> Vec<(&'t str, Item<'t>)> {
        let mut entries: Vec<_> = self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), item(value))).collect();
        entries.sort_by_key(|(_, item)| item.start);
        entries
    }

    /// Refuses what nobody asked for.
    pub(super) fn finish(self) -> Result<(), BadProfile> {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if !self.known.contains(name) {
                let near = nearest(name, self.known.iter().copied());
                let help = near.map_or_else(
                    || format!("the keys are {}", self.known.iter().copied().collect::<Vec<_>>().join(", ")),
                    |near| format!("did you mean {near}?"),
                );
                return Err(BadProfile::new(key.span(), format!("{} has no key {name}", self.name), help));
            }
        }
        Ok(())
    }
}
