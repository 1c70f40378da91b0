//! The parameters that a collection is made of, as they were sent.

use super::bytes::Bytes;
use super::collect::Gathered;
use super::collection::Origin;
use super::parameters;
use super::sources::too_many_parameters;
use super::value::Data;
use crate::code::{Code, Refusal};

/// One item before it is written.
pub(super) struct Item<'v> {
    pub(super) name: Bytes<'v>,
    pub(super) value: Bytes<'v>,
    /// Both as sent, of a raw query.
    pub(super) pair: &'v [u8],
}

impl<'v> Gathered<'_, '_, 'v> {
    pub(super) fn parameters(&self) -> Result<Vec<Item<'v>>, Refusal> {
        let mut all = Vec::new();
        for from in &self.collection.from {
            all.extend(self.parameters_of(*from)?);
        }
        Ok(all)
    }

    pub(super) fn parameters_of(&self, from: Origin) -> Result<Vec<Item<'v>>, Refusal> {
        let head = &self.context.head;
        let (encoded, raw, plus): (&'v [u8], bool, bool) = match from {
            Origin::Query => (head.query().unwrap_or_default().as_bytes(), false, self.collection.plus_is_space),
            Origin::RawQuery => (head.query().unwrap_or_default().as_bytes(), true, false),
            Origin::Form => (self.context.form().unwrap_or_default(), false, true),
            Origin::Map(index) => {
                let map = self.context.fields.get(index).and_then(Option::as_ref);
                let Some(Data::Map(members)) = map.map(|map| &map.data) else { return Ok(Vec::new()) };
                return Ok(members.iter().map(|(name, value)| Item { name: name.clone(), value: value.clone(), pair: b"" }).collect());
            }
            Origin::Headers => return Ok(Vec::new()),
        };
        // Signed as `+`, it is read as a space by most upstreams.
        if matches!(from, Origin::Query) && !plus && encoded.contains(&b'+') {
            return Err(Refusal::with(Code::SignatureMalformed, "a + in the query could be a space: write %2B or %20"));
        }
        // An upstream could count it as a parameter without a name, and no item would show it.
        if !encoded.is_empty() && encoded.split(|byte| *byte == b'&').any(<[u8]>::is_empty) {
            let words = "there is nothing before, behind or between two & of the query or form: that would not be signed";
            return Err(Refusal::with(Code::SignatureMalformed, words));
        }
        // Signed as `%3B`, it is read as an `&` by some.
        if !raw && !self.collection.semicolon_is_plain && encoded.contains(&b';') {
            return Err(Refusal::with(Code::SignatureMalformed, "a ; in the query or form could be an &: write %3B"));
        }
        let decode = |text: &'v [u8]| if raw { Bytes::Lent(text) } else { parameters::decode(text, plus) };
        let items = parameters::split_query(encoded).ok_or_else(too_many_parameters)?;
        let items = items.map(|(name, value)| Item {
            name: decode(name),
            value: decode(value.unwrap_or_default()),
            pair: pair(encoded, name, value),
        });
        Ok(items.collect())
    }
}

/// A parameter as it stands in the query: its name, and its value if it has one, with what is between them.
fn pair<'v>(encoded: &'v [u8], name: &'v [u8], value: Option<&'v [u8]>) -> &'v [u8] {
    // Both are pieces of `encoded`, so the pair is the piece from the one to the other.
    let start = (name.as_ptr() as usize).saturating_sub(encoded.as_ptr() as usize);
    let length = name.len() + value.map_or(0, |value| value.len() + 1);
    encoded.get(start..start + length).unwrap_or_default()
}
