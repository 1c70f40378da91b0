//! Structured fields in their canonical form (RFC 9651 section 4.1), written straight from their parts while they are read.
//!
//! A key that comes twice is refused. By RFC 9651 the last one counts, but an upstream that takes the first one would see
//! what was not signed.

use http::{HeaderName, HeaderValue};
use sfv::visitor::{DictionaryVisitor, EntryVisitor, InnerListVisitor, ItemVisitor, ListVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};

use super::component::{write_item, write_parameter};
use super::{MOST_MEMBERS, MOST_PARAMETERS, Wrong, start_of};

/// The type of a structured field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldType {
    Item,
    List,
    Dictionary,
}

/// Fields of requests that are registered as structured, by the names of the HTTP field name registry.
const KNOWN: [(&str, FieldType); 26] = [
    ("accept-signature", FieldType::Dictionary),
    ("available-dictionary", FieldType::Item),
    ("capsule-protocol", FieldType::Item),
    ("client-cert", FieldType::Item),
    ("client-cert-chain", FieldType::List),
    ("content-digest", FieldType::Dictionary),
    ("dictionary-id", FieldType::Item),
    ("priority", FieldType::Dictionary),
    ("repr-digest", FieldType::Dictionary),
    ("sec-ch-ua", FieldType::List),
    ("sec-ch-ua-arch", FieldType::Item),
    ("sec-ch-ua-bitness", FieldType::Item),
    ("sec-ch-ua-full-version-list", FieldType::List),
    ("sec-ch-ua-mobile", FieldType::Item),
    ("sec-ch-ua-model", FieldType::Item),
    ("sec-ch-ua-platform", FieldType::Item),
    ("sec-ch-ua-platform-version", FieldType::Item),
    ("sec-ch-ua-wow64", FieldType::Item),
    ("sec-fetch-dest", FieldType::Item),
    ("sec-fetch-mode", FieldType::Item),
    ("sec-fetch-site", FieldType::Item),
    ("sec-fetch-user", FieldType::Item),
    ("signature", FieldType::Dictionary),
    ("signature-input", FieldType::Dictionary),
    ("want-content-digest", FieldType::Dictionary),
    ("want-repr-digest", FieldType::Dictionary),
];

impl FieldType {
    /// The type of a field, if it is known.
    pub(super) fn of(name: &HeaderName) -> Option<Self> {
        KNOWN.iter().find(|(known, _)| *known == name.as_str()).map(|(_, kind)| *kind)
    }
}

/// Writes a field in canonical form (RFC 9421 section 2.1.1). Several lines are one list or dictionary.
pub(super) fn write<'v>(kind: FieldType, lines: impl IntoIterator<Item = &'v HeaderValue>, text: &mut String) -> Result<(), Wrong> {
    let mut whole = Whole { text, keys: Vec::new(), empty: true };
    let mut lines = lines.into_iter();
    while let Some(line) = lines.next() {
        let parser = Parser::new(line.as_bytes());
        match kind {
            FieldType::Dictionary => parser.parse_dictionary_with_visitor(&mut whole),
            FieldType::List => parser.parse_list_with_visitor(&mut whole),
            FieldType::Item if lines.next().is_some() => return Err("it came more than once".into()),
            FieldType::Item => parser.parse_item_with_visitor(Value { text: whole.text, key: None }),
        }
        .map_err(|error| Wrong::from(error.to_string()))?;
    }
    Ok(())
}

/// Writes one member of a dictionary, without its key (RFC 9421 section 2.1.2).
pub(super) fn write_member<'v>(key: &str, lines: impl IntoIterator<Item = &'v HeaderValue>, text: &mut String) -> Result<(), Wrong> {
    let mut member = Member { key, text, found: false };
    for line in lines {
        Parser::new(line.as_bytes()).parse_dictionary_with_visitor(&mut member).map_err(|error| Wrong::from(error.to_string()))?;
    }
    if member.found { Ok(()) } else { Err("it has no such key".into()) }
}

/// A list or dictionary that is written as a whole.
struct Whole<'t, 'v> {
    text: &'t mut String,
    keys: Vec<&'v str>,
    empty: bool,
}

impl Whole<'_, '_> {
    fn separate(&mut self) {
        if !std::mem::replace(&mut self.empty, false) {
            self.text.push_str(", ");
        }
    }
}

impl<'v> DictionaryVisitor<'v> for &mut Whole<'_, 'v> {
    type Out = ();
    type Error = Wrong;

    fn entry(&mut self, key: &'v KeyRef) -> Result<impl EntryVisitor<'v>, Wrong> {
        once(&mut self.keys, key.as_str(), MOST_MEMBERS)?;
        self.separate();
        Ok(Value { text: self.text, key: Some(key.as_str()) })
    }

    fn finish(self) -> Result<(), Wrong> {
        Ok(())
    }
}

impl<'v> ListVisitor<'v> for &mut Whole<'_, 'v> {
    type Out = ();
    type Error = Wrong;

    fn entry(&mut self) -> Result<impl EntryVisitor<'v>, Wrong> {
        self.separate();
        Ok(Value { text: self.text, key: None })
    }

    fn finish(self) -> Result<(), Wrong> {
        Ok(())
    }
}

/// A dictionary of which one member is written.
struct Member<'k, 't> {
    key: &'k str,
    text: &'t mut String,
    found: bool,
}

impl<'v> DictionaryVisitor<'v> for &mut Member<'_, '_> {
    type Out = ();
    type Error = Wrong;

    fn entry(&mut self, key: &'v KeyRef) -> Result<impl EntryVisitor<'v>, Wrong> {
        if key.as_str() != self.key {
            return Ok(None);
        }
        if std::mem::replace(&mut self.found, true) {
            return Err(twice(self.key));
        }
        Ok(Some(Value { text: self.text, key: None }))
    }

    fn finish(self) -> Result<(), Wrong> {
        Ok(())
    }
}

/// An item or inner list that comes next; a key before it is written with it.
struct Value<'t, 'v> {
    text: &'t mut String,
    key: Option<&'v str>,
}

impl<'v> EntryVisitor<'v> for Value<'_, 'v> {
    type Error = Wrong;

    fn item(self) -> Result<impl ItemVisitor<'v>, Wrong> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'v>, Wrong> {
        if let Some(key) = self.key {
            self.text.push_str(key);
            self.text.push('=');
        }
        self.text.push('(');
        Ok(Inner { text: self.text, empty: true })
    }
}

impl<'v> ItemVisitor<'v> for Value<'_, 'v> {
    type Out = ();
    type Error = Wrong;

    fn bare_item(self, item: BareItemFromInput<'v>) -> Result<impl ParameterVisitor<'v, Out = ()>, Wrong> {
        self.text.push_str(self.key.unwrap_or_default());
        // A member that is true is written as its key alone.
        if self.key.is_none() || !matches!(item, BareItemFromInput::Boolean(true)) {
            if self.key.is_some() {
                self.text.push('=');
            }
            write_item(&item, self.text);
        }
        Ok(Parameters { text: self.text, keys: Vec::new() })
    }
}

struct Inner<'t> {
    text: &'t mut String,
    empty: bool,
}

impl<'v> InnerListVisitor<'v> for Inner<'_> {
    type Error = Wrong;

    fn item(&mut self) -> Result<impl ItemVisitor<'v>, Wrong> {
        if !std::mem::replace(&mut self.empty, false) {
            self.text.push(' ');
        }
        Ok(Value { text: self.text, key: None })
    }

    fn finish(self) -> Result<impl ParameterVisitor<'v>, Wrong> {
        self.text.push(')');
        Ok(Parameters { text: self.text, keys: Vec::new() })
    }
}

struct Parameters<'t, 'v> {
    text: &'t mut String,
    keys: Vec<&'v str>,
}

impl<'v> ParameterVisitor<'v> for Parameters<'_, 'v> {
    type Out = ();
    type Error = Wrong;

    fn parameter(&mut self, key: &'v KeyRef, value: BareItemFromInput<'v>) -> Result<(), Wrong> {
        once(&mut self.keys, key.as_str(), MOST_PARAMETERS)?;
        write_parameter(key.as_str(), &value, self.text);
        Ok(())
    }

    fn finish(self) -> Result<(), Wrong> {
        Ok(())
    }
}

/// Notes a key that must not have come before.
fn once<'v>(keys: &mut Vec<&'v str>, key: &'v str, most: usize) -> Result<(), Wrong> {
    if keys.contains(&key) {
        return Err(twice(key));
    }
    if keys.len() >= most {
        return Err(format!("more than {most} keys").into());
    }
    keys.push(key);
    Ok(())
}

pub(super) fn twice(key: &str) -> Wrong {
    format!("{} comes twice", start_of(key)).into()
}
